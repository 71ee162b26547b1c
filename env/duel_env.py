"""The duel as a PettingZoo environment: the seats launch their bodies at one another in turns.

action   (5,) from -1 to 1: direction x, direction z, elevation, power, kind
reward   health that the others lost in the turn minus what the seat lost, divided by 100; at the end from +1 for the
         first place to -1 for the last. The rewards of a step add up to 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from tussle.env.episode import Episode, Event, bodies_of_catalogue, make_spec
from tussle.env.fields import ArrayField, ObservationForm, ObservationTable, unit_box
from tussle.env.turn_env import TurnEnv
from tussle.server.modes.duel.state import ELEVATION_MAX

__all__ = ["KINDS", "DuelEnv", "by_place", "duel_fields"]

KINDS = ("launch", "spin", "hop", "brace")
"""The kinds of an action, by the quarter of the fifth number: launch below -0.5, ... brace from 0.5."""

_ARGUMENTS = {
    "launch": ("azimuth", "elevation", "power"),
    "spin": ("azimuth", "elevation", "power"),
    "hop": ("azimuth", "power"),
    "brace": (),
}
_HEALTH = 100.0


def duel_fields(seats: int) -> tuple[ArrayField, ...]:
    """The observation. Rows run over the seats: the observer first, then the others in the order of the seats. A seat
    that is out has zeros in every row."""
    n = seats
    return (
        ArrayField("alive", (n,), 0, 1, "1: the seat is in"),
        ArrayField("position", (n, 3), -4, 4, "centre [m]; that of the others relative to the observer"),
        ArrayField(
            "orientation", (n, 3, 3), -2, 2, "images of the local axes; the first points to the soft face"
        ),
        ArrayField("health", (n,), 0, 1, "share of the full health"),
        ArrayField("braced", (n,), 0, 1, "1: braced since its last turn"),
        ArrayField("touching", (n,), 0, 1, "1: it touches the arena"),
        ArrayField("rim", (n,), -4, 4, "horizontal distance to the rim of the arena [m]; negative: outside"),
        ArrayField("speed", (n,), 0, 20, "of a launch at full power in this turn [m/s]"),
        ArrayField("mass", (n,), 0, 100, "[kg]"),
        ArrayField("toughness", (n,), 0, 10, "damage is divided by it"),
        ArrayField("own_turn", (1,), 0, 1, "1: the observer acts"),
        ArrayField("round", (1,), 0, 1, "round / rounds of the duel"),
    )


class DuelEnv(TurnEnv):
    """A duel of ``seats`` seats. bodies: catalogue ids, one for each seat; None: each beginning has its own, drawn from
    the catalogue. params: of the mode (``rounds``). observation: "array" or "dict".

    options of reset: session_seed, bodies.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "tussle_duel_v0",
        "render_modes": ["human", "rgb_array"],
        "render_fps": 30,
        "is_parallelizable": False,
    }
    mode = "duel"

    def __init__(
        self,
        *,
        seats: int = 2,
        bodies: Sequence[str] | None = None,
        params: Mapping[str, Any] | None = None,
        starts: int = 64,
        observation: ObservationForm = "array",
        render_mode: str | None = None,
    ) -> None:
        self.table = ObservationTable(duel_fields(seats), observation)
        self.bodies = None if bodies is None else _checked(bodies, seats)
        super().__init__(seats=seats, params=params, starts=starts, render_mode=render_mode)

    def make_action_space(self) -> spaces.Box:
        return unit_box(5)

    def begin(self, session_seed: int, options: Mapping[str, Any]) -> Episode:
        seats = len(self.possible_agents)
        bodies = options.get("bodies") or self.bodies
        if bodies is None:
            names = sorted(bodies_of_catalogue())
            drawn = np.random.default_rng(session_seed).choice(len(names), seats, replace=len(names) < seats)
            bodies = [names[number] for number in drawn]
        return Episode.start(make_spec("duel", _checked(bodies, seats), session_seed, self.params))

    def translate(self, action: npt.NDArray[np.float32]) -> dict[str, Any]:
        x, z, elevation, power, kind = (float(one) for one in np.clip(action, -1.0, 1.0))
        name = KINDS[min(3, int(2.0 * (kind + 1.0)))]
        given = {
            "azimuth": math.degrees(math.atan2(z, x)),
            "elevation": ELEVATION_MAX * 0.5 * (elevation + 1.0),
            "power": 0.5 * (power + 1.0),
        }
        return {"kind": name, **{argument: given[argument] for argument in _ARGUMENTS[name]}}

    def values(self, brief: Mapping[str, Any], seat: int, rounds: int) -> dict[str, Any]:
        seats = len(self.possible_agents)
        order = [(seat + place) % seats for place in range(seats)]
        alive = np.array(brief["alive"], float)[order]
        position = np.array(brief["positions"])[order]
        position[1:] -= position[0]
        rows: dict[str, Any] = {
            "position": position,
            "orientation": np.array(brief["orientations"])[order],
            "health": (np.array(brief["health"]) / np.array(brief["health_full"]))[order],
            "rim": np.array(brief["distance_to_rim"])[order],
        }
        names = {"braced": "braced", "touching": "touching", "speed": "speeds", "mass": "masses",
                 "toughness": "toughness"}  # fmt: skip
        rows |= {name: np.array(brief[source], float)[order] for name, source in names.items()}
        for array in rows.values():
            array[alive == 0.0] = 0.0
        return {
            "alive": alive,
            **rows,
            "own_turn": [float(brief["seat"] == seat)],
            "round": [rounds / self.params.get("rounds", 15)],
        }

    def reward(self, events: Sequence[Event], seats: int) -> npt.NDArray[np.float64]:
        gains = np.zeros(seats)
        for _, name, d in events:
            if name == "turn_ended":
                lost = np.array(d["damage"]) / _HEALTH
                gains += (lost.sum() - lost) / (seats - 1) - lost
            elif name == "result":
                gains += by_place(d["places"])
        return gains


def by_place(places: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return 1 for the first place to -1 for the last; equal places share their mean."""
    ranks = np.array(places, float)
    ties = (ranks[:, None] == ranks).sum(axis=1)
    return np.asarray(1.0 - 2.0 * (ranks - 1.0 + (ties - 1.0) / 2.0) / (len(ranks) - 1))


def _checked(bodies: Sequence[str], seats: int) -> tuple[str, ...]:
    if len(bodies) != seats:
        raise ValueError(f"{seats} seats need {seats} bodies, not {len(bodies)}")
    return tuple(bodies)
