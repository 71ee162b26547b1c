"""The projected Newton direction of one island, and the linear system that gives it.

The Hessian of the incremental potential (server/physics/potential.py) is the sum of its terms: inertia, elasticity and
springs per body, then barriers and lagged friction per contact. By default each term is projected to be positive
semidefinite on its own. The order of elimination follows from the pattern (server/physics/elimination.py).
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.averaged_strain import add_patch, patch_derivatives
from tussle.server.physics.barrier import add_mollifier_gradient, barrier, mollifier
from tussle.server.physics.contact_columns import (
    add_columns,
    add_rows,
    collects,
    new_columns,
    push_column,
    push_columns,
)
from tussle.server.physics.contact_curvature import curvature_rows, mollifier_rows, new_curvature_scratch
from tussle.server.physics.distance import EDGE_EDGE
from tussle.server.physics.elasticity import affine_gradient, affine_hessian, new_scratch, tet_derivatives
from tussle.server.physics.elimination import find_entry, nodes_meet, plan_elimination
from tussle.server.physics.friction import friction_derivatives, width_slope
from tussle.server.physics.fronts import factorise, solve
from tussle.server.physics.jit import borrow, inlined, inner
from tussle.server.physics.joint_forces import add_joint_cliques, add_joints, arm_limits
from tussle.server.physics.kernel_arrays import AFFINE, ContactRow
from tussle.server.physics.spring_forces import spring_derivatives

__all__ = [
    "add_bodies",
    "add_contacts",
    "add_friction",
    "find_jointed_direction",
    "find_newton_direction",
    "lay_out",
    "solve_system",
]

FARTHEST = 1e9
"""How far a node moves along a direction at most [m]: rounding alone is a tenth of a micrometre so far away."""
ARMINGS = 5
"""The most times that a direction is computed, with more limits and motors of joints armed each time."""


@inner
def find_newton_direction(t, springs, params, islands, island, w, c, lag, store, kept, longest):
    """The Newton direction of an island's bodies at the iterate, into w.direction.

    kept: the share of the negative curvature of contacts and affine bodies that stays in the matrix, 0 to 1; below 0
    the turn of the normals is left out as well. The matrix is positive for certain only if it is 0 or less. With more,
    the direction is computed again with 0 if the matrix is not positive definite, or if a node moves farther than
    ``longest`` [m] along an axis: a direction of a nearly indefinite matrix is longer by far.
    w: Workspace; c: Pairs, whose bounds and weights belong to the iterate; lag: Lagged. While the system is built,
    w.direction holds the gradient. store: memory of an earlier system. Returns that of this one, and whether there is
    a direction: none where a node would move farther than FARTHEST, or where the solution is no number.
    """
    row = ContactRow(np.empty(16, np.int64), np.empty(16), np.empty(3), np.empty((3, 3)), np.empty((3, 12)))
    system, store = lay_out(t, springs, params, islands, island, w, c, lag, row, store)
    _fill_system(t, springs, params, islands, island, w, c, lag, row, system, kept)
    if kept <= 0.0:
        return store, solve_system(t, islands, island, w, system, False, FARTHEST)
    if solve_system(t, islands, island, w, system, True, longest):
        return store, True
    system.data[:] = 0.0
    clear_direction(t, islands, island, w)
    _fill_system(t, springs, params, islands, island, w, c, lag, row, system, 0.0)
    return store, solve_system(t, islands, island, w, system, False, FARTHEST)


@inner
def find_jointed_direction(t, joints, springs, params, islands, island, w, c, lag, store):
    """The same with joints. It is a function of its own, because the other one is faster without them.

    The direction is computed again where it would pass limits of joints (server/physics/joint_forces.py).
    """
    row = ContactRow(np.empty(16, np.int64), np.empty(16), np.empty(3), np.empty((3, 3)), np.empty((3, 12)))
    armed = np.zeros((joints.links.shape[0], 2), np.int64)
    first, last = islands.member_start[island], islands.member_start[island + 1]
    for _ in range(ARMINGS):
        clear_direction(t, islands, island, w)
        cliques, begins = _collect_cliques(t, springs, params, islands, island, c, lag, row)
        cliques, begins = add_joint_cliques(t, joints, islands, island, cliques, begins)
        system, store = plan_elimination(
            t, islands.members, first, last, cliques, begins, w.place, w.front, store
        )
        _fill_system(t, springs, params, islands, island, w, c, lag, row, system, 0.0)
        add_joints(t, joints, islands, island, w, armed, system)
        if not solve_system(t, islands, island, w, system, False, FARTHEST):
            return store, False
        if not arm_limits(t, joints, islands, island, w, armed):
            break
    return store, True


@inner
def clear_direction(t, islands, island, w):
    """Set w.direction of the bodies of an island to zero."""
    for m in range(islands.member_start[island], islands.member_start[island + 1]):
        for v in range(t.node_start[islands.members[m]], t.node_start[islands.members[m] + 1]):
            for k in range(3):
                w.direction[v, k] = 0.0


@inner
def _fill_system(t, springs, params, islands, island, w, c, lag, row, system, kept):
    """Add the terms of bodies, contacts and friction to the system and to the gradient in w.direction."""
    _add_terms(
        t, springs, params, islands, island, w, c, lag, row, new_scratch(), np.empty((12, 12)),
        new_curvature_scratch(), new_columns(), system, kept,
    )  # fmt: skip


@inner
def _add_terms(
    t, springs, params, islands, island, w, c, lag, row, tet, element, curved, columns, system, kept
):
    """The same with scratch arrays that the caller owns: tet, element (12, 12), curved and columns.

    A scratch array that is made here would be counted at each use, for some contacts a hundred times.
    """
    t, islands, w, c, lag = borrow(t), borrow(islands), borrow(w), borrow(c), borrow(lag)
    row, system, columns = borrow(row), borrow(system), borrow(columns)
    add_bodies(t, springs, params, islands, island, w, system, row, borrow(tet), borrow(element), kept)
    add_contacts(t, params, islands, island, w, c, system, row, borrow(curved), columns, kept)
    add_friction(t, params, islands, island, w, lag, system, row, columns)


@inlined
def lay_out(t, springs, params, islands, island, w, c, lag, row, store):
    """Return the empty System of an island, and its memory.

    w.place and w.front say where its nodes are in it; w.direction becomes zero.
    """
    members = islands.members
    first, last = islands.member_start[island], islands.member_start[island + 1]
    clear_direction(t, islands, island, w)
    cliques, clique_start = _collect_cliques(t, springs, params, islands, island, c, lag, row)
    return plan_elimination(t, members, first, last, cliques, clique_start, w.place, w.front, store)


@inner
def _collect_cliques(t, springs, params, islands, island, c, lag, row):
    """Return the sets of nodes that share entries beyond tetrahedra and patches: nodes, ranges (sets + 1,).

    An affine body is named by its first node.
    """
    begin, end = islands.pair_start[island], islands.pair_start[island + 1]
    contacts = islands.lag_start[island + 1] - islands.lag_start[island]
    for p in range(begin, end):
        contacts += c.bound[p] < params.dhat
    sets = contacts
    held = 0
    for s in range(springs.body.shape[0]):
        sets += 1
        held += springs.start[s + 1] - springs.start[s]
    found = np.empty(4 * contacts + held, np.int64)
    start = np.zeros(sets + 1, np.int64)
    t, c, lag = borrow(t), borrow(c), borrow(lag)
    vertices, nodes, coefs = c.pairs[:, 1:], borrow(row).nodes, borrow(row).coefs
    span, near_start, near = t.span, t.near_start, t.near
    vertex_node, vertex_group, kind, fixed, rest = t.vertex_node, t.vertex_group, t.kind, t.fixed, t.rest
    into, begins = borrow(found), borrow(start)
    sets, total = 0, 0
    for p in range(begin, end):
        if c.bound[p] < params.dhat:
            count = _gather_nodes(
                vertices, c.weights, p, vertex_node, vertex_group, kind, fixed, rest, nodes, coefs
            )
            sets, total = _append_clique(span, near_start, near, count, nodes, into, begins, sets, total)
    for z in range(islands.lag_start[island], islands.lag_start[island + 1]):
        p = islands.lag_order[z]
        count = _gather_nodes(
            lag.rows, lag.weights, p, vertex_node, vertex_group, kind, fixed, rest, nodes, coefs
        )
        sets, total = _append_clique(span, near_start, near, count, nodes, into, begins, sets, total)
    for m in range(islands.member_start[island], islands.member_start[island + 1]):
        body = islands.members[m]
        if t.kind[body] == AFFINE:
            continue
        for s in range(springs.body.shape[0]):
            if springs.body[s] == body:
                for e in range(springs.start[s], springs.start[s + 1]):
                    if not t.fixed[springs.nodes[e]]:
                        found[total] = springs.nodes[e]
                        total += 1
                if total - start[sets] > 1:
                    sets += 1
                    start[sets] = total
                else:
                    total = start[sets]
    return found[:total], start[: sets + 1]


@inner
def _append_clique(span, near_start, near, count, nodes, found, start, sets, total):
    """Append the nodes of one contact, unless tetrahedra, patches or one affine body connect them anyway. Returns the
    new number of sets and of their nodes."""
    begin = total
    y = 0
    while y < count:
        found[total] = nodes[y]
        total += 1
        y += span[nodes[y]]
    # Most contacts have the nodes of the one before: those of the same two affine bodies.
    last = start[sets - 1] if sets > 0 else begin
    same = begin - last == total - begin
    for y in range(begin, total):
        same = same and found[y] == found[last + y - begin]
    if same:
        return sets, begin
    for y in range(begin, total):
        for z in range(begin, y):
            if not nodes_meet(near_start, near, found[y], found[z]):
                start[sets + 1] = total
                return sets + 1, total
    return sets, begin


@inlined
def add_bodies(t, springs, params, islands, island, w, system, row, scratch, element, kept):
    """Add inertia, elasticity and springs of the bodies of the island."""
    q, predicted, direction, place, front = w.q, w.predicted, w.direction, w.place, w.front
    first, row_start, rows = system.first, system.row_start, system.rows
    start, data = system.start, system.data
    tets, inverse, volume, mu, lam, fixed = t.tets, t.inverse, t.volume, t.mu, t.lam, t.fixed
    dt2 = params.dt * params.dt
    corners, slope, f = row.nodes, row.offset, row.curve
    for m in range(islands.member_start[island], islands.member_start[island + 1]):
        body = islands.members[m]
        node = t.node_start[body]
        if t.kind[body] == AFFINE:
            element[:] = 0.0
            for i in range(4):
                corners[i] = node + i
                for j in range(4):
                    mass = t.mass[body, i, j]
                    if mass != 0.0:
                        for k in range(3):
                            element[3 * i + k, 3 * j + k] += mass
                            direction[node + i, k] += mass * (q[node + j, k] - predicted[node + j, k])
            affine_gradient(q, node, dt2 * t.stiffness[body], direction)
            affine_hessian(q, node, dt2 * t.stiffness[body], element, kept)
            _add_element(element, corners, first, row_start, rows, start, data, place, front)
        else:
            for n in range(node, t.node_start[body + 1]):
                if fixed[n]:
                    continue
                at = find_entry(first, row_start, rows, start, place, front, n, n)
                for k in range(3):
                    data[at + 13 * k] += t.node_mass[n]
                    direction[n, k] += t.node_mass[n] * (q[n, k] - predicted[n, k])
            for e in range(t.tet_start[body], t.tet_start[body + 1]):
                tet_derivatives(q, tets, e, inverse, volume, mu, lam, dt2, scratch, direction, element)
                for y in range(4):
                    corners[y] = -1 if fixed[tets[e, y]] else tets[e, y]
                _add_element(element, corners, first, row_start, rows, start, data, place, front)
            _add_patches(
                t,
                body,
                q,
                dt2,
                scratch,
                element,
                direction,
                first,
                row_start,
                rows,
                start,
                data,
                place,
                front,
            )
        for s in range(springs.body.shape[0]):
            if springs.body[s] != body:
                continue
            spring_derivatives(springs, s, q, slope, f)
            low, high = springs.start[s], springs.start[s + 1]
            for e in range(low, high):
                n = springs.nodes[e]
                if fixed[n]:
                    continue
                for k in range(3):
                    direction[n, k] += dt2 * springs.weights[e] * slope[k]
                for g in range(low, high):
                    other = springs.nodes[g]
                    if fixed[other] or place[other] > place[n]:
                        continue
                    at = find_entry(first, row_start, rows, start, place, front, n, other)
                    scale = dt2 * springs.weights[e] * springs.weights[g]
                    for k in range(3):
                        for a in range(3):
                            data[at + k + 12 * a] += scale * f[k, a]


@inner
def _add_patches(
    t, body, q, dt2, scratch, block, direction, first, row_start, rows, start, data, place, front
):
    """Add the mean strains of the patches of a body."""
    t = borrow(t)
    for p in range(t.patch_start[body], t.patch_start[body + 1]):
        patch_derivatives(
            q, t.patch_first, t.patch_nodes, t.patch_slopes, t.patch_volume, t.patch_mu, t.patch_lam, p, dt2, scratch,
            direction, block,
        )  # fmt: skip
        add_patch(
            t.patch_first, t.patch_nodes, t.patch_slopes, p, t.fixed, block, first, row_start, rows, start, data,
            place, front,
        )  # fmt: skip


@inner
def _add_element(element, corners, first, row_start, rows, start, data, place, front):
    """Add the symmetric (12, 12) matrix of four nodes to the entries of the system. A node of -1 is left out."""
    for y in range(4):
        for z in range(y + 1):
            # The later of two nodes has the row.
            row, col = y, z
            if corners[y] < 0 or corners[z] < 0:
                continue
            if place[corners[y]] < place[corners[z]]:
                row, col = z, y
            at = find_entry(first, row_start, rows, start, place, front, corners[row], corners[col])
            for a in range(3):
                for k in range(3):
                    data[at + 12 * a + k] += element[3 * row + k, 3 * col + a]


@inlined
def add_contacts(t, params, islands, island, w, c, system, row, curved, columns, kept):
    """Add the barriers of the pairs that are nearer than dhat."""
    x, pairs, weights, direction, place, front = w.x, c.pairs, c.weights, w.direction, w.place, w.front
    first, row_start, rows = system.first, system.row_start, system.rows
    start, data = system.start, system.data
    vertices, bound, span = pairs[:, 1:], c.bound, t.span
    vertex_node, vertex_group, kinds, fixed, rest = t.vertex_node, t.vertex_group, t.kind, t.fixed, t.rest
    limit = params.dhat * params.dhat
    nodes, coefs, r3, b33, scratch = row.nodes, row.coefs, row.offset, row.curve, row.spread
    for p in range(islands.pair_start[island], islands.pair_start[island + 1]):
        if bound[p] >= params.dhat:
            continue
        kind, i, j, k, m = pairs[p, 0], pairs[p, 1], pairs[p, 2], pairs[p, 3], pairs[p, 4]
        square = 0.0
        for a in range(3):
            r3[a] = (
                weights[p, 0] * x[i, a]
                + weights[p, 1] * x[j, a]
                + weights[p, 2] * x[k, a]
                + weights[p, 3] * x[m, a]
            )
            square += r3[a] * r3[a]
        if square >= limit:
            continue
        kappa = c.kappa[p]
        value, first_slope, second_slope = barrier(square, limit)
        scale = 1.0
        if kind == EDGE_EDGE:
            scale, change = mollifier(x, t.rest, i, j, k, m)
            if change > 0.0:
                _add_mollifier_gradient(t, pairs, p, x, kappa * value * change, direction)
        count = _gather_nodes(
            vertices, weights, p, vertex_node, vertex_group, kinds, fixed, rest, nodes, coefs
        )
        pull = 2.0 * first_slope * scale * kappa
        for y in range(count):
            for a in range(3):
                direction[nodes[y], a] += coefs[y] * pull * r3[a]
        stiff = (4.0 * second_slope + 2.0 * first_slope / square) * scale * kappa
        affine = collects(count, nodes, span)
        if affine:
            push_column(
                columns, count, nodes, coefs, r3, stiff, first, row_start, rows, start, data, place, front
            )
        else:
            for a in range(3):
                for b in range(3):
                    b33[a, b] = stiff * r3[a] * r3[b]
            _add_outer_product(
                count, nodes, coefs, b33, scratch, span, first, row_start, rows, start, data, place, front
            )
        if kept < 0.0:
            continue
        distance = math.sqrt(square)
        for a in range(3):
            r3[a] /= distance
        strength = -2.0 * first_slope * scale * kappa
        count, number = curvature_rows(t, pairs, weights, p, x, r3, distance, strength, kept, curved)
        if number > 0:
            _add_rows(
                affine, columns, count, number, curved, first, row_start, rows, start, data, place, front
            )
        if scale < 1.0:
            count, number = mollifier_rows(t, pairs, weights, p, x, kappa * value, curved)
            if number > 0:
                _add_rows(
                    affine, columns, count, number, curved, first, row_start, rows, start, data, place, front
                )
    add_columns(columns, first, row_start, rows, start, data, place, front)


@inlined
def add_friction(t, params, islands, island, w, lag, system, row, columns):
    """Add the friction of the lagged contacts."""
    x, origin, direction, place, front = w.x, w.start, w.direction, w.place, w.front
    first, row_start, rows = system.first, system.row_start, system.rows
    start, data = system.start, system.data
    span = t.span
    lagged, weights, normals, forces, pull = lag.rows, lag.weights, lag.normals, lag.force, lag.pull
    vertex_node, vertex_group, kinds, fixed, rest = t.vertex_node, t.vertex_group, t.kind, t.fixed, t.rest
    nodes, coefs, r3, b33, scratch = row.nodes, row.coefs, row.offset, row.curve, row.spread
    for z in range(islands.lag_start[island], islands.lag_start[island + 1]):
        p = islands.lag_order[z]
        along = 0.0
        for a in range(3):
            r3[a] = 0.0
            for y in range(4):
                r3[a] += weights[p, y] * (x[lagged[p, y], a] - origin[lagged[p, y], a])
            along += r3[a] * normals[p, a]
        square = 0.0
        for a in range(3):
            r3[a] -= along * normals[p, a]
            square += r3[a] * r3[a]
        slip = math.sqrt(square)
        _, ratio, _ = friction_derivatives(slip, params.friction_eps)
        count = _gather_nodes(lagged, weights, p, vertex_node, vertex_group, kinds, fixed, rest, nodes, coefs)
        force = forces[p]
        for y in range(count):
            for a in range(3):
                direction[nodes[y], a] += coefs[y] * force * ratio * r3[a]
        free = 0.5 * width_slope(slip, ratio, params.friction_eps) / slip if slip > 1e-14 else 0.0
        for a in range(3):
            for b in range(3):
                across = (1.0 if a == b else 0.0) - normals[p, a] * normals[p, b]
                confirmed = free * (pull[p, a] * r3[b] + r3[a] * pull[p, b])
                b33[a, b] = force * ratio * (across - confirmed)
        if collects(count, nodes, span):
            push_columns(columns, count, nodes, coefs, b33, first, row_start, rows, start, data, place, front)
        else:
            _add_outer_product(
                count, nodes, coefs, b33, scratch, span, first, row_start, rows, start, data, place, front
            )
    add_columns(columns, first, row_start, rows, start, data, place, front)


@inner
def solve_system(t, islands, island, w, system, strict, longest):
    """Turn the gradient in w.direction into the Newton direction. Returns whether it is good, else it is of no use: no
    node may move farther than ``longest`` [m] along an axis, and if ``strict``, the matrix must be positive definite.
    """
    t, islands, w, system = borrow(t), borrow(islands), borrow(w), borrow(system)
    if not factorise(system, strict) and strict:
        return False
    direction = w.direction
    right = np.empty(3 * system.first[system.first.shape[0] - 1])
    first, last = islands.member_start[island], islands.member_start[island + 1]
    good = True
    for turn in range(2):
        for m in range(first, last):
            body = islands.members[m]
            for v in range(t.node_start[body], t.node_start[body + 1]):
                for k in range(3):
                    if t.fixed[v]:
                        direction[v, k] = 0.0
                    elif turn == 0:
                        right[3 * w.place[v] + k] = -direction[v, k]
                    else:
                        direction[v, k] = right[3 * w.place[v] + k]
                        good = good and abs(direction[v, k]) < longest  # not where it is no number
        if turn == 0:
            solve(system, right)
    return good


@inner
def _add_rows(affine, columns, count, number, curved, first, row_start, rows, start, data, place, front):
    """Add the outer products of the first ``number`` rows of a CurvatureScratch, each times its scale, to the entries
    of the system, or collect them."""
    nodes, made, scales = curved.nodes, curved.rows, curved.scales
    if affine:
        add_rows(
            columns, count, nodes, number, made, scales, first, row_start, rows, start, data, place, front
        )
        return
    for y in range(count):
        for z in range(count):
            if place[nodes[z]] > place[nodes[y]]:
                continue
            at = find_entry(first, row_start, rows, start, place, front, nodes[y], nodes[z])
            for n in range(number):
                for c in range(3):
                    factor = scales[n] * made[n, z, c]
                    for r in range(3):
                        data[at + 12 * c + r] += factor * made[n, y, r]


@inner
def _add_mollifier_gradient(t, pairs, p, x, factor, gradient):
    """Add ``factor`` times the gradient of the mollifier of an edge pair to the gradient of the nodes."""
    y = np.empty((4, 3))
    force = np.zeros((4, 3))
    for z in range(4):
        for a in range(3):
            y[z, a] = x[pairs[p, z + 1], a]
    add_mollifier_gradient(y, 0, 1, 2, 3, factor, force)
    for z in range(4):
        v = pairs[p, z + 1]
        first = t.vertex_node[v]
        if first < 0 or t.fixed[first]:
            continue
        for a in range(3):
            gradient[first, a] += force[z, a]
            if t.kind[t.vertex_group[v]] == AFFINE:
                for c in range(3):
                    gradient[first + 1 + c, a] += t.rest[v, c] * force[z, a]


@inner
def _gather_nodes(vertices, weights, row, vertex_node, vertex_group, kind, fixed, rest, nodes, coefs):
    """Express r = sum w_i x_i of one contact in nodes: write their numbers and coefficients, return how many (at most
    16).
    """
    count = 0
    for z in range(4):
        v, w = vertices[row, z], weights[row, z]
        first = vertex_node[v]
        if w == 0.0 or first < 0 or fixed[first]:
            continue
        if kind[vertex_group[v]] == AFFINE:
            at = -1
            for y in range(count):
                if nodes[y] == first:
                    at = y
                    break
            if at < 0:
                at = count
                for y in range(4):
                    nodes[count + y] = first + y
                    coefs[count + y] = 0.0
                count += 4
            coefs[at] += w
            for y in range(3):
                coefs[at + 1 + y] += w * rest[v, y]
        else:
            nodes[count] = first
            coefs[count] = w
            count += 1
    return count


@inner
def _add_outer_product(
    count, nodes, coefs, b, scratch, span, first, row_start, rows, start, data, place, front
):
    """Add the outer product of a row of nodes, with b (3, 3), symmetric, for each pair, to the entries of the system.

    The nodes of an affine body follow one another. scratch: shape (3, 12).
    """
    y = 0
    while y < count:
        tall = span[nodes[y]]
        for k in range(3):
            for a in range(tall):
                for r in range(3):
                    scratch[k, 3 * a + r] = coefs[y + a] * b[r, k]
        z = 0
        while z < count:
            wide = span[nodes[z]]
            if place[nodes[z]] <= place[nodes[y]]:
                at = find_entry(first, row_start, rows, start, place, front, nodes[y], nodes[z])
                # The rows of an affine body fill a row of a tile, unless elastic nodes shift them.
                together = (at - start[front[nodes[z]]]) % 12 == 0
                for part in range(1 if together else tall):
                    if part > 0:
                        at = find_entry(
                            first, row_start, rows, start, place, front, nodes[y] + part, nodes[z]
                        )
                    for c in range(wide):
                        scale = coefs[z + c]
                        for k in range(3):
                            if together and tall == 4:
                                for r in range(12):
                                    data[at + r] += scale * scratch[k, r]
                            else:
                                for r in range(3):
                                    data[at + r] += scale * scratch[k, 3 * part + r]
                            at += 12
            z += wide
        y += tall
