"""The scene: the versioned document that describes a world. server/physics compiles it.

A scene is JSON of schema ``tussle-scene/1``. Everything is SI (m, kg, s, N, Pa), y up, right-handed. This module
validates types and ranges; physics checks whether bodies overlap. It must never import numpy or compute geometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from tussle.lobby.errors import Refused
from tussle.lobby.rules.joints import Joint, Name, Pair, check_joints, check_pairs
from tussle.lobby.rules.motions import Motion, check_pins

__all__ = [
    "Body",
    "Handle",
    "Material",
    "Pin",
    "Rail",
    "Recipe",
    "Scene",
    "check_restitution",
    "decode_scene",
    "encode_scene",
    "scene_schema",
    "with_bodies",
]

Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Material(_Document, frozen=True):
    """The material of a body. ``density`` is in kg/m^3; ``stiffness`` [Pa] is Young's modulus, for an affine body the
    modulus of its orthogonality energy; ``friction`` is Coulomb's mu, combined over a pair as the geometric mean;
    ``damping`` [1/s] multiplies velocities by exp(-damping*dt) each tick. ``restitution``, of a pair the larger one, is
    the share of the speed of an impact with which bodies separate; an elastic body has none, it bounces by itself.
    ``element``, of an elastic body: averaged is accurate on coarse meshes and for a poisson near 0.5, linear is
    cheaper."""

    density: Positive
    stiffness: Positive = 1e6
    poisson: Annotated[float, msgspec.Meta(ge=0, lt=0.5)] = 0.4
    friction: NonNegative = 0.4
    damping: NonNegative = 0.0
    restitution: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    element: Literal["linear", "averaged"] = "linear"


class Recipe(_Document, frozen=True):
    """A procedural mesh: a generator's name and its parameters (catalogue.json, "shapes"), or kind "mesh" with
    params {"path": file} or {"sha256": content hash}."""

    kind: str
    params: dict[str, Any]


class Pin(_Document, frozen=True):
    """Vertices of a body that keep their position. ``vertices`` empty: all of them. ``motion``: how they move
    instead."""

    vertices: tuple[int, ...] = ()
    motion: Motion | None = None


class Handle(_Document, frozen=True):
    """A named, grabbable vertex set of a body."""

    id: Name
    vertices: tuple[int, ...]


class Rail(_Document, frozen=True):
    """The prescribed motion of an obstacle: p(t) = position + amplitude * sin(2 pi frequency t + phase), plus a
    constant spin [rad/s] about ``axis``. Bodies of kind "rail" have one, other bodies have none."""

    amplitude: Vector = (0.0, 0.0, 0.0)
    frequency: NonNegative = 0.0
    phase: float = 0.0
    axis: Vector = (0.0, 1.0, 0.0)
    spin: float = 0.0


class Body(_Document, frozen=True):
    """One body of the world. ``kind``: affine (12 degrees of freedom), elastic (tetrahedra), static, rail."""

    id: Name
    shape: Recipe
    material: Material
    kind: Literal["affine", "elastic", "static", "rail"] = "affine"
    position: Vector = (0.0, 0.0, 0.0)
    rotation: Quaternion = (1.0, 0.0, 0.0, 0.0)
    velocity: Vector = (0.0, 0.0, 0.0)
    spin: Vector = (0.0, 0.0, 0.0)
    pins: tuple[Pin, ...] = ()
    handles: tuple[Handle, ...] = ()
    rail: Rail | None = None


class Scene(_Document, frozen=True):
    """``dhat`` [m] is the distance at which the barrier begins; ``friction_speed`` [m/s] is eps_v, below which
    friction counts as static; ``contact_mass`` [kg] sizes the barrier's stiffness (its force at dhat/2 carries that
    mass); ``tolerance`` [m/s]: Newton has converged when its error, divided by dt, is at most this. 0, the default of
    the last three, leaves the choice to the solver: by the size and mass of the bodies, dhat and dt. ``integrator``:
    bdf2 is of second order and keeps motion much longer."""

    bodies: Annotated[tuple[Body, ...], msgspec.Meta(min_length=1, max_length=512)]
    schema: Literal["tussle-scene/1"] = "tussle-scene/1"
    name: str = ""
    gravity: Vector = (0.0, -9.81, 0.0)
    dt: Annotated[float, msgspec.Meta(ge=1e-4, le=0.1)] = 1 / 60
    dhat: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.01
    friction_speed: NonNegative = 0.0
    contact_mass: NonNegative = 0.0
    tolerance: NonNegative = 0.0
    max_iterations: Annotated[int, msgspec.Meta(ge=1, le=500)] = 25
    joints: Annotated[tuple[Joint, ...], msgspec.Meta(max_length=512)] = ()
    pairs: Annotated[tuple[Pair, ...], msgspec.Meta(max_length=512)] = ()
    integrator: Literal["implicit_euler", "bdf2"] = "implicit_euler"


def decode_scene(document: bytes | str) -> Scene:
    """Parse and validate a document. Raises Refused with code ``bad_scene``; the message names the field."""
    try:
        scene = msgspec.json.decode(document, type=Scene)
    except msgspec.MsgspecError as error:
        raise Refused(f"not a scene: {error}", code="bad_scene") from None
    seen: set[str] = set()
    for body in scene.bodies:
        if body.id in seen:
            raise Refused(f"two bodies are named {body.id!r}", code="bad_scene", field="bodies")
        seen.add(body.id)
        if (body.rail is not None) != (body.kind == "rail"):
            raise Refused(
                f"body {body.id!r}: kind 'rail' needs a rail, and no other kind has one",
                code="bad_scene",
                field="rail",
            )
        check_pins(body.id, body.kind, body.pins)
        check_restitution(body)
    check_joints(scene.joints, seen)
    check_pairs(scene.pairs, seen)
    return scene


def check_restitution(body: Body) -> None:
    """Raise Refused (bad_scene) if a body that cannot have a restitution has one."""
    if body.kind == "elastic" and body.material.restitution != 0.0:
        message = f"body {body.id!r}: an elastic body has no restitution, it bounces by its elasticity"
        raise Refused(message, code="bad_scene", field="material")


def with_bodies(scene: Scene, bodies: Sequence[Body]) -> Scene:
    """Return the scene with other bodies. Joints and pairs of a body that is not among them are left out."""
    names = {body.id for body in bodies}
    return msgspec.structs.replace(
        scene,
        bodies=tuple(bodies),
        joints=tuple(one for one in scene.joints if one.a in names and (one.b is None or one.b in names)),
        pairs=tuple(one for one in scene.pairs if one.a in names and one.b in names),
    )


def encode_scene(scene: Scene) -> bytes:
    """Canonical JSON: equal scenes give equal bytes, so their hash identifies the scene."""
    return msgspec.json.encode(scene, order="sorted")


def scene_schema() -> dict[str, Any]:
    """The JSON Schema of ``tussle-scene/1``."""
    return msgspec.json.schema(Scene)
