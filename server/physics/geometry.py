"""Meshes and what follows from them alone: edges, orientation, volume, mass moments.

Plain numpy on closed triangle surfaces and tetrahedra, used when a scene is compiled. A step never calls this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tussle.server.physics.world_state import Floats

__all__ = [
    "Ints",
    "Mesh",
    "affine_moments",
    "boundary_faces",
    "bounding_radius",
    "connected_components",
    "contact_features",
    "different_rows",
    "distance_to_surface",
    "edge_uses",
    "outward",
    "signed_volume",
    "unique_edges",
    "winding_number",
]

Ints = npt.NDArray[np.int64]

FLAT = 1e-9
"""The sine of the dihedral angle up to which an edge is flat. A larger value would drop edges that may touch."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """A surface, and the tetrahedra inside it if there are any.

    vertices: positions [m], shape (n, 3). faces: triangles, outward by the right-hand rule, shape (m, 3). tetrahedra:
    positively oriented, shape (t, 4), or None for a surface alone. closed: whether the faces bound a volume; an open
    sheet can only be an obstacle.
    """

    vertices: Floats
    faces: Ints
    tetrahedra: Ints | None = None
    closed: bool = True


def different_rows(rows: Ints) -> tuple[Ints, Ints]:
    """Return where each different row is for the first time, in the order of the rows, and how often it is there.

    rows: numbers of vertices, shape (n, 2) or (n, 3). Of all together one number is made, below 2^63 for two million
    vertices: numpy compares rows as bytes, and takes ten times as long.
    """
    base = int(rows.max(initial=0)) + 1
    keys = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T:
        keys = keys * base + column
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return first, counts


def unique_edges(faces: Ints) -> Ints:
    """Return the edges of a surface, sorted, each once with its smaller vertex first; shape (e, 2)."""
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return pairs[different_rows(pairs)[0]]


def connected_components(count: int, one: Ints, other: Ints) -> Ints:
    """Return the connected component of each of ``count`` nodes: its smallest node, shape (count,).

    one, other: the nodes that each edge connects, shape (e,). In each round a node takes the smallest label of its
    neighbours, and then that node's own label, until nothing changes (Shiloach and Vishkin 1982, "An O(log n) parallel
    connectivity algorithm"): about log(count) rounds.
    """
    labels = np.arange(count)
    while True:
        a, b = labels[one], labels[other]
        low, new = np.minimum(a, b), labels.copy()
        np.minimum.at(new, np.maximum(a, b), low)  # roots, so that whole components join at once
        while (new != (up := new[new])).any():
            new = up
        if (new == labels).all():
            return labels
        labels = new


def signed_volume(vertices: Floats, faces: Ints) -> float:
    """Return the volume [m^3] inside a closed surface (divergence theorem); negative if its faces point inwards."""
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def outward(vertices: Floats, faces: Ints) -> Ints:
    """Return the faces of a closed surface, oriented outwards, shape (m, 3)."""
    return faces if signed_volume(vertices, faces) > 0 else np.ascontiguousarray(faces[:, ::-1])


def edge_uses(faces: Ints) -> tuple[Ints, Ints]:
    """Return the directed edges of all faces, shape (e, 2), and how often each is used, shape (e,).

    A closed manifold uses each directed edge once, and its reverse once.
    """
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    first, counts = different_rows(directed)
    return directed[first], counts


def affine_moments(vertices: Floats, faces: Ints, density: float) -> Floats:
    """Return the integral of density * w w^T with w = (1, X) over the solid inside a closed surface, shape (4, 4).

    The mass matrix of an affine body (Lan et al. 2022, "Affine body dynamics"). Entry (0, 0) is the mass [kg], the
    rest of row 0 the first moments [kg m], the lower block the second moments [kg m^2]. Sum over the tetrahedra (0, a,
    b, c): the integral of w w^T over a tetrahedron of volume V is V/20 (s s^T + sum p p^T), where p are its corners
    and s their sum.
    """
    corners = np.zeros((len(faces), 4, 4))
    corners[:, :, 0] = 1.0
    corners[:, 1:, 1:] = vertices[faces]
    volume = np.linalg.det(corners[:, 1:, 1:]) / 6.0
    total = corners.sum(axis=1)
    moments = np.einsum("t,ti,tj->ij", volume, total, total) + np.einsum(
        "t,tki,tkj->ij", volume, corners, corners
    )
    return np.asarray(density / 20.0 * moments)


def bounding_radius(vertices: Floats) -> float:
    """Return the largest distance of a vertex from the origin of its frame [m]."""
    return float(np.sqrt((vertices**2).sum(axis=1).max()))


def boundary_faces(tetrahedra: Ints) -> Ints:
    """Return the outward triangles that belong to one tetrahedron only, shape (m, 3)."""
    sides = np.concatenate(
        [
            tetrahedra[:, [1, 2, 3]],
            tetrahedra[:, [0, 3, 2]],
            tetrahedra[:, [0, 1, 3]],
            tetrahedra[:, [0, 2, 1]],
        ]
    )
    first, counts = different_rows(np.sort(sides, axis=1))
    return np.ascontiguousarray(sides[np.sort(first[counts == 1])])


def contact_features(mesh: Mesh) -> tuple[Ints, Ints]:
    """Return the edges (e, 2) and vertices (k,) of a surface that can touch anything. Only for bodies that do not
    bend.

    A straight edge that reaches the interior of a flat or reflex edge has first reached an adjacent face with its end,
    or a convex edge. So only convex edges take part in edge-edge contact, and only their ends in vertex-face contact.
    Edges with a number of faces other than two (the rim of a sheet) stay. Affine maps keep convexity.
    """
    normals = np.cross(
        mesh.vertices[mesh.faces[:, 1]] - mesh.vertices[mesh.faces[:, 0]],
        mesh.vertices[mesh.faces[:, 2]] - mesh.vertices[mesh.faces[:, 0]],
    )
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    sides = np.sort(mesh.faces[:, [(0, 1), (1, 2), (2, 0)]].reshape(-1, 2), axis=1)
    first, uses = different_rows(sides)
    last = len(sides) - 1 - different_rows(sides[::-1])[0]
    edges = sides[first]
    if mesh.closed:
        reach = mesh.vertices[mesh.faces[last // 3, (last + 2) % 3]] - mesh.vertices[edges[:, 0]]
        height = np.einsum("ij,ij->i", normals[first // 3], reach)
        edges = edges[(uses != 2) | (height < -FLAT * np.linalg.norm(reach, axis=1))]
    return edges, np.unique(edges)


def winding_number(point: Floats, corners: Floats) -> float:
    """Return how often a closed surface, corners [m] of shape (m, 3, 3), winds about a point: 1 inside, 0 outside.

    Van Oosterom and Strackee 1983, "The solid angle of a plane triangle", eq. 8.
    """
    a, b, c = (corners[:, k] - point for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    triple = np.einsum("ij,ij->i", a, np.cross(b, c))
    dots = (
        np.einsum("ij,ij->i", a, b) * lc + np.einsum("ij,ij->i", b, c) * la + np.einsum("ij,ij->i", c, a) * lb
    )
    return float(np.arctan2(triple, la * lb * lc + dots).sum() / (2.0 * np.pi))


def distance_to_surface(point: Floats, corners: Floats) -> float:
    """Return the distance [m] of a point from triangles, corners [m] of shape (m, 3, 3).

    It is the distance from the plane where the point projects into the triangle, else that from the nearest edge.
    """
    a, b, c = (corners[:, k] for k in range(3))
    best = min(_distance_to_edges(point, first, second) for first, second in ((a, b), (b, c), (c, a)))
    normals = np.cross(b - a, c - a)
    inside = np.all(
        [
            np.einsum("ij,ij->i", np.cross(second - first, point - first), normals) >= 0.0
            for first, second in ((a, b), (b, c), (c, a))
        ],
        axis=0,
    )
    if inside.any():
        units = normals[inside] / np.linalg.norm(normals[inside], axis=1, keepdims=True)
        best = min(best, float(np.abs(np.einsum("ij,ij->i", point - a[inside], units)).min()))
    return best


def _distance_to_edges(point: Floats, first: Floats, second: Floats) -> float:
    """Return the distance [m] of a point from line segments, (m, 3) each."""
    along = second - first
    share = np.einsum("ij,ij->i", point - first, along) / np.einsum("ij,ij->i", along, along)
    nearest = first + np.clip(share, 0.0, 1.0)[:, None] * along
    return float(np.linalg.norm(nearest - point, axis=1).min())
