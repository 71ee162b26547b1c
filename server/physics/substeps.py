"""How many parts a tick is solved in, so that bodies which collide end on their own side.

Every accepted step is free of collision, but its minimum may lie behind the other body: inertia takes both there, and
the iterates walk around. A part of a tick is therefore so short that no two bodies approach by more than APPROACH of
their widths.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.jit import kernel
from tussle.server.physics.kernel_arrays import AFFINE

__all__ = ["SUBSTEPS_MAX", "count_substeps"]

APPROACH = 0.1
"""How far two bodies may approach in one part of a tick, in units of the sum of their widths."""
SUBSTEPS_MAX = 16
"""The most parts of a tick. Bodies that approach faster than SUBSTEPS_MAX * APPROACH widths a tick may pass around one
another."""


@kernel
def count_substeps(bodies, active, q, v, dt, dhat):
    """Return the number of parts of a tick of dt [s], 1 to SUBSTEPS_MAX.

    bodies: Bulks. q [m], v [m/s]: of the nodes, shape (nodes, 3). Bodies that do not meet in this tick do not count.
    """
    count = bodies.kind.shape[0]
    centre = np.zeros((count, 3))
    speed = np.zeros((count, 3))
    for a in range(count):
        if bodies.kind[a] == AFFINE:
            for k in range(3):
                centre[a, k] = q[bodies.node_start[a], k]
                speed[a, k] = v[bodies.node_start[a], k]
            continue
        total = 0.0
        for n in range(bodies.node_start[a], bodies.node_start[a + 1]):
            total += bodies.node_mass[n]
            for k in range(3):
                centre[a, k] += bodies.node_mass[n] * q[n, k]
                speed[a, k] += bodies.node_mass[n] * v[n, k]
        for k in range(3):
            centre[a, k] /= total
            speed[a, k] /= total
    parts = 1.0
    for a in range(count):
        if not active[a]:
            continue
        for b in range(a + 1, bodies.width.shape[0]):
            if b < count and not active[b]:
                continue
            reach = bodies.radius[a] + dhat
            square, approach = 0.0, 0.0
            if b < count:
                reach += bodies.radius[b]
                for k in range(3):
                    way = centre[b, k] - centre[a, k]
                    square += way * way
                    approach += way * (speed[a, k] - speed[b, k])
            else:
                for k in range(3):
                    nearest = min(max(centre[a, k], bodies.low[b, k]), bodies.high[b, k])
                    way = nearest - centre[a, k]
                    square += way * way
                    approach += way * speed[a, k]
            if approach <= 0.0:
                continue
            distance = math.sqrt(square)
            approach *= dt / distance
            if distance - reach < approach:
                parts = max(parts, approach / (APPROACH * (bodies.width[a] + bodies.width[b])))
    if not parts < SUBSTEPS_MAX:
        return SUBSTEPS_MAX
    return math.ceil(parts)
