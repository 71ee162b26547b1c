"""The sandbox as a PettingZoo environment: several hands move bodies at once, with one common task.

    action   (4,) from -1 to 1: step of the hand along x, y, z (REACH m at most each), grip (above 0: closed)
    reward   of the task (env/hand_tasks.py), the same for every hand, and BONUS when it is fulfilled

A hand is a seat of the session: a closed hand grabs the handle ``centre`` of the nearest body within its reach and
drags it by the spring of the sandbox; an open hand releases it. A step has ``ticks`` ticks of 1/30 s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.utils import seeding
from pettingzoo import ParallelEnv

from tussle.env.episode import Episode, make_spec
from tussle.env.fields import ArrayField, ObservationForm, ObservationTable, unit_box
from tussle.env.hand_tasks import TASKS, BodiesSeen, TaskReport
from tussle.env.renderer import Renderer
from tussle.env.turn_env import check_render_mode
from tussle.lobby.wire.frames import Frame, Topology

__all__ = ["BONUS", "SETTLE_TICKS", "SandboxEnv", "hand_fields"]

REACH = 0.15  # m
GRASP = 0.25  # m, from the surface of a body's bounding ball
BONUS = 10.0
SETTLE_TICKS = 45
HAND_HEIGHT = 0.6  # m

Numbers = npt.NDArray[np.float64]


def hand_fields(hands: int, bodies: int) -> tuple[ArrayField, ...]:
    """The observation of one hand. Rows of hands begin with the observer; rows of bodies are in the order of the
    scene."""
    return (
        ArrayField(
            "hand", (hands, 3), -8, 8, "place of the hands [m]; that of the others relative to the observer"
        ),
        ArrayField("holds", (hands, bodies), 0, 1, "1: the hand holds the body"),
        ArrayField("position", (bodies, 3), -8, 8, "centre relative to the observer's hand [m]"),
        ArrayField("velocity", (bodies, 3), -20, 20, "[m/s]"),
        ArrayField("orientation", (bodies, 3, 3), -2, 2, "images of the local axes"),
        ArrayField("goal", (3,), -8, 8, "relative to the observer's hand [m]"),
    )


class SandboxEnv(ParallelEnv[str, Any, Any]):
    """A sandbox with ``hands`` hands, "hand_0", "hand_1", ... task: "reach", "stack", "push" or "gather". bodies:
    catalogue ids; None: those of the task. side, height [m]: of the box. ticks: of a step. max_steps: after which an
    episode is truncated. observation: "array" or "dict".

    options of reset: goal, shape (3,) [m].
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "tussle_sandbox_v0",
        "render_modes": ["human", "rgb_array"],
        "render_fps": 10,
    }
    hands_max: ClassVar[int] = 8

    def __init__(
        self,
        *,
        hands: int = 2,
        task: str = "gather",
        bodies: Sequence[str] | None = None,
        side: float = 3.0,
        height: float = 2.0,
        ticks: int = 3,
        max_steps: int = 200,
        observation: ObservationForm = "array",
        render_mode: str | None = None,
    ) -> None:
        if task not in TASKS:
            raise ValueError(f"a task is one of {', '.join(TASKS)}, not {task!r}")
        if not 1 <= hands <= self.hands_max:
            raise ValueError(f"1 to {self.hands_max} hands, not {hands}")
        self.render_mode = check_render_mode(render_mode, self.metadata)
        self.task = TASKS[task]
        self.bodies = tuple(bodies or self.task.bodies)
        if len(self.bodies) < len(self.task.bodies) and task != "gather":
            raise ValueError(f"the task {task} needs {len(self.task.bodies)} bodies")
        self.side, self.height, self.ticks, self.max_steps = side, height, ticks, max_steps
        self.possible_agents = [f"hand_{hand}" for hand in range(hands)]
        self.agents: list[str] = []
        self.table = ObservationTable(hand_fields(hands, len(self.bodies)), observation)
        self.observation_spaces = {agent: self.table.space() for agent in self.possible_agents}
        self.action_spaces = {agent: unit_box(4) for agent in self.possible_agents}
        params = {"bodies": list(self.bodies), "side": side, "height": height}
        self._spec = make_spec("sandbox", ("",) * hands, 0, params, also=self.bodies)
        self.rng, _ = seeding.np_random(None)
        self.episode: Episode | None = None
        self.goal: Numbers = np.zeros(3)
        self.places: Numbers = np.zeros((hands, 3))
        self.held: dict[int, int] = {}
        self._steps = 0
        self._renderer = Renderer(self.render_mode, self.metadata)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin a new episode in a world that rests."""
        if seed is not None:
            self.rng, _ = seeding.np_random(seed)
        self.episode = Episode.start(self._spec, settle_ticks=SETTLE_TICKS)
        self.begin(self.episode.view(), (options or {}).get("goal"))
        if self.render_mode == "human":
            self.render()
        return self.observations(self.agents, self.episode.view()), {agent: {} for agent in self.agents}

    def step(
        self, actions: Mapping[str, npt.ArrayLike]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Any]]:
        """Move all hands and run ``ticks`` ticks."""
        agents = list(self.agents)
        if not agents:
            return {}, {}, {}, {}, {}
        episode = self._running()
        acts: list[tuple[int, str, dict[str, Any]]] = []
        for agent in agents:
            hand = self.possible_agents.index(agent)
            acts += [(hand, kind, d) for kind, d in self.acts_of(hand, actions[agent], episode.view())]
        events = episode.act(acts, self.ticks)
        for _, name, d in events:
            if name == "slot_granted":
                self.held[d["seat"]] = episode.view().ids.index(d["body"])
            elif name == "slot_freed":
                self.held.pop(d["seat"], None)
        report, cut = self.judge(episode.view())
        reward = report.reward + BONUS * report.done
        if self.render_mode == "human":
            self.render()
        return (
            self.observations(agents, episode.view()),
            dict.fromkeys(agents, reward),
            dict.fromkeys(agents, report.done),
            dict.fromkeys(agents, cut),
            {agent: {} for agent in agents},
        )

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The box from above, with the goal (yellow) and the hands (white): an array (height, width, 3) for
        "rgb_array"; with "human" it is shown in a window."""
        return self.render_picture(*self._running().picture())

    def render_picture(self, topology: Topology, frame: Frame) -> npt.NDArray[np.uint8] | None:
        """Render a frame of these bodies. Raises ValueError without a render mode."""
        if self.render_mode is None:
            raise ValueError("choose a render_mode when you make the environment")
        marks = [(self.goal.tolist(), "#FFC94A"), *((place.tolist(), "#F6F1E4") for place in self.places)]
        return self._renderer.render(topology, frame, marks=marks)

    def close(self) -> None:
        """Close the window, if there is one."""
        self._renderer.close()

    # The hands, without the world: RemoteHandsEnv moves them in a live session

    def begin(self, view: BodiesSeen, goal: npt.ArrayLike | None = None) -> None:
        """Draw the goal and the places of the hands; no hand holds a body. goal: shape (3,) [m], instead of a drawn
        one."""
        drawn = self.task.draw_goal(self.rng, self.side, self.height, view)
        self.goal = drawn if goal is None else np.array(goal, float).reshape(3)
        hands = len(self.possible_agents)
        angles = self.rng.uniform(0.0, 2.0 * math.pi) + 2.0 * math.pi * np.arange(hands) / hands
        ring = 0.3 * self.side
        self.places = np.stack(
            [ring * np.cos(angles), np.full(hands, HAND_HEIGHT), ring * np.sin(angles)], axis=1
        )
        self.held, self._steps = {}, 0
        self.agents = list(self.possible_agents)

    def acts_of(self, hand: int, given: npt.ArrayLike, view: BodiesSeen) -> list[tuple[str, dict[str, Any]]]:
        """Move one hand by an action, shape (4,). Returns its inputs for the coming step: kind and arguments."""
        action = np.clip(np.asarray(given, float), -1.0, 1.0)
        half = self.side / 2
        low, high = np.array([-half, 0.05, -half]), np.array([half, self.height, half])
        self.places[hand] = np.clip(self.places[hand] + REACH * action[:3], low, high)
        move = "move", {"target": self.places[hand].tolist()}
        if action[3] <= 0.0:
            return [("release", {})] if hand in self.held else []
        if hand in self.held:
            return [move]
        gaps = np.linalg.norm(view.positions - self.places[hand], axis=1) - view.radii
        gaps[list(self.held.values())] = math.inf
        if self.task.tools is not None:
            gaps[[body for body in range(len(gaps)) if body not in self.task.tools]] = math.inf
        body = int(np.argmin(gaps))
        if gaps[body] > GRASP:
            return []
        self.held[hand] = body  # no other hand takes it in this step
        return [("grab", {"body": view.ids[body], "handle": "centre"}), move]

    def judge(self, view: BodiesSeen) -> tuple[TaskReport, bool]:
        """Count a step. Returns the report of the task, and whether the episode is truncated; either end removes the
        agents."""
        self._steps += 1
        report: TaskReport = self.task.judge(view, self.goal, self.held)
        cut = self._steps >= self.max_steps and not report.done
        if report.done or cut:
            self.agents = []
        return report, cut

    def observations(self, agents: Sequence[str], view: BodiesSeen) -> dict[str, Any]:
        """What the hands of these agents see."""
        hands, count = len(self.possible_agents), len(self.bodies)
        holds = np.zeros((hands, count))
        for hand, body in self.held.items():
            if hand < hands:
                holds[hand, body] = 1.0
        observations = {}
        for agent in agents:
            own = self.possible_agents.index(agent)
            order = [(own + place) % hands for place in range(hands)]
            places = self.places[order]
            places[1:] -= places[0]
            here = self.places[own]
            observations[agent] = self.table.pack(
                {
                    "hand": places,
                    "holds": holds[order],
                    "position": view.positions - here,
                    "velocity": view.velocities,
                    "orientation": view.rows,
                    "goal": self.goal - here,
                }
            )
        return observations

    def _running(self) -> Episode:
        if self.episode is None:
            raise ValueError("call reset before anything else")
        return self.episode
