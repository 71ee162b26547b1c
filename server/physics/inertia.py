"""The motion of all nodes without forces of bodies: where inertia and gravity take them, and the energies of it."""

# mypy: allow-untyped-defs

from __future__ import annotations

from tussle.server.physics.jit import kernel
from tussle.server.physics.kernel_arrays import AFFINE

__all__ = ["measure_motion", "predict_positions"]


@kernel
def predict_positions(node_start, active, decay, gravity, q, v, h):
    """Return where the nodes coast to in a step of h [s], and where they fall to [m]: two arrays of shape (nodes, 3).

    node_start (bodies + 1,). active (bodies,): others stay where they are. decay (bodies,): factor of the velocities.
    gravity: acceleration of each node [m/s^2]. q [m], v [m/s]: shape (nodes, 3).
    """
    coast, predicted = q.copy(), q.copy()
    for b in range(active.shape[0]):
        if not active[b]:
            continue
        for n in range(node_start[b], node_start[b + 1]):
            for k in range(3):
                coast[n, k] = q[n, k] + h * (v[n, k] * decay[b])
                predicted[n, k] = coast[n, k] + h * h * gravity[n, k]
    return coast, predicted


@kernel
def measure_motion(kind, node_start, mass, node_mass, gravity, free, q, v):
    """Return the kinetic energy and that of gravity, which is zero at the origin [J].

    kind, node_start, mass, node_mass: as in Tables. gravity [m/s^2], shape (3,). free (bodies,): the bodies that
    count. q [m], v [m/s]: shape (nodes, 3).
    """
    kinetic = potential = 0.0
    for b in range(free.shape[0]):
        if not free[b]:
            continue
        first = node_start[b]
        if kind[b] == AFFINE:
            for i in range(4):
                for j in range(4):
                    product = 0.0
                    for k in range(3):
                        product += v[first + i, k] * v[first + j, k]
                    kinetic += 0.5 * mass[b, i, j] * product
            for k in range(3):
                potential -= mass[b, 0, 0] * q[first, k] * gravity[k]
            continue
        for n in range(first, node_start[b + 1]):
            for k in range(3):
                kinetic += 0.5 * node_mass[n] * v[n, k] * v[n, k]
                potential -= node_mass[n] * q[n, k] * gravity[k]
    return kinetic, potential
