"""Many steps of one world: ``trajectory`` gives them one by one, ``rollout`` as arrays.

A pure function of its arguments, as a step is. It must never read a file or a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tussle.server.physics.model import Model
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Control, Floats, State, StepReport

__all__ = ["Inputs", "Rollout", "rollout", "trajectory"]

Inputs = Callable[[int, State], Control | None]
"""Returns the control of the tick after a state, given the number of the tick, from 0, and the state; None is none."""


def _no_inputs(number: int, state: State) -> Control | None:
    return None


@dataclass(frozen=True, slots=True)
class Rollout:
    """The states and reports of t steps of a model with n nodes.

    states: t + 1 of them, the first one included. reports: t. q: generalised positions [m], shape (t + 1, n, 3),
    float64. v: generalised velocities [m/s], same shape. Arrays are copies, and can be changed.
    """

    states: tuple[State, ...]
    reports: tuple[StepReport, ...]

    @property
    def q(self) -> Floats:
        return np.array([state.q for state in self.states])

    @property
    def v(self) -> Floats:
        return np.array([state.v for state in self.states])

    @property
    def converged(self) -> bool:
        """Whether no step ended at its iteration limit."""
        return all(report.converged for report in self.reports)


def trajectory(
    model: Model, state: State, steps: int, inputs: Inputs = _no_inputs
) -> Iterator[tuple[State, StepReport]]:
    """Step ``steps`` times from a state. Gives each state after it with its report, and keeps none.

    Raises what ``step`` raises: Refused (bad_control), SolverFailed.
    """
    for number in range(steps):
        state, report = step(model, state, inputs(number, state) or Control())
        yield state, report


def rollout(model: Model, state: State, steps: int, inputs: Inputs = _no_inputs) -> Rollout:
    """Step ``steps`` times from a state, and return everything. Raises what ``step`` raises."""
    taken = list(trajectory(model, state, steps, inputs))
    return Rollout((state, *(after for after, _ in taken)), tuple(report for _, report in taken))
