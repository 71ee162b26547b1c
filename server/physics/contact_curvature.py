"""What the Hessian of a contact has besides the curvature along its normal: the turn of the normal, and the mollifier.

With r = sum w_i x_i, d = |r| and n = r / d, a displacement of the vertices changes r by a = sum w_i dx_i at fixed
weights. To second order

    d^2 / 2 changes by  d n.a + 1/2 ((n.a)^2 + 2 c.a - |c|^2),    c = d dn.

dn is the turn of the normal in the directions in which the closest points can slide: in the plane of a triangle or of
two edges, or along the edge that is closest to a vertex. So the Hessian of b(d^2) is

    (4 b'' d^2 + 2 b') (n.a)^2  +  2 |b'| (|c|^2 - 2 c.a).

The first term is positive, and assembly.py adds it. In the second a and c are orthogonal rows, so for each direction it
is a 2 x 2 matrix of which the positive eigenvalue is known; that part is kept. Rows are measured in the metric of the
masses: the terms of a body are compared with its inertia, and left out where they are small against it.

The mollifier m(c), c = |y|^2, y = u x v, resists edges that turn out of parallel: its Hessian in y is 2 m' + 4 m'' c
along y and 2 m' across, of which the positive part is kept, times b.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tussle.server.physics.barrier import mollifier, mollifier_bend
from tussle.server.physics.distance import EDGE_EDGE
from tussle.server.physics.geometry import Ints
from tussle.server.physics.jit import inner, kernel
from tussle.server.physics.kernel_arrays import AFFINE
from tussle.server.physics.world_state import Floats

__all__ = ["CurvatureScratch", "curvature_rows", "mollifier_rows", "new_curvature_scratch"]


class CurvatureScratch(NamedTuple):
    """Scratch arrays for the rows of one contact, allocated once.

    ends (2, 2), edges (2, 3), values (3, 4), tangents (2, 3), coefs (3, 16), inertia (16,). Results: nodes (16,), rows
    (4, 16, 3), scales (4,).
    """

    ends: Ints
    edges: Floats
    values: Floats
    tangents: Floats
    coefs: Floats
    inertia: Floats
    nodes: Ints
    rows: Floats
    scales: Floats


@kernel
def new_curvature_scratch():
    """Return CurvatureScratch for curvature_rows and mollifier_rows."""
    return CurvatureScratch(
        ends=np.empty((2, 2), np.int64),
        edges=np.empty((2, 3)),
        values=np.empty((3, 4)),
        tangents=np.empty((2, 3)),
        coefs=np.empty((3, 16)),
        inertia=np.empty(16),
        nodes=np.empty(16, np.int64),
        rows=np.empty((4, 16, 3)),
        scales=np.empty(4),
    )


NEGLIGIBLE = 1e-2
"""The curvature that is left out, in units of the inertia of the bodies."""


@inner
def _sliding_edges(x, pairs, weights, p, ends, edges):
    """Return in how many directions the closest points of a pair can slide, 0 to 2.

    ends (2, 2): places in the pair of the ends of the edges along which they do. edges (2, 3): these edges [m].
    """
    count = 0
    if pairs[p, 0] == EDGE_EDGE:
        for z in range(0, 4, 2):
            if weights[p, z] != 0.0 and weights[p, z + 1] != 0.0:
                ends[count, 0], ends[count, 1] = z, z + 1
                count += 1
    else:
        first = 0
        for z in range(1, 4):
            if weights[p, z] != 0.0:
                if first == 0:
                    first = z
                else:
                    ends[count, 0], ends[count, 1] = first, z
                    count += 1
    for e in range(count):
        for a in range(3):
            edges[e, a] = x[pairs[p, ends[e, 1] + 1], a] - x[pairs[p, ends[e, 0] + 1], a]
    return count


@inner
def _gather(t, pairs, weights, p, values, columns, nodes, coefs, inertia):
    """Express sums over the four vertices of a pair, values (columns, 4), in nodes. Returns how many, at most 16.

    Writes their numbers, coefficients (columns, 16) and inertia [kg], of an axis of an affine body [kg m^2]. Vertices
    that cannot move are left out, and so are those of weight zero, for which the matrix has no entry.
    """
    count = 0
    for z in range(4):
        v = pairs[p, z + 1]
        first = t.vertex_node[v]
        if first < 0 or t.fixed[first]:
            continue
        body = t.vertex_group[v]
        if t.kind[body] == AFFINE:
            at = -1
            for y in range(count):
                if nodes[y] == first:
                    at = y
                    break
            if at < 0:
                at = count
                count += 4
                for y in range(4):
                    nodes[at + y] = first + y
                    inertia[at + y] = t.mass[body, y, y]
                    for e in range(columns):
                        coefs[e, at + y] = 0.0
            for e in range(columns):
                coefs[e, at] += values[e, z]
                for y in range(3):
                    coefs[e, at + 1 + y] += t.rest[v, y] * values[e, z]
        elif weights[p, z] != 0.0:
            nodes[count] = first
            inertia[count] = t.node_mass[first]
            for e in range(columns):
                coefs[e, count] = values[e, z]
            count += 1
    return count


@inner
def _turn_of_normal(ends, edges, count, normal, distance, values, tangents):
    """Write the rows of c, one for each sliding direction, into values[1:] (2, 4), and the directions into tangents
    (2, 3). Returns whether they exist.

    The normal stays orthogonal to the edges: dn.u = -n.du, dn.v = -n.dv.
    """
    length = math.sqrt(edges[0, 0] ** 2 + edges[0, 1] ** 2 + edges[0, 2] ** 2)
    if length <= 0.0:
        return False
    for a in range(3):
        tangents[0, a] = edges[0, a] / length
    for z in range(4):
        values[1, z] = 0.0
    values[1, ends[0, 0]] += distance / length
    values[1, ends[0, 1]] -= distance / length
    if count == 2:
        along, across = 0.0, 0.0
        for a in range(3):
            b, c = (a + 1) % 3, (a + 2) % 3
            tangents[1, a] = normal[b] * tangents[0, c] - normal[c] * tangents[0, b]
            along += edges[1, a] * tangents[0, a]
            across += edges[1, a] * tangents[1, a]
        if across == 0.0:
            return False
        for z in range(4):
            values[2, z] = -along / across * values[1, z]
        values[2, ends[1, 0]] += distance / across
        values[2, ends[1, 1]] -= distance / across
    return True


@kernel
def curvature_rows(t, pairs, weights, p, x, normal, distance, strength, kept, scratch):
    """Write the rows of the turn of the normal of a pair, their nodes and scales. Returns how many nodes and rows.

    strength: 2 |b'| times its factors. normal and distance: of the pair. kept: the share of the negative part
    that is kept.
    """
    ends, edges, values, tangents = scratch.ends, scratch.edges, scratch.values, scratch.tangents
    coefs, inertia, nodes, rows = scratch.coefs, scratch.inertia, scratch.nodes, scratch.rows
    found = _sliding_edges(x, pairs, weights, p, ends, edges)
    if found == 0 and kept == 0.0:
        return 0, 0
    if found == 0:
        _any_tangent(normal, tangents)
    elif not _turn_of_normal(ends, edges, found, normal, distance, values, tangents):
        return 0, 0
    for z in range(4):
        values[0, z] = weights[p, z]
    count = _gather(t, pairs, weights, p, values, found + 1, nodes, coefs, inertia)
    a2 = g11 = g12 = g22 = 0.0
    for y in range(count):
        a2 += coefs[0, y] * coefs[0, y] / inertia[y]
        g11 += coefs[1, y] * coefs[1, y] / inertia[y]
        if found == 2:
            g12 += coefs[1, y] * coefs[2, y] / inertia[y]
            g22 += coefs[2, y] * coefs[2, y] / inertia[y]
    if found == 2 and g12 != 0.0:
        # The rotation in the plane that makes the two rows of c orthogonal.
        theta = (g22 - g11) / (2.0 * g12)
        slope = (1.0 if theta >= 0.0 else -1.0) / (abs(theta) + math.sqrt(theta * theta + 1.0))
        cos = 1.0 / math.sqrt(slope * slope + 1.0)
        sin = slope * cos
        for y in range(count):
            one, two = coefs[1, y], coefs[2, y]
            coefs[1, y] = cos * one - sin * two
            coefs[2, y] = sin * one + cos * two
        for a in range(3):
            one, two = tangents[0, a], tangents[1, a]
            tangents[0, a] = cos * one - sin * two
            tangents[1, a] = sin * one + cos * two
        g11, g22 = g11 - slope * g12, g22 + slope * g12
    number = 0
    for e in range(found):
        g2 = g11 if e == 0 else g22
        if g2 <= 0.0:
            continue
        root = math.sqrt(g2 * g2 + 4.0 * a2 * g2)
        for turn in range(2 if kept > 0.0 else 1):
            value = 0.5 * (g2 + root if turn == 0 else g2 - root)
            if strength * value < NEGLIGIBLE and kept == 0.0:
                continue
            # The eigenvector (-sqrt(a2 g2), value) in orthonormal rows, each divided by the norm of its row.
            of_a, of_c = -math.sqrt(g2), value / math.sqrt(g2)
            for y in range(count):
                for a in range(3):
                    rows[number, y, a] = (
                        of_a * coefs[0, y] * tangents[e, a] + of_c * coefs[e + 1, y] * normal[a]
                    )
            scratch.scales[number] = (
                (1.0 if turn == 0 else kept) * strength * value / (a2 * g2 + value * value)
            )
            number += 1
    if kept > 0.0:
        # Where the closest points cannot slide, the distance grows with the square of the way aside.
        for e in range(found, 2):
            if found == 1:
                for a in range(3):
                    b, c = (a + 1) % 3, (a + 2) % 3
                    tangents[1, a] = normal[b] * tangents[0, c] - normal[c] * tangents[0, b]
            for y in range(count):
                for a in range(3):
                    rows[number, y, a] = coefs[0, y] * tangents[e, a]
            scratch.scales[number] = -kept * strength
            number += 1
    return count, number


@inner
def _any_tangent(normal, tangents):
    """Write two directions that are orthogonal to the normal and to one another."""
    a = 0
    for b in range(1, 3):
        if abs(normal[b]) < abs(normal[a]):
            a = b
    b, c = (a + 1) % 3, (a + 2) % 3
    size = math.sqrt(normal[b] * normal[b] + normal[c] * normal[c])
    tangents[0, a], tangents[0, b], tangents[0, c] = 0.0, -normal[c] / size, normal[b] / size
    for a in range(3):
        b, c = (a + 1) % 3, (a + 2) % 3
        tangents[1, a] = normal[b] * tangents[0, c] - normal[c] * tangents[0, b]


@kernel
def mollifier_rows(t, pairs, weights, p, x, strength, scratch):
    """Write the rows of the mollifier of a pair of edges, their nodes and scales. Returns how many nodes and rows.

    strength: b times its factors.
    """
    u, v, y, e = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    i, j, k, m = pairs[p, 1], pairs[p, 2], pairs[p, 3], pairs[p, 4]
    _, first = mollifier(x, t.rest, i, j, k, m)
    second = mollifier_bend(t.rest, i, j, k, m)
    uu = c = 0.0
    for a in range(3):
        u[a] = x[j, a] - x[i, a]
        v[a] = x[m, a] - x[k, a]
        uu += u[a] * u[a]
    for a in range(3):
        b, d = (a + 1) % 3, (a + 2) % 3
        y[a] = u[b] * v[d] - u[d] * v[b]
        c += y[a] * y[a]
    size = math.sqrt(c)
    if size <= 1e-12 * uu:
        # The edges are parallel: any direction across them.
        a = 0
        for b in range(1, 3):
            if abs(u[b]) < abs(u[a]):
                a = b
        b, d = (a + 1) % 3, (a + 2) % 3
        y[a], y[b], y[d] = 0.0, -u[d], u[b]
        size = math.sqrt(u[b] * u[b] + u[d] * u[d])
    for a in range(3):
        y[a] /= size
    coefs, values, inertia = scratch.coefs, scratch.values, scratch.inertia
    nodes, rows = scratch.nodes, scratch.rows
    count = number = 0
    for turn in range(2):
        curve = 2.0 * first - (4.0 * c * second if turn == 0 else 0.0)
        if curve <= 0.0:
            continue
        for a in range(3):
            b, d = (a + 1) % 3, (a + 2) % 3
            e[a] = y[a] if turn == 0 else (y[b] * u[d] - y[d] * u[b]) / math.sqrt(uu)
        for a in range(3):
            b, d = (a + 1) % 3, (a + 2) % 3
            values[a, 1] = v[b] * e[d] - v[d] * e[b]
            values[a, 3] = e[b] * u[d] - e[d] * u[b]
            values[a, 0], values[a, 2] = -values[a, 1], -values[a, 3]
        count = _gather(t, pairs, weights, p, values, 3, nodes, coefs, inertia)
        largest = 0.0
        for n in range(count):
            for a in range(3):
                rows[number, n, a] = coefs[a, n]
                largest += coefs[a, n] * coefs[a, n] / inertia[n]
        scratch.scales[number] = strength * curve
        if strength * curve * largest >= NEGLIGIBLE:
            number += 1
    return count, number
