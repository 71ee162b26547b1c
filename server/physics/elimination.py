"""Which unknowns of an island are eliminated when, and together: its fronts.

The linear system of an island has one entry, 3 x 3, for each pair of nodes that share a tetrahedron, a patch, a
spring, a contact or an affine body. The nodes of an elastic body are eliminated in the order of its nested dissection
(server/physics/dissection.py). Its nodes that touch another elastic body follow after all of these, together with the
affine bodies, by minimum degree: they alone connect what is dissected.

A front is a set of nodes that are eliminated together, and the later nodes that this connects, its rows (Liu 1992,
"The Multifrontal Method for Sparse Matrix Solution"). All of it is a function of the pattern alone and is found for
each system from nothing.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from tussle.server.physics.jit import inner
from tussle.server.physics.kernel_arrays import AFFINE, System
from tussle.server.physics.tiles import TILE_SIZE

__all__ = ["find_entry", "nodes_meet", "plan_elimination", "tile_count", "triangle_size"]

NODES_A_TILE = 4
"""Nodes in a tile."""
BORDER = -2
"""The front of a node, while there is none yet, that is eliminated after the dissected ones."""
BORDER_NODES = 4
"""Nodes of an elastic body that are one unit of the minimum-degree order."""
MERGED_NODES = 16
"""Up to how many nodes two fronts become one for few zeros, or above it for fewer."""
ZEROS_SMALL = 0.25
"""The largest share of zeros in a front that is made of smaller ones, up to MERGED_NODES."""
ZEROS_LARGE = 0.06
"""The same, above MERGED_NODES."""


@inner
def triangle_size(n):
    """Return the size of the lower triangle of n x n tiles, row by row."""
    return TILE_SIZE * (n * (n + 1) // 2)


@inner
def tile_count(nodes):
    """Return how many tiles the unknowns of some nodes fill."""
    return (nodes + 3) // 4


@inner
def _plan_rests(row_start, parent):
    """Return where the rest of each front is stored, and how large the two stores are.

    The rest of a front is needed until its parent is done. Fronts of even depth have one store and those of odd depth
    the other, so that each is a stack: the rests of the children are its top when their parent comes.
    """
    fronts = parent.shape[0]
    depth = np.zeros(fronts, np.int64)
    for f in range(fronts - 1, -1, -1):
        if parent[f] >= 0:
            depth[f] = 1 - depth[parent[f]]
    place = np.zeros(fronts, np.int64)
    below = np.zeros(fronts, np.int64)
    even, odd = 0, 0
    even_most, odd_most = 0, 0
    for f in range(fronts):
        size = triangle_size(tile_count(row_start[f + 1] - row_start[f]))
        if parent[f] >= 0:
            below[parent[f]] += size
        if depth[f] == 0:
            place[f] = even
            even += size
            odd -= below[f]
        else:
            place[f] = odd
            odd += size
            even -= below[f]
        even_most, odd_most = max(even_most, even), max(odd_most, odd)
    return depth, place, even_most, odd_most


@inner
def nodes_meet(near_start, near, a, b):
    """Return whether two nodes of elastic bodies share a tetrahedron or a patch."""
    met = False
    for e in range(near_start[a], near_start[a + 1]):
        met = met or near[e] == b
    return met


@inner
def find_entry(first, row_start, rows, start, place, front, i, j):
    """Return where the entry (3, 3) of the rows of node i and the columns of node j begins, place[i] >= place[j].

    Row r and column c of the entry are at + 12 c + r. first, row_start, rows, start: of the System. They are arguments,
    because each array that is read from a tuple costs two changes of its count of uses.
    """
    s = front[j]
    width = first[s + 1] - first[s]
    tiles = (width + 3) // NODES_A_TILE
    at = place[i] - first[s]
    if at >= width:
        begin = row_start[s]
        low, high = begin, row_start[s + 1]
        while low < high:
            middle = (low + high) // 2
            if rows[middle] < place[i]:
                low = middle + 1
            else:
                high = middle
        at = NODES_A_TILE * tiles + low - begin
    return start[s] + (at // 4) * (tiles * TILE_SIZE) + 36 * (place[j] - first[s]) + 3 * (at % 4)


@inner
def _set_border(t, cliques, clique_start, front):
    """Let the affine bodies and enough nodes of elastic ones be the border, that no clique joins two dissections."""
    for q in range(clique_start.shape[0] - 1):
        for y in range(clique_start[q], clique_start[q + 1]):
            a = cliques[y]
            if t.span[a] > 1:
                continue
            for z in range(clique_start[q], y):
                b = cliques[z]
                if (
                    t.span[b] > 1
                    or front[a] == BORDER
                    or front[b] == BORDER
                    or nodes_meet(t.near_start, t.near, a, b)
                ):
                    continue
                front[min(a, b)] = BORDER


@inner
def _collect_units(t, members, first, last, place, front):
    """Return the units of the border: nodes, unit_start. place becomes the unit of each node."""
    count = 0
    for m in range(first, last):
        for e in range(t.order_start[members[m]], t.order_start[members[m] + 1]):
            count += front[t.order[e]] == BORDER
    nodes = np.empty(count, np.int64)
    unit_start = np.empty(count + 1, np.int64)
    count = 0
    units = 0
    for m in range(first, last):
        inside = BORDER_NODES
        for e in range(t.order_start[members[m]], t.order_start[members[m] + 1]):
            v = t.order[e]
            if front[v] != BORDER:
                continue
            if inside == BORDER_NODES:
                unit_start[units] = count
                units += 1
                inside = 0
            place[v] = units - 1
            nodes[count] = v
            count += 1
            inside += 1
    unit_start[units] = count
    return nodes, unit_start[: units + 1]


@inner
def _link_units(t, members, first, last, cliques, clique_start, place, front, units):
    """Return which units of the border share an entry once all dissected nodes are eliminated, (units, units), bool."""
    linked = np.zeros((units, units), np.bool_)
    bodies = 0
    number = np.full(t.kind.shape[0], -1, np.int64)
    for m in range(first, last):
        if t.kind[members[m]] != AFFINE:
            number[members[m]] = bodies
            bodies += 1
    touched = np.zeros((bodies, units), np.bool_)
    for m in range(first, last):
        body = members[m]
        if number[body] >= 0:
            for e in range(t.order_start[body], t.order_start[body + 1]):
                if front[t.order[e]] == BORDER:
                    touched[number[body], place[t.order[e]]] = True
    for q in range(clique_start.shape[0] - 1):
        for y in range(clique_start[q], clique_start[q + 1]):
            a = cliques[y]
            if front[a] != BORDER:
                continue
            for z in range(clique_start[q], clique_start[q + 1]):
                b = cliques[z]
                if front[b] == BORDER:
                    linked[place[a], place[b]] = True
                else:
                    touched[number[t.node_body[b]], place[a]] = True
    for k in range(bodies):
        for i in range(units):
            if touched[k, i]:
                for j in range(units):
                    if touched[k, j]:
                        linked[i, j] = True
    for i in range(units):
        linked[i, i] = False
    return linked


@inner
def _order_units(linked):
    """Return the minimum-degree order of a pattern (n, n), which is overwritten with its fill.

    George and Liu 1981, "Computer Solution of Large Sparse Positive Definite Systems".
    """
    n = linked.shape[0]
    order = np.empty(n, np.int64)
    degree = np.zeros(n, np.int64)
    waiting = np.arange(n)
    near = np.empty(n, np.int64)
    for i in range(n):
        for j in range(n):
            degree[i] += linked[i, j]
    for k in range(n):
        at = 0
        for y in range(1, n - k):
            if degree[waiting[y]] < degree[waiting[at]]:
                at = y
        best = waiting[at]
        for y in range(at, n - k - 1):
            waiting[y] = waiting[y + 1]
        order[k] = best
        count = 0
        for y in range(n - k - 1):
            if linked[best, waiting[y]]:
                near[count] = waiting[y]
                count += 1
        for a in range(count):
            i = near[a]
            degree[i] -= 1
            for b in range(a):
                j = near[b]
                if not linked[i, j]:
                    linked[i, j] = True
                    linked[j, i] = True
                    degree[i] += 1
                    degree[j] += 1
    return order


@inner
def _number_nodes(t, members, first, last, cliques, clique_start, place, front):
    """Give every node of the island a place: the dissected ones, then the border.

    Returns the node at each place, and the first place of each set of nodes that are eliminated together.
    """
    total = 0
    units = 0
    for m in range(first, last):
        body = members[m]
        affine = t.kind[body] == AFFINE
        for e in range(t.order_start[body], t.order_start[body + 1]):
            v = t.order[e]
            front[v] = BORDER if affine else -1
            total += t.span[v]
            units += 1
    _set_border(t, cliques, clique_start, front)
    nodes, unit_start = _collect_units(t, members, first, last, place, front)
    n = unit_start.shape[0] - 1
    order = np.zeros(n, np.int64)
    if n > 1:
        order = _order_units(_link_units(t, members, first, last, cliques, clique_start, place, front, n))
    node_at = np.empty(total, np.int64)
    begin = np.empty(units + 1, np.int64)
    sets = 0
    at = 0
    for m in range(first, last):
        cluster = -1
        for e in range(t.order_start[members[m]], t.order_start[members[m] + 1]):
            v = t.order[e]
            if front[v] == BORDER:
                continue
            if t.cluster[v] != cluster:
                cluster = t.cluster[v]
                begin[sets] = at
                sets += 1
            front[v] = sets - 1
            place[v] = at
            node_at[at] = v
            at += 1
    for k in range(n):
        begin[sets] = at
        sets += 1
        for e in range(unit_start[order[k]], unit_start[order[k] + 1]):
            for y in range(t.span[nodes[e]]):
                front[nodes[e] + y] = sets - 1
                place[nodes[e] + y] = at
                node_at[at] = nodes[e] + y
                at += 1
    begin[sets] = at
    return node_at, begin[: sets + 1]


@inner
def _sort_links(cliques, clique_start, place, total):
    """Return the links of each place to later ones that eliminate like the cliques: ranges (total + 1,), places.

    The earliest node of a clique is linked to all others; its elimination links these.
    """
    start = np.zeros(total + 1, np.int64)
    later = np.empty(cliques.shape[0], np.int64)
    for turn in range(2):
        for q in range(clique_start.shape[0] - 1):
            earliest = cliques[clique_start[q]]
            for y in range(clique_start[q] + 1, clique_start[q + 1]):
                if place[cliques[y]] < place[earliest]:
                    earliest = cliques[y]
            at = place[earliest]
            for y in range(clique_start[q], clique_start[q + 1]):
                if cliques[y] == earliest:
                    continue
                if turn == 0:
                    start[at + 1] += 1
                else:
                    later[start[at]] = place[cliques[y]]
                    start[at] += 1
        if turn == 0:
            for k in range(total):
                start[k + 1] += start[k]
    for k in range(total, 0, -1):
        start[k] = start[k - 1]
    start[0] = 0
    return start, later


@inner
def _find_rows(t, node_at, begin, link_start, later, place, front):
    """Return the rows of each set, row_start and rows (of a span, the first place), and its parent.

    The parent of a set is the set of its earliest row, or the number of sets if it has none.
    """
    sets = begin.shape[0] - 1
    row_start = np.zeros(sets + 1, np.int64)
    parent = np.full(sets, sets, np.int64)
    youngest = np.full(sets + 1, -1, np.int64)
    older = np.full(sets + 1, -1, np.int64)
    mark = np.full(node_at.shape[0], -1, np.int64)
    rows = np.empty(16 * node_at.shape[0], np.int64)
    count = 0
    for s in range(sets):
        stop = begin[s + 1]
        # The most that can be added, so that one check is enough.
        if count + node_at.shape[0] > rows.shape[0]:
            larger = np.empty(2 * rows.shape[0], np.int64)
            larger[:count] = rows[:count]
            rows = larger
        for at in range(begin[s], stop):
            v = node_at[at]
            for e in range(t.near_start[v], t.near_start[v + 1]):
                row = place[t.near[e]]
                if row >= stop and mark[row] != s:
                    mark[row] = s
                    rows[count] = row
                    count += 1
            for e in range(link_start[at], link_start[at + 1]):
                row = later[e]
                if row >= stop and mark[row] != s:
                    mark[row] = s
                    rows[count] = row
                    count += 1
        child = youngest[s]
        while child >= 0:
            for e in range(row_start[child], row_start[child + 1]):
                row = rows[e]
                if row >= stop and mark[row] != s:
                    mark[row] = s
                    rows[count] = row
                    count += 1
            child = older[child]
        row_start[s + 1] = count
        if count > row_start[s]:
            earliest = rows[row_start[s]]
            for e in range(row_start[s] + 1, count):
                earliest = min(earliest, rows[e])
            parent[s] = front[node_at[earliest]]
            older[s] = youngest[parent[s]]
            youngest[parent[s]] = s
        else:
            older[s] = youngest[sets]
            youngest[sets] = s
    return row_start, rows, parent, youngest, older


@inner
def _order_sets(heights, youngest, older):
    """Return the sets in an order in which each follows its children, of which that with the most rows comes last."""
    sets = heights.shape[0]
    order = np.empty(sets, np.int64)
    waiting = np.empty(sets, np.int64)
    waits, left = 0, sets
    s = sets
    while True:
        child, best = youngest[s], -1
        while child >= 0:
            if best < 0 or heights[child] > heights[best]:
                best = child
            child = older[child]
        child = youngest[s]
        while child >= 0:
            if child != best:
                waiting[waits] = child
                waits += 1
            child = older[child]
        if best >= 0:
            waiting[waits] = best
            waits += 1
        if waits == 0:
            break
        waits -= 1
        s = waiting[waits]
        left -= 1
        order[left] = s
    return order


@inner
def _merge_sets(order, begin, heights, parent):
    """Return the number of fronts and the last set of each, in the order: a set that fits its parent joins it.

    It has to be the last before its parent, and the zeros that it brings have to be few. last (n,): places in
    the order.
    """
    sets = order.shape[0]
    turn = np.empty(sets + 1, np.int64)
    turn[sets] = sets
    for k in range(sets):
        turn[order[k]] = k
    last = np.empty(sets, np.int64)
    first = np.empty(sets, np.int64)
    width = np.empty(sets, np.int64)
    zeros = np.empty(sets, np.int64)
    count = 0
    for k in range(sets):
        s = order[k]
        start, wide, empty = k, begin[s + 1] - begin[s], 0
        while count > 0 and start <= turn[parent[order[last[count - 1]]]] <= k:
            c = count - 1
            more = empty + zeros[c] + width[c] * (wide + heights[s] - heights[order[last[c]]])
            both = wide + width[c]
            share = ZEROS_SMALL if both <= MERGED_NODES else ZEROS_LARGE
            if more > share * both * (0.5 * both + heights[s]):
                break
            start, wide, empty = first[c], both, more
            count -= 1
        last[count], first[count], width[count], zeros[count] = k, start, wide, empty
        count += 1
    return last[:count]


@inner
def plan_elimination(t, members, first, last, cliques, clique_start, place, front, store):
    """Return the empty System of the bodies members[first:last], and the store of its numbers.

    cliques, clique_start: first nodes of spans that share entries with one another, besides those of tetrahedra. store:
    that of an earlier system; a larger one is made where it does not do. place and front become, for each node of the
    bodies that is not fixed, its place in the elimination and its front.
    """
    node_at, begin = _number_nodes(t, members, first, last, cliques, clique_start, place, front)
    total, sets = node_at.shape[0], begin.shape[0] - 1
    link_start, later = _sort_links(cliques, clique_start, place, total)
    row_start, rows, parent, youngest, older = _find_rows(t, node_at, begin, link_start, later, place, front)
    heights = np.zeros(sets, np.int64)
    for s in range(sets):
        for e in range(row_start[s], row_start[s + 1]):
            heights[s] += t.span[node_at[rows[e]]]
    order = _order_sets(heights, youngest, older)
    ends = _merge_sets(order, begin, heights, parent)
    fronts = ends.shape[0]
    # The places in the new order.
    moved = np.empty(total, np.int64)
    starts = np.zeros(fronts + 1, np.int64)
    size = np.zeros(fronts + 1, np.int64)
    height_start = np.zeros(fronts + 1, np.int64)
    at, k = 0, 0
    for f in range(fronts):
        while k <= ends[f]:
            for e in range(begin[order[k]], begin[order[k] + 1]):
                moved[e] = at
                place[node_at[e]] = at
                front[node_at[e]] = f
                at += 1
            k += 1
        starts[f + 1] = at
        height = heights[order[ends[f]]]
        height_start[f + 1] = height_start[f] + height
        wide = (at - starts[f] + 3) // NODES_A_TILE
        size[f + 1] = size[f] + TILE_SIZE * wide * (wide + (height + 3) // NODES_A_TILE)
    # The rows ascend: they are sorted by place, then by front.
    count = np.zeros(total + 1, np.int64)
    for f in range(fronts):
        for e in range(row_start[order[ends[f]]], row_start[order[ends[f]] + 1]):
            count[moved[rows[e]] + 1] += 1
    for e in range(total):
        count[e + 1] += count[e]
    owner = np.empty(count[total], np.int64)
    for f in range(fronts):
        for e in range(row_start[order[ends[f]]], row_start[order[ends[f]] + 1]):
            row = moved[rows[e]]
            owner[count[row]] = f
            count[row] += 1
    spans = np.empty(total, np.int64)
    front_at = np.empty(total, np.int64)
    for e in range(total):
        spans[moved[e]] = t.span[node_at[e]]
        front_at[moved[e]] = front[node_at[e]]
    filled = height_start[:fronts].copy()
    sorted_rows = np.empty(height_start[fronts], np.int64)
    low = 0
    for row in range(total):
        for e in range(low, count[row]):
            for y in range(spans[row]):
                sorted_rows[filled[owner[e]]] = row + y
                filled[owner[e]] += 1
        low = count[row]
    above = np.full(fronts, -1, np.int64)
    for f in range(fronts):
        if height_start[f] < height_start[f + 1]:
            above[f] = front_at[sorted_rows[height_start[f]]]
    depth, rest, even, odd = _plan_rests(height_start, above)
    entries = size[fronts]
    if store.shape[0] < entries + even + odd:
        store = np.empty((entries + even + odd) * 5 // 4)
    data = store[:entries]
    data[:] = 0.0
    system = System(
        starts, height_start, sorted_rows, above, size, data, depth, rest,
        store[entries : entries + even], store[entries + even : entries + even + odd],
    )  # fmt: skip
    return system, store
