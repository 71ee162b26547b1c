"""Many worlds at once: equal trajectories for any number of worlds and processes, and Gymnasium's autoreset."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from tussle.env import VectorWorlds, vector

Course = list[tuple[bytes, float, bool]]


def courses(n: int, processes: int, steps: int) -> list[Course]:
    """What each of n worlds sees in some steps; the actions of a world depend on its number alone."""
    envs = vector(n, "Tussle/Duel-v0", processes=processes, starts=1, opponent="random")
    seen, _ = envs.reset(seed=5)
    found: list[Course] = [[(seen[world].tobytes(), 0.0, False)] for world in range(n)]
    for step in range(steps):
        actions = [np.random.default_rng([world, step]).uniform(-1.0, 1.0, 5) for world in range(n)]
        seen, rewards, ended, _, _ = envs.step(np.array(actions, np.float32))
        for world in range(n):
            found[world].append((seen[world].tobytes(), float(rewards[world]), bool(ended[world])))
    envs.close()
    return found


def test_a_world_does_not_depend_on_the_others() -> None:
    """Two worlds have the same trajectory in this process and among three in another one; a world whose episode is over
    begins the next one in the following step."""
    three = courses(3, 1, 4)
    assert courses(2, 0, 4) == three[:2]
    for course in three:
        for (_, _, ended), (_, reward, ends) in pairwise(course):
            assert not ended or (reward, ends) == (0.0, False)


def test_a_fault_of_a_world_is_raised_in_the_parent() -> None:
    """A world that refuses an action raises in the process that asked, and the workers end with it."""
    envs = vector(2, "Tussle/Reach-v0", processes=1)
    assert isinstance(envs, VectorWorlds)
    with pytest.raises(ResetNeeded):
        envs.step(np.zeros((2, 4), np.float32))
    envs.close()
    assert not any(worker.is_alive() for worker in envs._workers)


@pytest.mark.parametrize(("n", "arguments"), [(0, {}), (-1, {"processes": 0})])
def test_a_bad_number_of_worlds_is_refused(n: int, arguments: dict[str, Any]) -> None:
    """There is at least one world."""
    with pytest.raises(ValueError, match="at least one world"):
        vector(n, **arguments)
