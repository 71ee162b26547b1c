"""Bodies separate after an impact with the share of their speed that the scene says, at any length of a tick."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.support.paths import ROOT
from tussle.lobby.errors import Refused
from tussle.lobby.rules.joints import Pair
from tussle.lobby.rules.scene_edits import write_body
from tussle.lobby.rules.scene_limits import check_scene
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene, decode_scene, encode_scene
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.shapes import build
from tussle.server.physics.solver import step

BALL = Recipe("sphere", {"radius": 0.1, "level": 2})
SLAB = Body("ground", Recipe("slab", {"size": [4, 0.3, 4]}), Material(1000.0), "static")
LOW = -float(build(BALL).vertices[:, 1].min())


def stone(e: float = 0.0, density: float = 1000.0) -> Material:
    """A stiff material with a restitution."""
    return Material(density, stiffness=1e8, restitution=e)


def checked(*bodies: Body, **fields: Any) -> Scene:
    """A scene that servers take too, and that survives its own text."""
    made = Scene(bodies=bodies, **fields)
    check_scene(made)
    assert decode_scene(encode_scene(made)) == made
    return made


def second_height(scene: Scene, seconds: float) -> float:
    """The largest height of the ball's lowest point after its first fall [m]."""
    model, state = compile_scene(scene)
    heights = []
    for _ in range(round(seconds / scene.dt)):
        state, _ = step(model, state)
        heights.append(float(state.q[0, 1]) - LOW)
    assert check_contact(model, state).passed
    return max(heights[int(np.argmax(np.array(heights) < 0.03)) :])


@pytest.mark.parametrize("dt", [1 / 60, 1 / 120, 1 / 240])
@pytest.mark.parametrize("integrator", ["implicit_euler", "bdf2"])
def test_a_ball_bounces_to_e_squared_of_its_height(integrator: Any, dt: float) -> None:
    """Within 4 % with bdf2, at any dt. Implicit Euler also loses g dt / u on the way down, and on the way up."""
    e, height = 0.8, 1.0
    ball = Body("ball", BALL, stone(e), position=(0.0, LOW + height, 0.0))
    reached = second_height(checked(SLAB, ball, dt=dt, integrator=integrator), 1.1)
    low, high = 0.96, 1.04
    if integrator == "implicit_euler":
        speed = math.sqrt(2.0 * 9.81 * height)
        low -= 9.81 * dt / speed * (1.0 + 1.0 / e)
    assert low < reached / (e * e * height) < high


@pytest.mark.parametrize("e", [0.5, 1.0])
def test_two_balls_part_with_their_share_and_all_momentum(e: float) -> None:
    """The relative speed after a central impact is e times that before it; the heavier ball counts three times."""
    left = Body("left", BALL, stone(e), position=(-0.15, 0.0, 0.0), velocity=(1.0, 0.0, 0.0))
    right = Body("right", BALL, stone(density=3000.0), position=(0.15, 0.0, 0.0), velocity=(-1.0, 0.0, 0.0))
    model, state = compile_scene(checked(left, right, gravity=(0.0, 0.0, 0.0)))
    for _ in range(30):
        state, _ = step(model, state)
    speeds = state.v[[0, 4], 0]
    assert model.masses @ speeds == pytest.approx(model.masses @ [1.0, -1.0], rel=1e-3)
    assert speeds[1] - speeds[0] == pytest.approx(2.0 * e, abs=0.02)


def test_an_oblique_impact_gains_no_energy() -> None:
    """A box that turns and falls on an edge keeps its energy at most, with a restitution of 1."""
    half = math.radians(15.0)
    box = Body("box", Recipe("box", {"size": [0.3, 0.2, 0.2]}), stone(1.0), position=(0.0, 0.8, 0.0),
               rotation=(math.cos(half), 0.0, 0.0, math.sin(half)), spin=(2.0, 0.0, -3.0))  # fmt: skip
    model, state = compile_scene(checked(SLAB, box, integrator="bdf2"))
    energies = []
    for _ in range(120):
        state, report = step(model, state)
        energies.append(report.kinetic + report.gravity + report.elastic)
    assert max(energies) <= energies[0] * 1.01
    assert max(float(state.q[0, 1]), 0.0) > 0.1


def test_a_pair_has_its_own_restitution() -> None:
    """0 for a pair of materials that bounce, 0.7 for one of a material that does not."""
    reached = {}
    for name, e, own in (("dead", 0.8, 0.0), ("live", 0.0, 0.7)):
        ball = Body("ball", BALL, stone(e), position=(0.0, LOW + 0.5, 0.0))
        scene = checked(SLAB, ball, pairs=(Pair("ground", "ball", restitution=own),), integrator="bdf2")
        reached[name] = second_height(scene, 0.8)
    assert reached["dead"] < 0.03
    assert reached["live"] == pytest.approx(0.49 * 0.5, rel=0.05)


def test_a_bouncing_ball_comes_to_rest() -> None:
    """Impacts slower than twice what gravity adds in a tick end the bouncing."""
    ball = Body("ball", BALL, stone(0.5), position=(0.0, LOW + 0.3, 0.0))
    model, state = compile_scene(checked(SLAB, ball))
    for _ in range(150):
        state, _ = step(model, state)
    assert abs(state.v[0, 1]) < 0.02  # it rolls on its facets
    assert 0.0 < state.q[0, 1] - LOW < 0.01


@pytest.mark.parametrize(("kind", "e"), [("elastic", 0.5), ("affine", 1.5), ("affine", -0.1)])
def test_a_bad_restitution_is_refused(kind: Any, e: float) -> None:
    """Also by an edit of one body, and of a pair."""
    block = Recipe("block", {"size": [0.2] * 3, "cells": [1, 1, 1]})
    body = Body("a", block, stone(e), kind)
    with pytest.raises(Refused, match=r"restitution|Expected") as caught:
        decode_scene(encode_scene(Scene(bodies=(body,))))
    assert caught.value.reason == "bad_scene"
    document = {"shape": {"kind": block.kind, "params": block.params}, "kind": kind,
                "material": {"density": 1000.0, "restitution": e}}  # fmt: skip
    with pytest.raises(Refused):
        write_body("a", None, document=document)


def test_the_example_runs() -> None:
    model, state = compile_scene(decode_scene((ROOT / "examples/scenes/restitution.json").read_bytes()))
    for _ in range(60):
        state, _ = step(model, state)
    assert check_contact(model, state).passed
