"""The largest scene that a server simulates for its clients, and the ranges of the numbers in it.

``tussle simulate`` takes larger ones: it runs on its caller's machine. Arithmetic on the document only: whether bodies
overlap or a mesh is broken is found in a solver process. This module must never import numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tussle.lobby.errors import Refused
from tussle.lobby.rules.joints import Joint, check_joints, check_pairs
from tussle.lobby.rules.motions import Motion, keyframes
from tussle.lobby.rules.scenes import Body, Rail, Recipe, Scene
from tussle.lobby.rules.shape_sizes import count_vertices

__all__ = [
    "BODIES_MAX",
    "GRAVITY_MAX",
    "MESH_SCALE",
    "REACH",
    "VERTICES_MAX",
    "check_body",
    "check_recipe",
    "check_scene",
    "check_vertices",
    "check_world",
    "is_mesh_scale",
]

BODIES_MAX = 128
"""Most bodies of a scene, obstacles too."""

VERTICES_MAX = 8192
"""Most vertices of a scene, those of obstacles too, and of a shape."""

HANDLES_MAX = 64
"""Most handles, and most pins, of a body."""

REACH = 1000.0
"""The largest coordinate of a place, and the largest amplitude of a rail [m]."""

JOINTS_MAX = 128
"""Most joints of a scene, and most pairs."""

FORCE_MAX = 1e9
"""The largest force [N] or torque [N m] of a motor, and the largest stiffness or damping of a joint's spring."""

FRICTION_MAX = 10.0
"""The largest friction of a material, and of a pair."""

TIME_MAX = 1e5
"""The latest keyframe of a motion [s]."""

SPEED_MAX = 1000.0
"""The largest velocity [m/s] and spin [rad/s]."""

GRAVITY_MAX = 20.0
"""The largest gravity [m/s^2]."""


MESH_SCALE = 1e4
"""The largest factor of the size of a mesh of one's own; its inverse is the smallest."""


def is_mesh_scale(value: object) -> bool:
    """Whether a mesh of one's own may be made larger by this factor."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 1 / MESH_SCALE <= value <= MESH_SCALE
    )


def check_scene(scene: Scene) -> int:
    """Return the number of vertices, but for meshes of one's own. Raises Refused: bad_scene with the body's name,
    too_many_bodies, too_many_vertices."""
    check_world(scene)
    if len(scene.bodies) > BODIES_MAX:
        raise Refused(f"a scene has at most {BODIES_MAX} bodies", code="too_many_bodies", field="bodies")
    if all(body.kind == "static" for body in scene.bodies):
        raise Refused("a scene needs a body that can move", code="bad_scene", field="bodies")
    return check_vertices(check_body(body) for body in scene.bodies)


def check_vertices(counts: Iterable[int]) -> int:
    """Return the number of vertices of these bodies together. Raises Refused (too_many_vertices)."""
    total = sum(counts)
    if total > VERTICES_MAX:
        raise Refused(
            f"a scene has at most {VERTICES_MAX} vertices, not {total}",
            code="too_many_vertices",
            field="bodies",
        )
    return total


def check_world(scene: Scene) -> None:
    """Check the settings of the world. Raises Refused (bad_scene) with the field."""
    _within("gravity", math.hypot(*scene.gravity), 0.0, GRAVITY_MAX)
    _within("dt", scene.dt, 1 / 240, 0.1)
    _within("dhat", scene.dhat, 1e-4, 0.2)
    # 0 leaves the choice to the solver.
    if scene.friction_speed != 0.0:
        _within("friction_speed", scene.friction_speed, 1e-4, 10.0)
    if scene.contact_mass != 0.0:
        _within("contact_mass", scene.contact_mass, 1e-4, 1e6)
    if scene.tolerance != 0.0:
        _within("tolerance", scene.tolerance, 1e-5, 10.0)
    _within("max_iterations", scene.max_iterations, 1, 100)
    _within("joints", len(scene.joints), 0, JOINTS_MAX)
    _within("pairs", len(scene.pairs), 0, JOINTS_MAX)
    check_joints(scene.joints)
    check_pairs(scene.pairs)
    for pair in scene.pairs:
        _within("friction", pair.friction or 0.0, 0.0, FRICTION_MAX)
    for joint in scene.joints:
        try:
            _check_joint(joint)
        except Refused as error:
            raise Refused(f"joint {joint.id!r}: {error.message}", code=error.reason, field="joints") from None


def check_recipe(recipe: Recipe) -> int:
    """Return the number of vertices of a shape that a server may build; 0 for a mesh of one's own, whose size its store
    knows. Raises Refused: bad_scene for parameters that no shape takes, too_many_vertices."""
    if recipe.kind == "mesh":
        return 0
    count = count_vertices(recipe)
    if count > VERTICES_MAX:
        raise Refused(
            f"shape {recipe.kind!r} would have {count} vertices; at most {VERTICES_MAX} are built",
            code="too_many_vertices",
            field="shape.params",
        )
    return count


def check_body(body: Body) -> int:
    """Return the number of vertices of a body; 0 for a mesh of one's own. Raises Refused, which names the body."""
    try:
        count = check_recipe(body.shape)
        material = body.material
        _within("density", material.density, 0.1, 1e5)
        _within("stiffness", material.stiffness, 10.0, 1e12)
        _within("friction", material.friction, 0.0, FRICTION_MAX)
        _within("restitution", material.restitution, 0.0, 1.0)
        _within("damping", material.damping, 0.0, 1e3)
        _within("position", max(map(abs, body.position)), 0.0, REACH)
        _within("rotation", math.hypot(*body.rotation), 1e-6, 1e6)
        _within("velocity", math.hypot(*body.velocity), 0.0, SPEED_MAX)
        _within("spin", math.hypot(*body.spin), 0.0, SPEED_MAX)
        _within("handles", len(body.handles), 0, HANDLES_MAX)
        _within("pins", len(body.pins), 0, HANDLES_MAX)
        for pin in body.pins:
            if pin.motion is not None:
                _check_motion(pin.motion)
        if len({handle.id for handle in body.handles}) < len(body.handles):
            raise Refused("two handles have one name", code="bad_scene", field="handles")
        if body.rail is not None:
            _check_rail(body.rail)
    except Refused as error:
        raise Refused(f"body {body.id!r}: {error.message}", code=error.reason, field=error.field) from None
    return count


def _check_rail(rail: Rail) -> None:
    _within("rail.amplitude", math.hypot(*rail.amplitude), 0.0, REACH)
    _within("rail.frequency", rail.frequency, 0.0, 20.0)
    _within("rail.phase", abs(rail.phase), 0.0, 1e3)
    _within("rail.axis", math.hypot(*rail.axis), 1e-6, 1e6)
    _within("rail.spin", abs(rail.spin), 0.0, SPEED_MAX)


def _check_motion(motion: Motion) -> None:
    before: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)
    for key in keyframes(motion):
        _within("pins.motion time", key.time, 1e-3, TIME_MAX)
        _within("pins.motion offset", max(map(abs, key.offset)), 0.0, REACH)
        time, *offset, angle = here = (key.time, *key.offset, key.angle)
        span = time - before[0]
        _within("pins.motion speed", math.dist(offset, before[1:4]) / span, 0.0, SPEED_MAX)
        _within("pins.motion spin", abs(angle - before[4]) / span, 0.0, SPEED_MAX)
        before = here


def _check_joint(joint: Joint) -> None:
    _within("anchor", max(map(abs, (*joint.anchor, *(joint.anchor_b or ())))), 0.0, REACH)
    _within("limits", max(map(abs, joint.limits or (0.0,))), 0.0, REACH)
    if joint.motor is not None:
        _within("motor.speed", abs(joint.motor.speed), 0.0, SPEED_MAX)
        _within("motor", max(joint.motor.torque, joint.motor.force), 0.0, FORCE_MAX)
    if joint.spring is not None:
        _within("spring.stiffness", joint.spring.stiffness, 0.0, FORCE_MAX)
        _within("spring.damping", joint.spring.damping, 0.0, FORCE_MAX)
        _within("spring.rest", abs(joint.spring.rest or 0.0), 0.0, REACH)


def _within(field: str, value: float, low: float, high: float) -> None:
    """Raise Refused (bad_scene) unless low <= value <= high, also for a number that is not finite."""
    if not low <= value <= high:
        raise Refused(f"{field} is from {low:g} to {high:g}, not {value:g}", code="bad_scene", field=field)
