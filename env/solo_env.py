"""The environments for one learner, as Gymnasium environments: a seat of a session in turns against bots or policies,
and one hand of a sandbox.

This module must never know the rules of a mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from tussle.env.curling_env import CurlingEnv
from tussle.env.duel_env import DuelEnv
from tussle.env.sandbox_env import SandboxEnv
from tussle.env.turn_env import TurnEnv
from tussle.server.modes.registry import get_mode

__all__ = ["HandEnv", "Opponent", "SeatEnv", "curling_seat", "duel_seat"]

Opponent = Callable[[Mapping[str, Any], int, np.random.Generator], Mapping[str, Any]]
"""(payload of turn_started, own seat, random numbers) -> kind and arguments of an input."""


_TRIES = 100
"""Resets in a row in which the others may end the session before the learner's first turn."""


class SeatEnv(gymnasium.Env[Any, Any]):
    """One seat of a session in turns. The other seats are played by ``opponent``: a skill of the mode's bots, or a
    function. seat: of the learner; None: drawn at each reset. A step is a turn of the learner and the turns of the
    others until it is the learner's again; the reward is the sum over them. ``info["brief"]`` is the public payload of
    the learner's turn.

    options of reset: seat, and those of the environment.
    """

    def __init__(
        self, table: TurnEnv, *, opponent: str | Opponent = "novice", seat: int | None = None
    ) -> None:
        if seat is not None and not 0 <= seat < len(table.possible_agents):
            raise ValueError(f"there is no seat {seat}")
        self.table = table
        self.metadata = table.metadata
        self.render_mode = table.render_mode
        self.observation_space = table.observation_space("seat_0")
        self.action_space = table.action_space("seat_0")
        self.opponent: Opponent = _bot(table.mode, opponent) if isinstance(opponent, str) else opponent
        self._fixed = seat
        self.seat = seat or 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        given = options or {}
        seats = len(self.table.possible_agents)
        drawn = int(self.np_random.integers(seats))
        chosen = given.get("seat", self._fixed)
        self.seat = drawn if chosen is None else int(chosen)
        for _ in range(_TRIES):
            self.table.reset(seed=int(self.np_random.integers(2**31)), options=given)
            self._let_others_act()
            if not self._is_out():
                return self._seen()
        raise RuntimeError(f"the others ended {_TRIES} episodes before the first turn of seat {self.seat}")

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        agent = f"seat_{self.seat}"
        self.table.step(action)
        reward = self.table.rewards[agent]
        reward += self._let_others_act()
        observation, info = self._seen()
        return observation, float(reward), self._is_out(), False, info

    def render(self) -> Any:
        return self.table.render()

    def close(self) -> None:
        self.table.close()

    def _is_out(self) -> bool:
        return self.table.terminations.get(f"seat_{self.seat}", True)

    def _let_others_act(self) -> float:
        """Play until it is the learner's turn or its episode is over. Returns its reward."""
        table, agent, reward = self.table, f"seat_{self.seat}", 0.0
        while not self._is_out() and table.agent_selection != agent:
            other = table.agent_selection
            if table.terminations[other]:
                table.step(None)
                continue
            seat = table.possible_agents.index(other)
            table.step(self.opponent(table.infos[other]["brief"], seat, self.np_random))
            reward += table.rewards[agent]
        return reward

    def _seen(self) -> tuple[Any, dict[str, Any]]:
        info = {} if self._is_out() else dict(self.table.infos[f"seat_{self.seat}"])
        return self.table.observe_seat(self.seat), info


def duel_seat(
    *,
    opponent: str | Opponent = "novice",
    seat: int | None = None,
    render_mode: str | None = None,
    **given: Any,
) -> SeatEnv:
    """Make "Tussle/Duel-v0". Other arguments are those of DuelEnv."""
    return SeatEnv(DuelEnv(render_mode=render_mode, **given), opponent=opponent, seat=seat)


def curling_seat(
    *,
    opponent: str | Opponent = "novice",
    seat: int | None = None,
    render_mode: str | None = None,
    **given: Any,
) -> SeatEnv:
    """Make "Tussle/Curling-v0". Other arguments are those of CurlingEnv."""
    return SeatEnv(CurlingEnv(render_mode=render_mode, **given), opponent=opponent, seat=seat)


def _bot(mode: str, skill: str) -> Opponent:
    """The mode's bot of that skill. It decides from the brief alone; a planner plays without its look-ahead."""
    rules = get_mode(mode)

    def decide(brief: Mapping[str, Any], seat: int, rng: np.random.Generator) -> Mapping[str, Any]:
        action = rules.bot(brief, seat, skill, None, rng)
        return {"kind": action.kind, **action.d}

    return decide


class HandEnv(gymnasium.Env[Any, Any]):
    """One hand of a sandbox with a task: "Tussle/Reach-v0", "Tussle/Stack-v0" and "Tussle/Push-v0". Arguments are those
    of SandboxEnv; Gymnasium's own wrapper truncates the episodes."""

    metadata = SandboxEnv.metadata

    def __init__(self, *, task: str, render_mode: str | None = None, **given: Any) -> None:
        self.sandbox = SandboxEnv(hands=1, task=task, render_mode=render_mode, max_steps=10**9, **given)
        self.render_mode = render_mode
        self.observation_space = self.sandbox.observation_space("hand_0")
        self.action_space = self.sandbox.action_space("hand_0")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        observations, infos = self.sandbox.reset(int(self.np_random.integers(2**31)), options)
        return observations["hand_0"], infos["hand_0"]

    def step(self, action: npt.ArrayLike) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        seen, rewards, done, cut, infos = self.sandbox.step({"hand_0": action})
        return seen["hand_0"], rewards["hand_0"], done["hand_0"], cut["hand_0"], infos["hand_0"]

    def render(self) -> Any:
        return self.sandbox.render()

    def close(self) -> None:
        self.sandbox.close()
