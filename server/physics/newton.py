"""One implicit step of a whole world in one compiled function: candidates, islands, Newton's method, line search,
report.

Every accepted iterate is free of intersections and inversions: a line search goes no farther than additive CCD and the
inversion filter allow. The result depends on the arguments only, never on time, threads or earlier steps.

The outline of Li et al. 2020, "Incremental Potential Contact", algorithm 1, applied per island.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.assembly import find_jointed_direction
from tussle.server.physics.barrier import barrier, measure_distances, mollifier
from tussle.server.physics.broadphase import candidate_pairs
from tussle.server.physics.distance import EDGE_EDGE, pair_travel
from tussle.server.physics.friction import update_pulls
from tussle.server.physics.islands import group_by_island, label_islands, second_vertex
from tussle.server.physics.jit import borrow, inlined, inner, kernel
from tussle.server.physics.joint_forces import drop_apart, joined_groups, pair_friction
from tussle.server.physics.kernel_arrays import Islands, Lagged, Pairs, Workspace
from tussle.server.physics.line_search import MAX_HALVINGS, limit_direction, search_line
from tussle.server.physics.potential import elastic_energy, place_vertices
from tussle.server.physics.slow_islands import (
    HOLD_FROM,
    HOLD_MIN,
    find_direction,
    free_share,
    hold_settled,
    release_held,
    stiffen_stalled,
)
from tussle.server.physics.step_energies import measure_energies

__all__ = ["minimise_potential"]

BOX_MARGIN = 2.0
"""How far the boxes of the candidates are inflated, in units of dhat. A trial outside its box needs new candidates."""
GUESS_HALVINGS = 3
"""The most halvings on the way to the first guess."""


@inner
def _contact_force(rest, pairs, p, x, weights, limit, normal):
    """Return |db/dd| and the mollifier of one pair, and write its unit normal, towards the first primitive, into
    ``normal``.
    """
    i, j, k, m = pairs[p, 1], pairs[p, 2], pairs[p, 3], pairs[p, 4]
    square = 0.0
    for a in range(3):
        r = (
            weights[p, 0] * x[i, a]
            + weights[p, 1] * x[j, a]
            + weights[p, 2] * x[k, a]
            + weights[p, 3] * x[m, a]
        )
        normal[a] = r
        square += r * r
    if square >= limit or square <= 0.0:
        return 0.0, 0.0
    distance = math.sqrt(square)
    for a in range(3):
        normal[a] /= distance
    _, slope, _ = barrier(square, limit)
    scale = 1.0
    if pairs[p, 0] == EDGE_EDGE:
        scale, _ = mollifier(x, rest, i, j, k, m)
    return -2.0 * slope * distance, scale


@inner
def _pair_stiffness(contact_mass, vertex_group, pairs, p, kappa):
    """Return the barrier stiffness of a pair times dt^2: that of the geometric mean of the two contact masses.

    Where one side cannot move, the mass of the other side counts alone. The arguments are arrays: a tuple of all tables
    would be copied for each pair, three kilobytes, in a seventh of the time of a pile.
    """
    a = contact_mass[vertex_group[pairs[p, 1]]]
    b = contact_mass[vertex_group[second_vertex(pairs, p)]]
    if a > 0.0 and b > 0.0:
        return kappa * math.sqrt(a) * math.sqrt(b)
    return kappa * max(a, b)


@inner
def _lag_contacts(t, joints, pairs, bound, weights, x, params):
    """Return the contacts at x that carry friction in this step, as Lagged."""
    pairs, weights = borrow(pairs), borrow(weights)
    count = 0
    for p in range(pairs.shape[0]):
        if bound[p] < params.dhat:
            count += 1
    rows = np.empty((count, 4), np.int64)
    lag_weights = np.empty((count, 4))
    normals = np.empty((count, 3))
    force = np.empty(count)
    groups = np.empty((count, 2), np.int64)
    into = borrow(normals)
    n = 0
    for p in range(pairs.shape[0]):
        if bound[p] >= params.dhat:
            continue
        groups[n, 0] = t.vertex_group[pairs[p, 1]]
        groups[n, 1] = t.vertex_group[second_vertex(pairs, p)]
        mu = math.sqrt(t.friction[groups[n, 0]] * t.friction[groups[n, 1]])
        if joints.rubbing.shape[0] > 0:
            mu = pair_friction(joints, t.friction.shape[0], groups[n, 0], groups[n, 1], mu)
        size, scale = _contact_force(t.rest, pairs, p, x, weights, params.dhat * params.dhat, into[n])
        force[n] = mu * _pair_stiffness(t.contact_mass, t.vertex_group, pairs, p, params.kappa) * size * scale
        if force[n] <= 0.0:
            continue
        for q in range(4):
            rows[n, q] = pairs[p, q + 1]
            lag_weights[n, q] = weights[p, q]
        n += 1
    return Lagged(rows[:n], lag_weights[:n], normals[:n], force[:n], groups[:n], np.zeros((n, 3)))


@inner
def _new_workspace(t, q_start, predicted, takes_part):
    """Return a Workspace: the iterate at the start of the step, the trial at the predicted position."""
    q = q_start.copy()
    start = t.world.copy()
    x_trial = t.world.copy()
    for b in range(takes_part.shape[0]):
        place_vertices(t, b, q_start, start)
        place_vertices(t, b, predicted if takes_part[b] else q_start, x_trial)
    return Workspace(
        q=q,
        q_trial=q.copy(),
        direction=np.zeros_like(q),
        predicted=predicted,
        start=start,
        x=start.copy(),
        x_trial=x_trial,
        travel=np.zeros(start.shape[0]),
        low=start.copy(),
        high=start.copy(),
        place=np.empty(q.shape[0], np.int64),
        front=np.empty(q.shape[0], np.int64),
        turned=np.zeros(takes_part.shape[0], np.bool_),
    )


@inner
def _set_swept_boxes(t, w, searched, margin):
    """Set the boxes of the bodies that are searched: from the iterate to the trial, inflated by ``margin`` [m]."""
    for b in range(w.turned.shape[0]):
        if searched[b]:
            for v in range(t.vertex_start[b], t.vertex_start[b + 1]):
                for k in range(3):
                    w.low[v, k] = min(w.x[v, k], w.x_trial[v, k]) - margin
                    w.high[v, k] = max(w.x[v, k], w.x_trial[v, k]) + margin


@inner
def _find_candidates(t, apart, w, present, searched, dhat):
    """Return the candidates of groups that are searched, (groups,), with bounds and weights at the iterate; not sorted.

    All pairs that can come within dhat while each vertex is in its box.
    """
    pairs = candidate_pairs(
        t.points,
        t.point_start,
        t.edges,
        t.edge_start,
        t.faces,
        t.face_start,
        w.low - 0.5 * dhat,
        w.high + 0.5 * dhat,
        searched,
        t.bends,
        present,
    )
    if apart.shape[0] > 0:
        pairs = drop_apart(apart, t.point_start.shape[0] - 1, t.vertex_group, pairs)
    bound = np.empty(pairs.shape[0])
    weights = np.empty((pairs.shape[0], 4))
    measure_distances(pairs, w.x, dhat, bound, weights)
    # Primitives that are far apart although their boxes overlap cannot meet within them.
    reach = np.empty(w.x.shape[0])
    for v in range(reach.shape[0]):
        square = 0.0
        for k in range(3):
            square += max(w.x[v, k] - w.low[v, k], w.high[v, k] - w.x[v, k]) ** 2
        reach[v] = math.sqrt(square)
    near = 0
    for p in range(pairs.shape[0]):
        nearer = pair_travel(reach, pairs[p, 0], pairs[p, 1], pairs[p, 2], pairs[p, 3], pairs[p, 4])
        if bound[p] - nearer < dhat:
            bound[near] = bound[p]
            for k in range(5):
                pairs[near, k] = pairs[p, k]
            for k in range(4):
                weights[near, k] = weights[p, k]
            near += 1
    return pairs[:near], bound[:near], weights[:near]


@inner
def _keep_candidates(t, c, searched, pairs, bound, weights):
    """Return the candidates of a search, and the earlier ones of groups that were not searched: their boxes hold."""
    t, c = borrow(t), borrow(c)
    holds = np.empty(c.pairs.shape[0], np.bool_)
    kept = 0
    for p in range(holds.shape[0]):
        a, b = t.vertex_group[c.pairs[p, 1]], t.vertex_group[second_vertex(c.pairs, p)]
        holds[p] = not (searched[a] or searched[b])
        kept += holds[p]
    total = kept + pairs.shape[0]
    all_pairs, all_bound, all_weights = np.empty((total, 5), np.int64), np.empty(total), np.empty((total, 4))
    n = 0
    for p in range(holds.shape[0]):
        if holds[p]:
            all_bound[n] = c.bound[p]
            for k in range(5):
                all_pairs[n, k] = c.pairs[p, k]
            for k in range(4):
                all_weights[n, k] = c.weights[p, k]
            n += 1
    all_pairs[kept:], all_bound[kept:], all_weights[kept:] = pairs, bound, weights
    return all_pairs, all_bound, all_weights


@inlined
def _pair_island(label, a, b):
    """Return the island of a pair of two groups, -1 if neither has one."""
    bodies = label.shape[0]
    if a < bodies and label[a] >= 0:
        return label[a]
    return label[b] if b < bodies else -1


@inner
def _sort_by_island(t, params, pairs, bound, weights, lag, joined, takes_part, stiffness):
    """Return the candidates sorted by island, as Pairs, and the Islands. Candidates of no island are last.

    joined: pairs of groups that lagged contacts and joints join, shape (m, 2). stiffness (bodies,): factors of the
    barriers.
    """
    pairs = borrow(pairs)
    bodies = takes_part.shape[0]
    label, count = label_islands(pairs, t.vertex_group, joined, takes_part)
    keys = np.empty(pairs.shape[0], np.int64)
    for p in range(pairs.shape[0]):
        a, b = t.vertex_group[pairs[p, 1]], t.vertex_group[second_vertex(pairs, p)]
        keys[p] = _pair_island(label, a, b)
        if keys[p] < 0:
            keys[p] = count
    order, pair_start = group_by_island(keys, count + 1)
    members, member_start = group_by_island(label, count)
    keys = np.empty(lag.groups.shape[0], np.int64)
    for p in range(lag.groups.shape[0]):
        a, b = lag.groups[p, 0], lag.groups[p, 1]
        keys[p] = _pair_island(label, a, b)
    lag_order, lag_start = group_by_island(keys, count)
    total = order.shape[0]
    own = Pairs(
        np.empty((total, 5), np.int64),
        np.empty(total),
        np.empty((total, 4)),
        np.empty(total),
        np.empty((total, 4)),
        np.empty(total),
    )
    c = borrow(own)
    for p in range(total):
        c.bound[p] = bound[order[p]]
        for k in range(5):
            c.pairs[p, k] = pairs[order[p], k]
        for k in range(4):
            c.weights[p, k] = weights[order[p], k]
        c.kappa[p] = _pair_stiffness(t.contact_mass, t.vertex_group, c.pairs, p, params.kappa)
        a, b = t.vertex_group[c.pairs[p, 1]], t.vertex_group[second_vertex(c.pairs, p)]
        c.kappa[p] *= max(stiffness[a] if a < bodies else 1.0, stiffness[b] if b < bodies else 1.0)
    return own, Islands(members, member_start, pair_start, lag_order, lag_start)


@inner
def _restart_joined_bodies(t, w, islands, done, step_size, last_size):
    """Let finished bodies take part again if an unfinished body has joined their island. Their direction starts at
    zero.
    """
    for i in range(islands.member_start.shape[0] - 1):
        unfinished = False
        for m in range(islands.member_start[i], islands.member_start[i + 1]):
            unfinished = unfinished or not done[islands.members[m]]
        for m in range(islands.member_start[i], islands.member_start[i + 1]):
            b = islands.members[m]
            if unfinished and done[b]:
                done[b] = False
                step_size[b] = 0.0
                last_size[b] = np.inf
                _hold_body(t, w, b)


@inner
def _hold_body(t, w, b):
    """Set the direction of a body to zero, and its trial position to its iterate."""
    for n in range(t.node_start[b], t.node_start[b + 1]):
        for k in range(3):
            w.direction[n, k] = 0.0
    for v in range(t.vertex_start[b], t.vertex_start[b + 1]):
        w.travel[v] = 0.0
        for k in range(3):
            w.x_trial[v, k] = w.x[v, k]


@inlined
def _set_guess(t, params, islands, i, w, c, coast):
    """Write the way to the first guess of an island into w.direction.

    The guess is where inertia takes the bodies, without gravity if they are in contact: it keeps sliding bodies out of
    the stiff middle of the friction, and resting ones where they are.
    """
    touching = False
    for p in range(islands.pair_start[i], islands.pair_start[i + 1]):
        touching = touching or c.bound[p] < params.dhat
    for m in range(islands.member_start[i], islands.member_start[i + 1]):
        b = islands.members[m]
        for n in range(t.node_start[b], t.node_start[b + 1]):
            for k in range(3):
                guess = coast[n, k] if touching else w.predicted[n, k]
                w.direction[n, k] = 0.0 if t.fixed[n] else guess - w.q[n, k]


@inner
def _remaining_error(size, last, share):
    """Return an estimate of the error that is left after a step [m].

    size, last: largest displacement of a vertex along this direction and along the one before [m]; last is inf if there
    is none. With the rate of convergence theta = size / last the steps to come add up to size * theta / (1 - theta)
    (Hairer and Wanner 1996, "Solving Ordinary Differential Equations II", section IV.8). Where the steps do not halve,
    or the line search cuts the direction, it is the size itself.
    """
    if share < 1.0 or size >= 0.5 * last or last == np.inf:
        return size
    theta = size / last
    return size * theta / (1.0 - theta)


@inlined
def _motion(t, islands, i, w):
    """Return how far the farthest vertex of an island has moved since the start of the step [m]."""
    largest = 0.0
    for m in range(islands.member_start[i], islands.member_start[i + 1]):
        b = islands.members[m]
        for v in range(t.vertex_start[b], t.vertex_start[b + 1]):
            square = 0.0
            for k in range(3):
                square += (w.x[v, k] - w.start[v, k]) ** 2
            largest = max(largest, square)
    return math.sqrt(largest)


@inlined
def _accept_trial(t, islands, i, w, c):
    """Make the trial position of an island its iterate."""
    for m in range(islands.member_start[i], islands.member_start[i + 1]):
        b = islands.members[m]
        for n in range(t.node_start[b], t.node_start[b + 1]):
            for k in range(3):
                w.q[n, k] = w.q_trial[n, k]
        for v in range(t.vertex_start[b], t.vertex_start[b + 1]):
            for k in range(3):
                w.x[v, k] = w.x_trial[v, k]
    for p in range(islands.pair_start[i], islands.pair_start[i + 1]):
        c.bound[p] = c.new_bound[p]
        for k in range(4):
            c.weights[p, k] = c.new_weights[p, k]


@inner
def _report_contacts(t, params, c, x, bodies, impulses, points):
    """Fill impulses [N s] and points [m], both (bodies + 1, bodies + 1, 3).

    Returns the number of contacts and the smallest distance [m].
    """
    c = borrow(c)
    limit = params.dhat * params.dhat
    total = np.zeros((bodies + 1, bodies + 1))
    normal = np.empty(3)
    contacts = 0
    nearest = np.inf
    for p in range(c.pairs.shape[0]):
        if c.bound[p] >= params.dhat:
            continue
        contacts += 1
        nearest = min(nearest, c.bound[p])
        a = min(t.vertex_group[c.pairs[p, 1]], bodies)
        b = min(t.vertex_group[second_vertex(c.pairs, p)], bodies)
        size, scale = _contact_force(t.rest, c.pairs, p, x, c.weights, limit, normal)
        impulse = c.kappa[p] * size * scale / params.dt
        for k in range(3):
            impulses[a, b, k] += impulse * normal[k]
            impulses[b, a, k] -= impulse * normal[k]
            at = 0.0
            for q in range(4):
                if c.weights[p, q] > 0.0:
                    at += c.weights[p, q] * x[c.pairs[p, q + 1], k]
            points[a, b, k] += impulse * at
            points[b, a, k] += impulse * at
        total[a, b] += impulse
        total[b, a] += impulse
    for a in range(bodies + 1):
        for b in range(bodies + 1):
            for k in range(3):
                points[a, b, k] = points[a, b, k] / total[a, b] if total[a, b] > 0.0 else np.nan
    return contacts, nearest


@kernel
def minimise_potential(t, joints, springs, pins, params, q_start, predicted, coast, active, impulses, points):
    """Minimise the incremental potential from q_start, shape (nodes, 3), about the predicted position.

    Begins on the way to where the bodies would coast to, or fall to if they touch nothing. coast: the predicted
    position without gravity, shape (nodes, 3). Returns q, iterations, how many of the limit they spent, contacts, the
    smallest distance [m], whether every island converged, and the energies [J]: elastic, of the first ``pins`` springs,
    barrier, friction. Fills impulses and points. t.fixed changes on the way.
    """
    t, joints, springs = borrow(t), borrow(joints), borrow(springs)
    bodies = t.kind.shape[0]
    present = np.ones(t.mobile.shape[0], np.bool_)
    searched = np.zeros(t.mobile.shape[0], np.bool_)
    takes_part = np.zeros(bodies, np.bool_)
    done = np.ones(bodies, np.bool_)
    for b in range(bodies):
        present[b] = active[b]
        takes_part[b] = active[b] and t.mobile[b]
        searched[b] = takes_part[b]
        done[b] = not takes_part[b]
    step_size = np.zeros(bodies)
    last_size = np.full(bodies, np.inf)
    stalls = np.zeros(bodies, np.int64)
    stiffness = np.ones(bodies)
    own = _new_workspace(t, q_start, predicted, takes_part)
    w = borrow(own)
    lag = Lagged(
        np.empty((0, 4), np.int64),
        np.empty((0, 4)),
        np.empty((0, 3)),
        np.empty(0),
        np.empty((0, 2), np.int64),
        np.empty((0, 3)),
    )
    c = Pairs(
        np.empty((0, 5), np.int64), np.empty(0), np.empty((0, 4)), np.empty(0), np.empty((0, 4)), np.empty(0)
    )
    none = np.zeros(1, np.int64)
    islands = Islands(none[:0], none, none, none[:0], none)
    joined = lag.groups
    pinned = t.fixed.copy()
    energy = np.empty(0)
    store = np.empty(0)
    iterations, spent = 0, 0.0
    converged = True
    begun = False
    guessing = True
    guessed = np.zeros(bodies, np.bool_)
    holding = bodies >= HOLD_MIN and joints.links.shape[0] == 0
    free = takes_part.copy()
    regroup = False
    while guessing or (spent < params.iterations and iterations < params.stop):
        stale = True
        if begun:
            if regroup:
                regroup = False
                c, islands = _sort_by_island(
                    t, params, c.pairs, c.bound, c.weights, lag, joined, free, stiffness
                )
                energy = np.full(islands.member_start.shape[0] - 1, np.nan)
                _restart_joined_bodies(t, w, islands, done, step_size, last_size)
            stale = False
            searched[:] = False
            running = False
            for i in range(islands.member_start.shape[0] - 1):
                if done[islands.members[islands.member_start[i]]]:
                    continue
                running = True
                found = True
                if guessing:
                    _set_guess(t, params, islands, i, w, c, coast)
                elif joints.links.shape[0] == 0:
                    store, found = find_direction(
                        t, springs, params, islands, i, w, c, lag, store, last_size, iterations
                    )
                else:
                    store, found = find_jointed_direction(
                        t, joints, springs, params, islands, i, w, c, lag, store
                    )
                converged = converged and found
                for m in range(islands.member_start[i], islands.member_start[i + 1]):
                    b = islands.members[m]
                    if found:
                        step_size[b], searched[b] = limit_direction(t, w, b)
                        stale = stale or searched[b]
                    else:  # the island stays at its iterate
                        done[b] = True
                        _hold_body(t, w, b)
            if not running:
                if not release_held(t, takes_part, free, pinned, done, last_size):
                    break
                regroup = True
                continue
            if not guessing:
                iterations += 1
                spent += free_share(takes_part, free)
        if stale:
            _set_swept_boxes(t, w, searched, BOX_MARGIN * params.dhat)
            pairs, bound, weights = _find_candidates(t, joints.apart, w, present, searched, params.dhat)
            if begun:
                pairs, bound, weights = _keep_candidates(t, c, searched, pairs, bound, weights)
            else:
                lag = _lag_contacts(t, joints, pairs, bound, weights, w.x, params)
                joined = lag.groups
                if joints.links.shape[0] > 0:
                    joined = joined_groups(joints, bodies, lag.groups)
            c, islands = _sort_by_island(t, params, pairs, bound, weights, lag, joined, free, stiffness)
            energy = np.full(islands.member_start.shape[0] - 1, np.nan)
            _restart_joined_bodies(t, w, islands, done, step_size, last_size)
            if not begun:
                begun = True
                continue
        for i in range(islands.member_start.shape[0] - 1):
            if done[islands.members[islands.member_start[i]]]:
                continue
            largest, last = 0.0, 0.0
            for m in range(islands.member_start[i], islands.member_start[i + 1]):
                largest = max(largest, step_size[islands.members[m]])
                last = max(last, last_size[islands.members[m]])
            halvings = GUESS_HALVINGS if guessing else MAX_HALVINGS
            found, share, longest = search_line(
                t, joints, springs, params, islands, i, w, c, lag, energy, halvings
            )
            if found:
                begin, end = islands.lag_start[i], islands.lag_start[i + 1]
                update_pulls(
                    lag,
                    islands.lag_order,
                    begin,
                    end,
                    w.x,
                    w.x_trial,
                    w.start,
                    params.friction_eps,
                    share,
                    guessing,
                )
                _accept_trial(t, islands, i, w, c)
            if guessing:
                for m in range(islands.member_start[i], islands.member_start[i + 1]):
                    guessed[islands.members[m]] = found and share == 1.0
                continue
            if stiffen_stalled(islands, i, c, params.dhat, longest, stalls, stiffness):
                energy[i] = np.nan
                for m in range(islands.member_start[i], islands.member_start[i + 1]):
                    last_size[islands.members[m]] = np.inf
                continue
            error = _remaining_error(largest, last, share)
            enough = min(
                params.tolerance, params.motion_share * max(params.friction_eps, _motion(t, islands, i, w))
            )
            small = error < enough
            converged = converged and (found or small)
            for m in range(islands.member_start[i], islands.member_start[i + 1]):
                done[islands.members[m]] = small or not found
                # Without the guess the first direction is the motion itself; its size says nothing of the convergence.
                if iterations > 1 or guessed[islands.members[m]]:
                    last_size[islands.members[m]] = largest
            if holding and iterations >= HOLD_FROM and found and not small:
                regroup = hold_settled(t, islands, i, c, params.dhat, step_size, enough, free) or regroup
        if regroup:
            for b in range(bodies):
                if takes_part[b] and not free[b]:
                    _hold_body(t, w, b)
        guessing = False
    release_held(t, takes_part, free, pinned, done, last_size)
    elastic = 0.0
    for b in range(bodies):
        converged = converged and done[b]
        if active[b]:
            elastic += elastic_energy(t, b, w.q)
    contacts, nearest = _report_contacts(t, params, c, w.x, bodies, impulses, points)
    held, contact, work = measure_energies(t, springs, pins, params, c, lag, active, w.q, w.x, w.start)
    return own.q, iterations, spent, contacts, nearest, converged, (elastic, held, contact, work)
