"""Collected contacts add to the system what the sum of their outer products is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.interpreted import as_python
from tussle.server.physics.contact_columns import (
    add_columns,
    add_rows,
    collects,
    new_columns,
    push_column,
    push_columns,
)

CONTACTS = 90
BODIES = 4
NODES = 4 * BODIES + 1
TILES = 5


def collect(place, span, pairs, coefs, vectors, scales, matrices, made):  # type: ignore[no-untyped-def]
    """Add the terms of all contacts, pairs (contacts, 2): first nodes, to a system of one front. Returns its numbers,
    and how many contacts were refused."""
    first, row_start, start = np.array([0, NODES]), np.zeros(2, np.int64), np.zeros(1, np.int64)
    rows, front = np.zeros(0, np.int64), np.zeros(NODES, np.int64)
    data = np.zeros(TILES * TILES * 144)
    columns = new_columns()
    nodes = np.empty(8, np.int64)
    refused = 0
    for p in range(pairs.shape[0]):
        count = 0
        for side in range(2):
            if pairs[p, side] >= 0:
                for y in range(4):
                    nodes[count] = pairs[p, side] + y
                    count += 1
        refused += not collects(count, nodes, span)
        push_column(
            columns, count, nodes, coefs[p], vectors[p], scales[p, 0], first, row_start, rows, start, data,
            place, front,
        )  # fmt: skip
        add_rows(
            columns,
            count,
            nodes,
            4,
            made[p],
            scales[p, 1:],
            first,
            row_start,
            rows,
            start,
            data,
            place,
            front,
        )
        push_columns(
            columns, count, nodes, coefs[p], matrices[p], first, row_start, rows, start, data, place, front
        )
    add_columns(columns, first, row_start, rows, start, data, place, front)
    return data, refused


def test_collected_contacts_are_their_sum() -> None:
    """More contacts than are collected at once, of two bodies in both orders and of one body and an obstacle. One node
    of an elastic body shifts the rows of the bodies after it from the tiles."""
    rng = np.random.default_rng(5)
    pairs = np.full((CONTACTS, 2), -1)
    for p in range(0, CONTACTS, 3):
        one, other = 4 * rng.choice(BODIES, 2, replace=False)
        pairs[p], pairs[p + 1] = (one, other), (other, one)
        pairs[p + 2, 0] = one
    pairs[40:70] = (0, 4)
    # Node 16 is the elastic one; its place is between those of the bodies 2, 0 and 3, 1.
    place = np.empty(NODES, dtype=np.int64)
    for at, node in ((0, 8), (4, 0), (9, 12), (13, 4)):
        place[node : node + 4] = at + np.arange(4)
    place[16] = 8
    span = np.array([4, 0, 0, 0] * BODIES + [1])
    coefs, vectors = rng.normal(size=(CONTACTS, 8)), rng.normal(size=(CONTACTS, 3))
    scales, made = rng.normal(size=(CONTACTS, 5)), rng.normal(size=(CONTACTS, 4, 8, 3))
    matrices = rng.normal(size=(CONTACTS, 3, 3))
    matrices += matrices.transpose(0, 2, 1)
    data, refused = as_python(collect)(place, span, pairs, coefs, vectors, scales, matrices, made)
    assert refused == 0
    wanted = np.zeros((3 * NODES, 3 * NODES))
    for p, pair in enumerate(pairs):
        moved = [first + y for first in pair if first >= 0 for y in range(4)]
        at = (3 * place[moved][:, None] + np.arange(3)).ravel()
        own = coefs[p, : len(moved)]
        terms = np.kron(np.outer(own, own), matrices[p])
        terms += scales[p, 0] * np.outer(np.kron(own, vectors[p]), np.kron(own, vectors[p]))
        for row, scale in zip(made[p, :, : len(moved)].reshape(4, -1), scales[p, 1:], strict=True):
            terms += scale * np.outer(row, row)
        wanted[np.ix_(at, at)] += terms
    # A row of tiles is stored by column (server/physics/tiles.py).
    found = data.reshape(TILES, 12 * TILES, 12).transpose(0, 2, 1).reshape(12 * TILES, 12 * TILES)
    for row in range(3 * NODES):
        for column in range(3 * (row // 3) + 3):
            assert found[row, column] == pytest.approx(wanted[row, column], abs=1e-10)
