"""The base of the environments in turns: a session of a mode in turns as a PettingZoo AEC environment.

    reset(seed) -> agent of the turn -> step(action) -> the world runs until it rests -> next agent ... -> over

A step is one turn: the input is applied, and the world runs by the solver of a session until the next turn. This module
must never know the rules, observations or rewards of a mode.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.utils import seeding
from pettingzoo import AECEnv

from tussle.env.episode import Episode, Event
from tussle.env.fields import ObservationTable
from tussle.env.renderer import Renderer
from tussle.lobby.wire.frames import Frame, Topology

__all__ = ["TURN_TICKS", "TurnEnv", "check_render_mode"]

TURN_TICKS = 1000
"""More ticks than a turn has."""

FRAME_TICKS = 2
"""Ticks between two pictures of a window: 30 a second of simulated time."""

Action = npt.NDArray[np.float32] | Mapping[str, Any]


class TurnEnv(AECEnv[str, Any, Any], ABC):
    """Agents are "seat_0", "seat_1", ... in the order of the seats.

    An action is an array of the action space, or a mapping with the kind and the arguments of an input, as a client
    sends it: ``{"kind": "launch", "azimuth": 30.0, ...}``. ``infos[agent]["brief"]`` of the agent that acts is the
    public payload of ``turn_started``: all that a player may know.

    ``reset(seed)`` fixes everything that follows. It chooses one of ``starts`` beginnings; a beginning that was used
    before takes no time to settle. ``options={"session_seed": n}`` chooses the beginning of a session with that seed.
    """

    metadata: ClassVar[dict[str, Any]]
    mode: ClassVar[str]
    table: ObservationTable

    def __init__(
        self, *, seats: int, params: Mapping[str, Any] | None, starts: int, render_mode: str | None
    ) -> None:
        super().__init__()
        if starts < 1:
            raise ValueError(f"an environment has at least one beginning, not {starts}")
        self.render_mode = check_render_mode(render_mode, self.metadata)
        self.params = dict(params or {})
        self.starts = starts
        self.possible_agents = [f"seat_{seat}" for seat in range(seats)]
        self.agents: list[str] = []
        self.observation_spaces = {agent: self.table.space() for agent in self.possible_agents}
        self.action_spaces = {agent: self.make_action_space() for agent in self.possible_agents}
        self.rng, _ = seeding.np_random(None)
        self.episode: Episode | None = None
        self._renderer = Renderer(self.render_mode, self.metadata)

    # What a mode defines

    @abstractmethod
    def make_action_space(self) -> spaces.Box:
        """A new space of actions."""

    @abstractmethod
    def begin(self, session_seed: int, options: Mapping[str, Any]) -> Episode:
        """A new episode."""

    @abstractmethod
    def translate(self, action: npt.NDArray[np.float32]) -> dict[str, Any]:
        """The kind and the arguments of an action array."""

    @abstractmethod
    def values(self, brief: Mapping[str, Any], seat: int, rounds: int) -> dict[str, Any]:
        """The values of an observation of a seat."""

    @abstractmethod
    def reward(self, events: Sequence[Event], seats: int) -> npt.NDArray[np.float64]:
        """The reward of each seat for what happened."""

    # PettingZoo

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin a new episode. options: session_seed, and what the environment names."""
        if seed is not None:
            self.rng, _ = seeding.np_random(seed)
        given = options or {}
        start = int(self.rng.integers(self.starts))
        self.episode = self.begin(int(given.get("session_seed", start)), given)
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self._describe()
        self._select()
        if self.render_mode == "human":
            self.render()

    def step(self, action: Action | None) -> None:
        """Take the turn of the selected agent; an agent that is out steps with None. Raises Refused for an illegal
        mapping; then nothing has changed."""
        episode = self._running()
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        if action is None:
            raise ValueError(f"it is the turn of {agent}: an action is needed")
        given = (
            dict(action) if isinstance(action, Mapping) else self.translate(np.asarray(action, np.float32))
        )
        kind = given.pop("kind")
        events = self._play([(self.possible_agents.index(agent), kind, given)], episode)
        gains = self.reward(events, len(self.possible_agents))
        self._cumulative_rewards[agent] = 0.0
        self._clear_rewards()
        standing = episode.advance.standing
        for seat, each in enumerate(self.possible_agents):
            if each in self.agents:
                self.rewards[each] = float(gains[seat])
                self.terminations[each] = episode.over or standing[seat].out
        self._accumulate_rewards()
        self._describe()
        self._select()
        self._deads_step_first()

    def observe(self, agent: str) -> Any:
        """What an agent may know, as an observation."""
        return self.observe_seat(self.possible_agents.index(agent))

    def observe_seat(self, seat: int) -> Any:
        """The observation of a seat, whether it is in or out."""
        episode = self._running()
        brief = episode.brief
        if episode.over:
            simulation = episode.simulation
            now = simulation.mode.brief(simulation.rules, episode.view())
            assert now is not None
            brief = now
        return self.table.pack(self.values(brief, seat, episode.advance.round))

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The world from above: an array (height, width, 3) for "rgb_array"; with "human" it is shown in a window."""
        episode = self._running()
        acting = None if episode.over else episode.advance.seat
        return self.render_picture(*episode.picture(), episode.brief, acting)

    def render_picture(
        self, topology: Topology, frame: Frame, brief: Mapping[str, Any], acting: int | None
    ) -> npt.NDArray[np.uint8] | None:
        """Render a frame, with a ring around the stone that is played, or the body of the seat that acts. Raises
        ValueError without a render mode."""
        if self.render_mode is None:
            raise ValueError("choose a render_mode when you make the environment")
        ring = None if acting is None else brief.get("stone", acting)
        return self._renderer.render(topology, frame, house=brief.get("house"), ring=ring)

    def close(self) -> None:
        """Close the window, if there is one."""
        self._renderer.close()

    def _play(self, acts: Sequence[tuple[int, str, Mapping[str, Any]]], episode: Episode) -> list[Event]:
        """Run one turn; in a window it is shown while it runs. The bits are the same."""
        if self.render_mode != "human":
            return episode.act(acts, TURN_TICKS)
        events = list(episode.act(acts, FRAME_TICKS))
        self.render()
        while episode.advance.phase == "moving":
            events += episode.act([], FRAME_TICKS)
            self.render()
        return events

    def _running(self) -> Episode:
        if self.episode is None:
            raise ValueError("call reset before anything else")
        return self.episode

    def _describe(self) -> None:
        episode = self._running()
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        seat = episode.advance.seat
        if not episode.over and seat is not None:
            self.infos[self.possible_agents[seat]]["brief"] = episode.public_brief()

    def _select(self) -> None:
        seat = self._running().advance.seat
        self.agent_selection = self.agents[0] if seat is None else self.possible_agents[seat]


def check_render_mode(mode: str | None, metadata: Mapping[str, Any]) -> str | None:
    """Return the mode. Raises ValueError for one that the environment does not have."""
    if mode is not None and mode not in metadata["render_modes"]:
        raise ValueError(f"render_mode is one of {', '.join(metadata['render_modes'])}, not {mode!r}")
    return mode
