"""A live session as a PettingZoo environment: ``remote(url)``, so that a policy plays people.

``remote`` makes it; for a sandbox it makes the environment of env/remote_hands.py.

    reset -> a seat in a lobby, until the session runs -> own turn -> step -> turns of the others -> own turn ... -> end

Agents are the players of this process, "player_0", "player_1", ...; the other seats are played by people and bots.
Spaces, observations, actions and rewards are those of the mode's own environment. The world is the server's: there is
no seed, and time passes between two steps. This module must never know the rules of a mode, and never simulate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from pettingzoo import AECEnv

from tussle.env.curling_env import CurlingEnv
from tussle.env.duel_env import DuelEnv
from tussle.env.episode import Event
from tussle.env.fields import ObservationForm
from tussle.env.remote_hands import RemoteHandsEnv
from tussle.env.remote_seats import leave_seats, log_in_guests, look_at
from tussle.env.sandbox_env import SandboxEnv
from tussle.env.turn_env import Action, TurnEnv
from tussle.lobby.errors import Conflict
from tussle.lobby.lifecycle import ENDED
from tussle.player.blocking import BlockingClient, BlockingSession
from tussle.player.transcript import Disconnected
from tussle.server.modes.sandbox.state import SOFT_BODIES

__all__ = ["RemoteEnv", "remote"]

_CODECS: dict[str, type[DuelEnv] | type[CurlingEnv]] = {"duel": DuelEnv, "curling": CurlingEnv}


@overload
def remote(
    url: str = ...,
    *,
    mode: Literal["sandbox"],
    seats: int = ...,
    agents: int = ...,
    opponent: str | None = ...,
    params: Mapping[str, Any] | None = ...,
    observation: ObservationForm = ...,
    names: tuple[str, ...] = ...,
    kind: Literal["person", "bot"] = ...,
    timeout_s: float = ...,
    render_mode: str | None = ...,
    task: str = ...,
    ticks: int = ...,
    max_steps: int = ...,
) -> RemoteHandsEnv:
    """Hands in a live sandbox."""


@overload
def remote(
    url: str = ...,
    *,
    mode: str = ...,
    seats: int = ...,
    agents: int = ...,
    opponent: str | None = ...,
    params: Mapping[str, Any] | None = ...,
    observation: ObservationForm = ...,
    names: tuple[str, ...] = ...,
    kind: Literal["person", "bot"] = ...,
    timeout_s: float = ...,
    render_mode: str | None = ...,
) -> RemoteEnv:
    """Seats in a mode in turns."""


def remote(
    url: str = "http://127.0.0.1:8420",
    *,
    mode: str = "duel",
    seats: int = 2,
    agents: int = 1,
    opponent: str | None = None,
    params: Mapping[str, Any] | None = None,
    observation: ObservationForm = "array",
    names: tuple[str, ...] = (),
    kind: Literal["person", "bot"] = "bot",
    timeout_s: float = 300.0,
    render_mode: str | None = None,
    task: str = "gather",
    ticks: int = 3,
    max_steps: int = 200,
) -> RemoteEnv | RemoteHandsEnv:
    """Return a live session of a server as a PettingZoo environment of ``agents`` of its ``seats``: AEC for a duel and
    for curling, Parallel for a sandbox.

    opponent: None: with fewer agents than seats, ``reset`` takes seats in public lobbies, where people and bots meet (a
    sandbox: it opens a public lobby and waits); a skill: it opens a lobby, and bots of that skill fill the other seats.
    With as many agents as seats it opens a private lobby. params: of the mode, where a lobby is opened. names: of the
    players, who are guests. kind: what they are; bots have less time for a turn (``bot_turn_s``). timeout_s: how long a
    step or a reset waits for the others [s]; then TimeoutError. render_mode: "rgb_array" or "human", which shows the
    newest frame at each own turn or step. task, ticks, max_steps: of a sandbox, as for SandboxEnv; its bodies, side
    and height are params.

    Raises Disconnected if no server answers, and ValueError for arguments that do not fit.
    """
    if mode not in _CODECS and mode != "sandbox":
        raise ValueError(f"remote has the modes {', '.join(_CODECS)}, sandbox, not {mode!r}")
    if not 1 <= agents <= seats:
        raise ValueError(f"{seats} seats have 1 to {seats} agents, not {agents}")
    if mode == "sandbox":
        rest = dict(params or {})
        own = {name: rest.pop(name) for name in ("bodies", "side", "height") if name in rest}
        hands = SandboxEnv(
            hands=agents, task=task, ticks=ticks, max_steps=max_steps, observation=observation,
            render_mode=render_mode, **own,
        )  # fmt: skip
        elastic = sorted({*hands.bodies} & {*SOFT_BODIES})
        if elastic:
            raise ValueError(f"the frames do not say where the axes of {', '.join(elastic)} are")
        opened = {"bodies": list(hands.bodies), "side": hands.side, "height": hands.height, **rest}
        guests = log_in_guests(url, agents, names, kind, timeout_s)
        return RemoteHandsEnv(
            hands, guests, seats=seats, opponent=opponent, params=opened, timeout_s=timeout_s
        )
    table = _CODECS[mode](seats=seats, params=params, observation=observation, render_mode=render_mode)
    if params and opponent is None and agents < seats:
        raise ValueError("params are those of a lobby that is opened here")
    clients = log_in_guests(url, agents, names, kind, timeout_s)
    return RemoteEnv(table, clients, opponent=opponent, timeout_s=timeout_s)


class RemoteEnv(AECEnv[str, Any, Any]):
    """The players of ``clients`` in one live session at a time; ``remote`` makes it. Close it: that gives up the seats.

    An action is an array of the action space, or a mapping with the kind and the arguments of an input. ``seat(agent)``
    is its seat, ``session`` the token of the present session. ``infos[agent]["brief"]`` of the agent that acts is the
    public payload of ``turn_started``. An agent that lets its turn pass (``turn_s``, for bots ``bot_turn_s``) is not
    asked again for it: its action is dropped, and ``infos[agent]["late"]`` is True. If the session is lost, all agents
    are truncated, and the next ``reset`` begins another one.
    """

    def __init__(
        self,
        table: TurnEnv,
        clients: list[BlockingClient],
        *,
        opponent: str | None,
        timeout_s: float,
    ) -> None:
        super().__init__()
        self.table = table
        self.metadata = {
            **table.metadata,
            "name": f"tussle_remote_{table.mode}_v0",
            "is_parallelizable": False,
        }
        self.render_mode = table.render_mode
        self.possible_agents = [f"player_{number}" for number in range(len(clients))]
        self.agents: list[str] = []
        self.observation_spaces = {agent: table.table.space() for agent in self.possible_agents}
        self.action_spaces = {agent: table.make_action_space() for agent in self.possible_agents}
        self.events: list[Event] = []
        self._clients = clients
        self._opponent = opponent
        self._timeout_s = timeout_s
        self._sessions: list[BlockingSession] = []
        self._seats: list[int] = []
        self._brief: dict[str, Any] = {}
        self._out: set[int] = set()
        self._over = False

    @property
    def session(self) -> str:
        """The token of the present session. Raises ValueError before the first reset."""
        return self._running()[0].token

    def seat(self, agent: str) -> int:
        """The seat of an agent in the present session."""
        self._running()
        return self._seats[self.possible_agents.index(agent)]

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Leave the session, if there is one, take seats in another one, and wait for the first own turn. The seed has
        no effect: the server chooses. options: session, the token of a lobby to join; body, of the catalogue.

        Raises TimeoutError if nobody comes, and the server's errors; then no seat is kept.
        """
        self._leave()
        given = options or {}
        try:
            self._enter(given.get("session"), given.get("body"))
            self.agents = list(self.possible_agents)
            self.rewards = dict.fromkeys(self.agents, 0.0)
            self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
            self.terminations = dict.fromkeys(self.agents, False)
            self.truncations = dict.fromkeys(self.agents, False)
            self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
            self._brief, self._out, self._over, self.events = {}, set(), False, []
            self._wait_for_turn()
        except BaseException:
            self._leave()
            raise
        if not self._brief:
            raise Disconnected("the session ended before its first turn")

    def step(self, action: Action | None) -> None:
        """Take the turn of the selected agent, and wait until an agent's next turn, or the end. Raises Refused for an
        illegal mapping; then the turn is still open. Raises TimeoutError."""
        agent = self.agent_selection
        session = self._running()[self.possible_agents.index(agent)]
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        if action is None:
            raise ValueError(f"it is the turn of {agent}: an action is needed")
        array = not isinstance(action, Mapping)
        given = self.table.translate(np.asarray(action, np.float32)) if array else dict(action)
        late = False
        turn = self._brief.get("turn")
        try:
            session.act(given.pop("kind"), **given)
        except Conflict:  # not the turn any more, or the session is over
            late = True
        except Disconnected:
            pass  # the events say why
        self._cumulative_rewards[agent] = 0.0
        self._clear_rewards()
        self.infos = {each: {} for each in self.agents}
        self._wait_for_turn(after=turn)
        if late:
            self.infos[agent]["late"] = True
        self._accumulate_rewards()
        self._deads_step_first()

    def observe(self, agent: str) -> Any:
        """What an agent may know: the newest brief; after a turn that ended the session, with the health after it."""
        brief = self._brief
        return self.table.table.pack(self.table.values(brief, self.seat(agent), int(brief.get("round", 0))))

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The newest frame, as the mode's own environment renders it. Raises TimeoutError if none arrives."""
        acting = None if self._over else self._brief.get("seat")
        return self.table.render_picture(*look_at(self._running()[0], self._timeout_s), self._brief, acting)

    def close(self) -> None:
        """Give up the seats, and close the connections and the window. Closing twice is allowed."""
        self._leave()
        self.table.close()
        for client in self._clients:
            client.close()

    # -- the session -----------------------------------------------------------------------------

    def _enter(self, token: str | None, body: str | None) -> None:
        """Take a seat for each agent. The first one opens or finds the lobby."""
        table, first = self.table, self._clients[0]
        seats = len(table.possible_agents)
        if token is not None:
            self._sessions.append(first.join(token, body=body, ready=True))
        elif self._opponent is None and len(self._clients) < seats:
            self._sessions.append(first.find(mode=table.mode, size=seats, body=body))
        else:
            params = table.params or None
            opened = first.open(
                mode=table.mode, size=seats, body=body, ready=True, private=True, params=params
            )
            self._sessions.append(opened)
        for client in self._clients[1:]:
            self._sessions.append(client.join(self._sessions[0].token, ready=True))
        if token is None and self._opponent is not None and len(self._clients) < seats:
            self._sessions[0].fill(skill=self._opponent)
        self._seats = [-1 if session.seat is None else session.seat for session in self._sessions]

    def _leave(self) -> None:
        """Give up the seats of the present session."""
        sessions, self._sessions = self._sessions, []
        self.agents = []
        leave_seats(sessions)

    def _wait_for_turn(self, after: Any = None) -> None:
        """Read events until it is an own agent's turn, another one than ``after``, or the session is over."""
        seats = len(self.table.possible_agents)
        public: list[Event] = []
        while True:
            try:
                event = self._sessions[0].next_event(self._timeout_s)
            except Disconnected as error:
                self._lose(str(error))
                break
            if event is None:
                self._end()
                break
            public.append((event.d.get("tick", 0), event.t, dict(event.d)))
            if event.t == "session":
                self._take_view(event.d)
            elif event.t == "turn_started":
                self._brief = dict(event.d)
            elif event.t == "turn_ended":
                self._brief |= {"health": event.d["health"]} if "health" in event.d else {}
            elif event.t == "out":
                self._out.add(event.d["seat"])
                alive = [lives and seat not in self._out for seat, lives in enumerate(self._brief["alive"])]
                self._brief["alive"] = alive
            elif event.t in ("failed", "timed_out"):
                self._lose(event.t)
            elif event.t == "ended":
                self._end()
            if self._over:
                break
            if event.t not in ("turn_started", "session"):
                continue
            if self._out.issuperset(self._seats):
                break  # the others go on
            seat = self._brief.get("seat")
            if seat in self._seats and self._brief.get("turn") != after:
                self.agent_selection = self.possible_agents[self._seats.index(seat)]
                self.infos[self.agent_selection]["brief"] = dict(self._brief)
                break
        self.events = public
        gains = self.table.reward(public, seats)
        for agent in self.agents:
            own_seat = self.seat(agent)
            self.rewards[agent] = float(gains[own_seat])
            self.terminations[agent] = self.terminations[agent] or own_seat in self._out
        if self._over:
            self.agent_selection = self.agents[0] if self.agents else self.possible_agents[0]
        elif self.render_mode == "human":
            self.render()

    def _take_view(self, view: Mapping[str, Any]) -> None:
        """Read a whole view, which comes where events were lost."""
        if view.get("brief"):
            self._brief = dict(view["brief"])
        if view["status"] in ENDED:
            if view["status"] == "ended":
                self._end()
            else:
                self._lose(view["status"])

    def _end(self) -> None:
        self._over = True
        self.terminations = dict.fromkeys(self.agents, True)

    def _lose(self, reason: str) -> None:
        self._over = True
        self.truncations = dict.fromkeys(self.agents, True)
        for agent in self.agents:
            self.infos[agent]["lost"] = reason

    def _running(self) -> list[BlockingSession]:
        if not self._sessions:
            raise ValueError("call reset before anything else")
        return self._sessions
