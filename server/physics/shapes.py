"""Procedural bodies: a recipe (kind and parameters, as in catalogue/catalogue.json) becomes a mesh.

Pure functions of their parameters; metres, y up. Solids are centred on their centroid. Obstacles have their top at y =
0. A recipe never reads a file; server/physics/meshes.py does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Recipe
from tussle.server.physics.geometry import (
    Ints,
    Mesh,
    affine_moments,
    boundary_faces,
    edge_uses,
    outward,
    signed_volume,
)
from tussle.server.physics.world_state import Floats

__all__ = ["KINDS", "build"]

Point = tuple[float, float]
Surface = tuple[Any, Any]
"""Vertices (n, 3) and faces (m, 3), as arrays or nested lists."""


def build(recipe: Recipe) -> Mesh:
    """Return the mesh of a recipe.

    Raises Refused (bad_scene) for an unknown kind, wrong parameters or a degenerate result.
    """
    maker = KINDS.get(recipe.kind)
    if maker is None:
        raise Refused(f"no shape is called {recipe.kind!r}", code="bad_scene", field="shape.kind")
    try:
        mesh = maker(**recipe.params)
    except (TypeError, ValueError, IndexError) as error:
        raise Refused(f"shape {recipe.kind!r}: {error}", code="bad_scene", field="shape.params") from None
    if not np.isfinite(mesh.vertices).all():
        raise Refused(
            f"shape {recipe.kind!r}: a vertex is not finite", code="bad_scene", field="shape.params"
        )
    if mesh.closed and signed_volume(mesh.vertices, mesh.faces) < 1e-12:
        raise Refused(f"shape {recipe.kind!r} has no volume", code="bad_scene", field="shape.params")
    return mesh


def _solid(surface: Surface) -> Mesh:
    """Return a closed surface, oriented outwards and centred on its centroid. Raises ValueError if it is not one."""
    vertices = np.array(surface[0], dtype=np.float64).reshape(-1, 3)
    if not np.isfinite(vertices).all():
        raise ValueError("a vertex is not finite")
    faces = outward(vertices, np.array(surface[1], dtype=np.int64).reshape(-1, 3))
    _, uses = edge_uses(faces)
    if not len(faces) or uses.max() > 1:
        raise ValueError("the surface is not a closed manifold")
    moments = affine_moments(vertices, faces, 1.0)
    if not moments[0, 0] > 1e-12:
        raise ValueError("the surface bounds no volume")
    return Mesh(np.ascontiguousarray(vertices - moments[0, 1:] / moments[0, 0]), faces)


def _obstacle(surface: Surface, *, closed: bool = True) -> Mesh:
    """Return a surface whose vertices are not moved."""
    vertices = np.array(surface[0], dtype=np.float64)
    faces = np.array(surface[1], dtype=np.int64)
    return Mesh(vertices, outward(vertices, faces) if closed else faces, closed=closed)


def _ring(count: int, radius: float, *, phase: float = 0.0) -> list[Point]:
    """Return the points of a regular polygon in the plane (x, z)."""
    angles = [phase + 2 * math.pi * k / count for k in range(count)]
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles]


def _lathe(profile: Sequence[Point], segments: int) -> Surface:
    """Revolve a profile of (radius, y), bottom to top, about y. Radius 0 closes an end; otherwise a fan caps it."""
    vertices: list[tuple[float, float, float]] = []
    rows: list[list[int]] = []
    for radius, y in profile:
        start = len(vertices)
        if radius < 1e-9:
            rows.append([start] * segments)
            vertices.append((0.0, y, 0.0))
        else:
            rows.append(list(range(start, start + segments)))
            vertices += [(x, y, z) for x, z in _ring(segments, radius)]
    faces: list[tuple[int, int, int]] = []
    following = [(k + 1) % segments for k in range(segments)]
    for row, y, flip in ((rows[0], profile[0][1], False), (rows[-1], profile[-1][1], True)):
        if row[0] != row[-1]:
            centre = len(vertices)
            vertices.append((0.0, y, 0.0))
            faces += [
                (centre, row[j], row[k]) if flip else (centre, row[k], row[j])
                for k, j in enumerate(following)
            ]
    for lower, upper in itertools.pairwise(rows):
        for k, j in enumerate(following):
            if lower[k] != lower[j]:
                faces.append((lower[k], upper[j], lower[j]))
            if upper[k] != upper[j]:
                faces.append((lower[k], upper[k], upper[j]))
    return vertices, faces


def _prism(outline: Sequence[Point], height: float, *, kernel: Point = (0.0, 0.0)) -> Surface:
    """Extrude an outline in (x, z), star-shaped seen from ``kernel``, along y. The caps fan out from the kernel."""
    n = len(outline)
    vertices = [(x, y, z) for y in (-height / 2, height / 2) for x, z in outline]
    vertices += [(kernel[0], y, kernel[1]) for y in (-height / 2, height / 2)]
    faces: list[tuple[int, int, int]] = []
    for k in range(n):
        j = (k + 1) % n
        faces += [(k, j, 2 * n), (n + j, n + k, 2 * n + 1), (k, n + k, n + j), (k, n + j, j)]
    return vertices, faces


def _strip(outer: Sequence[Point], inner: Sequence[Point], height: float, *, closed: bool) -> Surface:
    """Extrude the region between two curves in (x, z) along y: a ring, or an arc with two end faces."""
    n = len(outer)
    top = 2 * n
    vertices = [(x, y, z) for y in (-height / 2, height / 2) for x, z in [*outer, *inner]]
    faces: list[tuple[int, int, int]] = []
    for k in range(n if closed else n - 1):
        j = (k + 1) % n
        o0, o1, i0, i1 = k, j, n + k, n + j
        faces += [(o0, o1, i1), (o0, i1, i0), (top + o1, top + o0, top + i1), (top + i1, top + o0, top + i0)]
        faces += [(o0, top + o0, top + o1), (o0, top + o1, o1), (i1, top + i1, top + i0), (i1, top + i0, i0)]
    if not closed:
        a, b = 0, n
        faces += [(a, b, top + b), (a, top + b, top + a)]
        a, b = n - 1, 2 * n - 1
        faces += [(top + b, b, a), (top + a, top + b, a)]
    return vertices, faces


def _icosphere(level: int) -> tuple[Floats, Ints]:
    """Return the unit icosahedron with each triangle split in four ``level`` times."""
    t = (1 + math.sqrt(5)) / 2
    corners = [[-1, t, 0], [1, t, 0], [-1, -t, 0], [1, -t, 0], [0, -1, t], [0, 1, t], [0, -1, -t], [0, 1, -t]]
    corners += [[t, 0, -1], [t, 0, 1], [-t, 0, -1], [-t, 0, 1]]
    points = [np.array(c) / math.sqrt(1 + t * t) for c in corners]
    faces = [(0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4), (11, 10, 2)]
    faces += [(10, 7, 6), (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9), (4, 9, 5)]
    faces += [(2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1)]
    for _ in range(level):
        middles: dict[tuple[int, int], int] = {}

        def middle(a: int, b: int, middles: dict[tuple[int, int], int] = middles) -> int:
            key = (min(a, b), max(a, b))
            if key not in middles:
                between = points[a] + points[b]
                points.append(between / np.linalg.norm(between))
                middles[key] = len(points) - 1
            return middles[key]

        finer: list[tuple[int, int, int]] = []
        for a, b, c in faces:
            x, y, z = middle(a, b), middle(b, c), middle(c, a)
            finer += [(a, x, z), (b, y, x), (c, z, y), (x, y, z)]
        faces = finer
    return np.array(points), np.array(faces, dtype=np.int64)


def _box_surface(size: Sequence[float]) -> Surface:
    """Return the vertices and faces of a cuboid about the origin."""
    a, b, c = (float(s) / 2 for s in size)
    vertices = [(x, y, z) for x in (-a, a) for y in (-b, b) for z in (-c, c)]
    faces = [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)]
    faces += [(2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)]
    return vertices, faces


def box(size: Sequence[float]) -> Mesh:
    """A cuboid of edge lengths ``size`` [m], 8 vertices."""
    return _solid(_box_surface(size))


def sphere(radius: float, level: int = 1) -> Mesh:
    """An icosahedron subdivided ``level`` times (once: 42 vertices)."""
    vertices, faces = _icosphere(level)
    return _solid((vertices * radius, faces))


def pebble(radii: Sequence[float], bump: float) -> Mesh:
    """The 42-vertex sphere scaled by 1 + bump sin(3x + 1) cos(2z + 2y), then by ``radii``."""
    v, faces = _icosphere(1)
    scale = 1 + bump * np.sin(3 * v[:, 0] + 1) * np.cos(2 * v[:, 2] + 2 * v[:, 1])
    return _solid((v * scale[:, None] * np.array(radii), faces))


def lathe(profile: Sequence[Point], n: int) -> Mesh:
    """A profile [[r, y], ...], bottom to top, revolved in ``n`` segments."""
    return _solid(_lathe([(float(r), float(y)) for r, y in profile], n))


def capsule(radius: float, length: float, n: int = 10, rings: int = 3) -> Mesh:
    """A cylinder of ``length`` along y between two hemispheres of ``radius``, each of ``rings`` rows."""
    arc = [
        (radius * math.sin(a), radius * math.cos(a))
        for a in (math.pi / 2 * k / rings for k in range(rings + 1))
    ]
    lower = [(r, -length / 2 - y) for r, y in arc]
    upper = [(r, length / 2 + y) for r, y in reversed(arc)]
    return lathe([*lower, *upper], n)


def torus(n: int, m: int, R: float, r: float) -> Mesh:
    """``n`` rings of ``m`` points; R from the axis to the tube's centre, r the tube's radius."""
    angles = [(2 * math.pi * i / n, 2 * math.pi * j / m) for i in range(n) for j in range(m)]
    rows = [(R + r * math.cos(b), r * math.sin(b), a) for a, b in angles]
    vertices = [(reach * math.cos(a), y, reach * math.sin(a)) for reach, y, a in rows]
    faces: list[tuple[int, int, int]] = []
    for i, j in itertools.product(range(n), range(m)):
        a, d = i * m + j, i * m + (j + 1) % m
        b, c = (i + 1) % n * m + j, (i + 1) % n * m + (j + 1) % m
        faces += [(a, c, b), (a, d, c)]
    return _solid((vertices, faces))


def star(n: int, R: float, r: float, h: float) -> Mesh:
    """A prism of 2n points alternating between the radii R and r."""
    radii = [R if k % 2 == 0 else r for k in range(2 * n)]
    return _solid(
        _prism(
            [(q * math.cos(math.pi * k / n), q * math.sin(math.pi * k / n)) for k, q in enumerate(radii)], h
        )
    )


def gear(n: int, R: float, r: float, h: float) -> Mesh:
    """A prism with ``n`` teeth: per tooth, the outline is at R, R, r, r at (0, .38, .5, .88) of its angle."""
    corners = [
        (2 * math.pi / n * (k + f), q) for k in range(n) for f, q in ((0, R), (0.38, R), (0.5, r), (0.88, r))
    ]
    return _solid(_prism([(q * math.cos(a), q * math.sin(a)) for a, q in corners], h))


def ell(arm: float, width: float, h: float) -> Mesh:
    """A prism of an L whose two arms have the length ``arm``."""
    a, w = arm, width
    return _solid(_prism([(0, 0), (a, 0), (a, w), (w, w), (w, a), (0, a)], h, kernel=(w / 2, w / 2)))


def cross(R: float, w: float, h: float) -> Mesh:
    """A prism of a plus sign: half span R, arm width w."""
    a, b = R, w / 2
    quarter = [(a, -b), (a, b), (b, b), (b, a), (-b, a), (-b, b)]
    return _solid(_prism([*quarter, *[(-x, -y) for x, y in quarter]], h))


def nut(n: int, R: float, r: float, h: float) -> Mesh:
    """A hollow n-gonal prism with outer radius R and inner radius r."""
    return _solid(_strip(_ring(n, R), _ring(n, r), h, closed=True))


def crescent(
    n: int, R: float, r: float, arc: float, h: float, bottom_scale: float = 1.0, focus: float = 0.0
) -> Mesh:
    """A prism over ``arc`` radians between the radii R and r, ``n`` points on each curve. Its bottom is scaled by
    ``bottom_scale`` about a point at the distance ``focus`` from the centre of both curves, towards their middle."""
    if not bottom_scale > 0.0:
        raise ValueError("a bottom has a positive scale")
    angles = [arc * k / (n - 1) for k in range(n)]
    outer, inner = ([(q * math.cos(a), q * math.sin(a)) for a in angles] for q in (R, r))
    vertices, faces = _strip(outer, inner, h, closed=False)
    points = np.array(vertices)
    about = np.array([focus * math.cos(arc / 2.0), 0.0, focus * math.sin(arc / 2.0)])
    bottom = points[:, 1] < 0.0
    points[bottom] += (1.0 - bottom_scale) * (about - points[bottom]) * [1.0, 0.0, 1.0]
    return _solid((points, faces))


def tetra(R: float) -> Mesh:
    """A regular tetrahedron of circumradius R."""
    corners = np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]) * (R / math.sqrt(3))
    return _solid((corners, [(0, 1, 2), (0, 3, 1), (0, 2, 3), (1, 3, 2)]))


DUCK = ((0.55, 0.75, 0.0, 0.75, 9.0), (0.95, 0.35, 0.0, 0.35, 40.0), (-0.9, 0.35, 0.0, 0.4, 12.0))
"""Lobes of the blob, (axis x, y, z, height, sharpness): a head, a beak and a tail."""


def blob(radius: float, level: int = 2, lobes: Sequence[Sequence[float]] = DUCK) -> Mesh:
    """A sphere swollen along lobes, r(d) = radius (1 + sum a exp(k (d.n - 1))). The default lobes make a duck."""
    directions, faces = _icosphere(level)
    reach = radius * _swelling(directions, lobes)
    return _solid((directions * reach[:, None] * np.array([1.0, 0.85, 0.8]), faces))


def _swelling(directions: Floats, lobes: Sequence[Sequence[float]]) -> Floats:
    """Return 1 + sum a exp(k (d.n - 1)) for unit directions d, shape (n, 3); a lobe is (axis x, y, z, height a, k)."""
    reach = np.ones(len(directions))
    for x, y, z, height, sharpness in lobes:
        axis = np.array([x, y, z]) / math.sqrt(x * x + y * y + z * z)
        reach += height * np.exp(sharpness * (directions @ axis - 1))
    return reach


def block(size: Sequence[float], cells: Sequence[int]) -> Mesh:
    """A cuboid of tetrahedra: six to a cell (Kuhn's subdivision), ``cells`` along x, y, z."""
    counts = np.array(cells, dtype=np.int64)
    if len(counts) != 3 or counts.min() < 1:
        raise ValueError("cells are three positive numbers")
    axes = [np.linspace(-s / 2, s / 2, c + 1) for s, c in zip(size, counts, strict=True)]
    vertices = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    stride = np.array([(counts[1] + 1) * (counts[2] + 1), counts[2] + 1, 1])
    origins = (
        np.stack(np.meshgrid(*[np.arange(c) for c in counts], indexing="ij"), axis=-1).reshape(-1, 3) @ stride
    )
    parts = []
    for order in itertools.permutations(range(3)):
        steps = np.concatenate([[0], np.cumsum(stride[list(order)])])
        even = order in ((0, 1, 2), (1, 2, 0), (2, 0, 1))
        parts.append(origins[:, None] + (steps if even else steps[[0, 1, 3, 2]]))
    tetrahedra = np.ascontiguousarray(np.stack(parts, axis=1).reshape(-1, 4))
    return Mesh(np.ascontiguousarray(vertices), boundary_faces(tetrahedra), tetrahedra)


def ball(radius: float, cells: int = 4, lobes: Sequence[Sequence[float]] = ()) -> Mesh:
    """A ball of tetrahedra: a block of ``cells`` a side, each shell mapped to a sphere; swollen along lobes."""
    cube = block([2.0, 2.0, 2.0], [int(cells)] * 3)
    points = cube.vertices
    norms = np.linalg.norm(points, axis=1)
    shell = np.abs(points).max(axis=1)
    points = points * np.divide(shell, norms, out=np.zeros_like(norms), where=norms > 0)[:, None] * radius
    directions = points / np.maximum(np.linalg.norm(points, axis=1), 1e-300)[:, None]
    points = points * _swelling(directions, lobes)[:, None]
    assert cube.tetrahedra is not None
    corners = points[cube.tetrahedra]
    if np.linalg.det(corners[:, 1:] - corners[:, :1]).min() <= 0.0:
        raise ValueError("the lobes fold it over")
    return Mesh(np.ascontiguousarray(points), cube.faces, cube.tetrahedra)


def platform(
    sides: int, radius: float, depth: float, bottom_scale: float = 1.0, apothems: Sequence[float] = ()
) -> Mesh:
    """A slab with its top at y = 0, such as the Octagon: regular, or with sides at other distances from the centre,
    ``apothems``, of which each keeps its direction. Its caps fan out from vertex 0, so they stay flat."""
    n = int(sides)
    top = _corners(apothems, n) if apothems else _ring(n, radius, phase=math.pi / n)
    vertices = [(x, 0.0, z) for x, z in top] + [(x * bottom_scale, -depth, z * bottom_scale) for x, z in top]
    faces = [(0, k + 1, k) for k in range(1, n - 1)] + [(n, n + k, n + k + 1) for k in range(1, n - 1)]
    for k in range(n):
        j = (k + 1) % n
        faces += [(k, j, n + j), (k, n + j, n + k)]
    return _obstacle((vertices, faces))


def _corners(apothems: Sequence[float], n: int) -> list[Point]:
    """Return the corners of a convex polygon, side k with its normal at the angle 2 pi k / n; corner k is between the
    sides k and k + 1. Raises ValueError if a side has no length."""
    if len(apothems) != n or n < 3:
        raise ValueError("there is one apothem for each of three or more sides")
    turn = 2.0 * math.pi / n
    near = [float(distance) for distance in apothems]
    ends = [(near[(k + 1) % n] - near[k] * math.cos(turn)) / math.sin(turn) for k in range(n)]
    starts = [(near[k] * math.cos(turn) - near[k - 1]) / math.sin(turn) for k in range(n)]
    if min(near) <= 0.0 or any(end <= start for start, end in zip(starts, ends, strict=True)):
        raise ValueError("the sides do not bound a polygon")
    axes = [(math.cos(turn * k), math.sin(turn * k)) for k in range(n)]
    return [(a * x - s * z, a * z + s * x) for a, s, (x, z) in zip(near, ends, axes, strict=True)]


def slab(size: Sequence[float]) -> Mesh:
    """A cuboid with its top at y = 0."""
    vertices, faces = _box_surface(size)
    return _obstacle((np.array(vertices) - [0.0, float(size[1]) / 2, 0.0], faces))


def bowl(radius: float, n: int = 14, rings: int = 5, reach: float = 0.95) -> Mesh:
    """An open sheet: the lower part of a sphere resting on y = 0, up to ``reach`` quarters of its meridian."""
    vertices = [(0.0, 0.0, 0.0)]
    for i in range(1, rings + 1):
        a = math.pi / 2 * reach * i / rings
        vertices += [(x, radius - radius * math.cos(a), z) for x, z in _ring(n, radius * math.sin(a))]
    faces = [(0, 1 + j, 1 + (j + 1) % n) for j in range(n)]
    for i in range(rings - 1):
        for j in range(n):
            a, b = 1 + i * n + j, 1 + i * n + (j + 1) % n
            faces += [(a, b + n, b), (a, a + n, b + n)]
    return _obstacle((vertices, faces), closed=False)


KINDS: dict[str, Callable[..., Mesh]] = {
    maker.__name__: maker
    for maker in (
        *(
            box,
            sphere,
            pebble,
            lathe,
            capsule,
            torus,
            star,
            gear,
            ell,
            cross,
            nut,
            crescent,
            tetra,
            blob,
            block,
            ball,
        ),
        *(platform, slab, bowl),
    )
}
"""The function of every shape, by the name that a recipe gives it."""
