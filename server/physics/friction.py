"""Smoothed Coulomb friction with lagged normal forces.

Li et al. 2020, section 5: the potential mu * lambda * f0(|u|) of the tangential displacement u since the start of the
step. f0' = f1 rises smoothly from 0 to 1 over eps = eps_v * dt. The smoothing speed eps_v [m/s] (``friction_speed`` of
a scene) separates static from sliding friction. Normals and normal forces lambda are lagged: they are those of the
start of the step. This makes friction an energy that the line search can descend. The price is that a body on a slope
creeps at less than eps_v where it should stick.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

from tussle.server.physics.jit import kernel

__all__ = ["friction_derivatives", "friction_energy"]


@kernel
def friction_derivatives(y, eps):
    """Return f0(y), f1(y) / y and f1'(y) for the tangential displacement y >= 0 [m]."""
    if y < eps:
        return (
            y * y / eps * (1.0 - y / (3.0 * eps)) + eps / 3.0,
            (2.0 - y / eps) / eps,
            2.0 * (1.0 - y / eps) / eps,
        )
    return y, 1.0 / y, 0.0


@kernel
def friction_energy(lag, order, begin, end, x, start, eps):
    """Return the sum of force * f0(|u|) over the lagged contacts order[begin:end].

    lag: Lagged. start: positions at the start of the step [m], shape (v, 3).
    """
    energy = 0.0
    for place in range(begin, end):
        r = order[place]
        ux = uy = uz = 0.0
        for q in range(4):
            w, v = lag.weights[r, q], lag.rows[r, q]
            ux += w * (x[v, 0] - start[v, 0])
            uy += w * (x[v, 1] - start[v, 1])
            uz += w * (x[v, 2] - start[v, 2])
        along = ux * lag.normals[r, 0] + uy * lag.normals[r, 1] + uz * lag.normals[r, 2]
        y = math.sqrt(max(0.0, ux * ux + uy * uy + uz * uz - along * along))
        f0, _, _ = friction_derivatives(y, eps)
        energy += lag.force[r] * f0
    return energy
