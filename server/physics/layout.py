"""From meshes to the arrays of the kernels: numbering of nodes, vertices and blocks; masses; rest shapes.

Called once per scene. Affine bodies and rails own four nodes. Elastic bodies own one node per mesh vertex, in the
order of the mesh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.motions import largest_offset
from tussle.lobby.rules.rotations import rotation_matrix
from tussle.lobby.rules.scenes import Body
from tussle.server.physics.averaged_strain import STABILISATION
from tussle.server.physics.dissection import dissect, mesh_links
from tussle.server.physics.geometry import (
    Ints,
    Mesh,
    affine_moments,
    boundary_faces,
    contact_features,
    different_rows,
    edge_uses,
    signed_volume,
    unique_edges,
)
from tussle.server.physics.kernel_arrays import AFFINE, ELASTIC, Bulks, Springs, Tables
from tussle.server.physics.model import GRAVITY
from tussle.server.physics.patches import Patches, lay_out_patches, patch_links
from tussle.server.physics.pin_motions import PinMotion, hold_elastic, make_motion
from tussle.server.physics.step_limits import FLOOR
from tussle.server.physics.world_state import Floats

__all__ = [
    "GRIPS_MAX",
    "Extent",
    "Part",
    "add_grips",
    "count_grips",
    "lay_out",
    "lay_out_springs",
    "measure",
    "measure_bulks",
    "refuse_unrepresentable",
    "refuse_wide_dhat",
]

HANDLE_NODES = 128
"""The most nodes of an elastic body that a handle pulls at."""
DHAT_FLOORS = 1e-4
"""The largest floor of the distances, in units of dhat."""
RAIL_MASS = 1e5
"""The mass of a rail in a step, in units of the largest contact mass.

Contact pushes a rail off its course by about dhat / RAIL_MASS. A much larger value costs the linear solve its
precision.
"""
CONTACT_MASS = 15.0
"""The contact mass of a scene in which only rails move [kg]."""
PIN_STIFFNESS = 1e4
"""The stiffness of a pin of an affine body, in units of its mass / dt^2. The pin gives way by g dt^2 / PIN_STIFFNESS.
"""
GRIPS_MAX = 256
"""Most handles of one body that ``add_grips`` makes besides "centre"."""


@dataclass(frozen=True, slots=True)
class Part:
    """One body or obstacle with its mesh and what follows from it.

    rest (n, 3): mesh vertices relative to the centre of mass (bodies) or in place (obstacles) [m]. mass [kg]. volume
    [m^3]. moments (4, 4): mass matrix of an affine body. q, v: initial generalised positions [m] and velocities [m/s].
    surface (v,): the mesh vertices that are on the surface. faces, edges, points: in the numbering of ``surface``.
    fixed: pinned nodes.
    """

    body: Body
    mesh: Mesh
    rest: Floats
    mass: float
    volume: float
    moments: Floats
    q: Floats
    v: Floats
    surface: Ints
    faces: Ints
    edges: Ints
    points: Ints
    fixed: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def elastic(self) -> bool:
        """Whether the body is made of tetrahedra."""
        return self.body.kind == "elastic"


def refuse(body: Body, message: str, field: str = "bodies") -> Refused:
    """Return the Refused (bad_scene) that names a body."""
    return Refused(f"body {body.id!r}: {message}", code="bad_scene", field=field)


def make_part(body: Body, mesh: Mesh) -> Part:
    """Place one body in the world. Raises Refused (bad_scene), which names the body, if its mesh does not suit its
    kind.
    """
    try:
        turn = rotation_matrix(body.rotation)
    except ValueError as error:
        raise refuse(body, str(error), "rotation") from None
    position = np.array(body.position)
    count = len(mesh.vertices)
    for pin in body.pins:
        if pin.vertices and not 0 <= min(pin.vertices) <= max(pin.vertices) < count:
            raise refuse(body, f"a pin names a vertex outside 0..{count - 1}", "pins")
    for handle in body.handles:
        if not handle.vertices or not 0 <= min(handle.vertices) <= max(handle.vertices) < count:
            raise refuse(
                body, f"handle {handle.id!r} names no vertex, or one outside 0..{count - 1}", "handles"
            )
    if body.kind == "static":
        edges, points = contact_features(mesh)
        placed = mesh.vertices @ turn.T + position
        none = np.zeros((0, 3))
        return Part(
            body,
            mesh,
            placed,
            0.0,
            0.0,
            np.zeros((4, 4)),
            none,
            none,
            np.arange(count),
            mesh.faces,
            edges,
            points,
        )
    _require_solid(body, mesh)
    if body.kind == "elastic":
        return _elastic_part(body, mesh, turn, position)
    if mesh.tetrahedra is not None and not body.pins and not body.handles:
        used, faces = np.unique(mesh.faces, return_inverse=True)
        mesh = Mesh(mesh.vertices[used], faces.reshape(-1, 3).astype(np.int64))
        count = len(used)
    moments = affine_moments(mesh.vertices, mesh.faces, body.material.density)
    centre = moments[0, 1:] / moments[0, 0]
    rest = mesh.vertices - centre
    moments = affine_moments(rest, mesh.faces, body.material.density)
    moments[0, 1:] = moments[1:, 0] = 0.0
    q = np.vstack([position + turn @ centre, turn.T])
    spin = np.array(body.spin)
    v = np.vstack([np.array(body.velocity), np.cross(spin, turn.T)])
    edges, points = contact_features(mesh)
    fixed = np.full(4, any(not pin.vertices for pin in body.pins))
    v[fixed] = 0.0
    volume = signed_volume(rest, mesh.faces)
    return Part(
        body,
        mesh,
        rest,
        float(moments[0, 0]),
        volume,
        moments,
        q,
        v,
        np.arange(count),
        mesh.faces,
        edges,
        points,
        fixed,
    )


def _require_solid(body: Body, mesh: Mesh) -> None:
    """Raise Refused (bad_scene) unless the surface is closed and oriented outwards."""
    _, uses = edge_uses(mesh.faces)
    if not mesh.closed or not len(uses) or uses.max() > 1:
        raise refuse(body, "its surface is not closed, so it has no inside", "shape")
    if signed_volume(mesh.vertices, mesh.faces) <= 0.0:
        raise refuse(body, "its surface is inside out", "shape")


def _elastic_part(body: Body, mesh: Mesh, turn: Floats, position: Floats) -> Part:
    if mesh.tetrahedra is None:
        raise refuse(body, "an elastic body needs tetrahedra", "shape")
    corners = mesh.vertices[mesh.tetrahedra]
    volumes = np.linalg.det(corners[:, 1:] - corners[:, :1]) / 6.0
    if volumes.min() <= 0.0:
        raise refuse(body, f"{int((volumes <= 0.0).sum())} of its tetrahedra are inverted or flat", "shape")
    faces = boundary_faces(mesh.tetrahedra)
    shares = np.zeros(len(mesh.vertices))
    np.add.at(shares, mesh.tetrahedra.ravel(), np.repeat(volumes / 4.0, 4))
    if shares.min() <= 0.0:
        raise refuse(body, "a vertex belongs to no tetrahedron", "shape")
    centre = shares @ mesh.vertices / shares.sum()
    rest = mesh.vertices - centre
    q = mesh.vertices @ turn.T + position
    v = np.array(body.velocity) + np.cross(np.array(body.spin), rest @ turn.T)
    fixed = np.zeros(len(q), dtype=bool)
    for pin in body.pins:
        if pin.motion is not None:
            continue
        fixed[list(pin.vertices) if pin.vertices else slice(None)] = True
    v[fixed] = 0.0
    surface, renumbered = np.unique(faces, return_inverse=True)
    renumbered = renumbered.reshape(-1, 3).astype(np.int64)
    volume = float(volumes.sum())
    return Part(
        body, mesh, rest, volume * body.material.density, volume, np.zeros((4, 4)), q, v, surface, renumbered,
        unique_edges(renumbered), np.arange(len(surface)), fixed,
    )  # fmt: skip


def _starts(counts: list[int]) -> Ints:
    """Return the ranges of consecutive items of these counts, shape (len(counts) + 1,)."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _neighbours(links: Ints, fixed: np.ndarray) -> tuple[Ints, Ints]:
    """Return the nodes that are linked to each node, as ranges (nodes + 1,) and nodes; none of them fixed."""
    links = links[~fixed[links].any(axis=1)]
    both = np.concatenate([links, links[:, ::-1]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    return _starts(np.bincount(both[:, 0], minlength=len(fixed)).tolist()), np.ascontiguousarray(both[:, 1])


def _contact_masses(parts: list[Part], contact_mass: float) -> Floats:
    """Return the mass that sizes the barriers of each body and obstacle [kg]; 0 for one that cannot move.

    contact_mass [kg]: of the scene; 0 for the mass of each body. The mass of a rail says nothing, because its motion is
    prescribed: it takes the middle one of the others.
    """
    free = [not part.fixed.all() for part in parts]
    own = [
        part.mass
        for part, moves in zip(parts, free, strict=True)
        if moves and part.body.kind in ("affine", "elastic")
    ]
    middle = contact_mass or (sorted(own)[len(own) // 2] if own else CONTACT_MASS)
    masses = [
        0.0 if part.body.kind == "static" or not moves
        else middle if contact_mass or part.body.kind == "rail"
        else part.mass
        for part, moves in zip(parts, free, strict=True)
    ]  # fmt: skip
    return np.array(masses, dtype=np.float64)


def lay_out(bodies: list[Part], obstacles: list[Part], *, contact_mass: float) -> Tables:
    """Return the tables of the kernels. contact_mass [kg]: of the scene; 0 for the mass of each body."""
    parts = [*bodies, *obstacles]
    contact_masses = _contact_masses(parts, contact_mass)
    node_start = _starts([len(part.q) for part in bodies])
    vertex_start = _starts([len(part.surface) for part in parts])
    rest, world, vertex_node = [], [], []
    for number, part in enumerate(parts):
        placed = part.rest[part.surface]
        rest.append(placed)
        if number >= len(bodies):
            world.append(placed)
            vertex_node.append(np.full(len(placed), -1))
        else:
            world.append(np.zeros_like(placed))
            vertex_node.append(
                node_start[number] + (part.surface if part.elastic else np.zeros_like(part.surface))
            )
    orders: list[Ints] = []
    clusters: list[Ints] = []
    spans: list[Ints] = []
    links: list[Ints] = []
    mass = np.zeros((len(bodies), 4, 4))
    tets, inverse, volume, mu, lam, node_mass = [], [], [], [], [], []
    patches: list[Patches] = []
    patch_start, patch_mu, patch_lam = [0], [], []
    for number, part in enumerate(bodies):
        nodes, count = len(part.q), 0
        if not part.elastic:
            mass[number] = part.moments
            if part.body.kind == "rail":
                mass[number] *= RAIL_MASS * contact_masses.max() / part.mass
            node_mass.append(np.zeros(nodes))
            free = not part.fixed.any()
            orders.append(np.full(int(free), node_start[number]))
            clusters.append(np.zeros(nodes, dtype=np.int64))
            spans.append(np.array([nodes, 0, 0, 0]))
        else:
            tetrahedra = part.mesh.tetrahedra
            assert tetrahedra is not None
            corners = part.rest[tetrahedra]
            edges = np.swapaxes(corners[:, 1:] - corners[:, :1], 1, 2)
            sizes = np.linalg.det(edges) / 6.0
            tets.append(tetrahedra + node_start[number])
            inverse.append(np.linalg.inv(edges))
            volume.append(sizes)
            young, poisson = part.body.material.stiffness, part.body.material.poisson
            first, second = young / (2 * (1 + poisson)), young * poisson / ((1 + poisson) * (1 - 2 * poisson))
            pairs = mesh_links(tetrahedra)
            if part.body.material.element == "averaged":
                made = lay_out_patches(part.rest, tetrahedra)
                count = len(made.volume)
                pairs = np.concatenate([pairs, patch_links(made)])
                pairs = pairs[different_rows(pairs)[0]]
                patches.append(replace(made, nodes=made.nodes + node_start[number]))
                patch_mu.append(np.full(count, (1.0 - STABILISATION) * first))
                patch_lam.append(np.full(count, second))
                first, second = STABILISATION * first, 0.0
            mu.append(np.full(len(sizes), first))
            lam.append(np.full(len(sizes), second))
            share = np.zeros(nodes)
            np.add.at(share, tetrahedra.ravel(), np.repeat(sizes * part.body.material.density / 4.0, 4))
            node_mass.append(share)
            order, cluster = dissect(part.rest, pairs, ~part.fixed)
            orders.append(order + node_start[number])
            clusters.append(cluster)
            spans.append(np.ones(nodes, dtype=np.int64))
            links.append(pairs + node_start[number])
        patch_start.append(patch_start[-1] + count)
    tet_counts = [
        len(part.mesh.tetrahedra) if part.elastic and part.mesh.tetrahedra is not None else 0
        for part in bodies
    ]
    fixed = _join([part.fixed for part in bodies], (0,), bool)
    near_start, near = _neighbours(_join(links, (0, 2), np.int64), fixed)
    return Tables(
        kind=np.array([ELASTIC if part.elastic else AFFINE for part in bodies], dtype=np.int64),
        mobile=np.array(
            [*[not part.fixed.all() for part in bodies], *[False for _ in obstacles]], dtype=bool
        ),
        bends=np.array([part.elastic for part in parts], dtype=bool),
        friction=np.array([part.body.material.friction for part in parts], dtype=np.float64),
        contact_mass=contact_masses,
        node_start=node_start,
        vertex_start=vertex_start,
        point_start=_starts([len(part.points) for part in parts]),
        edge_start=_starts([len(part.edges) for part in parts]),
        face_start=_starts([len(part.faces) for part in parts]),
        tet_start=_starts(tet_counts),
        order_start=_starts([len(order) for order in orders]),
        fixed=fixed,
        vertex_node=_join(vertex_node, (0,), np.int64),
        vertex_group=np.repeat(np.arange(len(parts)), np.diff(vertex_start)).astype(np.int64),
        rest=_join(rest, (0, 3), np.float64),
        world=_join(world, (0, 3), np.float64),
        points=_join(
            [p.points[:, None] + s for p, s in zip(parts, vertex_start, strict=False)], (0, 1), np.int64
        ),
        edges=_join([p.edges + s for p, s in zip(parts, vertex_start, strict=False)], (0, 2), np.int64),
        faces=_join([p.faces + s for p, s in zip(parts, vertex_start, strict=False)], (0, 3), np.int64),
        mass=mass,
        node_mass=_join(node_mass, (0,), np.float64),
        stiffness=np.array([part.body.material.stiffness * part.volume for part in bodies], dtype=np.float64),
        tets=_join(tets, (0, 4), np.int64),
        inverse=_join(inverse, (0, 3, 3), np.float64),
        volume=_join(volume, (0,), np.float64),
        mu=_join(mu, (0,), np.float64),
        lam=_join(lam, (0,), np.float64),
        node_body=np.repeat(np.arange(len(bodies)), np.diff(node_start)).astype(np.int64),
        span=_join(spans, (0,), np.int64),
        order=_join(orders, (0,), np.int64),
        cluster=_join(clusters, (0,), np.int64),
        near_start=near_start,
        near=near,
        patch_start=np.array(patch_start, dtype=np.int64),
        patch_first=_starts([size for one in patches for size in np.diff(one.start).tolist()]),
        patch_nodes=_join([one.nodes for one in patches], (0,), np.int64),
        patch_slopes=_join([one.slopes for one in patches], (0, 3), np.float64),
        patch_volume=_join([one.volume for one in patches], (0,), np.float64),
        patch_mu=_join(patch_mu, (0,), np.float64),
        patch_lam=_join(patch_lam, (0,), np.float64),
    )


def measure_bulks(parts: list[Part], tables: Tables) -> Bulks:
    """Return the sizes of bodies and obstacles. parts: in the order of the tables."""
    boxes = [(part.rest.min(axis=0), part.rest.max(axis=0)) for part in parts]
    return Bulks(
        kind=tables.kind,
        node_start=tables.node_start,
        node_mass=tables.node_mass,
        width=np.array([np.sort(high - low)[1] for low, high in boxes], dtype=np.float64),
        radius=np.array([np.linalg.norm(part.rest, axis=1).max() for part in parts], dtype=np.float64),
        low=np.array([low for low, _ in boxes], dtype=np.float64),
        high=np.array([high for _, high in boxes], dtype=np.float64),
    )


def _join(parts: list[np.ndarray], empty: tuple[int, ...], dtype: type) -> np.ndarray:
    """Concatenate to one contiguous array of one type, so that every model compiles to the same machine code."""
    return np.ascontiguousarray(np.concatenate([np.zeros(empty), *parts])).astype(dtype)


def lay_out_springs(
    bodies: list[Part], node_start: Ints, dt: float
) -> tuple[Springs, tuple[PinMotion, ...], dict[tuple[int, str], tuple[Ints, Floats]]]:
    """Return the pins of affine bodies, and those that move, as stiff springs; their motions; and the nodes and weights
    of every handle by (body, name)."""
    handles: dict[tuple[int, str], tuple[Ints, Floats]] = {}
    motions: list[PinMotion] = []
    body: list[int] = []
    start, nodes, weights, target, stiffness = [0], [], [], [], []
    for number, part in enumerate(bodies):
        first = int(node_start[number])
        for handle in part.body.handles:
            handles[number, handle.id] = _mean(part, first, handle.vertices)
        held = [pin for pin in part.body.pins if pin.motion is not None or not part.elastic]
        hold = PIN_STIFFNESS * part.mass / (dt * dt)
        if part.elastic:
            hold = max(hold, hold_elastic(part.body, part.volume))
        springs = {}
        for vertex in sorted({v for pin in held for v in pin.vertices}):
            springs[vertex] = len(body)
            rows, shares = _mean(part, first, (vertex,))
            body.append(number)
            nodes.append(rows)
            weights.append(shares)
            start.append(start[-1] + len(rows))
            target.append(shares @ part.q[rows - first])
            stiffness.append(hold)
        for pin in held:
            if pin.motion is not None:
                numbers = [springs[vertex] for vertex in sorted(set(pin.vertices))]
                motions.append(make_motion(pin.motion, numbers, [target[one] for one in numbers]))
    pins = Springs(
        body=np.array(body, dtype=np.int64),
        start=np.array(start, dtype=np.int64),
        nodes=_join(nodes, (0,), np.int64),
        weights=_join(weights, (0,), np.float64),
        target=np.array(target, dtype=np.float64).reshape(-1, 3),
        stiffness=np.array(stiffness, dtype=np.float64),
        limit=np.full(len(body), np.inf),
    )
    return pins, tuple(motions), handles


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a body is: its centre of mass, the largest distance of a vertex from it, and a box that contains it on all
    of its course if it is a rail or has pins that move [m]."""

    centre: Floats
    radius: float
    low: Floats
    high: Floats


def measure(part: Part, *, most: float, dhat: float) -> Extent:
    """Return where a body is.

    Raises Refused (bad_scene), which names it, if it reaches beyond ``most`` [m] from the origin, or if its edges are
    so short for ``dhat`` that each of its vertices would be in contact with many others.
    """
    static = part.body.kind == "static"
    centre = 0.5 * (part.rest.min(axis=0) + part.rest.max(axis=0)) if static else part.q[0]
    if part.elastic:  # its nodes are its vertices
        centre = centre - rotation_matrix(part.body.rotation) @ part.rest[0]
    radius = float(np.linalg.norm(part.rest - (centre if static else 0.0), axis=1).max())
    swing = np.abs(part.body.rail.amplitude) if part.body.rail is not None else np.zeros(3)
    swing = swing + largest_offset(part.body.pins)
    if static:
        low, high = part.rest.min(axis=0), part.rest.max(axis=0)
    else:
        low, high = centre - radius - swing, centre + radius + swing
    if not (np.abs(low).max() <= most and np.abs(high).max() <= most):
        raise refuse(part.body, f"it reaches more than {most:g} m from the origin", "position")
    corners = part.mesh.vertices[part.mesh.faces]
    edge = float(np.quantile(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2), 0.25))
    refuse_wide_dhat(part, dhat)
    if dhat > (1.0 if part.elastic else 3.0) * edge:
        message = f"its edges are short ({edge:.3g} m) for a dhat of {dhat:g} m"
        raise refuse(part.body, message, "shape")
    return Extent(centre, radius, low, high)


def refuse_wide_dhat(part: Part, dhat: float) -> None:
    """Raise Refused (bad_scene), which names the body, if a body is not thicker than ``dhat`` [m].

    Contact would act as if it were several times as large.
    """
    thickness = float(np.ptp(part.rest, axis=0).min())
    if part.body.kind != "static" and dhat >= thickness:
        message = f"it is only {thickness:.3g} m thick, so dhat must be smaller than that; it is {dhat:g} m"
        raise refuse(part.body, message, "dhat")


def refuse_unrepresentable(part: Part, dhat: float) -> None:
    """Raise Refused (bad_scene), which names the body, if float64 cannot represent its contacts or its forces."""
    with np.errstate(over="ignore"):
        force = part.mass * GRAVITY / dhat**2
    if not (math.isfinite(force) and math.isfinite(part.body.material.stiffness * max(1.0, part.volume))):
        raise refuse(part.body, "its mass or stiffness is too large", "material")
    swing = np.abs(part.body.rail.amplitude).max() if part.body.rail is not None else 0.0
    swing += largest_offset(part.body.pins)
    placed = part.rest if part.body.kind == "static" else part.q if part.elastic else part.q[0]
    size = 0.0 if part.elastic else np.abs(part.rest).max()
    reach = float(np.abs(placed).max() + size + swing)
    if not reach * FLOOR <= DHAT_FLOORS * dhat:
        message = f"it reaches {reach:.3g} m from the origin, too far for a dhat of {dhat:g} m"
        raise refuse(part.body, message, "position")


def count_grips(part: Part) -> int:
    """Return how many handles "v0", "v1", ... ``add_grips`` makes for a body."""
    if part.body.kind == "rail":
        return 0
    return 8 if part.elastic else min(len(part.rest), GRIPS_MAX)


def add_grips(
    bodies: list[Part], node_start: Ints, handles: dict[tuple[int, str], tuple[Ints, Floats]]
) -> None:
    """Add the handles "centre" and "v0", "v1", ... of every body but rails, where a body does not name them itself.

    "centre" is all vertices. Of an affine body "v<k>" is its k-th vertex. Of an elastic body there are eight, each the
    sixteenth of its vertices that is furthest in the direction of one corner of its box: a pull at a single vertex
    would stretch the body to a thread.
    """
    for number, part in enumerate(bodies):
        first = int(node_start[number])
        count = len(part.rest)
        if part.body.kind == "rail":
            continue
        made = {"centre": tuple(range(count))}
        if part.elastic:
            size = np.maximum(np.ptp(part.rest, axis=0), 1e-12)
            for corner in range(8):
                way = np.array([1.0 if corner & bit else -1.0 for bit in (4, 2, 1)]) / size
                order = np.lexsort((np.arange(count), -(part.rest @ way)))
                made[f"v{corner}"] = tuple(order[: max(1, count // 16)].tolist())
        else:
            made |= {f"v{vertex}": (vertex,) for vertex in range(count_grips(part))}
        for name, vertices in made.items():
            if (number, name) not in handles:
                handles[number, name] = _mean(part, first, vertices)


def _mean(part: Part, first: int, vertices: tuple[int, ...]) -> tuple[Ints, Floats]:
    """Return the nodes and weights of the mean of some mesh vertices of a body.

    Of an elastic body at most HANDLE_NODES of them, drawn at random: all nodes of a spring share entries of the linear
    system, and with thousands it would be dense. Their weights, 1/n but for a small change, give the mean of all
    vertices exactly, at rest and after any affine map.
    """
    chosen = np.unique(np.array(vertices, dtype=np.int64))
    if part.elastic:
        if len(chosen) <= HANDLE_NODES:
            return first + chosen, np.full(len(chosen), 1.0 / len(chosen))
        drawn = np.sort(np.random.default_rng(0).permutation(chosen)[:HANDLE_NODES])
        away = part.rest[drawn] - part.rest[chosen].mean(axis=0)
        middle = away.mean(axis=0)
        away -= middle
        # The smallest change: the vertices may be in a plane.
        spread = np.linalg.pinv(np.einsum("ni,nj->ij", away, away), rcond=1e-9, hermitian=True)
        return first + drawn, 1.0 / HANDLE_NODES - away @ (spread @ middle)
    return np.arange(first, first + 4), np.concatenate([[1.0], part.rest[chosen].mean(axis=0)])
