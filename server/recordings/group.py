"""A recording as a Zarr group: which files it has, at any length, and what is in them.

    zarr.json                            attributes; the metadata of all arrays ("consolidated")
    tick, time, segment, ...             one array for each field, first axis: the frame
    segments/<n>/rows, active            the same for the frames of one topology
    meshes/<sha256>/vertices, faces      every mesh once
    log/events                           every event as a line of JSON; the attributes have EVENT_MARKS of each

Chunks are written when they are complete. ``files`` gives the rest for the present length: a recording can be read at
any time, and the bytes depend on the frames alone, not on when they came. ``save`` has what is not in a complete chunk,
so that another process can continue. This module must never open a file: the caller fetches and writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from tussle.lobby.errors import ProtocolError, Refused
from tussle.lobby.wire.frames import Topology
from tussle.lobby.wire.numbers import as_sent
from tussle.server.recordings.frame_store import (
    FIELDS,
    OPTIONAL,
    PER_SEGMENT,
    Array,
    Frames,
    MeshArrays,
    Segment,
    SegmentBody,
    check_fields,
    check_frames,
    check_range,
    describe_topology,
    fields_with,
    make_topology,
    mesh_hash,
    part_of,
)
from tussle.server.recordings.zarr_layout import (
    CHUNK_FRAMES,
    Column,
    Layout,
    encode_document,
    extend_digest,
    group_document,
    layout_of,
    mesh_layouts,
    metadata_path,
)

__all__ = ["SCHEMA", "Fetch", "RecordingGroup"]

SCHEMA = "tussle-recording/1"

Fetch = Callable[[str], bytes]
"""Path of a chunk -> its bytes. Raises FileNotFoundError."""

EVENT_MARKS = ("tick", "type", "seat", "a", "b")
"""What the attributes have of each event: enough for a mark on a timeline. a, b: the seats of a collision."""

EVENTS = Layout("log/events", "|u1", (), 65536, ("byte",))
"""Events, as lines of JSON."""


class _ColumnState(msgspec.Struct, frozen=True, array_like=True):
    path: str
    item: tuple[int, ...]
    full: int
    digest: bytes
    waiting: bytes


class _State(msgspec.Struct, frozen=True):
    schema: str
    seats: int
    attributes: dict[str, Any]
    segments: list[Segment]
    meshes: dict[str, tuple[int, int]]
    columns: list[_ColumnState]
    last_tick: int


class _Root(msgspec.Struct, frozen=True):
    attributes: dict[str, Any]
    consolidated_metadata: dict[str, Any]


class RecordingGroup:
    """The arrays of one recording. ``attributes``: those of its creator; ``files`` adds schema, events, segments."""

    def __init__(
        self,
        attributes: Mapping[str, Any] | None = None,
        *,
        seats: int = 0,
        known: Iterable[str] | None = None,
    ) -> None:
        """known: the arrays of a recording that an older version may have begun, which has not all OPTIONAL fields."""
        self.attributes: dict[str, Any] = dict(attributes or {})
        self.seats = seats
        without = set(OPTIONAL) - set(OPTIONAL if known is None else known)
        self.fields = tuple(name for name in fields_with(seats) if name not in without)
        self.segments: list[Segment] = []
        self.meshes: dict[str, tuple[int, int]] = {}
        self.columns: dict[str, Column] = {}
        for name in self.fields:
            if name not in PER_SEGMENT:
                self._add(layout_of(name, "", (seats,) if FIELDS[name].per == "seat" else ()))
        self._add(EVENTS)
        self.last_tick = -1

    def _add(self, layout: Layout) -> None:
        self.columns[layout.path] = Column(layout)

    @property
    def length(self) -> int:
        """The number of frames."""
        return self.columns["tick"].length

    # writing

    def append(
        self, arrays: Mapping[str, Array], topology: Topology | None = None, rows: Sequence[int] | None = None
    ) -> list[tuple[str, bytes]]:
        """Add frames, as FrameStore.append does. Returns the files that are complete now: path and bytes."""
        bodies: tuple[SegmentBody, ...] | None = None
        meshes: dict[str, MeshArrays] = {}
        if topology is not None:
            bodies, meshes = describe_topology(topology, rows)
        now = self.segments[-1] if self.segments else None
        checked = check_frames(
            arrays, now, bodies, fields=self.fields, seats=self.seats, segments=len(self.segments),
            last_tick=self.last_tick,
        )  # fmt: skip
        written: list[tuple[str, bytes]] = []
        if bodies is not None:
            self.segments.append(Segment(self.length, 0, bodies))
            self._add_segment(len(self.segments) - 1)
            written += self._add_meshes(meshes)
        number, count = len(self.segments) - 1, len(checked["tick"])
        checked["segment"] = np.full(count, number, np.uint32)
        for name, array in checked.items():
            path = f"segments/{number}/{name}" if name in PER_SEGMENT else name
            written += self.columns[path].push(array)
        segment = self.segments[number]
        self.segments[number] = msgspec.structs.replace(segment, frames=segment.frames + count)
        self.last_tick = int(checked["tick"][-1]) if count else self.last_tick
        return written

    def _add_segment(self, number: int) -> None:
        segment, folder = self.segments[number], f"segments/{number}/"
        self._add(layout_of("rows", folder, (segment.rows, 3)))
        self._add(layout_of("active", folder, (segment.moving,)))

    def _add_meshes(self, meshes: Mapping[str, MeshArrays]) -> list[tuple[str, bytes]]:
        written = []
        for digest, mesh in sorted(meshes.items()):
            if digest in self.meshes:
                continue
            self.meshes[digest] = len(mesh.vertices), len(mesh.faces)
            layouts = mesh_layouts(digest, *self.meshes[digest])
            for layout, array in zip(layouts, (mesh.vertices, mesh.faces), strict=True):
                if len(array):
                    written.append((layout.chunk_path(0), layout.encode(array)))
        return written

    def log(self, event: Mapping[str, Any]) -> list[tuple[str, bytes]]:
        """Add an event. Returns the files that are complete now."""
        line = np.frombuffer(msgspec.json.encode(as_sent(event)) + b"\n", np.uint8)
        return self.columns[EVENTS.path].push(line)

    @property
    def events_bytes(self) -> int:
        """The size of all events [B]."""
        return self.columns[EVENTS.path].length

    def has_chunk(self, path: str) -> bool:
        """Whether this is the path of a complete chunk or of a mesh."""
        folder, _, rest = path.partition("/c/")
        number = rest.split("/")[0]
        column = self.columns.get(folder)
        if column is None:
            _, _, digest = folder.rpartition("/")[0].partition("/")
            return digest in self.meshes and any(
                path == layout.chunk_path(0) and count
                for layout, count in zip(
                    mesh_layouts(digest, *self.meshes[digest]), self.meshes[digest], strict=True
                )
            )
        small = number.isascii() and number.isdecimal() and len(number) < 10
        return small and int(number) < column.full and path == column.layout.chunk_path(int(number))

    def has_file(self, path: str) -> bool:
        """Whether a group in files has this file."""
        if path.endswith("zarr.json"):
            folder = path.removesuffix("zarr.json").rstrip("/")
            meshes = [f"meshes/{digest}/{part}" for digest in self.meshes for part in ("vertices", "faces")]
            return not folder or any(f"{name}/".startswith(f"{folder}/") for name in [*self.columns, *meshes])
        column = self.columns.get(path.partition("/c/")[0])
        if column is not None and column.stored and path == column.layout.chunk_path(column.full):
            return True
        return self.has_chunk(path)

    # the files of the present length

    def files(self, fetch: Fetch) -> Iterator[tuple[str, bytes]]:
        """What makes the complete chunks and meshes a Zarr group of the present length: path and bytes, the group's own
        metadata last. Equal frames give equal bytes. Raises ProtocolError."""
        documents: dict[str, dict[str, Any]] = {}
        digests: dict[str, str] = {}
        for path, column in sorted(self.columns.items()):
            last = column.last()
            if last is not None:
                yield last
            digests[path] = column.total(None if last is None else last[1])
            documents[path] = column.layout.document(column.length, digests[path])
        for digest, counts in self.meshes.items():
            documents[f"meshes/{digest}"] = group_document({"sha256": digest})
            for layout, count in zip(mesh_layouts(digest, *counts), counts, strict=True):
                documents[layout.path] = layout.document(count)
        segments = [self._segment_attributes(number, digests) for number in range(len(self.segments))]
        for number, attributes in enumerate(segments):
            documents[f"segments/{number}"] = group_document(attributes)
        for folder in ("segments", "meshes", "log"):
            documents[folder] = group_document({})
        events = [
            {name: event[name] for name in EVENT_MARKS if name in event} for event in self.events(fetch)
        ]
        root = group_document({**self.attributes, "schema": SCHEMA, "segments": segments, "events": events})
        for path, document in sorted(documents.items()):
            yield metadata_path(path), encode_document(document)
        root["consolidated_metadata"] = {
            "kind": "inline",
            "must_understand": False,
            "metadata": dict(sorted(documents.items())),
        }
        yield metadata_path(""), encode_document(root)

    def _segment_attributes(self, number: int, digests: Mapping[str, str]) -> dict[str, Any]:
        segment = self.segments[number]
        digest = hashlib.sha256()
        for name in PER_SEGMENT:
            digest.update(bytes.fromhex(digests[f"segments/{number}/{name}"]))
        for body in segment.bodies:
            digest.update(bytes.fromhex(body.mesh))
        return {**msgspec.to_builtins(segment), "sha256": digest.hexdigest()}

    def chunks(self) -> Iterator[tuple[Column | None, str]]:
        """Paths of all complete chunks, column by column in order, and of all meshes (column None)."""
        for _, column in sorted(self.columns.items()):
            for number in range(column.full):
                yield column, column.layout.chunk_path(number)
        for digest, counts in sorted(self.meshes.items()):
            for layout, count in zip(mesh_layouts(digest, *counts), counts, strict=True):
                if count:
                    yield None, layout.chunk_path(0)

    # saving and restoring

    def save(self) -> bytes:
        """Everything that is in no complete chunk, for ``restore``."""
        return msgspec.msgpack.encode(
            _State(
                SCHEMA,
                self.seats,
                self.attributes,
                self.segments,
                self.meshes,
                [
                    _ColumnState(path, c.layout.item, c.full, c.digest, c.waiting.tobytes())
                    for path, c in self.columns.items()
                ],
                self.last_tick,
            )
        )

    @classmethod
    def restore(cls, data: bytes) -> RecordingGroup:
        """The recording that ``save`` described. Raises ProtocolError (damaged_recording)."""
        try:
            state = msgspec.msgpack.decode(data, type=_State)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _damaged(f"the state of a recording: {error}") from None
        if state.schema != SCHEMA:
            raise _damaged(f"a recording of the schema {state.schema[:40]!r}")
        saved = {column.path: column for column in state.columns}
        group = cls(state.attributes, seats=state.seats, known=saved)
        group.segments, group.meshes, group.last_tick = state.segments, state.meshes, state.last_tick
        for number in range(len(state.segments)):
            group._add_segment(number)
        if set(saved) != set(group.columns):
            raise _damaged("the state of a recording has other arrays")
        for path, one in saved.items():
            layout = group.columns[path].layout
            try:
                waiting = np.frombuffer(one.waiting, layout.dtype).reshape(-1, *layout.item)
            except ValueError as error:
                raise _damaged(f"{path}: {error}") from None
            column = Column(layout, one.full, one.digest)
            column.push(waiting)
            group.columns[path] = column
        return group

    @classmethod
    def load(cls, root: bytes) -> RecordingGroup:
        """The recording whose group metadata is ``root``, to be read: all its chunks are in files. Raises ProtocolError
        (not_a_recording, damaged_recording)."""
        try:
            document = msgspec.json.decode(root, type=_Root)
            attributes, arrays = document.attributes, document.consolidated_metadata["metadata"]
            if attributes["schema"] != SCHEMA:
                raise ValueError(f"its schema is {str(attributes['schema'])[:40]!r}")
            segments = msgspec.convert(attributes["segments"], list[Segment])
            seats = arrays["health"]["shape"][1] if "health" in arrays else 0
            group = cls(attributes, seats=seats, known=arrays)
            group.segments = segments
            for number in range(len(segments)):
                group._add_segment(number)
            for path, column in group.columns.items():
                group.columns[path] = _stored_column(column.layout, arrays[path])
            for path, entry in arrays.items():
                if path.startswith("meshes/") and path.endswith("/vertices"):
                    faces = arrays[path.removesuffix("vertices") + "faces"]
                    group.meshes[path.split("/")[1]] = int(entry["shape"][0]), int(faces["shape"][0])
        except (
            msgspec.MsgspecError,
            UnicodeDecodeError,
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            RecursionError,
        ) as error:
            raise ProtocolError(f"this is no recording: {error}", code="not_a_recording") from None
        group._check_lengths()
        return group

    def resume(self, fetch: Fetch) -> None:
        """Make a loaded recording one that grows: read its incomplete chunks, and the digests of all others."""
        for path, column in self.columns.items():
            digest, layout = bytes(32), column.layout
            for number in range(column.full):
                digest = extend_digest(digest, _fetched(fetch, layout.chunk_path(number)))
            grown = Column(layout, column.full, digest)
            if column.stored:
                grown.push(layout.decode(_fetched(fetch, layout.chunk_path(column.full)))[: column.stored])
            self.columns[path] = grown
        for block in self.frames(range(self.length)[-1:], ("tick",), fetch):
            self.last_tick = int(block.arrays["tick"][-1])

    def _check_lengths(self) -> None:
        """Refuse a recording whose arrays do not fit together."""
        end = 0
        for number, segment in enumerate(self.segments):
            lengths = {self.columns[f"segments/{number}/{name}"].length for name in PER_SEGMENT}
            if segment.first != end or lengths != {segment.frames}:
                raise _damaged(f"segment {number} has other frames than it says")
            end += segment.frames
        lengths = {self.columns[name].length for name in self.fields if name not in PER_SEGMENT}
        if lengths != {end}:
            raise _damaged("the arrays differ in length")

    # reading

    def frames(self, numbers: range, fields: Sequence[str], fetch: Fetch) -> Iterator[Frames]:
        """As FrameStore.frames."""
        check_range(numbers, self.length)
        check_fields(fields, self.fields)
        reader = _ChunkReader(fetch)
        for number, segment in enumerate(self.segments):
            first, end = segment.first, segment.first + segment.frames
            here = part_of(numbers, range(first, end))
            if not here:
                continue
            whole = self.columns[f"segments/{number}/rows"].layout.chunk if "rows" in fields else CHUNK_FRAMES
            at = first + (here[0] - first) // whole * whole
            while at < end:
                chosen = part_of(here, range(at, min(at + whole, end)))
                if chosen:
                    yield Frames(chosen, number, self._read(reader, chosen, number, fields))
                at += whole

    def _read(
        self, reader: _ChunkReader, numbers: range, segment: int, fields: Sequence[str]
    ) -> dict[str, Array]:
        first = self.segments[segment].first
        here = range(numbers.start - first, numbers.stop - first, numbers.step)
        return {
            name: reader.take(self.columns[f"segments/{segment}/{name}"], here)
            if name in PER_SEGMENT
            else reader.take(self.columns[name], numbers)
            for name in fields
        }

    def topology(self, segment: int, fetch: Fetch) -> Topology:
        """As FrameStore.topology."""
        if not 0 <= segment < len(self.segments):
            raise Refused(f"there is no segment {segment}", code="bad_range", field="segment")

        def find(digest: str) -> MeshArrays:
            counts = self.meshes.get(digest)
            if counts is None:
                raise _damaged(f"there is no mesh {digest[:16]}")
            vertices, faces = (
                layout.decode(_fetched(fetch, layout.chunk_path(0)))
                if count
                else np.empty((0, 3), layout.dtype)
                for layout, count in zip(mesh_layouts(digest, *counts), counts, strict=True)
            )
            mesh = MeshArrays(np.ascontiguousarray(vertices), np.ascontiguousarray(faces))
            if mesh_hash(mesh) != digest:
                raise _damaged(f"the mesh {digest[:16]} is another one")
            return mesh

        return make_topology(self.segments[segment].bodies, segment, find)

    def event_lines(self, fetch: Fetch) -> Iterator[bytes]:
        """The events that were logged, as lines of JSON, chunk by chunk. Raises ProtocolError."""
        column, reader = self.columns[EVENTS.path], _ChunkReader(fetch)
        for start in range(0, column.length, EVENTS.chunk):
            yield reader.take(column, range(start, min(start + EVENTS.chunk, column.length))).tobytes()

    def events(self, fetch: Fetch) -> Iterator[dict[str, Any]]:
        """The events that were logged, in order. Raises ProtocolError."""
        column = self.columns[EVENTS.path]
        data = _ChunkReader(fetch).take(column, range(column.length)).tobytes()
        try:
            yield from (msgspec.json.decode(line, type=dict[str, Any]) for line in data.splitlines())
        except msgspec.MsgspecError as error:
            raise _damaged(f"an event: {error}") from None


class _ChunkReader:
    """Reads entries of columns. It keeps the newest chunk of each column."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._kept: dict[str, tuple[int, Array]] = {}

    def take(self, column: Column, numbers: range) -> Array:
        layout, parts = column.layout, []
        if not numbers:
            return np.empty((0, *layout.item), layout.dtype)
        for number in range(numbers[0] // layout.chunk, numbers[-1] // layout.chunk + 1):
            start = number * layout.chunk
            chosen = part_of(numbers, range(start, start + layout.chunk))
            if chosen:
                here = number == column.full and not column.stored
                chunk = column.waiting if here else self._load(layout, number)
                parts.append(chunk[chosen.start - start : chosen.stop - start : chosen.step])
        return np.ascontiguousarray(np.concatenate(parts))

    def _load(self, layout: Layout, number: int) -> Array:
        kept = self._kept.get(layout.path)
        if kept is None or kept[0] != number:
            kept = number, layout.decode(_fetched(self._fetch, layout.chunk_path(number)))
            self._kept[layout.path] = kept
        return kept[1]


def _stored_column(layout: Layout, document: Mapping[str, Any]) -> Column:
    """A column in files, as its metadata describes it. Raises ValueError for another layout."""
    length = document["shape"][0]
    digest = document["attributes"]["sha256"]
    if type(length) is not int or length < 0 or document != layout.document(length, digest):
        raise ValueError(f"{layout.path} has another layout")
    return Column(layout, length // layout.chunk, stored=length % layout.chunk)


def _fetched(fetch: Fetch, path: str) -> bytes:
    try:
        return fetch(path)
    except FileNotFoundError:
        raise _damaged(f"{path} is missing") from None


def _damaged(message: str) -> ProtocolError:
    return ProtocolError(message, code="damaged_recording")
