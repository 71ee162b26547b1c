"""A recording with every kind of body and motion, and where its vertices are, computed from the motion itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tussle.lobby.files import Files
from tussle.lobby.wire.frames import Topology, TopologyBody
from tussle.server.recordings.frame_store import Array
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.zarr_frames import ZarrFrames

DT = 1 / 60
FIRST = 40
"""Frames of the first segment. The second has as many; there the sheared body is gone and another one is new."""

LENGTH = 2 * FIRST
HIDDEN = range(5, 10)
"""Frames in which the elastic body is not in the world."""

FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32)
CORNERS = np.concatenate([np.zeros((1, 3)), 0.4 * np.eye(3)]).astype(np.float32)
FLOOR = TopologyBody("floor", "static", CORNERS - np.float32(0.5), FACES)


def body(name: str, kind: str, seat: int | None = None) -> TopologyBody:
    return TopologyBody(name, kind, CORNERS, FACES, seat, name.partition("-")[0])  # type: ignore[arg-type]


SEGMENTS = (
    Topology(
        (body("turner-0", "affine", 0), body("shearer-1", "affine", 1), body("jelly-2", "elastic"), FLOOR)
    ),
    Topology((body("turner-0", "affine", 0), body("jelly-2", "elastic"), body("late-3", "affine"), FLOOR)),
)


def axes(name: str, frame: int) -> Array:
    """The images of the axes of an affine body, one in each row."""
    angle = 0.11 * frame
    turned = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    if name == "shearer-1":
        return np.array([[1.0 + 0.01 * frame, 0.0, 0.0], [0.02 * frame, 1.0, 0.0], [0.0, 0.0, 0.9]]) @ turned
    return turned


def centre(name: str, frame: int) -> Array:
    return np.array([0.02 * frame, 0.5, {"turner-0": 0.0, "shearer-1": 1.0, "late-3": 2.0}[name]])


def world(name: str, frame: int) -> Array | None:
    """The vertices of a body in a frame [m]; None while it is not in the world."""
    if name == "floor":
        return FLOOR.vertices.astype(np.float64)
    if name == "jelly-2":
        wobble = 1.0 + 0.2 * np.sin(0.3 * frame + np.arange(12).reshape(4, 3))
        turn = axes("turner-0", frame)
        return None if frame in HIDDEN else (CORNERS * wobble) @ turn + [0.0, 0.3, -1.0 + 0.01 * frame]
    if name == ("shearer-1" if frame >= FIRST else "late-3"):
        return None
    return centre(name, frame) + CORNERS @ axes(name, frame)


def write(folder: Path) -> str:
    """Write the recording. Returns its path."""
    seats = [{"seat": 0, "player": "p0", "name": "Ada"}, {"seat": 1, "player": "p1", "name": "Bo"}]
    attributes = {"session": "k7qm2xpv", "mode": "duel", "dt": DT, "seats": seats}
    files, group = Files(str(folder)), RecordingGroup(attributes, seats=2)
    written: list[tuple[str, bytes]] = []
    for number, topology in enumerate(SEGMENTS):
        frames = np.arange(number * FIRST, (number + 1) * FIRST)
        rows, active = [], []
        for frame in frames.tolist():
            here = [_rows(one, frame) for one in topology.bodies if one.kind != "static"]
            rows.append(np.concatenate(here))
            active.append([bool(np.isfinite(one).all()) for one in here])
        count = len(frames)
        arrays = {
            "tick": 2 * frames, "time": 2 * frames * DT, "contacts": frames % 7, "iterations": np.full(count, 3),
            "min_distance": np.where(frames % 4 == 1, 0.001 * (frames + 1), np.inf), "energy": 5.0 - 0.05 * frames,
            "health": np.stack([100.0 - frames, np.full(count, 50.0)], axis=1), "score": np.zeros((count, 2)),
            "out": np.zeros((count, 2), np.bool_), "rows": np.stack(rows), "active": np.array(active),
        }  # fmt: skip
        written += group.append(arrays, topology)
    for tick in (0, 30, 2 * LENGTH - 2):
        written += group.log({"tick": tick, "type": "blow", "seat": 1, "at": [1, 2]})
    for path, data in [*written, *group.files(files.read)]:
        files.write(path, data)
    return str(folder)


def _rows(one: TopologyBody, frame: int) -> Array:
    here = world(one.id, frame)
    if here is None:
        return np.full((4, 3), np.nan)
    return (
        here if one.kind == "elastic" else np.concatenate([centre(one.id, frame)[None], axes(one.id, frame)])
    )


def read_arrays(path: str, count: int) -> dict[str, Array]:
    """The arrays of the first frames, to be appended to another recording."""
    store = ZarrFrames.open(path)
    fields = [name for name in store.fields if name != "segment"]
    return next(store.frames(range(count), fields)).arrays
