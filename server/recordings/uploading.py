"""Takes uploads and changes of them: reads them in a thread of its own, asks the store, writes the files.

    archive | frames -> Draft in a folder of its own -> store: is there room? -> files -> store: the newest version

One archive is read at a time, so that the memory is bounded and a session of the same server is not slowed by several
of them. Changes, which are small, have a thread of their own and do not wait for archives.
A refused upload leaves nothing. This module must never know HTTP.
"""

from __future__ import annotations

import asyncio
import contextvars
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, TypeVar

import msgspec
import numpy as np

from tussle.lobby.accounts import PlayerInfo
from tussle.lobby.errors import Conflict, Forbidden, NotFound, Refused, StoreError
from tussle.lobby.settings import Settings
from tussle.lobby.uploads import NewUpload, Upload, Uploads
from tussle.lobby.wire.frames import Topology, decode_topology
from tussle.server.recordings.frame_store import Array
from tussle.server.recordings.recordings import Recordings
from tussle.server.recordings.uploaded import (
    Change,
    Draft,
    Kept,
    UploadedFrames,
    changed,
    plan_change,
    read_upload,
)

__all__ = ["ARRAYS_FACTOR", "FRAMES_BYTES", "SentFrames", "Uploading", "reachable"]

ARRAYS_FACTOR = 4
"""The arrays of an upload have at most this times UPLOAD_BYTES."""

FRAMES_BYTES = 2**23
"""Most bytes of the frames that one call adds or changes [B]."""

CHUNKS_BYTES = 2**21
"""What an edit of a frame writes again, about [B]: a chunk of each field."""

TRIES = 3
"""Attempts to add frames to a recording that somebody else changes at the same time."""

MOST_FRAMES = 32_768
"""Most frames that one call adds or changes: each has an entry in the answer."""

MOST_EDITS = 4096
"""Most frames that one call edits: the store compares the lock of each."""

DTYPES = frozenset({"<f4", "<f8", "<i4", "<u4", "<i8", "<u8", "|b1"})

T = TypeVar("T")


class SentArray(msgspec.Struct, frozen=True):
    """An array of frames, its first axis the frame."""

    dtype: Annotated[str, msgspec.Meta(max_length=16)]
    shape: Annotated[tuple[int, ...], msgspec.Meta(max_length=4)]
    data: memoryview

    def array(self, name: str) -> Array:
        if self.dtype not in DTYPES:
            raise Refused(f"{name} has numbers of type {self.dtype[:10]!r}", code="bad_frames", field=name)
        try:
            return np.frombuffer(self.data, self.dtype).reshape(self.shape)
        except ValueError as error:
            raise Refused(f"{name}: {error}", code="bad_frames", field=name) from None


class SentFrames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a change. base, locks: tick -> version, and token of the lock, of each frame that is edited.
    topology: of the frames that are added, if it is another one."""

    arrays: Annotated[
        dict[Annotated[str, msgspec.Meta(max_length=32)], SentArray], msgspec.Meta(max_length=32)
    ]
    topology: memoryview | None = None
    base: Annotated[dict[int, int], msgspec.Meta(max_length=MOST_EDITS)] = {}
    locks: Annotated[dict[int, int], msgspec.Meta(max_length=MOST_EDITS)] = {}

    def decoded(self) -> tuple[dict[str, Array], Topology | None]:
        """Raises Refused (bad_frames), ProtocolError."""
        arrays = {name: sent.array(name) for name, sent in self.arrays.items()}
        if "tick" not in arrays:
            raise Refused("frames have a tick", code="bad_frames", field="tick")
        if arrays["tick"].size > MOST_FRAMES:
            raise Refused(f"one call has at most {MOST_FRAMES} frames", code="bad_frames", field="tick")
        return arrays, None if self.topology is None else decode_topology(bytes(self.topology))


@dataclass(frozen=True, slots=True)
class Stored:
    """An upload as it is now. version: of the recording; frames: version of each frame that was sent, by its tick."""

    version: int
    kept: Kept
    frames: Mapping[int, int]


@contextmanager
def reachable() -> Iterator[None]:
    """Raise StoreError (recordings_unreachable) for an error of the file system."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the recording cannot be kept now: {error.strerror or type(error).__name__}",
            code="recordings_unreachable",
        ) from error


class Uploading:
    """The uploads of one server."""

    def __init__(self, settings: Settings, recordings: Recordings, uploads: Uploads) -> None:
        self._recordings = recordings
        self._uploads = uploads
        self._folder = settings.data_dir / "uploads"
        self._most = ARRAYS_FACTOR * settings.upload_bytes
        self._archives = ThreadPoolExecutor(1, "uploads")
        self._changes = ThreadPoolExecutor(1, "changes")
        self._storing, self._changing = asyncio.Lock(), asyncio.Lock()

    async def _run(self, work: Callable[[], T], threads: ThreadPoolExecutor | None = None) -> T:
        with reachable():
            context = contextvars.copy_context()
            pool = threads or self._changes
            return await asyncio.get_running_loop().run_in_executor(pool, context.run, work)

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        """A folder for one upload, which is removed afterwards. It is on the disk of DATA_DIR: that of the system's
        temporary files may be memory."""

        def make() -> tempfile.TemporaryDirectory[str]:
            self._folder.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True)

        with reachable():
            made = await asyncio.to_thread(make)
        try:
            yield Path(made.name)
        finally:
            await asyncio.to_thread(made.cleanup)

    async def check_free(self, token: str, player: PlayerInfo) -> None:
        """Check that no upload of another player and no session has the name. Raises Refused ``recording_exists``."""
        known = await self._uploads.find(token)
        if known is not None and known.player != player.player:
            raise Refused("there is a recording of this name already", code="recording_exists")
        if known is None and await self._run(lambda: self._recordings.has_files(token)):
            raise Refused("a session has a recording of this name", code="recording_exists")

    async def add(
        self, token: str, player: PlayerInfo, file: BinaryIO, folder: Path, *, title: str, listed: bool
    ) -> Stored:
        """Keep the recording in an archive. An equal one of the same name changes nothing.

        Raises what uploaded.read_upload and Uploads.store raise, StoreError (recordings_unreachable).
        """

        def read() -> tuple[Draft, Kept]:
            draft = read_upload(file, folder, self._most)
            return draft, draft.finish()

        draft, kept = await self._run(read, self._archives)
        mode = str(draft.group.attributes.get("mode", ""))
        made = NewUpload(kept.sha256, kept.size, kept.length, title, mode, listed)
        version = await self._keep(token, player, draft, made)
        return Stored(version, kept, {})

    async def change(
        self, token: str, player: PlayerInfo, sent: SentFrames, folder: Path, price: Callable[[int], None]
    ) -> Stored:
        """Add frames to an upload, insert some, or edit some. An edit needs the version of the frame that it was made
        on, and the lock of the frame. price: called with the bytes that are written again, before the work.

        Raises what uploaded.plan_change, uploaded.changed and Uploads.store raise; Conflict (lock_required).
        """
        arrays, topology = await self._run(sent.decoded)
        for again in reversed(range(TRIES)):
            upload = await self.own(token, player)

            def plan(upload: Upload = upload) -> tuple[UploadedFrames, Change]:
                before = UploadedFrames(self._recordings.blobs, upload.sha256)
                return before, plan_change(before, arrays["tick"], sent.base)

            before, change = await self._run(plan)
            ticks = arrays["tick"].tolist()
            edited = [ticks[i] for i in change.edited]
            missing = [tick for tick in edited if tick not in sent.locks]
            if missing:
                raise Conflict(
                    f"lock the frame of tick {missing[0]} first", code="lock_required", field=str(missing[0])
                )
            if change.inserted:
                price(upload.bytes)
            elif change.edited:
                price(min(upload.bytes, len(change.edited) * CHUNKS_BYTES))

            def make(before: UploadedFrames = before, change: Change = change) -> tuple[Draft, Kept]:
                draft = changed(before, change, arrays, topology, folder, self._most)
                return draft, draft.finish()

            draft, kept = await self._run(make)
            made = NewUpload(kept.sha256, kept.size, kept.length)
            locks = {tick: sent.locks[tick] for tick in edited}
            try:
                version = await self._keep(token, player, draft, made, upload.version, locks)
            except Conflict as error:
                if error.reason != "stale_version" or not again:
                    raise
                continue
            return Stored(version, kept, {tick: draft.versions.get(tick, 1) for tick in ticks})
        raise AssertionError

    async def own(self, token: str, player: PlayerInfo) -> Upload:
        """The upload with this token, of this player. Raises NotFound (no_recording), Forbidden (not_own_recording),
        Refused (read_only) for what a session recorded."""
        upload = await self._uploads.find(token)
        if upload is None:
            if await self._run(lambda: self._recordings.has_files(token)):
                raise Refused("what a session recorded never changes: derive a copy", code="read_only")
            raise NotFound("there is no recording of this name", code="no_recording")
        if upload.player != player.player:
            raise Forbidden("the recording belongs to another player", code="not_own_recording")
        return upload

    async def versions(self, upload: Upload) -> dict[int, int]:
        """Tick -> version of each frame that was edited; all others have version 1."""
        return await self._run(lambda: UploadedFrames(self._recordings.blobs, upload.sha256).versions)

    async def _keep(
        self,
        token: str,
        player: PlayerInfo,
        draft: Draft,
        made: NewUpload,
        base: int = 0,
        locks: Mapping[int, int] | None = None,
    ) -> int:
        """Write the files of a version that the store accepts, and make it the newest one."""

        async def ask(*, only_check: bool) -> int:
            return await self._uploads.store(
                token,
                player.player,
                player.name,
                made,
                base=base,
                locks=locks,
                guest=player.guest,
                only_check=only_check,
            )

        async with self._storing if base == 0 else self._changing:
            await ask(only_check=True)
            threads = self._archives if base == 0 else self._changes
            await self._run(lambda: draft.keep(self._recordings.blobs), threads)
            return await ask(only_check=False)
