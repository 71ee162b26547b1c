"""What modes by turns have in common: seats and parameters, who acts and for how long, which inputs come in order.

settling -> acting -> moving -> acting -> ... -> over
              ^  one input      |  at rest, or late
              '-----------------'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol

import msgspec

from tussle.lobby.errors import Refused
from tussle.lobby.rules.turns import TurnOrder
from tussle.server.modes.mode import CatalogueBody, Mode, Phase, Result, Seat

__all__ = ["Stage", "TurnMode", "TurnParams"]

Stage = Literal["settling", "acting", "moving", "over"]


class TurnParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a host may choose of turns: the time of a person's and of a program's [s]."""

    turn_s: Annotated[float, msgspec.Meta(ge=0.01, le=3600)] = 20.0
    bot_turn_s: Annotated[float, msgspec.Meta(ge=0.01, le=3600)] = 2.0


class TurnState(Protocol):
    """What the state of such a mode has, beside its own."""

    @property
    def stage(self) -> Stage: ...
    @property
    def order(self) -> TurnOrder: ...
    @property
    def result(self) -> Result | None: ...


class TurnMode(Mode):
    """Answers all of ``Mode`` that follows from stage and turn order."""

    policy: ClassVar[Literal["turns", "slots"]] = "turns"
    params_type: ClassVar[type[TurnParams]] = TurnParams
    params: TurnParams
    players: tuple[Seat, ...]

    def __init__(
        self, params: Mapping[str, Any], seats: Sequence[Seat], catalogue: Mapping[str, CatalogueBody]
    ) -> None:
        try:
            self.params = msgspec.convert(dict(params), self.params_type)
        except msgspec.ValidationError as error:
            raise Refused(
                f"no parameters of {self.name}: {error}", code="bad_params", field="params"
            ) from None
        low, high = self.seats
        if not low <= len(seats) <= high or [seat.seat for seat in seats] != list(range(len(seats))):
            raise Refused(
                f"{self.name} has seats 0, 1, ... and {low} to {high} of them",
                code="bad_seats",
                field="seats",
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

    def result(self, state: TurnState) -> Result | None:
        return state.result

    def check_turn(self, state: TurnState, seat: int, kind: str) -> None:
        """Raises Refused (``seat_out``, ``wrong_phase``, ``not_your_turn``) for an input that may not come now.
        Whoever is in may always leave."""
        if not 0 <= seat < self.seat_count or not state.order.lives(seat):
            raise Refused("that seat is not in any more", code="seat_out", field="seat")
        if state.stage in ("settling", "over"):
            raise Refused("no action is taken now", code="wrong_phase", field="kind")
        if kind != "leave" and (state.stage != "acting" or seat != state.order.current):
            raise Refused("it is not your turn", code="not_your_turn", field="seat")
