"""The barrier: its value and derivatives, the mollifier of nearly parallel edges, and sums over candidate pairs.

Li et al. 2020, "Incremental Potential Contact", with the barrier as a function of the squared distance s = d^2 and D =
dhat^2: b(s) = -(s - D)^2 ln(s / D). It is C2, zero from dhat on, and infinite at zero distance. Its Hessian is in
contact_curvature.py. The line search measures the exact energy, so the guarantee of no intersection does not depend on
the Hessian.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.distance import EDGE_EDGE, closest, pair_travel
from tussle.server.physics.jit import kernel

__all__ = [
    "add_mollifier_gradient",
    "barrier",
    "barrier_force",
    "contact_energy",
    "measure_distances",
    "mollifier",
    "mollifier_bend",
]

PARALLEL = 1e-3
"""Edges are nearly parallel below this squared sine of their angle, at rest lengths (Li et al. 2020, section 6)."""


@kernel
def barrier(s, limit):
    """Return b, db/ds and d2b/ds2 at the squared distance s [m^2] for limit = dhat^2."""
    log = math.log(s / limit)
    gap = s - limit
    ratio = gap / s
    return -gap * gap * log, -2.0 * gap * log - gap * ratio, -2.0 * log - 4.0 * ratio + ratio * ratio


def barrier_force(distance: float, dhat: float) -> float:
    """Return |db/dd| at a distance [m]. A force divided by it is a barrier stiffness."""
    _, slope, _ = barrier(distance * distance, dhat * dhat)
    return abs(2.0 * distance * float(slope))


@kernel
def mollifier(x, rest, i, j, k, m):
    """Return m and dm/dc for the edge pair (i, j), (k, m) with c = |u x v|^2; 1 and 0 unless the edges are nearly
    parallel.

    Without it the gradient of the distance jumps where two edges become parallel.
    """
    ux, uy, uz = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
    vx, vy, vz = x[m, 0] - x[k, 0], x[m, 1] - x[k, 1], x[m, 2] - x[k, 2]
    px, py, pz = rest[j, 0] - rest[i, 0], rest[j, 1] - rest[i, 1], rest[j, 2] - rest[i, 2]
    qx, qy, qz = rest[m, 0] - rest[k, 0], rest[m, 1] - rest[k, 1], rest[m, 2] - rest[k, 2]
    edge = PARALLEL * (px * px + py * py + pz * pz) * (qx * qx + qy * qy + qz * qz)
    uv = ux * vx + uy * vy + uz * vz
    c = (ux * ux + uy * uy + uz * uz) * (vx * vx + vy * vy + vz * vz) - uv * uv
    if c >= edge:
        return 1.0, 0.0
    c = max(c, 0.0)
    return c / edge * (2.0 - c / edge), 2.0 / edge * (1.0 - c / edge)


@kernel
def mollifier_bend(rest, i, j, k, m):
    """Return -d2m/dc2 of the mollifier of an edge pair that is nearly parallel."""
    px, py, pz = rest[j, 0] - rest[i, 0], rest[j, 1] - rest[i, 1], rest[j, 2] - rest[i, 2]
    qx, qy, qz = rest[m, 0] - rest[k, 0], rest[m, 1] - rest[k, 1], rest[m, 2] - rest[k, 2]
    edge = PARALLEL * (px * px + py * py + pz * pz) * (qx * qx + qy * qy + qz * qz)
    return 2.0 / (edge * edge)


@kernel
def add_mollifier_gradient(x, i, j, k, m, factor, force):
    """Add factor * dc/dx to ``force``, shape (n, 3), for c of the mollifier."""
    ux, uy, uz = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
    vx, vy, vz = x[m, 0] - x[k, 0], x[m, 1] - x[k, 1], x[m, 2] - x[k, 2]
    uu = ux * ux + uy * uy + uz * uz
    vv = vx * vx + vy * vy + vz * vz
    uv = ux * vx + uy * vy + uz * vz
    for axis in range(3):
        u = x[j, axis] - x[i, axis]
        v = x[m, axis] - x[k, axis]
        du = 2.0 * factor * (vv * u - uv * v)
        dv = 2.0 * factor * (uu * v - uv * u)
        force[i, axis] -= du
        force[j, axis] += du
        force[k, axis] -= dv
        force[m, axis] += dv


@kernel
def measure_distances(pairs, x, dhat, bound, weights):
    """Fill ``bound`` with the distances of the pairs at x [m], and ``weights`` with those of their closest points.

    A distance from dhat on is written as at least dhat.
    """
    limit = dhat * dhat
    for p in range(pairs.shape[0]):
        s, w0, w1, w2, w3 = closest(x, pairs[p, 0], pairs[p, 1], pairs[p, 2], pairs[p, 3], pairs[p, 4])
        bound[p] = math.sqrt(s) if s < limit else max(math.sqrt(s), dhat)
        weights[p, 0] = w0
        weights[p, 1] = w1
        weights[p, 2] = w2
        weights[p, 3] = w3


@kernel
def contact_energy(c, begin, end, x, rest, travel, share, dhat):
    """Return the sum of the mollified barriers of the pairs begin..end-1 at x [J s^2]; inf if a pair touches.

    c: Pairs; its bounds hold at the iterate, from which each vertex has moved by share * travel [m]. A pair that
    cannot have come within dhat is not measured. new_bound and new_weights receive the measured distances and weights.
    """
    energy = 0.0
    limit = dhat * dhat
    for p in range(begin, end):
        kind, i, j, k, m = c.pairs[p, 0], c.pairs[p, 1], c.pairs[p, 2], c.pairs[p, 3], c.pairs[p, 4]
        low = c.bound[p] - share * pair_travel(travel, kind, i, j, k, m)
        if low < dhat:
            s, w0, w1, w2, w3 = closest(x, kind, i, j, k, m)
            low = math.sqrt(s) if s < limit else max(math.sqrt(s), dhat)
            if s < limit:
                if s <= 0.0:
                    return np.inf
                b, _, _ = barrier(s, limit)
                if kind == EDGE_EDGE:
                    scale, _ = mollifier(x, rest, i, j, k, m)
                    b *= scale
                energy += c.kappa[p] * b
                c.new_weights[p, 0] = w0
                c.new_weights[p, 1] = w1
                c.new_weights[p, 2] = w2
                c.new_weights[p, 3] = w3
        c.new_bound[p] = low
    return energy
