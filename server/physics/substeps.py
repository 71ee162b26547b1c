"""How many substeps a tick takes, from the speeds and widths of the bodies.

The minimiser of one step knows nothing of the path. If a body's predicted position is beyond another body, iterates may
walk around that body, free of collision all the way. So no body may move, in one substep and relative to another one
that it may meet, by more than their half widths together: then its target is not yet on the far side.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.jit import kernel
from tussle.server.physics.kernel_arrays import AFFINE
from tussle.server.physics.world_state import Floats

__all__ = ["SUBSTEPS_MAX", "half_width", "plan_tick"]

SUBSTEPS_MAX = 8
"""Most substeps of a tick."""
ASIDE = 0.70710678118654752
"""Sines and cosines of 45 degrees: the Frobenius norm of a small turn is its angle over this."""


def half_width(rest: Floats) -> float:
    """Return half of the smallest width of points, (n, 3) [m], over 13 directions. Each operation is exact or rounded
    once, so it is the same on all machines.
    """
    x, y, z = rest[:, 0], rest[:, 1], rest[:, 2]
    edges = (x + y, x - y, y + z, y - z, z + x, z - x)
    corners = (x + y + z, x + y - z, x - y + z, x - y - z)
    wide = [float(np.ptp(a)) for a in (x, y, z)]
    wide += [float(np.ptp(a)) * ASIDE for a in edges]
    wide += [float(np.ptp(a)) * math.sqrt(1.0 / 3.0) for a in corners]
    return 0.5 * min(wide)


@kernel
def plan_tick(kind, node_start, active, q, predicted, pulled, radius, half, low, high):
    """Return the number of substeps of a tick, 1 to SUBSTEPS_MAX, and how far from the origin the world reaches [m].

    kind, node_start: of Tables. active (b,). q, predicted (nodes, 3): positions before the tick, and after it without
    contact [m]. pulled (b,): how much farther a handle may pull a body [m]. radius, half (b,): bounding radii and half
    widths [m]. low, high (s, 3): boxes of the obstacles [m].
    """
    bodies = kind.shape[0]
    most = 1.0
    reach = 0.0
    for s in range(low.shape[0]):
        for k in range(3):
            reach = max(reach, max(abs(low[s, k]), abs(high[s, k])))
    centre = np.zeros((bodies, 3))
    around = np.zeros(bodies)
    shift = np.zeros((bodies, 3))
    aside = np.zeros(bodies)
    for b in range(bodies):
        if not active[b]:
            continue
        first, last = node_start[b], node_start[b + 1]
        if kind[b] == AFFINE:
            turn = 0.0
            for k in range(3):
                centre[b, k] = q[first, k]
                shift[b, k] = predicted[first, k] - q[first, k]
                for i in range(1, 4):
                    change = predicted[first + i, k] - q[first + i, k]
                    turn += change * change
            around[b] = radius[b]
            aside[b] = ASIDE * radius[b] * math.sqrt(turn) + pulled[b]
        else:
            for n in range(first, last):
                for k in range(3):
                    centre[b, k] += q[n, k] / (last - first)
                    shift[b, k] += (predicted[n, k] - q[n, k]) / (last - first)
            for n in range(first, last):
                out = 0.0
                own = 0.0
                for k in range(3):
                    offset = q[n, k] - centre[b, k]
                    change = predicted[n, k] - q[n, k] - shift[b, k]
                    out += offset * offset
                    own += change * change
                around[b] = max(around[b], math.sqrt(out))
                aside[b] = max(aside[b], math.sqrt(own))
            aside[b] += pulled[b]
    for b in range(bodies):
        if active[b]:
            for k in range(3):
                at = max(abs(centre[b, k]), abs(centre[b, k] + shift[b, k]))
                reach = max(reach, at + around[b] + aside[b])
    for b in range(bodies):
        if not active[b]:
            continue
        travel = aside[b] + math.sqrt(shift[b, 0] ** 2 + shift[b, 1] ** 2 + shift[b, 2] ** 2)
        if travel > most * half[b]:
            for s in range(low.shape[0]):
                near = True
                margin = around[b] + aside[b]
                for k in range(3):
                    near = (
                        near
                        and centre[b, k] + min(shift[b, k], 0.0) - margin < high[s, k]
                        and centre[b, k] + max(shift[b, k], 0.0) + margin > low[s, k]
                    )
                if near:
                    most = max(most, travel / half[b])
        for a in range(b):
            if not active[a]:
                continue
            square = 0.0
            for k in range(3):
                square += (shift[a, k] - shift[b, k]) ** 2
            travel = math.sqrt(square) + aside[a] + aside[b]
            if travel <= most * (half[a] + half[b]):
                continue
            margin = around[a] + around[b] + aside[a] + aside[b]
            near = True
            for k in range(3):
                apart = centre[a, k] - centre[b, k]
                after = apart + shift[a, k] - shift[b, k]
                near = near and min(apart, after) < margin and max(apart, after) > -margin
            if near:
                most = max(most, travel / (half[a] + half[b]))
    return math.ceil(min(most, float(SUBSTEPS_MAX))), reach
