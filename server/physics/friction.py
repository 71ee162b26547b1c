"""Smoothed Coulomb friction with lagged normal forces.

Li et al. 2020, section 5: the potential mu * lambda * f0(|u|) of the tangential displacement u since the start of the
step. f0' = f1 rises smoothly from 0 to 1 over eps = eps_v * dt. The smoothing speed eps_v [m/s] (``friction_speed`` of
a scene) separates static from sliding friction. Normals and normal forces lambda are lagged: they are those of the
start of the step. This makes friction an energy that the line search can descend. The price is that a body on a slope
creeps at less than eps_v where it should stick.

The Hessian follows Chan, Golub and Mulet 1999, "A nonlinear primal-dual method for total variation-based image
restoration". Newton's own one has no curvature along the slip of a sliding contact. Its step then takes a contact that
ought to stop far to the other side, where the friction is the opposite one, and many contacts together hardly move.
Here the friction of each contact is an unknown of its own: the pull p, |p| <= 1, with w(|u|) p = u, w(y) = y / f1(y).
Linearised,

    p + dp = (u + du - w' (u.du / |u|) p) / w,

which gives the Hessian (1 - w' (p u^T + u p^T) / (2 |u|)) / w. It is positive semidefinite for |p| <= 1; it is Newton's
where p = u / w, and resists a slip that the pulls of the iterations before do not confirm.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.jit import borrow, inlined, kernel

__all__ = ["friction_derivatives", "friction_energy", "update_pulls", "width_slope"]


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
def width_slope(y, ratio, eps):
    """Return the derivative of y / f1(y), for ratio = f1(y) / y."""
    return 1.0 if y >= eps else 1.0 / (ratio * eps) ** 2


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


@inlined
def _slip(lag, r, x, start, u):
    """Write the tangential displacement of a contact since the start of the step [m] into u. Returns its length."""
    along = 0.0
    for a in range(3):
        u[a] = 0.0
        for q in range(4):
            v = lag.rows[r, q]
            u[a] += lag.weights[r, q] * (x[v, a] - start[v, a])
        along += u[a] * lag.normals[r, a]
    square = 0.0
    for a in range(3):
        u[a] -= along * lag.normals[r, a]
        square += u[a] * u[a]
    return math.sqrt(square)


@kernel
def update_pulls(lag, order, begin, end, x, trial, start, eps, share, fresh):
    """Update the pulls of the lagged contacts order[begin:end] for an iterate that becomes the trial.

    x, trial, start: positions at the iterate, at the trial and at the start of the step [m], shape (v, 3). share: of
    the direction that the trial takes. fresh: the pulls become those of the trial, whatever they were.
    """
    lag = borrow(lag)
    u, next_u = np.empty(3), np.empty(3)
    for place in range(begin, end):
        r = order[place]
        y = _slip(lag, r, x, start, u)
        next_y = _slip(lag, r, trial, start, next_u)
        _, ratio, _ = friction_derivatives(next_y if fresh else y, eps)
        along = 0.0
        if y > 0.0 and not fresh:
            for a in range(3):
                along += u[a] * (next_u[a] - u[a])
            along *= width_slope(y, ratio, eps) / (y * share)
        square = 0.0
        for a in range(3):
            if fresh:
                lag.pull[r, a] = ratio * next_u[a]
            else:
                goal = ratio * (u[a] + (next_u[a] - u[a]) / share - along * lag.pull[r, a])
                lag.pull[r, a] += share * (goal - lag.pull[r, a])
            square += lag.pull[r, a] * lag.pull[r, a]
        if square > 1.0:
            for a in range(3):
                lag.pull[r, a] /= math.sqrt(square)
