"""The tasks of the sandbox: a goal that is drawn at the start of an episode, and a reward from the world's view.

    reach   bring the first body to a place in the air
    stack   put the first body on the second one and let go
    push    move the second body to a place on the floor; hands may hold only the first one
    gather  bring all bodies to one place on the floor

A task is pure: it gets its random numbers and the state as arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["TASKS", "BodiesSeen", "HandTask", "TaskReport"]

Place = npt.NDArray[np.float64]

NEAR = 0.15  # m, of a body at its goal
CALM = 0.2  # m/s, of a body that rests
FAR = 0.4  # of the box, within which goals on the floor are drawn


class BodiesSeen(Protocol):
    """The bodies of a sandbox at one tick, as a ``View`` has them: n bodies in the order of the scene.

    positions, velocities: centres [m] and [m/s], shape (n, 3). rows: images of the local axes, shape (n, 3, 3). radii:
    bounding radii [m], shape (n,).
    """

    @property
    def ids(self) -> tuple[str, ...]: ...
    @property
    def positions(self) -> Place: ...
    @property
    def velocities(self) -> Place: ...
    @property
    def rows(self) -> Place: ...
    @property
    def radii(self) -> Place: ...


class TaskReport(NamedTuple):
    """reward: of one step, without the bonus. done: the task is fulfilled."""

    reward: float
    done: bool


class HandTask(Protocol):
    """One task. bodies: catalogue ids of its default bodies. tools: bodies that a hand may hold; None: all."""

    @property
    def bodies(self) -> tuple[str, ...]: ...
    @property
    def tools(self) -> tuple[int, ...] | None: ...

    def draw_goal(self, rng: np.random.Generator, side: float, height: float, view: BodiesSeen) -> Place:
        """A goal [m], shape (3,)."""

    def judge(self, view: BodiesSeen, goal: Place, held: Mapping[int, int]) -> TaskReport:
        """The reward of a state. held: hand -> body."""


class Reach:
    """reward: minus the distance of the first body to the goal [m]. Fulfilled within NEAR."""

    bodies = ("cobble", "marl")
    tools: tuple[int, ...] | None = None

    def draw_goal(self, rng: np.random.Generator, side: float, height: float, view: BodiesSeen) -> Place:
        x, z = rng.uniform(-FAR * side, FAR * side, 2)
        return np.array([x, rng.uniform(0.3, 0.6) * height, z])

    def judge(self, view: BodiesSeen, goal: Place, held: Mapping[int, int]) -> TaskReport:
        away = float(np.linalg.norm(view.positions[0] - goal))
        return TaskReport(-away, away < NEAR)


class Stack:
    """reward: minus the horizontal distance between the first two bodies [m], minus the height that the first one is
    too low [m]. Fulfilled when the first one rests on the second one and no hand holds it. The goal is the place of the
    second body at the start."""

    bodies = ("cobble", "rafter")
    tools: tuple[int, ...] | None = None

    def draw_goal(self, rng: np.random.Generator, side: float, height: float, view: BodiesSeen) -> Place:
        return np.array(view.positions[1])

    def judge(self, view: BodiesSeen, goal: Place, held: Mapping[int, int]) -> TaskReport:
        above = view.positions[0] - view.positions[1]
        aside = float(np.hypot(above[0], above[2]))
        rise = 0.5 * float(view.radii[0] + view.radii[1])
        lacks = max(0.0, rise - float(above[1]))
        calm = float(np.linalg.norm(view.velocities[0])) < CALM
        done = 0 not in held.values() and calm and lacks < 0.5 * rise and aside < float(view.radii[1])
        return TaskReport(-aside - lacks, done)


class Push:
    """reward: minus the horizontal distance of the second body to the goal [m]. Fulfilled within NEAR."""

    bodies = ("cobble", "marl")
    tools: tuple[int, ...] | None = (0,)

    def draw_goal(self, rng: np.random.Generator, side: float, height: float, view: BodiesSeen) -> Place:
        x, z = rng.uniform(-FAR * side, FAR * side, 2)
        return np.array([x, 0.0, z])

    def judge(self, view: BodiesSeen, goal: Place, held: Mapping[int, int]) -> TaskReport:
        away = float(np.hypot(*(view.positions[1] - goal)[[0, 2]]))
        return TaskReport(-away, away < NEAR)


class Gather:
    """reward: minus the mean horizontal distance of the bodies to the goal [m]. Fulfilled when each body is within its
    radius and 2 NEAR of it."""

    bodies = ("cobble", "marl", "rafter", "burr")
    tools: tuple[int, ...] | None = None

    def draw_goal(self, rng: np.random.Generator, side: float, height: float, view: BodiesSeen) -> Place:
        x, z = rng.uniform(-FAR * side, FAR * side, 2)
        return np.array([x, 0.0, z])

    def judge(self, view: BodiesSeen, goal: Place, held: Mapping[int, int]) -> TaskReport:
        away = np.hypot(*(view.positions - goal)[:, [0, 2]].T)
        return TaskReport(-float(away.mean()), bool((away < view.radii + 2 * NEAR).all()))


TASKS: dict[str, HandTask] = {"reach": Reach(), "stack": Stack(), "push": Push(), "gather": Gather()}
"""Name -> task."""
