"""The asynchronous reader of a recording: of a session, over HTTP, or of files at any path or URL.

    recording = await client.recording("k7qm2xpv")
    clip = await recording.read(slice(10, 20), "positions", "energy")
    async for frame in recording.follow(): ...

Long ranges are read in blocks, so that a recording of any size needs little memory. player/clips.py describes a clip.
This module must never change the recording of a session.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import msgspec
import numpy as np

from tussle.lobby.errors import ProtocolError, RateLimited, Refused
from tussle.lobby.wire.frames import Topology, decode_topology
from tussle.player.clips import Arrays, RecordedFrames, RecordingInfo, SegmentInfo

if TYPE_CHECKING:
    from tussle.player.client import Client

__all__ = [
    "EditableSource",
    "FileSource",
    "HttpSource",
    "Recording",
    "RecordingSource",
    "WritableFiles",
    "WritableSource",
    "completed",
]

BLOCK_BYTES = 2**22
"""Approximate size of one request [B]."""

POLL_S = 0.5
"""Time between two reads of the description while a recording grows [s]."""

TRIES = 5

DESCRIBED = frozenset(
    {
        "session", "live", "length", "fields", "segments", "events", "schema", "first_tick", "last_tick", "gaps",
        "stopped",
    }
)  # fmt: skip
"""The parts of a description that a copy does not take as attributes."""

T = TypeVar("T")

Fetch = Callable[[str, dict[str, str]], Awaitable[bytes | bytearray]]
"""Path and query -> the body of the answer."""


class _Array(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data: memoryview


class _Block(msgspec.Struct, frozen=True):
    arrays: dict[str, _Array]


class RecordingSource(Protocol):
    """Where a recording is."""

    async def about(self) -> dict[str, Any]: ...

    async def frames(self, numbers: range, fields: Sequence[str]) -> Arrays: ...

    async def topology(self, segment: int) -> Topology: ...

    async def events(self) -> list[dict[str, Any]]: ...


@runtime_checkable
class WritableSource(RecordingSource, Protocol):
    """Where a recording is that may be changed."""

    async def extend(self, arrays: Mapping[str, Any], topology: Topology | None) -> None: ...


@runtime_checkable
class EditableSource(WritableSource, Protocol):
    """An uploaded recording, whose frames have versions and locks."""

    async def edit(self, tick: int, arrays: Mapping[str, Any]) -> None: ...

    async def versions(self) -> dict[int, int]: ...

    def lock(self, tick: int) -> AbstractAsyncContextManager[int]: ...


class HttpSource:
    """A session's recording at a server."""

    def __init__(self, fetch: Fetch, session: str) -> None:
        self._fetch = fetch
        self._path = f"/api/recordings/{session}"

    async def _get(self, path: str = "", query: dict[str, str] | None = None) -> bytes | bytearray:
        for again in reversed(range(TRIES)):
            try:
                return await self._fetch(self._path + path, query or {})
            except RateLimited as error:
                if not again or error.retry_after is None:
                    raise
                await asyncio.sleep(error.retry_after)
        raise AssertionError

    async def about(self) -> dict[str, Any]:
        return _decoded(await self._get(), dict[str, Any])

    async def frames(self, numbers: range, fields: Sequence[str]) -> Arrays:
        query = {
            "data": ",".join(fields),
            "frames": f"{numbers.start}:{numbers.stop}:{numbers.step}",
            "format": "msgpack",
        }
        data = await self._get("/frames", query)
        try:
            block = msgspec.msgpack.decode(data, type=_Block)
            return {
                name: np.frombuffer(one.data, one.dtype).reshape(one.shape)
                for name, one in block.arrays.items()
            }
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, TypeError) as error:
            raise ProtocolError(f"the server's frames cannot be read: {error}") from None

    async def topology(self, segment: int) -> Topology:
        return decode_topology(bytes(await self._get(f"/topology/{segment}")))

    async def events(self) -> list[dict[str, Any]]:
        return _decoded(await self._get("/events"), list[dict[str, Any]])


class FileSource:
    """A recording in files: a Zarr group at a path, or at any URL that fsspec knows."""

    def __init__(self, address: str) -> None:
        self.address = self._address = address
        self._store: Any = None

    async def about(self) -> dict[str, Any]:
        return await asyncio.to_thread(self._open)

    def _open(self) -> dict[str, Any]:
        from tussle.server.recordings.frame_store import FIELDS
        from tussle.server.recordings.zarr_frames import ZarrFrames

        store = self._store = ZarrFrames.open(self._address)
        ends = range(store.length)[:1], range(store.length)[-1:]
        ticks = [int(b.arrays["tick"][0]) for numbers in ends for b in store.frames(numbers, ("tick",))]
        return {
            **{name: value for name, value in store.attributes.items() if name != "events"},
            "length": store.length,
            "first_tick": ticks[0] if ticks else None,
            "last_tick": ticks[-1] if ticks else None,
            "fields": {name: msgspec.to_builtins(FIELDS[name]) for name in store.fields},
            "segments": msgspec.to_builtins(store.segments),
        }

    async def frames(self, numbers: range, fields: Sequence[str]) -> Arrays:
        return await asyncio.to_thread(self._frames, numbers, fields)

    def _frames(self, numbers: range, fields: Sequence[str]) -> Arrays:
        from tussle.server.recordings.selection import Selection, parts_of, read_parts

        parts = parts_of(self._store, Selection(tuple(fields), numbers))
        return {
            part.name: np.concatenate([np.empty((0, *part.item), part.dtype), *blocks])
            for part, blocks in read_parts(self._store, parts)
        }

    async def topology(self, segment: int) -> Topology:
        found: Topology = await asyncio.to_thread(self._store.topology, segment)
        return found

    async def events(self) -> list[dict[str, Any]]:
        lines = await asyncio.to_thread(lambda: b"".join(self._store.events()))
        return [_decoded(line, dict[str, Any]) for line in lines.splitlines()]


class WritableFiles(FileSource):
    """A recording in files that no session made: ``extend`` adds frames. The recording of a session never changes."""

    async def extend(self, arrays: Mapping[str, Any], topology: Topology | None) -> None:
        await asyncio.to_thread(self._extend, arrays, topology)

    def _extend(self, arrays: Mapping[str, Any], topology: Topology | None) -> None:
        from tussle.server.recordings.zarr_frames import ZarrFrames

        store = ZarrFrames.open(self._address, write=True)
        if store.attributes.get("session"):
            raise Refused("a session's recording never changes: derive a copy", code="read_only")
        store.append(completed(arrays, store.attributes.get("dt", 0.0), store.seats), topology)
        store.close()

    @classmethod
    async def create(cls, address: str, attributes: Mapping[str, Any], seats: int = 0) -> WritableFiles:
        """A recording without frames. Raises Refused (recording_exists, reserved_attribute)."""
        await asyncio.to_thread(cls._create, address, attributes, seats)
        return cls(address)

    @staticmethod
    def _create(address: str, attributes: Mapping[str, Any], seats: int) -> None:
        from tussle.server.recordings.zarr_frames import ZarrFrames

        ZarrFrames.create(address, attributes, seats=seats).close()


def completed(arrays: Mapping[str, Any], dt: float, seats: int) -> dict[str, Any]:
    """Defaults of fields that a caller may omit: no contact, all bodies active, time = tick x dt."""
    tick = np.atleast_1d(np.asarray(arrays.get("tick", ())))
    count, zero = len(tick), np.zeros(len(tick))
    filled: dict[str, Any] = {
        "time": tick * dt, "min_distance": np.full(count, np.inf), "contacts": zero.astype(np.uint32),
        "iterations": zero.astype(np.uint32), "energy": zero,
    }  # fmt: skip
    if seats:
        each = np.zeros((count, seats))
        filled |= {"health": each, "score": each, "out": each.astype(bool)}
    return {**filled, **arrays}


class Recording:
    """A recording of an ended or running session: a sequence of frames. Call ``await open()`` first;
    ``Client.recording`` does so."""

    def __init__(self, source: RecordingSource) -> None:
        self.attributes: dict[str, Any] = {}
        self.info = RecordingInfo(0, {}, ())
        self._source = source
        self._locked: set[int] = set()

    async def open(self) -> Recording:
        """Read the description. Raises NotFound (no_recording), ProtocolError (damaged_recording)."""
        await self.refresh()
        return self

    async def refresh(self) -> int:
        """Read the description again; return the number of frames."""
        self.attributes = await self._source.about()
        try:
            self.info = msgspec.convert(self.attributes, RecordingInfo)
        except msgspec.ValidationError as error:
            raise ProtocolError(f"the description of a recording: {error}", code="not_a_recording") from None
        return self.info.length

    def __len__(self) -> int:
        return self.info.length

    @property
    def live(self) -> bool:
        """Whether frames may still be added."""
        return self.info.live

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields of each frame."""
        return tuple(self.info.fields)

    @property
    def segments(self) -> tuple[SegmentInfo, ...]:
        """The segments: consecutive frames with the same topology, and their bodies."""
        return self.info.segments

    async def read(self, frames: int | slice = slice(None), *fields: str) -> RecordedFrames:
        """Read frames with these fields, by default all. The field "positions" means all vertices. Raises Refused
        (bad_range, bad_fields)."""
        numbers = self.numbers(frames)
        with_meshes = not fields or "positions" in fields
        names = tuple(
            dict.fromkeys("rows" if name == "positions" else name for name in fields or self.fields)
        )
        clip = RecordedFrames(self.info, numbers, single=isinstance(frames, int))
        clip.add(await self.arrays(numbers, names))
        if with_meshes:
            segments = [number for number, _ in self.info.segments_of(numbers)]
            clip.add({}, {number: await self.topology(number) for number in segments})
        return clip

    def numbers(self, frames: int | slice) -> range:
        """Return the frame numbers of an index or slice. Raises Refused (bad_range)."""
        length = self.info.length
        if isinstance(frames, slice):
            numbers = range(length)[frames]
            if numbers.step < 1:
                raise Refused("frames go forward: the step is at least 1", code="bad_range", field="frames")
            return numbers
        if not -length <= frames < length:
            raise Refused(f"there is no frame {frames} of {length}", code="bad_range", field="frames")
        return range(frames % length, frames % length + 1)

    async def arrays(self, numbers: range, fields: Sequence[str]) -> Arrays:
        """Return the arrays of some frames, read in blocks."""
        for name in fields:
            if name not in self.info.fields:
                raise Refused(f"no field {name[:40]!r}", code="bad_fields", field=name)
        size = max(1, BLOCK_BYTES // max(1, self.info.frame_bytes(fields)))
        if len(numbers) <= size:
            return await self._source.frames(numbers, fields)
        segments = self.info.segments_of(numbers)
        whole: Arrays = {}
        filled: dict[str, int] = {}
        for at in range(0, len(numbers), size):
            block = numbers[at : at + size]
            here = [number for number, _ in self.info.segments_of(block)]
            for name, array in (await self._source.frames(block, fields)).items():
                field, _, text = name.partition(".")
                length = len(numbers)
                if self.info.depends_on_topology(field):
                    segment = int(text) if text else here[0]
                    length = len(dict(segments)[segment])
                    name = f"{field}.{segment}" if len(segments) > 1 else field
                if name not in whole:
                    whole[name] = np.empty((length, *array.shape[1:]), array.dtype)
                    filled[name] = 0
                whole[name][filled[name] : filled[name] + len(array)] = array
                filled[name] += len(array)
        return whole

    async def topology(self, segment: int) -> Topology:
        """The meshes of a segment."""
        return await self._source.topology(segment)

    async def events(self) -> list[dict[str, Any]]:
        """The events of the session, in order: ``{tick, type, ...}``."""
        return await self._source.events()

    async def extend(self, arrays: Mapping[str, Any], topology: Topology | None = None) -> int:
        """Add frames to a recording that no session made: in files, such as one by ``derive``, or uploaded by this
        player to a server. arrays: ``tick``, ``rows``, ``active``, and any other field. topology: of the bodies from
        here on, if it changes; the first frames need one. At a server, frames whose ticks lie between others are
        inserted. Returns the new length.

        Raises Refused (bad_frames, read_only), and at a server Conflict (stale_version), Forbidden
        (not_own_recording); nothing is added then. More than 4 MiB are sent to a server in several parts.
        """
        if not isinstance(self._source, WritableSource):
            raise Refused("this recording is only read: derive a copy", code="read_only")
        await self._source.extend(arrays, topology)
        return await self.refresh()

    async def edit(self, frame: int, values: Mapping[str, Any]) -> None:
        """Replace fields of a frame of an uploaded recording: name -> value, without the axis of frames. The frame
        gets a new version. Raises Conflict (frame_locked, stale_version), Refused (bad_frames, read_only)."""
        source, numbers = self._editable(), self.numbers(frame)
        names = [name for name in self.fields if name != "segment"]
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise Refused(f"no field {unknown[0][:40]!r}", code="bad_fields", field=unknown[0])
        tick = await self._tick(frame)
        async with source.lock(tick) if tick not in self._locked else contextlib.nullcontext():
            arrays = dict(await source.frames(numbers, names))
            arrays |= {name: np.asarray(value, arrays[name].dtype)[None] for name, value in values.items()}
            await source.edit(tick, arrays)

    @contextlib.asynccontextmanager
    async def lock(self, frame: int) -> AsyncIterator[None]:
        """Lock a frame of an uploaded recording for several edits. The lock is released afterwards, also after an
        exception. Raises Conflict (frame_locked)."""
        tick = await self._tick(frame)
        async with self._editable().lock(tick):
            self._locked.add(tick)
            try:
                yield
            finally:
                self._locked.discard(tick)

    async def versions(self) -> dict[int, int]:
        """The version of each frame of an uploaded recording that was edited: tick -> version. All others have
        version 1."""
        return await self._editable().versions()

    async def _tick(self, frame: int) -> int:
        return int((await self._source.frames(self.numbers(frame), ("tick",)))["tick"][0])

    def _editable(self) -> EditableSource:
        if not isinstance(self._source, EditableSource):
            raise Refused("frames are edited in a recording at a server: upload it", code="read_only")
        return self._source

    async def upload(self, client: Client, *, title: str = "", listed: bool = True) -> Recording:
        """Upload this recording in files to a server; see ``Client.upload_recording``. What a session recorded is
        refused: derive a copy first."""
        return await client.upload_recording(self.address, title=title, listed=listed)

    @property
    def address(self) -> str:
        """The path or URL of a recording in files. Raises Refused (read_only) for one at a server."""
        if not isinstance(self._source, FileSource):
            raise Refused("this recording is at a server: derive a copy", code="read_only")
        return self._source.address

    async def append(self, frame: Mapping[str, Any], topology: Topology | None = None) -> int:
        """Add one frame: as ``extend``, with values without the axis of frames."""
        return await self.extend({name: np.asarray(value)[None] for name, value in frame.items()}, topology)

    async def derive(self, address: str, frames: slice = slice(None)) -> Recording:
        """Write a copy of some frames to a path or URL. Frames may be added to the copy. Its attribute ``derived_from``
        names the origin. Raises Refused (recording_exists, bad_range)."""
        numbers = self.numbers(frames)
        kept = {k: v for k, v in self.attributes.items() if k not in DESCRIBED}
        origin = {"session": self.info.session, "frames": [numbers.start, numbers.stop, numbers.step]}
        seats = 0
        if "health" in self.info.fields and len(self):
            seats = (await self._source.frames(range(1), ("health",)))["health"].shape[1]
        copy = await WritableFiles.create(address, {**kept, "derived_from": origin}, seats)
        names = [name for name in self.fields if name != "segment"]
        for segment, here in self.info.segments_of(numbers):
            topology: Topology | None = await self.topology(segment)
            size = max(1, BLOCK_BYTES // max(1, self.info.frame_bytes(names)))
            for at in range(0, len(here), size):
                arrays = await self._source.frames(here[at : at + size], names)
                await copy.extend(arrays, topology)
                topology = None
        return await Recording(copy).open()

    async def blocks(self, *fields: str, frames: slice = slice(None)) -> AsyncIterator[RecordedFrames]:
        """Yield all frames as clips of a few megabytes, for a recording of any size."""
        numbers = self.numbers(frames)
        known = [name for name in fields or self.fields if name in self.fields] or ["rows"]
        size = max(1, BLOCK_BYTES // max(1, self.info.frame_bytes(known)))
        for at in range(0, len(numbers), size):
            block = numbers[at : at + size]
            yield await self.read(slice(block.start, block.stop, block.step), *fields)

    async def follow(self, *fields: str, start: int = 0) -> AsyncIterator[RecordedFrames]:
        """Yield each frame from ``start`` on, as it is recorded, until the session is over."""
        while True:
            live = self.live
            if start < len(self):
                async for clip in self.blocks(*fields, frames=slice(start, None)):
                    for frame in clip:
                        yield frame
                start = len(self)
            if not live:
                return
            await asyncio.sleep(POLL_S)
            await self.refresh()


def _decoded(data: bytes | bytearray, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"the answer does not follow the protocol: {error}") from None
