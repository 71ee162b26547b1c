"""The contact check finds what the solver must never produce."""

from __future__ import annotations

import numpy as np

from tests.support.worlds import block, cube, ground, scene
from tussle.server.physics.contact_check import check_contact, is_path_free, nearest_pair
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.world_state import State


def moved(state: State, rows: slice, by: tuple[float, float, float]) -> State:
    q = state.q.copy()
    q[rows] += by
    return State(q=q, v=state.v, active=state.active, tick=state.tick)


def test_it_finds_an_intersection() -> None:
    """Two overlapping cubes are one intersection, apart they are none."""
    model, state = compile_scene(scene([cube("a"), cube("b", position=(0, 0.5, 0))]))
    assert check_contact(model, state).passed
    check = check_contact(model, moved(state, slice(4, 5), (0.05, -0.3, 0.02)))
    assert check.intersections == 1 and not check.passed


def test_it_finds_containment() -> None:
    """A cube wholly inside the ground is reported by name."""
    model, state = compile_scene(scene([cube("a", position=(0, 1, 0)), ground(size=20)]))
    check = check_contact(model, moved(state, slice(0, 1), (0, -1.26, 0)))
    assert check.contained == (("a", "ground"),) and not check.passed


def test_it_finds_inversions() -> None:
    """A mirrored affine body and a collapsed tetrahedron are inversions."""
    model, state = compile_scene(scene([cube("a"), block("b", position=(1, 0, 0))]))
    q = state.q.copy()
    q[1] *= -1
    assert check_contact(model, State(q=q, v=state.v, active=state.active)).inversions == 1
    q = state.q.copy()
    q[4] = q[5:].mean(axis=0) + 0.2
    assert check_contact(model, State(q=q, v=state.v, active=state.active)).inversions > 0


def test_it_finds_tunnelling() -> None:
    """A body that jumps through another has no free path, although both end states are free. It is turned: CCD takes
    seconds where faces are parallel."""
    turned = cube("b", position=(0, 0.5, 0), rotation=(1.0, 0.05, 0.1, 0.07))
    model, state = compile_scene(scene([cube("a"), turned]))
    jumped = moved(state, slice(4, 5), (0, -1.0, 0))
    assert check_contact(model, jumped).passed
    assert not is_path_free(model, state, jumped)
    assert is_path_free(model, state, moved(state, slice(4, 5), (0, 1.0, 0)))


def test_nearest_pair() -> None:
    """The smallest distance is measured and its bodies named."""
    model, state = compile_scene(scene([cube("a"), cube("b", position=(0, 0.305, 0))]))
    distance, first, second = nearest_pair(model, state)
    assert np.isclose(distance, 0.005) and {first, second} == {"a", "b"}
