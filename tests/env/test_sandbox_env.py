"""The sandbox as a PettingZoo environment: hands that move bodies at once."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from tests.support.zoo import parallel_api_test, parallel_seed_test
from tussle.env import SandboxEnv
from tussle.server.simulation.simulation import Simulation


def stack_policy(seen: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Take the first body, carry it over the second one, let go."""
    own, other = seen["position"]
    if not seen["holds"][0, 0]:
        return np.append(own / 0.15, 1.0 if np.linalg.norm(own) < 0.2 else -1.0)
    above = own - other
    ready = np.hypot(above[0], above[2]) < 0.05 and 0.3 < above[1] < 0.75
    return np.append((other + np.array([0.0, 0.7, 0.0])) / 0.3, -1.0 if ready else 1.0)


def test_pettingzoos_parallel_tests_pass() -> None:
    """The parallel API test and the parallel seed test of PettingZoo find no fault and nothing to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(SandboxEnv(hands=2, max_steps=10), num_cycles=12)
        parallel_seed_test(lambda: SandboxEnv(hands=2, max_steps=10), num_cycles=4)


def test_a_hand_stacks_one_body_on_another() -> None:
    """A hand grabs, carries and releases by its actions alone; the task ends with its bonus."""
    env = SandboxEnv(hands=1, task="stack", observation="dict")
    seen, _ = env.reset(seed=1)
    reward = 0.0
    for _ in range(80):
        if not env.agents:
            break
        seen, rewards, done, _, _ = env.step({"hand_0": stack_policy(seen["hand_0"])})
        reward = rewards["hand_0"]
    assert done == {"hand_0": True}
    assert reward > 8.0
    assert env.held == {}


def test_two_hands_do_not_take_one_body() -> None:
    """Of two hands that close at one body in one step, one holds it; the other one takes the next body or none."""
    env = SandboxEnv(hands=2, task="gather")
    env.reset(seed=1)
    assert env.episode is not None
    env.places[:] = env.episode.view().positions[0]
    close = np.array([0.0, 0.0, 0.0, 1.0])
    env.step({"hand_0": close, "hand_1": close})
    env.step({"hand_0": close, "hand_1": close})
    assert env.held[0] == 0
    assert env.held.get(1) != 0


def test_a_tool_is_all_that_a_hand_may_push_with() -> None:
    """In the task push a hand at the pushed body takes nothing."""
    env = SandboxEnv(hands=1, task="push")
    env.reset(seed=1)
    assert env.episode is not None
    env.places[:] = env.episode.view().positions[1]
    env.step({"hand_0": np.array([0.0, 0.0, 0.0, 1.0])})
    assert env.held == {}


def test_an_episode_is_its_inputs() -> None:
    """The inputs of an episode, given to a simulation at the same ticks, have the same hash at every tick."""
    env = SandboxEnv(hands=2, task="gather")
    env.reset(seed=2)
    for number in range(12):
        actions = np.random.default_rng(number).uniform(-1.0, 1.0, (2, 4))
        env.step({"hand_0": actions[0], "hand_1": actions[1]})
    episode = env.episode
    assert episode is not None
    simulation, advance = Simulation.start(episode.spec)
    hashes = list(advance.hashes)
    last = episode.advance.tick
    ticks = sorted({tick for tick, _ in episode.inputs} | {last})
    while advance.tick < last:
        given = [one for tick, one in episode.inputs if tick == advance.tick]
        advance = simulation.advance(given, min(tick for tick in ticks if tick > advance.tick) - advance.tick)
        hashes += advance.hashes
    assert hashes == episode.hashes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "juggle"}, "a task is one of"),
        ({"hands": 9}, "1 to 8 hands"),
        ({"task": "stack", "bodies": ["marl"]}, "needs 2"),
    ],
)
def test_a_bad_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    """The environment says which argument is wrong when it is made."""
    with pytest.raises(ValueError, match=message):
        SandboxEnv(**arguments)
