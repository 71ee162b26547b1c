"""The path of a tick is proved segment by segment, and a path through a body is found."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.worlds import cube, duel, ground, scene
from tussle.server.physics import path_check
from tussle.server.physics.path_check import check_path
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step, trace_step
from tussle.server.physics.world_state import Control


def test_the_trace_ends_where_the_step_ends() -> None:
    """The iterates begin at the state, end at the next one, and every segment of a blow is free."""
    model, state = compile_scene(duel())
    blow = Control(velocity_change={0: ((-8.0, 0.0, 0.0), (0.0, 5.0, 0.0))})
    segments = 0
    for tick in range(30):
        control = blow if tick == 0 else Control()
        iterates = trace_step(model, state, control)
        check = check_path(model, state, control)
        assert check.passed
        segments += check.segments
        assert np.array_equal(iterates[0], state.q)
        state, _ = step(model, state, control)
        assert np.array_equal(iterates[-1], state.q)
    assert segments > 60


def test_a_path_through_a_body_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A jump to the other side of the ground is blocked, although both ends are free of intersections. The cube is
    turned: CCD takes seconds where faces are parallel."""
    turned = cube("a", position=(0, 1, 0), rotation=(1.0, 0.05, 0.1, 0.07))
    model, state = compile_scene(scene([ground(), turned]))
    under = state.q.copy()
    under[0, 1] = -3.0
    monkeypatch.setattr(path_check, "trace_step", lambda *_: [state.q, state.q, under])
    check = check_path(model, state)
    assert check.segments == 1 and check.blocked == (0,) and not check.passed
