"""Contact islands: bodies that are connected by candidate pairs or lagged contacts.

Islands share no unknowns and no energy. Each has its own Newton iterations and step length, so that one collision does
not slow down every body. Obstacles and fixed bodies connect nothing.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from tussle.server.physics.distance import POINT_FACE
from tussle.server.physics.jit import borrow, inner

__all__ = ["group_by_island", "label_islands", "second_vertex"]


@inner
def second_vertex(pairs, p):
    """Return a vertex of the second primitive of pair p."""
    return pairs[p, 2] if pairs[p, 0] == POINT_FACE else pairs[p, 3]


@inner
def _root(parent, i):
    """Return the root of i in the union-find forest, and halve the path to it."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@inner
def label_islands(pairs, vertex_group, lagged, takes_part):
    """Return the island of each body, shape (bodies,), and the number of islands.

    Islands are numbered by their smallest body; a body that does not take part has -1. lagged: pairs of groups (m, 2)
    that lagged friction joins. takes_part: per body.
    """
    pairs = borrow(pairs)
    bodies = takes_part.shape[0]
    parent = np.arange(bodies)
    for p in range(pairs.shape[0] + lagged.shape[0]):
        if p < pairs.shape[0]:
            a, b = vertex_group[pairs[p, 1]], vertex_group[second_vertex(pairs, p)]
        else:
            a, b = lagged[p - pairs.shape[0], 0], lagged[p - pairs.shape[0], 1]
        if a == b or a >= bodies or b >= bodies or not takes_part[a] or not takes_part[b]:
            continue
        a, b = _root(parent, a), _root(parent, b)
        if a != b:
            parent[max(a, b)] = min(a, b)
    label = np.full(bodies, -1, np.int64)
    count = 0
    for i in range(bodies):
        if takes_part[i]:
            root = _root(parent, i)
            if root == i:
                label[i] = count
                count += 1
            else:
                label[i] = label[root]
    return label, count


@inner
def group_by_island(keys, count):
    """Return the stable order of items by island, and the range of each island; items with key -1 are left out."""
    start = np.zeros(count + 1, np.int64)
    for i in range(keys.shape[0]):
        if keys[i] >= 0:
            start[keys[i] + 1] += 1
    for k in range(count):
        start[k + 1] += start[k]
    free = start[:-1].copy()
    order = np.empty(start[count], np.int64)
    for i in range(keys.shape[0]):
        if keys[i] >= 0:
            order[free[keys[i]]] = i
            free[keys[i]] += 1
    return order, start
