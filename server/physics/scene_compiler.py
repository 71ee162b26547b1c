"""Compile an authored scene into a Model and its first State.

Refuses every scene from which no step can start: a broken mesh, or bodies that intersect, touch or contain one another.
Runs once per scene; a step never calls it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Body, Recipe, Scene
from tussle.server.physics import shapes
from tussle.server.physics.barrier import barrier_force
from tussle.server.physics.contact_check import TOUCH, check_contact, intersecting_pairs, nearest_pair
from tussle.server.physics.geometry import Mesh, bounding_radius
from tussle.server.physics.integrators import with_past
from tussle.server.physics.joint_layout import lay_out_bounces, lay_out_joints
from tussle.server.physics.layout import (
    Part,
    add_grips,
    lay_out,
    lay_out_springs,
    make_part,
    measure_bulks,
    refuse,
    refuse_unrepresentable,
    refuse_wide_dhat,
)
from tussle.server.physics.model import GRAVITY, Model, rail_pose
from tussle.server.physics.world_state import State

__all__ = ["compile_scene", "refuse_overlaps"]

FRICTION_SHARE = 5e-4
"""The friction speed in units of sqrt(g * size): below 1 mm/s for bodies up to 0.4 m."""


def compile_scene(
    scene: Scene,
    *,
    load_mesh: Callable[[Recipe], Mesh] | None = None,
    check: bool = True,
    grips: bool = False,
) -> tuple[Model, State]:
    """Compile a scene and check its start.

    load_mesh: makes the mesh of a recipe of kind "mesh". Without it such recipes are refused, so that a scene from a
    client never reads a file. check: without it the start is not checked, for a caller that has a state of its own.
    grips: every body that can move has handles besides those that it names (``add_grips``).

    Raises Refused (bad_scene), which names the bodies, if a mesh is broken, open where it must be closed, or inverted,
    if bodies intersect, touch or contain one another, if a body is not thicker than dhat, or if it is so far, large,
    heavy or stiff that float64 cannot represent its contacts.
    """
    bodies: list[Part] = []
    obstacles: list[Part] = []
    for body in scene.bodies:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
            part = make_part(body, _mesh(body, load_mesh))
        (obstacles if body.kind == "static" else bodies).append(part)
        refuse_unrepresentable(part, scene.dhat)
        if check:
            refuse_wide_dhat(part, scene.dhat)
    tables = lay_out(bodies, obstacles, contact_mass=scene.contact_mass)
    joint_arrays, joints = lay_out_joints(tables, bodies, obstacles, scene.joints, scene.pairs)
    pins, motions, handles = lay_out_springs(bodies, tables.node_start, scene.dt)
    if grips:
        add_grips(bodies, tables.node_start, handles)
    count = len(bodies)
    moving = int(tables.vertex_start[count])
    faces = tables.faces[: tables.face_start[count]]
    gravity = np.zeros((int(tables.node_start[-1]), 3))
    for number, part in enumerate(bodies):
        if part.body.kind == "affine":
            gravity[tables.node_start[number]] = scene.gravity
        elif part.elastic:
            gravity[tables.node_start[number] : tables.node_start[number + 1]] = scene.gravity
    gravity[tables.fixed] = 0.0
    model = Model(
        scene=scene,
        dt=scene.dt,
        body_ids=tuple(part.body.id for part in bodies),
        static_ids=tuple(part.body.id for part in obstacles),
        kinds=tuple(part.body.kind for part in bodies),
        masses=np.array([part.mass for part in bodies], dtype=np.float64),
        volumes=np.array([part.volume for part in bodies], dtype=np.float64),
        bounding_radius=np.array([bounding_radius(part.rest) for part in bodies], dtype=np.float64),
        friction=tables.friction[:count],
        damping=np.array([part.body.material.damping for part in bodies], dtype=np.float64),
        node_offset=tables.node_start,
        rest_nodes=np.concatenate(
            [np.zeros((0, 3)), *[p.rest if p.elastic else np.zeros((4, 3)) for p in bodies]]
        ),
        vertex_offset=tables.vertex_start[: count + 1],
        rest_vertices=tables.rest[:moving],
        faces=faces,
        face_offset=tables.face_start[: count + 1],
        static_vertices=tables.world[moving:],
        static_faces=tables.faces[tables.face_start[count] :] - moving,
        kappa=scene.dt**2 * GRAVITY / barrier_force(0.5 * scene.dhat, scene.dhat),
        friction_speed=scene.friction_speed or _friction_speed(bodies),
        gravity=gravity,
        rails=tuple((n, p.q, p.body.rail) for n, p in enumerate(bodies) if p.body.rail is not None),
        handles=handles,
        pins=pins,
        motions=motions,
        tables=tables,
        bulks=measure_bulks([*bodies, *obstacles], tables),
        joints=joints,
        joint_arrays=joint_arrays,
        bounces=lay_out_bounces(tables, bodies, obstacles, scene.pairs),
    )
    q = np.concatenate([np.zeros((0, 3)), *[part.q for part in bodies]])
    v = np.concatenate([np.zeros((0, 3)), *[part.v for part in bodies]])
    for number, _, _ in model.rails:
        rows = slice(model.node_offset[number], model.node_offset[number + 1])
        q[rows] = rail_pose(model, number, 0.0)
        v[rows] = 0.0
    state = State(q=q, v=v, active=np.ones(count, dtype=bool), broken=np.zeros(len(joints), dtype=bool))
    if scene.integrator == "bdf2":
        state = with_past(state, tables, gravity, scene.dt)
    if check:
        refuse_overlaps(model, state)
    return model, state


def _friction_speed(bodies: list[Part]) -> float:
    """Return the speed below which friction counts as static [m/s], for bodies of this size.

    A share of the speed of a fall from the middle one's own height, so that a scene creeps alike at any scale.
    """
    sizes = sorted(2.0 * bounding_radius(part.rest) for part in bodies if part.body.kind != "rail")
    size = sizes[len(sizes) // 2] if sizes else 1.0
    return FRICTION_SHARE * float(np.sqrt(GRAVITY * size))


def _mesh(body: Body, load_mesh: Callable[[Recipe], Mesh] | None) -> Mesh:
    """Return the mesh of a body. Raises Refused (bad_scene), which names the body."""
    try:
        if body.shape.kind != "mesh":
            return shapes.build(body.shape)
        if load_mesh is None:
            raise Refused("mesh files are not read from scenes", code="bad_scene", field="shape.kind")
        return load_mesh(body.shape)
    except Refused as error:
        raise refuse(body, error.message, error.field or "shape") from None


def refuse_overlaps(model: Model, state: State) -> None:
    """Raise Refused (bad_scene), which names the bodies, if the state fails the contact check or two bodies touch."""
    check = check_contact(model, state)
    if check.intersections:
        pairs = intersecting_pairs(model, state, most=5)
        pairs_text = "; ".join(f"{a!r} with itself" if a == b else f"{a!r} and {b!r}" for a, b in pairs)
        raise Refused(f"bodies intersect: {pairs_text or 'unknown'}", code="bad_scene", field="bodies")
    if check.contained:
        pairs_text = "; ".join(f"{a!r} is inside {b!r}" for a, b in check.contained[:5])
        raise Refused(f"bodies contain one another: {pairs_text}", code="bad_scene", field="bodies")
    if check.inversions:
        raise Refused(f"{check.inversions} elements are inverted", code="bad_scene", field="bodies")
    distance, first, second = nearest_pair(model, state, TOUCH * model.scene.dhat)
    if distance < TOUCH * model.scene.dhat:
        raise Refused(f"bodies touch: {first!r} and {second!r}", code="bad_scene", field="bodies")
