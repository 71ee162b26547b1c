"""Time integration: implicit Euler, and BDF2 as a scene's choice.

Both minimise the incremental potential about a predicted position. BDF2 (Curtiss and Hirschfelder 1952) is

    x' = 4/3 x - 1/3 x_past + 2/3 h v',    v' = 4/3 v - 1/3 v_past + 2/3 h a'

so its predicted position has the past one, and the inertia in the potential is (3/2)^2 times that of implicit Euler.
The past belongs to the state. It is one tick of the scene's dt before the state; where a tick is divided into parts, or
a body is moved or pushed from outside, it is replaced by what the motion since would have been.

A collision has no second derivative: BDF2 would throw the bodies back by half of their speed, whatever they are made
of. A body that collides in a step is therefore advanced by implicit Euler in this step, and its past begins again.
"""

from __future__ import annotations

import numpy as np

from tussle.server.physics.geometry import Ints
from tussle.server.physics.kernel_arrays import AFFINE, Tables
from tussle.server.physics.world_state import Bools, Floats, State

__all__ = ["carry_past", "free_past", "measure_velocities", "predict_second_order", "weigh", "with_past"]

INERTIA = 2.25
"""The inertia of BDF2 in a step, in units of that of implicit Euler: 1 / (2/3)^2."""


def free_past(tables: Tables, gravity: Floats, q: Floats, v: Floats, h: float) -> tuple[Floats, Floats]:
    """Return where nodes were a time h [s] ago if bodies fall and turn freely, and their velocities: q [m], v [m/s].

    An affine body that turns has A'' = A' A^-1 A': its rows accelerate towards its centre.
    """
    pull = gravity.copy()
    rows = tables.node_start[:-1][tables.kind == AFFINE][:, None] + np.arange(1, 4)
    x, y, z = np.moveaxis(q[rows], 1, 0)
    inverse = np.stack([np.cross(y, z), np.cross(z, x), np.cross(x, y)], axis=2)
    inverse /= np.einsum("bk,bk->b", x, np.cross(y, z))[:, None, None]
    pull[rows] += np.einsum("bij,bjk,bkm->bim", v[rows], inverse, v[rows])
    return q - h * v + 0.5 * h * h * pull, v - h * pull


def with_past(state: State, tables: Tables, gravity: Floats, h: float) -> State:
    """Return a state with a past of its own: all bodies fall and turn freely, and none collides."""
    q, v = free_past(tables, gravity, state.q, state.v, h)
    return State(state.q, state.v, state.active, state.tick, state.broken, q, v, np.zeros_like(state.active))


def carry_past(
    state: State, q: Floats, v: Floats, h: float, rest: Bools | None = None
) -> tuple[Floats, Floats]:
    """Return the past of a state whose nodes were moved to q [m] and pushed to v [m/s]: its accelerations are kept.

    rest (nodes,): nodes that are at rest there. Without a past, both are empty.
    """
    if not len(state.q_past):
        return state.q_past, state.v_past
    push = v - state.v
    q_past, v_past = state.q_past + (q - state.q) - h * push, state.v_past + push
    if rest is not None:
        q_past[rest], v_past[rest] = q[rest], 0.0
    return q_past, v_past


def predict_second_order(
    state: State, second: Bools, decay: Floats, gravity: Floats, h: float, coast: Floats, predicted: Floats
) -> None:
    """Replace the positions that ``predict_positions`` returned [m] by those of BDF2, of the nodes ``second`` (nodes,).

    decay (nodes,): factor of the velocities in a step of h [s]. gravity [m/s^2], shape (nodes, 3).
    """
    v = (4.0 * state.v[second] - state.v_past[second]) / 3.0 * (decay[second] ** (2.0 / 3.0))[:, None]
    coast[second] = (4.0 * state.q[second] - state.q_past[second]) / 3.0 + (2.0 * h / 3.0) * v
    predicted[second] = coast[second] + (h * h / INERTIA) * gravity[second]


def measure_velocities(state: State, second: Bools | None, q: Floats, h: float) -> Floats:
    """Return the velocities [m/s] after a step of h [s] to q [m]; by BDF2 those of the nodes ``second`` (nodes,)."""
    v = np.asarray((q - state.q) / h)
    if second is not None:
        v[second] = (3.0 * q[second] - 4.0 * state.q[second] + state.q_past[second]) / (2.0 * h)
    return v


def weigh(tables: Tables, bodies: Bools, nodes: Ints) -> Tables:
    """Return the tables with the inertia of BDF2 for some bodies (b,). nodes (b + 1,): range of each body."""
    factor = np.where(bodies, INERTIA, 1.0)
    return tables._replace(
        mass=tables.mass * factor[:, None, None],
        node_mass=tables.node_mass * np.repeat(factor, np.diff(nodes)),
    )
