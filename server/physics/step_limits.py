"""The largest step of a line search: additive continuous collision detection (CCD), and the inversion filter.

Additive CCD (Li, Kaufman and Jiang 2021, "Codimensional Incremental Potential Contact", algorithm 1) advances by the
distance divided by the fastest approach until the time of impact is near. It is conservative and needs no root
finding. Each pair keeps a fraction DISTANCE_KEEP of its distance, and never comes below the floor: distances count from
there, because below it rounding decides on which side a vertex is. The inversion filter keeps the sign of every volume:
of tetrahedra, of the mean deformation of patches, and of the affine map of an affine body.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.distance import POINT_FACE, closest, pair_travel
from tussle.server.physics.jit import kernel

__all__ = ["FLOOR", "collision_free_step", "inversion_free_step"]

DISTANCE_KEEP = 0.1
"""The fraction of its distance that a pair keeps at least in one line search."""
FLOOR = 1e-12
"""The smallest distance of a pair, in units of its largest coordinate: some 4,000 roundings of a float64."""
NEAR_FLOOR = 1e-6
"""From this distance on [m] the floor is not looked at: it is the floor at a coordinate of 1,000 km."""
VOLUME_KEEP = 0.1
"""The fraction of its volume that a tetrahedron keeps at least in one line search."""
MAX_ADVANCES = 200
"""The most advances of one pair. A pair that reaches it has a shorter step, which is still free of collision."""


@kernel
def collision_free_step(pairs, begin, end, x, target, travel, bound):
    """Return a step t in [0, 1] at which x + t (target - x) has no pair below DISTANCE_KEEP of its distance.

    travel: |target - x| of each vertex [m]. bound: lower bounds on the distances of the pairs at x [m]. t is a lower
    bound on the time of impact (toi) of all pairs begin..end-1.
    """
    end_t = 1.0
    y = np.empty((4, 3))
    d = np.empty((4, 3))
    norm = np.empty(4)
    for p in range(begin, end):
        kind, i, j, k, m = pairs[p, 0], pairs[p, 1], pairs[p, 2], pairs[p, 3], pairs[p, 4]
        moved = pair_travel(travel, kind, i, j, k, m) * end_t
        if moved <= (1.0 - DISTANCE_KEEP) * bound[p] and bound[p] - moved > NEAR_FLOOR:
            continue
        floor = 0.0
        for axis in range(3):
            mean = 0.0
            for q in range(4):
                v = pairs[p, q + 1]
                y[q, axis] = x[v, axis]
                d[q, axis] = target[v, axis] - x[v, axis]
                mean += 0.25 * d[q, axis]
                floor = max(floor, FLOOR * (abs(y[q, axis]) + abs(d[q, axis])))
            for q in range(4):
                d[q, axis] -= mean
        for q in range(4):
            norm[q] = math.sqrt(d[q, 0] * d[q, 0] + d[q, 1] * d[q, 1] + d[q, 2] * d[q, 2])
        if kind == POINT_FACE:
            speed = norm[0] + max(norm[1], max(norm[2], norm[3]))
        else:
            speed = max(norm[0], norm[1]) + max(norm[2], norm[3])
        if speed <= 0.0:
            continue
        s, _, _, _, _ = closest(y, kind, 0, 1, 2, 3)
        distance = math.sqrt(s) - floor
        if distance <= 0.0:
            return 0.0
        keep = DISTANCE_KEEP * distance
        t = 0.0
        advance = (1.0 - DISTANCE_KEEP) * distance / speed
        for _ in range(MAX_ADVANCES):
            if t + advance >= end_t:
                t = end_t
                break
            for q in range(4):
                for axis in range(3):
                    y[q, axis] += advance * d[q, axis]
            s, _, _, _, _ = closest(y, kind, 0, 1, 2, 3)
            distance = math.sqrt(s) - floor
            if t > 0.0 and distance < keep:
                break
            t += advance
            advance = 0.9 * distance / speed
            if advance < 1e-9:
                break
        end_t = min(end_t, t)
    return end_t


@kernel
def _det(a, b, c):
    """Return the determinant of the matrix with the rows a, b, c."""
    return (
        a[0] * (b[1] * c[2] - b[2] * c[1])
        - a[1] * (b[0] * c[2] - b[2] * c[0])
        + a[2] * (b[0] * c[1] - b[1] * c[0])
    )


@kernel
def _first_root(a, b, c, d):
    """Return the smallest t in (0, 1] from which a t^3 + b t^2 + c t + d, with d > 0, is not positive; 1 if there is
    none.

    The interval is cut at the extrema. A bracketed root is found by bisection, and its lower side returned.
    """
    if abs(a) + abs(b) + abs(c) < d:
        return 1.0
    first, second = 1.0, 1.0
    if abs(a) > 1e-14:
        disc = b * b - 3.0 * a * c
        if disc > 0.0:
            root = math.sqrt(disc)
            first, second = (-b - root) / (3.0 * a), (-b + root) / (3.0 * a)
            if first > second:
                first, second = second, first
    elif abs(b) > 1e-14:
        first = -c / (2.0 * b)
    low = 0.0
    for stop in (first, second, 1.0):
        if stop <= low or stop > 1.0:
            continue
        if ((a * stop + b) * stop + c) * stop + d <= 0.0:
            high = stop
            for _ in range(50):
                middle = 0.5 * (low + high)
                if ((a * middle + b) * middle + c) * middle + d > 0.0:
                    low = middle
                else:
                    high = middle
            return low
        low = stop
    return 1.0


@kernel
def inversion_free_step(rows, steps):
    """Return a step t in (0, 1] at which det(rows + t steps) is above VOLUME_KEEP of its value; both (3, 3)."""
    a, b, c = rows[0], rows[1], rows[2]
    u, v, w = steps[0], steps[1], steps[2]
    volume = _det(a, b, c)
    linear = _det(u, b, c) + _det(a, v, c) + _det(a, b, w)
    square = _det(u, v, c) + _det(u, b, w) + _det(a, v, w)
    cube = _det(u, v, w)
    return _first_root(cube / volume, square / volume, linear / volume, 1.0 - VOLUME_KEEP)
