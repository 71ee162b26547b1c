"""A sparse symmetric matrix of 12 x 12 blocks, and its Cholesky factorisation.

Every unknown belongs to a block of four nodes. An affine body is one block; an elastic body is cut into groups of four
neighbouring nodes. Blocks make both kinds of body one problem, and the factorisation becomes products of small dense
matrices. Minimum-degree order and elimination fill: George and Liu 1981, "Computer Solution of Large Sparse Positive
Definite Systems".
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from tussle.server.physics.jit import fma, kernel

__all__ = ["WIDTH", "factorise", "order_blocks", "solve"]

WIDTH = 12
"""Unknowns in a block."""


@kernel
def order_blocks(linked):
    """Return the minimum-degree order and the fill of a symmetric pattern: place, slot, columns, rows.

    linked: which blocks share an entry, shape (n, n), bool; it is overwritten. place (n,): position of each block in
    the elimination. slot (n, n): number of the stored block at (row, column) by position, row >= column, or -1.
    columns (n + 1,): first entry of each column. rows: positions below the diagonal, by column.
    """
    n = linked.shape[0]
    place = np.full(n, -1, np.int64)
    at = np.empty(n, np.int64)
    degree = np.zeros(n, np.int64)
    for i in range(n):
        linked[i, i] = False
        for j in range(n):
            if linked[i, j]:
                degree[i] += 1
    near = np.empty(n, np.int64)
    fill = np.zeros((n, n), np.bool_)
    total = 0
    for k in range(n):
        best = -1
        for i in range(n):
            if place[i] < 0 and (best < 0 or degree[i] < degree[best]):
                best = i
        place[best] = k
        at[k] = best
        count = 0
        for j in range(n):
            if linked[best, j] and place[j] < 0:
                near[count] = j
                count += 1
                fill[best, j] = True
        total += count
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
    slot = np.full((n, n), -1, np.int64)
    columns = np.zeros(n + 1, np.int64)
    rows = np.empty(total, np.int64)
    count = 0
    number = 0
    for k in range(n):
        slot[k, k] = number
        number += 1
        for i in range(k + 1, n):
            if fill[at[k], at[i]]:
                slot[i, k] = number
                number += 1
                rows[count] = i
                count += 1
        columns[k + 1] = count
    return place, slot, columns, rows


@kernel
def _factor_diagonal(a):
    """Factorise one block in place (lower Cholesky). A pivot that rounding made negative becomes tiny."""
    for j in range(WIDTH):
        pivot = math.sqrt(max(a[j, j], 1e-12))
        a[j, j] = pivot
        for i in range(j + 1, WIDTH):
            a[i, j] /= pivot
        for k in range(j + 1, WIDTH):
            scale = a[k, j]
            for i in range(k, WIDTH):
                a[i, k] = fma(-a[i, j], scale, a[i, k])


@kernel
def _solve_panel(diagonal, panel):
    """Overwrite a transposed column (12, 12 m) of A with that of L: L_ik^T = L_kk^-1 A_ik^T, for all i."""
    length = panel.shape[1]
    for c in range(WIDTH):
        inverse = 1.0 / diagonal[c, c]
        for n in range(length):
            panel[c, n] *= inverse
        for d in range(c + 1, WIDTH):
            scale = diagonal[d, c]
            for n in range(length):
                panel[d, n] = fma(-scale, panel[c, n], panel[d, n])


@kernel
def _multiply_panel(left, panel, length, out):
    """Set out = left @ panel[:, :length], a block (12, 12) times a panel, with all twelve terms in one pass over the
    panel.
    """
    for r in range(WIDTH):
        a, b, c, d, e, f = left[r, 0], left[r, 1], left[r, 2], left[r, 3], left[r, 4], left[r, 5]
        g, h, i, j, k, m = left[r, 6], left[r, 7], left[r, 8], left[r, 9], left[r, 10], left[r, 11]
        for n in range(length):
            low = fma(d, panel[3, n], fma(c, panel[2, n], fma(b, panel[1, n], a * panel[0, n])))
            middle = fma(h, panel[7, n], fma(g, panel[6, n], fma(f, panel[5, n], e * panel[4, n])))
            high = fma(m, panel[11, n], fma(k, panel[10, n], fma(j, panel[9, n], i * panel[8, n])))
            out[r, n] = low + middle + high


@kernel
def factorise(data, slot, columns, rows):
    """Overwrite the blocks, shape (m, 12, 12), with those of the lower Cholesky factor (right-looking).

    The blocks below a diagonal block are gathered into a panel, so that the loops are long enough to vectorise.
    """
    n = slot.shape[0]
    most = 0
    for k in range(n):
        most = max(most, columns[k + 1] - columns[k])
    room = np.empty(WIDTH * WIDTH * max(most, 1))
    product = np.empty((WIDTH, WIDTH * max(most, 1)))
    for k in range(n):
        diagonal = data[slot[k, k]]
        _factor_diagonal(diagonal)
        first, count = columns[k], columns[k + 1] - columns[k]
        panel = room[: WIDTH * WIDTH * count].reshape(WIDTH, WIDTH * count)
        for e in range(count):
            block = data[slot[rows[first + e], k]]
            for c in range(WIDTH):
                for r in range(WIDTH):
                    panel[c, WIDTH * e + r] = block[r, c]
        _solve_panel(diagonal, panel)
        for e in range(count):
            i = rows[first + e]
            block = data[slot[i, k]]
            for r in range(WIDTH):
                for c in range(WIDTH):
                    block[r, c] = panel[c, WIDTH * e + r]
            _multiply_panel(block, panel, WIDTH * (e + 1), product)
            for g in range(e + 1):
                out = data[slot[i, rows[first + g]]]
                for r in range(WIDTH):
                    for c in range(out.shape[1]):
                        out[r, c] -= product[r, WIDTH * g + c]


@kernel
def solve(data, slot, columns, rows, b):
    """Overwrite b, shape (n, 12), ordered by position, with the solution of L L^T x = b."""
    n = slot.shape[0]
    for k in range(n):
        diagonal = data[slot[k, k]]
        for r in range(WIDTH):
            total = b[k, r]
            for c in range(r):
                total = fma(-diagonal[r, c], b[k, c], total)
            b[k, r] = total / diagonal[r, r]
        for e in range(columns[k], columns[k + 1]):
            i = rows[e]
            block = data[slot[i, k]]
            for r in range(WIDTH):
                total = 0.0
                for c in range(WIDTH):
                    total = fma(block[r, c], b[k, c], total)
                b[i, r] -= total
    for k in range(n - 1, -1, -1):
        for e in range(columns[k], columns[k + 1]):
            i = rows[e]
            block = data[slot[i, k]]
            for r in range(WIDTH):
                scale = b[i, r]
                for c in range(WIDTH):
                    b[k, c] = fma(-block[r, c], scale, b[k, c])
        diagonal = data[slot[k, k]]
        for r in range(WIDTH - 1, -1, -1):
            total = b[k, r]
            for c in range(r + 1, WIDTH):
                total = fma(-diagonal[c, r], b[k, c], total)
            b[k, r] = total / diagonal[r, r]
