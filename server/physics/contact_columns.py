"""The Hessian of all contacts between the same two affine bodies, added to the system at once.

Each term of a contact is an outer product of two columns of 24 numbers, twelve for each body. The columns of
consecutive contacts between the same bodies are collected, and one product of two rows of columns for each of the three
entries, 12 x 12, adds them all (server/physics/tiles.py). To find the entries of a contact and add its terms one by one
costs several times as much.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tussle.server.physics.elimination import find_entry
from tussle.server.physics.geometry import Ints
from tussle.server.physics.jit import inner, kernel
from tussle.server.physics.tiles import TILE, TILE_SIZE, subtract_product
from tussle.server.physics.world_state import Floats

__all__ = ["Columns", "add_columns", "add_rows", "collects", "new_columns", "push_column", "push_columns"]

COLUMNS_MOST = 48
"""The most columns that are collected."""
ROOM = 7
"""The most columns of one contact."""
SIDE = TILE * COLUMNS_MOST
"""The numbers of the columns of one body."""


class Columns(NamedTuple):
    """Columns of contacts between the same two affine bodies.

    left, right (2 * SIDE,): the columns of the one body, then of the other; minus the sum of the products left right^T
    is the Hessian. tile (TILE_SIZE,): scratch. names (2,): first node of each body, or -1. filled (1,): how many
    columns there are.
    """

    left: Floats
    right: Floats
    tile: Floats
    names: Ints
    filled: Ints


@kernel
def new_columns():
    """Return Columns without any."""
    return Columns(
        np.zeros(2 * SIDE), np.zeros(2 * SIDE), np.empty(TILE_SIZE), np.full(2, -1), np.zeros(1, np.int64)
    )


@inner
def collects(count, nodes, span):
    """Return whether a contact with these nodes can be collected: all that it moves are one or two affine bodies."""
    return (count == 4 or count == 8) and span[nodes[0]] == 4 and span[nodes[count - 4]] == 4


@inner
def push_column(
    columns, count, nodes, coefs, vector, scale, first, row_start, rows, start, data, place, front
):
    """Collect ``scale`` times the outer product of the coefficients of a contact and a vector (3,) with itself."""
    _open(columns, count, nodes, first, row_start, rows, start, data, place, front)
    at = TILE * columns.filled[0]
    for y in range(count):
        side = at + (0 if nodes[y - y % 4] == columns.names[0] else SIDE) + 3 * (y % 4)
        for a in range(3):
            value = coefs[y] * vector[a]
            columns.right[side + a] = value
            columns.left[side + a] = -scale * value
    columns.filled[0] += 1


@inner
def push_columns(columns, count, nodes, coefs, matrix, first, row_start, rows, start, data, place, front):
    """Collect the outer product of the coefficients of a contact, times a symmetric matrix (3, 3)."""
    _open(columns, count, nodes, first, row_start, rows, start, data, place, front)
    left, right = columns.left, columns.right
    at = TILE * columns.filled[0]
    for axis in range(3):
        for y in range(count):
            side = at + (0 if nodes[y - y % 4] == columns.names[0] else SIDE) + 3 * (y % 4)
            for a in range(3):
                left[side + a] = -coefs[y] * matrix[a, axis]
                right[side + a] = coefs[y] if a == axis else 0.0
        at += TILE
    columns.filled[0] += 3


@inner
def add_rows(columns, count, nodes, number, made, scales, first, row_start, rows, start, data, place, front):
    """Collect the outer products of the first ``number`` rows, made (number, count, 3), each times its scale."""
    _open(columns, count, nodes, first, row_start, rows, start, data, place, front)
    left, right = columns.left, columns.right
    at = TILE * columns.filled[0]
    for n in range(number):
        for y in range(count):
            side = at + (0 if nodes[y - y % 4] == columns.names[0] else SIDE) + 3 * (y % 4)
            for a in range(3):
                left[side + a] = -scales[n] * made[n, y, a]
                right[side + a] = made[n, y, a]
        at += TILE
    columns.filled[0] += number


@inner
def _open(columns, count, nodes, first, row_start, rows, start, data, place, front):
    """Make room for the columns of a contact with these nodes."""
    names = columns.names
    one, other = nodes[0], nodes[4] if count == 8 else -1
    same = (names[0] == one and names[1] == other) or (count == 8 and names[0] == other and names[1] == one)
    if same and columns.filled[0] + ROOM <= COLUMNS_MOST:
        return
    add_columns(columns, first, row_start, rows, start, data, place, front)
    names[0], names[1] = one, other


@inner
def add_columns(columns, first, row_start, rows, start, data, place, front):
    """Add what has been collected to the entries of the system."""
    left, right, names, tile = columns.left, columns.right, columns.names, columns.tile
    count = columns.filled[0]
    columns.filled[0] = 0
    if count == 0:
        return
    for h in range(2):
        for g in range(2):
            i, j = names[h], names[g]
            if i < 0 or j < 0 or place[j] > place[i]:
                continue
            at = find_entry(first, row_start, rows, start, place, front, i, j)
            if (at - start[front[j]]) % TILE == 0:
                # The rows of an affine body fill a row of a tile, unless elastic nodes shift them.
                subtract_product(left, h * SIDE, right, g * SIDE, count, data, at)
                continue
            tile[:] = 0.0
            subtract_product(left, h * SIDE, right, g * SIDE, count, tile, 0)
            for y in range(4):
                for z in range(4):
                    if place[j + z] > place[i + y]:
                        continue
                    at = find_entry(first, row_start, rows, start, place, front, i + y, j + z)
                    for c in range(3):
                        for r in range(3):
                            data[at + TILE * c + r] += tile[TILE * (3 * z + c) + 3 * y + r]
