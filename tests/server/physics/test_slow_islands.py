"""An island whose line searches are cut short becomes stiffer, but no stiffer than its matrix can bear; and one of many
bodies iterates on with those that move."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np

from bench.physics.growth import boxes
from tests.support.interpreted import as_python
from tussle.server.physics import slow_islands
from tussle.server.physics.kernel_arrays import Islands, Pairs
from tussle.server.physics.model import vertices
from tussle.server.physics.path_check import check_path
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.slow_islands import STALLS_MAX, STIFFER, STIFFEST
from tussle.server.physics.solver import step, trace_step

DHAT = 1e-3


def test_stalled_barriers_become_stiffer_up_to_a_limit() -> None:
    stiffen = as_python(slow_islands.stiffen_stalled)
    islands = Islands(
        np.arange(2), np.array([0, 2]), np.array([0, 1]), np.empty(0, np.int64), np.zeros(2, np.int64)
    )
    bound, weights = np.full(1, 0.01 * DHAT), np.zeros((1, 4))
    c = Pairs(np.zeros((1, 5), np.int64), bound, weights, bound, weights, np.full(1, 3.0))
    stalls, stiffness = np.zeros(2, np.int64), np.ones(2)
    factors = []
    for _ in range(30 * STALLS_MAX):
        before = stiffness.copy()
        stiffer = stiffen(islands, 0, c, DHAT, 0.01, stalls, stiffness)
        assert stiffer == (stiffness[0] > before[0])
        assert c.kappa[0] == 3.0 * stiffness[0]
        factors.append(stiffness[0])
    assert factors[STALLS_MAX - 1] == STIFFER
    assert factors[-1] == STIFFEST
    assert not stiffen(islands, 0, c, DHAT, 0.9, stalls, stiffness)
    assert stalls.tolist() == [0, 0]


def test_many_bodies_end_where_they_would_without_holds() -> None:
    """Boxes fall into a bowl. While some still move, the others are held; where all end is a minimum, and the way there
    is free of collisions."""
    piled = boxes(40)
    model, state = compile_scene(piled)
    exact, _ = compile_scene(msgspec.structs.replace(piled, tolerance=1e-6, max_iterations=100))
    for _ in range(36):
        state, _ = step(model, state)
    held = 0
    for _ in range(5):
        end, report = step(model, state)
        best, ideal = step(exact, state)
        assert report.converged
        assert ideal.converged
        assert np.abs(vertices(model, end) - vertices(model, best)).max() < 1e-5  # m
        for before, after in itertools.pairwise(trace_step(model, state)):
            moved = (before != after).reshape(40, -1).any(axis=1).sum()
            held += 0 < moved <= 10
        assert check_path(model, state).passed
        state = end
    assert held >= 5
