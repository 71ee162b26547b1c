"""Hands in a live sandbox as a PettingZoo Parallel environment: ``remote(url, mode="sandbox")``.

    reset -> seats in a session, until its bodies rest -> step: inputs of all hands -> frame of ``ticks`` later -> ...

Hands, tasks, spaces and rewards are those of SandboxEnv. The bodies are read from the frames that every viewer gets,
and what a hand holds from the session's events. Time passes between two steps, and people may move the bodies too. This
module must never simulate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.utils import seeding
from pettingzoo import ParallelEnv

from tussle.env.remote_seats import leave_seats, look_at
from tussle.env.sandbox_env import BONUS, SETTLE_TICKS, SandboxEnv
from tussle.lobby.errors import LobbyError
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.wire.frames import Frame, Topology
from tussle.player.blocking import BlockingClient, BlockingSession
from tussle.player.transcript import Disconnected
from tussle.server.modes.sandbox.state import DT

__all__ = ["RemoteHandsEnv"]

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _FrameBodies:
    """The bodies of two frames, in the order of the environment; see BodiesSeen. A velocity is the mean between the
    frames."""

    ids: tuple[str, ...]
    positions: Numbers
    velocities: Numbers
    rows: Numbers
    radii: Numbers


class RemoteHandsEnv(ParallelEnv[str, Any, Any]):
    """The hands of ``clients`` in one live sandbox at a time; ``remote`` makes it. Close it: that gives up the seats.

    Agents are "hand_0", "hand_1", ..., each in a seat of its own. ``session`` is the token of the present session. A
    step ends with the first frame that is ``ticks`` ticks later than the last one seen; ``infos[agent]["tick"]`` is
    its tick. ``infos[agent]["refused"]`` is the code of an input that the server did not take. If the session is lost,
    or one of the bodies is removed, all agents are truncated, and the next ``reset`` begins another session. Bodies
    that others bring in are not observed.
    """

    def __init__(
        self,
        table: SandboxEnv,
        clients: list[BlockingClient],
        *,
        seats: int,
        opponent: str | None,
        params: Mapping[str, Any],
        timeout_s: float,
    ) -> None:
        self.table = table
        self.metadata = {**table.metadata, "name": "tussle_remote_sandbox_v0"}
        self.render_mode = table.render_mode
        self.possible_agents = list(table.possible_agents)
        self.agents: list[str] = []
        self.observation_spaces = table.observation_spaces
        self.action_spaces = table.action_spaces
        self._clients = clients
        self._seats_wanted = seats
        self._opponent = opponent
        self._params = dict(params)
        self._timeout_s = timeout_s
        self._senders = ThreadPoolExecutor(max(1, len(clients)), "tussle-hand")
        self._sessions: list[BlockingSession] = []
        self._hands: dict[int, int] = {}
        self._holds: dict[int, str] = {}
        self._grabs: dict[int, tuple[int, int]] = {}
        """Hand -> body that it has asked for, and the tick at which it stops to wait for an answer."""
        self._frame: Frame | None = None
        self._bodies: _FrameBodies | None = None
        self._lost = ""

    @property
    def session(self) -> str:
        """The token of the present session. Raises ValueError before the first reset."""
        return self._running()[0].token

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Leave the session, if there is one, take seats in another one, and wait until its bodies rest. seed: of the
        goals and of the places where the hands begin. options: session, the token of a sandbox to join, with the same
        first bodies; goal, shape (3,) [m].

        Raises TimeoutError if nobody comes, ValueError for a sandbox with other bodies, and the server's errors; then
        no seat is kept.
        """
        self._leave()
        if seed is not None:
            self.table.rng, _ = seeding.np_random(seed)
        given = options or {}
        self._holds, self._grabs, self._lost = {}, {}, ""
        self._frame = self._bodies = None
        try:
            self._enter(given.get("session"))
            bodies = self._watch(SETTLE_TICKS)
            if bodies is None:
                raise Disconnected(f"the session is over before the first step: {self._lost}")
        except BaseException:
            self._leave()
            raise
        self.table.begin(bodies, given.get("goal"))
        self._note_holds(bodies)
        self.agents = list(self.possible_agents)
        if self.render_mode == "human":
            self.render()
        return self.table.observations(self.agents, bodies), self._infos(self.agents)

    def step(
        self, actions: Mapping[str, npt.ArrayLike]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Any]]:
        """Move all hands, and wait until ``ticks`` ticks have passed. Raises TimeoutError."""
        agents, table = list(self.agents), self.table
        if not agents:
            return {}, {}, {}, {}, {}
        sessions, bodies, frame = self._running(), self._bodies, self._frame
        assert bodies is not None and frame is not None
        target = frame.tick + table.ticks
        hands = [self.possible_agents.index(agent) for agent in agents]
        acts = [
            table.acts_of(hand, actions[agent], bodies) for agent, hand in zip(agents, hands, strict=True)
        ]
        for hand, given in zip(hands, acts, strict=True):
            if given and given[0][0] == "grab":
                self._grabs[hand] = table.held[hand], target + table.ticks
        refusals = list(self._senders.map(_send, [sessions[hand] for hand in hands], acts))
        seen = self._watch(target)
        bodies = bodies if seen is None else seen
        self._note_holds(bodies)
        report, cut = table.judge(bodies)
        reward = report.reward + BONUS * report.done
        lost = seen is None
        if lost:
            table.agents = []
        self.agents = list(table.agents)
        if self.render_mode == "human" and not lost:
            self.render()
        infos = self._infos(agents)
        for agent, code in zip(agents, refusals, strict=True):
            infos[agent] |= {"refused": code} if code else {}
            infos[agent] |= {"lost": self._lost} if lost else {}
        return (
            table.observations(agents, bodies),
            dict.fromkeys(agents, reward),
            dict.fromkeys(agents, report.done and not lost),
            dict.fromkeys(agents, cut or lost),
            infos,
        )

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The newest frame, as SandboxEnv renders it. Raises TimeoutError if none arrives."""
        return self.table.render_picture(*look_at(self._running()[0], self._timeout_s))

    def close(self) -> None:
        """Give up the seats, and close the connections and the window. Closing twice is allowed."""
        self._leave()
        self.table.close()
        self._senders.shutdown()
        for client in self._clients:
            client.close()

    # -- the session -----------------------------------------------------------------------------

    def _enter(self, token: str | None) -> None:
        """Take a seat for each hand. The first one opens the lobby."""
        first, alone = self._clients[0], len(self._clients) == self._seats_wanted
        if token is not None:
            self._sessions.append(first.join(token, ready=True))
        else:
            private = alone or self._opponent is not None
            opened = first.open(
                mode="sandbox", size=self._seats_wanted, ready=True, private=private, params=self._params,
                bots=False if not private else None,
            )  # fmt: skip
            self._sessions.append(opened)
        for client in self._clients[1:]:
            self._sessions.append(client.join(self._sessions[0].token, ready=True))
        if token is None and self._opponent is not None and not alone:
            self._sessions[0].fill(skill=self._opponent)
        self._hands = {
            session.seat: hand for hand, session in enumerate(self._sessions) if session.seat is not None
        }

    def _leave(self) -> None:
        sessions, self._sessions = self._sessions, []
        self.agents = []
        leave_seats(sessions)

    def _watch(self, tick: int) -> _FrameBodies | None:
        """Wait for the first frame of that tick or a later one. Returns its bodies, or None if the session is lost."""
        session = self._sessions[0]
        for frame in session.frames(self._timeout_s):
            before = self._frame
            if before is not None and (before.epoch, before.tick) == (frame.epoch, frame.tick):
                continue
            topology = session.topology
            if topology is None or topology.version != frame.version:
                continue  # the other one arrives next
            self._frame = frame
            if before is None or (before.epoch, before.version) != (frame.epoch, frame.version):
                continue  # a velocity needs two frames
            if frame.tick >= tick:
                self._read_events()
                self._bodies = None if self._lost else self._compare(topology, before, frame)
                return self._bodies
        self._read_events()
        self._lost = self._lost or "the connection is over"
        return None

    def _compare(self, topology: Topology, before: Frame, frame: Frame) -> _FrameBodies | None:
        """The bodies of a frame. Their names are those of the first frame of a session."""
        count = len(frame.active)
        moving = topology.bodies[:count]
        if self._bodies is None:
            kinds = [body.body for body in moving]
            if kinds != list(self.table.bodies):
                raise ValueError(f"the sandbox has the bodies {kinds}, not {list(self.table.bodies)}")
            ids = tuple(body.id for body in moving)
        else:
            ids = self._bodies.ids
        numbers = {body.id: number for number, body in enumerate(moving)}
        if not {*ids} <= {*numbers}:
            self._lost = f"removed: {', '.join(sorted({*ids} - {*numbers}))}"
            return None
        order = [numbers[one] for one in ids]
        rows, old = (_rows_of(one, order) for one in (frame, before))
        return _FrameBodies(
            ids=ids,
            positions=rows[:, 0],
            velocities=(rows[:, 0] - old[:, 0]) / ((frame.tick - before.tick) * DT),
            rows=rows[:, 1:],
            radii=np.array([np.linalg.norm(moving[one].vertices, axis=1).max() for one in order], float),
        )

    def _read_events(self) -> None:
        """Read the events that have arrived: who holds which body, and whether the session is over."""
        session = self._sessions[0]
        while True:
            try:
                event = session.next_event(0.0)
            except TimeoutError:
                return
            except Disconnected as error:
                self._lost = str(error)
                return
            if event is None:
                self._lost = self._lost or "ended"
                return
            if event.t == "slot_granted":
                self._holds[event.d["seat"]] = event.d["body"]
            elif event.t == "slot_freed":
                self._holds.pop(event.d["seat"], None)
            elif event.t in ("failed", "timed_out", "ended"):
                self._lost = event.t
            elif event.t == "session":
                brief = event.d.get("brief") or {}
                self._holds = {slot["seat"]: slot["body"] for slot in brief.get("slots", ())}
                if event.d["status"] in ENDED:
                    self._lost = event.d["status"]

    def _note_holds(self, bodies: _FrameBodies) -> None:
        """Tell the table what each hand holds; those of others count from ``len(possible_agents)``."""
        count = len(self.possible_agents)
        held = {
            self._hands.get(seat, count + seat): bodies.ids.index(body)
            for seat, body in self._holds.items()
            if body in bodies.ids
        }
        tick = 0 if self._frame is None else self._frame.tick
        self._grabs = {
            hand: grab for hand, grab in self._grabs.items() if hand not in held and grab[1] > tick
        }
        self.table.held = {hand: body for hand, (body, _) in self._grabs.items()} | held

    def _infos(self, agents: Sequence[str]) -> dict[str, dict[str, Any]]:
        tick = 0 if self._frame is None else self._frame.tick
        return {agent: {"tick": tick} for agent in agents}

    def _running(self) -> list[BlockingSession]:
        if not self._sessions:
            raise ValueError("call reset before anything else")
        return self._sessions


def _send(session: BlockingSession, acts: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Give the inputs of one hand. Returns the code of the first one that the server does not take, or ""."""
    for kind, d in acts:
        try:
            session.act(kind, **d)
        except LobbyError as error:
            return error.reason
    return ""


def _rows_of(frame: Frame, order: Sequence[int]) -> Numbers:
    """The centre and the images of the axes of affine bodies, shape (bodies, 4, 3)."""
    return np.asarray(frame.rows, float).reshape(-1, 4, 3)[list(order)]
