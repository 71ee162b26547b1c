"""Frames of a recording for scripts and analysis: fields by name, positions, one body, a Dataset.

    Recording.read -> RecordedFrames -> .energy, [10:20].positions, [-1], .body("halo").centre, .to_xarray()

A clip has some frames. Its loader reads fields that it does not have yet. Lengths are in metres, times in seconds,
energies in joules. This module must never know where a recording is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from tussle.lobby.errors import Refused
from tussle.lobby.wire.frames import Topology

if TYPE_CHECKING:
    import xarray

__all__ = [
    "Arrays",
    "BodyInfo",
    "FieldInfo",
    "Loader",
    "RecordedBody",
    "RecordedFrames",
    "RecordingInfo",
    "SegmentInfo",
]

ENERGY = "energy_"
"""Prefix of the fields of each kind of energy."""

Arrays = dict[str, npt.NDArray[Any]]
"""Name -> array; "field.segment" for a field that depends on the topology, if there are several."""


class FieldInfo(msgspec.Struct, frozen=True):
    """One array. per: "" one number a frame; "seat", "body", or "row": three coordinates of each row."""

    dtype: str
    per: str = ""
    unit: str = ""
    meaning: str = ""


class BodyInfo(msgspec.Struct, frozen=True):
    """A body of a segment. rows: the number of its rows in a frame. body: its name in the catalogue."""

    id: str
    kind: str
    rows: int = 0
    mesh: str = ""
    seat: int | None = None
    body: str = ""


class SegmentInfo(msgspec.Struct, frozen=True):
    """Frames ``first`` to ``first + frames - 1``, which have the same bodies."""

    first: int
    frames: int
    bodies: tuple[BodyInfo, ...]


class RecordingInfo(msgspec.Struct, frozen=True):
    """What a recording has. live: frames may still be added. dt: the length of a tick [s]."""

    length: int
    fields: dict[str, FieldInfo]
    segments: tuple[SegmentInfo, ...]
    session: str = ""
    mode: str = ""
    live: bool = False
    dt: float = 0.0
    stride: int = 1
    physics_id: str = ""
    first_tick: int | None = None
    last_tick: int | None = None

    def depends_on_topology(self, field: str) -> bool:
        return field in self.fields and self.fields[field].per in ("body", "row")

    def frame_bytes(self, fields: Sequence[str]) -> int:
        """The approximate size of the largest frame with these fields [B]."""
        rows = max((sum(body.rows for body in segment.bodies) for segment in self.segments), default=0)
        return sum(12 * rows if self.fields[name].per == "row" else 64 for name in fields)

    def segments_of(self, numbers: range) -> list[tuple[int, range]]:
        """The segments that have these frames, each with its part of the frames."""
        found = []
        for number, segment in enumerate(self.segments):
            skipped = -(-(segment.first - numbers.start) // numbers.step)
            start = numbers.start + max(0, skipped) * numbers.step
            here = range(start, max(start, min(numbers.stop, segment.first + segment.frames)), numbers.step)
            if here:
                found.append((number, here))
        return found


class Loader(Protocol):
    """Reads the fields and topologies that a clip does not have yet."""

    def frames(self, numbers: range, fields: Sequence[str]) -> Arrays: ...

    def topology(self, segment: int) -> Topology: ...


@dataclass(frozen=True, slots=True)
class _Piece:
    numbers: range
    array: npt.NDArray[Any]


class RecordedFrames:
    """A clip: some frames of a recording, in order. ``len``, slices and iteration as of a list. The fields of a single
    frame have no axis of frames."""

    def __init__(
        self, info: RecordingInfo, numbers: range, loader: Loader | None = None, *, single: bool = False
    ) -> None:
        self.numbers = numbers
        self._info = info
        self.loader = loader
        self._single = single
        self._pieces: dict[tuple[str, int | None], _Piece] = {}
        self._topologies: dict[int, Topology] = {}

    def add(self, arrays: Arrays, topologies: dict[int, Topology] | None = None) -> None:
        """Add arrays and topologies that were read for these frames."""
        segments = self._info.segments_of(self.numbers)
        for name, array in arrays.items():
            field, _, text = name.partition(".")
            if not self._info.depends_on_topology(field):
                self._pieces[field, None] = _Piece(self.numbers, array)
            elif segments:
                segment = int(text) if text else segments[0][0]
                self._pieces[field, segment] = _Piece(dict(segments)[segment], array)
        self._topologies.update(topologies or {})

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[RecordedFrames]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int | slice) -> RecordedFrames:
        """Return one frame, or a slice of them."""
        single = isinstance(index, int)
        if isinstance(index, int):
            number = self.numbers[index]
            chosen = range(number, number + 1)
        else:
            chosen = self.numbers[index]
        if chosen.step < 1:
            raise Refused("frames go forward: the step is at least 1", code="bad_range", field="frames")
        part = RecordedFrames(self._info, chosen, self.loader, single=single)
        part._topologies = self._topologies
        segments = dict(self._info.segments_of(chosen))
        for (field, segment), piece in self._pieces.items():
            here = chosen if segment is None else segments.get(segment)
            if here is not None:
                at = [piece.numbers.index(number) for number in (here[:1] or ())]
                step = max(1, here.step // piece.numbers.step)
                start = at[0] if at else 0
                part._pieces[field, segment] = _Piece(
                    here, piece.array[start : start + step * len(here) : step]
                )
        return part

    # numbers of each frame

    @property
    def tick(self) -> Any:
        """The tick of each frame."""
        return self.field("tick")

    @property
    def time(self) -> Any:
        """Simulated time [s]."""
        return self.field("time")

    @property
    def energy(self) -> Any:
        """Kinetic, gravity and elastic energy together [J]."""
        return self.field("energy")

    @property
    def energies(self) -> dict[str, Any]:
        """Each kind of energy [J]: kinetic, gravity, elastic, springs, barrier, and friction, which is the work of the
        last tick. Empty if the recording was made before it had them."""
        kinds = [name for name in self._info.fields if name.startswith(ENERGY)]
        if self.loader is not None and (
            missing := [name for name in kinds if (name, None) not in self._pieces]
        ):
            self.add(self.loader.frames(self.numbers, missing))
        return {name.removeprefix(ENERGY): self.field(name) for name in kinds}

    @property
    def min_distance(self) -> Any:
        """The smallest distance of two surfaces since the frame before [m]; inf if none are near."""
        return self.field("min_distance")

    @property
    def contacts(self) -> Any:
        """The largest number of contacts in a tick since the frame before."""
        return self.field("contacts")

    @property
    def iterations(self) -> Any:
        """Newton iterations since the frame before."""
        return self.field("iterations")

    @property
    def health(self) -> Any:
        """Health of each seat: (frames, seats)."""
        return self.field("health")

    @property
    def score(self) -> Any:
        """Points of each seat: (frames, seats)."""
        return self.field("score")

    @property
    def out(self) -> Any:
        """Whether each seat is out: (frames, seats)."""
        return self.field("out")

    @property
    def active(self) -> Any:
        """Whether each moving body is in the world: (frames, bodies)."""
        return self.field("active")

    @property
    def rows(self) -> Any:
        """The recorded numbers of all moving bodies: (frames, rows, 3) [m]; docs/protocol.md, section 9."""
        return self.field("rows")

    def field(self, name: str) -> Any:
        """Return a field by its name. Raises Refused (bad_fields; bad_range for frames of several topologies)."""
        if name not in self._info.fields:
            raise Refused(f"no field {name[:40]!r}", code="bad_fields", field=name)
        array = self._array(name, self.segment if self._info.depends_on_topology(name) else None)
        return array[0] if self._single else array

    @property
    def segment(self) -> int:
        """The number of the topology of these frames. Raises Refused if there are several."""
        segments = self._info.segments_of(self.numbers)
        if len(segments) > 1:
            raise Refused(
                f"these frames have {len(segments)} topologies: take frames of one", code="bad_range", field="frames"
            )  # fmt: skip
        return segments[0][0] if segments else max(0, len(self._info.segments) - 1)

    def _array(self, name: str, segment: int | None) -> npt.NDArray[Any]:
        if (name, segment) not in self._pieces:
            if self.loader is None:
                raise Refused(f"{name} was not read: ask for it in read()", code="bad_fields", field=name)
            self.add(self.loader.frames(self.numbers, (name,)))
        if (name, segment) not in self._pieces:  # no frames at all
            rows = sum(body.rows for body in self.bodies)
            shape = (
                (0, rows, 3) if name == "rows" else (0, sum(body.kind != "static" for body in self.bodies))
            )
            return np.empty(shape, self._info.fields[name].dtype)
        return self._pieces[name, segment].array

    # bodies

    @property
    def bodies(self) -> tuple[BodyInfo, ...]:
        """The bodies of these frames. Raises Refused for frames of several topologies."""
        return self._info.segments[self.segment].bodies if self._info.segments else ()

    @property
    def positions(self) -> Any:
        """Every vertex of every moving body, in the order of ``bodies``: (frames, vertices, 3) [m]."""
        segment = self.segment
        moving = [body for body in self.bodies if body.kind != "static"]
        parts = [self._positions_of(segment, body.id) for body in moving]
        whole = np.concatenate(parts, axis=1) if parts else np.empty((len(self), 0, 3), np.float32)
        return whole[0] if self._single else whole

    def body(self, name: str) -> RecordedBody:
        """Return one body, by its id, or by its name in the catalogue if only one body has it. Raises Refused."""
        bodies = {body.id: body for one, _ in self._info.segments_of(self.numbers)
                  for body in self._info.segments[one].bodies}  # fmt: skip
        alike = [body.id for body in bodies.values() if body.body == name]
        if name not in bodies and len(alike) != 1:
            known = ", ".join(f"{body.id} ({body.body})" for body in list(bodies.values())[:20])
            raise Refused(
                f"{len(alike)} bodies are called {name[:40]!r}; there are {known}",
                code="unknown_body",
                field="body",
            )
        return RecordedBody(self, name if name in bodies else alike[0])

    def _rows_of(self, segment: int, id_: str) -> npt.NDArray[Any] | None:
        """The rows of one body in one segment; None if it is not there."""
        at = 0
        for body in self._info.segments[segment].bodies:
            if body.id == id_:
                return self._array("rows", segment)[:, at : at + body.rows]
            at += body.rows
        return None

    def _vertices_of(self, segment: int, id_: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        if segment not in self._topologies:
            if self.loader is None:
                raise Refused(
                    "positions were not read: ask for them in read()", code="bad_fields", field="positions"
                )
            self._topologies[segment] = self.loader.topology(segment)
        mesh = next(body for body in self._topologies[segment].bodies if body.id == id_)
        return mesh.vertices, mesh.faces

    def _positions_of(self, segment: int, id_: str) -> npt.NDArray[Any]:
        rows = self._rows_of(segment, id_)
        assert rows is not None, id_
        kind = next(body.kind for body in self._info.segments[segment].bodies if body.id == id_)
        if kind == "elastic":
            return rows
        vertices, _ = self._vertices_of(segment, id_)
        return np.asarray(rows[:, :1] + vertices @ rows[:, 1:4], np.float32)

    def to_xarray(self, *fields: str) -> xarray.Dataset:
        """Return a Dataset with these fields, by default all, over tick and time. Needs xarray. Frames of several
        topologies have no common rows: name other fields, or take frames of one topology."""
        try:
            import xarray
        except ImportError:
            raise ModuleNotFoundError("to_xarray needs xarray: pip install xarray") from None
        axes = {"": (), "seat": ("seat",), "body": ("body",), "row": ("row", "axis")}
        clip = RecordedFrames(self._info, self.numbers, self.loader)
        clip._pieces, clip._topologies = self._pieces, self._topologies
        names = dict.fromkeys((*(fields or self._info.fields), "tick", "time"))
        found = {}
        for name in names:
            about, values = self._info.fields.get(name), clip.field(name)
            assert about is not None
            found[name] = (
                ("frame", *axes[about.per]),
                values,
                {"units": about.unit, "long_name": about.meaning},
            )
        coordinates: dict[str, Any] = {name: found.pop(name) for name in ("tick", "time")}
        if any(self._info.depends_on_topology(name) for name in found):
            moving = [body for body in self.bodies if body.kind != "static"]
            coordinates["body"] = [body.id for body in moving]
            coordinates["row_body"] = ("row", [body.id for body in moving for _ in range(body.rows)])
        about_it = {"session": self._info.session, "mode": self._info.mode, "dt": self._info.dt}
        return xarray.Dataset(found, coordinates, about_it)


class RecordedBody:
    """One body over the frames of a clip; NaN while it is not in the world."""

    def __init__(self, clip: RecordedFrames, id_: str) -> None:
        self.id = id_
        self._clip = clip

    @property
    def centre(self) -> Any:
        """The centre of an affine body, or the mean of an elastic body's vertices: (frames, 3) [m]. Frames may have
        several topologies."""
        clip = self._clip
        parts = []
        for segment, numbers in clip._info.segments_of(clip.numbers):
            rows = clip._rows_of(segment, self.id)
            if rows is None or not rows.shape[1]:
                parts.append(np.full((len(numbers), 3), np.nan, np.float32))
                continue
            elastic = any(
                body.kind == "elastic" for body in clip._info.segments[segment].bodies if body.id == self.id
            )
            parts.append(rows.mean(axis=1) if elastic else rows[:, 0])
        whole = np.concatenate(parts) if parts else np.empty((0, 3), np.float32)
        return whole[0] if clip._single else whole

    @property
    def positions(self) -> Any:
        """Its vertices: (frames, vertices, 3) [m]. Raises Refused for frames of several topologies."""
        whole = self._clip._positions_of(self._clip.segment, self.id)
        return whole[0] if self._clip._single else whole

    @property
    def faces(self) -> npt.NDArray[Any]:
        """The triangles of its surface: (faces, 3)."""
        return self._clip._vertices_of(self._clip.segment, self.id)[1]
