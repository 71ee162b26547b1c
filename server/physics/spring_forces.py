"""Springs with a limited force: a quadratic energy up to the limit, linear beyond it (Huber's function).

A handle therefore never pulls harder than its limit, however far its target is. A pin has no limit.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

from tussle.server.physics.jit import kernel

__all__ = ["spring_derivatives", "spring_energy"]


@kernel
def spring_energy(springs, m, q):
    """Return the energy [J] of spring m at the nodes q."""
    square = 0.0
    for axis in range(3):
        offset = -springs.target[m, axis]
        for e in range(springs.start[m], springs.start[m + 1]):
            offset += springs.weights[e] * q[springs.nodes[e], axis]
        square += offset * offset
    k, limit = springs.stiffness[m], springs.limit[m]
    length = math.sqrt(square)
    if k * length <= limit:
        return 0.5 * k * square
    return limit * (length - 0.5 * limit / k)


@kernel
def spring_derivatives(springs, m, q, gradient, hessian):
    """Fill gradient (3,) and the positive semidefinite hessian (3, 3) of spring_energy in the weighted mean of its
    nodes.
    """
    square = 0.0
    for axis in range(3):
        offset = -springs.target[m, axis]
        for e in range(springs.start[m], springs.start[m + 1]):
            offset += springs.weights[e] * q[springs.nodes[e], axis]
        gradient[axis] = offset
        square += offset * offset
    k, limit = springs.stiffness[m], springs.limit[m]
    length = math.sqrt(square)
    hessian[:, :] = 0.0
    if k * length <= limit:
        for axis in range(3):
            hessian[axis, axis] = k
            gradient[axis] *= k
        return
    pull = limit / length
    for i in range(3):
        for j in range(3):
            hessian[i, j] = pull * ((1.0 if i == j else 0.0) - gradient[i] * gradient[j] / square)
    for axis in range(3):
        gradient[axis] *= pull
