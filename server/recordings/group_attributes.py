"""What the metadata of a recording's group say of it: its attributes, to and from JSON.

    Described, attributes -> make_attributes -> zarr.json -> read_attributes -> Described

This module must never know what is in the arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tussle.lobby.errors import ProtocolError, Refused
from tussle.lobby.wire.frames import BodyKind
from tussle.server.recordings.frame_store import Segment, SegmentBody

__all__ = ["SCHEMA", "ArraysAbout", "Described", "check_attributes", "make_attributes", "read_attributes"]

SCHEMA = "tussle-recording/3"

INTERNAL = ("meshes", "arrays", "coordinates")
"""Attributes that ``files`` makes for ``load`` and for readers of Zarr; a loaded recording does not have them."""

EVENT_MARKS = ("seat", "a", "b")
"""What the attributes have of each event besides its tick and type: enough for a mark on a timeline. a, b: the seats of
a collision."""


def check_attributes(attributes: Mapping[str, Any]) -> None:
    """Refuse attributes that ``files`` would overwrite. Raises Refused (reserved_attribute)."""
    for name in INTERNAL:
        if name in attributes:
            raise Refused(
                f"the attribute {name} is made by the program: choose another name",
                code="reserved_attribute",
                field=name,
            )


class _StoredMeshes(msgspec.Struct, frozen=True):
    """The meshes in the attributes. vertices, faces: how many entries of the two arrays are those of each, after those
    of the meshes before."""

    sha256: list[str]
    vertices: list[int]
    faces: list[int]

    def counts(self) -> dict[str, tuple[int, int]]:
        """Raises ValueError for lists of other lengths, or a mesh that is there twice."""
        if len(set(self.sha256)) != len(self.sha256):
            raise ValueError("a mesh is there twice")
        return dict(zip(self.sha256, zip(self.vertices, self.faces, strict=True), strict=True))


class ArraysAbout(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of the arrays besides the segments and meshes. sha256: of the digests of all arrays that belong to
    the whole recording, in the order of their paths."""

    seats: int
    events_bytes: int
    sha256: str = ""


class _StoredBody(msgspec.Struct, frozen=True):
    """A body in the attributes: see SegmentBody. mesh: its place in the list of meshes."""

    id: str
    kind: BodyKind
    rows: int
    mesh: int
    seat: int | None = None
    body: str = ""


class _StoredSegment(msgspec.Struct, frozen=True):
    """A segment in the attributes."""

    first: int
    frames: int
    bodies: tuple[_StoredBody, ...]

    def named(self, meshes: Sequence[str]) -> Segment:
        """Raises ValueError for a mesh that is not there."""
        if not all(0 <= body.mesh < len(meshes) for body in self.bodies):
            raise ValueError("a body has a mesh that is not there")
        bodies = [
            SegmentBody(one.id, one.kind, one.rows, meshes[one.mesh], one.seat, one.body)
            for one in self.bodies
        ]
        return Segment(self.first, self.frames, tuple(bodies))


@dataclass(frozen=True, slots=True)
class Described:
    """A recording without its arrays. meshes: SHA-256 -> how many vertices and faces. attributes: of its creator, and
    ``events``, the marks of its events."""

    attributes: dict[str, Any]
    segments: list[Segment]
    meshes: dict[str, tuple[int, int]]
    about: ArraysAbout


def make_attributes(
    recording: Described, digests: Sequence[str], events: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """The attributes of the group. digests: SHA-256 of each segment. Raises Refused (reserved_attribute)."""
    check_attributes(recording.attributes)
    places = {name: place for place, name in enumerate(recording.meshes)}
    segments = []
    for segment, digest in zip(recording.segments, digests, strict=True):
        bodies = [{**msgspec.to_builtins(body), "mesh": places[body.mesh]} for body in segment.bodies]
        segments.append(
            {"first": segment.first, "frames": segment.frames, "bodies": bodies, "sha256": digest}
        )
    return {
        **recording.attributes,
        "schema": SCHEMA,
        "segments": segments,
        "meshes": {
            "sha256": list(recording.meshes),
            "vertices": [vertices for vertices, _ in recording.meshes.values()],
            "faces": [faces for _, faces in recording.meshes.values()],
        },
        "arrays": msgspec.to_builtins(recording.about),
        "events": _marks(events),
        "coordinates": "tick time",
    }


class _Root(msgspec.Struct, frozen=True):
    attributes: dict[str, Any]


def read_attributes(root: bytes) -> Described:
    """The recording whose group has the metadata ``root``. Raises ProtocolError (not_a_recording)."""
    try:
        attributes = msgspec.json.decode(root, type=_Root).attributes
        if attributes["schema"] != SCHEMA:
            raise ValueError(f"its schema is {str(attributes['schema'])[:40]!r}")
        listed = msgspec.convert(attributes["meshes"], _StoredMeshes)
        meshes = listed.counts()
        segments = [
            one.named(listed.sha256) for one in msgspec.convert(attributes["segments"], list[_StoredSegment])
        ]
        about = msgspec.convert(attributes["arrays"], ArraysAbout)
        events = _marked(attributes["events"])
        numbers = [about.seats, about.events_bytes]
        numbers += [number for one in segments for number in (one.frames, *(b.rows for b in one.bodies))]
        if min([*numbers, *(number for counts in meshes.values() for number in counts)]) < 0:
            raise ValueError("a length is negative")
    except (
        msgspec.MsgspecError,
        UnicodeDecodeError,
        KeyError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise ProtocolError(f"this is no recording: {error}", code="not_a_recording") from None
    own = {name: value for name, value in attributes.items() if name not in INTERNAL} | {"events": events}
    return Described(own, segments, meshes, about)


def _marks(events: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """What the attributes have of events. kinds: a type and the names of EVENT_MARKS that its events have; ``kind`` and
    ``tick`` of every event; ``values``: what the events of each kind have of these names, one event after the other."""
    kinds: dict[tuple[str, ...], int] = {}
    marks: dict[str, list[Any]] = {"kinds": [], "kind": [], "tick": [], "values": []}
    for event in events:
        names = [name for name in EVENT_MARKS if event.get(name) is not None]
        known = (event["type"], *names)
        number = kinds.setdefault(known, len(kinds))
        if number == len(marks["kinds"]):
            marks["kinds"].append(known)
            marks["values"].append([])
        marks["kind"].append(number)
        marks["tick"].append(event["tick"])
        marks["values"][number] += [event[name] for name in names]
    return marks


class _EventMarks(msgspec.Struct, frozen=True):
    """See _marks."""

    kinds: list[list[str]]
    kind: list[int]
    tick: list[int]
    values: list[list[Any]]


def _marked(attribute: Any) -> list[dict[str, Any]]:
    """The marks of events, one after the other. Raises ValueError, TypeError, msgspec.ValidationError."""
    marks = msgspec.convert(attribute, _EventMarks)
    values = [iter(of) for of in marks.values]
    found = []
    for kind, tick in zip(marks.kind, marks.tick, strict=True):
        if not 0 <= kind < min(len(values), len(marks.kinds)) or not marks.kinds[kind]:
            raise ValueError("an event of a kind that is not there")
        known, *names = marks.kinds[kind]
        here = {name: next(values[kind], None) for name in names}
        found.append({"tick": tick, "type": known, **here})
    return found
