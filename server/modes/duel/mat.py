"""The mat of a duel: the Octagon, from which two opposite sides at a time crack and fall.

    whole -> cracked, for the round before it falls -> fallen: a slab that drops, and is removed when all is at rest

A fallen side is moved in to the distance RIM_APOTHEM from the centre, so that the mat stays convex. What breaks off is
a trapezoid, CLEARANCE smaller on the inside, so that it does not touch the mat, and narrower at the bottom like the
mat: a body that hangs beside the rim is not inside of it. Side k has its outward normal at the
angle 2 pi k / ARENA_SIDES from +x towards +z. This module must never decide when a side falls.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from tussle.lobby.rules.scenes import Body, Material, Recipe
from tussle.server.modes.duel.state import (
    ARENA_BOTTOM,
    ARENA_DEPTH,
    ARENA_FRICTION,
    ARENA_RADIUS,
    ARENA_SIDES,
)
from tussle.server.physics.world_state import Floats

__all__ = ["RIM", "RIM_APOTHEM", "distance_to_rim", "mat_body", "next_sides", "side_distances", "slab_bodies"]

RIM = "rim"
"""The catalogue id of what has fallen, in the topology."""

APOTHEM = ARENA_RADIUS * math.cos(math.pi / ARENA_SIDES)
RIM_APOTHEM = 1.25
"""Where a side is once it has fallen [m]. Bodies begin 1.116 from the centre."""

CLEARANCE = 0.015
"""The gap between a new slab and the mat [m]: more than dhat, so that there is no contact between them."""

DENSITY = 250.0
_TURN = 2.0 * math.pi / ARENA_SIDES


def side_distances(fallen: Collection[int]) -> tuple[float, ...]:
    """The distance of each side from the centre [m]."""
    return tuple(RIM_APOTHEM if side in fallen else APOTHEM for side in range(ARENA_SIDES))


def next_sides(seed: int, fallen: Collection[int]) -> tuple[int, ...]:
    """The two opposite sides that crack next; none if all have fallen. The seed chooses the first pair. Every second
    pair comes first, so that both neighbours of a side that falls are whole, or both have fallen."""
    first = (0, 2, 1, 3)
    pairs = [((seed + k) % ARENA_SIDES, (seed + k + ARENA_SIDES // 2) % ARENA_SIDES) for k in first]
    return next((pair for pair in pairs if pair[0] not in fallen), ())


def distance_to_rim(positions: Floats, fallen: Collection[int]) -> Floats:
    """The horizontal distance of each centre to the nearest side [m], negative outside; shape (n,)."""
    angles = _TURN * np.arange(ARENA_SIDES)
    normals = np.stack([np.cos(angles), np.sin(angles)])
    distance: Floats = (np.array(side_distances(fallen)) - positions[:, [0, 2]] @ normals).min(axis=1)
    return distance


def mat_body(fallen: Collection[int]) -> Body:
    """The static body of the mat."""
    params = {
        "sides": ARENA_SIDES,
        "radius": ARENA_RADIUS,
        "depth": ARENA_DEPTH,
        "bottom_scale": ARENA_BOTTOM,
    }
    return Body(
        id="octagon",
        kind="static",
        shape=Recipe(
            kind="platform", params=params | ({"apothems": list(side_distances(fallen))} if fallen else {})
        ),
        material=Material(density=1000.0, friction=ARENA_FRICTION),
    )


def slab_bodies(fallen: Sequence[int], loose: int) -> list[Body]:
    """The slabs of the last ``loose`` fallen sides, where they broke off."""
    before = side_distances(fallen[: len(fallen) - loose])
    return [_slab(side, before) for side in fallen[len(fallen) - loose :]]


def _slab(side: int, before: Sequence[float]) -> Body:
    """A side's slab. It narrows outwards along the lines of its neighbours, which meet at ``apex`` from the centre: a
    crescent of two points on each curve, about that place, is this trapezoid."""
    neighbour = before[(side + 1) % ARENA_SIDES]
    apex, half = neighbour / math.cos(_TURN), math.pi / 2.0 - _TURN
    inner, outer = apex - RIM_APOTHEM - CLEARANCE, apex - before[side]
    centre = apex - 2.0 / 3.0 * (inner**3 - outer**3) / (inner**2 - outer**2)  # of its top
    # The scale of the cross-section at the centroid: the mean of s^3 over that of s^2, s from 1 to ARENA_BOTTOM.
    scale = 0.75 * (1.0 - ARENA_BOTTOM**4) / (1.0 - ARENA_BOTTOM**3)
    centre *= scale
    angle = _TURN * side
    yaw = half - angle - math.pi  # the crescent's axis points at the centre
    return Body(
        id=f"{RIM}-{side}",
        shape=Recipe(
            kind="crescent",
            params={
                "n": 2,
                "R": inner / math.cos(half),
                "r": outer / math.cos(half),
                "arc": 2.0 * half,
                "h": ARENA_DEPTH,
                "bottom_scale": ARENA_BOTTOM,
                "focus": apex,
            },
        ),
        material=Material(density=DENSITY, friction=ARENA_FRICTION),
        position=(
            centre * math.cos(angle),
            -ARENA_DEPTH * (1.0 - scale) / (1.0 - ARENA_BOTTOM),
            centre * math.sin(angle),
        ),
        rotation=(math.cos(yaw / 2.0), 0.0, math.sin(yaw / 2.0), 0.0),
    )
