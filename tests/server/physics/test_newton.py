"""The candidates of a step have every pair that can come near while its vertices are in their boxes, and no number of a
step comes from memory that nothing was written to."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.support.interpreted import as_python
from tests.support.paths import ROOT
from tests.support.worlds import block, cube, ground, random_turn, scene
from tussle.lobby.launch import child_environment
from tussle.server.physics.distance import EDGE_EDGE, POINT_FACE, closest
from tussle.server.physics.kernel_arrays import Pairs, Tables
from tussle.server.physics.newton import _find_candidates, _keep_candidates, _new_workspace, _set_swept_boxes
from tussle.server.physics.scene_compiler import compile_scene

DHAT = 0.01


def search_twice(t, apart, q, first, second, moved, dhat):  # type: ignore[no-untyped-def]
    """Search for all bodies on the way to ``first``, then for the ``moved`` ones (groups,) on the way to ``second``.
    Returns both lists of candidates, and the boxes after each search."""
    bodies, groups = t.kind.shape[0], t.mobile.shape[0]
    w = _new_workspace(t, q, first, np.ones(bodies, np.bool_))
    present = np.ones(groups, np.bool_)
    _set_swept_boxes(t, w, t.mobile, 2.0 * dhat)
    pairs, bound, weights = _find_candidates(t, apart, w, present, t.mobile, dhat)
    low, high = w.low.copy(), w.high.copy()
    c = Pairs(pairs, bound, weights, bound, weights, bound)
    w.x_trial[:] = _new_workspace(t, q, second, np.ones(bodies, np.bool_)).x_trial
    _set_swept_boxes(t, w, moved, 2.0 * dhat)
    found, more, others = _find_candidates(t, apart, w, present, moved, dhat)
    merged, _, _ = _keep_candidates(t, c, moved, found, more, others)
    return pairs, merged, low, high, w.low, w.high


def near_pairs(t: Tables, x: np.ndarray) -> set[tuple[int, ...]]:
    """All pairs nearer than dhat of groups of which one can move, or of one that bends."""
    found = set()
    group = t.vertex_group
    lists = [(POINT_FACE, t.points, t.faces), (EDGE_EDGE, t.edges, t.edges)]
    for kind, ones, others in lists:
        for i, one in enumerate(ones):
            for j, other in enumerate(others):
                a, b = group[one[0]], group[other[0]]
                if (kind == EDGE_EDGE and j <= i) or not (t.mobile[a] or t.mobile[b]):
                    continue
                if a == b and (not t.bends[a] or set(one) & set(other)):
                    continue
                pair = (kind, *map(int, one), *map(int, other))
                if closest(x, *pair)[0] < DHAT * DHAT:
                    found.add(pair)
    return found


def test_every_near_pair_is_a_candidate() -> None:
    """Wherever the vertices are in their boxes, after a search for all bodies and after one for those that moved."""
    rng = np.random.default_rng(3)
    bodies = [ground(), block("a", cells=1, position=(0, 0.2, 0), rotation=random_turn(rng))]
    places = ((0.36, 0.22, 0.0), (0.0, 0.24, 0.38), (0.36, 0.24, 0.4))
    bodies += [cube(f"c{k}", position=place, rotation=random_turn(rng)) for k, place in enumerate(places)]
    model, state = compile_scene(scene(bodies), check=False)
    t = model.tables
    first = state.q.copy()
    first[t.node_start[1]] += (-0.02, 0.0, 0.01)
    second = state.q.copy()
    second[t.node_start[3]] += (-0.05, 0.03, -0.05)
    moved = np.zeros(len(t.mobile), dtype=bool)
    moved[3] = True
    search = as_python(search_twice)
    pairs, merged, *boxes = search(t, model.joint_arrays.apart, state.q, first, second, moved, DHAT)
    rows = [set(map(tuple, found.tolist())) for found in (pairs, merged)]
    assert len(rows[0]) == len(pairs) and len(rows[1]) == len(merged)
    assert {row for row in rows[0] if 3 not in t.vertex_group[list(row[1:])]} <= rows[1]
    near = 0
    for found, low, high in ((rows[0], *boxes[:2]), (rows[1], *boxes[2:])):
        for _ in range(6):
            share = np.clip(rng.uniform(-0.5, 1.5, low.shape), 0.0, 1.0)
            wanted = near_pairs(t, low + share * (high - low))
            assert wanted <= found
            near += len(wanted)
    assert near > 50


CRUSHED = 435
"""A scene of bench/physics/fuzz.py. In its tenth tick collisions cut line searches short again and again."""
PROGRAM = """
import hashlib
from bench.physics import fuzz
hashes = hashlib.sha256()
real = fuzz.step
def step(*arguments):
    state, report = real(*arguments)
    hashes.update(state.q.tobytes() + state.v.tobytes())
    return state, report
fuzz.step = step
print(fuzz.run_scene({seed}, 600.0)[0], hashes.hexdigest())
"""


@pytest.mark.slow
def test_no_bit_depends_on_what_was_in_memory() -> None:
    """The barriers became 1e15 times as stiff, and the direction no number: the process died, or had other bits."""
    ends = []
    for filled_with in ("0", "165"):
        environment = {**child_environment(), "GLIBC_TUNABLES": f"glibc.malloc.perturb={filled_with}"}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(seed=CRUSHED)],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=250,
        )  # fmt: skip
        assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
        ends.append(done.stdout.split())
    assert ends[0][0] == "clean"
    assert ends[0] == ends[1]
