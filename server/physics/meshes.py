"""Mesh files: read by meshio, cleaned, checked, and filled with tetrahedra.

A file that cannot become a body is refused with one clear line. A step never calls this module. The tetrahedraliser
(fTetWild) gives another mesh at each run, so a session never calls it: its result is written to a mesh file.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import ipctk
import meshio
import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Recipe
from tussle.server.physics.geometry import Ints, Mesh, boundary_faces, edge_uses, outward, unique_edges
from tussle.server.physics.world_state import Floats

__all__ = ["FORMATS", "load_recipe", "read_mesh", "tetrahedralise", "write_mesh"]

FORMATS = (".vtk", ".vtu", ".msh", ".obj", ".stl", ".ply")
"""File name endings that can be read."""
MOST_VERTICES = 200_000
"""Larger meshes are refused: one step of them would take minutes."""


def _bad(path: Path, message: str) -> Refused:
    """Return the Refused (bad_mesh) that names the file."""
    return Refused(f"{path.name}: {message}", code="bad_mesh", field="mesh")


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


def read_mesh(path: Path) -> Mesh:
    """Read one mesh file: tetrahedra if it has any, else a triangle surface. Lengths are not scaled.

    Equal vertices are merged, unused ones dropped, quadrilaterals split, faces and tetrahedra oriented. Raises Refused
    (bad_mesh) if the file cannot be read or its mesh is broken: not a manifold, flat, or intersecting itself.
    """
    points, cells = _read(path)
    tets = cells.get("tetra", np.zeros((0, 4), dtype=np.int64))
    if len(tets):
        points, (tets,) = _merge(points, [tets])
        return _solid_of(path, points, tets)
    quads = cells.get("quad", np.zeros((0, 4), dtype=np.int64))
    parts = [
        cells.get("triangle", np.zeros((0, 3), dtype=np.int64)),
        quads[:, [0, 1, 2]],
        quads[:, [0, 2, 3]],
    ]
    faces = np.concatenate(parts)
    if not len(faces):
        raise _bad(path, "it has neither triangles nor tetrahedra")
    points, (faces,) = _merge(points, [faces])
    return _check_surface(path, points, faces)


def _read(path: Path) -> tuple[Floats, dict[str, Ints]]:
    """Return the points [m], shape (n, 3), and the cells by kind. Raises Refused (bad_mesh)."""
    if path.suffix.lower() not in FORMATS:
        raise _bad(path, f"unknown ending {path.suffix!r}; {', '.join(FORMATS)} are read")
    if not path.is_file():
        raise _bad(path, "no such file")
    noise = io.StringIO()
    try:
        # meshio prints to stdout, and calls sys.exit on some errors.
        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise), np.errstate(all="ignore"):
            found: Any = meshio.read(path)
        points = np.asarray(found.points, dtype=np.float64)
        cells: dict[str, list[Ints]] = {}
        for block in found.cells:
            cells.setdefault(block.type, []).append(np.asarray(block.data, dtype=np.int64))
    except (SystemExit, Exception) as error:  # noqa: BLE001 - meshio may raise anything
        reason = " ".join(str(error).split())
        raise _bad(
            path, f"it cannot be read{f': {reason[:120]}' if reason and reason != '1' else ''}"
        ) from None
    if points.ndim != 2 or points.shape[1] not in (2, 3) or not len(points):
        raise _bad(path, "it has no points in space")
    if points.shape[1] == 2:
        raise _bad(path, "it is flat: its points have two coordinates")
    if len(points) > MOST_VERTICES:
        raise _bad(path, f"it has {len(points)} points; at most {MOST_VERTICES} are accepted")
    if not np.isfinite(points).all():
        raise _bad(path, "a coordinate is not a finite number")
    joined = {kind: np.concatenate(blocks) for kind, blocks in cells.items()}
    for data in joined.values():
        if data.size and not 0 <= data.min() <= data.max() < len(points):
            raise _bad(path, "a cell names a point that does not exist")
    return points, joined


def _merge(points: Floats, cells: list[Ints]) -> tuple[Floats, list[Ints]]:
    """Merge equal points, drop unused ones, and drop cells with a repeated corner."""
    _, first, same = np.unique(points, axis=0, return_index=True, return_inverse=True)
    cells = [first[same.reshape(-1)[c]] for c in cells]
    cells = [c[(np.diff(np.sort(c, axis=1), axis=1) > 0).all(axis=1)] for c in cells]
    used, numbered = np.unique(np.concatenate([c.ravel() for c in cells]), return_inverse=True)
    out, at = [], 0
    for c in cells:
        out.append(numbered.reshape(-1)[at : at + c.size].reshape(c.shape).astype(np.int64))
        at += c.size
    return np.ascontiguousarray(points[used]), out


def _solid_of(path: Path, points: Floats, tets: Ints) -> Mesh:
    """Return the mesh of tetrahedra, oriented. Raises Refused (bad_mesh) if it is not a sound solid."""
    if not len(tets):
        raise _bad(path, "all of its tetrahedra are degenerate")
    corners = points[tets]
    volumes = np.linalg.det(corners[:, 1:] - corners[:, :1]) / 6.0
    tets = np.where((volumes < 0.0)[:, None], tets[:, [0, 1, 3, 2]], tets)
    size = float(np.ptp(points, axis=0).max())
    if (flat := int((np.abs(volumes) < 1e-12 * size**3).sum())) > 0:
        raise _bad(path, f"{flat} of its tetrahedra are flat")
    faces = boundary_faces(tets)
    _, uses = edge_uses(faces)
    if uses.max() > 1:
        raise _bad(path, "the boundary of its tetrahedra is not a manifold")
    _refuse_self_intersection(path, points, faces)
    return Mesh(points, faces, np.ascontiguousarray(tets))


def _check_surface(path: Path, points: Floats, faces: Ints) -> Mesh:
    """Return a closed, oriented surface without self-intersections, or an open sheet. Raises Refused (bad_mesh)
    otherwise.
    """
    if not len(faces):
        raise _bad(path, "all of its triangles are degenerate")
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    faces = _oriented(path, faces[np.sort(first)])
    edges, _ = edge_uses(faces)
    closed = set(map(tuple, edges.tolist())) == set(map(tuple, edges[:, ::-1].tolist()))
    _refuse_self_intersection(path, points, faces)
    return Mesh(points, outward(points, faces) if closed else faces, closed=closed)


def _oriented(path: Path, faces: Ints) -> Ints:
    """Return the faces, turned so that neighbours agree. Raises Refused if an edge has more than two, or none can
    agree.
    """
    sides: dict[tuple[int, int], list[tuple[int, bool]]] = {}
    for number, face in enumerate(faces.tolist()):
        for k in range(3):
            a, b = face[k], face[(k + 1) % 3]
            sides.setdefault((min(a, b), max(a, b)), []).append((number, a < b))
    if any(len(users) > 2 for users in sides.values()):
        raise _bad(path, "it is not a manifold: an edge belongs to three or more triangles")
    neighbours: list[list[tuple[int, bool]]] = [[] for _ in faces]
    for users in sides.values():
        if len(users) == 2:
            (one, up), (other, up_too) = users
            neighbours[one].append((other, up == up_too))
            neighbours[other].append((one, up == up_too))
    turned: list[bool | None] = [None] * len(faces)
    for seed in range(len(faces)):
        if turned[seed] is not None:
            continue
        turned[seed] = False
        stack = [seed]
        while stack:
            number = stack.pop()
            for other, differs in neighbours[number]:
                wanted = turned[number] != differs
                if turned[other] is None:
                    turned[other] = wanted
                    stack.append(other)
                elif turned[other] != wanted:
                    raise _bad(path, "its triangles cannot be oriented alike")
    flip = np.array([bool(t) for t in turned])
    return np.ascontiguousarray(np.where(flip[:, None], faces[:, ::-1], faces))


def _refuse_self_intersection(path: Path, points: Floats, faces: Ints) -> None:
    """Raise Refused (bad_mesh) if the surface intersects itself."""
    edges = np.asfortranarray(unique_edges(faces).astype(np.int32))
    mesh = ipctk.CollisionMesh(np.asfortranarray(points), edges, np.asfortranarray(faces.astype(np.int32)))
    if ipctk.has_intersections(mesh, np.asfortranarray(points)):
        raise _bad(path, "its surface intersects itself")


def tetrahedralise(mesh: Mesh, *, edge_length: float = 0.2) -> Mesh:
    """Fill a closed surface with tetrahedra of about ``edge_length``, a fraction of the diagonal of its bounding box.

    Uses fTetWild (Hu et al. 2020, "Fast tetrahedral meshing in the wild"): robust, keeps the surface within 1e-3 of
    the diagonal, not deterministic. Raises Refused (bad_mesh) if the surface is open or the result is empty.
    """
    if not mesh.closed:
        raise Refused("an open surface has no inside to fill", code="bad_mesh", field="mesh")
    try:
        import pytetwild
    except ImportError:
        raise Refused(
            "pytetwild, which fills a surface with tetrahedra, is not installed; install tussle[tetrahedra] where "
            "a wheel exists, or use a mesh that has tetrahedra",
            code="no_tetrahedra",
        ) from None
    # fTetWild writes a file into the working directory.
    with tempfile.TemporaryDirectory(prefix="tussle-") as folder, contextlib.chdir(folder):
        points, tets = pytetwild.tetrahedralize(  # type: ignore[attr-defined]
            np.ascontiguousarray(mesh.vertices),
            np.ascontiguousarray(mesh.faces.astype(np.int32)),
            edge_length_fac=edge_length,
            num_threads=1,
            quiet=True,
        )
    if not len(tets):
        raise Refused("the surface could not be filled with tetrahedra", code="bad_mesh", field="mesh")
    merged, (cells,) = _merge(np.asarray(points, dtype=np.float64), [np.asarray(tets, dtype=np.int64)])
    return _solid_of(Path("tetrahedra"), merged, cells)


def write_mesh(mesh: Mesh, path: Path) -> None:
    """Write a mesh so that ``read_mesh`` returns it (VTU)."""
    cells = [("tetra", mesh.tetrahedra)] if mesh.tetrahedra is not None else [("triangle", mesh.faces)]
    meshio.Mesh(mesh.vertices, cells).write(path)
