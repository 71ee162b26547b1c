"""Worlds that threads of one process step: kernels that release the GIL, and no pipe. ``python -m bench.environment``
runs it in a process of its own, since the kernels are compiled otherwise than those of sessions.

    python -m bench.environment.threads 2 FOLDER        one loop, then two threads, by turns -> JSON

The machine code is kept in the folder, which no session uses; the first run compiles it (a minute).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from statistics import median
from typing import Any, NamedTuple

import tussle.env  # noqa: F401 - before numpy: the CPU baseline

# isort: split
import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space, iterate

__all__ = ["Rates", "main", "measure_threads"]

WORLDS, STEPS, STARTS, ROUNDS = 8, 30, 32, 3


class Rates(NamedTuple):
    """Steps a second, wall time, of one loop and of the threads; and the sum of all rewards, which is the same."""

    loop: float
    threads: float
    rewards: float


def measure_threads(threads: int) -> Rates:
    """Run ``main`` in a process."""
    from tussle.server.physics.jit import CACHE_FOLDER

    done = subprocess.run(
        [sys.executable, "-m", "bench.environment.threads", str(threads), str(CACHE_FOLDER.parent / "releasing")],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return Rates(**json.loads(done.stdout.splitlines()[-1]))


def main(threads: int, folder: str) -> None:
    os.environ["NUMBA_CACHE_DIR"] = folder

    from tussle.server.physics import jit

    jit.OPTIONS["nogil"] = True  # before the kernels are declared

    from tussle.env.batch import _step
    from tussle.server.physics.warmup import warm_up

    warm_up()
    worlds = [gymnasium.make("Tussle/Duel-v0", starts=STARTS) for _ in range(WORLDS)]

    def play(pool: ThreadPoolExecutor | None) -> tuple[float, float]:
        for number, world in enumerate(worlds):
            world.reset(seed=1 + number)
        over = [[False] for _ in worlds]
        actions: Any = batch_space(worlds[0].action_space, WORLDS)
        actions.seed(1)
        rewards, began = 0.0, 0.0
        for turn in range(STEPS + 1):
            split = [[action] for action in iterate(actions, actions.sample())]
            alone = [[world] for world in worlds]
            stepped = list((map if pool is None else pool.map)(_step, alone, over, split))
            rewards += float(np.sum([one[1][0] for one in stepped]))
            if turn == 0:
                began = time.monotonic()
        return WORLDS * STEPS / (time.monotonic() - began), rewards

    found: dict[str, list[tuple[float, float]]] = {"loop": [], "threads": []}
    with ThreadPoolExecutor(threads) as pool:
        play(None)  # settles the beginnings
        for _ in repeat(None, ROUNDS):
            found["loop"].append(play(None))
            found["threads"].append(play(pool))
    [rewards] = {round(sum_, 9) for runs in found.values() for _, sum_ in runs}
    rates = {name: median(rate for rate, _ in runs) for name, runs in found.items()}
    sys.stdout.write(json.dumps({**rates, "rewards": rewards}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
