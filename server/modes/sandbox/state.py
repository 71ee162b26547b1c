"""The state of a sandbox, and its constants. The state is plain frozen data, which is hashed every tick; it must never
contain an array or a rule.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from tussle.lobby.rules.scenes import Quaternion, Vector
from tussle.lobby.rules.slots import Slots
from tussle.server.modes.mode import CatalogueBody, Result

__all__ = [
    "AIM_SPEED",
    "BODIES_MAX",
    "DAMPING",
    "DHAT",
    "DRAG",
    "DT",
    "FIRST_BODIES",
    "FLOOR_DEPTH",
    "FORCE",
    "FRICTION_SPEED",
    "GRAVITY_MAX",
    "MARGIN",
    "MEMBERS_MAX",
    "OUTSIDE_S",
    "SOFT_BODIES",
    "STIFFNESS",
    "VERTICES_MAX",
    "Grip",
    "Placed",
    "SandboxParams",
    "SandboxState",
]

DT = 1 / 30  # s
MEMBERS_MAX = 16
BODIES_MAX = 24
FIRST_BODIES = 6
VERTICES_MAX = 1200

STIFFNESS, FORCE = 40.0, 60.0  # of the spring of a handle, per kg: stiffness [N/m], largest force [N]
DAMPING = 2.0 * STIFFNESS**0.5  # critical, N s/m per kg
AIM_SPEED = 3.0  # m/s
MARGIN = 0.05  # m, between a target and the box
OUTSIDE_S = 1.0
DRAG = 0.2  # 1/s
FLOOR_DEPTH = 0.3
DHAT = 0.01
FRICTION_SPEED = 1e-3  # m/s, the same with any bodies
GRAVITY_MAX = 20.0

SOFT_BODIES = {
    "jelly": CatalogueBody(
        id="jelly",
        name="Jelly",
        kind="block",
        params={"size": [0.4, 0.4, 0.4], "cells": [3, 3, 3]},
        density=250.0,
        stiffness=1e5,
        friction=0.4,
        character="Gives way, and comes back.",
        computed={"vertices": 64, "mass": 16.0, "bounding_radius": 0.347, "rest_height": 0.2},
    ),
}
"""Elastic bodies beside the affine ones of the catalogue. A ``block`` is meshed into tetrahedra."""


class SandboxParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of a sandbox. ``side``, ``height``: of the box [m]. ``bodies``: catalogue ids of the first bodies;
    none: up to six bodies of the catalogue. ``slots``: most leases at once. ``lease_s``: lifetime of a lease without a
    move [s]. ``brief_s``: time between two ``brief`` events [s]. ``gravity``: downwards [m/s^2]."""

    side: Annotated[float, msgspec.Meta(ge=2, le=20)] = 6.0
    height: Annotated[float, msgspec.Meta(ge=1, le=20)] = 4.0
    bodies: tuple[str, ...] = ()
    slots: Annotated[int, msgspec.Meta(ge=1, le=MEMBERS_MAX)] = 8
    lease_s: Annotated[float, msgspec.Meta(ge=1, le=600)] = 10.0
    brief_s: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 1.0
    gravity: Annotated[float, msgspec.Meta(ge=0, le=GRAVITY_MAX)] = 9.81


class Placed(msgspec.Struct, frozen=True):
    """One body: its scene id, its catalogue id ("" for a body of an authored scene) and its spawn place [m]. outside:
    ticks in a row out of the box."""

    id: str
    body: str
    position: Vector
    rotation: Quaternion = (1.0, 0.0, 0.0, 0.0)
    outside: int = 0


class Grip(msgspec.Struct, frozen=True):
    """A held handle. ``cursor``: the target of its seat [m]. ``aim``: the end of the spring [m], which follows the
    cursor at AIM_SPEED."""

    seat: int
    body: str
    handle: str
    cursor: Vector
    aim: Vector


class SandboxState(msgspec.Struct, frozen=True):
    """All that varies. members: by seat, whether it is in. serial: number of the next body. grips: one per lease.

    Only with a scene that the members made: behind: ticks by which its rails are behind the world, because it was
    frozen or went back. marked: the tick of the last mark, or of the last input that goes back to one."""

    bodies: tuple[Placed, ...]
    members: tuple[bool, ...]
    slots: Slots
    grips: tuple[Grip, ...] = ()
    gravity: float = 9.81
    frozen: bool = False
    serial: int = 0
    result: Result | None = None
    behind: int | msgspec.UnsetType = msgspec.UNSET
    marked: int | msgspec.UnsetType = msgspec.UNSET
