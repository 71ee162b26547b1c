"""The order of elimination has every node once, and the solution is that of the dense equations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.interpreted import as_python
from tests.support.worlds import block, cube, ground, scene
from tussle.lobby.rules.scenes import Pin
from tussle.server.physics.dissection import LEAF_NODES, dissect, mesh_links
from tussle.server.physics.elimination import find_entry, plan_elimination
from tussle.server.physics.fronts import factorise, solve
from tussle.server.physics.model import Model
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.shapes import build


def solve_dense(t, cliques, clique_start, matrix, right, place, positive):  # type: ignore[no-untyped-def]
    """Solve matrix x = right, both by node, through fronts. Returns x and the nodes of each front.

    positive: what the factorisation is to say of the matrix.
    """
    bodies = np.arange(t.kind.shape[0])
    front = np.empty(place.shape[0], np.int64)
    system, _ = plan_elimination(
        t, bodies, 0, bodies.shape[0], cliques, clique_start, place, front, np.full(10, np.nan)
    )
    for i in range(place.shape[0]):
        for j in range(place.shape[0]):
            if t.fixed[i] or t.fixed[j] or place[j] > place[i]:
                continue
            block = matrix[3 * i : 3 * i + 3, 3 * j : 3 * j + 3]
            if not block.any():
                continue
            at = find_entry(
                system.first, system.row_start, system.rows, system.start, place, front, i, j
            )  # fmt: skip
            for r in range(3):
                for c in range(3):
                    system.data[at + 12 * c + r] = block[r, c]
    assert factorise(system, positive) == positive
    b = np.empty(3 * system.first[-1])
    x = np.zeros(right.shape[0])
    for i in range(place.shape[0]):
        if not t.fixed[i]:
            for k in range(3):
                b[3 * place[i] + k] = right[3 * i + k]
    solve(system, b)
    for i in range(place.shape[0]):
        if not t.fixed[i]:
            for k in range(3):
                x[3 * i + k] = b[3 * place[i] + k]
    return x, np.diff(system.first)


def make_model(cells: int = 3) -> Model:
    """Two elastic bodies, one of them pinned at some vertices, and four affine ones, of which one cannot move."""
    bodies = [
        ground(),
        block("a", cells=cells, position=(0, 1, 0), pins=(Pin((0, 1, 7)),)),
        cube("b", position=(1, 1, 0)),
        block("c", cells=cells, position=(2, 1, 0)),
        cube("d", position=(3, 1, 0)),
        cube("e", position=(4, 1, 0), pins=(Pin(()),)),
        cube("f", position=(5, 1, 0)),
    ]
    return compile_scene(scene(bodies))[0]


def equations(model: Model, rng: np.random.Generator, contacts: int) -> tuple[np.ndarray, list[list[int]]]:
    """A positive matrix with an entry for every tetrahedron, affine body and contact, and the spans of each contact."""
    t = model.tables
    bodies = [np.arange(t.node_start[b], t.node_start[b + 1]) for b in range(len(t.kind))]
    groups = [list(tet) for tet in t.tets] + [list(nodes) for nodes in bodies if len(nodes) == 4]
    cliques = []
    for _ in range(contacts):
        spans: set[int] = set()
        for b in rng.choice(len(bodies), 2, replace=False):
            nodes = bodies[b][:1] if len(bodies[b]) == 4 else rng.choice(bodies[b], 2, replace=False)
            spans |= {int(n) for n in nodes if not t.fixed[n]}
        cliques.append(sorted(spans, key=lambda n: int(rng.integers(100))))
        groups.append([n + k for n in spans for k in range(int(t.span[n]))])
    cliques = [spans for spans in cliques if len(spans) > 1]
    matrix = np.diag(rng.uniform(0.1, 1.0, 3 * len(t.fixed)))
    for group in groups:
        free = [n for n in group if not t.fixed[n]]
        rows = (3 * np.array(free, dtype=int)[:, None] + np.arange(3)).ravel()
        if len(rows):
            some = rng.normal(size=(len(rows), 3))
            matrix[np.ix_(rows, rows)] += some @ some.T
    return matrix, cliques


CONTACTS = (0, 1, 6, 40)
TIMES = 5

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def cases(model: Model, contacts: int) -> Iterator[Case]:
    """Matrices with that many contacts; the nodes of the contacts and where each one's begin; right-hand sides."""
    rng = np.random.default_rng(contacts)
    for _ in range(TIMES):
        matrix, cliques = equations(model, rng, contacts)
        start = np.cumsum([0, *map(len, cliques)]).astype(np.int64)
        nodes = np.array([n for spans in cliques for n in spans], dtype=np.int64)
        yield matrix, nodes, start, rng.normal(size=len(matrix))


@pytest.mark.parametrize("contacts", CONTACTS)
def test_equations_are_solved(contacts: int) -> None:
    """Fronts give the solution of the dense equations, for bodies of all kinds and contacts between any of them."""
    model = make_model()
    fixed = np.repeat(model.tables.fixed, 3)
    free = ~fixed
    solver = as_python(solve_dense)
    for matrix, nodes, start, right in cases(model, contacts):
        place = np.full(len(fixed) // 3, -1)
        x, widths = solver(model.tables, nodes, start, matrix, right, place, True)
        assert x[free] == pytest.approx(np.linalg.solve(matrix[np.ix_(free, free)], right[free]), rel=1e-7)
        assert not x[fixed].any()
        assert sorted(place[~model.tables.fixed]) == list(range(widths.sum()))


def test_a_matrix_that_is_not_positive_still_gives_a_descent() -> None:
    """Rounding makes pivots negative where a contact is 1e20 times as stiff as its bodies. They hardly move then."""
    model = make_model()
    free = ~np.repeat(model.tables.fixed, 3)
    solver = as_python(solve_dense)
    rng = np.random.default_rng(7)
    for matrix, nodes, start, right in cases(model, 6):
        for unknown in rng.choice(np.flatnonzero(free), 4, replace=False):
            matrix[unknown, unknown] = -1e-3
        place = np.full(len(free) // 3, -1)
        x, _ = solver(model.tables, nodes, start, matrix, right, place, False)
        assert x @ right > 0.0
        assert np.abs(x).max() < 1e3 * np.abs(right).max()


def test_dissection_has_every_node_once() -> None:
    """Free nodes are in the order once, a cluster is consecutive, and no link joins two halves of a cut."""
    mesh = build(block("a", cells=6).shape)
    assert mesh.tetrahedra is not None
    links = mesh_links(mesh.tetrahedra)
    free = np.ones(len(mesh.vertices), dtype=bool)
    free[[3, 50, 51]] = False
    order, cluster = dissect(mesh.vertices, links, free)
    assert sorted(order) == list(np.flatnonzero(free))
    assert (np.diff(cluster[order]) >= 0).all() and (cluster[~free] == -1).all()
    sizes = np.bincount(cluster[order])
    assert sizes.min() > 0 and len(sizes) > 10
    # A leaf is linked only to itself and to later layers: the first two clusters are leaves of one cut.
    assert sizes[0] <= LEAF_NODES
    pairs = np.sort(cluster[links[free[links].all(axis=1)]], axis=1)
    assert not ((pairs[:, 0] == 0) & (pairs[:, 1] == 1)).any()


def test_fill_grows_less_than_the_square() -> None:
    """Nested dissection keeps the factor of a cube of 1,000 vertices small: a band would need four times as much."""
    entries = []
    for cells in (4, 9):
        mesh = build(block("a", cells=cells).shape)
        assert mesh.tetrahedra is not None
        links = mesh_links(mesh.tetrahedra)
        order, _ = dissect(mesh.vertices, links, np.ones(len(mesh.vertices), dtype=bool))
        entries.append(count_entries(order, links))
    assert entries[1] < 70_000
    assert entries[1] / entries[0] < 8.0**1.6


def count_entries(order: np.ndarray, links: np.ndarray) -> int:
    """The entries of the factor below its diagonal, in nodes."""
    place = np.argsort(order)
    rows: list[set[int]] = [set() for _ in order]
    for first, last in np.sort(place[links], axis=1):
        rows[first].add(int(last))
    for column, own in enumerate(rows):
        if own:
            rows[min(own)] |= own - {min(own)}
        assert column not in own
    return sum(map(len, rows))
