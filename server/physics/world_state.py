"""What varies by tick, what steers it and what is reported of it: State, Control, StepReport, ContactCheck.

Plain immutable arrays, no kernels: importing this costs numpy only, so that modes, bots and the wire may use
it. Generalised coordinates follow Lan et al. 2022 ("Affine body dynamics"): vertices x = W q. An affine body
owns four rows of ``q``: its centre c, then the three rows of A^T, so that x = c + X_1 q_1 + X_2 q_2 + X_3 q_3
for a rest point X; an elastic body owns one row per vertex."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["ContactCheck", "Control", "Floats", "HandleTarget", "State", "StepReport"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class State:
    """The whole dynamic state; two equal states step to equal states, bit for bit.

    q: generalised positions [m], shape (nodes, 3). v: generalised velocities [m/s], shape (nodes, 3). active:
    which bodies take part, shape (bodies,). tick: steps since the start; the simulation time is tick * dt.
    """

    q: Floats
    v: Floats
    active: Bools
    tick: int = 0


@dataclass(frozen=True, slots=True)
class HandleTarget:
    """A spring from the mean position of a handle's vertices to ``target`` [m], shape (3,), of ``stiffness``
    [N/m] and ``damping`` [N s/m], whose force never exceeds ``force_limit`` [N]."""

    body: int
    handle: str
    target: tuple[float, float, float]
    stiffness: float
    damping: float
    force_limit: float


@dataclass(frozen=True, slots=True)
class Control:
    """All admitted inputs of one tick, applied in this order: removals, velocity changes, drag, handles.

    velocity_change: body -> (dv [m/s], shape (3,); dw [rad/s], shape (3,)) given in one tick.
    drag: extra damping per body [1/s], shape (bodies,); velocities times exp(-drag * dt).
    remove: bodies that leave the world now. halt: set every velocity to zero after the step.
    """

    velocity_change: dict[int, tuple[tuple[float, float, float], tuple[float, float, float]]] = field(
        default_factory=dict
    )
    drag: Floats | None = None
    handles: tuple[HandleTarget, ...] = ()
    remove: tuple[int, ...] = ()
    halt: bool = False


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step did.

    impulses: barrier impulse on body i from body j [N s], shape (bodies + 1, bodies + 1, 3); the last row and
    column are everything static. points: impulse-weighted contact points [m], same shape (NaN where no
    contact). min_distance: smallest distance between two primitives that may collide [m], inf if none is
    within reach. energies [J]: kinetic, gravity, elastic. converged: False when the iteration cap ended the
    step."""

    iterations: int
    contacts: int
    min_distance: float
    converged: bool
    kinetic: float
    gravity: float
    elastic: float
    impulses: Floats
    points: Floats


@dataclass(frozen=True, slots=True)
class ContactCheck:
    """An independent check of one state by ipctk: both counts are zero or the state is broken."""

    intersections: int
    inversions: int
    contained: tuple[tuple[str, str], ...] = ()

    @property
    def passed(self) -> bool:
        return self.intersections == 0 and self.inversions == 0 and not self.contained
