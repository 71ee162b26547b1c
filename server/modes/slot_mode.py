"""The base class of modes in slots: the members come and go while the world runs, and nobody has a turn.

    moving -> ... -> over        over: the last member has left, or the mode ends the session

This module must never know a body or an input of a mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol

from tussle.server.modes.mode import Mode, Params, Phase, Result, Score, Seat, convert_params

__all__ = ["SlotMode", "set_member"]

TURN_PARAMS = ("turn_s", "bot_turn_s")


class SlotState(Protocol):
    """The fields that the state of every mode in slots has. ``members``: by seat, whether it is in."""

    @property
    def members(self) -> tuple[bool, ...]: ...
    @property
    def result(self) -> Result | None: ...


class SlotMode(Mode):
    """Implements the functions of ``Mode`` that follow from the absence of turns."""

    policy: ClassVar[Literal["turns", "slots"]] = "slots"
    rated: ClassVar[bool] = False
    """All members share the first place, also those who have left."""
    members: tuple[Seat, ...]
    """The seats that were taken when the session began."""

    def phase(self, state: SlotState) -> Phase:
        return "moving" if state.result is None else "over"

    def actor(self, state: SlotState) -> int | None:
        return None

    def clock(self, state: Any) -> tuple[int, int]:
        return 0, 0

    def deadline_s(self, state: SlotState) -> float | None:
        return None

    def result(self, state: SlotState) -> Result | None:
        return state.result

    def _convert_params(self, params: Mapping[str, Any], type_: type[Params]) -> Params:
        """The parameters without the time limits of turns, which a server gives to every mode."""
        own = {name: value for name, value in params.items() if name not in TURN_PARAMS}
        return convert_params(self.name, own, type_)

    def _tie(self, cause: str) -> tuple[Result, dict[str, Any]]:
        """The result in which all members share the first place, and the payload of the ``result`` event."""
        seats = [seat.seat for seat in self.members]
        result = Result(
            places=dict.fromkeys(seats, 1),
            winner=None,
            cause=cause,
            scores={seat: Score(place=1, points=0.0, xp=0) for seat in seats},
        )
        return result, {"cause": cause, "winner": None, "places": [1] * len(seats)}


def set_member(members: tuple[bool, ...], seat: int, present: bool) -> tuple[bool, ...]:
    """Return the members with one seat in or out."""
    return (*members[:seat], present, *members[seat + 1 :])
