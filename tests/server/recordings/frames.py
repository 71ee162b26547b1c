"""Frames for tests of recordings: worlds of several topologies, and one way to make and reopen each kind of store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from tussle.lobby.wire.frames import Topology, TopologyBody
from tussle.server.recordings.frame_store import OPTIONAL, Array, FrameStore, MemoryFrames
from tussle.server.recordings.zarr_frames import ZarrFrames

SEATS = 2


class Kept(Protocol):
    """A recording of one kind."""

    def create(self, attributes: Mapping[str, Any] | None = None, *, seats: int = SEATS) -> FrameStore: ...

    def reopen(self, *, write: bool = False) -> FrameStore: ...


class MemoryKept:
    """In memory, where a store that was closed is read on."""

    def create(self, attributes: Mapping[str, Any] | None = None, *, seats: int = SEATS) -> FrameStore:
        self._store = MemoryFrames(attributes, seats=seats)
        return self._store

    def reopen(self, *, write: bool = False) -> FrameStore:
        return self._store


class ZarrKept:
    """In files at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def create(self, attributes: Mapping[str, Any] | None = None, *, seats: int = SEATS) -> FrameStore:
        return ZarrFrames.create(self.url, attributes, seats=seats)

    def reopen(self, *, write: bool = False) -> FrameStore:
        return ZarrFrames.open(self.url, write=write)


def topology(*kinds: str) -> Topology:
    """Bodies of these kinds, each a tetrahedron of its own size, and the ground."""
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32)
    corners = np.concatenate([np.zeros((1, 3)), np.eye(3)]).astype(np.float32)
    bodies = [
        TopologyBody(f"b{i}", kind, corners * (1 + i), faces, i % SEATS, "halo")  # type: ignore[arg-type]
        for i, kind in enumerate(kinds)
    ]
    return Topology((*bodies, TopologyBody("ground", "static", corners, faces)))


def frames(first: int, count: int, *, rows: int = 8, bodies: int = 2, seats: int = SEATS) -> dict[str, Array]:
    """Frames of every second tick from ``first`` on. In every fifth frame the last body is not active."""
    rng = np.random.default_rng(first)
    tick = first + 2 * np.arange(count)
    active = np.ones((count, bodies), np.bool_)
    active[::5, -1] = False
    places = rng.normal(size=(count, rows, 3)).astype(np.float32)
    places[::5, rows - 4 :] = np.nan
    return {
        "tick": tick,
        "time": tick / 60,
        "min_distance": np.where(tick % 3 == 0, np.inf, rng.random(count)),
        "contacts": rng.integers(0, 100_000, count),
        "iterations": rng.integers(0, 50, count),
        "energy": rng.normal(size=count),
        **{name: rng.normal(size=count) for name in OPTIONAL},
        "active": active,
        "rows": places,
        **(
            {
                "health": 100 * rng.random((count, seats)),
                "score": rng.random((count, seats)),
                "out": rng.random((count, seats)) < 0.1,
            }
            if seats
            else {}
        ),
    }


def read(store: FrameStore, numbers: range, fields: Sequence[str]) -> dict[str, list[Array]]:
    """The arrays of each field, frame by frame: segments differ in shape."""
    found: dict[str, list[Array]] = {name: [] for name in fields}
    for block in store.frames(numbers, fields):
        for name in fields:
            assert len(block.arrays[name]) == len(block.numbers)
            found[name] += list(block.arrays[name])
    return found


def fill(store: FrameStore) -> dict[str, list[Array]]:
    """Three segments: 1500 frames, 700, and 40. Returns each field frame by frame, as ``read`` does."""
    wanted: dict[str, list[Array]] = {}
    tick = 10
    for number, (scene, counts, rows) in enumerate(
        (
            (topology("affine", "affine"), (1, 900, 599), 8),
            (topology("elastic", "affine", "affine"), (700,), 12),
            (topology("affine", "affine"), (39, 1), 8),
        )
    ):
        for i, count in enumerate(counts):
            arrays = frames(tick, count, rows=rows, bodies=rows // 4)
            store.append(arrays, scene if i == 0 else None)
            tick += 2 * count
            for name, array in {**arrays, "segment": np.full(count, number)}.items():
                wanted.setdefault(name, []).extend(array.astype(DTYPES[name]))
    return wanted


DTYPES = {
    "tick": np.uint32, "time": np.float64, "segment": np.uint32, "min_distance": np.float32, "contacts": np.uint32,
    "iterations": np.uint32, "energy": np.float32, "health": np.float32, "score": np.float32, "out": np.bool_,
    "active": np.bool_, "rows": np.float32, **dict.fromkeys(OPTIONAL, np.float32),
}  # fmt: skip
