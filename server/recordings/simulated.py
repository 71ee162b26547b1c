"""The recording of a simulation without a lobby, made from the states that ``tussle simulate`` has written.

    states.bin, a Step for each tick -> frames as a session has them -> recording.zarr

This module must never run a simulation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tussle.lobby.files import Files
from tussle.lobby.rules.scenes import Scene, encode_scene
from tussle.lobby.wire.frames import Topology
from tussle.server.physics.checkpoint import decode_state
from tussle.server.physics.model import Model
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.world_state import State, StepReport
from tussle.server.recordings.frame_store import OPTIONAL, Array
from tussle.server.recordings.schedule import stride_of
from tussle.server.recordings.zarr_frames import ZarrFrames
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulate import mesh_of
from tussle.server.simulation.world import World

__all__ = ["Step", "record_simulation"]

AT_ONCE = 64
"""Frames that are made at once."""

NAME = "recording.zarr"


@dataclass(frozen=True, slots=True)
class Step:
    """The numbers of a tick that are recorded. energies: each kind [J]."""

    min_distance: float
    contacts: int
    iterations: int
    energies: tuple[float, ...]

    @classmethod
    def of(cls, report: StepReport) -> Step:
        return cls(report.min_distance, report.contacts, report.iterations, report.energies)


def record_simulation(scene: Scene, folder: Path, steps: Sequence[Step], meshes: Path | None = None) -> int:
    """Write ``folder/recording.zarr``, instead of an older one: the first and the last state, and about 30 frames for
    each simulated second. meshes: the folder of the scene's meshes. Returns the number of frames."""
    model, first = compile_scene(scene, load_mesh=lambda recipe: mesh_of(recipe, meshes or folder))
    stride = stride_of(scene.dt)
    attributes = {
        "session": "", "mode": "", "seats": [], "spec": {"scene": encode_scene(scene).decode()},
        "physics_id": physics_id(), "dt": scene.dt, "stride": stride,
    }  # fmt: skip
    Files(str(folder)).remove(NAME)
    store = ZarrFrames.create(str(folder / NAME), attributes)
    world = _world(model, first)
    topology: Topology | None = Topology(tuple(world.topology([(None, "")] * len(model.body_ids))))
    counts = world.frame_rows()[1]
    frames: list[dict[str, Any]] = []
    since = 0
    for state in _states(folder / "states.bin", len(steps) + 1):
        tick = state.tick
        if tick % stride and tick != len(steps):
            continue
        frames.append(_frame(dataclasses.replace(world, state=state), steps[since:tick], scene.dt))
        since = tick
        if len(frames) == AT_ONCE or tick == len(steps):
            arrays = {name: np.array([frame[name] for frame in frames]) for name in frames[0]}
            store.append(arrays, topology, counts)
            frames, topology = [], None
    store.close()
    return store.length


def _world(model: Model, state: State) -> World:
    none = np.zeros((0, 0, 3))
    still = StepReport(0, 0, float("inf"), True, 0.0, 0.0, 0.0, none, none)
    return World(model, state, 0, all(kind == "affine" for kind in model.kinds), still)


def _states(path: Path, count: int) -> Iterator[State]:
    """The states of a file, one after the other; all have the same length."""
    size = path.stat().st_size // count
    with path.open("rb") as file:
        for _ in range(count):
            yield decode_state(file.read(size))


def _frame(world: World, steps: Sequence[Step], dt: float) -> dict[str, Array | float]:
    """One frame; steps: the ticks since the frame before."""
    rows, counts = world.frame_rows()
    active = world.state.active
    rows = np.array(rows, np.float32)
    rows[~np.repeat(active, 4 if counts is None else counts)] = np.nan
    energies = steps[-1].energies if steps else world.energies()
    return {
        "tick": world.state.tick,
        "time": world.state.tick * dt,
        "min_distance": min((step.min_distance for step in steps), default=float("inf")),
        "contacts": max((step.contacts for step in steps), default=0),
        "iterations": sum(step.iterations for step in steps),
        "energy": sum(energies[:3]),
        **dict(zip(OPTIONAL, energies, strict=True)),
        "rows": rows,
        "active": active,
    }
