"""The arrays of a compiled scene as the kernels see them. No logic.

Groups are the bodies (things with unknowns, in scene order), then the obstacles (things that never move);
vertices, points, edges and faces are stored group after group. Named tuples, because numba passes them
without a copy."""

from __future__ import annotations

from typing import NamedTuple

from tussle.server.physics.geometry import Ints
from tussle.server.physics.world_state import Bools, Floats

__all__ = [
    "AFFINE",
    "ELASTIC",
    "Islands",
    "Lagged",
    "Pairs",
    "SolverParameters",
    "Springs",
    "System",
    "Tables",
    "Workspace",
]

AFFINE = 0
ELASTIC = 1


class Tables(NamedTuple):
    """Constant arrays of a model; n nodes, b bodies, g groups, v vertices, t tetrahedra.

    kind (b,): AFFINE or ELASTIC. mobile (g,): has unknowns that are not all fixed. bends (g,): may touch
    itself. friction (g,): Coulomb's mu. node_start (b + 1,), vertex_start (g + 1,), point_start, edge_start,
    face_start (g + 1,), tet_start (b + 1,), block_start (b + 1,), link_start (b + 1,): ranges. fixed (n,):
    nodes that are held. vertex_node (v,): its node, or the first of four, or -1. vertex_group (v,). rest (v,
    3): material coordinates [m]. world (v, 3): positions of the obstacles, zero elsewhere [m]. points:
    vertices that take part in contact. edges (e, 2), faces (f, 3): of vertices. mass (b, 4, 4): of affine
    bodies [kg, kg m, kg m^2]. node_mass (n,) [kg]. stiffness (b,): of affine bodies [Pa m^3]. tets (t, 4):
    nodes. inverse (t, 3, 3): of the rest edges [1/m]. volume (t,) [m^3]. mu, lam (t,): Lame parameters [Pa].
    node_block, node_slot (n,): block of four nodes and place in it. links (l, 2): pairs of blocks that share
    a tetrahedron."""

    kind: Ints
    mobile: Bools
    bends: Bools
    friction: Floats
    node_start: Ints
    vertex_start: Ints
    point_start: Ints
    edge_start: Ints
    face_start: Ints
    tet_start: Ints
    block_start: Ints
    link_start: Ints
    fixed: Bools
    vertex_node: Ints
    vertex_group: Ints
    rest: Floats
    world: Floats
    points: Ints
    edges: Ints
    faces: Ints
    mass: Floats
    node_mass: Floats
    stiffness: Floats
    tets: Ints
    inverse: Floats
    volume: Floats
    mu: Floats
    lam: Floats
    node_block: Ints
    node_slot: Ints
    links: Ints


class Springs(NamedTuple):
    """Springs from weighted nodes of one body to a point: pins and handles of one tick; m springs.

    body (m,). start (m + 1,): range of nodes and weights. target (m, 3) [m]. stiffness (m,) [N/m]. limit
    (m,): the largest force [N], inf for pins."""

    body: Ints
    start: Ints
    nodes: Ints
    weights: Floats
    target: Floats
    stiffness: Floats
    limit: Floats


class SolverParameters(NamedTuple):
    """Scalars of a step: dt [s], dhat [m], kappa (barrier stiffness times dt^2), slip (friction_speed * dt)
    [m], tolerance (largest vertex step that counts as converged) [m], most iterations."""

    dt: float
    dhat: float
    kappa: float
    slip: float
    tolerance: float
    iterations: int


class Pairs(NamedTuple):
    """Candidate pairs, sorted by island, and what is known of them; p pairs.

    pairs (p, 5): kind and vertices. bound (p,): their distance at the iterate [m] where it is below dhat,
    else a lower bound on it that is not. weights (p, 4): of the closest points, valid where the bound is
    below dhat. new_bound and new_weights: the same at the trial."""

    pairs: Ints
    bound: Floats
    weights: Floats
    new_bound: Floats
    new_weights: Floats


class Lagged(NamedTuple):
    """Contacts of the start of the step, which carry friction; c contacts.

    rows (c, 4): vertices. weights (c, 4). normals (c, 3), towards the first primitive. force (c,): mu lambda.
    groups (c, 2): the two groups in contact.
    """

    rows: Ints
    weights: Floats
    normals: Floats
    force: Floats
    groups: Ints


class Islands(NamedTuple):
    """Ranges per island: bodies (members[member_start[i]:...]), pairs, and lagged contacts (through
    lag_order)."""

    members: Ints
    member_start: Ints
    pair_start: Ints
    lag_order: Ints
    lag_start: Ints


class System(NamedTuple):
    """The linear system of one island: its pattern in elimination order, and its blocks; n blocks, m of them stored.

    slot (n, n), columns (n + 1,), rows: as order_blocks gives them. data (m, 12, 12): the stored blocks.
    """

    slot: Ints
    columns: Ints
    rows: Ints
    data: Floats


class Workspace(NamedTuple):
    """The iterate of a step and its trial; written in place.

    q, q_trial, direction, predicted: (nodes, 3). start, x, x_trial: vertices at the start of the step, of the
    iterate and of the trial [m], (v, 3). travel (v,): how far the whole direction moves each vertex [m]. low,
    high (v, 3): the box that each vertex may move in without new candidates. local: scratch per block."""

    q: Floats
    q_trial: Floats
    direction: Floats
    predicted: Floats
    start: Floats
    x: Floats
    x_trial: Floats
    travel: Floats
    low: Floats
    high: Floats
    local: Ints
