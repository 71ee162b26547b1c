"""The bot "taught" of the duel: a policy that examples/train_duel.py trained.

    brief -> foe -> numbers that describe the shot, (FEATURES,) -> weights -> outputs, (OUTPUTS,) -> action

The policy alone decides from the brief. With ``look``, the bot compares its shot with a few that differ from it by
noise, as the planner does, and takes the best. The weights are numbers in JSON: nothing is executed when they are read.
This module must never use what its brief does not contain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tussle.server.modes.mode import Action, Look

__all__ = [
    "FEATURES",
    "MODEL",
    "OUTPUTS",
    "ShotPolicy",
    "decide_taught",
    "describe_shot",
    "take_shot",
    "taught_policy",
]

MODEL = Path(__file__).resolve().parents[3] / "catalogue" / "policies" / "duel-taught.json"
"""The weights that the skill "taught" plays with."""

FEATURES, OUTPUTS = 21, 5
GRAVITY = 9.81

_KINDS = ("launch", "spin", "hop")
_OTHERS = -0.7  # added to the outputs of all kinds but launch
_LOOKS, _SIGMA = 8, 0.35  # shots that are compared; their noise, in units of the outputs

Numbers = npt.NDArray[np.float64]


class _Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of a policy. weights: a row for each output, the last number of a row is its bias."""

    schema: str
    weights: list[list[float]]


class ShotPolicy:
    """A linear policy. weights: shape (OUTPUTS, FEATURES + 1), float64. Zeros are a lob at half power."""

    def __init__(self, weights: Numbers) -> None:
        if weights.shape != (OUTPUTS, FEATURES + 1) or not np.isfinite(weights).all():
            raise ValueError(f"no policy of shots: {weights.shape}")
        self.weights = weights

    @classmethod
    def load(cls, path: Path) -> ShotPolicy:
        """The policy of a file. Raises ValueError for another file, OSError."""
        read = msgspec.json.decode(path.read_bytes(), type=_Weights)
        return cls(np.array(read.weights, np.float64))

    def save(self, path: Path) -> None:
        """Write the weights, with four digits behind the point."""
        rows = [[round(float(x), 4) for x in row] for row in self.weights]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(_Weights("tussle-shots/1", rows)) + b"\n")

    def outputs(self, features: Numbers) -> Numbers:
        """Azimuth, elevation, power, spin, hop: shape (OUTPUTS,), as ``take_shot`` reads them."""
        return np.asarray(self.weights[:, :-1] @ features + self.weights[:, -1])

    def act(self, brief: Mapping[str, Any], seat: int, foe: int) -> Action:
        """The shot at a foe."""
        features, azimuth = describe_shot(brief, seat, foe)
        return take_shot(self.outputs(features), azimuth)


def decide_taught(
    policy: ShotPolicy,
    brief: Mapping[str, Any],
    seat: int,
    foe: int,
    look: Look | None,
    rng: np.random.Generator,
) -> Action:
    """The action of the bot. With ``look``: the best of its shot and a few others, by health won less health lost."""
    features, azimuth = describe_shot(brief, seat, foe)
    outputs = policy.outputs(features)
    own = take_shot(outputs, azimuth)
    if look is None:
        return own
    shots = [own]
    shots += [take_shot(outputs + _SIGMA * rng.normal(size=OUTPUTS), azimuth) for _ in range(_LOOKS - 1)]
    values = []
    for shot in shots:
        after = look(shot)
        left = [
            max(0.0, health) if lives else 0.0
            for health, lives in zip(after.health, after.alive, strict=True)
        ]
        lost = (np.array(brief["health"]) - left) / brief["health_full"]
        values.append(float(lost.sum() - 2.0 * lost[seat]))
    best = shots[int(np.argmax(values))]
    return Action(kind=best.kind, d=best.d, candidates=len(shots))


def take_shot(outputs: Numbers, azimuth: float) -> Action:
    """The action of outputs, shape (OUTPUTS,), given the azimuth of the foe [degrees]."""
    kind = _KINDS[int(np.argmax([0.0, *(outputs[3:] + _OTHERS)]))]
    given = {
        "azimuth": (azimuth + 15.0 * math.tanh(outputs[0]) + 180.0) % 360.0 - 180.0,
        "elevation": 30.0 + 30.0 * math.tanh(outputs[1]),
        "power": 0.5 + 0.5 * math.tanh(outputs[2]),
    }
    takes = ("azimuth", "power") if kind == "hop" else ("azimuth", "elevation", "power")
    return Action(kind=kind, d={name: float(given[name]) for name in takes})


def describe_shot(brief: Mapping[str, Any], seat: int, foe: int) -> tuple[Numbers, float]:
    """What the shot depends on, about 1 each, shape (FEATURES,), and the azimuth of the foe [degrees]. Directions are
    along the line to the foe, up, and to its side; the soft face is the first axis of a body."""
    (x, y, z), (fx, fy, fz) = brief["positions"][seat], brief["positions"][foe]
    distance = math.hypot(fx - x, fz - z)
    ux, uz = ((fx - x) / distance, (fz - z) / distance) if distance > 0.0 else (1.0, 0.0)
    reach = GRAVITY * distance / max(brief["speeds"][seat] ** 2, 1e-9)
    elevation = 45.0 if reach >= 1.0 else math.degrees(0.5 * math.asin(reach))  # of a flight at full power
    faces = []
    for who in (seat, foe):
        ax, ay, az = brief["orientations"][who][0]
        faces += [ax * ux + az * uz, ay, az * ux - ax * uz]
    full, health, tough = brief["health_full"], brief["health"], brief["toughness"]
    features = [
        distance - 1.5,
        fy - y,
        elevation / 15.0 - 1.0,
        brief["distance_to_rim"][seat] - 0.5,
        brief["distance_to_rim"][foe] - 0.5,
        brief["speeds"][seat] / 2.0 - 2.0,
        brief["speeds"][foe] / 2.0 - 2.0,
        math.log(brief["masses"][foe] / brief["masses"][seat]),
        2.0 * health[seat] / full[seat] - 1.0,
        2.0 * health[foe] / full[foe] - 1.0,
        math.log(tough[seat]),
        math.log(tough[foe]),
        float(brief["braced"][foe]),
        float(brief["rules"]["opening"]),
        sum(brief["alive"]) - 2.0,
        *faces,
    ]
    return np.array(features), math.degrees(math.atan2(uz, ux))


@cache
def taught_policy() -> ShotPolicy:
    """The policy of the catalogue."""
    return ShotPolicy.load(MODEL)
