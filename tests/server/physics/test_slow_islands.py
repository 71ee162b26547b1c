"""An island whose line searches are cut short becomes stiffer, but no stiffer than its matrix can bear."""

from __future__ import annotations

import numpy as np

from tests.support.interpreted import as_python
from tussle.server.physics import slow_islands
from tussle.server.physics.kernel_arrays import Islands, Pairs
from tussle.server.physics.slow_islands import STALLS_MAX, STIFFER, STIFFEST

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
