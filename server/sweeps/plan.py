"""What a sweep simulates: a scene, the parameters that vary, and the runs that follow from them.

    scene + {"bodies.*.material.friction": [0.2, 0.4], "gravity.1": [-9.81, -3.7]} -> runs 0, 1, 2, 3

A path leads through the scene document: names of fields, ids of bodies ("*": every body that has the field), and
numbers of list elements. Run numbers count the combinations, the last path fastest. This module must never simulate.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Scene, decode_scene

__all__ = ["RUNS_MAX", "STEPS_MAX", "SweepPlan", "make_plan", "parse_values"]

RUNS_MAX, STEPS_MAX = 1_000_000, 1_000_000

_VALUES_MAX = 10_000


class SweepPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sweep, as its folder keeps it. scene: the document with all defaults. vary: path -> values, in order. meshes:
    the folder that the scene's mesh paths are relative to. check: the contact of every state is checked, not only of
    the last."""

    scene: dict[str, Any]
    vary: dict[str, list[Any]]
    steps: int
    check: bool
    meshes: str
    schema: str = "tussle-sweep/1"

    @property
    def count(self) -> int:
        """The number of runs."""
        return math.prod(len(values) for values in self.vary.values())

    def values(self, run: int) -> dict[str, Any]:
        """The values of a run, by path."""
        chosen = {}
        for path, values in reversed(self.vary.items()):
            run, place = divmod(run, len(values))
            chosen[path] = values[place]
        return {path: chosen[path] for path in self.vary}

    def scene_of(self, run: int) -> Scene:
        """The scene of a run. Raises Refused (bad_scene, bad_sweep)."""
        return _varied(self.scene, self.values(run))

    def key(self) -> str:
        """A hash of everything that the results depend on: 16 hexadecimal digits."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]


def make_plan(
    scene: Scene, vary: Mapping[str, Sequence[Any]], *, steps: int, check: bool, meshes: Path
) -> SweepPlan:
    """Return the plan. Every value is tried once in the document, so that a wrong one is refused before anything is
    simulated. Raises Refused (bad_sweep, bad_scene)."""
    if not 1 <= steps <= STEPS_MAX:
        raise _refusal(f"a run has 1 to {STEPS_MAX} ticks, not {steps}")
    whole = _whole(scene)
    plan = SweepPlan(
        scene=whole,
        vary={path: list(values) for path, values in vary.items()},
        steps=steps,
        check=check,
        meshes=str(meshes.resolve()),
    )
    for path, values in plan.vary.items():
        if not 1 <= len(values) <= _VALUES_MAX:
            raise _refusal(f"{path} has {len(values)} values, not 1 to {_VALUES_MAX}")
    if plan.count > RUNS_MAX:
        raise _refusal(f"{plan.count} runs are more than {RUNS_MAX}")
    for path, values in plan.vary.items():
        first = plan.values(0)
        for value in values:
            _varied(whole, {**first, path: value})
    return plan


def parse_values(text: str) -> tuple[str, list[Any]]:
    """Return path and values of ``PATH=V1,V2,...``, ``PATH=FROM:TO:COUNT`` (evenly) or ``PATH=FROM:TO:COUNT:log``. A
    value is JSON; "[0,2,0]" is a vector. Raises Refused (bad_sweep)."""
    path, found, given = text.partition("=")
    if not (found and path and given):
        raise _refusal(f"{text!r} is not PATH=VALUES")
    parts = given.split(":")
    if len(parts) in (3, 4):
        return path, _spread(text, parts)
    try:
        values: list[Any] = msgspec.json.decode(f"[{given}]")
    except msgspec.DecodeError as error:
        raise _refusal(f"{text!r}: {error}") from None
    return path, values


def _spread(text: str, parts: Sequence[str]) -> list[Any]:
    try:
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
    except ValueError:
        raise _refusal(f"{text!r} is not FROM:TO:COUNT") from None
    if not (math.isfinite(low) and math.isfinite(high) and 2 <= count <= _VALUES_MAX):
        raise _refusal(f"{text!r}: two finite numbers, and a count from 2 to {_VALUES_MAX}")
    shares = [place / (count - 1) for place in range(count)]
    if len(parts) == 3:
        return [low + share * (high - low) for share in shares]
    if parts[3] != "log" or low <= 0.0 or high <= 0.0:
        raise _refusal(f"{text!r}: ':log' takes two positive numbers")
    return [low * (high / low) ** share for share in shares]


def _varied(document: dict[str, Any], values: Mapping[str, Any]) -> Scene:
    copied: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    for path, value in values.items():
        if not _set(copied, path.split("."), value):
            raise _refusal(f"the scene has no {path!r}")
    return decode_scene(msgspec.json.encode(copied))


def _set(node: Any, parts: Sequence[str], value: Any) -> bool:
    """Set the value at a path. Returns whether there is such a place."""
    name, rest = parts[0], parts[1:]
    if isinstance(node, list) and name == "*":
        done = [_set(child, rest, value) for child in node if rest and isinstance(child, dict)]
        return any(done)
    place: str | int | None = None
    if isinstance(node, list):
        ids = [child.get("id") if isinstance(child, dict) else None for child in node]
        if name in ids:
            place = ids.index(name)
        elif name.isdecimal() and int(name) < len(node):
            place = int(name)
    elif isinstance(node, dict) and name in node:
        place = name
    if place is None:
        return False
    if rest:
        return _set(node[place], rest, value)
    node[place] = value
    return True


def _whole(value: Any) -> Any:
    """A document with all of its fields, also those that have their defaults."""
    if isinstance(value, msgspec.Struct):
        return {name: _whole(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [_whole(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _whole(one) for name, one in value.items()}
    return value


def _refusal(message: str) -> Refused:
    return Refused(message, code="bad_sweep", field="vary")
