"""A program that uses the solver alone needs ``tussle.physics`` and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import tussle.physics as api
from tussle.physics import Body, Control, Material, Recipe, Scene, compile_scene, rollout, step, vertices


def test_a_rollout_is_its_steps() -> None:
    """A rollout has the states of single steps, bit for bit; the start is unchanged; inputs act in their tick."""
    stone = Material(density=500.0, stiffness=4e6)
    box = Body("a", Recipe("box", {"size": [0.3, 0.3, 0.3]}), stone, position=(0.0, 0.5, 0.0))
    model, start = compile_scene(Scene(bodies=(box,)))
    before = start.q.copy()
    push = Control(velocity_change={0: ((1.0, 0.0, 0.0), (0.0, 0.0, 0.0))})
    run = rollout(model, start, 5, lambda number, state: push if number == 2 else None)
    assert run.converged and run.q.shape == run.v.shape == (6, 4, 3) and np.array_equal(start.q, before)
    state = start
    for number in range(5):
        state, _ = step(model, state, push if number == 2 else Control())
        assert np.array_equal(state.q, run.q[number + 1])
    assert run.v[2, 0, 0] == 0.0 and run.v[3, 0, 0] == pytest.approx(1.0)
    assert vertices(model, state).shape == (8, 3) and api.check_contact(model, state).passed
    assert api.state_hash(api.decode_state(api.encode_state(state))) == api.state_hash(run.states[-1])


def test_every_public_name_has_a_docstring() -> None:
    """Each name of the module is documented."""
    assert all(getattr(api, name).__doc__ for name in api.__all__)
