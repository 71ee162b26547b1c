"""How the pins of a body move: along a line, about an axis, or by keyframes. Part of the scene document.

This module checks a motion alone and gives its keyframes; it must never import numpy or compute geometry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Protocol

import msgspec

from tussle.lobby.errors import Refused

__all__ = ["KEYFRAMES_MAX", "Keyframe", "Motion", "check_pins", "keyframes", "largest_offset"]

KEYFRAMES_MAX = 64
"""Most keyframes of a motion."""

Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Vector = tuple[float, float, float]


class Keyframe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where moving pins are at a ``time`` [s] of the simulation: ``offset`` [m] from where the scene begins, after a
    turn by ``angle`` [rad] about the axis of the motion."""

    time: Positive
    offset: Vector = (0.0, 0.0, 0.0)
    angle: float = 0.0


class Motion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The prescribed motion of the vertices of a pin, together as a rigid set.

    Either ``velocity`` [m/s] and ``spin`` [rad/s] until the time ``until`` [s], or ``keys``: keyframes in order of
    time, with straight interpolation, which begin with no offset at time 0. The turn is about ``axis`` through the mean
    of the vertices. After the end the vertices are held. ``repeat``: the keyframes begin again; the last one is the
    place of the first."""

    velocity: Vector = (0.0, 0.0, 0.0)
    spin: float = 0.0
    until: NonNegative = 0.0
    axis: Vector = (0.0, 1.0, 0.0)
    keys: Annotated[tuple[Keyframe, ...], msgspec.Meta(max_length=KEYFRAMES_MAX)] = ()
    repeat: bool = False


class Pinned(Protocol):
    """What ``check_pins`` reads of a pin."""

    @property
    def vertices(self) -> tuple[int, ...]: ...
    @property
    def motion(self) -> Motion | None: ...


def keyframes(motion: Motion) -> tuple[Keyframe, ...]:
    """Return the keyframes of a motion, those of a straight one too."""
    if motion.keys:
        return motion.keys
    x, y, z = (speed * motion.until for speed in motion.velocity)
    return (Keyframe(motion.until, (x, y, z), motion.spin * motion.until),)


def largest_offset(pins: Sequence[Pinned]) -> float:
    """Return the largest coordinate of an offset of the pins of a body [m]."""
    moving = [pin.motion for pin in pins if pin.motion is not None]
    return max((abs(x) for motion in moving for key in keyframes(motion) for x in key.offset), default=0.0)


def check_pins(body: str, kind: str, pins: Sequence[Pinned]) -> None:
    """Check the motions of the pins of a body. Raises Refused (bad_scene), which names the body."""
    fault = ""
    seen: set[int] = set()
    moved: set[int] = set()
    for pin in pins:
        here = set(pin.vertices)
        if pin.motion is not None:
            if kind not in ("affine", "elastic"):
                fault = f"pins of a body of kind {kind!r} do not move"
            elif not here:
                fault = "a pin that moves names its vertices; a whole body moves as a rail"
            else:
                fault = _fault(pin.motion)
            if here & seen:
                fault = fault or "a vertex that moves is in two pins"
            moved |= here
        elif here & moved or (moved and not here):
            fault = "a vertex that moves is in two pins"
        seen |= here
        if fault:
            raise Refused(f"body {body!r}: {fault}", code="bad_scene", field="pins")
    if moved and any(not pin.vertices for pin in pins):
        raise Refused(f"body {body!r}: a vertex that moves is in two pins", code="bad_scene", field="pins")


def _fault(motion: Motion) -> str:
    """Return what is wrong with a motion; '' if nothing is."""
    numbers = [*motion.velocity, motion.spin, motion.until, *motion.axis]
    for key in motion.keys:
        numbers += [key.time, *key.offset, key.angle]
    if not all(map(math.isfinite, numbers)):
        return "a number of a motion is not finite"
    if not 1e-6 <= math.hypot(*motion.axis) <= 1e6:
        return "the axis of a motion has no direction"
    straight = motion.velocity != (0.0, 0.0, 0.0) or motion.spin != 0.0 or motion.until != 0.0
    if straight == bool(motion.keys):
        return "a motion has either keys, or a velocity or spin and the time until which it lasts"
    if not motion.keys:
        return "a motion lasts until a time after 0" if motion.until <= 0.0 else (
            "a motion that repeats has keys" if motion.repeat else ""
        )  # fmt: skip
    times = [0.0, *(key.time for key in motion.keys)]
    if not all(a < b for a, b in pairwise(times)):
        return "the keys of a motion are in order of time"
    last = motion.keys[-1]
    if motion.repeat and (math.hypot(*last.offset) > 1e-9 or abs(math.sin(0.5 * last.angle)) > 1e-9):
        return "a motion that repeats ends where it began"
    return ""
