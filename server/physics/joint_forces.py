"""Joints: stiff energies of linear functions of the nodes, with limits, springs and motors on their coordinate.

A joint sees each of its two sides as four vectors: the anchor x, and three directions n, t, s that move with the
material. Each is a weighted sum of at most four nodes (of an affine body, or of one tetrahedron), or constant (the
world). A ball is x_a = x_b; a hinge also n_a = n_b; a fixed joint all four. In the coordinates of affine bodies these
are linear, so their penalties are quadratic and Newton's method solves them in one iteration (Lan et al. 2022, "Affine
body dynamics", section 5). A slider's x_a - x_b has no component along t_b and s_b, a distance joint's has its length.

A limit is a stiff residual on one side only. Newton's direction does not see it from the other side, and a line search
finds no energy below that of a point right before it. Limits that the direction would pass are therefore armed: they
count as equations, and the direction is computed again. It ends at the limit, and the potential falls on the way. A
motor that would pass its speed is armed likewise: its largest force does not count; one that would lose it pushes with
that force. Motors and dampers of a hinge act
on the sine of the turn since the start of the step, which is linear in the nodes.

Every term is a scalar residual with a quadratic energy, linear beyond a largest force (a motor's). The Hessian is that
of Gauss and Newton: it leaves out the curvature of the residuals. Energies are times dt^2, as all of the potential.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.elimination import find_entry
from tussle.server.physics.islands import second_vertex
from tussle.server.physics.jit import inner, kernel

__all__ = [
    "BALL",
    "BODY_A",
    "BODY_B",
    "COLUMNS",
    "DAMPING",
    "DISTANCE",
    "FIXED",
    "HIGH",
    "HINGE",
    "HOLD",
    "KIND",
    "LENGTH",
    "LEVER",
    "LINKS",
    "LOW",
    "MOTOR_LIMIT",
    "MOTOR_SPEED",
    "NODES",
    "NONE",
    "REST",
    "SLIDER",
    "SPRING",
    "START",
    "STEP",
    "STEP_SQUARE",
    "add_joint_cliques",
    "add_joints",
    "arm_limits",
    "drop_apart",
    "find_pair",
    "island_joints_energy",
    "joined_groups",
    "measure_joints",
    "pair_friction",
    "start_joints",
]

BALL, HINGE, SLIDER, FIXED, DISTANCE = 0, 1, 2, 3, 4
"""Kinds of joints; -1 is one that does not act."""
KIND, BODY_A, BODY_B, NODES, LINKS = 0, 1, 2, 3, 11
"""Columns of Joints.links: kind, the two bodies (-1 is the world or an obstacle), then four nodes of each (-1 none)."""
HOLD, LEVER, LENGTH, LOW, HIGH, SPRING, REST, DAMPING = 0, 1, 2, 3, 4, 5, 6, 7
MOTOR_SPEED, MOTOR_LIMIT, START, STEP, STEP_SQUARE, COLUMNS = 8, 9, 10, 11, 12, 13
"""Columns of Joints.numbers. HOLD: stiffness of the joint times dt^2 [kg]. LEVER: length that makes angles lengths [m].
LENGTH: kept by a distance joint [m], or negative. LOW, HIGH: limits of the coordinate. SPRING, REST, DAMPING: its
spring. START: the coordinate at the start of the step; of a hinge, the part of its turn that is constant. STEP: dt [s].
STEP_SQUARE: the dt^2 of the potential [s^2]."""
NONE = 1e300
"""The limits of a joint without limits."""
ROWS = 16
"""The most residuals of a joint: twelve, limits, spring, damping, motor."""
TURN_MAX = 1.5
"""The largest turn of a motor in one step [rad]."""
HOLDS, PUSHES = 1, 2
"""How a motor is armed: without a largest force, or with it whatever its speed."""
MOTOR_HOLD = 1e-2
"""The stiffness with which a motor holds its speed, in units of HOLD."""


@inner
def _wrap(angle):
    """Return an angle in (-pi, pi]."""
    while angle > math.pi:
        angle -= 2.0 * math.pi
    while angle <= -math.pi:
        angle += 2.0 * math.pi
    return angle


@inner
def _place_frames(joints, j, q, frame):
    """Write the vectors x, n, t, s of side a, then of side b, into frame, shape (8, 3)."""
    for side in range(2):
        for f in range(4):
            for k in range(3):
                total = joints.frames[j, side, f, 4 + k]
                for e in range(4):
                    node = joints.links[j, NODES + 4 * side + e]
                    if node >= 0:
                        total += joints.frames[j, side, f, e] * q[node, k]
                frame[4 * side + f, k] = total


@inner
def _coordinate(kind, frame, slope):
    """Return the coordinate of a joint, and write its derivative by the frame into slope, shape (8, 3)."""
    slope[:, :] = 0.0
    if kind == HINGE:
        c = s = 0.0
        for k in range(3):
            c += frame[2, k] * frame[6, k]
            s += frame[2, k] * frame[7, k]
        square = max(c * c + s * s, 1e-300)
        for k in range(3):
            slope[2, k] = (c * frame[7, k] - s * frame[6, k]) / square
            slope[6, k] = -s * frame[2, k] / square
            slope[7, k] = c * frame[2, k] / square
        return math.atan2(s, c)
    if kind == SLIDER:
        way = 0.0
        for k in range(3):
            r = frame[0, k] - frame[4, k]
            way += r * frame[5, k]
            slope[0, k] = frame[5, k]
            slope[4, k] = -frame[5, k]
            slope[5, k] = r
        return way
    if kind == DISTANCE:
        square = 0.0
        for k in range(3):
            square += (frame[0, k] - frame[4, k]) ** 2
        length = math.sqrt(square)
        for k in range(3):
            slope[0, k] = (frame[0, k] - frame[4, k]) / max(length, 1e-150)
            slope[4, k] = -slope[0, k]
        return length
    if kind == BALL:
        c = 0.0
        for k in range(3):
            c += frame[1, k] * frame[5, k]
        square = 0.0
        for k in range(3):
            square += (frame[1, k] - c * frame[5, k]) ** 2
        s = math.sqrt(square)
        if s > 1e-9:
            for k in range(3):
                slope[1, k] = -(frame[5, k] - c * frame[1, k]) / s
                slope[5, k] = -(frame[1, k] - c * frame[5, k]) / s
        return math.atan2(s, c)
    return 0.0


@inner
def _append_equal(frame, f, factor, hold, count, value, stiff, slope):
    """Append factor (v_a - v_b) = 0 for the f-th vector of both sides. Returns the new count."""
    for k in range(3):
        value[count] = factor * (frame[f, k] - frame[4 + f, k])
        stiff[count] = hold
        slope[count, :, :] = 0.0
        slope[count, f, k] = factor
        slope[count, 4 + f, k] = -factor
        count += 1
    return count


@inner
def _append_coordinate(size, residual, k, change, count, value, stiff, slope):
    """Append a residual whose derivative is that of the coordinate. Returns the new count."""
    value[count] = residual * size
    stiff[count] = k / (size * size)
    for f in range(8):
        for a in range(3):
            slope[count, f, a] = change[f, a] * size
    return count + 1


@inner
def _limit_distance(kind, numbers, at):
    """Return how far the coordinate is from the middle of its limits, and half of their distance."""
    if kind == BALL:
        return at, numbers[HIGH]
    middle = 0.5 * (numbers[LOW] + numbers[HIGH])
    away = _wrap(at - middle) if kind == HINGE else at - middle
    return away, 0.5 * (numbers[HIGH] - numbers[LOW])


@inner
def _list_residuals(joints, j, q, armed, frame, value, stiff, most, slope):
    """Write the residuals of joint j at q. Returns how many there are, and how many store energy (the first ones).

    armed: 1 or -1 if the upper or lower limit counts as an equation, else 0. The last residual is that of the motor.

    value (ROWS,), stiff (ROWS,): stiffness times dt^2. most (ROWS,): the largest force times dt^2. slope (ROWS, 8, 3):
    derivative by the frame (8, 3), which is written too.
    """
    kind, numbers = joints.links[j, KIND], joints.numbers[j]
    hold, lever = numbers[HOLD], numbers[LEVER]
    _place_frames(joints, j, q, frame)
    most[:] = np.inf
    count = 0
    if kind in (BALL, HINGE, FIXED):
        count = _append_equal(frame, 0, 1.0, hold, count, value, stiff, slope)
    if kind in (HINGE, FIXED, SLIDER):
        count = _append_equal(frame, 1, lever, hold, count, value, stiff, slope)
    if kind in (FIXED, SLIDER):
        count = _append_equal(frame, 2, lever, hold, count, value, stiff, slope)
    if kind == FIXED:
        count = _append_equal(frame, 3, lever, hold, count, value, stiff, slope)
    if kind == SLIDER:
        for f in range(6, 8):
            value[count] = 0.0
            stiff[count] = hold
            slope[count, :, :] = 0.0
            for k in range(3):
                r = frame[0, k] - frame[4, k]
                value[count] += r * frame[f, k]
                slope[count, 0, k] = frame[f, k]
                slope[count, 4, k] = -frame[f, k]
                slope[count, f, k] = r
            count += 1
    if kind == FIXED:
        return count, count
    angular = kind in (HINGE, BALL)
    size = lever if angular else 1.0
    square = numbers[STEP_SQUARE]
    change = np.empty((8, 3))
    at = _coordinate(kind, frame, change)
    if kind == DISTANCE and numbers[LENGTH] >= 0.0:
        count = _append_coordinate(1.0, at - numbers[LENGTH], hold, change, count, value, stiff, slope)
    if numbers[LOW] > -NONE:
        away, half = _limit_distance(kind, numbers, at)
        if abs(away) > half or armed != 0:
            beyond = away - half if armed > 0 or (armed == 0 and away > 0.0) else away + half
            count = _append_coordinate(size, beyond, hold * size * size, change, count, value, stiff, slope)
    if numbers[SPRING] > 0.0:
        off = at - numbers[REST]
        if kind == HINGE:
            off = _wrap(off)
        count = _append_coordinate(size, off, square * numbers[SPRING], change, count, value, stiff, slope)
    storing = count
    if numbers[DAMPING] > 0.0 or numbers[MOTOR_LIMIT] > 0.0:
        off = at - numbers[START]
        goal = numbers[MOTOR_SPEED] * numbers[STEP]
        if kind == HINGE:
            off, goal = -numbers[START], math.sin(min(max(goal, -TURN_MAX), TURN_MAX))
            for f in range(8):
                for k in range(3):
                    change[f, k] = joints.slopes[j, f, k]
                    off += change[f, k] * frame[f, k]
        if numbers[DAMPING] > 0.0:
            k = square * numbers[DAMPING] / numbers[STEP]
            count = _append_coordinate(size, off, k, change, count, value, stiff, slope)
        if numbers[MOTOR_LIMIT] > 0.0:
            most[count] = square * numbers[MOTOR_LIMIT] / size
            k = MOTOR_HOLD * hold * size * size
            count = _append_coordinate(size, off - goal, k, change, count, value, stiff, slope)
    return count, storing


@inner
def _residual_energy(value, k, most):
    """Return the energy of one residual: quadratic up to the force ``most``, linear beyond it (Huber's function)."""
    size = abs(value)
    if k * size <= most:
        return 0.5 * k * size * size
    return most * (size - 0.5 * most / k)


@inner
def _residual_force(value, k, most):
    """Return the derivative and the second derivative of _residual_energy."""
    force = k * value
    if abs(force) <= most:
        return force, k
    return (most if value > 0.0 else -most), 0.0


@inner
def island_joints_energy(joints, islands, island, q):
    """Return the energy of the joints of an island at the nodes q, times dt^2."""
    frame, value, stiff = np.empty((8, 3)), np.empty(ROWS), np.empty(ROWS)
    most, slope = np.empty(ROWS), np.empty((ROWS, 8, 3))
    energy = 0.0
    for m in range(islands.member_start[island], islands.member_start[island + 1]):
        body = islands.members[m]
        for j in range(joints.start[body], joints.start[body + 1]):
            if joints.links[j, KIND] >= 0:
                count, _ = _list_residuals(joints, j, q, 0, frame, value, stiff, most, slope)
                for r in range(count):
                    energy += _residual_energy(value[r], stiff[r], most[r])
    return energy


@inner
def add_joint_cliques(t, joints, islands, island, cliques, begins):
    """Return the cliques of an island with those of the joints between two bodies: nodes, ranges.

    cliques, begins: those of contacts and springs. An affine body is named by its first node.
    """
    sets = begins.shape[0] - 1
    total = cliques.shape[0]
    found = np.empty(total + 8 * joints.links.shape[0], np.int64)
    start = np.empty(sets + 1 + joints.links.shape[0], np.int64)
    found[:total] = cliques
    start[: sets + 1] = begins
    for m in range(islands.member_start[island], islands.member_start[island + 1]):
        body = islands.members[m]
        for j in range(joints.start[body], joints.start[body + 1]):
            if joints.links[j, KIND] < 0:
                continue
            sides = 0
            for side in range(2):
                held = False
                for e in range(4):
                    n = joints.links[j, NODES + 4 * side + e]
                    if n >= 0 and not t.fixed[n] and (e == 0 or t.span[n] == 1):
                        found[total] = n
                        total += 1
                        held = True
                sides += held
            if sides == 2:
                sets += 1
                start[sets] = total
            else:
                total = start[sets]
    return found[:total], start[: sets + 1]


@inner
def arm_limits(t, joints, islands, island, w, armed):
    """Arm the limits and motor speeds that the direction would pass.

    armed (j, 2): 1 or -1 for an upper or lower limit; HOLDS for a motor that would reach its speed, PUSHES or -PUSHES
    for one that would lose it. Returns whether there is a new one. Overwrites
    w.q_trial of the island.
    """
    for m in range(islands.member_start[island], islands.member_start[island + 1]):
        body = islands.members[m]
        for n in range(t.node_start[body], t.node_start[body + 1]):
            for k in range(3):
                w.q_trial[n, k] = w.q[n, k] + w.direction[n, k]
    frame, value, stiff = np.empty((8, 3)), np.empty(ROWS), np.empty(ROWS)
    most, slope, change = np.empty(ROWS), np.empty((ROWS, 8, 3)), np.empty((8, 3))
    found = False
    for m in range(islands.member_start[island], islands.member_start[island + 1]):
        body = islands.members[m]
        for j in range(joints.start[body], joints.start[body + 1]):
            kind, numbers = joints.links[j, KIND], joints.numbers[j]
            if kind < 0:
                continue
            if numbers[LOW] > -NONE and armed[j, 0] == 0:
                _place_frames(joints, j, w.q, frame)
                away, half = _limit_distance(kind, numbers, _coordinate(kind, frame, change))
                if abs(away) <= half:  # otherwise it acts already
                    _place_frames(joints, j, w.q_trial, frame)
                    away, half = _limit_distance(kind, numbers, _coordinate(kind, frame, change))
                    if abs(away) > half:
                        armed[j, 0] = 1 if away > 0.0 else -1
                        found = True
            if numbers[MOTOR_LIMIT] > 0.0 and abs(armed[j, 1]) != PUSHES:
                count, _ = _list_residuals(joints, j, w.q, 0, frame, value, stiff, most, slope)
                before, zone = value[count - 1], most[count - 1] / stiff[count - 1]
                count, _ = _list_residuals(joints, j, w.q_trial, 0, frame, value, stiff, most, slope)
                after = value[count - 1]
                crosses = (before > zone and after < zone) or (before < -zone and after > -zone)
                if armed[j, 1] == 0 and crosses:
                    armed[j, 1] = HOLDS
                    found = True
                elif (armed[j, 1] == HOLDS or abs(before) <= zone) and abs(after) > zone:
                    armed[j, 1] = PUSHES if after > 0.0 else -PUSHES
                    found = True
    return found


@inner
def add_joints(t, joints, islands, island, w, armed, system):
    """Add the gradients of the joints of an island to w.direction, and their Hessians to the system.

    armed (j, 2): as arm_limits writes it.
    """
    frame, value, stiff = np.empty((8, 3)), np.empty(ROWS), np.empty(ROWS)
    most, slope = np.empty(ROWS), np.empty((ROWS, 8, 3))
    change = np.empty((8, 3))
    for m in range(islands.member_start[island], islands.member_start[island + 1]):
        body = islands.members[m]
        for j in range(joints.start[body], joints.start[body + 1]):
            if joints.links[j, KIND] < 0:
                continue
            count, _ = _list_residuals(joints, j, w.q, armed[j, 0], frame, value, stiff, most, slope)
            for r in range(count):
                motor = armed[j, 1] if r == count - 1 else 0
                force, curve = _residual_force(value[r], stiff[r], np.inf if motor == HOLDS else most[r])
                if abs(motor) == PUSHES:
                    force, curve = (most[r] if motor > 0 else -most[r]), 0.0
                for e in range(8):
                    n = joints.links[j, NODES + e]
                    change[e, :] = 0.0
                    if n < 0 or t.fixed[n]:
                        continue
                    side = e // 4
                    for f in range(4):
                        weight = joints.frames[j, side, f, e - 4 * side]
                        for k in range(3):
                            change[e, k] += weight * slope[r, 4 * side + f, k]
                    for k in range(3):
                        w.direction[n, k] += force * change[e, k]
                if curve > 0.0:
                    _add_square(t, joints, j, w, curve, change, system)


@inner
def _add_square(t, joints, j, w, curve, change, system):
    """Add curve * change change^T to the system; change: by the eight nodes of a joint, (8, 3)."""
    first, row_start, rows, start = system.first, system.row_start, system.rows, system.start
    place, front = w.place, w.front
    for e in range(8):
        n = joints.links[j, NODES + e]
        if n < 0 or t.fixed[n]:
            continue
        for g in range(8):
            p = joints.links[j, NODES + g]
            if p < 0 or t.fixed[p] or place[p] > place[n]:
                continue
            at = find_entry(first, row_start, rows, start, place, front, n, p)
            for k in range(3):
                for c in range(3):
                    system.data[at + 12 * c + k] += curve * change[e, k] * change[g, c]


@inner
def joined_groups(joints, bodies, lagged):
    """Return the pairs of groups that lagged contacts and joints join, shape (m, 2). lagged: those of the contacts.

    bodies: how many there are, also the number of the world.
    """
    count = joints.links.shape[0]
    if count == 0:
        return lagged
    out = np.empty((lagged.shape[0] + count, 2), np.int64)
    for m in range(lagged.shape[0]):
        out[m, 0], out[m, 1] = lagged[m, 0], lagged[m, 1]
    for j in range(count):
        for side in range(2):
            body = joints.links[j, BODY_A + side]
            out[lagged.shape[0] + j, side] = bodies if body < 0 or joints.links[j, KIND] < 0 else body
    return out


@inner
def find_pair(keys, groups, a, b):
    """Return the place of a pair of groups among sorted keys, or -1. groups: how many there are."""
    key = min(a, b) * groups + max(a, b)
    low, high = 0, keys.shape[0]
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < keys.shape[0] and keys[low] == key else -1


@inner
def pair_friction(joints, groups, a, b, mu):
    """Return the friction of two groups: that of their pair if it has one, else ``mu``. groups: how many there are."""
    found = find_pair(joints.rubbing, groups, a, b)
    return joints.rubs[found] if found >= 0 else mu


@inner
def drop_apart(apart, groups, vertex_group, pairs):
    """Return the candidate pairs without those of two groups that may not touch.

    apart: as in Joints. groups: how many there are.
    """
    kept = 0
    for p in range(pairs.shape[0]):
        a, b = vertex_group[pairs[p, 1]], vertex_group[second_vertex(pairs, p)]
        if find_pair(apart, groups, a, b) >= 0:
            continue
        for k in range(5):
            pairs[kept, k] = pairs[p, k]
        kept += 1
    return pairs[:kept]


@kernel
def start_joints(joints, q, start, slopes):
    """Write START of each joint at the nodes q, shape (j,), and the derivative of the coordinate, shape (j, 8, 3).

    joints: Joints.
    """
    frame = np.empty((8, 3))
    for j in range(joints.links.shape[0]):
        _place_frames(joints, j, q, frame)
        kind = joints.links[j, KIND]
        start[j] = _coordinate(kind, frame, slopes[j])
        if kind == HINGE:
            start[j] = 0.0
            for f in range(8):
                for k in range(3):
                    start[j] += slopes[j, f, k] * frame[f, k]


@kernel
def measure_joints(joints, q, out):
    """Write the force [N], the torque about the anchor [N m] and the coordinate of each joint at the nodes q into out,
    shape (j, 3), and return the energy that they store [J]. Joints that do not act have zeros."""
    frame, value, stiff = np.empty((8, 3)), np.empty(ROWS), np.empty(ROWS)
    most, slope, change = np.empty(ROWS), np.empty((ROWS, 8, 3)), np.empty((8, 3))
    pull, turn = np.empty(3), np.empty(3)
    energy = 0.0
    for j in range(joints.links.shape[0]):
        out[j, :] = 0.0
        if joints.links[j, KIND] < 0:
            continue
        square = joints.numbers[j, STEP_SQUARE]
        count, storing = _list_residuals(joints, j, q, 0, frame, value, stiff, most, slope)
        pull[:] = 0.0
        turn[:] = 0.0
        for r in range(count):
            force, _ = _residual_force(value[r], stiff[r], most[r])
            if r < storing:
                energy += _residual_energy(value[r], stiff[r], most[r]) / square
            for k in range(3):
                pull[k] += force * slope[r, 0, k]
                a, b = (k + 1) % 3, (k + 2) % 3
                for f in range(1, 4):
                    turn[k] += force * (frame[f, a] * slope[r, f, b] - frame[f, b] * slope[r, f, a])
        out[j, 0] = math.sqrt(pull[0] ** 2 + pull[1] ** 2 + pull[2] ** 2) / square
        out[j, 1] = math.sqrt(turn[0] ** 2 + turn[1] ** 2 + turn[2] ** 2) / square
        out[j, 2] = _coordinate(joints.links[j, KIND], frame, change)
    return energy
