"""One tick: ``step(model, state, control)`` returns the next state and a report.

A pure function. Nothing is kept between calls and no argument is changed: equal arguments give equal results, bit for
bit, in any process with the same physics id.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tussle.lobby.errors import Refused, SolverFailed
from tussle.server.physics.barrier import barrier_force
from tussle.server.physics.kernel_arrays import AFFINE, SolverParameters, Springs
from tussle.server.physics.model import GRAVITY, Model, parking, rail_pose
from tussle.server.physics.newton import minimise_potential
from tussle.server.physics.potential import motion_energies
from tussle.server.physics.substeps import plan_tick
from tussle.server.physics.world_state import Control, Floats, State, StepReport

__all__ = ["FLOOR", "ITERATIONS_SHARE", "farthest", "step"]

STILL = Control()
"""A control without inputs."""
ITERATIONS_SHARE = 4
"""The iterations of a tick with as many substeps or more, in units of the scene's."""
FLOOR = 1e-12
"""The nearest that line searches bring two primitives, in units of how far the world reaches from the origin: some
thousand times the rounding of a position.
"""
CREEP = 0.03
"""The friction speed of a scene that names none, in units of dhat a second: ten cubes that stand askew still stand then
after a minute."""
DHAT_SHARE = 0.02
"""The largest tolerance of a step, in units of dhat: contact forces are then within about a percent."""
SLIP_SHARE = 0.5
"""The largest tolerance of a step, in units of the displacement below which friction is smoothed."""
MOTION_SHARE = 0.03
"""The largest tolerance of a step, in units of what forces have moved a body in the step (``inertial_offset``)."""
LEAST_SHARE = 1e-3
"""The tolerance that is always enough, in units of dhat and of the displacement below which friction is smoothed."""


def step(
    model: Model, state: State, control: Control = STILL, dt: float | None = None
) -> tuple[State, StepReport]:
    """Advance one tick of ``dt`` [s] (the scene's by default) and return the next state and its report.

    Raises Refused (bad_control) if the control names a body or handle that does not exist or holds a number that is
    not finite. Raises SolverFailed if the step produced a number that is not finite. ``state`` is unchanged in both
    cases.
    """
    _check_control(model, control)
    h = model.dt if dt is None else dt
    active = state.active
    q, v = state.q, state.v
    if control.remove:
        active, q, v = active.copy(), q.copy(), v.copy()
        for body in control.remove:
            rows = slice(model.node_offset[body], model.node_offset[body + 1])
            active[body] = False
            q[rows] = parking(model, body)
            v[rows] = 0.0
    v = _apply_velocity_changes(model, active, q, v, control)
    drag = model.damping if control.drag is None else model.damping + control.drag
    h = model.dt if dt is None else dt
    end = (state.tick + 1 - control.rail_delay) * h
    counts = np.diff(model.node_offset)
    slowed = v * np.repeat(np.exp(-drag * h), counts)[:, None]
    predicted = _predict(model, active, q, slowed, h, end)
    substeps, reach = _plan(model, active, q, predicted, control, h)
    left = model.scene.max_iterations * min(substeps, ITERATIONS_SHARE)
    parts: list[_Substep] = []
    for number in range(substeps):
        following = substeps - 1 - number
        part = h / substeps
        if substeps > 1:
            v = v * np.repeat(np.exp(-drag * part), counts)[:, None]
            predicted = _predict(model, active, q, v, part, end - following * part)
        most = (
            max(1, left - following) if model.scene.max_iterations else 0
        )  # without one, a step only measures
        params = _parameters(model, part, reach, most)
        parts.append(_minimise(model, params, q, predicted, active, control))
        left -= parts[-1].iterations
        v = (parts[-1].q - q) / part
        q = parts[-1].q
        if not math.isfinite(float(q.sum())):
            raise SolverFailed(f"tick {state.tick}: the step is not finite")
    after = State(q=q, v=np.zeros_like(v) if control.halt else v, active=active, tick=state.tick + 1)
    impulses, points = _add_contacts(parts)
    last = parts[-1]
    counted = active & np.array([kind != "rail" for kind in model.kinds], dtype=bool)
    kinetic, gravity = motion_energies(
        model.tables, counted, after.q, after.v, np.array(model.scene.gravity, dtype=np.float64)
    )
    report = StepReport(
        iterations=sum(one.iterations for one in parts),
        contacts=last.contacts,
        min_distance=min(one.nearest for one in parts),
        converged=all(one.converged for one in parts),
        kinetic=kinetic,
        gravity=gravity,
        elastic=last.elastic,
        impulses=impulses,
        points=points,
        springs=last.held,
        barrier=last.barrier,
        friction=sum(one.friction for one in parts),
    )
    return after, report


class _Substep(NamedTuple):
    """The result of one substep: ``minimise_potential``, and the impulses and points of its contacts (StepReport)."""

    q: Floats
    iterations: int
    contacts: int
    nearest: float
    converged: bool
    elastic: float
    held: float
    barrier: float
    friction: float
    impulses: Floats
    points: Floats


def _predict(model: Model, active: np.ndarray, q: Floats, v: Floats, h: float, end: float) -> Floats:
    """Return where inertia and gravity bring the nodes within ``h`` [s], and rails at their time ``end`` [s]."""
    predicted = q + h * v + h * h * model.gravity
    for body, _, _ in model.rails:
        rows = slice(model.node_offset[body], model.node_offset[body + 1])
        predicted[rows] = rail_pose(model, body, end)
    if not active.all():
        parked = np.repeat(~active, np.diff(model.node_offset))
        predicted[parked] = q[parked]
    return predicted


def _plan(
    model: Model, active: np.ndarray, q: Floats, predicted: Floats, control: Control, h: float
) -> tuple[int, float]:
    """Return the number of substeps of a tick, and how far from the origin the world reaches [m]."""
    pulled = np.zeros(len(model.body_ids))
    for target in control.handles:
        rows, shares = model.handles[target.body, target.handle]
        distance = float(np.sqrt(((np.array(target.target) - shares @ q[rows]) ** 2).sum()))
        most = h * h * target.force_limit / float(model.masses[target.body])
        pulled[target.body] += min(distance, most)
    tables = model.tables
    substeps, reach = plan_tick(
        tables.kind, tables.node_start, active, q, predicted, pulled, model.bounding_radius, model.half_widths,
        model.static_low, model.static_high,
    )  # fmt: skip
    return substeps, reach


def farthest(model: Model, q: Floats) -> float:
    """Return how far from the origin the world reaches along an axis [m]."""
    active = np.ones(len(model.body_ids), dtype=bool)
    return _plan(model, active, q, q, STILL, model.dt)[1]


def _parameters(model: Model, h: float, reach: float, iterations: int) -> SolverParameters:
    """Return the parameters of a substep of ``h`` [s]."""
    scene = model.scene
    slip = h * (scene.friction_speed or CREEP * scene.dhat)
    return SolverParameters(
        dt=h,
        dhat=scene.dhat,
        kappa=h * h * GRAVITY / barrier_force(0.5 * scene.dhat, scene.dhat),
        friction_eps=slip,
        floor=FLOOR * reach,
        tolerance=min(scene.tolerance * h, DHAT_SHARE * scene.dhat, SLIP_SHARE * slip),
        share=MOTION_SHARE,
        least=min(scene.tolerance * h, LEAST_SHARE * min(scene.dhat, slip)),
        iterations=iterations,
    )


def _minimise(
    model: Model, params: SolverParameters, q: Floats, predicted: Floats, active: np.ndarray, control: Control
) -> _Substep:
    bodies = len(model.body_ids)
    impulses = np.zeros((bodies + 1, bodies + 1, 3))
    points = np.zeros((bodies + 1, bodies + 1, 3))
    springs = _collect_springs(model, q, active, control, params.dt)
    q_next, iterations, contacts, nearest, converged, energies = minimise_potential(
        model.tables, springs, len(model.pins.body), params, q, predicted, active, impulses, points
    )
    elastic, held, barrier, friction = energies
    return _Substep(
        q_next, iterations, contacts, nearest, converged, elastic, held, barrier, friction, impulses, points
    )


def _add_contacts(parts: list[_Substep]) -> tuple[Floats, Floats]:
    """Return the impulses of all substeps and their points, weighted by impulse."""
    if len(parts) == 1:
        return parts[0].impulses, parts[0].points
    impulses, points, total = parts[0].impulses.copy(), np.zeros_like(parts[0].points), 0.0
    for number, part in enumerate(parts):
        if number:
            impulses += part.impulses
        size = np.sqrt((part.impulses**2).sum(axis=2, keepdims=True))
        points += np.where(np.isnan(part.points), 0.0, size * part.points)
        total = total + size
    return impulses, np.where(total > 0.0, points / np.where(total > 0.0, total, 1.0), np.nan)


def _check_control(model: Model, control: Control) -> None:
    """Raise Refused (bad_control) if a step cannot apply the control."""
    bodies = len(model.body_ids)
    for body in (*control.velocity_change, *control.remove):
        if not 0 <= body < bodies:
            raise Refused(f"body {body} does not exist", code="bad_control", field="body")
    for linear, angular in control.velocity_change.values():
        if not all(map(math.isfinite, (*linear, *angular))):
            raise Refused("a velocity change is not finite", code="bad_control", field="velocity_change")
    if control.drag is not None and (control.drag.shape != (bodies,) or not np.isfinite(control.drag).all()):
        raise Refused(f"drag takes {bodies} finite numbers", code="bad_control", field="drag")
    for handle in control.handles:
        if (handle.body, handle.handle) not in model.handles:
            raise Refused(
                f"body {handle.body} has no handle {handle.handle!r}", code="bad_control", field="handle"
            )
        if not all(map(math.isfinite, handle.target)):
            raise Refused("a handle's target is not finite", code="bad_control", field="target")
        if not (handle.stiffness > 0.0 and handle.damping >= 0.0 and handle.force_limit > 0.0):
            raise Refused(
                "a handle's stiffness and force limit are positive", code="bad_control", field="handles"
            )


def _apply_velocity_changes(
    model: Model, active: np.ndarray, q: Floats, v: Floats, control: Control
) -> Floats:
    """Return the velocities after the velocity changes of this tick [m/s], shape (nodes, 3)."""
    if not control.velocity_change:
        return v
    v = v.copy()
    for body, (linear, angular) in sorted(control.velocity_change.items()):
        if not active[body] or model.kinds[body] == "rail" or not model.tables.mobile[body]:
            continue
        first, last = model.node_offset[body], model.node_offset[body + 1]
        spin = np.array(angular)
        if model.tables.kind[body] == AFFINE:
            v[first] += linear
            v[first + 1 : last] += np.cross(spin, q[first + 1 : last])
        else:
            free = ~model.tables.fixed[first:last]
            mass = model.tables.node_mass[first:last]
            centre = mass @ q[first:last] / mass.sum()
            change = np.array(linear) + np.cross(spin, q[first:last] - centre)
            v[first:last][free] += change[free]
    return v


def _collect_springs(model: Model, q: Floats, active: np.ndarray, control: Control, h: float) -> Springs:
    """Return the pins and the handles of this tick as springs.

    A handle's spring and damper are one spring: k/2 |m - t|^2 + c/(2h) |m - m_n|^2 is, up to a constant, a spring of
    stiffness k + c/h towards the weighted mean of the target t and the handle's position m_n at the start of the tick.
    """
    targets = [target for target in control.handles if active[target.body]]
    if not targets:
        return model.pins
    pins = model.pins
    nodes, weights, points, stiffness = [pins.nodes], [pins.weights], [pins.target], list(pins.stiffness)
    start = list(pins.start)
    for target in targets:
        rows, shares = model.handles[target.body, target.handle]
        total = target.stiffness + target.damping / h
        position = shares @ q[rows]
        nodes.append(rows)
        weights.append(shares)
        start.append(start[-1] + len(rows))
        stiffness.append(total)
        points.append(
            ((target.stiffness * np.array(target.target) + target.damping / h * position) / total)[None]
        )
    return Springs(
        body=np.concatenate([pins.body, np.array([target.body for target in targets], dtype=np.int64)]),
        start=np.array(start, dtype=np.int64),
        nodes=np.concatenate(nodes),
        weights=np.concatenate(weights),
        target=np.ascontiguousarray(np.concatenate(points)),
        stiffness=np.array(stiffness, dtype=np.float64),
        limit=np.concatenate(
            [pins.limit, np.array([target.force_limit for target in targets], dtype=np.float64)]
        ),
    )
