"""Many worlds at once, as a vector environment of Gymnasium: ``vector(n, id)``.

    worlds 0 .. n-1 -> groups of equal size -> one worker process for each group -> arrays of all worlds

World i is seeded with ``seed + i`` and has its own random numbers, so its trajectory depends neither on the number of
worlds or processes nor on which world is ready first. A world whose episode is over begins the next one
in the following step (Gymnasium's ``AutoresetMode.NEXT_STEP``). With ``processes=0`` all worlds are stepped in this
process, one after the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate

__all__ = ["VectorWorlds", "vector"]

CLOSE_S = 10.0

Stepped = tuple[Any, npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]


def vector(
    n: int, id: str = "Tussle/Duel-v0", *, processes: int | None = None, **arguments: Any
) -> VectorEnv[Any, Any, Any]:
    """Make ``n`` worlds of a registered environment. processes: worker processes; None: one for each core, but not more
    than worlds; 0: none. Other arguments are those of the environment, and must be picklable."""
    if n < 1:
        raise ValueError(f"at least one world, not {n}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(n, cores if processes is None else processes)
    if count == 0:
        return SyncVectorEnv(_makers(id, n, arguments), autoreset_mode=AutoresetMode.NEXT_STEP)
    return VectorWorlds(n, id, count, arguments)


class VectorWorlds(VectorEnv[Any, Any, Any]):
    """Worlds in worker processes. Each process steps its group of worlds in turn; the groups run at the same time."""

    def __init__(self, n: int, id: str, processes: int, arguments: dict[str, Any]) -> None:
        self.num_envs = n
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        probe = gymnasium.make(id, **arguments)
        self.single_observation_space = probe.observation_space
        self.single_action_space = probe.action_space
        probe.close()
        self.observation_space = batch_space(self.single_observation_space, n)
        self.action_space = batch_space(self.single_action_space, n)
        bounds = np.linspace(0, n, processes + 1).astype(int).tolist()
        self._groups = list(pairwise(bounds))
        context = get_context("spawn")
        self._pipes: list[Connection] = []
        self._workers = []
        for first, last in self._groups:
            here, there = context.Pipe()
            worker = context.Process(target=_work, args=(there, id, last - first, arguments), daemon=True)
            worker.start()
            there.close()
            self._pipes.append(here)
            self._workers.append(worker)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every world. seed: of the first world, those of the others follow; or one for each."""
        if seed is None:
            seeds: list[int | None] = [None] * self.num_envs
        elif isinstance(seed, int | np.integer):
            seeds = [int(seed) + number for number in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"{self.num_envs} worlds need as many seeds, not {len(seeds)}")
        replies = self._ask([("reset", (seeds[first:last], options)) for first, last in self._groups])
        return self._joined([reply[0] for reply in replies]), self._infos([reply[1] for reply in replies])

    def step(self, actions: Any) -> Stepped:
        """Step every world once."""
        split = list(iterate(self.action_space, actions))
        replies = self._ask([("step", split[first:last]) for first, last in self._groups])
        rewards, ended, cut = (np.concatenate([reply[place] for reply in replies]) for place in (1, 2, 3))
        return (
            self._joined([reply[0] for reply in replies]),
            rewards,
            ended,
            cut,
            self._infos([reply[4] for reply in replies]),
        )

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the worker processes."""
        for pipe in self._pipes:
            try:
                pipe.send(("close", None))
            except OSError:
                continue  # its process is gone
            finally:
                pipe.close()
        for worker in self._workers:
            worker.join(CLOSE_S)
            if worker.is_alive():
                worker.kill()

    def _ask(self, requests: Sequence[tuple[str, Any]]) -> list[Any]:
        """Send each worker its request, then wait for all replies. Raises what a worker raised."""
        for pipe, request in zip(self._pipes, requests, strict=True):
            pipe.send(request)
        replies = [pipe.recv() for pipe in self._pipes]
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def _joined(self, groups: Sequence[Sequence[Any]]) -> Any:
        """The observations of all worlds, in their order."""
        out: Any = create_empty_array(self.single_observation_space, self.num_envs)
        return concatenate(self.single_observation_space, [one for group in groups for one in group], out)

    def _infos(self, groups: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for number, info in enumerate(one for group in groups for one in group):
            infos = self._add_info(infos, info, number)
        return infos


def _makers(id: str, n: int, arguments: dict[str, Any]) -> list[Callable[[], gymnasium.Env[Any, Any]]]:
    return [lambda: gymnasium.make(id, **arguments)] * n


def _work(pipe: Connection, id: str, count: int, arguments: dict[str, Any]) -> None:
    """A worker process: steps its worlds until it is asked to close, or its parent is gone."""
    import tussle.env  # noqa: F401 - it registers the environments

    worlds = [make() for make in _makers(id, count, arguments)]
    over = [False] * count
    while True:
        try:
            request, given = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        if request == "close":
            return
        try:
            if request == "reset":
                seeds, options = given
                pairs = [
                    world.reset(seed=seed, options=options) for world, seed in zip(worlds, seeds, strict=True)
                ]
                over = [False] * count
                pipe.send(([seen for seen, _ in pairs], [info for _, info in pairs]))
            else:
                pipe.send(_step(worlds, over, given))
        except Exception as error:  # noqa: BLE001 - the parent raises it
            pipe.send(error)


def _step(
    worlds: Sequence[gymnasium.Env[Any, Any]], over: list[bool], actions: Sequence[Any]
) -> tuple[
    list[Any], npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], list[dict[str, Any]]
]:
    """Step each world, or begin its next episode if the last one is over."""
    count = len(worlds)
    seen, infos = [], []
    rewards, ended, cut = np.zeros(count), np.zeros(count, bool), np.zeros(count, bool)
    for number, (world, action) in enumerate(zip(worlds, actions, strict=True)):
        if over[number]:
            observation, info = world.reset()
        else:
            observation, reward, ended[number], cut[number], info = world.step(action)
            rewards[number] = float(reward)
        over[number] = bool(ended[number] or cut[number])
        seen.append(observation)
        infos.append(info)
    return seen, rewards, ended, cut, infos
