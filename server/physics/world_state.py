"""What changes with each tick, what controls it, and what a step reports.

Plain immutable arrays without kernels. This module imports numpy only, so that modes, bots and the wire can use it. It
must never import numba.

Generalised coordinates follow Lan et al. 2022, "Affine body dynamics": vertices are x = W q. An affine body owns four
rows of ``q``: its centre c, then the three rows of A^T, so that x = c + X_1 q_1 + X_2 q_2 + X_3 q_3 for a rest point
X. An elastic body owns one row per vertex.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = [
    "ENERGIES",
    "Bools",
    "ContactCheck",
    "Control",
    "Floats",
    "HandleTarget",
    "PathCheck",
    "State",
    "StepReport",
]

ENERGIES = ("kinetic", "gravity", "elastic", "springs", "barrier", "friction")
"""The kinds of energy that a step reports."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class State:
    """The whole dynamic state. Equal states step to equal states, bit for bit.

    q: generalised positions [m], shape (nodes, 3), float64. v: generalised velocities [m/s], shape (nodes, 3),
    float64. active: which bodies take part, shape (bodies,), bool. tick: steps since the start; simulation time is
    tick * dt. broken: which joints broke, shape (joints,), bool, in the order of ``Model.joints``.

    With the integrator bdf2 also q_past [m] and v_past [m/s], shape (nodes, 3): one tick before, and collided, shape
    (bodies,): which bodies collided in the last tick. Otherwise they are empty.
    """

    q: Floats
    v: Floats
    active: Bools
    tick: int = 0
    broken: Bools = field(default_factory=lambda: np.zeros(0, dtype=bool))
    q_past: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    v_past: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    collided: Bools = field(default_factory=lambda: np.zeros(0, dtype=bool))


@dataclass(frozen=True, slots=True)
class HandleTarget:
    """A damped spring from the mean position of a handle's vertices to ``target``.

    target [m], shape (3,). stiffness [N/m]. damping [N s/m]. force_limit [N]: the force never exceeds it.
    """

    body: int
    handle: str
    target: tuple[float, float, float]
    stiffness: float
    damping: float
    force_limit: float


@dataclass(frozen=True, slots=True)
class Control:
    """All admitted inputs of one tick. A step applies them in this order: removals, velocity changes, drag, handles.

    velocity_change: body -> (dv [m/s], shape (3,); dw [rad/s], shape (3,)), added once. drag: extra damping per body
    [1/s], shape (bodies,); velocities are multiplied by exp(-drag * dt). remove: bodies that leave the world. halt:
    set every velocity to zero after the step. rail_delay: ticks by which the rails are behind the state's.
    """

    velocity_change: dict[int, tuple[tuple[float, float, float], tuple[float, float, float]]] = field(
        default_factory=dict
    )
    drag: Floats | None = None
    handles: tuple[HandleTarget, ...] = ()
    remove: tuple[int, ...] = ()
    halt: bool = False
    rail_delay: int = 0


@dataclass(frozen=True, slots=True)
class StepReport:
    """The result of one step.

    iterations: Newton iterations of the whole step. contacts: pairs nearer than dhat. min_distance: smallest distance
    of two primitives that may collide [m], inf if none is near. converged: False if the iteration limit ended the
    step. kinetic, gravity, elastic: energies [J]. impulses: barrier impulse on body i from body j [N s], shape (bodies
    + 1, bodies + 1, 3); the last row and column are all obstacles together. points: contact points weighted by impulse
    [m], same shape, NaN where there is no contact. springs: energy of the pins and joints [J]; a handle has none that
    is kept from tick to tick. barrier: energy of the contact barriers [J]. friction: what friction took from the bodies
    in this step [J]. joints: of each joint the largest force [N] and torque about its anchor [N m] that it transmitted,
    and its coordinate at the end [rad or m], shape (joints, 3).
    """

    iterations: int
    contacts: int
    min_distance: float
    converged: bool
    kinetic: float
    gravity: float
    elastic: float
    impulses: Floats
    points: Floats
    springs: float = 0.0
    barrier: float = 0.0
    friction: float = 0.0
    joints: Floats = field(default_factory=lambda: np.zeros((0, 3)))

    @property
    def energies(self) -> tuple[float, ...]:
        """The ENERGIES [J]."""
        return self.kinetic, self.gravity, self.elastic, self.springs, self.barrier, self.friction


@dataclass(frozen=True, slots=True)
class ContactCheck:
    """The result of an independent check of one state by ipctk.

    intersections: 1 if any surfaces intersect, else 0. inversions: inverted tetrahedra and affine maps. contained:
    pairs (inner, outer) of names where one body lies inside another.
    """

    intersections: int
    inversions: int
    contained: tuple[tuple[str, str], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the state has no intersection, inversion or contained body."""
        return self.intersections == 0 and self.inversions == 0 and not self.contained


@dataclass(frozen=True, slots=True)
class PathCheck:
    """The result of an independent check of the path of one tick by ipctk.

    segments: number of straight segments of the path. blocked: those that are not known to be free of collision.
    """

    segments: int
    blocked: tuple[int, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the whole path is free of collision."""
        return not self.blocked
