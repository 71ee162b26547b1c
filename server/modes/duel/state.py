"""The state of a duel, and its constants. The state is plain frozen data, which is hashed every tick; it must never
contain an array or a rule.

The constants are tuned by simulated duels. The bodies of the catalogue are balanced for these values only.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from tussle.lobby.rules.turns import TurnOrder
from tussle.server.modes.duel.damage import OpenBlow
from tussle.server.modes.mode import Result
from tussle.server.modes.turn_mode import Stage, TurnParams

__all__ = [
    "AIR_DRAG",
    "ARENA_BOTTOM",
    "ARENA_DEPTH",
    "ARENA_FRICTION",
    "ARENA_RADIUS",
    "ARENA_SIDES",
    "DHAT",
    "DRAW_GAP",
    "ELEVATION_MAX",
    "FALL_S",
    "HOP_ELEVATION",
    "HOP_SPEED",
    "LATE_AFTER_S",
    "LATE_DRAG",
    "LIMIT_S",
    "OPENING_SPEED",
    "OUT_BELOW_Y",
    "SETTLE_DRAG",
    "SPAWN_RADIUS",
    "SPIN_RATE",
    "SPIN_SPEED",
    "UNTOUCHED",
    "Cause",
    "DuelParams",
    "DuelState",
    "Out",
    "Rim",
    "Turn",
]

ARENA_SIDES, ARENA_RADIUS, ARENA_DEPTH, ARENA_BOTTOM = 8, 1.8, 0.3, 0.9
ARENA_FRICTION = 0.4
SPAWN_RADIUS = 1.116  # 0.62 of the arena's
OUT_BELOW_Y = -0.35
DHAT = 0.01

AIR_DRAG = 0.1  # 1/s
LATE_DRAG, LATE_AFTER_S = 6.0, 1.6
SETTLE_DRAG = BRACE_DRAG = 4.0
LIMIT_S = 4.0
FALL_S = 0.75  # least time for which the world runs while sides of the mat fall

ELEVATION_MAX = 60.0
HOP_ELEVATION, HOP_SPEED = 70.0, 0.55
SPIN_SPEED, SPIN_RATE = 0.8, 14.0  # of the launch speed; rad/s
OPENING_SPEED = 0.8
DRAW_GAP = 0.05

UNTOUCHED = 99
"""The chain depth of a body that no blow of this turn has reached."""


Cause = Literal["fallen", "broken", "forfeit"]


class DuelParams(TurnParams, frozen=True):
    """The parameters of a duel. ``rounds``: the most rounds of a bout. ``falls_from``: the round before which two sides
    of the mat fall for the first time; two more fall before each later round. ``rounds_to_win``: the bouts that a seat
    must win for the match, which has at most 2 ``rounds_to_win`` - 1 bouts; 2 in a match of people alone whose host
    chose no parameters."""

    rounds: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 15
    falls_from: Annotated[int, msgspec.Meta(ge=3, le=1000)] = 5
    rounds_to_win: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1


class Out(msgspec.Struct, frozen=True):
    """How a seat went out. ``by``: the seat whose turn it was, or None. ``place``: 1 is best."""

    seat: int
    cause: Cause
    by: int | None
    tick: int
    place: int


class Turn(msgspec.Struct, frozen=True):
    """The running sums of one turn. ``positions`` and ``axes``: flat arrays of the bodies at its start. ``damage``:
    suffered in it, per seat."""

    start_tick: int = 0
    ticks: int = 0
    skipped: bool = False
    positions: tuple[float, ...] = ()
    axes: tuple[float, ...] = ()
    energy: float = 0.0
    launch_energy: float = 0.0
    damage: tuple[float, ...] = ()
    depth: tuple[int, ...] = ()
    iterations: int = 0
    min_distance: float = math.inf


class Rim(msgspec.Struct, frozen=True):
    """The sides of the mat that are gone, and those that fall before the next round. ``loose``: how many of the last
    fallen ones are bodies of the scene."""

    fallen: tuple[int, ...] = ()
    cracked: tuple[int, ...] = ()
    loose: int = 0


class DuelState(msgspec.Struct, frozen=True):
    """All that varies. Tuples run over the seats. ``damage``: the flat matrix dealt[by][to], of the whole match.
    ``bout``: its number, from 1; ``first_turn``: its first one; ``past``: the outs of earlier bouts, but for seats
    that left; ``wins``: bouts won; ``rim``: left out while the mat is whole, so that the bytes and hashes of such a
    state are those of before a mat could fall."""

    stage: Stage
    order: TurnOrder
    health: tuple[float, ...]
    braced: tuple[bool, ...]
    touching: tuple[bool, ...]
    damage: tuple[float, ...]
    turn: Turn = Turn()
    quiet: int = 0
    outs: tuple[Out, ...] = ()
    blows: tuple[OpenBlow, ...] = ()
    blow_count: int = 0
    result: Result | None = None
    seed: int = 0
    bout: int = 1
    first_turn: int = 0
    wins: tuple[int, ...] = ()
    past: tuple[Out, ...] = ()
    rim: Rim | msgspec.UnsetType = msgspec.UNSET

    @property
    def fallen(self) -> tuple[int, ...]:
        return () if self.rim is msgspec.UNSET else self.rim.fallen

    @property
    def cracked(self) -> tuple[int, ...]:
        return () if self.rim is msgspec.UNSET else self.rim.cracked

    @property
    def loose(self) -> int:
        return 0 if self.rim is msgspec.UNSET else self.rim.loose
