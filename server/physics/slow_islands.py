"""What an island does whose iterations converge slowly: more of the Hessian, a stiffer barrier for the rest of the
step, or iterations of only those of its many bodies that still move.

All depend on the iterations of this step only. None moves the minimum of the potential of an island that converges in
a few iterations, or that no collision cuts short. What is held takes part again before the step ends.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from tussle.server.physics.assembly import find_newton_direction
from tussle.server.physics.islands import second_vertex
from tussle.server.physics.jit import inner

__all__ = [
    "HOLD_FROM",
    "HOLD_MIN",
    "find_direction",
    "free_share",
    "hold_settled",
    "release_held",
    "stiffen_stalled",
]

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
HOLD_MIN = 32
"""The fewest bodies of an island of which some are held."""
HELD_MIN = 0.75
"""The share of an island that is held at least: iterations of the rest then cost little."""
HOLD_FROM = 4
"""The iterations of a step from which on bodies are held: before, motion may still come to them."""
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


@inner
def hold_settled(t, islands, i, c, dhat, step_size, limit, free):
    """Hold the settled bodies of an island, if they are at least HELD_MIN of it. Returns whether it did.

    step_size (bodies,): how far each body would move along its direction [m]. A body is settled if that is less than
    ``limit``, which ends the iterations of its island, and if it touches no body that is not. free (bodies,): becomes
    False for a body that is held, and its nodes become fixed. Others iterate on without it, as if it was an obstacle.
    """
    first, last = islands.member_start[i], islands.member_start[i + 1]
    if last - first < HOLD_MIN:
        return False
    bodies = free.shape[0]
    awake = np.zeros(t.mobile.shape[0], np.bool_)
    for p in range(islands.pair_start[i], islands.pair_start[i + 1]):
        if c.bound[p] < dhat:
            a, b = t.vertex_group[c.pairs[p, 1]], t.vertex_group[second_vertex(c.pairs, p)]
            if (a < bodies and step_size[a] >= limit) or (b < bodies and step_size[b] >= limit):
                awake[a] = awake[b] = True
    count = 0
    for m in range(first, last):
        b = islands.members[m]
        awake[b] = awake[b] or step_size[b] >= limit
        count += not awake[b]
    if count < HELD_MIN * (last - first):
        return False
    for m in range(first, last):
        b = islands.members[m]
        if not awake[b]:
            free[b] = False
            for n in range(t.node_start[b], t.node_start[b + 1]):
                t.fixed[n] = True
    return True


@inner
def free_share(takes_part, free):
    """Return the share of the bodies that take part in a step that are not held; both (bodies,)."""
    parts = movers = 0
    for b in range(free.shape[0]):
        parts += takes_part[b]
        movers += free[b]
    return movers / parts


@inner
def release_held(t, takes_part, free, pinned, done, last_size):
    """Let all bodies that are held take part again. Returns whether there were any. pinned: t.fixed without them."""
    found = False
    for b in range(free.shape[0]):
        if takes_part[b] and not free[b]:
            found = True
            free[b] = True
            done[b] = False
            last_size[b] = np.inf
            for n in range(t.node_start[b], t.node_start[b + 1]):
                t.fixed[n] = pinned[n]
    return found
