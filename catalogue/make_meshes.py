"""``python catalogue/make_meshes.py``: make the ready meshes of the catalogue from their recipes.

    recipe: signed distance of the shape [m] -> surface -> read and filled as an upload is -> catalogue/meshes/

A recipe is a formula, so the meshes are ours alone (CC0). The tetrahedraliser gives another mesh at each run:
its results are kept in the repository, named by their hash, and everyone simulates the same bytes. Run it only to
change a shape. tests/lobby/test_ready_meshes.py compares the kept meshes with their recipes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tussle.server.physics.geometry import Mesh, affine_moments  # noqa: E402
from tussle.server.physics.meshes import (  # noqa: E402
    centred,
    encode_mesh,
    read_mesh,
    tetrahedralise,
    write_mesh,
)

FOLDER = Path(__file__).resolve().parent / "meshes"

Floats = npt.NDArray[np.float64]
Distance = Callable[[Floats], Floats]
"""Points (n, 3) [m] -> signed distances [m], negative inside; near the surface within a few per cent."""

Point = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MeshRecipe:
    """A shape of the library. ``cells``: of the grid along its longest side; ``edge``: the length of the tetrahedra's
    edges in diagonals."""

    id: str
    name: str
    distance: Distance
    low: Point
    high: Point
    cells: int = 26
    edge: float = 0.12


# distances


def _tube(points: Floats, path: Floats, radius: float) -> Floats:
    """The distance to a chain of straight rods of one radius."""
    nearest = np.full(len(points), np.inf)
    for a, b in itertools.pairwise(path):
        along = b - a
        share = np.clip((points - a) @ along / (along @ along), 0.0, 1.0)
        nearest = np.minimum(nearest, np.linalg.norm(points - a - share[:, None] * along, axis=1))
    return nearest - radius


def _curve(start: float, end: float, count: int, at: Callable[[float], Point]) -> Floats:
    """Points of a curve."""
    return np.array([at(start + (end - start) * k / count) for k in range(count + 1)])


def _ellipsoid(points: Floats, centre: Point, radii: Point) -> Floats:
    """About the distance to an ellipsoid."""
    scaled = (points - centre) / radii
    length = np.linalg.norm(scaled, axis=1)
    slope = np.linalg.norm(scaled / radii, axis=1)
    return length * (length - 1.0) / np.maximum(slope, 1e-9)


def _join(parts: Sequence[Floats], soft: float) -> Floats:
    """The union of parts with rounded seams of width ``soft``."""
    total = np.sum([np.exp(-np.clip(part / soft, -60, 60)) for part in parts], axis=0)
    return np.asarray(-soft * np.log(total), dtype=np.float64)


def _plate(points: Floats, outline: Floats, thickness: float, rounding: float) -> Floats:
    """A flat distance in (x, y), given a thickness along z, with rounded edges."""
    across = np.stack([outline + rounding, np.abs(points[:, 2]) - thickness / 2 + rounding], axis=1)
    outside = np.linalg.norm(np.maximum(across, 0.0), axis=1)
    return outside + np.minimum(across.max(axis=1), 0.0) - rounding


def _strokes(points: Floats, *strokes: Sequence[Point]) -> Floats:
    """The distance to a letter's strokes, each a chain of points in (x, y)."""
    flat = np.c_[points[:, :2], np.zeros(len(points))]
    lines = [_tube(flat, np.array([(x, y, 0.0) for x, y in stroke]), PEN) for stroke in strokes]
    return _plate(points, np.min(lines, axis=0), 0.14, 0.015)


PEN = 0.055
"""Half the width of a letter's strokes [m]."""


def _letter(id: str, *strokes: Sequence[Point]) -> MeshRecipe:
    return MeshRecipe(
        f"letter-{id}",
        f"Letter {id.upper()}",
        lambda p: _strokes(p, *strokes),
        (-0.25, -0.28, -0.1),
        (0.25, 0.28, 0.1),
    )


def _knot(points: Floats) -> Floats:
    """A trefoil: two turns about the axis, three about the ring."""

    def at(t: float) -> Point:
        reach = 0.17 + 0.075 * math.cos(3 * t)
        return (reach * math.cos(2 * t), 0.085 * math.sin(3 * t), reach * math.sin(2 * t))

    return _tube(points, _curve(0.0, 2 * math.pi, 96, at), 0.042)


def _spring(points: Floats) -> Floats:
    """A coil of three turns."""

    def at(t: float) -> Point:
        return (0.15 * math.cos(t), 0.022 * t - 0.2073, 0.15 * math.sin(t))

    return _tube(points, _curve(0.0, 6 * math.pi, 90, at), 0.036)


def _hook(points: Floats) -> Floats:
    arc = _curve(
        math.pi * 0.88,
        math.pi * 2.5 - 0.35,
        28,
        lambda t: (0.12 * math.cos(t), 0.12 * math.sin(t) - 0.1, 0.0),
    )
    shank = np.array([arc[-1], (0.0, 0.07, 0.0), (0.0, 0.17, 0.0)])
    eye = _curve(0.0, 2 * math.pi, 24, lambda t: (0.055 * math.cos(t), 0.225 + 0.055 * math.sin(t), 0.0))
    return _join([_tube(points, np.concatenate([arc, shank[1:]]), 0.04), _tube(points, eye, 0.03)], 0.008)


def _bunny(points: Floats) -> Floats:
    parts = [
        _ellipsoid(points, (-0.03, -0.09, 0.0), (0.17, 0.14, 0.13)),
        _ellipsoid(points, (0.13, 0.07, 0.0), (0.1, 0.085, 0.08)),
        _ellipsoid(points, (-0.19, -0.08, 0.0), (0.05, 0.05, 0.05)),
        _ellipsoid(points, (0.07, -0.19, 0.075), (0.075, 0.035, 0.035)),
        _ellipsoid(points, (0.07, -0.19, -0.075), (0.075, 0.035, 0.035)),
    ]
    for side in (-1.0, 1.0):
        ear = np.array([(0.11, 0.12, side * 0.035), (0.06, 0.23, side * 0.055), (0.03, 0.3, side * 0.06)])
        parts.append(_tube(points, ear, 0.032))
    return _join(parts, 0.012)


def _mug(points: Floats) -> Floats:
    """A cup with a handle; its wall is thick enough for a few tetrahedra."""
    reach = np.hypot(points[:, 0], points[:, 2])
    height = points[:, 1]
    outer = np.maximum(reach - 0.16, np.abs(height) - 0.18)
    inner = np.maximum(reach - 0.115, -(height + 0.13))
    handle = _curve(
        -0.45 * math.pi, 0.45 * math.pi, 16, lambda t: (0.14 + 0.11 * math.cos(t), 0.1 * math.sin(t), 0.0)
    )
    wall = np.minimum(outer, np.maximum(_tube(points, handle, 0.028), -(reach - 0.13)))
    return np.asarray(np.maximum(wall, -inner), dtype=np.float64)


def _bone(points: Floats) -> Floats:
    rod = _tube(points, np.array([(-0.17, 0.0, 0.0), (0.17, 0.0, 0.0)]), 0.05)
    ends = [
        _ellipsoid(points, (x, y, 0.0), (0.075, 0.075, 0.07)) for x in (-0.2, 0.2) for y in (-0.055, 0.055)
    ]
    return _join([rod, *ends], 0.012)


def _heart(points: Floats) -> Floats:
    """A point below two round lobes, as thick as a cushion."""
    x, y = np.abs(points[:, 0]) / 0.2, points[:, 1] / 0.2 + 0.12
    value = x**2 + (1.25 * y - 0.85 * np.sqrt(x + 1e-6)) ** 2 + (points[:, 2] / 0.105) ** 2 - 1.0
    return np.asarray(value * 0.055, dtype=np.float64)


def _link(points: Floats) -> Floats:
    """A link of a chain."""
    sides = [
        _curve(a, a + math.pi, 14, lambda t, y=y: (0.1 * math.cos(t), y + 0.1 * math.sin(t), 0.0))
        for a, y in ((0.0, 0.1), (math.pi, -0.1))
    ]
    return _tube(points, np.concatenate([*sides, sides[0][:1]]), 0.045)


def _anchor(points: Floats) -> Floats:
    shank = np.array([(0.0, -0.2, 0.0), (0.0, 0.17, 0.0)])
    stock = np.array([(-0.12, 0.1, 0.0), (0.12, 0.1, 0.0)])
    arms = _curve(
        1.1 * math.pi, 1.9 * math.pi, 18, lambda t: (0.2 * math.cos(t), 0.02 + 0.22 * math.sin(t), 0.0)
    )
    eye = _curve(0.0, 2 * math.pi, 20, lambda t: (0.05 * math.cos(t), 0.22 + 0.05 * math.sin(t), 0.0))
    return _join(
        [
            _tube(points, shank, 0.038),
            _tube(points, stock, 0.032),
            _tube(points, arms, 0.04),
            _tube(points, eye, 0.028),
        ],
        0.008,
    )


def _star_fish(points: Floats) -> Floats:
    """Five arms of a body that is thicker in its middle."""
    angle = np.arctan2(points[:, 2], points[:, 0])
    reach = np.hypot(points[:, 0], points[:, 2])
    edge = 0.17 + 0.09 * np.cos(5 * angle)
    return np.asarray((np.hypot(reach / edge, points[:, 1] / 0.075) - 1.0) * 0.07, dtype=np.float64)


RECIPES = (
    MeshRecipe("bunny", "Bunny", _bunny, (-0.28, -0.27, -0.2), (0.28, 0.37, 0.2)),
    MeshRecipe("bone", "Bone", _bone, (-0.32, -0.17, -0.1), (0.32, 0.17, 0.1)),
    MeshRecipe("heart", "Heart", _heart, (-0.28, -0.3, -0.14), (0.28, 0.35, 0.14)),
    MeshRecipe("starfish", "Starfish", _star_fish, (-0.3, -0.1, -0.3), (0.3, 0.1, 0.3)),
    MeshRecipe("hook", "Hook", _hook, (-0.2, -0.3, -0.06), (0.2, 0.34, 0.06), cells=34, edge=0.1),
    MeshRecipe("anchor", "Anchor", _anchor, (-0.28, -0.3, -0.07), (0.28, 0.34, 0.07), cells=34, edge=0.1),
    MeshRecipe("chain-link", "Chain link", _link, (-0.17, -0.27, -0.07), (0.17, 0.27, 0.07), cells=30, edge=0.1),
    MeshRecipe("mug", "Mug", _mug, (-0.2, -0.22, -0.2), (0.3, 0.22, 0.2), cells=30, edge=0.1),
    MeshRecipe("knot", "Trefoil knot", _knot, (-0.32, -0.16, -0.32), (0.32, 0.16, 0.32), cells=36, edge=0.1),
    MeshRecipe("coil", "Coil", _spring, (-0.22, -0.27, -0.22), (0.22, 0.27, 0.22), cells=36, edge=0.1),
    _letter("t", [(-0.15, 0.19), (0.15, 0.19)], [(0.0, 0.19), (0.0, -0.19)]),
    _letter("u", [(-0.13, 0.19), (-0.13, -0.08), (-0.06, -0.18), (0.06, -0.18), (0.13, -0.08), (0.13, 0.19)]),
    _letter(
        "s",
        [(0.13, 0.13), (0.06, 0.19), (-0.06, 0.19), (-0.13, 0.12), (-0.1, 0.04), (0.1, -0.04), (0.13, -0.12),
         (0.06, -0.19), (-0.06, -0.19), (-0.13, -0.13)],
    ),
    _letter("l", [(-0.12, 0.19), (-0.12, -0.19), (0.13, -0.19)]),
    _letter("e", [(0.13, 0.19), (-0.12, 0.19), (-0.12, -0.19), (0.13, -0.19)], [(-0.12, 0.0), (0.1, 0.0)]),
)  # fmt: skip


# from a distance to a mesh

CORNERS = tuple(itertools.product((0, 1), repeat=3))


def surface_of(recipe: MeshRecipe) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Vertices (n, 3) [m] and faces (m, 3) of the surface at distance 0: each cell of a grid is cut into six
    tetrahedra, and each of those is crossed by one or two triangles."""
    low, high = np.array(recipe.low), np.array(recipe.high)
    step = float((high - low).max()) / recipe.cells
    shape = np.ceil((high - low) / step).astype(int) + 1
    axes = [low[k] + step * np.arange(shape[k]) for k in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    values = recipe.distance(points)
    values = np.where(np.abs(values) < 0.02 * step, 0.02 * step, values)
    number = np.arange(len(points)).reshape(shape)
    cell = np.stack(
        [
            number[x : shape[0] - 1 + x, y : shape[1] - 1 + y, z : shape[2] - 1 + z].ravel()
            for x, y, z in CORNERS
        ],
        axis=1,
    )
    tets = []
    for order in itertools.permutations(range(3)):
        corner, path = [0, 0, 0], [0]
        for axis in order:
            corner[axis] = 1
            path.append(CORNERS.index((corner[0], corner[1], corner[2])))
        tets.append(cell[:, path])
    triangles: list[list[tuple[int, int]]] = []
    everything = np.concatenate(tets)
    crossed = everything[np.ptp(np.sign(values[everything]), axis=1) > 0]
    for tet in crossed.tolist():
        inside = [node for node in tet if values[node] < 0]
        outside = [node for node in tet if values[node] >= 0]
        if len(inside) == 2:
            (a, b), (c, d) = inside, outside
            triangles += [[(a, c), (a, d), (b, d)], [(a, c), (b, d), (b, c)]]
        else:
            one, rest = (inside[0], outside) if len(inside) == 1 else (outside[0], inside)
            triangles.append([(one, other) for other in rest])
    edges = sorted({(min(edge), max(edge)) for triangle in triangles for edge in triangle})
    at = {edge: k for k, edge in enumerate(edges)}
    ends = np.array(edges)
    share = values[ends[:, 0]] / (values[ends[:, 0]] - values[ends[:, 1]])
    vertices = points[ends[:, 0]] + share[:, None] * (points[ends[:, 1]] - points[ends[:, 0]])
    faces = np.array([[at[(min(edge), max(edge))] for edge in triangle] for triangle in triangles])
    return vertices, faces


def read_surface(recipe: MeshRecipe) -> Mesh:
    """The surface of a recipe, read, oriented and checked as that of an uploaded file."""
    vertices, faces = surface_of(recipe)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shape.vtu"
        write_mesh(Mesh(vertices, faces), file)
        return read_mesh(file)


def mesh_of(recipe: MeshRecipe) -> Mesh:
    """The filled mesh of a recipe."""
    return centred(tetrahedralise(read_surface(recipe), edge_length=recipe.edge))


def main() -> int:
    """Make all meshes, or those whose ids are arguments, and the list of them."""
    FOLDER.mkdir(exist_ok=True)
    index = FOLDER / "meshes.json"
    kept = {entry["id"]: entry for entry in json.loads(index.read_text())} if index.exists() else {}
    wanted = sys.argv[1:] or [recipe.id for recipe in RECIPES]
    for recipe in RECIPES:
        if recipe.id not in wanted:
            continue
        mesh = mesh_of(recipe)
        data = encode_mesh(mesh)
        sha256 = hashlib.sha256(data).hexdigest()
        assert mesh.tetrahedra is not None
        if recipe.id in kept:
            (FOLDER / f"{kept[recipe.id]['sha256']}.mesh").unlink(missing_ok=True)
        (FOLDER / f"{sha256}.mesh").write_bytes(data)
        kept[recipe.id] = {
            "id": recipe.id,
            "name": recipe.name,
            "sha256": sha256,
            "bytes": len(data),
            "vertices": len(mesh.vertices),
            "tetrahedra": len(mesh.tetrahedra),
            "volume": round(float(affine_moments(mesh.vertices, mesh.faces, 1.0)[0, 0]), 6),
            "bounding_radius": round(float(np.linalg.norm(mesh.vertices, axis=1).max()), 4),
        }
        sys.stdout.write(
            f"{recipe.id}: {kept[recipe.id]['vertices']} vertices, {len(mesh.tetrahedra)} tetrahedra\n"
        )
    lines = [json.dumps(kept[recipe.id]) for recipe in RECIPES if recipe.id in kept]
    index.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
