"""What an island does whose iterations converge slowly: more of the Hessian, or a stiffer barrier for the rest of the
step.

Both depend on the iterations of this step only. Neither moves the minimum of the potential of an island that converges
in a few iterations, or that no collision cuts short.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from tussle.server.physics.assembly import find_newton_direction
from tussle.server.physics.jit import inner

__all__ = ["find_direction", "stiffen_stalled"]

CURVED = 1
"""The iterations of a step from which on the Hessian has the turn of the normals; most islands need few more."""
SLOW = 3
"""The iterations of a step from which on a direction with the negative curvature of contacts is tried first."""
SIZE_MAX = 100.0
"""How much longer than the one before it such a direction may be. One of an indefinite matrix is longer by far."""
STALLED = 0.25
"""A line search is stalled if collisions cut it to less than this share of the direction."""
STALLS_MAX = 3
"""Stalled line searches in a row after which the barriers of an island become stiffer."""
STIFFER = 8.0
"""How much stiffer they become."""
STIFFEST = 8.0**6
"""How stiff they become at most, in units of their own stiffness. The matrix of one that is 1e15 times as stiff has no
digit left for the inertia of its bodies."""
DEEP = 0.2
"""Only an island with a contact nearer than this share of dhat becomes stiffer."""


@inner
def find_direction(t, springs, params, islands, i, w, c, lag, store, last_size, iterations):
    """Write the Newton direction of an island into w.direction.

    store: memory of an earlier system. Returns that of this one, and whether there is a direction. last_size: largest
    displacement of each body along the direction before [m], inf if there is none.

    The sum of all terms may be positive although some are not: the minimum itself is such a place. There Newton's
    method converges quadratically with the whole Hessian, and slowly with each term projected on its own.
    """
    last = 0.0
    for m in range(islands.member_start[i], islands.member_start[i + 1]):
        last = max(last, last_size[islands.members[m]])
    kept = 0.0 if iterations >= CURVED else -1.0
    if iterations >= SLOW and last < np.inf:
        kept = 1.0
    return find_newton_direction(t, springs, params, islands, i, w, c, lag, store, kept, SIZE_MAX * last)


@inner
def stiffen_stalled(islands, i, c, dhat, longest, stalls, stiffness):
    """Make the barriers of an island stiffer in this step if collisions keep cutting its line searches. Returns whether
    it did.

    Where bodies slide fast along an edge under a force that keeps them very near, the straight segments that stay
    within the gap are short. A stiffer barrier widens the gap, like the adaptive stiffness of Li et al. 2020, section
    4.3. longest: the share of the direction that is free of collision. stalls: stalled line searches of each body, in a
    row. stiffness: the factor of its barriers. Both are updated.
    """
    first, last = islands.member_start[i], islands.member_start[i + 1]
    count, factor, nearest = 0, 1.0, np.inf
    for m in range(first, last):
        count = max(count, stalls[islands.members[m]])
        factor = max(factor, stiffness[islands.members[m]])
    count = count + 1 if longest < STALLED else 0
    for p in range(islands.pair_start[i], islands.pair_start[i + 1]):
        nearest = min(nearest, c.bound[p])
    stiffer = count >= STALLS_MAX and nearest < DEEP * dhat and factor < STIFFEST
    if stiffer:
        count = 0
        factor *= STIFFER
        for p in range(islands.pair_start[i], islands.pair_start[i + 1]):
            c.kappa[p] *= STIFFER
    for m in range(first, last):
        stalls[islands.members[m]] = count
        stiffness[islands.members[m]] = factor
    return stiffer
