"""A scene that the members made: its bodies as the sandbox needs them. Pure functions of the document and of meshes.

The sandbox simulates the document as it is. It adds what people need: handles, a box that contains everything, a place
to which a body that was lost returns. This module loads the geometry code only when a scene is given, so that the
server process may import it.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import msgspec
import numpy as np

from tussle.lobby.rules.scene_limits import REACH, check_scene, check_vertices
from tussle.lobby.rules.scenes import Body, Quaternion, Scene, Vector, decode_scene, with_bodies
from tussle.server.modes.sandbox.state import Placed
from tussle.server.physics.geometry import distance_to_surface, winding_number
from tussle.server.physics.world_state import Floats

__all__ = ["Authored", "AuthoredBody", "Box", "Obstacle", "compose", "read_scene"]

ROOM = 2.0
"""The distance of the walls of the box from everything that the scene has [m]."""


@dataclass(frozen=True, slots=True)
class AuthoredBody:
    """A body that moves. grips: number of the handles "v0", "v1", ... position: its centre of mass [m]. radius:
    bounding [m]."""

    body: Body
    grips: int
    position: Vector
    radius: float

    @property
    def prescribed(self) -> bool:
        """Whether the scene says where the body goes: a rail, or pins that move."""
        return self.body.kind == "rail" or any(pin.motion is not None for pin in self.body.pins)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A static body with the corners of its triangles in the world [m], shape (m, 3, 3)."""

    body: Body
    corners: Floats
    closed: bool


@dataclass(frozen=True, slots=True)
class Box:
    """Where bodies may be: ``side`` along x and z about the origin, from ``bottom`` to ``height`` [m]. A body that is
    longer outside is brought back."""

    side: float
    height: float
    bottom: float = 0.0


@dataclass(frozen=True, slots=True)
class Authored:
    """A scene as it was made. sha256: of its document. bodies: those that move, by id, in order. vertices: of all
    bodies, obstacles too. box: contains everything. gravity: strength [m/s^2]; down: its direction."""

    scene: Scene
    sha256: str
    bodies: dict[str, AuthoredBody]
    obstacles: tuple[Obstacle, ...]
    vertices: int
    box: Box
    gravity: float
    down: Vector

    def placed(self) -> tuple[Placed, ...]:
        """The bodies that move, where the scene has them."""
        return tuple(
            Placed(id=name, body="", position=one.position, rotation=_unit(one.body.rotation))
            for name, one in self.bodies.items()
        )

    def is_clear(self, place: Floats, radius: float) -> bool:
        """Whether a ball touches no obstacle."""
        return not any(
            distance_to_surface(place, one.corners) <= radius
            or (one.closed and winding_number(place, one.corners) > 0.5)
            for one in self.obstacles
        )


def read_scene(document: str, side: float, height: float) -> Authored:
    """Return a scene with what the sandbox must know of its meshes. side, height: of the smallest box [m]. Raises
    Refused: bad_scene, too_many_bodies, too_many_vertices, unknown_mesh."""
    from tussle.server.physics import shapes
    from tussle.server.physics.layout import count_grips, make_part, measure
    from tussle.server.physics.stored_meshes import load_mesh

    scene = decode_scene(document)
    check_scene(scene)
    bodies: dict[str, AuthoredBody] = {}
    obstacles: list[Obstacle] = []
    counts: list[int] = []
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for body in scene.bodies:
        mesh = load_mesh(body.shape) if body.shape.kind == "mesh" else shapes.build(body.shape)
        counts.append(len(mesh.vertices))
        check_vertices(counts)
        part = make_part(body, mesh)
        extent = measure(part, most=3 * REACH, dhat=scene.dhat)
        low, high = np.minimum(low, extent.low), np.maximum(high, extent.high)
        if body.kind == "static":
            obstacles.append(Obstacle(body, part.rest[part.faces], mesh.closed))
        else:
            x, y, z = extent.centre.tolist()
            bodies[body.id] = AuthoredBody(body, count_grips(part), (x, y, z), extent.radius)
    wide = float(np.abs([low[0], low[2], high[0], high[2]]).max())
    box = Box(
        side=max(side, 2.0 * (wide + ROOM)),
        height=max(height, float(high[1]) + ROOM),
        bottom=min(0.0, float(low[1]) - ROOM),
    )
    strength = math.hypot(*scene.gravity)
    gx, gy, gz = scene.gravity
    down = (gx / strength, gy / strength, gz / strength) if strength > 0.0 else (0.0, -1.0, 0.0)
    sha256 = hashlib.sha256(document.encode()).hexdigest()
    return Authored(scene, sha256, bodies, tuple(obstacles), sum(counts), box, strength, down)


def compose(authored: Authored, bodies: tuple[Body, ...], gravity: float) -> Scene:
    """Return the scene with these bodies that move, and its obstacles. Without a change it is the document's."""
    x, y, z = authored.down
    pull = authored.scene.gravity if gravity == authored.gravity else (x * gravity, y * gravity, z * gravity)
    scene = with_bodies(authored.scene, (*bodies, *(one.body for one in authored.obstacles)))
    return msgspec.structs.replace(scene, gravity=pull)


def _unit(rotation: Quaternion) -> Quaternion:
    norm = math.hypot(*rotation)
    w, x, y, z = (value / norm for value in rotation)
    return (w, x, y, z)
