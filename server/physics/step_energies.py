"""The energies that a step reports of its end: pins, barriers, friction. The potential itself is in potential.py."""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

from tussle.server.physics.barrier import barrier, mollifier
from tussle.server.physics.distance import EDGE_EDGE
from tussle.server.physics.friction import friction_derivatives
from tussle.server.physics.jit import kernel
from tussle.server.physics.spring_forces import spring_energy

__all__ = ["measure_energies"]


@kernel
def measure_energies(t, springs, pins, params, c, lag, active, q, x, start):
    """Return the energy of the first ``pins`` springs at q, the barrier energy at x, and the work that friction did
    from ``start`` to x, shape (v, 3) [J].

    The step minimises potentials times dt^2, so contact terms are divided by it.
    """
    held = 0.0
    for m in range(pins):
        if active[springs.body[m]]:
            held += spring_energy(springs, m, q)
    contact = 0.0
    limit = params.dhat * params.dhat
    for p in range(c.pairs.shape[0]):
        square = c.bound[p] * c.bound[p]
        if square < limit and square > 0.0:
            b, _, _ = barrier(square, limit)
            if c.pairs[p, 0] == EDGE_EDGE:
                scale, _ = mollifier(x, t.rest, c.pairs[p, 1], c.pairs[p, 2], c.pairs[p, 3], c.pairs[p, 4])
                b *= scale
            contact += c.kappa[p] * b
    work = 0.0
    for r in range(lag.force.shape[0]):
        ux = uy = uz = 0.0
        for k in range(4):
            w, v = lag.weights[r, k], lag.rows[r, k]
            ux += w * (x[v, 0] - start[v, 0])
            uy += w * (x[v, 1] - start[v, 1])
            uz += w * (x[v, 2] - start[v, 2])
        along = ux * lag.normals[r, 0] + uy * lag.normals[r, 1] + uz * lag.normals[r, 2]
        square = max(0.0, ux * ux + uy * uy + uz * uz - along * along)
        _, ratio, _ = friction_derivatives(math.sqrt(square), params.friction_eps)
        work += lag.force[r] * ratio * square
    return held, contact / (params.dt * params.dt), work / (params.dt * params.dt)
