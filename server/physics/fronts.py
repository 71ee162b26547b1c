"""The Cholesky factorisation of a System, front by front, and the solution of its equations.

Each front is a dense matrix: the columns of its own nodes, which become columns of the factor, and what their
elimination subtracts from the entries between its rows, which is added to its parent (Duff and Reid 1983, "The
Multifrontal Solution of Indefinite Sparse Symmetric Linear Equations"). Both are stored as rows of tiles
(server/physics/tiles.py).
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from tussle.server.physics.elimination import tile_count, triangle_size
from tussle.server.physics.jit import borrow, fma, inner
from tussle.server.physics.tiles import TILE, TILE_SIZE, factor_tile, solve_tile, subtract_product

__all__ = ["factorise", "solve"]

STRIP = 8
"""Tiles across the columns that are eliminated before they are subtracted from later ones: two strips of a row fit the
first cache."""


@inner
def _add_rest(system, child, f, source, source_at, data, target, target_at, into):
    """Add the rest of a child, from ``source``, to the columns of its parent f, in data, and to the rest of that."""
    begin, end = system.row_start[child], system.row_start[child + 1]
    count = end - begin
    first, last = system.first[f], system.first[f + 1]
    tiles = tile_count(last - first)
    row = system.row_start[f]
    for y in range(count):
        at = system.rows[begin + y]
        if at < last:
            into[y] = at - first
        else:
            while system.rows[row] < at:
                row += 1
            into[y] = 4 * tiles + row - system.row_start[f]
    stride = tiles * TILE_SIZE
    for high in range(0, count, 4):
        tall = min(4, count - high)
        # Rows of a tile that stay together, as those of an affine body, are added as a whole.
        whole = tall == 4 and into[high] % 4 == 0 and into[high + 3] == into[high] + 3
        upper = source_at + triangle_size(high // 4)
        for z in range(high + tall):
            column = into[z]
            low = upper + 36 * z
            beside = column < 4 * tiles
            if whole:
                place = into[high] // 4
                if beside:
                    at = system.start[f] + place * stride + 36 * column
                    for k in range(36):
                        data[at + k] += source[low + k]
                else:
                    at = target_at + triangle_size(place - tiles) + 36 * (column - 4 * tiles)
                    for k in range(36):
                        target[at + k] += source[low + k]
                continue
            for y in range(max(high, z), high + tall):
                place, part = into[y] // 4, 3 * (into[y] % 4)
                entry = low + 3 * (y - high)
                if beside:
                    at = system.start[f] + place * stride + 36 * column + part
                    for c in range(0, 36, 12):
                        data[at + c] += source[entry + c]
                        data[at + c + 1] += source[entry + c + 1]
                        data[at + c + 2] += source[entry + c + 2]
                else:
                    at = target_at + triangle_size(place - tiles) + 36 * (column - 4 * tiles) + part
                    for c in range(0, 36, 12):
                        target[at + c] += source[entry + c]
                        target[at + c + 1] += source[entry + c + 1]
                        target[at + c + 2] += source[entry + c + 2]


@inner
def _eliminate(data, start, width, tiles, height, rest, rest_at, pivots):
    """Factorise the columns of a front and subtract their product from its rest. Returns whether they are positive
    definite.

    width: nodes. tiles: of the nodes; height: of its rows.
    """
    pivots = borrow(pivots)
    stride = tiles * TILE_SIZE
    positive = True
    for low in range(0, tiles, STRIP):
        high = min(tiles, low + STRIP)
        for k in range(low, high):
            corner = start + k * stride + k * TILE_SIZE
            for i in range(k, tiles + height):
                row = start + i * stride
                if k > low:
                    subtract_product(
                        data, row + low * TILE_SIZE, data, corner + (low - k) * TILE_SIZE, TILE * (k - low),
                        data, row + k * TILE_SIZE,
                    )  # fmt: skip
                if i == k:
                    positive = factor_tile(data, corner, pivots) and positive
                else:
                    solve_tile(data, corner, pivots, data, row + k * TILE_SIZE)
        count = min(TILE * high, 3 * width) - TILE * low
        for i in range(high, tiles + height):
            left = start + i * stride + low * TILE_SIZE
            for j in range(high, tiles if i >= tiles else i + 1):
                subtract_product(
                    data, left, data, start + j * stride + low * TILE_SIZE, count,
                    data, start + i * stride + j * TILE_SIZE,
                )  # fmt: skip
            for j in range(tiles, i + 1):
                subtract_product(
                    data, left, data, start + j * stride + low * TILE_SIZE, count,
                    rest, rest_at + triangle_size(i - tiles) + (j - tiles) * TILE_SIZE,
                )  # fmt: skip
    return positive


@inner
def factorise(system, strict):
    """Overwrite the entries of a System with its lower Cholesky factor. Returns whether it is positive definite.

    strict: stop at the first front that is not, with no factor. Otherwise its pivots that are not positive become very
    large, and the factor is that of a positive definite matrix.
    """
    positive = True
    fronts = system.first.shape[0] - 1
    depth, place = system.depth, system.rest
    youngest = np.full(fronts, -1, np.int64)
    older = np.full(fronts, -1, np.int64)
    most = 0
    for f in range(fronts):
        most = max(most, system.row_start[f + 1] - system.row_start[f])
    into = np.empty(most, np.int64)
    pivots = np.empty(TILE)
    data = system.data
    for f in range(fronts):
        width = system.first[f + 1] - system.first[f]
        tiles = tile_count(width)
        height = tile_count(system.row_start[f + 1] - system.row_start[f])
        start = system.start[f]
        for k in range(3 * width, TILE * tiles):
            data[start + (k // TILE) * tiles * TILE_SIZE + TILE * k + k % TILE] = 1.0
        own, others = (system.even, system.odd) if depth[f] == 0 else (system.odd, system.even)
        for e in range(place[f], place[f] + triangle_size(height)):
            own[e] = 0.0
        child = youngest[f]
        while child >= 0:
            _add_rest(system, child, f, others, place[child], data, own, place[f], into)
            child = older[child]
        positive = _eliminate(data, start, width, tiles, height, own, place[f], pivots) and positive
        if strict and not positive:
            return False
        if system.parent[f] >= 0:
            older[f] = youngest[system.parent[f]]
            youngest[system.parent[f]] = f
    return positive


@inner
def _add_dots(data, row, count, y, parts):
    """Add to four parts each, (count, 4), the scalar products of the columns of a row of tiles and y (12,)."""
    for k in range(count):
        for r in range(4):
            at = row + TILE * k + r
            parts[4 * k + r] = fma(
                data[at + 8], y[r + 8], fma(data[at + 4], y[r + 4], fma(data[at], y[r], parts[4 * k + r]))
            )


@inner
def solve(system, b):
    """Overwrite b, shape (3 n,), by place, with the solution of L L^T x = b."""
    data = system.data
    fronts = system.first.shape[0] - 1
    widest = 0
    for f in range(fronts):
        widest = max(widest, tile_count(system.first[f + 1] - system.first[f]))
    x = np.empty(TILE * widest)
    y = np.empty(TILE)
    for f in range(fronts):
        first = 3 * system.first[f]
        count = 3 * system.first[f + 1] - first
        tiles = tile_count(system.first[f + 1] - system.first[f])
        stride = tiles * TILE_SIZE
        for k in range(TILE * tiles):
            x[k] = b[first + k] if k < count else 0.0
        for i in range(tiles):
            row = system.start[f] + i * stride
            for k in range(TILE * i):
                for r in range(TILE):
                    x[TILE * i + r] = fma(-data[row + TILE * k + r], x[k], x[TILE * i + r])
            for k in range(TILE * i, TILE * i + TILE):
                x[k] /= data[row + TILE * k + k - TILE * i]
                for r in range(k - TILE * i + 1, TILE):
                    x[TILE * i + r] = fma(-data[row + TILE * k + r], x[k], x[TILE * i + r])
        for k in range(count):
            b[first + k] = x[k]
        begin, end = system.row_start[f], system.row_start[f + 1]
        for e in range(begin, end, 4):
            row = system.start[f] + (tiles + (e - begin) // 4) * stride
            y[:] = 0.0
            for k in range(count):
                for r in range(TILE):
                    y[r] = fma(data[row + TILE * k + r], x[k], y[r])
            for r in range(3 * min(4, end - e)):
                b[3 * system.rows[e + r // 3] + r % 3] -= y[r]
    parts = np.empty(4 * TILE * widest)
    for f in range(fronts - 1, -1, -1):
        first = 3 * system.first[f]
        count = 3 * system.first[f + 1] - first
        tiles = tile_count(system.first[f + 1] - system.first[f])
        stride = tiles * TILE_SIZE
        for k in range(4 * TILE * tiles):
            parts[k] = 0.0
        begin, end = system.row_start[f], system.row_start[f + 1]
        for e in range(begin, end, 4):
            row = system.start[f] + (tiles + (e - begin) // 4) * stride
            for r in range(TILE):
                z = e + r // 3
                y[r] = b[3 * system.rows[z] + r % 3] if z < end else 0.0
            _add_dots(data, row, count, y, parts)
        for i in range(tiles - 1, -1, -1):
            row = system.start[f] + i * stride
            for k in range(count, TILE * i + TILE):
                x[k] = 0.0
            for k in range(min(count, TILE * i + TILE) - 1, TILE * i - 1, -1):
                total = b[first + k] - (
                    (parts[4 * k] + parts[4 * k + 1]) + (parts[4 * k + 2] + parts[4 * k + 3])
                )
                for r in range(k - TILE * i + 1, TILE):
                    total = fma(-data[row + TILE * k + r], x[TILE * i + r], total)
                x[k] = total / data[row + TILE * k + k - TILE * i]
                b[first + k] = x[k]
            for r in range(TILE):
                y[r] = x[TILE * i + r]
            _add_dots(data, row, TILE * i, y, parts)
