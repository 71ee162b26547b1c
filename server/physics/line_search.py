"""The line search of an island: each trial is reached from the iterate on a straight segment without collisions and
inversions.

The trials lie on a curve where stiff affine bodies turn. On a straight line the map of such a body would stretch with
the square of its turn, and its energy with the fourth power: turns of some degrees were cut to a fraction.
``turn_step`` gives each trial the strain that the direction has to first order. The segments to two such trials differ,
so each has a collision detection of its own.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.averaged_strain import mean_deformation
from tussle.server.physics.barrier import contact_energy
from tussle.server.physics.friction import friction_energy
from tussle.server.physics.jit import borrow, inlined, inner, kernel
from tussle.server.physics.joint_forces import island_joints_energy
from tussle.server.physics.kernel_arrays import AFFINE
from tussle.server.physics.potential import body_energy, place_vertices
from tussle.server.physics.step_limits import collision_free_step, inversion_free_step

__all__ = ["MAX_HALVINGS", "limit_direction", "search_line", "turn_step"]

MAX_HALVINGS = 12
"""The most halvings of a line search."""
TRIES = 8
"""The most shares of a direction for which the segment to a turned trial is tested."""
SEGMENT_KEEP = 0.9
"""The next such share, in units of the collision-free one."""
TURN_MIN = 1e-10
"""The square of the change of a map from which on it is turned. Smaller turns stretch it by less than that."""
TURN_MAX = 0.25
"""The square of the change of a map up to which it is turned: the segment to the trial then inverts nothing."""
STRAIN_MAX = 0.1
"""The strain up to which a map is turned: the largest entry of A A^T - 1, at the iterate and at the trial."""
CORRECTIONS = 3
"""The iterations for the turned map. Each squares the error, as long as the strain is small."""


@kernel
def turn_step(q, trial, first):
    """Turn the map of the affine body whose nodes start at row ``first``: its strain at the trial becomes A A^T + A
    dA^T + dA A^T, what it is to first order, for A in q and A + dA in the trial. Returns whether it did.

    q, trial: shape (nodes, 3) [m]. The map is left as it is if it hardly changes, turns too far, or is not nearly a
    rotation.
    """
    square = 0.0
    for i in range(1, 4):
        for k in range(3):
            square += (trial[first + i, k] - q[first + i, k]) ** 2
    if square < TURN_MIN or square > TURN_MAX:
        return False
    goal = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            before = after = 0.0
            for k in range(3):
                one, other = q[first + 1 + i, k], q[first + 1 + j, k]
                before += one * other
                after += one * trial[first + 1 + j, k] + other * trial[first + 1 + i, k] - one * other
            unit = 1.0 if i == j else 0.0
            if abs(before - unit) > STRAIN_MAX or abs(after - unit) > STRAIN_MAX:
                return False
            goal[i, j] = after
    excess, change = np.empty((3, 3)), np.empty((3, 3))
    for _ in range(CORRECTIONS):
        for i in range(3):
            for j in range(3):
                excess[i, j] = -goal[i, j]
                for k in range(3):
                    excess[i, j] += trial[first + 1 + i, k] * trial[first + 1 + j, k]
        for i in range(3):
            for k in range(3):
                change[i, k] = 0.0
                for j in range(3):
                    change[i, k] -= 0.5 * excess[i, j] * trial[first + 1 + j, k]
        for i in range(3):
            for k in range(3):
                trial[first + 1 + i, k] += change[i, k]
    return True


@inlined
def _set_trial(t, w, b, share, turns):
    """Set the trial position of a body to the iterate plus ``share`` of the direction. Returns whether it is turned,
    which needs a collision detection of its own; not if ``turns`` is False."""
    for n in range(t.node_start[b], t.node_start[b + 1]):
        for k in range(3):
            w.q_trial[n, k] = w.q[n, k] + share * w.direction[n, k]
    turned = turns and t.kind[b] == AFFINE and turn_step(w.q, w.q_trial, t.node_start[b])
    place_vertices(t, b, w.q_trial, w.x_trial)
    return turned


@inlined
def _set_travel(t, w, b):
    """Set the travel of a body to its trial position. Returns the largest displacement of a vertex along an axis [m],
    and whether the trial leaves its box.
    """
    largest = 0.0
    outside = False
    for v in range(t.vertex_start[b], t.vertex_start[b + 1]):
        square = 0.0
        for k in range(3):
            step = w.x_trial[v, k] - w.x[v, k]
            square += step * step
            largest = max(largest, abs(step))
            outside = outside or w.x_trial[v, k] < w.low[v, k] or w.x_trial[v, k] > w.high[v, k]
        w.travel[v] = math.sqrt(square)
    return largest, outside


@inlined
def _inversion_free_step(t, b, q, direction):
    """Return the largest step in (0, 1] along the direction that inverts nothing in a body."""
    first = t.node_start[b]
    rows = np.empty((3, 3))
    steps = np.empty((3, 3))
    affine = t.kind[b] == AFFINE
    share = 1.0
    for e in range(0 if affine else t.tet_start[b], 1 if affine else t.tet_start[b + 1]):
        for i in range(3):
            for k in range(3):
                if affine:
                    rows[i, k] = q[first + 1 + i, k]
                    steps[i, k] = direction[first + 1 + i, k]
                else:
                    rows[i, k] = q[t.tets[e, i + 1], k] - q[t.tets[e, 0], k]
                    steps[i, k] = direction[t.tets[e, i + 1], k] - direction[t.tets[e, 0], k]
        share = min(share, inversion_free_step(rows, steps))
    for p in range(t.patch_start[b], t.patch_start[b + 1]):
        mean_deformation(q, t.patch_first, t.patch_nodes, t.patch_slopes, p, rows)
        mean_deformation(direction, t.patch_first, t.patch_nodes, t.patch_slopes, p, steps)
        share = min(share, inversion_free_step(rows, steps))
    return share


@inlined
def limit_direction(t, w, b):
    """Shorten the direction of a body so that nothing inverts, and set its trial position and travel.

    Returns the largest displacement of a vertex before the shortening [m], and whether the trial leaves its box.
    """
    share = _inversion_free_step(t, b, w.q, w.direction)
    if share < 1.0:
        for n in range(t.node_start[b], t.node_start[b + 1]):
            for k in range(3):
                w.direction[n, k] *= share
    w.turned[b] = _set_trial(t, w, b, 1.0, True)
    largest, outside = _set_travel(t, w, b)
    if t.kind[b] != AFFINE:
        for n in range(t.node_start[b], t.node_start[b + 1]):
            for k in range(3):
                largest = max(largest, abs(w.direction[n, k]))
    return largest / share, outside


@inner
def _set_turned_trials(t, islands, i, w, c, share):
    """Set the trials and travels of an island to a share of the direction. Returns the share, which becomes smaller
    until the segments to the trials are free of collision; 0 if they are not after TRIES.
    """
    for _ in range(TRIES):
        outside = False
        for m in range(islands.member_start[i], islands.member_start[i + 1]):
            _set_trial(t, w, islands.members[m], share, True)
            _, leaves = _set_travel(t, w, islands.members[m])
            outside = outside or leaves
        free = 0.5
        if not outside:
            begin, end = islands.pair_start[i], islands.pair_start[i + 1]
            free = collision_free_step(c.pairs, begin, end, w.x, w.x_trial, w.travel, c.bound)
            if free == 1.0:
                return share
        share *= SEGMENT_KEEP * free
    return 0.0


@inner
def search_line(t, joints, springs, params, islands, i, w, c, lag, energy, halvings):
    """Find a trial position of an island, free of collision, at which its potential does not rise. Returns whether
    there is one, the share of the direction that it takes, and the share that is free of collision.

    energy: the potential of each island at its iterate, NaN if not known yet; updated. Backtracks by halving from the
    largest collision-free step. The trials must be those of limit_direction.
    """
    t, islands, w, c, lag = borrow(t), borrow(islands), borrow(w), borrow(c), borrow(lag)
    begin, end = islands.pair_start[i], islands.pair_start[i + 1]
    longest = collision_free_step(c.pairs, begin, end, w.x, w.x_trial, w.travel, c.bound)
    known = not math.isnan(energy[i])
    share = longest if known else 0.0
    moved = known and share == 1.0
    turned = False
    for m in range(islands.member_start[i], islands.member_start[i + 1]):
        turned = turned or w.turned[islands.members[m]]
    backtracks = 0
    while backtracks < halvings:
        # The travel of turned trials is that of this share, of others that of the whole direction.
        reach = share
        if turned and share > 0.0:
            if not moved:
                share = _set_turned_trials(t, islands, i, w, c, share)
                if share == 0.0:
                    break
            reach, moved = 1.0, True
        trial = 0.0
        for m in range(islands.member_start[i], islands.member_start[i + 1]):
            if not moved:
                _set_trial(t, w, islands.members[m], share, False)
            trial += body_energy(t, springs, islands.members[m], w.q_trial, w.predicted, params.dt)
        if trial < np.inf:
            trial += contact_energy(c, begin, end, w.x_trial, t.rest, w.travel, reach, params.dhat)
            trial += friction_energy(
                lag,
                islands.lag_order,
                islands.lag_start[i],
                islands.lag_start[i + 1],
                w.x_trial,
                w.start,
                params.friction_eps,
            )
            if joints.links.shape[0] > 0:
                trial += island_joints_energy(joints, islands, i, w.q_trial)
        if not known:
            known = True
            energy[i] = trial
            share = longest
        elif trial < np.inf and trial <= energy[i] + 1e-12 * abs(energy[i]):
            energy[i] = trial
            return True, share, longest
        else:
            backtracks += 1
            share *= 0.5
        moved = False
    return False, 0.0, longest
