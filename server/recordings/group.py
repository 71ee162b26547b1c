"""A recording as a Zarr group: which files it has, at any length, and what is in them.

    zarr.json                            attributes, among them the segments and meshes with their hashes
    tick, time, min_distance             one array for each field, first axis: the frame
    counts, energies, standings          several fields each: JOINED
    segments/<n>/rows, active            the same for the frames of one topology
    meshes/vertices, faces               every mesh once, one after the other
    log/events                           every event as a line of JSON; the attributes have EVENT_MARKS of each

Every array has its ``zarr.json``. The metadata of all of them in one file ("consolidated"), which xarray needs over
HTTP, is not stored: ``consolidated`` makes it for a server's answers.

Chunks are written when they are complete. ``files`` gives the rest for the present length: a recording can be read at
any time, and the bytes depend on the frames alone, not on when they came. ``save`` has what is not in a complete chunk,
so that another process can continue. This module must never open a file: the caller fetches and writes.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import orjson

from tussle.lobby.errors import ProtocolError, Refused
from tussle.lobby.wire.frames import Topology
from tussle.lobby.wire.numbers import as_sent
from tussle.server.recordings.frame_store import (
    FIELDS,
    MAX_SEGMENTS,
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
from tussle.server.recordings.group_attributes import (
    SCHEMA,
    ArraysAbout,
    Described,
    check_attributes,
    make_attributes,
    read_attributes,
)
from tussle.server.recordings.zarr_layout import (
    CHUNK_FRAMES,
    JOINED,
    MESH_ARRAYS,
    Column,
    Layout,
    encode_document,
    extend_digest,
    group_document,
    joined_layout,
    layout_of,
    metadata_path,
)

__all__ = ["Fetch", "RecordingGroup"]

Fetch = Callable[[str], bytes]
"""Path of a chunk -> its bytes. Raises FileNotFoundError."""

EVENT_DIGITS = EVENT_DECIMALS = 6
"""Significant digits of the numbers of events, and their decimals at most."""

SECTIONED = {name: (path, place) for path, names in JOINED.items() for place, name in enumerate(names)}
"""Field -> the array that has it with others, and its place there."""

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


class RecordingGroup:
    """The arrays of one recording. ``attributes``: those of its creator; ``files`` adds schema, events, segments."""

    def __init__(
        self,
        attributes: Mapping[str, Any] | None = None,
        *,
        seats: int = 0,
    ) -> None:
        self.attributes: dict[str, Any] = dict(attributes or {})
        self.seats = seats
        self.fields = fields_with(seats)
        self.segments: list[Segment] = []
        self.meshes: dict[str, tuple[int, int]] = {}
        self.columns: dict[str, Column] = {}
        for name in self.fields:
            if name not in (*PER_SEGMENT, "segment", *SECTIONED):
                self._add(layout_of(name, "", ()))
        for path, names in JOINED.items():
            if names[0] in self.fields:
                self._add(joined_layout(path, seats))
        for layout in (EVENTS, *MESH_ARRAYS):
            self._add(layout)
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
        for path, array in self.entries(checked, number).items():
            written += self.columns[path].push(array)
        segment = self.segments[number]
        self.segments[number] = msgspec.structs.replace(segment, frames=segment.frames + count)
        self.last_tick = int(checked["tick"][-1]) if count else self.last_tick
        return written

    @staticmethod
    def entries(arrays: Mapping[str, Array], segment: int) -> dict[str, Array]:
        """Frames of a segment as entries of the stored arrays, by path. arrays: all fields of these frames."""
        stored = {
            f"segments/{segment}/{name}" if name in PER_SEGMENT else name: array
            for name, array in arrays.items()
            if name not in SECTIONED and name != "segment"
        }
        for path, names in JOINED.items():
            if names[0] in arrays:
                kind = FIELDS[names[0]].dtype
                stored[path] = np.stack([arrays[name].astype(kind, copy=False) for name in names], axis=1)
        return stored

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
            for layout, array in zip(MESH_ARRAYS, (mesh.vertices, mesh.faces), strict=True):
                written += self.columns[layout.path].push(array)
        return written

    def log(self, event: Mapping[str, Any]) -> list[tuple[str, bytes]]:
        """Add an event. Returns the files that are complete now."""
        line = np.frombuffer(
            msgspec.json.encode(as_sent(event, EVENT_DIGITS, EVENT_DECIMALS)) + b"\n", np.uint8
        )
        return self.columns[EVENTS.path].push(line)

    @property
    def events_bytes(self) -> int:
        """The size of all events [B]."""
        return self.columns[EVENTS.path].length

    def has_chunk(self, path: str) -> bool:
        """Whether this is the path of a complete chunk."""
        folder, _, rest = path.partition("/c/")
        number = rest.split("/")[0]
        column = self.columns.get(folder)
        if column is None:
            return False
        small = number.isascii() and number.isdecimal() and len(number) < 10
        return small and int(number) < column.full and path == column.layout.chunk_path(int(number))

    def has_file(self, path: str) -> bool:
        """Whether a group in files has this file."""
        if path.endswith("zarr.json"):
            folder = path.removesuffix("zarr.json").rstrip("/")
            return not folder or any(f"{name}/".startswith(f"{folder}/") for name in self.columns)
        column = self.columns.get(path.partition("/c/")[0])
        if column is not None and column.stored and path == column.layout.chunk_path(column.full):
            return True
        return self.has_chunk(path)

    # the files of the present length

    def files(self, fetch: Fetch) -> Iterator[tuple[str, bytes]]:
        """What makes the complete chunks a Zarr group of the present length: path and bytes, the group's own metadata
        last. Equal frames give equal bytes. Raises ProtocolError, Refused (reserved_attribute)."""
        check_attributes(self.attributes)
        digests: dict[str, str] = {}
        for path, column in sorted(self.columns.items()):
            last = column.last()
            if last is not None:
                yield last
            digests[path] = column.total(None if last is None else last[1])
        for path, document in self._documents().items():
            yield metadata_path(path), encode_document(document)
        whole = hashlib.sha256()
        for path in sorted(digests):
            if not path.startswith("segments/"):
                whole.update(bytes.fromhex(digests[path]))
        about = ArraysAbout(self.seats, self.events_bytes, whole.hexdigest())
        segments = [self._segment_digest(number, digests) for number in range(len(self.segments))]
        described = Described(self.attributes, self.segments, self.meshes, about)
        attributes = make_attributes(described, segments, self.events(fetch))
        yield metadata_path(""), encode_document(group_document(attributes))

    def _documents(self) -> dict[str, dict[str, Any]]:
        """The metadata of every group and array below the recording, by path."""
        documents = {path: column.layout.document(column.length) for path, column in self.columns.items()}
        folders = [f"segments/{number}" for number in range(len(self.segments))]
        for folder in ("segments", "meshes", "log", *folders):
            documents[folder] = group_document({})
        return dict(sorted(documents.items()))

    def consolidated(self, root: bytes) -> bytes:
        """The metadata of the recording with that of all its arrays in it: readers over HTTP cannot list folders.
        root: the metadata as it is stored."""
        document = orjson.loads(root)
        document["consolidated_metadata"] = {
            "kind": "inline", "must_understand": False, "metadata": self._documents(),
        }  # fmt: skip
        return encode_document(document)

    def _segment_digest(self, number: int, digests: Mapping[str, str]) -> str:
        digest = hashlib.sha256()
        for name in PER_SEGMENT:
            digest.update(bytes.fromhex(digests[f"segments/{number}/{name}"]))
        for body in self.segments[number].bodies:
            digest.update(bytes.fromhex(body.mesh))
        return digest.hexdigest()

    def chunks(self) -> Iterator[tuple[Column, str]]:
        """Paths of all complete chunks, column by column in order."""
        for _, column in sorted(self.columns.items()):
            for number in range(column.full):
                yield column, column.layout.chunk_path(number)

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
        group = cls(state.attributes, seats=state.seats)
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
        found = read_attributes(root)
        group = cls(found.attributes, seats=found.about.seats)
        group.meshes = found.meshes
        group._set_segments(found.segments)
        for path, column in group.columns.items():
            length = group._length_of(path, found.about)
            size = column.layout.chunk
            group.columns[path] = Column(column.layout, length // size, stored=length % size)
        return group

    def _set_segments(self, segments: list[Segment]) -> None:
        """Raises ProtocolError (damaged_recording) for segments that do not follow one another."""
        if len(segments) > MAX_SEGMENTS:
            raise _damaged(f"there are more than {MAX_SEGMENTS} segments")
        self.segments, end = segments, 0
        for number, segment in enumerate(segments):
            if segment.first != end or segment.frames < 1:
                raise _damaged(f"segment {number} has other frames than it says")
            end += segment.frames
            self._add_segment(number)

    def _length_of(self, path: str, about: ArraysAbout) -> int:
        """How many entries an array has in files."""
        if path == EVENTS.path:
            return about.events_bytes
        for place, layout in enumerate(MESH_ARRAYS):
            if path == layout.path:
                return sum(counts[place] for counts in self.meshes.values())
        folder, _, rest = path.partition("/")
        if folder == "segments":
            return self.segments[int(rest.partition("/")[0])].frames
        return sum(segment.frames for segment in self.segments)

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

    # reading

    def frames(self, numbers: range, fields: Sequence[str], fetch: Fetch) -> Iterator[Frames]:
        """As FrameStore.frames."""
        check_range(numbers, self.length)
        check_fields(fields, self.fields)
        reader = _ChunkReader(fetch)
        for number in range(self.segment_of(numbers[0]), len(self.segments)) if numbers else ():
            first, end = (
                self.segments[number].first,
                self.segments[number].first + self.segments[number].frames,
            )
            if first > numbers[-1]:
                break
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

    def segment_of(self, number: int) -> int:
        """The segment that has a frame."""
        return bisect.bisect_right(self.segments, number, key=lambda segment: segment.first) - 1

    def _read(
        self, reader: _ChunkReader, numbers: range, segment: int, fields: Sequence[str]
    ) -> dict[str, Array]:
        first = self.segments[segment].first
        here = range(numbers.start - first, numbers.stop - first, numbers.step)
        joined = {
            path: reader.take(self.columns[path], numbers)
            for path in {SECTIONED[name][0] for name in fields if name in SECTIONED}
        }

        def read(name: str) -> Array:
            if name == "segment":
                return np.full(len(numbers), segment, np.uint32)
            if name in PER_SEGMENT:
                return reader.take(self.columns[f"segments/{segment}/{name}"], here)
            if name not in SECTIONED:
                return reader.take(self.columns[name], numbers)
            path, place = SECTIONED[name]
            return np.ascontiguousarray(joined[path][:, place], FIELDS[name].dtype)

        return {name: read(name) for name in fields}

    def topology(self, segment: int, fetch: Fetch) -> Topology:
        """As FrameStore.topology."""
        if not 0 <= segment < len(self.segments):
            raise Refused(f"there is no segment {segment}", code="bad_range", field="segment")

        reader, places = _ChunkReader(fetch), self._mesh_places()

        def find(digest: str) -> MeshArrays:
            if digest not in places:
                raise _damaged(f"there is no mesh {digest[:16]}")
            vertices, faces = (
                reader.take(self.columns[layout.path], here)
                for layout, here in zip(MESH_ARRAYS, places[digest], strict=True)
            )
            mesh = MeshArrays(vertices, faces)
            if mesh_hash(mesh) != digest:
                raise _damaged(f"the mesh {digest[:16]} is another one")
            return mesh

        return make_topology(self.segments[segment].bodies, segment, find)

    def _mesh_places(self) -> dict[str, tuple[range, range]]:
        """Which vertices and which faces are those of each mesh."""
        places, vertex, face = {}, 0, 0
        for digest, (vertices, faces) in self.meshes.items():
            places[digest] = range(vertex, vertex + vertices), range(face, face + faces)
            vertex, face = vertex + vertices, face + faces
        return places

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


def _fetched(fetch: Fetch, path: str) -> bytes:
    try:
        return fetch(path)
    except FileNotFoundError:
        raise _damaged(f"{path} is missing") from None


def _damaged(message: str) -> ProtocolError:
    return ProtocolError(message, code="damaged_recording")
