"""With the default fields of a scene the result is the right one, at any scale and speed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.support.worlds import cube, ground, scene
from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene
from tussle.lobby.rules.templates import make_template
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.model import centres, vertices
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import PART_ITERATIONS, step
from tussle.server.physics.substeps import SUBSTEPS_MAX


def box(size: float, height: float | None = None) -> Recipe:
    return Recipe("box", {"size": [size, height or size, size]})


@pytest.mark.parametrize("dt", [1 / 30, 1 / 60, 1 / 240])
@pytest.mark.parametrize("dhat", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("kind", ["affine", "elastic"])
def test_a_body_slides_down_a_slope(kind: Any, dhat: float, dt: float) -> None:
    """At 45 degrees with mu = 0.5 the acceleration is g (sin - mu cos) within 2 %, and no tick ends at the limit."""
    shape = (
        box(0.4, 0.2) if kind == "affine" else Recipe("block", {"size": [0.4, 0.2, 0.4], "cells": [3, 2, 3]})
    )
    material = Material(density=1000.0, stiffness=5e7 if kind == "affine" else 1e7, friction=0.5)
    slider = Body("slider", shape, material, kind, position=(-8.0, 0.1 + 0.6 * dhat, 0.0))
    part = 9.81 * math.sqrt(0.5)
    model, state = compile_scene(
        scene([ground(friction=0.5, size=20.0), slider], gravity=(part, -part, 0.0), dt=dt, dhat=dhat)
    )
    speeds = []
    for _ in range(round(1.5 / dt)):
        state, report = step(model, state)
        assert report.converged
        speeds.append(float(state.v[0, 0]))
    half = round(0.5 / dt)
    assert speeds[-1] - speeds[half - 1] == pytest.approx(0.5 * part * (len(speeds) - half) * dt, rel=0.02)


@pytest.mark.parametrize("rate", [1.0, 3.0, 10.0])
def test_a_puck_spins_on_ice(rate: float) -> None:
    """Without friction the spin after a second is that of the implicit Euler method, 1 / sqrt(1 + 2 w^2 dt t)."""
    disc = Recipe("lathe", {"profile": [[0.15, -0.05], [0.15, 0.05]], "n": 24})
    ice = Material(density=1000.0, stiffness=5e7, friction=0.0)
    puck = Body("puck", disc, ice, position=(0, 0.06, 0), spin=(0, rate, 0), velocity=(1, 0, 0))
    model, state = compile_scene(scene([ground(friction=0.0), puck]))

    def turning() -> float:
        mass = model.tables.mass[0]
        return float(np.cross(state.q[:4], mass @ state.v[:4])[1:].sum(axis=0)[1])

    first = turning()
    for _ in range(60):
        state, _ = step(model, state)
    assert turning() / first == pytest.approx(1.0 / math.sqrt(1.0 + 2.0 * rate**2 / 60), rel=0.02)


def test_a_tower_does_not_fall() -> None:
    """Ten aligned cubes of 0.2 m stand: they creep slower than 1 mm/s. bench/physics/long.py has the minute."""
    cubes = [
        Body(f"c{i}", box(0.2), Material(density=1000.0, stiffness=5e7), position=(0, 0.105 + i * 0.205, 0))
        for i in range(10)
    ]
    model, state = compile_scene(scene([ground(), *cubes]))
    assert model.friction_speed < 1e-3
    for _ in range(60):
        state, _ = step(model, state)
    settled = centres(model, state)
    for _ in range(240):
        state, _ = step(model, state)
    assert np.abs(centres(model, state) - settled).max() < 4e-3
    assert np.abs(state.v).max() < 1e-3


def test_a_card_house_does_not_fall_with_the_defaults() -> None:
    """Cards that lean on one another stand without numbers of their own."""
    made = make_template("card-house").scene
    model, state = compile_scene(
        Scene(bodies=made.bodies, dhat=made.dhat, max_iterations=made.max_iterations)
    )
    first = centres(model, state)
    for _ in range(300):
        state, _ = step(model, state)
    assert np.abs(centres(model, state) - first).max() < 0.02
    assert np.abs(state.v).max() < 2e-3


@pytest.mark.parametrize("size", [0.01, 50.0])
def test_contact_carries_bodies_of_any_mass(size: float) -> None:
    """A cube of 50 m (125,000 t) on a slab of 1 m stays above it, and so does one of 1 cm (1 g)."""
    slab = Body("slab", Recipe("slab", {"size": [20 * size, 1, 20 * size]}), Material(density=1.0), "static")
    turned = Body(
        "cube",
        box(size),
        Material(density=1000.0, stiffness=5e7),
        position=(0, size + 0.02, 0),
        rotation=(0.95, 0.1, 0.2, 0.05),
    )
    model, state = compile_scene(scene([slab, turned], dhat=min(0.01, 0.1 * size)))
    capped = 0
    for _ in range(330):
        state, report = step(model, state)
        assert vertices(model, state)[:, 1].min() > 0.01 * model.scene.dhat
        capped += not report.converged
    assert capped < 10 and check_contact(model, state).passed


@pytest.mark.parametrize(("stiffness", "speed"), [(1e4, 10.0), (1e4, 100.0), (1e5, 1000.0)])
def test_a_soft_affine_body_is_not_flattened(stiffness: float, speed: float) -> None:
    """A soft body thrown at the ground keeps a volume, and its shape returns."""
    thrown = Body(
        "thrown",
        box(0.2),
        Material(density=1000.0, stiffness=stiffness),
        position=(0, 0.5, 0),
        velocity=(0, -speed, 0),
        rotation=(0.95, 0.1, 0.2, 0.05),
    )
    model, state = compile_scene(scene([ground(size=20.0), thrown]))
    for _ in range(60):
        state, _ = step(model, state)
        assert np.linalg.det(state.q[1:4]) > 1e-3
    assert np.linalg.svd(state.q[1:4])[1] == pytest.approx(np.ones(3), abs=0.05)


@pytest.mark.parametrize("dt", [1 / 30, 1 / 60])
@pytest.mark.parametrize("speed", [5.0, 7.0, 10.0])
def test_bodies_stay_on_their_sides(speed: float, dt: float) -> None:
    """Two boxes of 0.1 m that meet head-on, turned in any way, end on their own sides, in bounded work."""
    speed *= 1.0 if dt < 0.02 else 0.9  # two bodies of 0.1 m: at most 0.32 m a tick
    rng = np.random.default_rng(7)
    stone = Material(density=1000.0, stiffness=5e7)
    for _ in range(4):
        left, right = rng.normal(size=(2, 4)).tolist()
        bodies = [
            Body("a", box(0.1), stone, position=(-0.5, 0, 0), velocity=(speed, 0, 0), rotation=tuple(left)),
            Body("b", box(0.1), stone, position=(0.5, 0, 0), velocity=(-speed, 0, 0), rotation=tuple(right)),
        ]
        model, state = compile_scene(scene(bodies, gravity=(0, 0, 0), dt=dt))
        most = model.scene.max_iterations + PART_ITERATIONS * (SUBSTEPS_MAX - 1)
        met = False
        for _ in range(round(0.3 / dt)):
            state, report = step(model, state)
            met = met or bool(report.impulses.any())
            assert report.iterations <= most
        assert met and centres(model, state)[0, 0] < centres(model, state)[1, 0]


def test_the_parts_of_a_tick_share_its_iterations() -> None:
    """A part that needs more iterations than the scene allows a tick takes those that the other parts do not need."""
    stone = Material(density=1000.0, stiffness=5e7)
    bodies = [
        Body(
            name,
            box(0.1),
            stone,
            position=(-side, 0, 0),
            velocity=(10 * side, 0, 0),
            rotation=(1, 0.3, side, 0),
        )
        for name, side in (("a", 0.5), ("b", -0.5))
    ]
    model, state = compile_scene(scene(bodies, gravity=(0, 0, 0), dt=1 / 60, max_iterations=4))
    most = 0
    for _ in range(6):
        state, report = step(model, state)
        most = max(most, report.iterations)
        assert report.converged
    assert most > model.scene.max_iterations


def test_a_tick_of_parts_reports_the_whole_blow() -> None:
    """The impulse of a tick that is solved in parts is the momentum exchanged in it."""
    ice = Material(density=500.0, stiffness=4e6, friction=0.0)
    bodies = [cube("a", material=ice, position=(-0.5, 0, 0), velocity=(12, 0, 0)), cube("b", material=ice)]
    model, state = compile_scene(scene(bodies, gravity=(0, 0, 0), max_iterations=100))
    total, most = np.zeros(3), 0
    for _ in range(6):
        state, report = step(model, state)
        total += report.impulses[1, 0]
        most = max(most, report.iterations)
        seen = report.contacts == 0 or np.isfinite(report.points[1, 0]).all()
        assert seen
    # Of the blow: where both sides are symmetric only up to rounding, a part in 10,000 of it is across.
    assert np.linalg.norm(total - 13.5 * state.v[4]) < 1e-3 * total[0] and total[0] > 13.5 * 3


@pytest.mark.parametrize(
    "field",
    [
        {"position": (1e12, 0, 0)},
        {"material": Material(density=1e308)},
        {"material": Material(1.0, stiffness=1e308)},
    ],
)
def test_what_float64_cannot_represent_is_refused(field: dict[str, Any]) -> None:
    """A scene whose contacts or forces double precision cannot represent is refused, and the body is named."""
    with pytest.raises(Refused, match="'a'"):
        compile_scene(scene([Body("a", box(30.0), **({"material": Material(density=500.0)} | field))]))
