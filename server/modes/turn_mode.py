"""The base class of modes in turns, and the bookkeeping that they share: stages, order, skips, rest, scores.

    settling -> acting -> moving -> acting -> ... -> over
                  ^  one input      |  at rest, or at the time limit
                  '-----------------'

This module must never know a body or a place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol

import msgspec
import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.actions import ActionKind, ActionSpec
from tussle.lobby.rules.turns import SKIPS_TO_LEAVE, TurnOrder
from tussle.server.modes.mode import CatalogueBody, Mode, Phase, Result, Seat, View, convert_params
from tussle.server.physics.world_state import Floats

__all__ = ["REST_TICKS", "Stage", "TurnMode", "TurnParams", "base_xp", "count_quiet", "find_winner"]

Stage = Literal["settling", "acting", "moving", "over"]

REST_SPEED, REST_TICKS = 0.08, 6
"""A body is at rest below this speed [m/s] and below this rate of its axes [1/s]. A turn ends when all bodies have been
at rest for REST_TICKS ticks."""

XP_FINISHED, XP_OUTLASTED = 10, 15


class TurnParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of a mode in turns: the time limit of a person's turn and of a bot's turn [s]."""

    turn_s: Annotated[float, msgspec.Meta(ge=0.01, le=3600)] = 20.0
    bot_turn_s: Annotated[float, msgspec.Meta(ge=0.01, le=3600)] = 2.0


class TurnState(Protocol):
    """The fields that the state of every mode in turns has."""

    @property
    def stage(self) -> Stage: ...
    @property
    def order(self) -> TurnOrder: ...
    @property
    def result(self) -> Result | None: ...


class TurnMode(Mode):
    """Implements the functions of ``Mode`` that follow from the stage and the turn order."""

    policy: ClassVar[Literal["turns", "slots"]] = "turns"
    params_type: ClassVar[type[TurnParams]] = TurnParams
    action_kinds: ClassVar[tuple[ActionKind, ...]] = ()
    params: TurnParams
    players: tuple[Seat, ...]

    def __init__(
        self, params: Mapping[str, Any], seats: Sequence[Seat], catalogue: Mapping[str, CatalogueBody]
    ) -> None:
        self.params = convert_params(self.name, params, self.params_type)
        low, high = self.seats
        if not low <= len(seats) <= high or [seat.seat for seat in seats] != list(range(len(seats))):
            raise Refused(
                f"{self.name} has {low} to {high} seats, numbered from 0", code="bad_seats", field="seats"
            )
        self.players = tuple(seats)
        self.seat_count = len(seats)

    def phase(self, state: TurnState) -> Phase:
        return "moving" if state.stage == "settling" else state.stage

    def actor(self, state: TurnState) -> int | None:
        return None if state.stage in ("settling", "over") else state.order.current

    def clock(self, state: TurnState) -> tuple[int, int]:
        return state.order.round, state.order.turn

    def deadline_s(self, state: TurnState) -> float | None:
        actor = self.actor(state)
        if actor is None:
            return None
        return self.params.turn_s if self.players[actor].kind == "person" else self.params.bot_turn_s

    def legal(self, state: TurnState, view: View, seat: int) -> ActionSpec:
        acts = state.stage == "acting" and seat == state.order.current
        return ActionSpec(seat=seat, kinds=self.action_kinds if acts else ())

    def result(self, state: TurnState) -> Result | None:
        return state.result

    def check_turn(self, state: TurnState, seat: int, kind: str) -> None:
        """Check that an input may come now. Raises Refused: ``seat_out``, ``wrong_phase`` or ``not_your_turn``.

        A seat that is in may leave at any time.
        """
        if not 0 <= seat < self.seat_count or not state.order.lives(seat):
            raise Refused("that seat is out", code="seat_out", field="seat")
        if state.stage == "over" or (state.stage == "settling" and kind != "leave"):
            raise Refused("no action is taken now", code="wrong_phase", field="kind")
        if kind != "leave" and (state.stage != "acting" or seat != state.order.current):
            raise Refused("it is not your turn", code="not_your_turn", field="seat")

    def is_last_skip(self, state: TurnState, seat: int) -> bool:
        """Return whether the seat is out if it skips this turn: after SKIPS_TO_LEAVE skips in a row."""
        return state.order.skips_of(seat) + 1 >= SKIPS_TO_LEAVE

    def keeps_waiting(self, state: TurnState) -> bool:
        """Return whether the turn of the current seat goes on after a seat has left: the current seat is in, and so
        is a second one."""
        return state.order.lives(state.order.current) and len(state.order.living_seats) > 1


def count_quiet(quiet: int, velocities: Floats, rates: Floats) -> int:
    """Return the number of ticks in a row in which all bodies were at rest, after one more tick.

    velocities [m/s], shape (n, 3). rates: of the axes [1/s], shape (n, 3, 3).
    """
    speed = max(np.abs(velocities).max(initial=0.0), np.abs(rates).max(initial=0.0))
    return quiet + 1 if speed < REST_SPEED else 0


def find_winner(places: Mapping[int, int]) -> int | None:
    """Return the only seat with the best place; None if seats share it."""
    best = min(places.values())
    first = [seat for seat, place in places.items() if place == best]
    return first[0] if len(first) == 1 else None


def base_xp(places: Mapping[int, int], seat: int) -> int:
    """Return the experience of a seat that stayed to the end: XP_FINISHED, and XP_OUTLASTED for each seat with a worse
    place."""
    return XP_FINISHED + XP_OUTLASTED * sum(place > places[seat] for place in places.values())
