"""The effect of an action on a body, and the scene of a duel. Pure functions of rules and geometry. This module must
never change a state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tussle.lobby.rules.scenes import Body, Material, Quaternion, Recipe, Scene, Vector
from tussle.server.modes.duel.mat import mat_body, slab_bodies
from tussle.server.modes.duel.state import (
    DHAT,
    HOP_ELEVATION,
    HOP_SPEED,
    OPENING_SPEED,
    SPAWN_RADIUS,
    SPIN_RATE,
    SPIN_SPEED,
    DuelState,
)
from tussle.server.modes.mode import CatalogueBody, View, stream

__all__ = ["build_scene", "find_target", "opening_scale", "push", "push_energy", "spawn_poses"]

_NOBODY = -1


def opening_scale(turn: int) -> float:
    """Return the factor of the launch speed in a turn of a bout, counted from 0. The opening turn is slower: in
    simulated duels at full speed the first mover won 57 %."""
    return OPENING_SPEED if turn == 0 else 1.0


def spawn_poses(seed: int, bout: int, catalogue: Sequence[CatalogueBody]) -> list[tuple[Vector, Quaternion]]:
    """Return the position and the rotation of each body at the start of a bout: evenly on a circle, just above the
    ground. The seed and the bout turn circle and bodies."""
    rng = stream(seed, bout - 1, _NOBODY)
    phase = rng.uniform(0.0, 2.0 * math.pi)
    poses: list[tuple[Vector, Quaternion]] = []
    for seat, body in enumerate(catalogue):
        angle = phase + 2.0 * math.pi * seat / len(catalogue)
        yaw = rng.uniform(0.0, 2.0 * math.pi)
        height = body.computed["rest_height"] + DHAT
        poses.append(
            (
                (SPAWN_RADIUS * math.cos(angle), height, SPAWN_RADIUS * math.sin(angle)),
                (math.cos(yaw / 2.0), 0.0, math.sin(yaw / 2.0), 0.0),
            )
        )
    return poses


def build_scene(
    seed: int, catalogue: Sequence[CatalogueBody], fallen: Sequence[int] = (), loose: int = 0
) -> Scene:
    """Return the Octagon with the bodies at their places in the first bout, without the sides that have fallen, of
    which the last ``loose`` ones are bodies."""
    bodies = [
        Body(
            id=f"{body.id}-{seat}",
            shape=Recipe(kind=body.kind, params=body.params),
            material=Material(density=body.density, stiffness=body.stiffness, friction=body.friction),
            position=position,
            rotation=rotation,
        )
        for seat, (body, (position, rotation)) in enumerate(
            zip(catalogue, spawn_poses(seed, 1, catalogue), strict=True)
        )
    ]
    # The damage and the bodies are balanced with these numbers (bench/balance).
    return Scene(
        bodies=(*bodies, *slab_bodies(fallen, loose), mat_body(fallen)),
        name="octagon",
        dhat=DHAT,
        contact_mass=15.0,
        friction_speed=0.05,
        tolerance=0.02,
    )


def push(body: CatalogueBody, turn: int, kind: str, d: Mapping[str, Any]) -> tuple[Vector, Vector]:
    """Return the velocity change [m/s] and the spin [rad/s] of an action."""
    if kind in ("brace", "skip"):
        return (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    speed = body.speed * opening_scale(turn) * d["power"]
    elevation = math.radians(HOP_ELEVATION if kind == "hop" else d["elevation"])
    azimuth = math.radians(d["azimuth"])
    speed *= {"spin": SPIN_SPEED, "hop": HOP_SPEED}.get(kind, 1.0)
    flat = speed * math.cos(elevation)
    velocity = (flat * math.cos(azimuth), speed * math.sin(elevation), flat * math.sin(azimuth))
    return velocity, (0.0, SPIN_RATE if kind == "spin" else 0.0, 0.0)


def find_target(state: DuelState, view: View, seat: int, azimuth: float | None) -> int | None:
    """Return the seat of the foe nearest to the direction of the action [degrees]; None without a direction or a
    foe."""
    if azimuth is None:
        return None
    foes = [other for other in state.order.living_seats if other != seat]

    def off(other: int) -> float:
        dx, _, dz = view.positions[other] - view.positions[seat]
        return abs((math.degrees(math.atan2(dz, dx)) - azimuth + 180.0) % 360.0 - 180.0)

    return min(foes, key=off, default=None)


def push_energy(view: View, seat: int, velocity: Vector, spin: Vector) -> float:
    """Return the kinetic energy that a push gives to a body at rest [J]."""
    energy = 0.5 * float(view.masses[seat]) * math.hypot(*velocity) ** 2
    if any(spin):
        rates = np.cross(np.array(spin), view.rows[seat])
        energy += 0.5 * float(np.einsum("ij,ik,jk->", view.moments[seat], rates, rates))
    return energy
