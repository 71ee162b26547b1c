"""BDF2 keeps motion that implicit Euler damps, and what it remembers of the tick before is in the state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.paths import ROOT
from tussle.lobby.errors import Refused
from tussle.lobby.rules.joints import Joint
from tussle.lobby.rules.scene_limits import check_scene
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene, decode_scene, encode_scene
from tussle.server.physics.checkpoint import decode_state, encode_state, state_hash
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.path_check import check_path
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step, trace_step
from tussle.server.physics.world_state import Control

BOX = Recipe("box", {"size": [0.3, 0.2, 0.2]})
STONE = Material(density=1000.0, stiffness=1e8)
SLAB = Body("ground", Recipe("slab", {"size": [4, 0.3, 4]}), Material(1000.0), "static")


def made(*bodies: Body, **fields: Any) -> Scene:
    """A scene of bdf2 that servers take too, and that survives its own text."""
    scene = Scene(**{"bodies": bodies, "integrator": "bdf2", **fields})
    check_scene(scene)
    assert decode_scene(encode_scene(scene)) == scene
    return scene


def kept_spin(integrator: str, dt: float) -> float:
    """The share of a spin of 5 rad/s that a free box keeps after a second."""
    box = Body("box", BOX, STONE, spin=(0.0, 0.0, 5.0))
    model, state = compile_scene(made(box, integrator=integrator, dt=dt, gravity=(0.0, 0.0, 0.0)))
    for _ in range(round(1.0 / dt)):
        state, _ = step(model, state)
    return float(np.cross(state.q[1], state.v[1])[2] / (state.q[1] @ state.q[1]) / 5.0)


def test_a_free_spin_is_kept() -> None:
    """At 1/60 s 0.97 of it and more; its loss falls with dt at least as fast as dt^2."""
    coarse, fine = kept_spin("bdf2", 1 / 60), kept_spin("bdf2", 1 / 120)
    assert 0.97 <= coarse <= 1.001
    assert abs(1.0 - fine) <= abs(1.0 - coarse) / 3.0 + 1e-4
    assert kept_spin("implicit_euler", 1 / 60) < 0.9


def test_a_free_fall_is_a_parabola() -> None:
    """Implicit Euler is g dt t / 2 ahead of it."""
    model, state = compile_scene(made(Body("box", BOX, STONE, velocity=(1.0, 3.0, 0.0))))
    for _ in range(60):
        state, _ = step(model, state)
    assert state.q[0] == pytest.approx([1.0, 3.0 - 9.81 / 2.0, 0.0], abs=1e-6)
    assert state.v[0] == pytest.approx([1.0, 3.0 - 9.81, 0.0], abs=1e-6)


@pytest.mark.parametrize(("size", "gap", "speed"), [(0.3, 0.25, 1.0), (0.3, 0.25, 6.0), (2.0, 0.27, 5.0)])
def test_a_box_that_falls_does_not_jump(size: float, gap: float, speed: float) -> None:
    """Without restitution it stays where it hits: slowly, in a tick of several parts, and within one tick."""
    cube = Recipe("box", {"size": [size] * 3})
    box = Body("box", cube, STONE, position=(0.0, 0.5 * size + gap, 0.0), velocity=(0.0, -speed, 0.0))
    model, state = compile_scene(made(SLAB, box))
    heights = []
    for _ in range(60):
        state, _ = step(model, state)
        heights.append(float(state.q[0, 1]) - 0.5 * size)
    after = heights[int(np.argmin(heights)) :]
    assert max(after) < 0.012
    assert np.abs(state.v[0]).max() < 0.02
    assert check_contact(model, state).passed


def busy() -> Scene:
    """Boxes that fall, collide and rest, one on a hinge, an elastic block, and a spin."""
    jelly = Material(density=1000.0, stiffness=1e5)
    block = Recipe("block", {"size": [0.2, 0.2, 0.2], "cells": [1, 1, 1]})
    bodies = [
        SLAB,
        Body("a", BOX, STONE, position=(0.0, 0.12, 0.0)),
        Body("b", BOX, STONE, position=(0.05, 0.5, 0.0), velocity=(0.0, -4.0, 0.0), spin=(1.0, 2.0, 3.0)),
        Body("door", BOX, STONE, position=(1.0, 1.0, 0.0)),
        Body("jelly", block, jelly, "elastic", position=(-1.0, 0.3, 0.0), velocity=(0.0, -2.0, 0.0)),
    ]
    hinge = Joint("hinge", "hinge", "door", (0.85, 1.0, 0.0), axis=(0.0, 0.0, 1.0))
    return made(*bodies, joints=(hinge,))


def test_a_state_restored_at_any_tick_goes_on_alike() -> None:
    """The bytes of a state have all that the next tick depends on: the past, and which bodies collided."""
    model, state = compile_scene(busy())
    hit = dict.fromkeys(range(4), ((0.5, 1.0, 0.0), (0.0, 0.0, 1.0)))
    for tick in range(40):
        control = Control(velocity_change=hit if tick == 20 else {}, remove=(1,) if tick == 30 else ())
        restored = decode_state(encode_state(state))
        assert state_hash(restored) == state_hash(state)
        again, _ = step(model, restored, control)
        state, _ = step(model, state, control)
        assert state_hash(again) == state_hash(state)
    assert len(state.q_past) == len(state.q)
    assert check_contact(model, state).passed


def test_the_path_of_a_tick_with_a_collision_is_traced() -> None:
    """The iterates that verify checks are those of the step itself, which solves such a tick twice."""
    model, state = compile_scene(busy())
    collided = False
    for _ in range(12):
        after, _ = step(model, state)
        if after.collided.any() and not collided:
            collided = True
            assert np.array_equal(trace_step(model, state)[-1], after.q)
            assert check_path(model, state).passed
        state = after
    assert collided


def test_an_unknown_integrator_is_refused() -> None:
    text = encode_scene(busy()).replace(b"bdf2", b"bdf9")
    with pytest.raises(Refused, match="integrator") as caught:
        decode_scene(text)
    assert caught.value.reason == "bad_scene"


def test_the_example_runs() -> None:
    model, state = compile_scene(decode_scene((ROOT / "examples/scenes/integrator.json").read_bytes()))
    for _ in range(60):
        state, _ = step(model, state)
    assert check_contact(model, state).passed
