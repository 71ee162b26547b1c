"""A fine surface that moves with a coarse body. It is for display only and takes no part in contact.

Each vertex of the surface is expressed once in the coordinates of the tetrahedron that contains it, or of the nearest
one (barycentric coordinates, which may be negative just outside). A state then moves it by one weighted sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tussle.server.physics.geometry import Ints, Mesh
from tussle.server.physics.kernel_arrays import AFFINE
from tussle.server.physics.model import Model
from tussle.server.physics.world_state import Floats, State

__all__ = ["Embedding", "embed", "embedded_vertices"]


@dataclass(frozen=True, slots=True)
class Embedding:
    """nodes (n, 4): rows of State.q. weights (n, 4). faces (m, 3): triangles of the surface."""

    nodes: Ints
    weights: Floats
    faces: Ints


def embed(model: Model, body: int, surface: Mesh) -> Embedding:
    """Embed a surface in a body.

    surface: vertices in the coordinates of the body's mesh relative to its centre of mass [m].
    """
    points = surface.vertices
    first = int(model.node_offset[body])
    if model.tables.kind[body] == AFFINE:
        weights = np.concatenate([np.ones((len(points), 1)), points], axis=1)
        return Embedding(np.tile(np.arange(first, first + 4), (len(points), 1)), weights, surface.faces)
    t = model.tables
    rows = slice(int(t.tet_start[body]), int(t.tet_start[body + 1]))
    tets, inverse = t.tets[rows], t.inverse[rows]
    origins = model.rest_nodes[tets[:, 0]]
    nodes = np.empty((len(points), 4), dtype=np.int64)
    weights = np.empty((len(points), 4))
    for number, point in enumerate(points):
        local = np.einsum("tij,tj->ti", inverse, point - origins)
        shares = np.concatenate([1.0 - local.sum(axis=1, keepdims=True), local], axis=1)
        best = int(shares.min(axis=1).argmax())
        nodes[number] = tets[best]
        weights[number] = shares[best]
    return Embedding(nodes, weights, surface.faces)


def embedded_vertices(embedding: Embedding, state: State) -> Floats:
    """Return the world positions of the embedded surface [m], shape (n, 3)."""
    return np.asarray(np.einsum("nk,nkj->nj", embedding.weights, state.q[embedding.nodes]))
