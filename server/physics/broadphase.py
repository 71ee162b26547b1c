"""Broad phase: candidate pairs from swept boxes of groups, then of points, edges and faces inside their overlap.

Candidates are built once per step from inflated boxes. They are complete as long as every vertex stays in its own box;
the solver rebuilds them when an iterate leaves its box.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from tussle.server.physics.distance import EDGE_EDGE, POINT_FACE
from tussle.server.physics.jit import inner

__all__ = ["candidate_pairs"]

INSERTED_MOST = 32
"""The longest list of boxes that is sorted by insertion."""


@inner
def _boxes_overlap(low, high, a, b):
    """Return whether the boxes of the groups a and b overlap."""
    return (
        low[a, 0] <= high[b, 0]
        and low[b, 0] <= high[a, 0]
        and low[a, 1] <= high[b, 1]
        and low[b, 1] <= high[a, 1]
        and low[a, 2] <= high[b, 2]
        and low[b, 2] <= high[a, 2]
    )


@inner
def _boxes_in_region(low, high, first, last, region, axis, names, boxes):
    """Collect the boxes first..last-1 that overlap the region, sorted along ``axis``. Returns how many.

    region: low corner, then high corner, shape (6,). names receives their numbers, boxes (6, n) their corners.
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
    if count > INSERTED_MOST:
        order = np.argsort(low[names[:count], axis])
        names[:count] = names[:count][order]
    else:
        for n in range(1, count):
            name, place = names[n], n
            while place > 0 and low[names[place - 1], axis] > low[name, axis]:
                names[place] = names[place - 1]
                place -= 1
            names[place] = name
    for n in range(count):
        for k in range(3):
            boxes[k, n] = low[names[n], k]
            boxes[k + 3, n] = high[names[n], k]
    return count


@inner
def _grow(rows):
    """Return the same rows in an array of twice the length."""
    larger = np.empty((2 * rows.shape[0], rows.shape[1]), np.int64)
    for p in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            larger[p, k] = rows[p, k]
    return larger


@inner
def _append_overlaps(box, x, others, begin, end, axis, flipped, hits, count):
    """Append to the hits the boxes begin..end-1 of ``others`` that begin inside box x along the axis and overlap it."""
    second, third = (axis + 1) % 3, (axis + 2) % 3
    stop = box[axis + 3, x]
    low2, high2, low3, high3 = box[second, x], box[second + 3, x], box[third, x], box[third + 3, x]
    for y in range(begin, end):
        if others[axis, y] > stop:
            break
        if (
            (others[second, y] <= high2)
            & (low2 <= others[second + 3, y])
            & (others[third, y] <= high3)
            & (low3 <= others[third + 3, y])
        ):
            if count == hits.shape[0]:
                hits = _grow(hits)
            hits[count, 0] = y if flipped else x
            hits[count, 1] = x if flipped else y
            count += 1
    return hits, count


@inner
def _overlapping_pairs(near, nears, far, fars, axis, same, hits):
    """Find all overlaps of two lists of boxes that ascend along the axis (sweep and prune). Returns hits (n, 2) and
    how many.

    A pair is found from the box that begins first. same: both lists are the same list, and each pair is reported once.
    """
    count = 0
    x, y = 0, 0
    while x < nears and y < fars:
        if same:
            hits, count = _append_overlaps(near, x, near, x + 1, nears, axis, False, hits, count)
            x += 1
        elif near[axis, x] <= far[axis, y]:
            hits, count = _append_overlaps(near, x, far, y, fars, axis, False, hits, count)
            x += 1
        else:
            hits, count = _append_overlaps(far, y, near, x, nears, axis, True, hits, count)
            y += 1
    return hits, count


@inner
def _set_boxes(items, first, last, low, high, item_low, item_high):
    """Set the boxes of the primitives first..last-1 from those of their vertices; items: shape (n, corners)."""
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
    """Return whether two primitives have a vertex in common."""
    for a in range(first.shape[1]):
        for b in range(second.shape[1]):
            if first[i, a] == second[j, b]:
                return True
    return False


@inner
def candidate_pairs(
    points, point_start, edges, edge_start, faces, face_start, low, high, movable, bends, present
):
    """Return all pairs of primitives of different bodies (of one body if it bends) whose boxes overlap; shape (n, 5).

    low, high: swept boxes of the vertices [m], shape (vertices, 3), inflated so that two boxes which do not overlap
    are farther apart than dhat. points: vertices that take part in contact, shape (k, 1). *_start: ranges per group.
    movable, bends, present: per group. Pairs of two groups that are not movable are left out, and so are groups that
    are not present.
    """
    groups = point_start.shape[0] - 1
    point_low, point_high = np.empty((points.shape[0], 3)), np.empty((points.shape[0], 3))
    edge_low, edge_high = np.empty((edges.shape[0], 3)), np.empty((edges.shape[0], 3))
    face_low, face_high = np.empty((faces.shape[0], 3)), np.empty((faces.shape[0], 3))
    group_low, group_high = np.full((groups, 3), np.inf), np.full((groups, 3), -np.inf)
    for g in range(groups):
        if present[g]:
            _set_boxes(points, point_start[g], point_start[g + 1], low, high, point_low, point_high)
            for i in range(point_start[g], point_start[g + 1]):
                for axis in range(3):
                    group_low[g, axis] = min(group_low[g, axis], point_low[i, axis])
                    group_high[g, axis] = max(group_high[g, axis], point_high[i, axis])
    boxed = np.zeros(groups, np.bool_)
    pairs = np.empty((1024, 5), np.int64)
    hits = np.empty((1024, 2), np.int64)
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
            if not _boxes_overlap(group_low, group_high, a, b):
                continue
            for turn in range(2):
                g = a if turn == 0 else b
                if not boxed[g]:
                    boxed[g] = True
                    _set_boxes(edges, edge_start[g], edge_start[g + 1], low, high, edge_low, edge_high)
                    _set_boxes(faces, face_start[g], face_start[g + 1], low, high, face_low, face_high)
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
                    nears = _boxes_in_region(point_low, point_high, first, last, region, axis, near, near_box)
                    fars = _boxes_in_region(face_low, face_high, second, end, region, axis, far, far_box)
                else:
                    first, last, second, end = (
                        edge_start[one],
                        edge_start[one + 1],
                        edge_start[other],
                        edge_start[other + 1],
                    )
                    nears = _boxes_in_region(edge_low, edge_high, first, last, region, axis, near, near_box)
                    fars = nears
                    if a != b:
                        fars = _boxes_in_region(edge_low, edge_high, second, end, region, axis, far, far_box)
                same = a == b and turn == 2
                hits, met = _overlapping_pairs(near_box, nears, far_box, fars, axis, same, hits)
                for h in range(met):
                    i, j = near[hits[h, 0]], near[hits[h, 1]] if same else far[hits[h, 1]]
                    if a == b and (
                        _share_vertex(points, i, faces, j) if turn < 2 else _share_vertex(edges, i, edges, j)
                    ):
                        continue
                    if count == pairs.shape[0]:
                        pairs = _grow(pairs)
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
