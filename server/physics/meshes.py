"""Meshes from files: read, welded, oriented, checked, filled with tetrahedra, and kept as bytes.

    file -> read_mesh -> Mesh, a closed surface or tetrahedra -> solid_of -> Mesh of tetrahedra -> encode_mesh

``tussle simulate`` and ``worker meshes`` both go this way. A file that cannot become a body is refused with one line,
the kind of its fault and where it is. A step never calls this module. The tetrahedraliser (fTetWild) gives another mesh
at each run, so a session never calls it: its result is kept, and named by its hash.
"""

from __future__ import annotations

import contextlib
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import ipctk
import meshio
import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.mesh_faults import BadMesh, MeshFault, Place
from tussle.lobby.rules.scenes import Recipe
from tussle.server.physics.geometry import (
    Ints,
    Mesh,
    boundary_faces,
    connected_components,
    different_rows,
    outward,
    signed_volume,
    unique_edges,
)
from tussle.server.physics.mesh_formats import read_cells
from tussle.server.physics.world_state import Floats

__all__ = [
    "Progress",
    "centred",
    "decode_mesh",
    "encode_mesh",
    "load_recipe",
    "read_mesh",
    "solid_of",
    "tetrahedralise",
    "write_mesh",
]

MOST_VERTICES = 400_000
"""Larger meshes are refused. A surface of this size is filled in about half a minute."""

FINE_FACES = 2000
"""A surface with more triangles is filled less closely: 49 s become 4 s for one of 20,000."""

CLUSTERED_FACES = 5000
"""A surface with more triangles is made coarser before it is filled."""

FITS = ((40.0, 8e-3), (30.0, 1.2e-2))
"""Cells of a coarse surface along the diagonal of its bounding box, and the distance [diagonals] that the filled one
keeps from it. The second one is tried if the first one gives no solid. 48 cells and 5e-3 take 14 s instead of 2 s."""

Progress = Callable[[int], None]
"""Called with the percentage that is done."""

_MAGIC = b"TUSMESH1"
_HEAD = struct.Struct("<8sII")


def _silent(percent: int) -> None:
    """Show no progress."""


def load_recipe(recipe: Recipe, *, folder: Path = Path()) -> Mesh:
    """Return the mesh of a recipe of kind "mesh" with params {"path": file}, relative to ``folder``.

    Raises Refused (bad_mesh).
    """
    path = recipe.params.get("path")
    if not isinstance(path, str) or set(recipe.params) != {"path"}:
        raise Refused(
            'a mesh recipe has exactly one parameter, "path"', code="bad_mesh", field="shape.params"
        )
    return read_mesh(folder / path)


def read_mesh(path: Path, progress: Progress = _silent) -> Mesh:
    """Read one mesh file: tetrahedra if it has any, else a triangle surface. Lengths are not scaled.

    Equal vertices are merged, unused ones dropped, quadrilaterals split, faces and tetrahedra oriented. Raises BadMesh
    if the file cannot be read or its mesh is broken: not a manifold, flat, folded over, or intersecting itself.
    """
    points, cells = read_cells(path)
    progress(20)
    tets = cells.get("tetra", np.zeros((0, 4), dtype=np.int64))
    if len(tets):
        points, tets = _weld(path.name, points, tets)
        return _check_solid(path.name, points, tets)
    quads = cells.get("quad", np.zeros((0, 4), dtype=np.int64))
    parts = [
        cells.get("triangle", np.zeros((0, 3), dtype=np.int64)),
        quads[:, [0, 1, 2]],
        quads[:, [0, 2, 3]],
    ]
    faces = np.concatenate(parts)
    if not len(faces):
        raise BadMesh(f"{path.name}: it has neither triangles nor tetrahedra", MeshFault.EMPTY)
    points, faces = _weld(path.name, points, faces)
    progress(30)
    return _check_surface(path.name, points, faces)


def solid_of(mesh: Mesh, name: str, progress: Progress = _silent) -> Mesh:
    """Return a mesh with tetrahedra: itself if it has them, else the filled surface. Raises BadMesh."""
    if mesh.tetrahedra is not None:
        return mesh
    if not mesh.closed:
        edge = _rim(mesh)
        raise BadMesh(f"{name}: an open surface has no inside to simulate", MeshFault.OPEN, edge)
    progress(50)
    return tetrahedralise(mesh)


def _rim(mesh: Mesh) -> Place:
    """Return the middle of an edge at which an open surface ends."""
    uses = _EdgeUses(mesh.faces, len(mesh.vertices))
    return _middle(mesh.vertices, uses.edge(int(np.flatnonzero(uses.counts == 1)[0])))


def _middle(points: Floats, corners: Ints) -> Place:
    """Return the mean of some points."""
    x, y, z = points[corners].mean(axis=0).tolist()
    return x, y, z


def _weld(name: str, points: Floats, cells: Ints) -> tuple[Floats, Ints]:
    """Merge equal points, drop unused ones, and drop cells with a repeated corner. Raises BadMesh for a point that is
    not finite, and for too many points."""
    if not np.isfinite(points).all():
        at = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise BadMesh(f"{name}: a coordinate is not a finite number (point {at})", MeshFault.NOT_FINITE)
    order = np.lexsort(points.T[::-1])
    lines = points[order]
    new = np.concatenate([[True], (lines[1:] != lines[:-1]).any(axis=1)])
    first = np.empty(len(points), dtype=np.int64)
    first[order] = order[np.flatnonzero(new)[np.cumsum(new) - 1]]
    cells = first[cells]
    cells = cells[(np.diff(np.sort(cells, axis=1), axis=1) > 0).all(axis=1)]
    used, numbered = np.unique(cells, return_inverse=True)
    if len(used) > MOST_VERTICES:
        message = f"{name}: it has {len(used)} points; at most {MOST_VERTICES} are accepted"
        raise BadMesh(message, MeshFault.TOO_LARGE)
    return np.ascontiguousarray(points[used]), numbered.reshape(cells.shape).astype(np.int64)


def _check_solid(name: str, points: Floats, tets: Ints) -> Mesh:
    """Return the mesh of tetrahedra, oriented. Raises BadMesh if it is not a sound solid."""
    if not len(tets):
        raise BadMesh(f"{name}: all of its tetrahedra are degenerate", MeshFault.EMPTY)
    corners = points[tets]
    volumes = np.linalg.det(corners[:, 1:] - corners[:, :1]) / 6.0
    tets = np.where((volumes < 0.0)[:, None], tets[:, [0, 1, 3, 2]], tets)
    size = float(np.ptp(points, axis=0).max())
    flat = np.flatnonzero(np.abs(volumes) < 1e-12 * size**3)
    if len(flat):
        place = _middle(points, tets[flat[0]])
        raise BadMesh(f"{name}: {len(flat)} of its tetrahedra are flat", MeshFault.FLAT, place)
    _refuse_folds(name, points, tets)
    faces = boundary_faces(tets)
    uses = _EdgeUses(faces, len(points))
    if uses.counts.max() > 2:
        place = _middle(points, uses.edge(int(uses.counts.argmax())))
        message = f"{name}: the boundary of its tetrahedra is not a manifold"
        raise BadMesh(message, MeshFault.NOT_MANIFOLD, place)
    _refuse_self_intersection(name, points, faces)
    return Mesh(points, faces, np.ascontiguousarray(tets))


def _refuse_folds(name: str, points: Floats, tets: Ints) -> None:
    """Raise BadMesh if two tetrahedra that share a face are on the same side of it."""
    sides = np.concatenate([tets[:, [1, 2, 3]], tets[:, [0, 3, 2]], tets[:, [0, 1, 3]], tets[:, [0, 2, 1]]])
    turned = np.take_along_axis(sides, (np.argmin(sides, axis=1)[:, None] + np.arange(3)) % 3, axis=1)
    first, counts = different_rows(turned)
    if counts.max() > 1:
        at = int(first[counts > 1][0])
        place = _middle(points, sides[at])
        raise BadMesh(f"{name}: it is folded over: tetrahedra overlap", MeshFault.INVERTED, place)


def _check_surface(name: str, points: Floats, faces: Ints) -> Mesh:
    """Return a closed, oriented surface without self-intersections, or an open sheet. Raises BadMesh otherwise."""
    if not len(faces):
        raise BadMesh(f"{name}: all of its triangles are degenerate", MeshFault.EMPTY)
    first, _ = different_rows(np.sort(faces, axis=1))
    faces = faces[np.sort(first)]
    uses = _EdgeUses(faces, len(points))
    if uses.counts.max() > 2:
        place = _middle(points, uses.edge(int(uses.counts.argmax())))
        message = f"{name}: it is not a manifold: an edge belongs to three or more triangles"
        raise BadMesh(message, MeshFault.NOT_MANIFOLD, place)
    faces = _oriented(name, points, faces, uses)
    closed = bool((uses.counts == 2).all())
    _refuse_self_intersection(name, points, faces)
    if not closed:
        return Mesh(points, faces, closed=False)
    size = float(np.ptp(points, axis=0).max())
    if abs(signed_volume(points, faces)) < 1e-12 * size**3:
        raise BadMesh(f"{name}: it is flat: it has no volume", MeshFault.FLAT, _middle(points, faces[0]))
    return Mesh(points, outward(points, faces))


class _EdgeUses:
    """The edges of triangles, without direction. counts: how many triangles have each edge."""

    def __init__(self, faces: Ints, points: int) -> None:
        directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        self._points = points
        self._up = directed[:, 0] < directed[:, 1]
        keys = directed.min(axis=1) * points + directed.max(axis=1)
        self._order = np.argsort(keys, kind="stable")
        self._keys, self._first, self.counts = np.unique(
            keys[self._order], return_index=True, return_counts=True
        )
        self._faces = len(faces)

    def edge(self, number: int) -> Ints:
        """The two points of an edge."""
        return np.array(divmod(int(self._keys[number]), self._points), dtype=np.int64)

    def neighbours(self) -> tuple[Ints, Ints, np.ndarray]:
        """The pairs of triangles at edges with two, and whether both run along the edge in the same direction."""
        at = self._first[self.counts == 2]
        one, other = self._order[at], self._order[at + 1]
        return one % self._faces, other % self._faces, self._up[one] == self._up[other]


def _oriented(name: str, points: Floats, faces: Ints, uses: _EdgeUses) -> Ints:
    """Return the faces, turned so that neighbours agree. Raises BadMesh if none can agree.

    Each face is two nodes of a graph, as it is and turned, and neighbours that agree are connected. Every connected
    piece of the surface is two components of the graph, which mirror each other, or one if it has only one side.
    """
    count = len(faces)
    one, other, same = uses.neighbours()
    rows = np.concatenate([one, one + count])
    columns = np.concatenate([other + count * same, other + count * ~same])
    labels = connected_components(2 * count, rows, columns)
    plain, turned = labels[:count], labels[count:]
    if (plain == turned).any():
        at = int(np.flatnonzero(plain == turned)[0])
        message = f"{name}: its triangles cannot be oriented alike"
        raise BadMesh(message, MeshFault.NOT_ORIENTABLE, _middle(points, faces[at]))
    _, first, piece = np.unique(np.minimum(plain, turned), return_index=True, return_inverse=True)
    flip = plain != plain[first][piece.reshape(-1)]
    return np.ascontiguousarray(np.where(flip[:, None], faces[:, ::-1], faces))


def _refuse_self_intersection(name: str, points: Floats, faces: Ints) -> None:
    """Raise BadMesh if the surface intersects itself."""
    positions = np.asfortranarray(points)
    edges = np.asfortranarray(unique_edges(faces).astype(np.int32))
    triangles = np.asfortranarray(faces.astype(np.int32))
    if ipctk.has_intersections(ipctk.CollisionMesh(positions, edges, triangles), positions):
        place = _crossing(points, edges, triangles)
        raise BadMesh(f"{name}: its surface intersects itself", MeshFault.INTERSECTS, place)


def _crossing(points: Floats, edges: np.ndarray, faces: np.ndarray) -> Place | None:
    """Return where an edge of a surface crosses a triangle of it."""
    tree = ipctk.LBVH()
    tree.build(np.asfortranarray(points), edges, faces)
    for candidate in tree.detect_edge_face_candidates():
        edge, face = edges[candidate.edge_id], faces[candidate.face_id]
        if set(edge.tolist()) & set(face.tolist()):
            continue
        hit, *_, share = ipctk.edge_triangle_intersection(*points[edge], *points[face])
        if hit:
            along = share if np.isfinite(share) else 0.5
            x, y, z = (points[edge[0]] + along * (points[edge[1]] - points[edge[0]])).tolist()
            return x, y, z
    return None


def tetrahedralise(mesh: Mesh, *, edge_length: float = 0.2) -> Mesh:
    """Fill a closed surface with tetrahedra of about ``edge_length``, a fraction of the diagonal of its bounding box.

    Uses fTetWild (Hu et al. 2020, "Fast tetrahedral meshing in the wild"): robust, not deterministic. It keeps the
    surface within 1e-3 of the diagonal, and that of a fine one within about 3e-2. Raises BadMesh if the surface is open
    or the result is no solid.
    """
    if not mesh.closed:
        raise BadMesh("an open surface has no inside to fill", MeshFault.OPEN, _rim(mesh))
    if len(mesh.faces) <= FINE_FACES:
        return _filled(mesh.vertices, mesh.faces, edge_length, 1e-3, 10.0)
    for last, (cells, distance) in enumerate(FITS, 1 - len(FITS)):
        points, faces = mesh.vertices, mesh.faces
        if len(faces) > CLUSTERED_FACES:
            points, faces = _clustered(points, faces, cells)
        try:
            return _filled(points, faces, edge_length, distance, 20.0)
        except BadMesh:
            if last == 0:
                raise
    raise AssertionError("FITS is not empty")


def _clustered(points: Floats, faces: Ints, cells: float) -> tuple[Floats, Ints]:
    """Return a coarser surface: the points in each cell of a grid become their mean. It may intersect itself."""
    low = points.min(axis=0)
    step = float(np.linalg.norm(points.max(axis=0) - low)) / cells
    grid = np.floor((points - low) / step).astype(np.int64)
    wide = grid.max(axis=0) + 1
    _, cell, counts = np.unique(
        (grid[:, 0] * wide[1] + grid[:, 1]) * wide[2] + grid[:, 2], return_inverse=True, return_counts=True
    )
    cell = cell.reshape(-1)
    means = np.stack([np.bincount(cell, points[:, k]) / counts for k in range(3)], axis=1)
    coarse = cell[faces]
    coarse = coarse[(np.diff(np.sort(coarse, axis=1), axis=1) > 0).all(axis=1)]
    first, _ = different_rows(np.sort(coarse, axis=1))
    return means, coarse[np.sort(first)]


def _filled(points: Floats, faces: Ints, edge_length: float, distance: float, energy: float) -> Mesh:
    """Fill triangles with tetrahedra. distance: from the surface, in diagonals. energy: at which the improvement of the
    tetrahedra stops; 3 is that of a regular one. Raises BadMesh, and Refused
    (no_tetrahedra) where fTetWild is not installed."""
    try:
        import pytetwild
    except ImportError:
        raise Refused(
            "pytetwild, which fills a surface with tetrahedra, is not installed; install tussle[tetrahedra] where "
            "a wheel exists, or use a mesh that has tetrahedra",
            code="no_tetrahedra",
        ) from None
    # fTetWild writes a file into the working directory, and crashes on coordinates that are very small.
    low = points.min(axis=0)
    scale = float(np.linalg.norm(points.max(axis=0) - low))
    with tempfile.TemporaryDirectory(prefix="tussle-") as folder, contextlib.chdir(folder):
        places, tets = pytetwild.tetrahedralize(  # type: ignore[attr-defined]
            np.ascontiguousarray((points - low) / scale),
            np.ascontiguousarray(faces.astype(np.int32)),
            edge_length_fac=edge_length,
            epsilon=distance,
            stop_energy=energy,
            num_threads=1,
            quiet=True,
        )
    if not len(tets):
        raise BadMesh("the surface could not be filled with tetrahedra", MeshFault.UNFILLED)
    merged, cells = _weld(
        "tetrahedra", low + scale * np.asarray(places, dtype=np.float64), np.asarray(tets, dtype=np.int64)
    )
    try:
        return _check_solid("tetrahedra", merged, cells)
    except BadMesh as error:
        message = f"the surface could not be filled with tetrahedra: {error.message}"
        raise BadMesh(message, MeshFault.UNFILLED, error.place) from None


def write_mesh(mesh: Mesh, path: Path) -> None:
    """Write a mesh so that ``read_mesh`` returns it (VTU)."""
    cells = [("tetra", mesh.tetrahedra)] if mesh.tetrahedra is not None else [("triangle", mesh.faces)]
    meshio.Mesh(mesh.vertices, cells).write(path)


def centred(mesh: Mesh) -> Mesh:
    """Return a mesh of tetrahedra with its centre of mass at the origin."""
    assert mesh.tetrahedra is not None
    corners = mesh.vertices[mesh.tetrahedra]
    volumes = np.linalg.det(corners[:, 1:] - corners[:, :1])
    centre = (volumes[:, None] * corners.mean(axis=1)).sum(axis=0) / volumes.sum()
    return Mesh(mesh.vertices - centre, mesh.faces, mesh.tetrahedra)


def encode_mesh(mesh: Mesh) -> bytes:
    """Return a mesh of tetrahedra as bytes: magic, numbers of vertices and tetrahedra, then both, little endian."""
    assert mesh.tetrahedra is not None
    head = _HEAD.pack(_MAGIC, len(mesh.vertices), len(mesh.tetrahedra))
    return head + mesh.vertices.astype("<f8").tobytes() + mesh.tetrahedra.astype("<u4").tobytes()


def decode_mesh(data: bytes) -> Mesh:
    """Return the mesh that ``encode_mesh`` encoded. Raises BadMesh (unreadable) for any other bytes."""
    if len(data) < _HEAD.size:
        raise BadMesh("a stored mesh is cut off", MeshFault.UNREADABLE)
    magic, count, cells = _HEAD.unpack_from(data)
    if magic != _MAGIC or len(data) != _HEAD.size + 24 * count + 16 * cells or not count or not cells:
        raise BadMesh("these bytes are no stored mesh", MeshFault.UNREADABLE)
    points = np.frombuffer(data, "<f8", 3 * count, _HEAD.size).reshape(-1, 3).astype(np.float64)
    tets = np.frombuffer(data, "<u4", 4 * cells, _HEAD.size + 24 * count).reshape(-1, 4).astype(np.int64)
    if not np.isfinite(points).all() or tets.max() >= count:
        raise BadMesh("a stored mesh is damaged", MeshFault.UNREADABLE)
    return Mesh(points, boundary_faces(tets), np.ascontiguousarray(tets))
