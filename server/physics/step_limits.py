"""The largest step of a line search: additive continuous collision detection (CCD), and the inversion filter.

Additive CCD (Li, Kaufman and Jiang 2021, "Codimensional Incremental Potential Contact", algorithm 1) advances by the
distance divided by the fastest approach until the time of impact is near. It is conservative and needs no root
finding. Here it advances farther where the plane that separates the two primitives allows it: while all vertices of
one stay ahead of those of the other along its normal, they cannot meet, however fast they slide. Each pair keeps a
fraction DISTANCE_KEEP of its distance. The inversion filter keeps the sign of every volume: of tetrahedra, and of the
affine map of an affine body.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.distance import POINT_FACE, closest, pair_travel
from tussle.server.physics.jit import kernel

__all__ = ["collision_free_step", "inversion_free_step"]

DISTANCE_KEEP = 0.1
"""The fraction of its distance that a pair keeps at least in one line search."""
FLOOR_KEEP = 0.999
"""The fraction of its distance that a pair below the floor keeps at least in one line search."""
NEAR_KEEP = 1.5
"""How near a pair must come to the distance that it keeps, in units of it, before its time of impact is taken."""
VOLUME_KEEP = 0.1
"""The fraction of its volume that a tetrahedron keeps at least in one line search."""
MAX_ADVANCES = 200
"""The most advances of one pair. A pair that reaches it has a shorter step, which is still free of collision."""


@kernel
def collision_free_step(pairs, begin, end, x, target, travel, bound, floor):
    """Return a step t in [0, 1] at which x + t (target - x) has no pair below DISTANCE_KEEP of its distance.

    travel: |target - x| of each vertex [m]. bound: lower bounds on the distances of the pairs at x [m]. t is a lower
    bound on the time of impact (toi) of all pairs begin..end-1. floor [m]: a pair that is farther apart does not come
    nearer than it; a pair that rounding has brought nearer keeps FLOOR_KEEP of its distance.
    """
    end_t = 1.0
    y = np.empty((4, 3))
    d = np.empty((4, 3))
    norm = np.empty(4)
    normal = np.empty(3)
    gap = np.empty(4)
    rate = np.empty(4)
    for p in range(begin, end):
        kind, i, j, k, m = pairs[p, 0], pairs[p, 1], pairs[p, 2], pairs[p, 3], pairs[p, 4]
        if (
            pair_travel(travel, kind, i, j, k, m) * end_t <= (1.0 - DISTANCE_KEEP) * bound[p]
            and DISTANCE_KEEP * bound[p] >= floor
        ):
            continue
        for axis in range(3):
            mean = 0.0
            for q in range(4):
                v = pairs[p, q + 1]
                y[q, axis] = x[v, axis]
                d[q, axis] = target[v, axis] - x[v, axis]
                mean += 0.25 * d[q, axis]
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
        s, w0, w1, w2, w3 = closest(y, kind, 0, 1, 2, 3)
        distance = math.sqrt(s)
        keep = max(DISTANCE_KEEP * distance, min(floor, FLOOR_KEEP * distance))
        firsts = 1 if kind == POINT_FACE else 2
        t = 0.0
        for _ in range(MAX_ADVANCES):
            # Until the separating plane that is normal to the line of the closest points lets them come nearer.
            for axis in range(3):
                normal[axis] = w0 * y[0, axis] + w1 * y[1, axis] + w2 * y[2, axis] + w3 * y[3, axis]
            for q in range(4):
                gap[q] = normal[0] * y[q, 0] + normal[1] * y[q, 1] + normal[2] * y[q, 2]
                rate[q] = normal[0] * d[q, 0] + normal[1] * d[q, 1] + normal[2] * d[q, 2]
            advance = end_t
            for q in range(firsts):
                for r in range(firsts, 4):
                    closing = rate[r] - rate[q]
                    if closing > 0.0:
                        advance = min(advance, (gap[q] - gap[r] - keep * distance) / closing)
            advance = max(advance, (distance - keep) / speed)
            if t + advance >= end_t:
                t = end_t
                break
            t += advance
            for q in range(4):
                for axis in range(3):
                    y[q, axis] += advance * d[q, axis]
            before = distance
            s, w0, w1, w2, w3 = closest(y, kind, 0, 1, 2, 3)
            distance = math.sqrt(s)
            if distance <= before and (distance < NEAR_KEEP * keep or advance < 1e-9):
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
