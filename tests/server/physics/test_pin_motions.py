"""Pins that move follow their prescription, and what they hold deforms as mechanics says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.support.paths import ROOT
from tussle.lobby.errors import Refused
from tussle.lobby.rules.motions import Keyframe, Motion
from tussle.lobby.rules.scene_limits import check_scene
from tussle.lobby.rules.scenes import Body, Material, Pin, Recipe, Scene, decode_scene, encode_scene
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.model import Model, vertices
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.shapes import build
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Floats, State, StepReport

BAR = Recipe("block", {"size": [0.4, 0.1, 0.1], "cells": [8, 2, 2]})
STONE = Material(density=1000.0, stiffness=1e8)


def run(scene: Scene, ticks: int) -> tuple[Model, list[State], list[StepReport]]:
    """All states of a run, the first one included, and the reports."""
    check_scene(scene)
    assert decode_scene(encode_scene(scene)) == scene
    model, state = compile_scene(scene)
    states, reports = [state], []
    for _ in range(ticks):
        state, report = step(model, state)
        states.append(state)
        reports.append(report)
    assert check_contact(model, state).passed
    return model, states, reports


def ends() -> tuple[Floats, tuple[int, ...], tuple[int, ...]]:
    """The vertices of the bar at rest, and the numbers of those of its two ends."""
    rest = build(BAR).vertices
    left = tuple(np.flatnonzero(rest[:, 0] < rest[:, 0].min() + 1e-9).tolist())
    right = tuple(np.flatnonzero(rest[:, 0] > rest[:, 0].max() - 1e-9).tolist())
    return rest, left, right


def bar(motion: Motion, **fields: Any) -> Scene:
    """A bar of 0.4 m without Poisson effect, held at its left end, with a motion of its right end."""
    _, left, right = ends()
    jelly = Material(density=1000.0, stiffness=1e5, poisson=0.0, damping=5.0)
    body = Body("bar", BAR, jelly, "elastic", position=(0, 1, 0), pins=(Pin(left), Pin(right, motion)))
    return Scene(bodies=(body,), gravity=(0.0, 0.0, 0.0), **fields)


def test_a_bar_is_drawn_out_evenly() -> None:
    """Without Poisson effect it stretches by 1.25 everywhere, and stores V mu (s^2 - 1 - 2 log s) / 2."""
    _, _, right = ends()
    model, states, reports = run(bar(Motion(velocity=(0.05, 0.0, 0.0), until=2.0)), 240)
    first, last = (vertices(model, state) for state in (states[0], states[-1]))
    for number, state in enumerate(states[1:], 1):
        way = 0.05 * min(number / 60, 2.0)
        moved = state.q[list(right)] - states[0].q[list(right)]
        assert np.abs(moved - [way, 0.0, 0.0]).max() < 2e-4
    left = first[:, 0].min()
    assert np.abs(last[:, 0] - left - 1.25 * (first[:, 0] - left)).max() < 5e-4
    assert np.abs(last[:, 1:] - first[:, 1:]).max() < 1e-4
    energy = 0.4 * 0.1 * 0.1 * 5e4 * (1.25**2 - 1.0 - 2.0 * math.log(1.25)) / 2.0
    assert reports[-1].elastic == pytest.approx(energy, rel=0.01)


def test_a_bar_is_twisted_about_its_axis() -> None:
    """The free end turns by the angle; the middle by half of it."""
    motion = Motion(axis=(1.0, 0.0, 0.0), keys=(Keyframe(1.0, angle=1.2),))
    _, states, _ = run(bar(motion), 150)
    q = states[-1].q - [0.0, 1.0, 0.0]
    for x, angle in ((0.2, 1.2), (0.0, 0.6)):
        rest = states[0].q - [0.0, 1.0, 0.0]
        across = np.flatnonzero((np.abs(rest[:, 0] - x) < 1e-9) & (np.hypot(rest[:, 1], rest[:, 2]) > 0.01))
        before, after = (np.arctan2(p[across, 2], p[across, 1]) for p in (rest, q))
        turned = np.angle(np.exp(1j * (after - before)))
        assert np.abs(turned - angle).max() < 0.02


def test_keyframes_are_passed_in_time_and_repeat() -> None:
    """An affine body that is held at two vertices goes to each keyframe, on straight lines, again and again."""
    box = Recipe("box", {"size": [0.2, 0.2, 0.2]})
    keys = (Keyframe(0.5, (0.3, 0.0, 0.0)), Keyframe(1.0, (0.3, 0.2, 0.0)), Keyframe(2.0))
    motion = Motion(keys=keys, repeat=True)
    body = Body("box", box, STONE, position=(0, 1, 0), pins=(Pin((0, 1, 2, 3), motion),))
    _, states, _ = run(Scene(bodies=(body,)), 240)
    way = np.array([state.q[0] - states[0].q[0] for state in states])
    for time, place in ((0.25, (0.15, 0, 0)), (0.5, (0.3, 0, 0)), (1.0, (0.3, 0.2, 0)), (1.5, (0.15, 0.1, 0)),
                        (2.0, (0, 0, 0)), (3.0, (0.3, 0.2, 0)), (4.0, (0, 0, 0))):  # fmt: skip
        assert np.abs(way[round(60 * time)] - place).max() < 1e-3, time


def test_a_pin_that_meets_resistance_stays_behind() -> None:
    """It presses a bar against a wall, which nothing enters."""
    _, _, right = ends()
    scene = bar(Motion(velocity=(0.5, 0.0, 0.0), until=1.0))
    wall = Recipe("box", {"size": [0.1, 1.0, 1.0]})
    scene = Scene(
        bodies=(*scene.bodies, Body("wall", wall, STONE, "static", position=(0.4, 1.0, 0.0))),
        gravity=(0.0, 0.0, 0.0),
    )
    _, states, reports = run(scene, 60)
    assert states[-1].q[list(right), 0].max() < 0.35
    assert min(report.min_distance for report in reports) > 0.0


def moving(motion: Motion, *more: Pin, vertices: tuple[int, ...] = (0, 1), kind: Any = "affine") -> Scene:
    """A scene of one box with a moving pin."""
    box = Body("box", Recipe("box", {"size": [0.2] * 3}), STONE, kind, pins=(*more, Pin(vertices, motion)))
    free = Body("free", Recipe("box", {"size": [0.2] * 3}), STONE, position=(2.0, 0.0, 0.0))
    return Scene(bodies=(box, free))


@pytest.mark.parametrize(
    ("scene", "says"),
    [
        (moving(Motion()), "either keys"),
        (moving(Motion(velocity=(1, 0, 0))), "until a time"),
        (moving(Motion(velocity=(1, 0, 0), until=1, keys=(Keyframe(1.0),))), "either keys"),
        (moving(Motion(spin=1, until=1, axis=(0, 0, 0))), "no direction"),
        (moving(Motion(keys=(Keyframe(2.0), Keyframe(1.0)))), "in order"),
        (moving(Motion(keys=(Keyframe(2.0, (1, 0, 0)),), repeat=True)), "where it began"),
        (moving(Motion(spin=1, until=1), Pin((1, 2))), "in two pins"),
        (moving(Motion(spin=1, until=1), Pin()), "in two pins"),
        (moving(Motion(spin=1, until=1), vertices=()), "names its vertices"),
        (moving(Motion(spin=1, until=1), kind="static"), "do not move"),
        (moving(Motion(velocity=(1, 0, 0), until=2e3)), "offset"),
        (moving(Motion(keys=(Keyframe(0.01, (500, 0, 0)),))), "speed"),
        (moving(Motion(spin=2e3, until=1)), "spin"),
        (moving(Motion(spin=1, until=1e6)), "time"),
    ],
)
def test_a_bad_motion_is_refused(scene: Scene, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        check_scene(decode_scene(encode_scene(scene)))
    assert caught.value.reason == "bad_scene"


def test_the_example_runs() -> None:
    """Nothing intersects, and no tick ends at its limit."""
    model, state = compile_scene(decode_scene((ROOT / "examples/scenes/moving-pins.json").read_bytes()))
    for _ in range(60):
        state, report = step(model, state)
        assert report.converged
    assert check_contact(model, state).passed
