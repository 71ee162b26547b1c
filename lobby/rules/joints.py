"""Joints between two bodies of a scene, or a body and the world; and pairs of bodies with contact of their own.

Part of the scene document (lobby/rules/scenes.py). This module checks a joint alone and the names that joints use; it
must never import numpy or compute geometry.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec

from tussle.lobby.errors import Refused

__all__ = ["COORDINATES", "Joint", "JointMotor", "JointSpring", "Name", "Pair", "check_joints", "check_pairs",
           "joined_bodies"]  # fmt: skip

COORDINATES = {"ball": "limits", "hinge": "limits motor spring", "slider": "limits motor spring", "fixed": "",
               "distance": "limits motor spring"}  # fmt: skip
"""Which of limits, motor and spring a kind of joint takes."""

Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,47}(?!\n)$", max_length=48)]
"""The id of a body, joint or handle. In Python, $ is also true before a line feed at the end."""
Vector = tuple[float, float, float]


class JointMotor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Drives the coordinate of a joint at ``speed`` [rad/s of a hinge, m/s] with at most ``torque`` [N m] (hinge) or
    ``force`` [N] (slider, distance). With speed 0 it is a brake."""

    speed: float
    torque: NonNegative = 0.0
    force: NonNegative = 0.0


class JointSpring(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A spring on the coordinate of a joint. ``stiffness`` [N m/rad of a hinge, N/m], ``damping`` [N m s/rad, N s/m].
    ``rest``: the coordinate without force [rad, m]; null is where the scene begins."""

    stiffness: NonNegative
    damping: NonNegative = 0.0
    rest: float | None = None


class Joint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A joint of body ``a`` with body ``b``; null is the world. ``anchor`` [m] is a place in the world, and ``axis`` a
    direction, where the scene begins; ``anchor_b`` is the second end of a distance joint.

    The coordinate of a hinge is its angle [rad], of a slider the way of a along the axis [m], both 0 where the scene
    begins; of a distance joint its length [m]; of a ball the angle between the axis in a and in b [rad]. ``limits``
    bound it. A distance joint without limits, motor and spring keeps its length. ``breaks_at`` [N] and
    ``breaks_at_torque`` [N m]: the joint is gone after a tick in which it transmits more; 0 is never. ``collide``:
    whether the two bodies may touch one another."""

    id: Name
    kind: Literal["ball", "hinge", "slider", "fixed", "distance"]
    a: Name
    anchor: Vector
    b: Name | None = None
    anchor_b: Vector | None = None
    axis: Vector = (0.0, 1.0, 0.0)
    limits: tuple[float, float] | None = None
    motor: JointMotor | None = None
    spring: JointSpring | None = None
    breaks_at: NonNegative = 0.0
    breaks_at_torque: NonNegative = 0.0
    collide: bool = False


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Contact of the bodies ``a`` and ``b``, instead of what follows from their materials. ``collide``: false lets them
    pass through one another. ``friction``: Coulomb's mu between them, ``restitution``: the share of their speed with
    which they separate after an impact; null is that of their materials."""

    a: Name
    b: Name
    collide: bool = True
    friction: NonNegative | None = None
    restitution: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


def check_joints(joints: Iterable[Joint], bodies: Iterable[str] | None = None) -> None:
    """Check joints. bodies: the names in the scene; None if they are not known yet.

    Raises Refused (bad_scene), which names the joint.
    """
    names = None if bodies is None else set(bodies)
    seen: set[str] = set()
    for joint in joints:
        if joint.id in seen:
            raise Refused(f"two joints are named {joint.id!r}", code="bad_scene", field="joints")
        seen.add(joint.id)
        fault = _fault(joint)
        for body in (joint.a, joint.b):
            if names is not None and body is not None and body not in names:
                fault = f"there is no body {body!r}"
        if fault:
            raise Refused(f"joint {joint.id!r}: {fault}", code="bad_scene", field="joints")


def joined_bodies(joints: Sequence[Joint], body: str) -> set[str]:
    """Return the names of the bodies that joints connect with a body, over others too; it is among them."""
    found, new = {body}, [body]
    while new:
        here = new.pop()
        for joint in joints:
            for one, other in ((joint.a, joint.b), (joint.b, joint.a)):
                if one == here and other is not None and other not in found:
                    found.add(other)
                    new.append(other)
    return found


def check_pairs(pairs: Iterable[Pair], bodies: Iterable[str] | None = None) -> None:
    """Check pairs, as ``check_joints``. Raises Refused (bad_scene), which names the bodies."""
    names = None if bodies is None else set(bodies)
    seen: set[frozenset[str]] = set()
    for pair in pairs:
        fault = ""
        if pair.a == pair.b:
            fault = "a pair has two bodies"
        if frozenset((pair.a, pair.b)) in seen:
            fault = "the pair is there twice"
        if pair.friction is not None and not math.isfinite(pair.friction):
            fault = "its friction is not finite"
        if pair.restitution is not None and not 0.0 <= pair.restitution <= 1.0:
            fault = "its restitution is from 0 to 1"
        seen.add(frozenset((pair.a, pair.b)))
        for body in (pair.a, pair.b):
            if names is not None and body not in names:
                fault = f"there is no body {body!r}"
        if fault:
            raise Refused(f"pair of {pair.a!r} and {pair.b!r}: {fault}", code="bad_scene", field="pairs")


def _fault(joint: Joint) -> str:
    """Return what is wrong with a joint alone; '' if nothing is."""
    numbers = [*joint.anchor, *(joint.anchor_b or ()), *joint.axis, *(joint.limits or ())]
    numbers += [joint.breaks_at, joint.breaks_at_torque]
    if joint.motor is not None:
        numbers += [joint.motor.speed, joint.motor.torque, joint.motor.force]
    if joint.spring is not None:
        numbers += [joint.spring.stiffness, joint.spring.damping, joint.spring.rest or 0.0]
    if not all(map(math.isfinite, numbers)):
        return "a number is not finite"
    if joint.a == joint.b:
        return "it joins a body with itself"
    if not 1e-6 <= math.hypot(*joint.axis) <= 1e6:
        return "its axis has no direction"
    for part in ("limits", "motor", "spring"):
        if getattr(joint, part) is not None and part not in COORDINATES[joint.kind].split():
            return f"a joint of kind {joint.kind!r} has no {part}"
    if (joint.anchor_b is not None) != (joint.kind == "distance"):
        return "a distance joint has an anchor_b, and no other joint has one"
    if joint.anchor_b is not None and math.dist(joint.anchor, joint.anchor_b) < 1e-6:
        return "the two ends of a distance joint are one point"
    if joint.motor is not None:
        right, wrong = joint.motor.torque, joint.motor.force
        if joint.kind != "hinge":
            right, wrong = wrong, right
        if right <= 0.0 or wrong != 0.0:
            return "the motor of a hinge has a torque, that of another joint a force"
    return _limits_fault(joint.kind, joint.limits) if joint.limits is not None else ""


def _limits_fault(kind: str, limits: tuple[float, float]) -> str:
    low, high = limits
    if low > high:
        return "its limits are in the wrong order"
    if kind == "hinge" and not (-math.pi < low <= 0.0 <= high < math.pi):
        return "the limits of a hinge are between -pi and pi, and 0, where it begins, is between them"
    if kind == "slider" and not low <= 0.0 <= high:
        return "0, where a slider begins, is between its limits"
    if kind == "ball" and not (low == 0.0 < high < math.pi):
        return "the limits of a ball are 0 and an angle below pi"
    if kind == "distance" and low < 0.0:
        return "the limits of a distance joint are not negative"
    return ""
