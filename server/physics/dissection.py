"""The order in which the nodes of an elastic body are eliminated from its linear system: nested dissection.

A layer of nodes cuts the mesh in two halves that share no tetrahedron or patch; it is eliminated after both. The
halves are cut in the same way (George 1973, "Nested Dissection of a Regular Finite Element Mesh"). The order depends on
the mesh alone and is made once per scene.
"""

from __future__ import annotations

import numpy as np

from tussle.server.physics.geometry import Ints, different_rows
from tussle.server.physics.world_state import Floats

__all__ = ["dissect", "mesh_links"]

LEAF_NODES = 24
"""The most nodes that are not cut further."""
LOPSIDED = 0.3
"""The price of a cut, in units of the nodes by which one half is larger than the other, over those of the layer."""


def mesh_links(tetrahedra: Ints) -> Ints:
    """Return the pairs of nodes that share a tetrahedron, each once, (n, 2), the smaller first."""
    pairs = np.sort(np.concatenate([tetrahedra[:, [i, j]] for i in range(4) for j in range(i)]), axis=1)
    return pairs[different_rows(pairs)[0]].astype(np.int64)


def dissect(rest: Floats, links: Ints, free: np.ndarray) -> tuple[Ints, Ints]:
    """Return the elimination order of the free nodes, and the cluster of each node.

    rest (n, 3): positions [m]. links (m, 2): pairs of nodes that share an entry. free (n,), bool. A cluster is a layer,
    or what is not cut further; its nodes are consecutive in the order. Nodes that are not free have cluster -1.
    """
    cluster = np.full(len(rest), -1, dtype=np.int64)
    links = links[free[links].all(axis=1)]
    parts: list[Ints] = []  # last part first
    stack = [(np.flatnonzero(free), links)]
    while stack:
        nodes, inside = stack.pop()
        cut = _find_cut(rest[nodes], _renumber(nodes, inside)) if len(nodes) > LEAF_NODES else None
        if cut is None:
            parts.append(nodes)
            continue
        if (cut == 0).any():
            parts.append(nodes[cut == 0])
        side = np.zeros(len(rest), dtype=np.int64)
        side[nodes] = cut
        for half in (-1, 1):
            stack.append((nodes[cut == half], inside[(side[inside] == half).all(axis=1)]))
    parts = [part for part in reversed(parts) if len(part)]
    for number, part in enumerate(parts):
        cluster[part] = number
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts]), cluster


def _renumber(nodes: Ints, links: Ints) -> Ints:
    """Return the links with the places of the nodes in an ascending list."""
    return np.searchsorted(nodes, links)


def _find_cut(rest: Floats, links: Ints) -> Ints | None:
    """Return the side of each node, -1 or 1, or 0 for the layer between them; None if no cut pays.

    Tries all planes across each axis. The layer is the nodes on one side of the plane that have a link across it.
    """
    count = len(rest)
    best: tuple[float, Ints] | None = None
    for axis in range(3):
        order = np.lexsort((np.arange(count), rest[:, axis]))
        rank = np.empty(count, dtype=np.int64)
        rank[order] = np.arange(count)
        first, last = np.sort(rank[links], axis=1).T
        lowest, highest = np.arange(count), np.arange(count)
        np.minimum.at(lowest, last, first)
        np.maximum.at(highest, first, last)
        # Nodes r above the plane c (r >= c) with a link below it: lowest[r] < c <= r; and those below it.
        above, below = np.zeros(count + 2), np.zeros(count + 2)
        np.add.at(above, lowest + 1, 1.0)
        np.add.at(above, np.arange(count) + 1, -1.0)
        np.add.at(below, np.arange(count) + 1, 1.0)
        np.add.at(below, highest + 1, -1.0)
        planes = np.arange(count + 1)
        for sizes, upper in ((np.cumsum(above)[:-1], True), (np.cumsum(below)[:-1], False)):
            low = planes if upper else planes - sizes
            high = count - planes - sizes if upper else count - planes
            price = sizes + LOPSIDED * np.abs(high - low) * sizes / count + 1e-6 * np.abs(high - low)
            price[(low <= 0) | (high <= 0) | (np.minimum(low, high) < 0.2 * count)] = np.inf
            at = int(price.argmin())
            if np.isfinite(price[at]) and (best is None or price[at] < best[0]):
                side = np.where(rank < at, -1, 1)
                if upper:
                    side[(rank >= at) & (lowest[rank] < at)] = 0
                else:
                    side[(rank < at) & (highest[rank] >= at)] = 0
                best = (float(price[at]), side)
    return None if best is None else best[1]
