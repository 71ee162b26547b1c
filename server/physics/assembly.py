"""One island's incremental potential: its energy, and its Newton direction.

E(q) = 1/2 (q - goal)^T M (q - goal) + dt^2 (elastic + springs) + kappa * barriers + lagged friction, whose
minimiser is the implicit Euler step (Li et al. 2020, eq. 2), in the generalised coordinates x = W q (Lan et
al. 2022)."""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from server.physics.blocks import WIDTH, factorise, order_blocks, solve
from server.physics.compiled import inner
from server.physics.contact import barrier, mollifier, mollify_gradient
from server.physics.distance import EDGE_EDGE
from server.physics.elasticity import (
    affine_energy,
    affine_gradient,
    affine_hessian,
    new_scratch,
    tet_derivatives,
    tet_energy,
)
from server.physics.friction import friction_slope
from server.physics.springs import spring_energy, spring_slope
from server.physics.tables import AFFINE

__all__ = ["body_energy", "elastic_energy", "island_direction", "place_vertices"]


@inner
def place_vertices(t, body, q, x):
    """Write the vertices of a body, x = W q [m], into x, shape (v, 3)."""
    first = t.node_start[body]
    if t.kind[body] == AFFINE:
        for v in range(t.vertex_start[body], t.vertex_start[body + 1]):
            for k in range(3):
                x[v, k] = (
                    q[first, k]
                    + t.rest[v, 0] * q[first + 1, k]
                    + t.rest[v, 1] * q[first + 2, k]
                    + t.rest[v, 2] * q[first + 3, k]
                )
    else:
        for v in range(t.vertex_start[body], t.vertex_start[body + 1]):
            for k in range(3):
                x[v, k] = q[t.vertex_node[v], k]


@inner
def elastic_energy(t, body, q):
    """Elastic energy of one body [J]; inf if a tetrahedron is inverted."""
    if t.kind[body] == AFFINE:
        return affine_energy(q, t.node_start[body], t.stiffness[body])
    f = np.empty((3, 3))
    energy = 0.0
    for e in range(t.tet_start[body], t.tet_start[body + 1]):
        energy += tet_energy(q, t.tets, e, t.inverse, t.volume, t.mu, t.lam, f)
    return energy


@inner
def body_energy(t, springs, body, q, goal, dt):
    """Inertia and dt^2 (elastic + springs) of one body: its share of the potential without contact."""
    energy = 0.0
    first = t.node_start[body]
    if t.kind[body] == AFFINE:
        for i in range(4):
            for j in range(4):
                m = 0.5 * t.mass[body, i, j]
                if m != 0.0:
                    for k in range(3):
                        energy += (
                            m
                            * (q[first + i, k] - goal[first + i, k])
                            * (q[first + j, k] - goal[first + j, k])
                        )
    else:
        for n in range(first, t.node_start[body + 1]):
            for k in range(3):
                offset = q[n, k] - goal[n, k]
                energy += 0.5 * t.node_mass[n] * offset * offset
    energy += dt * dt * elastic_energy(t, body, q)
    for m in range(springs.body.shape[0]):
        if springs.body[m] == body:
            energy += dt * dt * spring_energy(springs, m, q)
    return energy


@inner
def _gather(vertices, weights, row, vertex_node, vertex_group, kind, fixed, rest, nodes, coefs):
    """Express r = sum w_i x_i of one contact in nodes: numbers and coefficients; returns how many (at most
    16)."""
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
def _add_row(count, nodes, coefs, b, node_block, node_slot, place, slot, data):
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
def _link_row(count, nodes, node_block, place, linked):
    for y in range(count):
        for z in range(y):
            i, j = place[node_block[nodes[y]]], place[node_block[nodes[z]]]
            if i != j:
                linked[i, j] = True
                linked[j, i] = True


@inner
def island_direction(t, springs, numbers, islands, island, w, c, lag):
    """The projected Newton direction of an island's bodies at the iterate, into w.direction.

    w: Work; c: Pairs, whose bounds and weights belong to the iterate; lag: Lagged.
    """
    q, goal, x, start, direction, local = w.q, w.goal, w.x, w.start, w.direction, w.local
    members, pairs, bound, weights = islands.members, c.pairs, c.bound, c.weights
    first, last = islands.member_start[island], islands.member_start[island + 1]
    begin, end = islands.pair_start[island], islands.pair_start[island + 1]
    lag_order, lag_begin, lag_end = (
        islands.lag_order,
        islands.lag_start[island],
        islands.lag_start[island + 1],
    )
    lag_rows, lag_weights, lag_normals, lag_force = lag.rows, lag.weights, lag.normals, lag.force
    dt2 = numbers.dt * numbers.dt
    limit = numbers.dhat * numbers.dhat
    vertices = pairs[:, 1:]
    count_blocks = 0
    for m in range(first, last):
        body = members[m]
        for b in range(t.block_start[body], t.block_start[body + 1]):
            local[b] = count_blocks
            count_blocks += 1
        for n in range(t.node_start[body], t.node_start[body + 1]):
            for k in range(3):
                direction[n, k] = 0.0
    nodes = np.empty(16, np.int64)
    coefs = np.empty(16)
    # 1. The pattern: which blocks share an entry, their elimination order, the storage with its fill.
    linked = np.zeros((count_blocks, count_blocks), np.bool_)
    if count_blocks > 1:
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
        for p in range(begin, end):
            if bound[p] < numbers.dhat:
                count = _gather(
                    vertices, weights, p, t.vertex_node, t.vertex_group, t.kind, t.fixed, t.rest, nodes, coefs
                )
                _link_row(count, nodes, t.node_block, local, linked)
        for z in range(lag_begin, lag_end):
            count = _gather(
                lag_rows,
                lag_weights,
                lag_order[z],
                t.vertex_node,
                t.vertex_group,
                t.kind,
                t.fixed,
                t.rest,
                nodes,
                coefs,
            )
            _link_row(count, nodes, t.node_block, local, linked)
    order, slot, columns, rows = order_blocks(linked)
    for m in range(first, last):
        body = members[m]
        for b in range(t.block_start[body], t.block_start[body + 1]):
            local[b] = order[local[b]]
    data = np.zeros((count_blocks + rows.shape[0], WIDTH, WIDTH))
    # 2. Inertia, elasticity, springs.
    f = np.empty((3, 3))
    element = np.empty((WIDTH, WIDTH))
    scratch = new_scratch()
    corner_block = np.empty(4, np.int64)
    corner_row = np.empty(4, np.int64)
    slope = np.empty(3)
    for m in range(first, last):
        body = members[m]
        node = t.node_start[body]
        if t.kind[body] == AFFINE:
            block = data[slot[local[t.block_start[body]], local[t.block_start[body]]]]
            for i in range(4):
                for j in range(4):
                    w = t.mass[body, i, j]
                    if w != 0.0:
                        for k in range(3):
                            block[3 * i + k, 3 * j + k] += w
                            direction[node + i, k] += w * (q[node + j, k] - goal[node + j, k])
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
                    direction[n, k] += t.node_mass[n] * (q[n, k] - goal[n, k])
            for e in range(t.tet_start[body], t.tet_start[body + 1]):
                tet_derivatives(
                    q, t.tets, e, t.inverse, t.volume, t.mu, t.lam, dt2, scratch, direction, element
                )
                for y in range(4):
                    n = t.tets[e, y]
                    corner_block[y] = -1 if t.fixed[n] else local[t.node_block[n]]
                    corner_row[y] = 3 * t.node_slot[n]
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
        for s in range(springs.body.shape[0]):
            if springs.body[s] != body:
                continue
            spring_slope(springs, s, q, slope, f)
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
                    c = 3 * t.node_slot[springs.nodes[g]]
                    at = slot[i, j]
                    scale = dt2 * springs.weights[e] * springs.weights[g]
                    for k in range(3):
                        for a in range(3):
                            data[at, r + k, c + a] += scale * f[k, a]
    # 3. Barriers.
    kappa = numbers.kappa
    b33 = np.empty((3, 3))
    r3 = np.empty(3)
    for p in range(begin, end):
        if bound[p] >= numbers.dhat:
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
        value, first_slope, second_slope = barrier(square, limit)
        scale = 1.0
        if kind == EDGE_EDGE:
            scale, change = mollifier(x, t.rest, i, j, k, m)
            if change > 0.0:
                _mollified(t, pairs, p, x, kappa * value * change, direction)
        count = _gather(
            vertices, weights, p, t.vertex_node, t.vertex_group, t.kind, t.fixed, t.rest, nodes, coefs
        )
        pull = 2.0 * first_slope * scale * kappa
        for y in range(count):
            for a in range(3):
                direction[nodes[y], a] += coefs[y] * pull * r3[a]
        stiff = 4.0 * second_slope * scale * kappa
        for a in range(3):
            for c in range(3):
                b33[a, c] = stiff * r3[a] * r3[c]
        _add_row(count, nodes, coefs, b33, t.node_block, t.node_slot, local, slot, data)
    # 4. Lagged friction.
    for z in range(lag_begin, lag_end):
        p = lag_order[z]
        along = 0.0
        for a in range(3):
            r3[a] = 0.0
            for y in range(4):
                r3[a] += lag_weights[p, y] * (x[lag_rows[p, y], a] - start[lag_rows[p, y], a])
            along += r3[a] * lag_normals[p, a]
        square = 0.0
        for a in range(3):
            r3[a] -= along * lag_normals[p, a]
            square += r3[a] * r3[a]
        y_norm = math.sqrt(square)
        _, ratio, curve = friction_slope(y_norm, numbers.slip)
        count = _gather(
            lag_rows, lag_weights, p, t.vertex_node, t.vertex_group, t.kind, t.fixed, t.rest, nodes, coefs
        )
        force = lag_force[p]
        for y in range(count):
            for a in range(3):
                direction[nodes[y], a] += coefs[y] * force * ratio * r3[a]
        bend = (curve - ratio) / square if square > 1e-28 else 0.0
        for a in range(3):
            for c in range(3):
                b33[a, c] = force * (
                    ratio * ((1.0 if a == c else 0.0) - lag_normals[p, a] * lag_normals[p, c])
                    + bend * r3[a] * r3[c]
                )
        _add_row(count, nodes, coefs, b33, t.node_block, t.node_slot, local, slot, data)
    # 5. Solve. Rows without an entry (fixed nodes, the padding of a last block) get a unit pivot.
    for b in range(count_blocks):
        block = data[slot[b, b]]
        for r in range(WIDTH):
            if block[r, r] == 0.0:
                block[r, r] = 1.0
    right = np.zeros((count_blocks, WIDTH))
    for m in range(first, last):
        body = members[m]
        for n in range(t.node_start[body], t.node_start[body + 1]):
            if not t.fixed[n]:
                for k in range(3):
                    right[local[t.node_block[n]], 3 * t.node_slot[n] + k] = -direction[n, k]
    factorise(data, slot, columns, rows)
    solve(data, slot, columns, rows, right)
    for m in range(first, last):
        body = members[m]
        for n in range(t.node_start[body], t.node_start[body + 1]):
            for k in range(3):
                direction[n, k] = (
                    right[local[t.node_block[n]], 3 * t.node_slot[n] + k] if not t.fixed[n] else 0.0
                )


@inner
def _mollified(t, pairs, p, x, factor, gradient):
    """Add the gradient of the mollifier of an edge pair, times ``factor``, to the nodes."""
    y = np.empty((4, 3))
    force = np.zeros((4, 3))
    for z in range(4):
        for a in range(3):
            y[z, a] = x[pairs[p, z + 1], a]
    mollify_gradient(y, 0, 1, 2, 3, factor, force)
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
