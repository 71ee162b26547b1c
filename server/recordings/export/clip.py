"""What is exported: some frames and some bodies of a recording, read block by block.

    --frames 10:200:2, --bodies halo,jelly -> Clip -> blocks (arrays), topology, events -> a writer of a format

Every writer reads through a Clip, so that all formats have the same frames and bodies. This module must never know a
format.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np

from tussle.lobby.errors import ProtocolError, Refused
from tussle.lobby.wire.frames import Topology, TopologyBody
from tussle.server.recordings.frame_store import Array, Frames, Segment, SegmentBody, part_of

__all__ = ["BodyTrack", "Clip", "Readable", "frames_of", "world_vertices"]

GATHERED = {"min_distance": (np.minimum, np.inf), "contacts": (np.maximum, 0), "iterations": (np.add, 0)}
"""Fields that cover the time since the frame before: how the values of omitted frames are combined, and the initial
value."""


class Readable(Protocol):
    """The reading side of a recording: see FrameStore."""

    @property
    def attributes(self) -> dict[str, Any]: ...

    @property
    def length(self) -> int: ...

    @property
    def fields(self) -> tuple[str, ...]: ...

    @property
    def seats(self) -> int: ...

    @property
    def segments(self) -> tuple[Segment, ...]: ...

    def frames(self, numbers: range, fields: Sequence[str]) -> Iterator[Frames]: ...

    def topology(self, segment: int) -> Topology: ...

    def events(self) -> Iterator[bytes]:
        """The events, as lines of JSON, in pieces."""


@dataclass(frozen=True, slots=True)
class BodyTrack:
    """A body of the clip: what it is, and where its rows and its bit are in a frame. mesh: rest positions and faces.
    rows: empty, and number None, if it is static."""

    about: SegmentBody
    mesh: TopologyBody
    rows: slice
    number: int | None


def frames_of(text: str, length: int) -> range:
    """The frames that a text describes: "7", "-1", "10:200:2", "" for all. Raises Refused (bad_range)."""
    parts = text.split(":")
    try:
        numbers = [int(part) if part.strip() else None for part in parts]
    except ValueError:
        numbers = []
    if not numbers or len(numbers) > 3 or (len(numbers) == 1 and text and numbers[0] is None):
        raise _bad(f"{text!r} is not a range of frames such as 10:200:2")
    if len(numbers) == 1 and numbers[0] is not None:
        numbers = [numbers[0], numbers[0] + 1 or None]
    start, stop, step = [*numbers, None, None][:3]
    if step is not None and step < 1:
        raise _bad("frames go forward: the step is 1 or more")
    for bound in (start, stop):
        if bound is not None and not -length <= bound <= length:
            raise _bad(f"frames {text} are not in the recording, which has {length} (0 to {length - 1})")
    chosen = range(*slice(start, stop, step).indices(length))
    if not chosen:
        raise _bad(f"there is no frame in {text}" if text else "the recording has no frames yet")
    return range(chosen[0], chosen[-1] + 1, chosen.step)


def _bad(message: str) -> Refused:
    return Refused(message, code="bad_range", field="frames")


class Clip:
    """Frames and bodies of a recording. numbers: its frames, as the recording counts them."""

    def __init__(self, store: Readable, *, frames: str = "", bodies: Sequence[str] = ()) -> None:
        """bodies: ids, or names of the catalogue; none: all of them. Raises Refused (bad_range, no_such_body)."""
        self._store = store
        self.numbers = frames_of(frames, store.length)
        self.names = tuple(dict.fromkeys(name.strip() for name in bodies if name.strip()))
        _check_names(self.names, store.segments)
        chosen = [
            (number, part_of(self.numbers, range(one.first, one.first + one.frames)))
            for number, one in enumerate(store.segments)
        ]
        self._chosen = [(number, here) for number, here in chosen if here]
        self.segments = tuple(self._segment(number, here) for number, here in self._chosen)
        if self.names and not any(segment.bodies for segment in self.segments):
            raise Refused(
                f"no body {', '.join(self.names)} in these frames", code="no_such_body", field="bodies"
            )

    def _segment(self, number: int, here: range) -> Segment:
        bodies = tuple(body for body in self._store.segments[number].bodies if self._wanted(body))
        return Segment((here[0] - self.numbers[0]) // self.numbers.step, len(here), bodies)

    def _wanted(self, body: SegmentBody) -> bool:
        return not self.names or body.id in self.names or body.body in self.names

    @property
    def length(self) -> int:
        """The number of frames."""
        return len(self.numbers)

    @property
    def attributes(self) -> dict[str, Any]:
        return self._store.attributes

    @property
    def fields(self) -> tuple[str, ...]:
        return self._store.fields

    @property
    def seats(self) -> int:
        return self._store.seats

    @property
    def whole(self) -> bool:
        """Whether the clip is the whole recording."""
        return not self.names and self.length == self._store.length

    def blocks(self, fields: Sequence[str]) -> Iterator[Frames]:
        """All frames, block by block. ``numbers`` of a block count from 0; its segment is one of ``segments``. Raises
        ProtocolError (damaged_recording)."""
        gathered = self._gathered([name for name in fields if name in GATHERED])
        known = {number: at for at, (number, _) in enumerate(self._chosen)}
        first, step = self.numbers.start, self.numbers.step
        for block in self._store.frames(self.numbers, fields):
            at, end = ((edge - first) // step for edge in (block.numbers[0], block.numbers[-1] + step))
            arrays = dict(block.arrays)
            for name, values in gathered.items():
                arrays[name] = values[at:end]
            self._take_bodies(arrays, block.segment)
            yield Frames(range(at, end), known[block.segment], arrays)

    def _gathered(self, fields: Sequence[str]) -> dict[str, Array]:
        """Fields that cover the time since the frame before, combined over the frames that the step omits."""
        first, step = self.numbers.start, self.numbers.step
        if step == 1 or not fields:
            return {}
        found = {name: np.full(self.length, GATHERED[name][1], np.float64) for name in fields}
        for block in self._store.frames(range(first, self.numbers[-1] + 1), fields):
            places = (np.arange(block.numbers[0], block.numbers[-1] + 1) - first + step - 1) // step
            for name, values in found.items():
                GATHERED[name][0].at(values, places, block.arrays[name])
        return {
            name: values if name == "min_distance" else values.astype("<u4") for name, values in found.items()
        }

    def _take_bodies(self, arrays: dict[str, Array], segment: int) -> None:
        if not self.names:
            return
        bodies = [body for body in self._store.segments[segment].bodies if body.kind != "static"]
        wanted = np.array([self._wanted(body) for body in bodies], bool)
        if "active" in arrays:
            arrays["active"] = arrays["active"][:, wanted]
        if "rows" in arrays:
            arrays["rows"] = arrays["rows"][:, np.repeat(wanted, [body.rows for body in bodies])]

    def topology(self, segment: int) -> Topology:
        """The meshes of the bodies of a segment. Raises ProtocolError (damaged_recording)."""
        whole = self._store.topology(self._chosen[segment][0])
        there = self._store.segments[self._chosen[segment][0]].bodies
        kept = [mesh for mesh, body in zip(whole.bodies, there, strict=True) if self._wanted(body)]
        return Topology(tuple(kept), segment)

    def tracks(self, segment: int) -> list[BodyTrack]:
        """The bodies of a segment, with their meshes. Raises ProtocolError (damaged_recording)."""
        found, row, number = [], 0, 0
        for about, mesh in zip(self.segments[segment].bodies, self.topology(segment).bodies, strict=True):
            if about.kind == "static":
                found.append(BodyTrack(about, mesh, slice(row, row), None))
                continue
            if about.rows != (len(mesh.vertices) if about.kind == "elastic" else 4):
                raise ProtocolError(f"body {about.id} has other rows than its mesh", code="damaged_recording")
            found.append(BodyTrack(about, mesh, slice(row, row + about.rows), number))
            row, number = row + about.rows, number + 1
        return found

    def events(self) -> Iterator[dict[str, Any]]:
        """The events up to the last frame's tick, from the first frame's on. Raises ProtocolError."""
        ends = [
            int(block.arrays["tick"][0])
            for number in (self.numbers[0], self.numbers[-1])
            for block in self._store.frames(range(number, number + 1), ("tick",))
        ]
        rest = b""
        for piece in self._store.events():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                try:
                    event = msgspec.json.decode(line, type=dict[str, Any])
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise ProtocolError(f"an event: {error}", code="damaged_recording") from None
                if self.whole or ends[0] <= event.get("tick", 0) <= ends[1]:
                    yield event


def _check_names(names: Sequence[str], segments: Sequence[Segment]) -> None:
    bodies = [body for segment in segments for body in segment.bodies]
    known = {body.id for body in bodies} | {body.body for body in bodies}
    unknown = [name for name in names if name not in known]
    if unknown:
        there = ", ".join(dict.fromkeys(body.id for body in bodies))
        raise Refused(
            f"no body {', '.join(unknown)[:200]}; there are {there[:500]}",
            code="no_such_body",
            field="bodies",
        )


def world_vertices(track: BodyTrack, rows: Array) -> Array:
    """World positions [m] of a body in some frames, shape (frames, vertices, 3). rows: those of all bodies."""
    own = rows[:, track.rows]
    if track.number is None:
        return np.broadcast_to(track.mesh.vertices, (len(rows), *track.mesh.vertices.shape))
    if track.about.kind == "elastic":
        return own
    return np.asarray(own[:, :1] + track.mesh.vertices @ own[:, 1:], np.float32)
