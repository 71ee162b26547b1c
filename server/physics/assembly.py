"""The projected Newton direction of one island, and the linear system that gives it.

The Hessian of the incremental potential (server/physics/potential.py) is the sum of its terms, each projected to be
positive semidefinite on its own: inertia, elasticity and springs per body, then barriers and lagged friction per
contact, in blocks of four nodes (server/physics/blocks.py).
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.barrier import add_mollifier_gradient, barrier, mollifier
from tussle.server.physics.blocks import WIDTH, factorise, order_blocks, solve
from tussle.server.physics.distance import EDGE_EDGE
from tussle.server.physics.elasticity import affine_gradient, affine_hessian, new_scratch, tet_derivatives
from tussle.server.physics.friction import friction_derivatives
from tussle.server.physics.jit import inlined, inner
from tussle.server.physics.kernel_arrays import AFFINE, System
from tussle.server.physics.spring_forces import spring_derivatives

__all__ = ["add_bodies", "add_contacts", "add_friction", "find_newton_direction", "lay_out", "solve_system"]


@inner
def find_newton_direction(t, springs, params, islands, island, w, c, lag):
    """The projected Newton direction of an island's bodies at the iterate, into w.direction.

    w: Workspace; c: Pairs, whose bounds and weights belong to the iterate; lag: Lagged. While the system is built,
    w.direction holds the gradient.
    """
    system = lay_out(t, springs, params, islands, island, w, c, lag)
    add_bodies(t, springs, params, islands, island, w, system)
    add_contacts(t, params, islands, island, w, c, system)
    add_friction(t, params, islands, island, w, lag, system)
    solve_system(t, islands, island, w, system)


@inlined
def lay_out(t, springs, params, islands, island, w, c, lag):
    """Return the empty System of an island: which blocks share an entry, their elimination order, and storage with its
    fill.

    w.local becomes the position of each block in that order, w.direction zero.
    """
    local, members = w.local, islands.members
    first, last = islands.member_start[island], islands.member_start[island + 1]
    n = 0
    for m in range(first, last):
        body = members[m]
        for b in range(t.block_start[body], t.block_start[body + 1]):
            local[b] = n
            n += 1
        for v in range(t.node_start[body], t.node_start[body + 1]):
            for k in range(3):
                w.direction[v, k] = 0.0
    linked = np.zeros((n, n), np.bool_)
    if n > 1:
        nodes = np.empty(16, np.int64)
        coefs = np.empty(16)
        for m in range(first, last):
            body = members[m]
            for e in range(t.link_start[body], t.link_start[body + 1]):
                i, j = local[t.links[e, 0]], local[t.links[e, 1]]
                linked[i, j] = True
                linked[j, i] = True
            for s in range(springs.body.shape[0]):
                if springs.body[s] == body:
                    for e in range(springs.start[s], springs.start[s + 1]):
                        for g in range(springs.start[s], e):
                            i = local[t.node_block[springs.nodes[e]]]
                            j = local[t.node_block[springs.nodes[g]]]
                            linked[i, j] = i != j
                            linked[j, i] = i != j
        vertices = c.pairs[:, 1:]
        for p in range(islands.pair_start[island], islands.pair_start[island + 1]):
            if c.bound[p] < params.dhat:
                count = _gather_nodes(
                    vertices,
                    c.weights,
                    p,
                    t.vertex_node,
                    t.vertex_group,
                    t.kind,
                    t.fixed,
                    t.rest,
                    nodes,
                    coefs,
                )
                _link_nodes(count, nodes, t.node_block, local, linked)
        for z in range(islands.lag_start[island], islands.lag_start[island + 1]):
            p = islands.lag_order[z]
            count = _gather_nodes(
                lag.rows, lag.weights, p, t.vertex_node, t.vertex_group, t.kind, t.fixed, t.rest, nodes, coefs
            )
            _link_nodes(count, nodes, t.node_block, local, linked)
    place, slot, columns, rows = order_blocks(linked)
    for m in range(first, last):
        body = members[m]
        for b in range(t.block_start[body], t.block_start[body + 1]):
            local[b] = place[local[b]]
    return System(slot, columns, rows, np.zeros((n + rows.shape[0], WIDTH, WIDTH)))


@inlined
def add_bodies(t, springs, params, islands, island, w, system):
    """Add inertia, elasticity and springs of the bodies of the island."""
    q, predicted, direction, local = w.q, w.predicted, w.direction, w.local
    slot, data = system.slot, system.data
    dt2 = params.dt * params.dt
    f = np.empty((3, 3))
    element = np.empty((WIDTH, WIDTH))
    scratch = new_scratch()
    corner_block = np.empty(4, np.int64)
    corner_row = np.empty(4, np.int64)
    slope = np.empty(3)
    for m in range(islands.member_start[island], islands.member_start[island + 1]):
        body = islands.members[m]
        node = t.node_start[body]
        if t.kind[body] == AFFINE:
            block = data[slot[local[t.block_start[body]], local[t.block_start[body]]]]
            for i in range(4):
                for j in range(4):
                    mass = t.mass[body, i, j]
                    if mass != 0.0:
                        for k in range(3):
                            block[3 * i + k, 3 * j + k] += mass
                            direction[node + i, k] += mass * (q[node + j, k] - predicted[node + j, k])
            affine_gradient(q, node, dt2 * t.stiffness[body], direction)
            affine_hessian(q, node, dt2 * t.stiffness[body], block)
        else:
            for n in range(node, t.node_start[body + 1]):
                if t.fixed[n]:
                    continue
                b = local[t.node_block[n]]
                block = data[slot[b, b]]
                r = 3 * t.node_slot[n]
                for k in range(3):
                    block[r + k, r + k] += t.node_mass[n]
                    direction[n, k] += t.node_mass[n] * (q[n, k] - predicted[n, k])
            for e in range(t.tet_start[body], t.tet_start[body + 1]):
                tet_derivatives(
                    q, t.tets, e, t.inverse, t.volume, t.mu, t.lam, dt2, scratch, direction, element
                )
                for y in range(4):
                    n = t.tets[e, y]
                    corner_block[y] = -1 if t.fixed[n] else local[t.node_block[n]]
                    corner_row[y] = 3 * t.node_slot[n]
                _add_element(element, corner_block, corner_row, slot, data)
        for s in range(springs.body.shape[0]):
            if springs.body[s] != body:
                continue
            spring_derivatives(springs, s, q, slope, f)
            low, high = springs.start[s], springs.start[s + 1]
            for e in range(low, high):
                n = springs.nodes[e]
                if t.fixed[n]:
                    continue
                for k in range(3):
                    direction[n, k] += dt2 * springs.weights[e] * slope[k]
                i = local[t.node_block[n]]
                r = 3 * t.node_slot[n]
                for g in range(low, high):
                    j = local[t.node_block[springs.nodes[g]]]
                    if j > i or t.fixed[springs.nodes[g]]:
                        continue
                    col = 3 * t.node_slot[springs.nodes[g]]
                    at = slot[i, j]
                    scale = dt2 * springs.weights[e] * springs.weights[g]
                    for k in range(3):
                        for a in range(3):
                            data[at, r + k, col + a] += scale * f[k, a]


@inner
def _add_element(element, corner_block, corner_row, slot, data):
    """Add the symmetric (12, 12) matrix of a tetrahedron to the lower blocks. A corner of block -1 is fixed and left
    out.
    """
    for y in range(4):
        for z in range(y + 1):
            # The later of two blocks has the row; in one block both orders of two corners have an entry.
            i, j, row, col = corner_block[y], corner_block[z], y, z
            if i < j:
                i, j, row, col = j, i, z, y
            if j < 0:
                continue
            at, r, s = slot[i, j], corner_row[row], corner_row[col]
            for k in range(3):
                for a in range(3):
                    data[at, r + k, s + a] += element[3 * row + k, 3 * col + a]
            if i == j and y != z:
                for k in range(3):
                    for a in range(3):
                        data[at, s + a, r + k] += element[3 * row + k, 3 * col + a]


@inlined
def add_contacts(t, params, islands, island, w, c, system):
    """Add the barriers of the pairs that are nearer than dhat. The Hessian omits the curvature of the distance."""
    x, pairs, weights, direction = w.x, c.pairs, c.weights, w.direction
    vertices = pairs[:, 1:]
    limit = params.dhat * params.dhat
    nodes = np.empty(16, np.int64)
    coefs = np.empty(16)
    b33 = np.empty((3, 3))
    r3 = np.empty(3)
    for p in range(islands.pair_start[island], islands.pair_start[island + 1]):
        if c.bound[p] >= params.dhat:
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
            vertices, weights, p, t.vertex_node, t.vertex_group, t.kind, t.fixed, t.rest, nodes, coefs
        )
        pull = 2.0 * first_slope * scale * kappa
        for y in range(count):
            for a in range(3):
                direction[nodes[y], a] += coefs[y] * pull * r3[a]
        stiff = 4.0 * second_slope * scale * kappa
        for a in range(3):
            for b in range(3):
                b33[a, b] = stiff * r3[a] * r3[b]
        _add_outer_product(
            count, nodes, coefs, b33, t.node_block, t.node_slot, w.local, system.slot, system.data
        )


@inlined
def add_friction(t, params, islands, island, w, lag, system):
    """Add the friction of the lagged contacts."""
    x, start, direction = w.x, w.start, w.direction
    nodes = np.empty(16, np.int64)
    coefs = np.empty(16)
    b33 = np.empty((3, 3))
    r3 = np.empty(3)
    for z in range(islands.lag_start[island], islands.lag_start[island + 1]):
        p = islands.lag_order[z]
        along = 0.0
        for a in range(3):
            r3[a] = 0.0
            for y in range(4):
                r3[a] += lag.weights[p, y] * (x[lag.rows[p, y], a] - start[lag.rows[p, y], a])
            along += r3[a] * lag.normals[p, a]
        square = 0.0
        for a in range(3):
            r3[a] -= along * lag.normals[p, a]
            square += r3[a] * r3[a]
        _, ratio, curve = friction_derivatives(math.sqrt(square), params.friction_eps)
        count = _gather_nodes(
            lag.rows, lag.weights, p, t.vertex_node, t.vertex_group, t.kind, t.fixed, t.rest, nodes, coefs
        )
        force = lag.force[p]
        for y in range(count):
            for a in range(3):
                direction[nodes[y], a] += coefs[y] * force * ratio * r3[a]
        bend = (curve - ratio) / square if square > 1e-28 else 0.0
        for a in range(3):
            for b in range(3):
                b33[a, b] = force * (
                    ratio * ((1.0 if a == b else 0.0) - lag.normals[p, a] * lag.normals[p, b])
                    + bend * r3[a] * r3[b]
                )
        _add_outer_product(
            count, nodes, coefs, b33, t.node_block, t.node_slot, w.local, system.slot, system.data
        )


@inlined
def solve_system(t, islands, island, w, system):
    """Turn the gradient in w.direction into the Newton direction.

    Rows without an entry (fixed nodes, the padding of a last block) get a unit pivot.
    """
    local, direction = w.local, w.direction
    n = system.slot.shape[0]
    for b in range(n):
        block = system.data[system.slot[b, b]]
        for r in range(WIDTH):
            if block[r, r] == 0.0:
                block[r, r] = 1.0
    right = np.zeros((n, WIDTH))
    first, last = islands.member_start[island], islands.member_start[island + 1]
    for m in range(first, last):
        body = islands.members[m]
        for v in range(t.node_start[body], t.node_start[body + 1]):
            if not t.fixed[v]:
                for k in range(3):
                    right[local[t.node_block[v]], 3 * t.node_slot[v] + k] = -direction[v, k]
    factorise(system.data, system.slot, system.columns, system.rows)
    solve(system.data, system.slot, system.columns, system.rows, right)
    for m in range(first, last):
        body = islands.members[m]
        for v in range(t.node_start[body], t.node_start[body + 1]):
            for k in range(3):
                direction[v, k] = (
                    right[local[t.node_block[v]], 3 * t.node_slot[v] + k] if not t.fixed[v] else 0.0
                )


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
def _add_outer_product(count, nodes, coefs, b, node_block, node_slot, place, slot, data):
    """Add the outer product of a row of nodes, with b (3, 3) for each pair, to the lower blocks."""
    for y in range(count):
        i = place[node_block[nodes[y]]]
        r = 3 * node_slot[nodes[y]]
        for z in range(count):
            j = place[node_block[nodes[z]]]
            if j > i:
                continue
            at = slot[i, j]
            c = 3 * node_slot[nodes[z]]
            scale = coefs[y] * coefs[z]
            for p in range(3):
                for k in range(3):
                    data[at, r + p, c + k] += scale * b[p, k]


@inner
def _link_nodes(count, nodes, node_block, place, linked):
    """Mark the blocks of all pairs of the nodes as linked."""
    for y in range(count):
        for z in range(y):
            i, j = place[node_block[nodes[y]]], place[node_block[nodes[z]]]
            if i != j:
                linked[i, j] = True
                linked[j, i] = True
