"""Recorded frames as arrays: what a recording has, the interface of what keeps it, and the kind in memory.

    append(arrays [, topology]) -> FrameStore -> frames(range, fields) -> Frames, block after block

Every frame has the FIELDS. The shape of ``rows`` and ``active`` depends on the topology, so a recording is divided into
segments: a new topology begins a new one. A reader gets blocks that lie in one segment and in one chunk, so that a
recording of any size is read with little memory. server/recordings/zarr_frames.py is the kind on a file system. This
module must never know how a session is run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from tussle.lobby.errors import Refused
from tussle.lobby.wire.frames import BodyKind, Topology, TopologyBody
from tussle.server.physics.world_state import ENERGIES

__all__ = [
    "FIELDS",
    "OPTIONAL",
    "PER_SEGMENT",
    "Array",
    "Field",
    "FrameReader",
    "FrameStore",
    "Frames",
    "MemoryFrames",
    "MeshArrays",
    "Segment",
    "SegmentBody",
    "check_fields",
    "check_frames",
    "check_range",
    "completed_frames",
    "describe_topology",
    "fields_with",
    "make_topology",
    "mesh_hash",
]

Array = npt.NDArray[Any]

AFFINE_ROWS = 4
MAX_SEGMENTS = 10_000
"""Segments of one recording. A session that changes its topology more often is recorded up to there."""


@dataclass(frozen=True, slots=True)
class Field:
    """One array of a recording. per: what the axes after the frame count: nothing, the seats, the bodies that move, or
    the rows of all of them with three coordinates."""

    dtype: str
    per: str
    unit: str
    meaning: str


FIELDS: dict[str, Field] = {
    "tick": Field("<u4", "", "1", "number of the tick; it grows from frame to frame"),
    "time": Field("<f8", "", "s", "simulated time: tick x dt"),
    "segment": Field("<u4", "", "1", "number of the segment that has the frame's rows"),
    "min_distance": Field(
        "<f4", "", "m", "smallest distance of two surfaces since the frame before; inf: none are near"
    ),
    "contacts": Field("<u4", "", "1", "largest number of contacts in a tick since the frame before"),
    "iterations": Field("<u4", "", "1", "Newton iterations since the frame before"),
    "energy": Field("<f4", "", "J", "kinetic + gravity + elastic energy"),
    "energy_kinetic": Field("<f4", "", "J", "kinetic energy of all bodies"),
    "energy_gravity": Field("<f4", "", "J", "potential energy in the field of gravity, zero at the origin"),
    "energy_elastic": Field("<f4", "", "J", "elastic energy of all bodies"),
    "energy_springs": Field("<f4", "", "J", "energy of the springs that pin bodies"),
    "energy_barrier": Field("<f4", "", "J", "energy of the contact barriers"),
    "energy_friction": Field("<f4", "", "J", "work of friction in the tick that ends at the frame"),
    "health": Field("<f4", "seat", "1", "health of each seat"),
    "score": Field("<f4", "seat", "1", "points of each seat"),
    "out": Field("|b1", "seat", "1", "whether a seat is out"),
    "active": Field("|b1", "body", "1", "whether a body is in the world"),
    "rows": Field(
        "<f4",
        "row",
        "m",
        "an affine body: its centre and the images r_1 r_2 r_3 of its axes, x = c + X_1 r_1 + X_2 r_2 + X_3 r_3;"
        " an elastic body: its vertices; NaN while the body is not active",
    ),
}
"""Name -> array. ``active`` and ``rows`` are in each segment, all others once for the whole recording."""

OPTIONAL = tuple(f"energy_{kind}" for kind in ENERGIES)
"""Fields that older recordings do not have. Frames that are sent without them have zeros."""

PER_SEGMENT = ("active", "rows")

_KINDS = {"u": "iu", "f": "fiu", "b": "b"}
_MOST = 2**32 - 1


class SegmentBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A body of a segment. rows: how many of ``rows`` are its; 0 for a static body. mesh: SHA-256 of its mesh."""

    id: str
    kind: BodyKind
    rows: int
    mesh: str
    seat: int | None = None
    body: str = ""


class Segment(msgspec.Struct, frozen=True):
    """Frames ``first`` to ``first + frames - 1``, which have the same topology."""

    first: int
    frames: int
    bodies: tuple[SegmentBody, ...]

    @property
    def rows(self) -> int:
        """Rows of each frame."""
        return sum(body.rows for body in self.bodies)

    @property
    def moving(self) -> int:
        """Bodies that move: the length of ``active`` in each frame."""
        return sum(body.kind != "static" for body in self.bodies)


@dataclass(frozen=True, slots=True)
class MeshArrays:
    """vertices: rest positions [m] (world positions of a static body), float32 (v, 3). faces: uint32 (f, 3)."""

    vertices: Array
    faces: Array


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one segment. numbers: which ones. arrays: field -> array, its first axis as long as ``numbers``."""

    numbers: range
    segment: int
    arrays: dict[str, Array]


class FrameReader(Protocol):
    """A recording to be read: a sequence of frames. fields: the FIELDS that this recording has; without seats there are
    no arrays of seats."""

    @property
    def attributes(self) -> dict[str, Any]:
        """Everything that is not an array."""

    @property
    def length(self) -> int:
        """The number of frames."""

    @property
    def fields(self) -> tuple[str, ...]: ...

    @property
    def seats(self) -> int:
        """How many seats the arrays of seats have."""

    @property
    def segments(self) -> tuple[Segment, ...]: ...

    def frames(self, numbers: range, fields: Sequence[str]) -> Iterator[Frames]:
        """These frames, block by block, in order. Raises Refused (bad_range, bad_fields), ProtocolError
        (damaged_recording)."""

    def topology(self, segment: int) -> Topology:
        """The meshes of a segment, as clients draw it. Raises Refused (bad_range), ProtocolError."""


class FrameStore(FrameReader, Protocol):
    """A recording. Not thread-safe. attributes: a writer changes them, and ``close`` saves them."""

    attributes: dict[str, Any]

    def append(
        self, arrays: Mapping[str, Array], topology: Topology | None = None, rows: Sequence[int] | None = None
    ) -> None:
        """Add frames at the end. topology: begins a new segment; the first frames need one. rows: the rows of each
        body that moves, where they are not four, or the vertices of an elastic body.

        ``segment`` is not given. Raises Refused (bad_frames, read_only, too_many_segments); nothing is added then.
        """

    def close(self) -> None:
        """Save what is not saved yet. The store must not be used afterwards."""


class MemoryFrames:
    """A recording in memory."""

    def __init__(self, attributes: Mapping[str, Any] | None = None, *, seats: int = 0) -> None:
        self.attributes = dict(attributes or {})
        self._seats = seats
        self._segments: list[Segment] = []
        self._meshes: dict[str, MeshArrays] = {}
        self._blocks: list[Frames] = []
        self._last_tick = -1

    @property
    def length(self) -> int:
        return sum(segment.frames for segment in self._segments)

    @property
    def fields(self) -> tuple[str, ...]:
        return fields_with(self._seats)

    @property
    def seats(self) -> int:
        return self._seats

    @property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(self._segments)

    def frames(self, numbers: range, fields: Sequence[str]) -> Iterator[Frames]:
        check_range(numbers, self.length)
        check_fields(fields, self.fields)
        for block in self._blocks:
            chosen = part_of(numbers, block.numbers)
            if chosen:
                at = slice(chosen.start - block.numbers.start, chosen.stop - block.numbers.start, chosen.step)
                yield Frames(chosen, block.segment, {name: block.arrays[name][at].copy() for name in fields})

    def topology(self, segment: int) -> Topology:
        if not 0 <= segment < len(self._segments):
            raise Refused(f"there is no segment {segment}", code="bad_range", field="segment")
        return make_topology(self._segments[segment].bodies, segment, self._meshes.__getitem__)

    def append(
        self, arrays: Mapping[str, Array], topology: Topology | None = None, rows: Sequence[int] | None = None
    ) -> None:
        start = self.length
        bodies: tuple[SegmentBody, ...] | None = None
        meshes: dict[str, MeshArrays] = {}
        if topology is not None:
            bodies, meshes = describe_topology(topology, rows)
        now = self._segments[-1] if self._segments else None
        checked = check_frames(
            arrays, now, bodies, fields=self.fields, seats=self._seats, segments=len(self._segments),
            last_tick=self._last_tick,
        )  # fmt: skip
        count = len(checked["tick"])
        if bodies is not None:
            self._segments.append(Segment(start, 0, bodies))
            self._meshes.update(meshes)
        number = len(self._segments) - 1
        self._segments[-1] = msgspec.structs.replace(
            self._segments[-1], frames=self._segments[-1].frames + count
        )
        checked["segment"] = np.full(count, number, np.uint32)
        kept = {name: array.copy() for name, array in checked.items()}
        self._last_tick = int(checked["tick"][-1]) if count else self._last_tick
        self._blocks.append(Frames(range(start, start + count), number, kept))

    def close(self) -> None:
        """Nothing is saved."""


def check_range(numbers: range, length: int) -> None:
    """Refuse frames that do not exist, and an order other than forward."""
    if numbers.step < 1 or (len(numbers) and not 0 <= numbers[0] <= numbers[-1] < length):
        raise Refused(f"frames {numbers} of {length}", code="bad_range", field="frames")


def check_fields(fields: Sequence[str], known: Sequence[str]) -> None:
    """Refuse fields that the recording does not have."""
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise Refused(f"no field {', '.join(unknown)[:100]}", code="bad_fields", field="data")


def part_of(numbers: range, block: range) -> range:
    """The numbers that lie in a block of consecutive frames."""
    first = numbers.start + max(0, -(-(block.start - numbers.start) // numbers.step)) * numbers.step
    return range(first, max(first, min(numbers.stop, block.stop)), numbers.step)


def fields_with(seats: int) -> tuple[str, ...]:
    """The fields of a recording with so many seats, as this version writes it."""
    return tuple(name for name, field in FIELDS.items() if seats or field.per != "seat")


def completed_frames(arrays: Mapping[str, Array], fields: Sequence[str]) -> dict[str, Array]:
    """The arrays with zeros for the OPTIONAL ones of ``fields`` that are not there."""
    missing = [name for name in OPTIONAL if name in fields and name not in arrays]
    count = np.atleast_1d(arrays["tick"]).shape[0] if "tick" in arrays else 0
    return {**arrays, **{name: np.zeros(count, FIELDS[name].dtype) for name in missing}}


def check_frames(
    arrays: Mapping[str, Array],
    segment: Segment | None,
    bodies: tuple[SegmentBody, ...] | None,
    *,
    fields: Sequence[str],
    seats: int,
    segments: int,
    last_tick: int,
) -> dict[str, Array]:
    """The arrays in the layout of FIELDS. fields: of the recording. last_tick: of the frames before, or -1. Raises
    Refused (bad_frames, too_many_segments)."""
    if bodies is not None:
        if segments >= MAX_SEGMENTS:
            raise Refused(f"more than {MAX_SEGMENTS} segments", code="too_many_segments")
        segment = Segment(0, 0, bodies)
    if segment is None:
        raise _bad("topology", "the first frames need a topology")
    shapes = {"": (), "seat": (seats,), "body": (segment.moving,), "row": (segment.rows, 3)}
    names = set(fields) - {"segment"}
    arrays = completed_frames(arrays, fields)
    if set(arrays) != names:
        raise _bad("data", f"frames have {', '.join(sorted(arrays))[:200]}, not {', '.join(sorted(names))}")
    count, checked = len(np.atleast_1d(arrays["tick"])), {}
    for name in sorted(names):
        field, array = FIELDS[name], np.asarray(arrays[name])
        shape = (count, *shapes[field.per])
        if array.shape != shape:
            raise _bad(name, f"{name} has the shape {array.shape}, not {shape}")
        if array.dtype.kind not in _KINDS[field.dtype[1]]:
            raise _bad(name, f"{name} has numbers of type {array.dtype}, not {np.dtype(field.dtype)}")
        if array.dtype.kind in "iu" and array.size and not 0 <= array.min() <= array.max() <= _MOST:
            raise _bad(name, f"{name} has a number that is not from 0 to {_MOST}")
        with np.errstate(over="ignore"):
            checked[name] = np.ascontiguousarray(array, dtype=field.dtype)
    _check_numbers(checked, segment, last_tick)
    return checked


def _check_numbers(arrays: Mapping[str, Array], segment: Segment, last_tick: int) -> None:
    """Refuse numbers that are not a state: NaN, except for bodies that are not active, and ticks that decrease."""
    if not (np.diff(arrays["tick"].astype(np.int64), prepend=last_tick) > 0).all():
        raise _bad("tick", "the ticks do not grow")
    for name in ("time", "energy", "health", "score", *OPTIONAL):
        if name in arrays and not np.isfinite(arrays[name]).all():
            raise _bad(name, f"{name} has a number that is not finite")
    if not (arrays["min_distance"] >= 0).all():
        raise _bad("min_distance", "a distance is not a number from 0 to inf")
    counts = [body.rows for body in segment.bodies if body.kind != "static"]
    here = np.repeat(arrays["active"], counts, axis=1)
    if (np.isfinite(arrays["rows"]).all(axis=2) != here).any():
        raise _bad("rows", "a row of an active body is not finite, or one of another body is")


def _bad(field: str, message: str) -> Refused:
    return Refused(message, code="bad_frames", field=field)


def describe_topology(
    topology: Topology, rows: Sequence[int] | None = None
) -> tuple[tuple[SegmentBody, ...], dict[str, MeshArrays]]:
    """The bodies of a segment, and the meshes by their hashes. rows: see FrameStore.append. Raises Refused."""
    moving = [body for body in topology.bodies if body.kind != "static"]
    if rows is None:
        rows = [len(body.vertices) if body.kind == "elastic" else AFFINE_ROWS for body in moving]
    if len(rows) != len(moving) or min(rows, default=0) < 0:
        raise _bad("topology", f"{len(rows)} counts of rows for {len(moving)} bodies that move")
    counts = iter(rows)
    bodies, meshes = [], {}
    for body in topology.bodies:
        mesh = MeshArrays(np.ascontiguousarray(body.vertices, "<f4"), np.ascontiguousarray(body.faces, "<u4"))
        digest = mesh_hash(mesh)
        meshes[digest] = mesh
        count = 0 if body.kind == "static" else int(next(counts))
        bodies.append(SegmentBody(body.id, body.kind, count, digest, body.seat, body.body))
    return tuple(bodies), meshes


def make_topology(bodies: Sequence[SegmentBody], version: int, find: Any) -> Topology:
    """The topology of a segment. ``find``: hash -> MeshArrays."""
    meshes = [find(body.mesh) for body in bodies]
    return Topology(
        tuple(
            TopologyBody(body.id, body.kind, mesh.vertices, mesh.faces, body.seat, body.body)
            for body, mesh in zip(bodies, meshes, strict=True)
        ),
        version,
    )


def mesh_hash(mesh: MeshArrays) -> str:
    """SHA-256 of "vertices faces\\n", the vertices and the faces, little endian, in hexadecimal digits."""
    digest = hashlib.sha256(f"{len(mesh.vertices)} {len(mesh.faces)}\n".encode())
    digest.update(mesh.vertices.tobytes())
    digest.update(mesh.faces.tobytes())
    return digest.hexdigest()
