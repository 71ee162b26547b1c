"""Patches of tetrahedra for the averaged element: which tetrahedra share one, and its mean gradients.

A linear tetrahedron is too stiff in bending and nearly incompressible materials. The averaged element
(server/physics/averaged_strain.py) takes most of its energy from the mean strain of a patch. The patches of a body
follow from its mesh: most are all tetrahedra around one edge, and in a ``block`` they are its cells, six tetrahedra
around a diagonal each. Runs once per scene; a step never calls this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tussle.server.physics.geometry import Ints, different_rows
from tussle.server.physics.world_state import Floats

__all__ = ["Patches", "group_tetrahedra", "lay_out_patches", "patch_links"]

CORNER_PAIRS = np.array([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
PATCH_MIN = 4
"""The fewest tetrahedra of a patch, where a mesh has as many that are connected.

A beam of 583 vertices that was filled with tetrahedra bends by 0.96 of Timoshenko's; where patches of two are left, by
0.93, and linear elements by 0.80.
"""
PATCH_MAX = 24
"""The most tetrahedra around an edge that become one patch; good meshes have fewer than half of it.

All nodes of a patch share entries of the linear system: a fan of thousands of tetrahedra would make it dense.
"""


@dataclass(frozen=True, slots=True)
class Patches:
    """The patches of one body; p patches.

    start (p + 1,): range of each in nodes and slopes. nodes (m,). slopes (m, 3): gradients of the shape functions of
    the nodes, as the mean over the patch [1/m]. volume (p,) [m^3].
    """

    start: Ints
    nodes: Ints
    slopes: Floats
    volume: Floats


def group_tetrahedra(rest: Floats, tetrahedra: Ints) -> Ints:
    """Return the number of the patch of each tetrahedron, shape (t,). rest (n, 3): vertices [m].

    The longest edges first: all tetrahedra around an edge, PATCH_MIN to PATCH_MAX, become a patch if none is in one
    yet. Then those that are left around an edge, at most PATCH_MAX. A patch that is too small joins the smallest one
    across its faces.
    """
    count = len(tetrahedra)
    pairs = np.sort(tetrahedra[:, CORNER_PAIRS].reshape(-1, 2), axis=1)
    keys, edge = np.unique(pairs[:, 0] * len(rest) + pairs[:, 1], return_inverse=True)
    edges = np.stack(np.divmod(keys, len(rest)), axis=1)
    start = np.concatenate([[0], np.cumsum(np.bincount(edge, minlength=len(edges)))]).tolist()
    around = (np.argsort(edge, kind="stable") // len(CORNER_PAIRS)).tolist()
    length = np.linalg.norm(rest[edges[:, 1]] - rest[edges[:, 0]], axis=1)
    order = np.argsort(-length, kind="stable").tolist()
    patch = [-1] * count
    members: list[list[int]] = []
    for whole in (True, False):
        for number in order:
            ring = around[start[number] : start[number + 1]]
            free = [tet for tet in ring if patch[tet] < 0]
            if not free or (whole and (len(free) < len(ring) or not PATCH_MIN <= len(ring) <= PATCH_MAX)):
                continue
            for at in range(0, len(free), PATCH_MAX):
                part = free[at : at + PATCH_MAX]
                for tet in part:
                    patch[tet] = len(members)
                members.append(part)
    too_small = [one for one, own in enumerate(members) if len(own) < PATCH_MIN]
    neighbours = _neighbours(tetrahedra) if too_small else []
    for small in sorted(too_small, key=lambda one: (len(members[one]), one)):
        if len(members[small]) >= PATCH_MIN:  # others have joined it
            continue
        beside = {patch[other] for tet in members[small] for other in neighbours[tet]} - {small}
        if beside:
            larger = min(beside, key=lambda one: (len(members[one]), one))
            for tet in members[small]:
                patch[tet] = larger
            members[larger] += members[small]
            members[small] = []
    return np.unique(patch, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _neighbours(tetrahedra: Ints) -> list[list[int]]:
    """Return the tetrahedra across the faces of each."""
    count = len(tetrahedra)
    faces = np.sort(tetrahedra[:, [(1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2)]].reshape(-1, 3), axis=1)
    order = np.lexsort(faces.T[::-1])
    same = np.flatnonzero((faces[order[1:]] == faces[order[:-1]]).all(axis=1))
    out: list[list[int]] = [[] for _ in range(count)]
    for a, b in zip((order[same] // 4).tolist(), (order[same + 1] // 4).tolist(), strict=True):
        out[a].append(b)
        out[b].append(a)
    return out


def lay_out_patches(rest: Floats, tetrahedra: Ints) -> Patches:
    """Return the patches of a body. rest (n, 3): vertices [m]. tetrahedra (t, 4): positively oriented."""
    patch = group_tetrahedra(rest, tetrahedra)
    corners = rest[tetrahedra]
    edges = np.swapaxes(corners[:, 1:] - corners[:, :1], 1, 2)
    volume, inverse = np.linalg.det(edges) / 6.0, np.linalg.inv(edges)
    count = int(patch.max()) + 1
    total = np.bincount(patch, weights=volume, minlength=count).astype(np.float64)
    shape = np.concatenate([-inverse.sum(axis=1, keepdims=True), inverse], axis=1)
    nodes = int(tetrahedra.max()) + 1
    keys, at = np.unique(np.repeat(patch, 4) * nodes + tetrahedra.ravel(), return_inverse=True)
    owner, members = np.divmod(keys, nodes)
    slopes = np.zeros((len(members), 3))
    np.add.at(slopes, at.reshape(-1), (shape * (volume / total[patch])[:, None, None]).reshape(-1, 3))
    start = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=count))])
    return Patches(start.astype(np.int64), members.astype(np.int64), slopes, total)


def patch_links(patches: Patches) -> Ints:
    """Return the pairs of nodes that share a patch, each once, (n, 2), the smaller first."""
    sizes = np.diff(patches.start)
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for size in np.unique(sizes):
        nodes = patches.nodes[patches.start[:-1][sizes == size][:, None] + np.arange(size)]
        high, low = np.tril_indices(size, -1)
        pairs.append(np.stack([nodes[:, low], nodes[:, high]], axis=2).reshape(-1, 2))
    every = np.sort(np.concatenate(pairs), axis=1)
    return every[different_rows(every)[0]]
