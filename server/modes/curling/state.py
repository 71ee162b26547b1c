"""The state of curling, its constants, and the score of an end. The state is plain frozen data, which is hashed every
tick; it must never contain an array or a rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import msgspec

from tussle.lobby.rules.scenes import Vector
from tussle.lobby.rules.turns import TurnOrder
from tussle.server.modes.mode import CatalogueBody, Result
from tussle.server.modes.turn_mode import Stage, TurnParams

__all__ = [
    "DHAT",
    "FRICTION",
    "GUARDED",
    "HOUSE",
    "LATE_AFTER_S",
    "LATE_DRAG",
    "LAUNCH",
    "LIMIT_S",
    "OFF_BELOW_Y",
    "REACH",
    "RINGS",
    "SHEET",
    "SHEET_CENTRE",
    "SHORT_OF",
    "SPEED",
    "STONE",
    "CurlingParams",
    "CurlingState",
    "End",
    "Lying",
    "score_end",
]

SHEET = (8.0, 0.3, 2.0)  # m
SHEET_CENTRE = 3.6  # m, of the sheet along x; the launch line is x = 0, 0.4 m from the near edge
FRICTION = 0.1
HOUSE = 6.5  # m from the launch line
RINGS = (0.2, 0.6, 1.0)
REACH = 1.0  # m; farther stones do not count
SPEED = 4.2  # m/s at full power
GUARDED = 3  # first throws of an end that are undone when they drive a stone of another seat off
SHORT_OF = (
    1.0  # m; a stone that rests nearer to the launch line is removed: it would be in the way of the next one
)
OFF_BELOW_Y = -0.1
LATE_DRAG, LATE_AFTER_S, LIMIT_S = 6.0, 4.0, 6.0
DHAT = 0.01

STONE = CatalogueBody(
    id="quern",
    name="Quern",
    kind="lathe",
    params={"n": 14, "profile": [[0.25, -0.08], [0.25, 0.08]]},
    density=620.0,
    stiffness=6e6,
    friction=FRICTION,
    computed={"vertices": 30, "mass": 18.83, "bounding_radius": 0.262, "rest_height": 0.08},
)
"""The quern of the catalogue, with less friction."""

LAUNCH: Vector = (0.0, STONE.computed["rest_height"] + 0.9 * DHAT, 0.0)
"""The start of a stone, at about the height at which it rests."""


class CurlingParams(TurnParams, frozen=True):
    """The parameters of curling. ``ends``: of a match. ``stones``: of each seat in an end."""

    ends: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    stones: Annotated[int, msgspec.Meta(ge=1, le=4)] = 4


class Lying(msgspec.Struct, frozen=True):
    """A stone on the sheet at the beginning of a turn: its number, its place [m] and its angle about y [rad]."""

    stone: int
    position: Vector
    yaw: float


class End(msgspec.Struct, frozen=True):
    """The score of an end. ``seat``: None if no stone counts."""

    seat: int | None
    points: int


class CurlingState(msgspec.Struct, frozen=True):
    """All that varies. on_sheet: by stone. first_round: of the present end. lying: stones at the beginning of the turn.
    driven_off: stones of other seats that were lost in this turn. struck: pairs in a blow at the last tick. left: seats
    in the order of leaving."""

    stage: Stage
    order: TurnOrder
    points: tuple[int, ...]
    on_sheet: tuple[bool, ...]
    first_round: int = 1
    ends: tuple[End, ...] = ()
    ticks: int = 0
    quiet: int = 0
    skipped: bool = False
    lying: tuple[Lying, ...] = ()
    driven_off: tuple[int, ...] = ()
    struck: tuple[tuple[int, int], ...] = ()
    left: tuple[int, ...] = ()
    result: Result | None = None


def score_end(stones: Sequence[tuple[int, float, float]]) -> End:
    """Return the score of an end. stones: (seat, x, z) of each stone on the sheet [m].

    The nearest stone's seat gets a point for each stone nearer than any other seat's nearest, within REACH.
    """
    far = sorted((math.hypot(x - HOUSE, z), seat) for seat, x, z in stones)
    far = [(distance, seat) for distance, seat in far if distance <= REACH]
    if not far:
        return End(seat=None, points=0)
    winner = far[0][1]
    points = 0
    for _, seat in far:
        if seat != winner:
            break
        points += 1
    return End(seat=winner, points=points)
