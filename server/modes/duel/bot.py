"""The bots of the duel: ``dummy``, ``random``, ``aimer`` with four skills, ``planner``, and ``taught`` (taught.py).

They decide from the brief, the public payload of ``turn_started``. The last two also get ``look``, which runs an
action to rest on a copy of the world. Its budget is a number of calls, so that it decides alike on any machine. A
bot must never use what its brief does not contain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tussle.server.modes.duel.mat import distance_to_rim
from tussle.server.modes.duel.taught import decide_taught, taught_policy
from tussle.server.modes.mode import Action, Look, Outcome

__all__ = ["SKILLS", "decide"]

GRAVITY = 9.81

SKILLS: dict[str, float] = {"novice": 15.0, "fair": 8.0, "good": 5.0, "sharp": 2.0}
"""Skill -> sigma of an aimer's errors: azimuth [degrees], half of it in elevation, and percent of power lost."""

_PLANNER_SIGMA = 2.0
_PLANNER_LOOKS = 12
_WEAK, _WEAK_NEARER = 40.0, 0.4


def decide(
    brief: Mapping[str, Any], seat: int, skill: str, look: Look | None, rng: np.random.Generator
) -> Action:
    """Return the action of a bot. skill: "dummy" (it never moves), "random", a name of SKILLS, "aimer:SIGMA",
    "planner", "planner:LOOKS" or "taught".

    A planner without ``look`` plays as "sharp", "taught" by its policy alone. Raises ValueError for an unknown skill.
    """
    name, _, number = skill.partition(":")
    if name == "dummy":
        return _action("launch", 0.0, 0.0, 0.0)
    if name == "random":
        return _random(rng)
    if name == "planner" and look is not None:
        return _planner(brief, seat, int(number or _PLANNER_LOOKS), look, rng)
    if name == "planner":
        return _aimed(brief, seat, SKILLS["sharp"], rng)
    if name == "taught":
        return decide_taught(taught_policy(), brief, seat, _nearest(brief, seat), look, rng)
    if name == "aimer" and number:
        return _aimed(brief, seat, float(number), rng)
    if name in SKILLS:
        return _aimed(brief, seat, SKILLS[name], rng)
    raise ValueError(f"no skill is called {skill!r}")


def _random(rng: np.random.Generator) -> Action:
    kind = ("launch", "launch", "spin", "brace", "hop")[int(rng.integers(5))]
    azimuth, elevation, power = rng.uniform(-180.0, 180.0), rng.uniform(0.0, 60.0), rng.uniform(0.3, 1.0)
    return _action(kind, azimuth, elevation, power)


def _action(kind: str, azimuth: float, elevation: float, power: float, *, candidates: int = 1) -> Action:
    """An action with the arguments that its kind takes, wrapped and clipped to the legal range."""
    given = {
        "azimuth": (azimuth + 180.0) % 360.0 - 180.0,
        "elevation": min(max(elevation, 0.0), 60.0),
        "power": min(max(power, 0.0), 1.0),
    }
    takes = {"brace": (), "hop": ("azimuth", "power")}.get(kind, ("azimuth", "elevation", "power"))
    return Action(kind=kind, d={name: float(given[name]) for name in takes}, candidates=candidates)


def _foes(brief: Mapping[str, Any], seat: int) -> list[int]:
    return [other for other, lives in enumerate(brief["alive"]) if lives and other != seat]


def _nearest(brief: Mapping[str, Any], seat: int) -> int:
    """The nearest foe; one with little health counts as nearer."""
    x, _, z = brief["positions"][seat]

    def distance(other: int) -> float:
        ox, _, oz = brief["positions"][other]
        weak = bool(brief["health"][other] < _WEAK)
        return math.hypot(ox - x, oz - z) - _WEAK_NEARER * weak

    return min(_foes(brief, seat), key=distance)


def _aimed(
    brief: Mapping[str, Any],
    seat: int,
    sigma: float,
    rng: np.random.Generator,
    *,
    foe: int | None = None,
    power: float = 1.0,
    elevation: float | None = None,
    kind: str = "launch",
) -> Action:
    """A shot at a foe, by default the nearest, with the errors of ``sigma``."""
    if foe is None:
        foe = _nearest(brief, seat)
    (x, _, z), (fx, _, fz) = brief["positions"][seat], brief["positions"][foe]
    azimuth = math.degrees(math.atan2(fz - z, fx - x)) + rng.normal() * sigma
    if elevation is None:
        elevation = _ballistic(brief["speeds"][seat] * power, math.hypot(fx - x, fz - z))
    elevation += rng.normal() * sigma * 0.5
    power *= min(max(1.0 - abs(rng.normal()) * sigma / 100.0, 0.3), 1.0)
    return _action(kind, azimuth, elevation, power)


def _ballistic(speed: float, distance: float) -> float:
    """The low elevation [degrees] of a flight over that distance; 45 if it is out of range."""
    ratio = GRAVITY * distance / max(speed * speed, 1e-9)
    return 45.0 if ratio >= 1.0 else math.degrees(0.5 * math.asin(ratio))


def _planner(brief: Mapping[str, Any], seat: int, looks: int, look: Look, rng: np.random.Generator) -> Action:
    """The best of ``looks`` candidates: first the exact aim, then varied foes, angles, powers and spins."""
    foes = _foes(brief, seat)
    best: tuple[float, Action] | None = None
    for index in range(max(1, looks)):
        candidate = _aimed(
            brief,
            seat,
            6.0 if index else 0.0,
            rng,
            foe=foes[int(rng.integers(len(foes)))] if index else None,
            power=float(rng.uniform(0.55, 1.0)) if index else 1.0,
            elevation=float(rng.uniform(0.0, 40.0)) if index % 2 else None,
            kind="spin" if index % 4 == 3 else "launch",
        )
        value = _value(brief, seat, look(candidate))
        if best is None or value > best[0]:
            best = (value, candidate)
    assert best is not None
    d = best[1].d
    return _action(
        best[1].kind,
        d["azimuth"] + rng.normal() * _PLANNER_SIGMA,
        d["elevation"] + rng.normal() * _PLANNER_SIGMA * 0.5,
        d["power"],
        candidates=max(1, looks),
    )


def _value(brief: Mapping[str, Any], seat: int, outcome: Outcome) -> float:
    """The value of an outcome to the seat: health lost, seats out, and bodies near the rim, or on a side that has
    cracked."""
    value = 0.0
    radius = brief["rules"]["arena_radius"]
    fallen = {*brief.get("fallen", ()), *brief.get("cracked", ())}
    room = distance_to_rim(np.array(outcome.positions), fallen) if fallen else None
    for other, lives in enumerate(brief["alive"]):
        if not lives:
            continue
        loss = brief["health"][other] - max(0.0, outcome.health[other])
        x, _, z = outcome.positions[other]
        rim = max(0.0, math.hypot(x, z) / radius - 0.6)
        if room is not None:  # the side that has fallen, or that falls next, is nearer than the radius
            rim = max(rim, 0.4 - float(room[other]) / radius)
        if other == seat:
            value -= loss + 25.0 * rim if outcome.alive[other] else 150.0
        elif outcome.alive[other]:
            value += loss + 20.0 * rim
        else:
            value += 60.0 + 0.5 * brief["health"][other]
    return value
