"""Which primitives may come near: swept boxes of bodies, then of points, edges and faces inside their
overlap.

Candidates are built once per step over inflated boxes; as long as every vertex stays inside its own box they
are complete, so the solver rebuilds them exactly when an iterate leaves them."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from server.physics.compiled import inner
from server.physics.distance import EDGE_EDGE, POINT_FACE

__all__ = ["candidate_pairs"]


@inner
def _meet(low, high, a, b):
    """Whether the boxes of the groups a and b overlap."""
    return (
        low[a, 0] <= high[b, 0]
        and low[b, 0] <= high[a, 0]
        and low[a, 1] <= high[b, 1]
        and low[b, 1] <= high[a, 1]
        and low[a, 2] <= high[b, 2]
        and low[b, 2] <= high[a, 2]
    )


@inner
def _inside(low, high, first, last, region, axis, names, boxes):
    """The boxes first..last-1 that meet the region, sorted along ``axis``: numbers into names, corners into boxes.

    region: low corner, then high corner, shape (6,). boxes: shape (6, n), the same. Returns how many.
    """
    count = 0
    for i in range(first, last):
        if (
            low[i, 0] <= region[3]
            and region[0] <= high[i, 0]
            and low[i, 1] <= region[4]
            and region[1] <= high[i, 1]
            and low[i, 2] <= region[5]
            and region[2] <= high[i, 2]
        ):
            names[count] = i
            count += 1
    order = np.argsort(low[names[:count], axis])
    names[:count] = names[:count][order]
    for n in range(count):
        for k in range(3):
            boxes[k, n] = low[names[n], k]
            boxes[k + 3, n] = high[names[n], k]
    return count


@inner
def _grown(pairs):
    """The same pairs in an array of twice the room."""
    larger = np.empty((2 * pairs.shape[0], 5), np.int64)
    for p in range(pairs.shape[0]):
        for k in range(5):
            larger[p, k] = pairs[p, k]
    return larger


@inner
def _boxes(items, first, last, low, high, item_low, item_high):
    """Boxes of the primitives first..last-1 from those of their vertices; items: shape (n, corners)."""
    for i in range(first, last):
        for axis in range(3):
            below, above = np.inf, -np.inf
            for c in range(items.shape[1]):
                below = min(below, low[items[i, c], axis])
                above = max(above, high[items[i, c], axis])
            item_low[i, axis] = below
            item_high[i, axis] = above


@inner
def _share_vertex(first, i, second, j):
    """Whether two primitives have a vertex in common."""
    for a in range(first.shape[1]):
        for b in range(second.shape[1]):
            if first[i, a] == second[j, b]:
                return True
    return False


@inner
def candidate_pairs(
    points, point_start, edges, edge_start, faces, face_start, low, high, movable, bends, present
):
    """All pairs of primitives of different bodies (of one body if it bends) whose boxes meet; shape (n, 5).

    low, high: swept boxes of the vertices [m], already inflated so that two boxes that miss each other are
    farther apart than dhat, shape (vertices, 3). points: vertices that take part, shape (k, 1); *_start:
    ranges per group. movable, bends, present: per group; pairs of two groups that are not movable are
    skipped, and groups that are not present."""
    groups = point_start.shape[0] - 1
    point_low, point_high = np.empty((points.shape[0], 3)), np.empty((points.shape[0], 3))
    edge_low, edge_high = np.empty((edges.shape[0], 3)), np.empty((edges.shape[0], 3))
    face_low, face_high = np.empty((faces.shape[0], 3)), np.empty((faces.shape[0], 3))
    group_low, group_high = np.full((groups, 3), np.inf), np.full((groups, 3), -np.inf)
    for g in range(groups):
        if present[g]:
            _boxes(points, point_start[g], point_start[g + 1], low, high, point_low, point_high)
            for i in range(point_start[g], point_start[g + 1]):
                for axis in range(3):
                    group_low[g, axis] = min(group_low[g, axis], point_low[i, axis])
                    group_high[g, axis] = max(group_high[g, axis], point_high[i, axis])
    boxed = np.zeros(groups, np.bool_)
    pairs = np.empty((1024, 5), np.int64)
    count = 0
    # Scratch: the primitives of either kind inside the region that both groups share.
    most = max(points.shape[0], max(edges.shape[0], faces.shape[0]))
    near, far = np.empty(most, np.int64), np.empty(most, np.int64)
    near_box, far_box = np.empty((6, most)), np.empty((6, most))
    region = np.empty(6)
    for a in range(groups):
        if not present[a]:
            continue
        for b in range(a, groups):
            if not present[b] or (a == b and not bends[a]) or not (movable[a] or movable[b]):
                continue
            if not _meet(group_low, group_high, a, b):
                continue
            for turn in range(2):
                g = a if turn == 0 else b
                if not boxed[g]:
                    boxed[g] = True
                    _boxes(edges, edge_start[g], edge_start[g + 1], low, high, edge_low, edge_high)
                    _boxes(faces, face_start[g], face_start[g + 1], low, high, face_low, face_high)
            axis = 0
            for k in range(3):
                region[k] = max(group_low[a, k], group_low[b, k])
                region[k + 3] = min(group_high[a, k], group_high[b, k])
                if region[k + 3] - region[k] > region[axis + 3] - region[axis]:
                    axis = k
            # Points of a with faces of b, of b with faces of a, edges of both.
            for turn in range(3):
                if turn == 1 and a == b:
                    continue
                one, other = (b, a) if turn == 1 else (a, b)
                if turn < 2:
                    first, last, second, end = (
                        point_start[one],
                        point_start[one + 1],
                        face_start[other],
                        face_start[other + 1],
                    )
                    nears = _inside(point_low, point_high, first, last, region, axis, near, near_box)
                    fars = _inside(face_low, face_high, second, end, region, axis, far, far_box)
                else:
                    first, last, second, end = (
                        edge_start[one],
                        edge_start[one + 1],
                        edge_start[other],
                        edge_start[other + 1],
                    )
                    nears = _inside(edge_low, edge_high, first, last, region, axis, near, near_box)
                    fars = _inside(edge_low, edge_high, second, end, region, axis, far, far_box)
                widest = 0.0
                for y in range(fars):
                    widest = max(widest, far_box[axis + 3, y] - far_box[axis, y])
                begin = 0
                for x in range(nears):
                    i = near[x]
                    x0, x1, x2 = near_box[0, x], near_box[1, x], near_box[2, x]
                    x3, x4, x5 = near_box[3, x], near_box[4, x], near_box[5, x]
                    # Both lists ascend along the axis: nothing before ``begin`` reaches this or a later box.
                    while begin < fars and far_box[axis, begin] + widest < near_box[axis, x]:
                        begin += 1
                    stop = near_box[axis + 3, x]
                    for y in range(begin, fars):
                        if far_box[axis, y] > stop:
                            break
                        if (
                            far_box[0, y] > x3
                            or x0 > far_box[3, y]
                            or far_box[1, y] > x4
                            or x1 > far_box[4, y]
                            or far_box[2, y] > x5
                            or x2 > far_box[5, y]
                        ):
                            continue
                        j = far[y]
                        if a == b:
                            if turn < 2:
                                if _share_vertex(points, i, faces, j):
                                    continue
                            elif j <= i or _share_vertex(edges, i, edges, j):
                                continue
                        if count == pairs.shape[0]:
                            pairs = _grown(pairs)
                        if turn < 2:
                            pairs[count, 0] = POINT_FACE
                            pairs[count, 1] = points[i, 0]
                            for k in range(3):
                                pairs[count, 2 + k] = faces[j, k]
                        else:
                            pairs[count, 0] = EDGE_EDGE
                            for k in range(2):
                                pairs[count, 1 + k] = edges[i, k]
                                pairs[count, 3 + k] = edges[j, k]
                        count += 1
    return pairs[:count]
