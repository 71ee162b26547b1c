"""The compiled scene: every array that a step reads and none that it changes.

Bodies are everything with unknowns (affine, elastic, rail), numbered in scene order. Obstacles are static and have no
number: reports count them together as the last row. ``scene_compiler`` makes the Model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tussle.lobby.rules.joints import Joint
from tussle.lobby.rules.scenes import Rail, Scene
from tussle.server.physics.geometry import Ints
from tussle.server.physics.inertia import measure_motion
from tussle.server.physics.kernel_arrays import AFFINE, Bounces, Bulks, Joints, Springs, Tables
from tussle.server.physics.pin_motions import PinMotion
from tussle.server.physics.world_state import Floats, State

__all__ = [
    "Model",
    "affines",
    "body_vertices",
    "centres",
    "kinetic_energy",
    "motion_energies",
    "parking",
    "rail_pose",
    "vertex_velocities",
    "vertices",
]

GRAVITY = 9.81
"""The acceleration [m/s^2] that sets the barrier stiffness, also where the gravity of the scene differs."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """An immutable world; b bodies, n nodes, v vertices of bodies. Compared and hashed by identity.

    body_ids (b,), static_ids: names. kinds (b,): "affine", "elastic" or "rail". masses (b,) [kg]. volumes (b,) [m^3].
    bounding_radius (b,): largest distance of a vertex from the centre of mass at rest [m]. friction (b,): Coulomb's
    mu. damping (b,) [1/s]. node_offset (b + 1,): range of rows of State.q of each body. rest_nodes (n, 3): elastic
    nodes relative to the centre of mass [m]. vertex_offset (b + 1,): range of rows of ``vertices``. rest_vertices (v,
    3): relative to the centre of mass [m]. faces (f, 3): outward triangles of all bodies, in the numbering of
    ``vertices``. face_offset (b + 1,): range of faces. static_vertices (s, 3) [m] and static_faces: obstacles,
    numbered from zero. kappa: barrier stiffness times dt^2 for a contact mass of 1 kg. friction_speed: that of the
    scene, or the one that its bodies ask for [m/s]. gravity (n, 3): acceleration of each node [m/s^2]. rails:
    body, nodes at rest [m], shape (4, 3), and prescribed motion. handles: (body, name) -> nodes and weights whose
    weighted sum is the mean of the handle's vertices. pins: springs that hold affine bodies, and pins that move.
    motions: of those that move. tables: the arrays of the kernels. bulks: sizes of bodies, then of obstacles. joints:
    those of the scene, in the order of State.broken. joint_arrays: what the kernels need of them, and of pairs.
    bounces: what restitution needs, None in a scene without.
    """

    scene: Scene
    dt: float
    body_ids: tuple[str, ...]
    static_ids: tuple[str, ...]
    kinds: tuple[str, ...]
    masses: Floats
    volumes: Floats
    bounding_radius: Floats
    friction: Floats
    damping: Floats
    node_offset: Ints
    rest_nodes: Floats
    vertex_offset: Ints
    rest_vertices: Floats
    faces: Ints
    face_offset: Ints
    static_vertices: Floats
    static_faces: Ints
    kappa: float
    friction_speed: float
    gravity: Floats
    rails: tuple[tuple[int, Floats, Rail], ...]
    handles: dict[tuple[int, str], tuple[Ints, Floats]]
    pins: Springs
    motions: tuple[PinMotion, ...]
    tables: Tables
    bulks: Bulks
    joints: tuple[Joint, ...]
    joint_arrays: Joints
    bounces: Bounces | None = None

    def body(self, name: str) -> int:
        """Return the number of a body. Raises KeyError if no body has this name."""
        try:
            return self.body_ids.index(name)
        except ValueError:
            raise KeyError(name) from None

    def surface(self, body: int) -> tuple[Floats, Ints]:
        """Return the surface of one body: rest vertices (n, 3) relative to the centre of mass [m], and faces (m, 3).

        Faces are numbered from zero.
        """
        first, last = self.vertex_offset[body], self.vertex_offset[body + 1]
        faces = self.faces[self.face_offset[body] : self.face_offset[body + 1]] - first
        return self.rest_vertices[first:last], faces


def rail_pose(model: Model, body: int, time: float) -> Floats:
    """Return the prescribed nodes of a rail body at a time [s]: positions [m], shape (4, 3).

    Raises KeyError if the body is not a rail.
    """
    for number, nodes, rail in model.rails:
        if number == body:
            axis = np.array(rail.axis) / np.linalg.norm(rail.axis)
            swing = np.sin(2.0 * np.pi * rail.frequency * time + rail.phase)
            angle = rail.spin * time
            cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
            turn = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
            pose = nodes @ turn.T
            pose[0] = nodes[0] + np.array(rail.amplitude) * swing
            return np.asarray(pose)
    raise KeyError(model.body_ids[body])


def parking(model: Model, body: int) -> Floats:
    """Return where a removed body is kept: its nodes in the rest shape [m], far below the world.

    Each body has a place that touches no other.
    """
    rows = slice(int(model.node_offset[body]), int(model.node_offset[body + 1]))
    place = np.array([100.0 + 2.5 * float(model.bounding_radius[: body + 1].sum()), -50.0, 0.0])
    if model.tables.kind[body] == AFFINE:
        return np.vstack([place, np.eye(3)])
    return np.asarray(model.rest_nodes[rows] + place)


def vertices(model: Model, state: State) -> Floats:
    """Return the world positions of the vertices of all bodies [m], shape (v, 3).

    Removed bodies are at their parking place.
    """
    return _of_nodes(model, state.q)


def vertex_velocities(model: Model, state: State) -> Floats:
    """Return the velocities of the vertices of all bodies [m/s], shape (v, 3)."""
    return _of_nodes(model, state.v)


def _of_nodes(model: Model, nodes: Floats) -> Floats:
    """Return W times a quantity of the nodes, (n, 3): that of the vertices, shape (v, 3)."""
    out = nodes[model.tables.vertex_node[: len(model.rest_vertices)]]
    for body, kind in enumerate(model.tables.kind):
        if kind == AFFINE:
            rows = slice(model.vertex_offset[body], model.vertex_offset[body + 1])
            first = model.node_offset[body]
            out[rows] += model.rest_vertices[rows] @ nodes[first + 1 : first + 4]
    return out


def body_vertices(model: Model, state: State, body: int) -> Floats:
    """Return the world positions of the vertices of one body [m], shape (n, 3)."""
    rows = slice(model.vertex_offset[body], model.vertex_offset[body + 1])
    if model.tables.kind[body] == AFFINE:
        first = model.node_offset[body]
        return np.asarray(state.q[first] + model.rest_vertices[rows] @ state.q[first + 1 : first + 4])
    return state.q[model.tables.vertex_node[rows]]


def centres(model: Model, state: State) -> Floats:
    """Return the centres of mass [m], shape (b, 3)."""
    out = state.q[model.node_offset[:-1]]
    for body, kind in enumerate(model.kinds):
        if kind == "elastic":
            rows = slice(model.node_offset[body], model.node_offset[body + 1])
            mass = model.tables.node_mass[rows]
            out[body] = mass @ state.q[rows] / mass.sum()
    return out


def affines(model: Model, state: State) -> Floats:
    """Return the map x = A X + c of each body from rest to world, [A | c], shape (b, 3, 4).

    For an elastic body it is the best fit, weighted by mass. For an affine body A is a rotation, up to the small
    stretch that contact causes.
    """
    out = np.empty((len(model.body_ids), 3, 4))
    out[:, :, 3] = centres(model, state)
    for body, kind in enumerate(model.kinds):
        rows = slice(model.node_offset[body], model.node_offset[body + 1])
        if kind == "elastic":
            mass, rest = model.tables.node_mass[rows, None], model.rest_nodes[rows]
            spread = (mass * (state.q[rows] - out[body, :, 3])).T @ rest
            out[body, :, :3] = spread @ np.linalg.inv((mass * rest).T @ rest)
        else:
            out[body, :, :3] = state.q[rows][1:].T
    return out


def motion_energies(model: Model, state: State) -> tuple[float, float]:
    """Return the kinetic energy and that of gravity [J] of all bodies but rails and removed ones. That of gravity is
    zero at the origin."""
    free = state.active
    if model.rails:
        free = free.copy()
        free[[body for body, _, _ in model.rails]] = False
    t = model.tables
    pull = np.array(model.scene.gravity)
    kinetic, gravity = measure_motion(t.kind, t.node_start, t.mass, t.node_mass, pull, free, state.q, state.v)
    return kinetic, gravity


def kinetic_energy(model: Model, state: State) -> Floats:
    """Return the kinetic energy of each body [J], shape (b,); zero for rails and removed bodies."""
    out = np.zeros(len(model.body_ids))
    for body, kind in enumerate(model.kinds):
        rows = slice(model.node_offset[body], model.node_offset[body + 1])
        if kind == "affine" and state.active[body]:
            out[body] = 0.5 * np.einsum("ij,ik,jk->", model.tables.mass[body], state.v[rows], state.v[rows])
        elif kind == "elastic" and state.active[body]:
            out[body] = 0.5 * model.tables.node_mass[rows] @ (state.v[rows] ** 2).sum(axis=1)
    return out
