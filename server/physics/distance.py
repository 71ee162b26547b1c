"""Closest points of the two kinds of primitive pairs, and the bound on their motion that additive CCD needs.

A pair is five integers: its kind, then four vertices. POINT_FACE: a vertex, then the corners of a triangle. EDGE_EDGE:
the ends of one edge, then of the other. The weights w have signs such that r = sum w_i x_i joins the closest points,
and |r| is the distance. Weights of the first primitive are >= 0, those of the second <= 0.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from tussle.server.physics.jit import kernel

__all__ = ["EDGE_EDGE", "POINT_FACE", "closest", "pair_travel"]

POINT_FACE = 0
EDGE_EDGE = 1


@kernel
def _point_face(x, p, a, b, c):
    """Return the weights of the point of triangle (a, b, c) that is closest to vertex p.

    Ericson 2004, "Real-Time Collision Detection", section 5.1.5.
    """
    abx, aby, abz = x[b, 0] - x[a, 0], x[b, 1] - x[a, 1], x[b, 2] - x[a, 2]
    acx, acy, acz = x[c, 0] - x[a, 0], x[c, 1] - x[a, 1], x[c, 2] - x[a, 2]
    apx, apy, apz = x[p, 0] - x[a, 0], x[p, 1] - x[a, 1], x[p, 2] - x[a, 2]
    d1 = abx * apx + aby * apy + abz * apz
    d2 = acx * apx + acy * apy + acz * apz
    if d1 <= 0.0 and d2 <= 0.0:
        return 1.0, 0.0, 0.0
    bpx, bpy, bpz = x[p, 0] - x[b, 0], x[p, 1] - x[b, 1], x[p, 2] - x[b, 2]
    d3 = abx * bpx + aby * bpy + abz * bpz
    d4 = acx * bpx + acy * bpy + acz * bpz
    if d3 >= 0.0 and d4 <= d3:
        return 0.0, 1.0, 0.0
    vc = d1 * d4 - d3 * d2
    if vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        v = d1 / (d1 - d3)
        return 1.0 - v, v, 0.0
    cpx, cpy, cpz = x[p, 0] - x[c, 0], x[p, 1] - x[c, 1], x[p, 2] - x[c, 2]
    d5 = abx * cpx + aby * cpy + abz * cpz
    d6 = acx * cpx + acy * cpy + acz * cpz
    if d6 >= 0.0 and d5 <= d6:
        return 0.0, 0.0, 1.0
    vb = d5 * d2 - d1 * d6
    if vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        v = d2 / (d2 - d6)
        return 1.0 - v, 0.0, v
    va = d3 * d6 - d5 * d4
    if va <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0:
        v = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return 0.0, 1.0 - v, v
    scale = 1.0 / (va + vb + vc)
    return 1.0 - vb * scale - vc * scale, vb * scale, vc * scale


@kernel
def _edge_edge(x, a, b, c, d):
    """Return the parameters s, t of the closest points a + s (b - a) and c + t (d - c) of two edges.

    Ericson 2004, "Real-Time Collision Detection", section 5.1.9.
    """
    ux, uy, uz = x[b, 0] - x[a, 0], x[b, 1] - x[a, 1], x[b, 2] - x[a, 2]
    vx, vy, vz = x[d, 0] - x[c, 0], x[d, 1] - x[c, 1], x[d, 2] - x[c, 2]
    rx, ry, rz = x[a, 0] - x[c, 0], x[a, 1] - x[c, 1], x[a, 2] - x[c, 2]
    uu = ux * ux + uy * uy + uz * uz
    vv = vx * vx + vy * vy + vz * vz
    uv = ux * vx + uy * vy + uz * vz
    ur = ux * rx + uy * ry + uz * rz
    vr = vx * rx + vy * ry + vz * rz
    det = uu * vv - uv * uv
    s = 0.0
    if det > 1e-12 * uu * vv:
        s = min(1.0, max(0.0, (uv * vr - ur * vv) / det))
    t = (uv * s + vr) / vv
    if t < 0.0:
        t = 0.0
        s = min(1.0, max(0.0, -ur / uu))
    elif t > 1.0:
        t = 1.0
        s = min(1.0, max(0.0, (uv - ur) / uu))
    return s, t


@kernel
def closest(x, kind, i, j, k, m):
    """Return the squared distance [m^2] and the four weights of a pair; x: positions [m], shape (n, 3)."""
    if kind == POINT_FACE:
        a, b, c = _point_face(x, i, j, k, m)
        w0, w1, w2, w3 = 1.0, -a, -b, -c
    else:
        s, t = _edge_edge(x, i, j, k, m)
        w0, w1, w2, w3 = 1.0 - s, s, t - 1.0, -t
    rx = w0 * x[i, 0] + w1 * x[j, 0] + w2 * x[k, 0] + w3 * x[m, 0]
    ry = w0 * x[i, 1] + w1 * x[j, 1] + w2 * x[k, 1] + w3 * x[m, 1]
    rz = w0 * x[i, 2] + w1 * x[j, 2] + w2 * x[k, 2] + w3 * x[m, 2]
    return rx * rx + ry * ry + rz * rz, w0, w1, w2, w3


@kernel
def pair_travel(travel, kind, i, j, k, m):
    """Return how far the distance of a pair can have shrunk at most [m]; travel: how far each vertex moved [m], shape
    (n,).
    """
    if kind == POINT_FACE:
        return travel[i] + max(travel[j], max(travel[k], travel[m]))
    return max(travel[i], travel[j]) + max(travel[k], travel[m])
