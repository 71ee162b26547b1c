"""Restitution: after a step, bodies that collided in it separate with the share e of the speed of their approach.

Newton's law of impact at the velocity level, as a projection between two steps: positions stay those of the step, which
are free of intersections. For each contact at the end of a step with a speed of approach u larger than ``least`` the
impulse along the normal makes the relative speed e u (Mueller et al. 2020, "Detailed Rigid Body Simulation with
Extended Position Based Dynamics", section 3.6); the impulses of all contacts are found together, by projected
Gauss-Seidel. u is the speed at the contact and not at the start of the step: that of the bodies as rigid ones where
they are at the end, with the levers of the impulses, and with the work of gravity on the way. So an impact gains no
energy, and the height of a bounce does not depend on dt. Impulses turn and move bodies as rigid ones. Elastic bodies
take no part: they bounce by their elasticity.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.barrier import measure_distances
from tussle.server.physics.broadphase import candidate_pairs
from tussle.server.physics.islands import second_vertex
from tussle.server.physics.jit import inner, kernel
from tussle.server.physics.joint_forces import drop_apart, find_pair
from tussle.server.physics.potential import place_vertices

__all__ = ["bounce"]

SWEEPS = 50
"""The sweeps over all contacts. Four corners of a box need some twenty for three digits."""


@inner
def _invert_inertia(t, body, q, out):
    """Write the inverse of the inertia tensor of an affine body about its centre [1/(kg m^2)] into out, (3, 3)."""
    first = t.node_start[body]
    spread = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for a in range(3):
                for b in range(3):
                    spread[a, b] += q[first + 1 + i, a] * t.mass[body, 1 + i, 1 + j] * q[first + 1 + j, b]
    trace = spread[0, 0] + spread[1, 1] + spread[2, 2]
    tensor = -spread
    for a in range(3):
        tensor[a, a] += trace
    for a in range(3):
        for b in range(3):
            i, j = (a + 1) % 3, (a + 2) % 3
            k, m = (b + 1) % 3, (b + 2) % 3
            out[b, a] = tensor[i, k] * tensor[j, m] - tensor[i, m] * tensor[j, k]
    det = tensor[0, 0] * out[0, 0] + tensor[0, 1] * out[1, 0] + tensor[0, 2] * out[2, 0]
    for a in range(3):
        for b in range(3):
            out[a, b] /= det


@inner
def _find_spin(t, body, q, v, inverse, out):
    """Write the angular velocity of an affine body [rad/s] into out, (3,). Overwrites inverse, (3, 3)."""
    first = t.node_start[body]
    momentum = np.zeros(3)
    for i in range(1, 4):
        for j in range(1, 4):
            for k in range(3):
                a, b = (k + 1) % 3, (k + 2) % 3
                lever = q[first + i, a] * v[first + j, b] - q[first + i, b] * v[first + j, a]
                momentum[k] += t.mass[body, i, j] * lever
    _invert_inertia(t, body, q, inverse)
    for k in range(3):
        out[k] = inverse[k, 0] * momentum[0] + inverse[k, 1] * momentum[1] + inverse[k, 2] * momentum[2]


@inner
def _side_mass(r, n, mass, inverse, turn):
    """Return the inverse mass that an impulse along n at r from the centre meets [1/kg], and write the change of the
    spin by a unit impulse into turn, (3,)."""
    cross = np.empty(3)
    for k in range(3):
        a, b = (k + 1) % 3, (k + 2) % 3
        cross[k] = r[a] * n[b] - r[b] * n[a]
    total = 1.0 / mass
    for k in range(3):
        turn[k] = inverse[k, 0] * cross[0] + inverse[k, 1] * cross[1] + inverse[k, 2] * cross[2]
        total += turn[k] * cross[k]
    return total


@inner
def _place_all(t, q, out):
    """Write W q of all bodies into out, (v, 3)."""
    for body in range(t.kind.shape[0]):
        place_vertices(t, body, q, out)


@kernel
def bounce(t, apart, bounces, present, q0, q1, v0, v1, pull, dhat, least, impulses):
    """Let the bodies of a step from q0 to q1 [m] bounce. Changes v1 [m/s], adds to impulses [N s], and returns which
    bodies collided, shape (b,).

    t: Tables. bounces: Bounces. present (g,): groups that are there. v0: velocities at the start of the step. pull:
    acceleration of the nodes without contact [m/s^2]. least: the smallest speed of an approach that bounces [m/s].
    impulses (b + 1, b + 1, 3): as in StepReport.
    """
    bodies, groups = t.kind.shape[0], t.point_start.shape[0] - 1
    hit = np.zeros(bodies, np.bool_)
    x, before = t.world.copy(), t.world.copy()
    speed0, speed1, gain = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    _place_all(t, q1, x)
    _place_all(t, q0, before)
    _place_all(t, v0, speed0)
    _place_all(t, v1, speed1)
    _place_all(t, pull, gain)
    pairs = candidate_pairs(
        t.points, t.point_start, t.edges, t.edge_start, t.faces, t.face_start, x - 0.5 * dhat, x + 0.5 * dhat,
        t.mobile, t.bends, present,
    )  # fmt: skip
    if apart.shape[0] > 0:
        pairs = drop_apart(apart, groups, t.vertex_group, pairs)
    bound, weights = np.empty(pairs.shape[0]), np.empty((pairs.shape[0], 4))
    measure_distances(pairs, x, dhat, bound, weights)
    sides = np.empty((pairs.shape[0], 2), np.int64)
    normal, wanted = np.empty((pairs.shape[0], 3)), np.empty(pairs.shape[0])
    inertia, turn = np.empty(pairs.shape[0]), np.zeros((pairs.shape[0], 2, 3))
    arm = np.empty((pairs.shape[0], 2, 3))
    inverse, known = np.empty((bodies, 3, 3)), np.zeros(bodies, np.bool_)
    spin = np.empty((bodies, 3))
    count = 0
    for p in range(pairs.shape[0]):
        a, b = t.vertex_group[pairs[p, 1]], t.vertex_group[second_vertex(pairs, p)]
        if bound[p] >= dhat or bound[p] <= 0.0 or a == b:
            continue
        e = max(bounces.share[a], bounces.share[b])
        if bounces.keys.shape[0] > 0:
            found = find_pair(bounces.keys, groups, a, b)
            e = bounces.shares[found] if found >= 0 else e
        if e <= 0.0 or bounces.bends[a] or bounces.bends[b]:
            continue
        approach = now = way = fall = 0.0
        for k in range(3):
            r = 0.0
            for q in range(4):
                r += weights[p, q] * x[pairs[p, q + 1], k]
            normal[count, k] = r / bound[p]
        for k in range(3):
            arm[count, 0, k] = arm[count, 1, k] = 0.0
            for q in range(4):
                w, v = weights[p, q], pairs[p, q + 1]
                now += normal[count, k] * w * speed1[v, k]
                way += normal[count, k] * w * (x[v, k] - before[v, k])
                fall += normal[count, k] * w * gain[v, k]
                arm[count, 0 if w > 0.0 else 1, k] += abs(w) * x[v, k]
        sides[count, 0], sides[count, 1] = a, b
        for side in range(2):
            g, sign = sides[count, side], 1.0 - 2.0 * side
            if g < bodies and bounces.mass[g] > 0.0:
                if not known[g]:
                    known[g] = True
                    _find_spin(t, g, q0, v0, inverse[g], spin[g])
                    _invert_inertia(t, g, q1, inverse[g])
                for k in range(3):
                    arm[count, side, k] -= q1[t.node_start[g], k]
                for k in range(3):
                    i, j = (k + 1) % 3, (k + 2) % 3
                    turns = spin[g, i] * arm[count, side, j] - spin[g, j] * arm[count, side, i]
                    approach += sign * normal[count, k] * (v0[t.node_start[g], k] + turns)
                continue
            sides[count, side] = -1
            for q in range(4):
                w, v = weights[p, q], pairs[p, q + 1]
                if w * sign > 0.0:
                    for k in range(3):
                        approach += normal[count, k] * w * speed0[v, k]
        square = approach * approach + 2.0 * fall * way
        if approach >= 0.0 or square <= least * least:
            continue
        wanted[count] = e * math.sqrt(square) - now
        inertia[count] = 0.0
        for side in range(2):
            g = sides[count, side]
            if g < 0:
                continue
            inertia[count] += _side_mass(
                arm[count, side], normal[count], bounces.mass[g], inverse[g], turn[count, side]
            )
        if inertia[count] > 0.0:
            count += 1
    gained = np.zeros((bodies, 2, 3))
    pushed = np.zeros(count)
    for _ in range(SWEEPS):
        for c in range(count):
            missing = wanted[c]
            for side in range(2):
                g, sign = sides[c, side], 1.0 - 2.0 * side
                if g < 0:
                    continue
                for k in range(3):
                    i, j = (k + 1) % 3, (k + 2) % 3
                    at = gained[g, 1, i] * arm[c, side, j] - gained[g, 1, j] * arm[c, side, i]
                    missing -= sign * normal[c, k] * (gained[g, 0, k] + at)
            total = max(0.0, pushed[c] + missing / inertia[c])
            change, pushed[c] = total - pushed[c], total
            for side in range(2):
                g, sign = sides[c, side], 1.0 - 2.0 * side
                if g < 0:
                    continue
                for k in range(3):
                    gained[g, 0, k] += sign * change * normal[c, k] / bounces.mass[g]
                    gained[g, 1, k] += sign * change * turn[c, side, k]
    for c in range(count):
        for side in range(2):
            if sides[c, side] >= 0:
                hit[sides[c, side]] = True
        a = sides[c, 0] if sides[c, 0] >= 0 else bodies
        b = sides[c, 1] if sides[c, 1] >= 0 else bodies
        for k in range(3):
            impulses[a, b, k] += pushed[c] * normal[c, k]
            impulses[b, a, k] -= pushed[c] * normal[c, k]
    for g in range(bodies):
        if not hit[g]:
            continue
        first = t.node_start[g]
        for k in range(3):
            i, j = (k + 1) % 3, (k + 2) % 3
            v1[first, k] += gained[g, 0, k]
            for row in range(first + 1, first + 4):
                v1[row, k] += gained[g, 1, i] * q1[row, j] - gained[g, 1, j] * q1[row, i]
    return hit
