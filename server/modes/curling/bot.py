"""The bot of curling: it draws to the button, or takes out the best stone of a foe.

It must never use what its brief, the payload of ``turn_started``, does not contain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tussle.server.modes.mode import Action

__all__ = ["SKILLS", "decide"]

SKILLS = {"dummy": 0.0, "random": 60.0, "novice": 15.0, "fair": 8.0, "good": 5.0, "sharp": 2.0, "planner": 2.0,
          "taught": 2.0}  # fmt: skip
"""Skill -> sigma of the errors: a twelfth of it in azimuth [degrees] and a quarter of it, in percent, in speed."""

_EXTRA = 1.5  # m that a take-out would slide on behind its aim
_LOSS = 1.035  # measured: v^2 / (2 mu g) over the distance that a stone really slides
_WIDTH = 0.53  # m between two centres that pass without contact
_SPREAD = (0.0, 0.2, 0.4, 0.6, 0.8)  # m from the button, of places to draw to


def decide(brief: Mapping[str, Any], seat: int, skill: str, rng: np.random.Generator) -> Action:
    """Return the action of the bot. It takes out the best stone of a foe if the way to it is free, else draws to the
    free place nearest to the button, else clears the way at full speed. A dummy leaves its stone where it is. Raises
    ValueError for an unknown skill."""
    name = skill.partition(":")[0]
    if name not in SKILLS:
        raise ValueError(f"no skill is called {skill!r}")
    if name == "dummy":
        return Action("launch", {"azimuth": 0.0, "power": 0.0, "spin": 0.0})
    sigma = SKILLS[name]
    rules = brief["rules"]
    x, z, extra = _aim(brief, seat)
    speed = math.sqrt(2.0 * rules["friction"] * rules["gravity"] * _LOSS * (math.hypot(x, z) + extra))
    speed *= 1.0 + rng.normal() * sigma / 400.0
    azimuth = math.degrees(math.atan2(z, x)) + rng.normal() * sigma / 12.0
    return Action(
        "launch",
        {
            "azimuth": float(min(max(azimuth, -10.0), 10.0)),
            "power": float(min(max(speed / rules["speed"], 0.0), 1.0)),
            "spin": 0.0,
        },
    )


def _aim(brief: Mapping[str, Any], seat: int) -> tuple[float, float, float]:
    """The target (x, z), and the extra distance beyond it [m]."""
    house, radius = brief["house"]["x"], brief["house"]["rings"][-1]
    stones = [(stone["position"][0], stone["position"][2]) for stone in brief["stones"]]
    away = [math.hypot(x - house, z) for x, z in stones]
    best = min(range(len(stones)), key=away.__getitem__, default=None)
    if best is not None and brief["stones"][best]["seat"] != seat and away[best] < radius:
        others = [stone for number, stone in enumerate(stones) if number != best]
        if _is_free(stones[best], others):
            return (*stones[best], _EXTRA)
    for reach in _SPREAD:
        places = [(house, side * reach) for side in ((1.0, -1.0) if reach else (1.0,))]
        free = [place for place in places if _is_free(place, stones)]
        if free:
            return (*free[0], 0.0)
    first = min(stones)
    return (*first, 2.0 * house)


def _is_free(place: tuple[float, float], stones: list[tuple[float, float]]) -> bool:
    """Whether a stone can slide from the launch line to a place without touching another one."""
    way = math.hypot(*place)
    along = place[0] / way, place[1] / way
    for x, z in stones:
        share = min(max(x * along[0] + z * along[1], 0.0), way)
        if math.hypot(x - share * along[0], z - share * along[1]) < _WIDTH:
            return False
    return True
