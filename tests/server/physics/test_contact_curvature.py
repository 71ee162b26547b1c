"""The rows of contact_curvature.py are the Hessian of a contact, or its positive part."""

from __future__ import annotations

import numpy as np
import pytest

from tests.server.physics.test_energies import barrier, closest, curvature, mollifier, slope
from tests.support.interpreted import as_python
from tests.support.worlds import block, scene
from tussle.server.physics import contact_curvature
from tussle.server.physics.distance import EDGE_EDGE, POINT_FACE
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.world_state import Floats

curvature_rows = as_python(contact_curvature.curvature_rows)
mollifier_rows = as_python(contact_curvature.mollifier_rows)
new_curvature_scratch = as_python(contact_curvature.new_curvature_scratch)

PLACES = {
    "vertex over a face": (POINT_FACE, [[0.3, 0.2, 0.3], [0, 0, 0], [1, 0, 0], [0, 0, 1]]),
    "vertex over an edge": (POINT_FACE, [[0.5, 0.2, -0.2], [0, 0, 0], [1, 0, 0], [0, 0, 1]]),
    "vertex over a vertex": (POINT_FACE, [[-0.2, 0.2, -0.1], [0, 0, 0], [1, 0, 0], [0, 0, 1]]),
    "edge over an edge": (EDGE_EDGE, [[-0.4, 0.2, 0.1], [0.6, 0.25, 0], [0.1, 0, -0.5], [0, 0.05, 0.6]]),
    "end over an edge": (EDGE_EDGE, [[0.1, 0.2, 0.1], [0.9, 0.35, 0], [0, 0, -0.5], [0, 0, 0.6]]),
}
LIMIT = 0.3


def rows_of(kind: int, x: Floats, kept: float, *, mollified: bool = False) -> Floats:
    """The Hessian (12, 12) that the rows of a pair of elastic nodes make."""
    model, _ = compile_scene(scene([block("a", position=(0, 1, 0))]))
    t, scratch = model.tables, new_curvature_scratch()
    pairs = np.array([[kind, 0, 1, 2, 3]])
    square, *weights = closest(x, kind, 0, 1, 2, 3)
    w = np.array([weights])
    _, first, second = barrier(square, LIMIT)
    r = w[0] @ x
    out = np.zeros((12, 12))
    if mollified:
        t = t._replace(rest=REST)
        count, number = mollifier_rows(t, pairs, w, 0, x, 1.0, scratch)
    else:
        along = (w[0][:, None] * r).ravel()
        out = (4.0 * second + 2.0 * first / square) * np.outer(along, along)
        count, number = curvature_rows(
            t, pairs, w, 0, x, r / np.sqrt(square), np.sqrt(square), -2.0 * first, kept, scratch
        )
    where = {int(t.vertex_node[v]): v for v in range(4)}
    for n in range(number):
        row = np.zeros((4, 3))
        for y in range(count):
            row[where[int(scratch.nodes[y])]] = scratch.rows[n, y]
        out += scratch.scales[n] * np.outer(row, row)
    return out


@pytest.mark.parametrize("place", PLACES)
def test_all_rows_are_the_hessian(place: str) -> None:
    """With its negative part the Hessian of a barrier is the curvature of its energy."""
    kind, at = PLACES[place]
    x = np.array(at)
    numeric = curvature(lambda y: slope(lambda z: barrier(closest(z, kind, 0, 1, 2, 3)[0], LIMIT)[0], y), x)
    assert rows_of(kind, x, 1.0) == pytest.approx(numeric, abs=2e-3)


@pytest.mark.parametrize("place", PLACES)
def test_the_positive_part(place: str) -> None:
    """Without it the Hessian is positive and not below the whole."""
    kind, at = PLACES[place]
    x = np.array(at)
    positive = rows_of(kind, x, 0.0)
    assert np.linalg.eigvalsh(positive).min() > -1e-12
    assert np.linalg.eigvalsh(positive - rows_of(kind, x, 1.0)).min() > -1e-12


REST = np.array([[0, 0, 0], [1, 0, 0], [0, 0.1, 0], [1, 0.1, 0.0]])


@pytest.mark.parametrize("turn", [1e-6, 4e-3, 1.5e-2])
def test_the_mollifier_resists_a_turn(turn: float) -> None:
    """The rows of the mollifier are its curvature where edges turn out of parallel, as far as it is positive."""
    x = REST + np.array([[0, 0, -turn / 2], [0, 0, turn / 2], [0, 0, 0], [0, 0, 0]])
    made = rows_of(EDGE_EDGE, x, 0.0, mollified=True)
    numeric = curvature(lambda y: slope(lambda z: mollifier(z, REST, 0, 1, 2, 3)[0], y), x)
    way = np.array([[0, 0, -1], [0, 0, 1], [0, 0, 0], [0, 0, 0.0]]).ravel()
    assert way @ made @ way == pytest.approx(way @ numeric @ way, rel=0.02)
    assert np.linalg.eigvalsh(made).min() > -1e-9
