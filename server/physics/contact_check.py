"""The independent contact check: ipctk tests a state for intersections, winding numbers test for containment.

Shares no code with the solver except the layout of vertices, so that a fault of the solver cannot hide itself. ipctk's
``has_intersections`` tests all edges against all faces, also those that the solver leaves out. It does not find a body
that is wholly inside another; the winding numbers do.
"""

from __future__ import annotations

import functools

import ipctk
import numpy as np

from tussle.server.physics.geometry import Ints, unique_edges, winding_number
from tussle.server.physics.kernel_arrays import AFFINE
from tussle.server.physics.model import Model, vertices
from tussle.server.physics.world_state import ContactCheck, Floats, State

__all__ = [
    "TOUCH",
    "check_contact",
    "intersecting_pairs",
    "is_path_free",
    "nearest_pair",
    "overlapping_pairs",
    "smallest_gap",
]

ipctk.set_num_threads(1)

TOUCH = 1e-6
"""Two bodies touch if their distance is below this fraction of dhat: their barrier would exceed float64."""

GAPS = (1.0, 3.0, 10.0)
"""How far ``smallest_gap`` looks, in units of dhat, one after the other."""

CANDIDATES_MAX = 300_000
"""Pairs of primitives beyond which ``smallest_gap`` gives up: about a second."""

TESTS_MAX = 2000
"""Pairs of bodies that are tested for intersection, at most."""


@functools.lru_cache(maxsize=16)
def _collision_mesh(model: Model) -> ipctk.CollisionMesh:
    """Return the whole world as ipctk's mesh.

    Pairs within one affine body and pairs of two obstacles cannot collide.
    """
    t = model.tables
    count = len(model.body_ids)
    patches = np.where(t.vertex_group < count, t.vertex_group, count).astype(np.int32)
    for body in range(count):
        if t.kind[body] != AFFINE:
            rows = slice(int(t.vertex_start[body]), int(t.vertex_start[body + 1]))
            patches[rows] = count + 1 + np.arange(rows.start, rows.stop)
    faces = np.asfortranarray(t.faces.astype(np.int32))
    edges = np.asfortranarray(unique_edges(t.faces).astype(np.int32))
    mesh = ipctk.CollisionMesh(np.asfortranarray(t.rest), edges, faces)
    mesh.can_collide = ipctk.make_vertex_patches_filter(patches) & _apart_filter(model)
    return mesh


def _apart_filter(model: Model) -> ipctk.CollisionFilter:
    """Return the filter of pairs of bodies that the scene lets pass through one another.

    Pairs that share no body make one filter together, so that a chain of joints has two.
    """
    owner = model.tables.vertex_group
    own = np.arange(1, len(owner) + 1)
    rounds: list[dict[int, int]] = []
    for a, b in _apart(model):
        free = next((one for one in rounds if a not in one and b not in one), None)
        if free is None:
            free = {}
            rounds.append(free)
        free[a] = free[b] = -a - 1
    between = ipctk.CollisionFilter()
    for one in rounds:
        patch = np.array([one.get(group, 0) for group in range(int(owner.max(initial=0)) + 1)])[owner]
        between = between & ipctk.make_vertex_patches_filter(np.where(patch < 0, patch, own).astype(np.int32))
    return between | ~ipctk.make_vertex_patches_filter(owner.astype(np.int32))


def _apart(model: Model) -> list[tuple[int, int]]:
    """Return the pairs of groups that may not touch."""
    groups = len(model.tables.point_start) - 1
    return [(int(key) // groups, int(key) % groups) for key in model.joint_arrays.apart]


def _world(model: Model, state: State) -> Floats:
    return np.asfortranarray(np.concatenate([vertices(model, state), model.static_vertices]))


def check_contact(model: Model, state: State) -> ContactCheck:
    """Check one state for intersections, inversions (of tetrahedra and affine maps) and bodies inside one another."""
    positions = _world(model, state)
    hit = bool(ipctk.has_intersections(_collision_mesh(model), positions))
    return ContactCheck(
        intersections=int(hit), inversions=_inversions(model, state), contained=_contained(model, state)
    )


def is_path_free(model: Model, before: State, after: State, *, tolerance: float = 1e-6) -> bool:
    """Return whether the straight path of every vertex between two states is free of collision (tight-inclusion CCD).

    Conservative: False may be a false positive where two surfaces are nearer than about ``tolerance`` [m], True is
    certain. The solver guarantees this for each segment of its
    line searches, not for the chord between two ticks.
    """
    ccd = ipctk.TightInclusionCCD(tolerance, 10_000_000, 0.99)
    mesh = _collision_mesh(model)
    return bool(
        ipctk.is_step_collision_free(mesh, _world(model, before), _world(model, after), 0.0, None, ccd)
    )


def _inversions(model: Model, state: State) -> int:
    """Return the number of inverted tetrahedra, patches of them and affine maps."""
    t = model.tables
    corners = state.q[t.tets]
    wrong = int((np.linalg.det(corners[:, 1:] - corners[:, :1]) <= 0.0).sum())
    if len(t.patch_volume):
        first = t.patch_first[:-1]
        offsets = state.q[t.patch_nodes] - np.repeat(
            state.q[t.patch_nodes[first]], np.diff(t.patch_first), axis=0
        )
        mean = np.add.reduceat(offsets[:, :, None] * t.patch_slopes[:, None, :], first)
        wrong += int((np.linalg.det(mean) <= 0.0).sum())
    for body in np.flatnonzero(t.kind == AFFINE):
        first = model.node_offset[body]
        wrong += int(np.linalg.det(state.q[first + 1 : first + 4]) <= 0.0)
    return wrong


def _groups(model: Model) -> list[tuple[str, slice, Ints, bool]]:
    """Return for each group its name, its rows of the world's vertices, its faces in that numbering, and whether it is
    closed.
    """
    t = model.tables
    out = []
    for group, name in enumerate((*model.body_ids, *model.static_ids)):
        faces = t.faces[t.face_start[group] : t.face_start[group + 1]]
        directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        closed = set(map(tuple, directed.tolist())) == set(map(tuple, directed[:, ::-1].tolist()))
        out.append((name, slice(int(t.vertex_start[group]), int(t.vertex_start[group + 1])), faces, closed))
    return out


_cached_groups = functools.lru_cache(maxsize=16)(_groups)


def _contained(model: Model, state: State) -> tuple[tuple[str, str], ...]:
    """Return pairs (inner, outer) of names: the first vertex of inner lies inside the closed surface outer."""
    positions = np.ascontiguousarray(_world(model, state))
    groups = _cached_groups(model)
    lows = np.array([positions[rows].min(axis=0) for _, rows, _, _ in groups])
    highs = np.array([positions[rows].max(axis=0) for _, rows, _, _ in groups])
    count = len(model.body_ids)
    found = []
    apart = set(_apart(model))
    for outer, (outer_name, _, faces, closed) in enumerate(groups):
        if not closed:
            continue
        inside = (lows >= lows[outer]).all(axis=1) & (highs <= highs[outer]).all(axis=1)
        for inner in np.flatnonzero(inside):
            if inner == outer or (inner >= count and outer >= count):
                continue
            if (min(inner, outer), max(inner, outer)) in apart:
                continue
            point = positions[groups[inner][1].start]
            if winding_number(point, positions[faces]) > 0.5:
                found.append((groups[inner][0], outer_name))
    return tuple(found)


def nearest_pair(model: Model, state: State, within: float | None = None) -> tuple[float, str, str]:
    """Return the smallest distance [m] of two bodies that may collide and are nearer than ``within`` [m] (dhat by
    default), and their names.

    Returns (inf, "", "") if no two are.
    """
    mesh = _collision_mesh(model)
    positions = _world(model, state)
    collisions = ipctk.NormalCollisions()
    collisions.build(mesh, positions, model.scene.dhat if within is None else within)
    best, pair = np.inf, (0, 0)
    edges, faces = mesh.edges, mesh.faces
    for number in range(len(collisions)):
        collision = collisions[number]
        ids = collision.vertex_ids(edges, faces)
        square = collision.compute_distance(collision.dof(positions, edges, faces))
        if square < best:
            second = ids[2] if isinstance(collision, ipctk.EdgeEdgeNormalCollision) else ids[1]
            best, pair = square, (int(ids[0]), int(second))
    if not np.isfinite(best):
        return np.inf, "", ""
    names = (*model.body_ids, *model.static_ids)
    first, second = (names[model.tables.vertex_group[v]] for v in pair)
    return float(np.sqrt(best)), first, second


def smallest_gap(model: Model, state: State) -> float | None:
    """Return the smallest distance of two bodies [m], or None if it is more than ten times dhat, or if there are too
    many pairs to find out."""
    t = model.tables
    mesh = ipctk.CollisionMesh(
        np.asfortranarray(t.rest),
        np.asfortranarray(unique_edges(t.faces).astype(np.int32)),
        np.asfortranarray(t.faces.astype(np.int32)),
    )
    bodies = np.minimum(t.vertex_group, len(model.body_ids)).astype(np.int32)
    mesh.can_collide = ipctk.make_vertex_patches_filter(bodies) & _apart_filter(model)
    positions = _world(model, state)
    for within in GAPS:
        candidates = ipctk.Candidates()
        candidates.build(mesh, positions, within * model.scene.dhat)
        if len(candidates) > CANDIDATES_MAX:
            return None
        collisions = ipctk.NormalCollisions()
        collisions.build(candidates, mesh, positions, within * model.scene.dhat)
        if len(collisions):
            return float(np.sqrt(collisions.compute_minimum_distance(mesh, positions)))
    return None


def overlapping_pairs(model: Model, state: State, *, most: int) -> list[tuple[str, str]]:
    """Return the names of pairs of bodies that intersect, touch or contain one another, at most ``most`` of them."""
    check = check_contact(model, state)
    pairs = list(check.contained)
    if check.intersections:
        pairs += intersecting_pairs(model, state, most=most)
    else:
        distance, first, second = nearest_pair(model, state, TOUCH * model.scene.dhat)
        if distance < TOUCH * model.scene.dhat:
            pairs.append((first, second))
    return list(dict.fromkeys(pairs))[:most]


def intersecting_pairs(model: Model, state: State, *, most: int = TESTS_MAX) -> list[tuple[str, str]]:
    """Return the names of at most ``most`` pairs of bodies that intersect. Each pair is tested alone, up to TESTS_MAX
    of them.

    Slower than check_contact; it names the bodies of a refused scene.
    """
    positions = np.ascontiguousarray(_world(model, state))
    groups = _cached_groups(model)
    count = len(model.body_ids)
    apart = set(_apart(model))
    found: list[tuple[str, str]] = []
    tests = 0
    for a, (name, rows, faces, _) in enumerate(groups):
        for b in range(a, len(groups)):
            other, other_rows, other_faces, _ = groups[b]
            if a >= count or (a, b) in apart or (a == b and model.tables.kind[a] == AFFINE):
                continue
            if (positions[rows].min(axis=0) > positions[other_rows].max(axis=0)).any() or (
                positions[other_rows].min(axis=0) > positions[rows].max(axis=0)
            ).any():
                continue
            if len(found) >= most or tests >= TESTS_MAX:
                return found
            tests += 1
            both = faces if a == b else np.concatenate([faces, other_faces])
            used, renumbered = np.unique(both, return_inverse=True)
            renumbered = renumbered.reshape(-1, 3)
            mesh = ipctk.CollisionMesh(
                np.asfortranarray(positions[used]),
                np.asfortranarray(unique_edges(renumbered).astype(np.int32)),
                np.asfortranarray(renumbered.astype(np.int32)),
            )
            if a != b:
                patches = (model.tables.vertex_group[used] == b).astype(np.int32)
                mesh.can_collide = ipctk.make_vertex_patches_filter(patches)
            if ipctk.has_intersections(mesh, np.asfortranarray(positions[used])):
                found.append((name, other))
    return found
