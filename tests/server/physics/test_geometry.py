"""What follows from meshes alone, beside other programs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_matrix, csgraph

from tussle.server.physics.geometry import Ints, connected_components, different_rows

PLACES = np.random.default_rng(8).permutation(5000)


def edges(kind: str) -> tuple[Ints, Ints]:
    rng = np.random.default_rng(9)
    match kind:
        case "none":
            return np.empty(0, np.int64), np.empty(0, np.int64)
        case "long path":
            return PLACES[:-1], PLACES[1:]
        case "star":
            return np.full(4999, PLACES[0]), PLACES[1:]
        case _:
            few = rng.integers(0, 5000, (2, 2500))  # near the threshold: components of all sizes
            return few[0], few[1]


@pytest.mark.parametrize("kind", ["none", "long path", "star", "random"])
def test_connected_components_are_those_of_scipy(kind: str) -> None:
    """Each is named by its smallest node."""
    one, other = edges(kind)
    graph = coo_matrix((np.ones(len(one)), (one, other)), shape=(5000, 5000))
    _, right = csgraph.connected_components(graph, directed=False)
    smallest = np.full(right.max() + 1, 5000)
    np.minimum.at(smallest, right, np.arange(5000))
    assert (connected_components(5000, one, other) == smallest[right]).all()


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize(("count", "most"), [(0, 5), (1, 5), (3000, 9), (3000, 2_000_000)])
def test_different_rows_are_those_of_numpy(count: int, most: int, columns: int) -> None:
    """In the same order, also of the largest numbers of vertices."""
    rows = np.random.default_rng(count).integers(0, most, (count, columns))
    rows[count // 2 :] = rows[: count - count // 2]
    rows[:1] = most - 1
    _, first, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
    found = different_rows(rows)
    assert np.array_equal(found[0], first) and np.array_equal(found[1], counts)
