"""The environments for one learner: Gymnasium's own checks, opponents, and starts that no opponent ends."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from tussle.env import DuelEnv, SeatEnv
from tussle.env.registration import ENVIRONMENTS

SMALL: dict[str, dict[str, Any]] = {
    "Tussle/Duel-v0": {"starts": 1},
    "Tussle/Curling-v0": {"params": {"ends": 1, "stones": 2}},
}


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_gymnasiums_check_env_passes(name: str) -> None:
    """Gymnasium makes the environment by its name, and its checks find no fault and nothing to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(name, **SMALL.get(name, {}))
        check_env(env.unwrapped)
        env.close()


def test_an_episode_against_a_bot_ends_with_a_result() -> None:
    """A learner that acts as the bot "sharp" does plays a duel to its end; the last reward has the result."""
    sharp = gymnasium.make("Tussle/Duel-v0", opponent="random", starts=2)
    sharp.reset(seed=4)
    env = sharp.unwrapped
    assert isinstance(env, SeatEnv)
    done, steps = False, 0
    brief = env.table.infos[f"seat_{env.seat}"]["brief"]
    while not done and steps < 40:
        here, there = (np.array(brief["positions"][seat]) for seat in (env.seat, 1 - env.seat))
        x, _, z = (there - here) / np.linalg.norm(there - here)
        _, reward, done, cut, info = sharp.step(np.array([x, z, -0.8, 1.0, -1.0], np.float32))
        brief = info.get("brief", brief)
        steps += 1
    assert done and not cut
    assert abs(float(reward)) > 0.5


def test_a_start_is_never_after_the_end() -> None:
    """Where the opponent leaves the arena in its first turn and so ends the session, the learner gets another start."""
    leaps = iter([True, False, False, False])

    def opponent(brief: Mapping[str, Any], seat: int, rng: np.random.Generator) -> Mapping[str, Any]:
        if next(leaps):
            x, _, z = brief["positions"][seat]
            return {
                "kind": "launch",
                "azimuth": float(np.degrees(np.arctan2(z, x))),
                "elevation": 20.0,
                "power": 1.0,
            }
        return {"kind": "brace"}

    env = SeatEnv(DuelEnv(starts=1), opponent=opponent, seat=1)
    _, info = env.reset(seed=1)
    assert info["brief"]["seat"] == 1
    assert info["brief"]["alive"] == [True, True]


def test_a_seed_fixes_everything() -> None:
    """Two learners with one seed see the same observations and rewards, opponents included."""
    seen = []
    for _ in range(2):
        env = gymnasium.make("Tussle/Duel-v0", opponent="novice", starts=2)
        first, _ = env.reset(seed=11)
        env.action_space.seed(3)
        observation, reward, *_ = env.step(env.action_space.sample())
        seen.append((first.tobytes(), observation.tobytes(), reward))
    assert seen[0] == seen[1]
