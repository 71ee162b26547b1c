"""Recordings of players in files: every chunk under its SHA-256, so that equal content is stored once.

    RECORDINGS_URL/blobs/<ab>/<sha256>      chunks, and for each version of an upload its table

    archive -> read_upload -> Draft -> keep -> table -> the store (lobby/uploads.py) names it
    table -> UploadedFrames -> changed (frames that are added, inserted, edited) -> Draft -> keep -> the next table

A file never changes. What no table names is removed by a worker (worker/retention.py), so that a change that was
refused, or whose server died, leaves nothing. This module must never contact the store.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from tussle.lobby.errors import Conflict, NotFound, ProtocolError, Refused
from tussle.lobby.files import Files
from tussle.lobby.wire.frames import Topology
from tussle.server.recordings.frame_store import Array, check_frames, completed_frames
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.group_frames import GroupFrames
from tussle.server.recordings.packed import check_group, open_packed
from tussle.server.recordings.zarr_layout import join_digest

__all__ = [
    "BLOBS",
    "DEFAULTS",
    "Change",
    "Draft",
    "Kept",
    "UploadedFrames",
    "blobs_of",
    "changed",
    "names_of",
    "plan_change",
    "read_upload",
]

BLOBS = "blobs"

SCHEMA = "tussle-upload/1"

FRESH_S = 600.0
"""A file that was written within this time is not written again. A worker removes only much older ones [s]."""

UPLOAD_SEGMENTS = 1000
"""Segments of an upload: each takes about 3 ms on the thread that reads all uploads."""

MOST_VERSIONS = 100_000
"""Most edited frames of a recording."""

UNKEPT = frozenset(
    {
        "session", "schema", "segments", "events", "live", "length", "fields", "first_tick", "last_tick", "gaps",
        "stopped", "upload",
    }
)  # fmt: skip
"""Attributes that a server makes."""


DEFAULTS: dict[str, Any] = {
    "mode": "", "seats": [], "spec": {}, "physics_id": "", "dt": 0.0, "stride": 1
}  # fmt: skip
"""Attributes that every recording has, for its readers."""


class _VersionTable(msgspec.Struct, frozen=True):
    """A version of an upload. group: what is in no complete chunk (RecordingGroup.save). chunks: path -> SHA-256 and
    size. versions: tick -> version of each frame that was edited; the others have version 1."""

    schema: str
    group: bytes
    chunks: dict[str, tuple[str, int]]
    versions: dict[int, int]


@dataclass(frozen=True, slots=True)
class Kept:
    """A version whose files are written. sha256: of its table; size: of all its files [B]."""

    sha256: str
    size: int
    length: int


def place_of(digest: str) -> str:
    """The path of a file below the blobs."""
    return f"{digest[:2]}/{digest}"


def _read_blob(blobs: Files, digest: str) -> bytes:
    data = blobs.read(place_of(digest))
    if hashlib.sha256(data).hexdigest() != digest:
        raise ProtocolError(f"the file {digest[:16]} is another one", code="damaged_recording")
    return data


def _read_table(blobs: Files, digest: str) -> _VersionTable:
    try:
        table = msgspec.msgpack.decode(_read_blob(blobs, digest), type=_VersionTable)
    except FileNotFoundError:
        raise NotFound("the recording is not here", code="no_recording") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"the table of a recording: {error}", code="damaged_recording") from None
    if table.schema != SCHEMA:
        raise ProtocolError(f"a table of the schema {table.schema[:40]!r}", code="damaged_recording")
    return table


def names_of(blobs: Files, digest: str) -> set[str]:
    """The SHA-256 of every file that a version has, its table included. Raises as UploadedFrames."""
    return {digest, *(name for name, _ in _read_table(blobs, digest).chunks.values())}


class UploadedFrames(GroupFrames):
    """A version of an upload."""

    def __init__(self, blobs: Files, digest: str) -> None:
        """digest: SHA-256 of its table. Raises NotFound (no_recording), ProtocolError (damaged_recording)."""
        table = _read_table(blobs, digest)
        super().__init__(RecordingGroup.restore(table.group))
        self._blobs = blobs
        self.chunks = table.chunks
        self.versions = table.versions
        self.saved = table.group

    def _fetch(self, path: str) -> bytes:
        if path not in self.chunks:
            raise FileNotFoundError(path)
        return _read_blob(self._blobs, self.chunks[path][0])

    @property
    def last_tick(self) -> int:
        """The tick of the last frame; -1 if there is none."""
        return self._group.last_tick

    @property
    def ticks(self) -> Array:
        """The tick of every frame."""
        blocks = [block.arrays["tick"] for block in self.frames(range(self.length), ("tick",))]
        return np.concatenate(blocks).astype(np.int64) if blocks else np.empty(0, np.int64)


class Draft:
    """A version in the making, in a folder of its own until it is kept. Nothing else sees it before."""

    def __init__(
        self,
        folder: Path,
        group: RecordingGroup,
        chunks: Mapping[str, tuple[str, int]] | None = None,
        versions: Mapping[int, int] | None = None,
    ) -> None:
        self._folder = folder
        self._new: set[str] = set()
        self.group = group
        self.chunks = dict(chunks or {})
        self.versions = dict(versions or {})
        self._table = ""

    def append(
        self, arrays: Mapping[str, Array], topology: Topology | None = None, rows: Sequence[int] | None = None
    ) -> None:
        """As FrameStore.append."""
        for path, data in self.group.append(arrays, topology, rows):
            self.put(path, data)

    def put(self, path: str, data: bytes) -> None:
        """A complete chunk."""
        self.chunks[path] = self._write(data), len(data)

    def _write(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        (self._folder / digest).write_bytes(data)
        self._new.add(digest)
        return digest

    def finish(self) -> Kept:
        """What the version will be, once it is kept."""
        if len(self.versions) > MOST_VERSIONS:
            raise Refused(f"more than {MOST_VERSIONS} frames were edited", code="upload_too_large")
        table = msgspec.msgpack.encode(
            _VersionTable(
                SCHEMA,
                self.group.save(),
                dict(sorted(self.chunks.items())),
                dict(sorted(self.versions.items())),
            )
        )
        self._table = self._write(table)
        size = len(table) + sum(size for _, size in self.chunks.values())
        return Kept(self._table, size, self.group.length)

    def keep(self, blobs: Files) -> None:
        """Write the files that are not there; the table last. Raises OSError."""
        for digest in sorted(self._new, key=lambda name: (name == self._table, name)):
            if time.time() - blobs.written(place_of(digest)) > FRESH_S:
                blobs.write(place_of(digest), (self._folder / digest).read_bytes())


def read_upload(file: BinaryIO, folder: Path, most: int) -> Draft:
    """The recording in an archive (packed.py), read frame by frame as this program would have written it. most: bytes
    of all arrays [B].

    Raises ProtocolError (bad_upload, not_a_recording, damaged_recording, upload_too_large), Refused (bad_frames,
    read_only, too_many_segments).
    """
    source, fetch = open_packed(file, most)
    if len(source.segments) > UPLOAD_SEGMENTS:
        raise Refused(f"an upload has at most {UPLOAD_SEGMENTS} segments", code="too_many_segments")
    attributes = DEFAULTS | {name: value for name, value in source.attributes.items() if name not in UNKEPT}
    draft = Draft(folder, RecordingGroup(attributes, seats=source.seats))
    fields = [name for name in source.fields if name != "segment"]
    for number, segment in enumerate(source.segments):
        topology: Topology | None = _checked(source.topology(number, fetch)) if segment.frames else None
        counts = [body.rows for body in segment.bodies if body.kind != "static"]
        for block in source.frames(range(segment.first, segment.first + segment.frames), fields, fetch):
            draft.append(block.arrays, topology, counts if topology else None)
            topology = None
    return draft


def _checked(topology: Topology) -> Topology:
    """Refuse meshes that no client can draw."""
    for body in topology.bodies:
        if not np.isfinite(body.vertices).all() or (
            body.faces.size and body.faces.max() >= len(body.vertices)
        ):
            raise Refused(
                "a mesh has a coordinate that is not finite, or a face without a vertex",
                code="bad_frames",
                field="topology",
            )
    return topology


@dataclass(frozen=True, slots=True)
class Change:
    """Which of the frames of a change are there already, lie between others, or come after the last one: positions in
    the arrays."""

    edited: list[int]
    inserted: list[int]
    appended: list[int]


def plan_change(before: UploadedFrames, ticks: Array, base: Mapping[int, int]) -> Change:
    """What a change does. base: tick -> version of the frame that it was made on; 0, or none: there was no frame.

    Raises Conflict (stale_version), Refused (bad_frames).
    """
    if (
        ticks.ndim != 1
        or not len(ticks)
        or ticks.dtype.kind not in "iu"
        or not (np.diff(ticks.astype(np.int64)) > 0).all()
    ):
        raise Refused("the ticks are whole numbers that grow", code="bad_frames", field="tick")
    last = before.last_tick
    known = (
        before.ticks if int(ticks[0]) <= last else np.empty(0, np.int64)
    )  # all of them are read only if needed
    places = np.searchsorted(known, ticks)
    change = Change([], [], [])
    for i, (tick, place) in enumerate(zip(ticks.tolist(), places.tolist(), strict=True)):
        there = place < len(known) and known[place] == tick
        version = before.versions.get(tick, 1) if there else 0
        if base.get(tick, 0) != version:
            what = f"has version {version}" if there else "does not exist"
            raise Conflict(f"the frame of tick {tick} {what}", code="stale_version", field=str(tick))
        (change.edited if there else change.inserted if tick < last else change.appended).append(i)
    return change


def changed(
    before: UploadedFrames,
    change: Change,
    arrays: Mapping[str, Array],
    topology: Topology | None,
    folder: Path,
    most: int,
) -> Draft:
    """The next version. topology: of the appended frames. An inserted frame has the topology of the frame before it.
    most: bytes of all arrays [B]. Raises Refused (bad_frames, too_many_segments), ProtocolError (upload_too_large,
    damaged_recording)."""
    arrays = completed_frames({name: np.asarray(array) for name, array in arrays.items()}, before.fields)
    counts = {len(array) if array.ndim else -1 for array in arrays.values()}
    if counts != {len(arrays["tick"])}:
        raise Refused("the arrays differ in length", code="bad_frames", field="data")
    early = [*change.edited, *change.inserted]
    if early:
        if topology is not None and not change.appended:
            raise Refused(
                "an inserted frame has the topology of the others", code="bad_frames", field="topology"
            )
        make = _rewritten if change.inserted else _patched
        draft = make(before, sorted(early), arrays, folder)
        for i in change.edited:
            tick = int(arrays["tick"][i])
            draft.versions[tick] = draft.versions.get(tick, 1) + 1
    else:
        draft = Draft(folder, RecordingGroup.restore(before.saved), before.chunks, before.versions)
    if change.appended:
        draft.append({name: array[change.appended] for name, array in arrays.items()}, topology)
    check_group(draft.group, most)
    return draft


def _patched(
    before: UploadedFrames, edited: Sequence[int], arrays: Mapping[str, Array], folder: Path
) -> Draft:
    """Some frames replaced. Only the chunks that have them are written."""
    draft = Draft(folder, RecordingGroup.restore(before.saved), before.chunks, before.versions)
    group, values = draft.group, dict[str, dict[int, Array]]()
    for i, number in zip(
        edited, np.searchsorted(before.ticks, arrays["tick"][list(edited)]).tolist(), strict=True
    ):
        place = group.segment_of(number)
        segment, last = group.segments[place], int(arrays["tick"][i]) - 1
        frame = {name: array[i : i + 1] for name, array in arrays.items()}
        checked = check_frames(
            frame, segment, None, fields=group.fields, seats=group.seats, segments=place + 1, last_tick=last
        )
        for path, array in group.entries(checked, place).items():
            at = number - segment.first if path.startswith("segments/") else number
            values.setdefault(path, {})[at] = array[0]
    for path, entries in values.items():
        column = group.columns[path]
        for chunk, data in column.patch(entries, before._fetch):
            draft.put(chunk, data)
        column.digest = bytes(32)
        for number in range(column.full):
            sha256 = bytes.fromhex(draft.chunks[column.layout.chunk_path(number)][0])
            column.digest = join_digest(column.digest, sha256)
    return draft


def _rewritten(
    before: UploadedFrames, early: Sequence[int], arrays: Mapping[str, Array], folder: Path
) -> Draft:
    """All frames again, with some of ``arrays`` among them or instead of them. Chunks that stay equal keep their
    files."""
    draft = Draft(
        folder,
        RecordingGroup(before.attributes, seats=before.seats),
        None,
        before.versions,
    )
    fields = [name for name in before.fields if name != "segment"]
    if set(arrays) != set(fields):
        raise Refused(f"frames have {', '.join(sorted(fields))}", code="bad_frames", field="data")
    known, waiting = before.ticks, np.array(early)
    sent = arrays["tick"][waiting].astype(np.int64)
    for number, segment in enumerate(before.segments):
        topology: Topology | None = before.topology(number)
        counts = [body.rows for body in segment.bodies if body.kind != "static"]
        for block in before.frames(range(segment.first, segment.first + segment.frames), fields):
            end = block.numbers.stop
            limit = known[end] if end < len(known) else math.inf
            count = int(np.searchsorted(sent, limit))
            here, waiting, sent = waiting[:count], waiting[count:], sent[count:]
            merged = (
                _merged(block.arrays, {name: arrays[name][here] for name in fields})
                if count
                else block.arrays
            )
            draft.append(merged, topology, counts if topology else None)
            topology = None
    return draft


def _merged(old: Mapping[str, Array], new: Mapping[str, Array]) -> dict[str, Array]:
    """Frames in the order of their ticks; a new one replaces the old one of its tick."""
    stays = ~np.isin(old["tick"], new["tick"])
    order = np.argsort(np.concatenate([old["tick"][stays].astype(np.int64), new["tick"].astype(np.int64)]))
    merged = {}
    for name, array in old.items():
        if new[name].shape[1:] != array.shape[1:] or new[name].dtype.kind not in "biuf":
            raise Refused(
                f"{name} has the shape {new[name].shape[1:]}, not {array.shape[1:]}",
                code="bad_frames",
                field=name,
            )
        merged[name] = np.concatenate([array[stays], new[name]])[order]
    return merged


def blobs_of(files: Files) -> Iterable[tuple[str, str]]:
    """Every file below the blobs: its path, and its name."""
    for folder in files.list():
        for name in files.list(folder):
            yield f"{folder}/{name}", name
