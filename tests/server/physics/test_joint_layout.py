"""A pair of bodies has the friction that the scene gives it, in place of that of their materials."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support.paths import ROOT
from tussle.lobby.errors import Refused
from tussle.lobby.rules.joints import Pair
from tussle.lobby.rules.scene_limits import check_scene
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene, decode_scene, encode_scene
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step

BOX = Recipe("box", {"size": [0.2, 0.1, 0.2]})
ROUGH = Material(density=1000.0, stiffness=1e8, friction=0.9)


def slope(*pairs: Pair) -> Scene:
    """Three boxes on a slope of 30 degrees, which is gravity that leans; all materials have a mu of 0.9."""
    lean = math.radians(30.0)
    bodies = [Body("slope", Recipe("slab", {"size": [8, 0.3, 4]}), ROUGH, "static")]
    for number, name in enumerate("abc"):
        bodies.append(Body(name, BOX, ROUGH, position=(-2.0, 0.056, 0.6 * number - 0.6)))
    gravity = (9.81 * math.sin(lean), -9.81 * math.cos(lean), 0.0)
    scene = Scene(bodies=tuple(bodies), gravity=gravity, pairs=pairs)
    check_scene(scene)
    assert decode_scene(encode_scene(scene)) == scene
    return scene


def test_each_pair_slides_with_its_own_friction() -> None:
    """Accelerations are g (sin - mu cos): one of 0.9 stays, 0.3 and 0 slide."""
    model, state = compile_scene(slope(Pair("b", "slope", friction=0.3), Pair("slope", "c", friction=0.0)))
    speeds = []
    for _ in range(60):
        state, report = step(model, state)
        assert report.converged
        speeds.append(state.v[::4, 0])
    along, across = 9.81 * math.sin(math.radians(30.0)), 9.81 * math.cos(math.radians(30.0))
    gained = (speeds[59] - speeds[19]) / (40 / 60)
    assert gained[0] == pytest.approx(0.0, abs=1e-3)
    assert gained[1:] == pytest.approx([along - 0.3 * across, along], rel=0.02)
    assert check_contact(model, state).passed


def test_a_pair_without_a_friction_has_that_of_its_materials() -> None:
    """The bits are those of a scene without the pair."""
    states = []
    for pairs in ((), (Pair("a", "slope"), Pair("a", "b", friction=0.1))):
        model, state = compile_scene(slope(*pairs))
        for _ in range(10):
            state, _ = step(model, state)
        states.append(state)
    assert np.array_equal(states[0].q, states[1].q)


@pytest.mark.parametrize("friction", [-0.1, 11.0])
def test_a_bad_friction_is_refused(friction: float) -> None:
    with pytest.raises(Refused, match="friction") as caught:
        scene = slope()
        check_scene(
            decode_scene(encode_scene(Scene(scene.bodies, pairs=(Pair("a", "b", friction=friction),))))
        )
    assert caught.value.reason == "bad_scene"


def test_the_example_runs() -> None:
    model, state = compile_scene(decode_scene((ROOT / "examples/scenes/pair-friction.json").read_bytes()))
    for _ in range(60):
        state, report = step(model, state)
        assert report.converged
    assert check_contact(model, state).passed
