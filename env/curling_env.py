"""Curling as a PettingZoo environment: the seats slide stones towards the button in turns.

action   (3,) from -1 to 1: azimuth (10 degrees), power (0 to 1), spin (6 rad/s)
reward   points of an end divided by the stones of a seat: positive for the seat that scored, negative and shared by the
         others; at the end of the session from +1 for the first place to -1 for the last
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tussle.env.duel_env import by_place
from tussle.env.episode import Episode, Event, make_spec
from tussle.env.fields import ArrayField, ObservationForm, ObservationTable, unit_box
from tussle.env.turn_env import TurnEnv

__all__ = ["CurlingEnv", "curling_fields"]

_AZIMUTH, _SPIN = 10.0, 6.0
_STONES, _ENDS = 4, 3


def curling_fields(seats: int, stones: int) -> tuple[ArrayField, ...]:
    """The observation. Rows run over the seats: the observer first, then the others in the order of the seats. A stone
    that is not on the sheet has zeros."""
    return (
        ArrayField("on_sheet", (seats, stones), 0, 1, "1: the stone lies on the sheet"),
        ArrayField("place", (seats, stones, 2), -8, 8, "along and across the sheet, from the button [m]"),
        ArrayField("points", (seats,), 0, 100, "points so far"),
        ArrayField("own_turn", (1,), 0, 1, "1: the observer throws"),
        ArrayField("thrown", (1,), 0, 1, "stones of this end that the thrower has thrown / its stones"),
        ArrayField("end", (1,), 0, 2, "number of this end / ends"),
        ArrayField("guarded", (1,), 0, 1, "1: a throw that drives a stone of another seat off is undone"),
    )


class CurlingEnv(TurnEnv):
    """Curling of ``seats`` seats. params: of the mode (``ends``, ``stones``). observation: "array" or "dict". The mode
    draws no random number, so every beginning is the same."""

    metadata: ClassVar[dict[str, Any]] = {
        "name": "tussle_curling_v0",
        "render_modes": ["human", "rgb_array"],
        "render_fps": 30,
        "is_parallelizable": False,
    }
    mode = "curling"

    def __init__(
        self,
        *,
        seats: int = 2,
        params: Mapping[str, Any] | None = None,
        observation: ObservationForm = "array",
        render_mode: str | None = None,
    ) -> None:
        given = params or {}
        self.stones, self.ends = int(given.get("stones", _STONES)), int(given.get("ends", _ENDS))
        self.table = ObservationTable(curling_fields(seats, self.stones), observation)
        super().__init__(seats=seats, params=params, starts=1, render_mode=render_mode)

    def make_action_space(self) -> spaces.Box:
        return unit_box(3)

    def begin(self, session_seed: int, options: Mapping[str, Any]) -> Episode:
        spec = make_spec("curling", ("",) * len(self.possible_agents), session_seed, self.params)
        return Episode.start(spec)

    def translate(self, action: npt.NDArray[np.float32]) -> dict[str, Any]:
        azimuth, power, spin = (float(one) for one in np.clip(action, -1.0, 1.0))
        return {
            "kind": "launch",
            "azimuth": _AZIMUTH * azimuth,
            "power": 0.5 * (power + 1.0),
            "spin": _SPIN * spin,
        }

    def values(self, brief: Mapping[str, Any], seat: int, rounds: int) -> dict[str, Any]:
        seats, stones = len(self.possible_agents), self.stones
        order = [(seat + place) % seats for place in range(seats)]
        on_sheet, place = np.zeros((seats, stones)), np.zeros((seats, stones, 2))
        for one in brief["stones"]:
            owner, number = divmod(one["stone"], stones)
            row = (owner - seat) % seats
            on_sheet[row, number] = 1.0
            place[row, number] = one["position"][0] - brief["house"]["x"], one["position"][2]
        return {
            "on_sheet": on_sheet,
            "place": place,
            "points": np.array(brief["points"], float)[order],
            "own_turn": [float(brief["seat"] == seat)],
            "thrown": [brief["stone"] % stones / stones],
            "end": [brief["end"] / self.ends],
            "guarded": [float(brief["rules"]["guarded"])],
        }

    def reward(self, events: Sequence[Event], seats: int) -> npt.NDArray[np.float64]:
        gains = np.zeros(seats)
        for _, name, d in events:
            if name == "end_scored" and d["seat"] is not None:
                share = d["points"] / self.stones
                gains -= share / (seats - 1)
                gains[d["seat"]] += share + share / (seats - 1)
            elif name == "result":
                gains += by_place(d["places"])
        return gains
