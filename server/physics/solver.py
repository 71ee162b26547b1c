"""One tick: ``step(model, state, control)`` returns the next state and a report.

A pure function. Nothing is kept between calls and no argument is changed: equal arguments give equal results, bit for
bit, in any process with the same physics id.
"""

from __future__ import annotations

import math

import numpy as np

from tussle.lobby.errors import Refused, SolverFailed
from tussle.server.physics.barrier import barrier_force
from tussle.server.physics.kernel_arrays import AFFINE, SolverParameters, Springs
from tussle.server.physics.model import GRAVITY, Model, kinetic_energy, parking, rail_pose
from tussle.server.physics.newton import minimise_potential
from tussle.server.physics.world_state import Control, Floats, State, StepReport

__all__ = ["step"]

STILL = Control()
"""A control without inputs."""


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
    bodies = len(model.body_ids)
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
    v = v * np.repeat(np.exp(-drag * h), np.diff(model.node_offset))[:, None]
    predicted = q + h * v + h * h * model.gravity
    for body, _, _ in model.rails:
        rows = slice(model.node_offset[body], model.node_offset[body + 1])
        predicted[rows] = rail_pose(model, body, (state.tick + 1 - control.rail_delay) * h)
    parked = np.repeat(~active, np.diff(model.node_offset))
    predicted[parked] = q[parked]
    scene = model.scene
    kappa = model.kappa
    if h != model.dt:
        kappa = h * h * scene.contact_mass * GRAVITY / barrier_force(0.5 * scene.dhat, scene.dhat)
    params = SolverParameters(
        dt=h, dhat=scene.dhat, kappa=kappa, friction_eps=scene.friction_speed * h, tolerance=scene.tolerance * h,
        iterations=scene.max_iterations,
    )  # fmt: skip
    impulses = np.zeros((bodies + 1, bodies + 1, 3))
    points = np.zeros((bodies + 1, bodies + 1, 3))
    springs = _collect_springs(model, q, active, control, h)
    q_next, iterations, contacts, nearest, converged, energies = minimise_potential(
        model.tables, springs, len(model.pins.body), params, q, predicted, active, impulses, points
    )
    elastic, held, contact, friction = energies
    if not math.isfinite(float(q_next.sum())):
        raise SolverFailed(f"tick {state.tick}: the step is not finite")
    v_next = np.zeros_like(v) if control.halt else (q_next - q) / h
    after = State(q=q_next, v=v_next, active=active, tick=state.tick + 1)
    report = StepReport(
        iterations=iterations,
        contacts=contacts,
        min_distance=nearest,
        converged=converged,
        kinetic=float(kinetic_energy(model, after).sum()),
        gravity=_gravity_energy(model, after),
        elastic=elastic,
        impulses=impulses,
        points=points,
        springs=held,
        barrier=contact,
        friction=friction,
    )
    return after, report


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


def _gravity_energy(model: Model, state: State) -> float:
    """Return the gravitational potential energy of the active bodies [J], zero at the origin."""
    gravity = np.array(model.scene.gravity)
    total = 0.0
    for body, kind in enumerate(model.kinds):
        if not state.active[body] or kind == "rail":
            continue
        rows = slice(model.node_offset[body], model.node_offset[body + 1])
        if kind == "elastic":
            total -= float(model.tables.node_mass[rows] @ state.q[rows] @ gravity)
        else:
            total -= float(model.masses[body] * (state.q[rows.start] @ gravity))
    return total
