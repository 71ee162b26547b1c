"""The arrays that the kernels read and write, as named tuples. No logic.

Groups are the bodies (with unknowns, in scene order), then the obstacles (which never move). Vertices, points, edges
and faces are stored group after group. ``*_start`` arrays hold the range of each group or body. Named tuples, because
numba passes them without a copy.
"""

from __future__ import annotations

from typing import NamedTuple

from tussle.server.physics.geometry import Ints
from tussle.server.physics.world_state import Bools, Floats

__all__ = [
    "AFFINE",
    "ELASTIC",
    "Bounces",
    "Bulks",
    "ContactRow",
    "Islands",
    "Joints",
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
    """Constant arrays of a model; n nodes, b bodies, g groups, v vertices, t tetrahedra, p patches (patches.py).

    kind (b,): AFFINE or ELASTIC. mobile (g,): has unknowns that are not all fixed. bends (g,): may touch itself.
    friction (g,): Coulomb's mu. contact_mass (g,): sizes the barriers of the group [kg], 0 for a group that cannot
    move. node_start, tet_start, order_start (b + 1,) and vertex_start, point_start,
    edge_start, face_start (g + 1,): ranges. fixed (n,): pinned nodes. vertex_node (v,): the node of a vertex, or the
    first of four, or -1 for an obstacle. vertex_group (v,). rest (v, 3): material coordinates [m]. world (v, 3):
    positions of the obstacles [m], zero elsewhere. points: vertices that take part in contact. edges (e, 2), faces (f,
    3): vertices. mass (b, 4, 4): of affine bodies [kg, kg m, kg m^2]. node_mass (n,) [kg]. stiffness (b,): of affine
    bodies [Pa m^3]. tets (t, 4): nodes. inverse (t, 3, 3): inverse of the rest edges [1/m]. volume (t,) [m^3]. mu, lam
    (t,): Lame parameters [Pa]. node_body (n,). span (n,): nodes that are eliminated together from this one on, 4
    for the first of an affine body and 0 for its others, 1 for an elastic one. order: the first nodes of the spans that
    are not fixed, in the order of elimination. cluster (n,): nodes of a body that follow each other in it and are
    eliminated together. near_start (n + 1,), near: the nodes that share a tetrahedron or a patch with each node, none
    fixed. patch_start (b + 1,): ranges. patch_first (p + 1,): range of each patch in patch_nodes and patch_slopes, the
    mean gradients of the shape functions of its nodes [1/m]. patch_volume (p,) [m^3]. patch_mu, patch_lam (p,): Lame
    parameters that act on its mean strain [Pa]; mu and lam of its tetrahedra are what is left for them.
    """

    kind: Ints
    mobile: Bools
    bends: Bools
    friction: Floats
    contact_mass: Floats
    node_start: Ints
    vertex_start: Ints
    point_start: Ints
    edge_start: Ints
    face_start: Ints
    tet_start: Ints
    order_start: Ints
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
    node_body: Ints
    span: Ints
    order: Ints
    cluster: Ints
    near_start: Ints
    near: Ints
    patch_start: Ints
    patch_first: Ints
    patch_nodes: Ints
    patch_slopes: Floats
    patch_volume: Floats
    patch_mu: Floats
    patch_lam: Floats


class Joints(NamedTuple):
    """The joints, sorted by the body that they count for, which groups may not touch, and which have a friction of
    their own; j joints, b bodies.

    start (b + 1,): range of each body. links (j, LINKS): kind, bodies, nodes. frames (j, 2, 4, 7): of the anchor and
    three directions of either side, the weights of four nodes, and a constant. numbers (j, COLUMNS). slopes (j, 8, 3):
    derivative of the coordinate at the start of the step. apart (p,): pairs of groups a < b that may not touch, as a *
    groups + b, sorted. rubbing (r,): the same of pairs with a friction of their own. rubs (r,): that friction.
    server/physics/joint_forces.py has the columns.
    """

    start: Ints
    links: Ints
    frames: Floats
    numbers: Floats
    slopes: Floats
    apart: Ints
    rubbing: Ints
    rubs: Floats


class Bounces(NamedTuple):
    """What restitution needs of a model; b bodies, g groups, p pairs.

    share (g,): restitution of each group; a pair has the larger one. keys (p,): pairs of groups a < b with one of their
    own, as a * groups + b, sorted. shares (p,): that. bends (g,): takes no part. mass (b,): of bodies that an impulse
    moves [kg], 0 for others.
    """

    share: Floats
    keys: Ints
    shares: Floats
    bends: Bools
    mass: Floats


class Bulks(NamedTuple):
    """What the size of a step depends on; b bodies, g groups, n nodes.

    kind (b,), node_start (b + 1,), node_mass (n,): as in Tables. width (g,): the middle one of the three sides of the
    box of the rest shape [m], which is the least way around it. radius (g,): largest distance of a vertex from the
    centre of mass [m]. low, high (g, 3): box of an obstacle [m].
    """

    kind: Ints
    node_start: Ints
    node_mass: Floats
    width: Floats
    radius: Floats
    low: Floats
    high: Floats


class Springs(NamedTuple):
    """Springs from the weighted mean of nodes of one body to a point: the pins, and the handles of one tick; m
    springs.

    body (m,). start (m + 1,): range of nodes and weights. target (m, 3) [m]. stiffness (m,) [N/m]. limit (m,): largest
    force [N], inf for pins.
    """

    body: Ints
    start: Ints
    nodes: Ints
    weights: Floats
    target: Floats
    stiffness: Floats
    limit: Floats


class SolverParameters(NamedTuple):
    """Scalars of a step.

    dt [s]. dhat [m]: distance below which the barrier acts. kappa: barrier stiffness times dt^2, for a contact mass of
    1 kg. friction_eps [m]: eps_v * dt, the displacement in one step below which friction is smoothed. tolerance [m]:
    the largest error of a vertex at which an island has converged. motion_share: the largest error of a vertex in units
    of the motion of the island in this step, which counts as at least friction_eps. iterations: the limit of the
    iterations, of which each counts by the share of the bodies that take part in it. stop: the limit of their number.
    """

    dt: float
    dhat: float
    kappa: float
    friction_eps: float
    tolerance: float
    motion_share: float
    iterations: int
    stop: int


class Pairs(NamedTuple):
    """Candidate pairs, sorted by island, and their distances; p pairs.

    pairs (p, 5): kind and vertices. bound (p,): the distance at the iterate [m] if it is below dhat, else a lower
    bound on it that is at least dhat. weights (p, 4): of the closest points, valid where the bound is below dhat.
    new_bound and new_weights: the same at the trial position. kappa (p,): barrier stiffness times dt^2.
    """

    pairs: Ints
    bound: Floats
    weights: Floats
    new_bound: Floats
    new_weights: Floats
    kappa: Floats


class Lagged(NamedTuple):
    """Lagged friction: the contacts at the start of the step; c contacts.

    rows (c, 4): vertices. weights (c, 4). normals (c, 3): towards the first primitive. force (c,): mu times the normal
    force, times dt^2. groups (c, 2): the two groups in contact. pull (c, 3): the direction and share of the friction as
    the iterations estimate them, at most 1 long; written in place (friction.py).
    """

    rows: Ints
    weights: Floats
    normals: Floats
    force: Floats
    groups: Ints
    pull: Floats


class Islands(NamedTuple):
    """Ranges per island: bodies (members[member_start[i]:...]), pairs, and lagged contacts (through lag_order)."""

    members: Ints
    member_start: Ints
    pair_start: Ints
    lag_order: Ints
    lag_start: Ints


class System(NamedTuple):
    """The linear system of one island, and its factor: f fronts (server/physics/elimination.py).

    first (f + 1,): the place of the first node of each front. row_start (f + 1,), rows: the places of its rows,
    ascending. parent (f,): the front of its first row, or -1. start (f + 1,), data: its columns, as rows of tiles
    (server/physics/tiles.py); the nodes of the front have the first rows, padded to whole tiles. depth (f,): 0 or 1,
    even or odd. rest (f,): where what a front adds to its parent begins, in ``even`` or ``odd``.
    """

    first: Ints
    row_start: Ints
    rows: Ints
    parent: Ints
    start: Ints
    data: Floats
    depth: Ints
    rest: Ints
    even: Floats
    odd: Floats


class Workspace(NamedTuple):
    """The iterate of a step and its trial position; written in place.

    q, q_trial, direction (nodes, 3): generalised positions and Newton direction. predicted (nodes, 3): the position
    that inertia predicts, the minimiser without elasticity and contact. start, x, x_trial (v, 3): vertices at the
    start of the step, at the iterate and at the trial [m]. travel (v,): how far the whole direction moves each vertex
    [m]. low, high (v, 3): the box within which a vertex needs no new candidates [m]. place, front (nodes,): of each
    node in the System of its island. turned (bodies,): whether the trial is turned (line_search.py).
    """

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
    place: Ints
    front: Ints
    turned: Bools


class ContactRow(NamedTuple):
    """Scratch for one contact: r = sum w_i x_i in nodes.

    nodes, coefs (16,): the nodes and their coefficients. offset (3,): r [m]. curve (3, 3): the second derivative of the
    energy by r. spread (3, 12): columns of a block.
    """

    nodes: Ints
    coefs: Floats
    offset: Floats
    curve: Floats
    spread: Floats
