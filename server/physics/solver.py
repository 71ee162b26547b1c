"""One tick: ``step(model, state, control)`` returns the next state and a report.

A pure function. Nothing is kept between calls and no argument is changed: equal arguments give equal results, bit for
bit, in any process with the same physics id.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tussle.lobby.errors import Refused, SolverFailed
from tussle.server.physics.barrier import barrier_force
from tussle.server.physics.inertia import predict_positions
from tussle.server.physics.integrators import (
    carry_past,
    free_past,
    measure_velocities,
    predict_second_order,
    weigh,
)
from tussle.server.physics.joint_forces import (
    BODY_A,
    BODY_B,
    KIND,
    START,
    STEP,
    STEP_SQUARE,
    measure_joints,
    start_joints,
)
from tussle.server.physics.kernel_arrays import AFFINE, Joints, SolverParameters, Springs
from tussle.server.physics.model import GRAVITY, Model, motion_energies, parking, rail_pose
from tussle.server.physics.newton import minimise_potential
from tussle.server.physics.pin_motions import move_pins
from tussle.server.physics.restitution import bounce
from tussle.server.physics.substeps import count_substeps
from tussle.server.physics.world_state import Bools, Control, Floats, State, StepReport

__all__ = ["step", "trace_step"]

FALL_SHARE = 1e-3
"""The default tolerance of a step, in units of the way that gravity adds in one: of accelerations."""
DHAT_SHARE = 1e-3
"""The default tolerance of a step, in units of dhat: of contact forces."""
MOTION_SHARE = 1e-3
"""The default tolerance of a step, in units of its own motion, or of the motion that friction takes for none."""
PART_ITERATIONS = 20
"""The iterations that each further part of a tick adds to the limit of the scene."""
PART_RESERVED = 12
"""How many of them no earlier part takes. After as many all but a few bodies of a pile have converged
(bench/physics/growth.md)."""
LOAD_MAX = 1.5
"""The impulse between two bodies in a step from which on they collide, in units of the weight of the lighter one times
the step: one that rests on another is at 1."""
BOUNCE_MIN = 2.0
"""The smallest speed of an impact that bounces, in units of what gravity adds in a tick."""
BOUNCE_FLOOR = 1e-3
"""The same without gravity [m/s]."""
STILL = Control()
"""A control without inputs."""


def step(
    model: Model, state: State, control: Control = STILL, dt: float | None = None
) -> tuple[State, StepReport]:
    """Advance one tick of ``dt`` [s] (the scene's by default) and return the next state and its report.

    A tick in which bodies collide at high speed is solved in up to SUBSTEPS_MAX parts. They share the iteration limit
    of the scene and PART_ITERATIONS for each part after the first; each of these has at least PART_RESERVED.

    Raises Refused (bad_control) if the control names a body or handle that does not exist or holds a number that is
    not finite. Raises SolverFailed if the step produced a number that is not finite. ``state`` is unchanged in both
    cases.
    """
    return _advance(model, state, control, model.dt if dt is None else dt, None)


def trace_step(model: Model, state: State, control: Control = STILL) -> list[Floats]:
    """Return the positions of the nodes at the start of a tick and after each accepted iterate of its step, each of
    shape (nodes, 3) [m]. Vertices move on straight lines from one to the next.

    Solves every part again with each smaller number of iterations: for verification only.
    """
    iterates: list[Floats] = []
    _advance(model, state, control, model.dt, iterates)
    return iterates


def _advance(
    model: Model, state: State, control: Control, h: float, iterates: list[Floats] | None
) -> tuple[State, StepReport]:
    """``step``; adds the positions that ``trace_step`` returns to ``iterates``."""
    _check_control(model, control)
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
    second = len(state.q_past) > 0
    q_past, v_past, collided = *carry_past(state, q, v, model.dt), state.collided
    parts = count_substeps(model.bulks, active, q, v, h, model.scene.dhat)
    tick, left = state.tick, model.scene.max_iterations + PART_ITERATIONS * (parts - 1)
    reports: list[StepReport] = []
    for part in range(parts):
        limit = left - PART_RESERVED * (parts - 1 - part)
        if second and part == 0 and h / parts != model.dt:
            q_past, v_past = free_past(model.tables, model.gravity, q, v, h / parts)
        state = State(q, v, active, tick, state.broken, q_past, v_past, collided)
        time = (tick + (part + 1) / parts - control.rail_delay) * h
        halt = control.halt and part == parts - 1
        first = state.collided
        end, report, spent = _solve_part(model, state, first, control, h / parts, time, limit, halt)
        others = 0
        if second and (new := _colliding(model, report, h / parts) & ~first).any():
            first = first | new
            others = report.iterations
            end, report, spent = _solve_part(model, state, first, control, h / parts, time, limit, halt)
        if iterates is not None:
            iterates.append(state.q)
            for count in range(report.iterations):
                part_way = _solve_part(
                    model, state, first, control, h / parts, time, limit, halt, stop=count
                )[0]
                iterates.append(part_way.q)
            iterates.append(end.q)
        left -= math.ceil(spent)
        if others:
            report = replace(report, iterations=others + report.iterations)
        q, v, q_past, v_past, collided = end.q, end.v, end.q_past, end.v_past, end.collided
        reports.append(report)
    report = _joined(reports)
    broken = state.broken
    if model.joints:
        broken = broken | _breaking(model, report)
    if second and h / parts != model.dt:
        q_past, v_past = free_past(model.tables, model.gravity, q, v, model.dt)
    return State(q, v, active, tick + 1, broken, q_past, v_past, collided), report


def _colliding(model: Model, report: StepReport, h: float) -> Bools:
    """Return which bodies collided in a step of h [s], shape (bodies,)."""
    weight = np.append(model.masses, math.inf) * (GRAVITY * h * LOAD_MAX)
    weight[[body for body, _, _ in model.rails]] = math.inf
    hit = np.linalg.norm(report.impulses, axis=2) > np.minimum(weight[:, None], weight[None, :])
    return np.asarray(hit.any(axis=1)[:-1])


def _solve_part(
    model: Model,
    state: State,
    first: Bools,
    control: Control,
    h: float,
    time: float,
    limit: int,
    halt: bool,
    *,
    stop: int | None = None,
) -> tuple[State, StepReport, float]:
    """Advance a part of a tick by h [s] to ``time`` [s], that of the rails. Returns the state after it, at the same
    tick, the report, and how many of the ``limit`` iterations it spent. stop: the limit of their number, if each may
    cost less than one.

    The past of ``state``, if it has one, is h before it. first (bodies,): bodies that take implicit Euler in a scene of
    bdf2. halt: the velocities are zero after it. Raises SolverFailed if the result is not finite.
    """
    q, active, bodies = state.q, state.active, len(model.body_ids)
    drag = model.damping if control.drag is None else model.damping + control.drag
    coast, predicted = predict_positions(
        model.tables.node_start, active, np.exp(-drag * h), model.gravity, q, state.v, h
    )
    tables, second = model.tables, None
    if len(state.q_past):
        higher = active & ~first
        higher[[body for body, _, _ in model.rails]] = False
        sizes = np.diff(model.node_offset)
        second = np.repeat(higher, sizes)
        decay = np.repeat(np.exp(-drag * h), sizes)
        predict_second_order(state, second, decay, model.gravity, h, coast, predicted)
        tables = weigh(tables, higher, model.node_offset)
    tables = tables._replace(fixed=tables.fixed.copy())  # of this step: bodies are held on the way
    for body, _, _ in model.rails:
        rows = slice(model.node_offset[body], model.node_offset[body + 1])
        if active[body]:
            coast[rows] = predicted[rows] = rail_pose(model, body, time)
    params = _parameters(model, h, limit, 2 * limit if stop is None else stop)
    impulses = np.zeros((bodies + 1, bodies + 1, 3))
    points = np.zeros((bodies + 1, bodies + 1, 3))
    springs = _collect_springs(model, q, active, control, h, time)
    joints = _with_joints(model, state, h) if model.joints else model.joint_arrays
    q_next, iterations, spent, contacts, nearest, converged, energies = minimise_potential(
        tables,
        joints,
        springs,
        len(model.pins.body),
        params,
        q,
        predicted,
        coast,
        active,
        impulses,
        points,
    )
    elastic, held, contact, friction = energies
    transmitted = np.zeros((len(model.joints), 3))
    if model.joints:
        held += measure_joints(joints, q_next, transmitted)
    if not math.isfinite(float(q_next.sum())):
        raise SolverFailed(f"tick {state.tick}: the step is not finite")
    v_next = np.zeros_like(q) if halt else measure_velocities(state, second, q_next, h)
    hit = np.zeros(bodies, dtype=bool)
    if model.bounces is not None and not halt:
        present = np.append(active, np.ones(len(model.static_ids), dtype=bool))
        least = max(BOUNCE_MIN * float(np.linalg.norm(model.scene.gravity)) * model.dt, BOUNCE_FLOOR)
        hit = bounce(
            model.tables, model.joint_arrays.apart, model.bounces, present, q, q_next, state.v, v_next, model.gravity,
            model.scene.dhat, least, impulses,
        )  # fmt: skip
    kinetic, gravity = motion_energies(model, State(q=q_next, v=v_next, active=active))
    report = StepReport(
        iterations=iterations,
        contacts=contacts,
        min_distance=nearest,
        converged=converged,
        kinetic=kinetic,
        gravity=gravity,
        elastic=elastic,
        impulses=impulses,
        points=points,
        springs=held,
        barrier=contact,
        friction=friction,
        joints=transmitted,
    )
    end = State(q_next, v_next, active, state.tick, state.broken)
    if second is not None:
        end = _with_history(model, state, end, second, hit, h, halt)
        end = replace(end, collided=hit | _colliding(model, report, h))
    return end, report, spent


def _with_history(
    model: Model, before: State, end: State, second: Bools, hit: Bools, h: float, halt: bool
) -> State:
    """Return the end of a step of h [s] with its past: the start of the step for the nodes that took BDF2 in it.

    second (nodes,): those. hit (bodies,): bodies whose velocities changed after the step.
    """
    second = second & ~np.repeat(hit, np.diff(model.node_offset))
    q_past, v_past = free_past(model.tables, model.gravity, end.q, end.v, h)
    q_past[second], v_past[second] = before.q[second], before.v[second]
    if halt:
        q_past, v_past = end.q.copy(), end.v.copy()
    return replace(end, q_past=q_past, v_past=v_past)


def _joined(reports: list[StepReport]) -> StepReport:
    """Return the report of a tick from those of its parts.

    Energies and contacts are those of the end. Contact points are weighted by the size of the impulses.
    """
    if len(reports) == 1:
        return reports[0]
    impulses = reports[0].impulses.copy()
    total, sums = np.zeros(impulses.shape[:2]), np.zeros(impulses.shape)
    for report in reports:
        if report is not reports[0]:
            impulses += report.impulses
        # Few of all pairs of bodies touch.
        touching = np.nonzero(~np.isnan(report.points[:, :, 0]))
        weight = np.linalg.norm(report.impulses[touching], axis=1)
        total[touching] += weight
        sums[touching] += weight[:, None] * report.points[touching]
    touched = np.nonzero(total)
    mean = np.full(impulses.shape, np.nan)
    mean[touched] = sums[touched] / total[touched][:, None]
    return replace(
        reports[-1],
        iterations=sum(report.iterations for report in reports),
        min_distance=min(report.min_distance for report in reports),
        converged=all(report.converged for report in reports),
        impulses=impulses,
        points=mean,
        friction=sum(report.friction for report in reports),
        joints=np.concatenate(
            [np.max([report.joints[:, :2] for report in reports], axis=0), reports[-1].joints[:, 2:]], axis=1
        ),
    )


def _with_joints(model: Model, state: State, h: float) -> Joints:
    """Return the joints for a step of h [s] from a state: those that are broken, or whose body is gone, do not act."""
    joints = model.joint_arrays
    links, numbers = joints.links.copy(), joints.numbers.copy()
    sides = links[:, BODY_A : BODY_B + 1]
    gone = state.broken | ((sides >= 0) & ~state.active[sides]).any(axis=1)
    links[gone, KIND] = -1
    joints = joints._replace(links=links, numbers=numbers, slopes=np.empty((len(links), 8, 3)))
    start = np.empty(len(numbers))
    start_joints(joints, state.q, start, joints.slopes)
    numbers[:, START], numbers[:, STEP], numbers[:, STEP_SQUARE] = start, h, h * h
    return joints


def _breaking(model: Model, report: StepReport) -> Bools:
    """Return which joints transmitted more than they hold in a tick, shape (joints,)."""
    limits = np.array([(joint.breaks_at, joint.breaks_at_torque) for joint in model.joints])
    return np.asarray(((limits > 0.0) & (report.joints[:, :2] > limits)).any(axis=1))


def _parameters(model: Model, h: float, limit: int, stop: int) -> SolverParameters:
    """Return the scalars of a step of h [s].

    A tolerance of the scene holds as it is. By default the stopping rule follows from what the result depends on: the
    velocity that gravity gives in one step, the range of the barrier, and the step's own motion or, of bodies that
    friction holds, the motion that counts as none.
    """
    scene = model.scene
    kappa = model.kappa
    if h != model.dt:
        kappa = h * h * GRAVITY / barrier_force(0.5 * scene.dhat, scene.dhat)
    tolerance, share = scene.tolerance * h, math.inf
    if tolerance == 0.0:
        tolerance = min(FALL_SHARE * GRAVITY * h * h, DHAT_SHARE * scene.dhat)
        share = MOTION_SHARE
    return SolverParameters(
        dt=h, dhat=scene.dhat, kappa=kappa, friction_eps=model.friction_speed * h, tolerance=tolerance,
        motion_share=share, iterations=limit, stop=stop,
    )  # fmt: skip


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


def _collect_springs(
    model: Model, q: Floats, active: np.ndarray, control: Control, h: float, time: float
) -> Springs:
    """Return the pins and the handles of this tick as springs. time [s]: that of the pins that move.

    A handle's spring and damper are one spring: k/2 |m - t|^2 + c/(2h) |m - m_n|^2 is, up to a constant, a spring of
    stiffness k + c/h towards the weighted mean of the target t and the handle's position m_n at the start of the tick.
    """
    pins = move_pins(model.pins, model.motions, time) if model.motions else model.pins
    targets = [target for target in control.handles if active[target.body]]
    if not targets:
        return pins
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
