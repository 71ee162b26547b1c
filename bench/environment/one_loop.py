"""Worlds that one compiled loop steps, without Python between their ticks. ``python -m bench.environment`` compares it
with the same worlds stepped one by one from Python.

Only the physics can be in such a loop: the rules of a mode, the hash of each tick and the reports are Python. All
worlds have the same two bodies, and begin with other velocities.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import dataclasses
import time
from typing import NamedTuple

import tussle.env  # noqa: F401 - before numpy: the CPU baseline

# isort: split
import numba
import numpy as np

from tussle.env.episode import Episode, make_spec
from tussle.server.physics.newton import minimise_potential
from tussle.server.physics.solver import _parameters, step
from tussle.server.physics.substeps import count_substeps
from tussle.server.physics.world_state import Control

__all__ = ["LoopRates", "measure_one_loop"]

TICKS, ROUNDS = 120, 3


class LoopRates(NamedTuple):
    """Solver ticks a second, CPU time: stepped from Python, and in one loop."""

    stepped: float
    looped: float


@numba.njit(error_model="numpy")
def _step_all(tables, joints, bulks, pins, params, gravity, q, v, active, ticks):
    """Advance the states q [m], v [m/s], shape (worlds, nodes, 3), in place, as solver.step does without inputs."""
    bodies = active.shape[0]
    for _ in range(ticks):
        for world in range(q.shape[0]):
            parts = count_substeps(bulks, active, q[world], v[world], params[0].dt, params[0].dhat)
            own = params[parts - 1]
            for _ in range(parts):
                coast = q[world] + own.dt * v[world]
                predicted = coast + own.dt * own.dt * gravity
                impulses = np.zeros((bodies + 1, bodies + 1, 3))
                points = np.zeros((bodies + 1, bodies + 1, 3))
                moved = minimise_potential(
                    tables,
                    joints,
                    pins,
                    pins.body.shape[0],
                    own,
                    q[world],
                    predicted,
                    coast,
                    active,
                    impulses,
                    points,
                )[0]
                v[world] = (moved - q[world]) / own.dt
                q[world] = moved


def measure_one_loop(worlds: int) -> LoopRates:
    """Step ``worlds`` duels of two bodies that meet both ways. Both end in the same positions."""
    simulation = Episode.start(make_spec("duel", ("cobble", "marl"), 3, {})).simulation
    model, first = simulation._world.model, simulation._world.state
    states = []
    for number in range(worlds):
        v = np.zeros_like(first.v)
        speed = 1.5 + 0.1 * number
        v[0], v[4] = (first.q[4] - first.q[0]) * speed, (first.q[0] - first.q[4]) * speed
        states.append(dataclasses.replace(first, v=v))
    control = Control(drag=-model.damping)
    most = model.scene.max_iterations
    params = tuple(_parameters(model, model.dt / (parts + 1), most, 2 * most) for parts in range(16))
    found: dict[str, list[float]] = {"stepped": [], "looped": []}
    for run in range(ROUNDS + 1):  # the first one compiles
        began = time.process_time()
        ends = list(states)
        for _ in range(TICKS):
            ends = [step(model, state, control)[0] for state in ends]
        stepped = time.process_time() - began
        q, v = (np.array([getattr(state, name) for state in states]) for name in ("q", "v"))
        began = time.process_time()
        _step_all(
            model.tables,
            model.joint_arrays,
            model.bulks,
            model.pins,
            params,
            model.gravity,
            q,
            v,
            first.active,
            TICKS,
        )
        looped = time.process_time() - began
        assert np.array_equal(q, [state.q for state in ends]), "both ways compute the same positions"
        if run:
            found["stepped"].append(worlds * TICKS / stepped)
            found["looped"].append(worlds * TICKS / looped)
    return LoopRates(*(float(np.median(rates)) for rates in found.values()))
