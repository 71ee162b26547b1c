"""Defaults that are right at the extremes: slopes at any scale, heavy, soft and fast bodies, tall stacks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.support.worlds import scene
from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene
from tussle.lobby.rules.templates import make_template
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.model import Model, centres, vertices
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import ITERATIONS_SHARE, step
from tussle.server.physics.substeps import SUBSTEPS_MAX, half_width, plan_tick
from tussle.server.physics.world_state import State

TURNED = (0.95, 0.1, 0.2, 0.05)


def box(name: str, size: float, *, kind: Any = "affine", high: float = 1.0, **options: Any) -> Body:
    """A box, ``high`` times as high as it is wide; material options are those of stone unless given."""
    material = {"density": 1000.0, "stiffness": 5e7, "friction": 0.5}
    material |= {key: options.pop(key) for key in tuple(options) if key in material}
    return Body(
        name, Recipe("box", {"size": [size, high * size, size]}), Material(**material), kind, **options
    )


def floor(size: float = 20.0, friction: float = 0.5) -> Body:
    shape = Recipe("slab", {"size": [size, 1.0, size]})
    return Body("floor", shape, Material(density=1000.0, friction=friction), "static")


def run(document: Scene, ticks: int) -> tuple[Model, list[State]]:
    model, state = compile_scene(document)
    states = [state]
    for _ in range(ticks):
        states.append(step(model, states[-1])[0])
    return model, states


@pytest.mark.parametrize("dt", [1 / 240, 1 / 60, 1 / 30])
@pytest.mark.parametrize("dhat", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("kind", ["affine", "elastic"])
def test_a_body_slides_down_a_slope_as_coulomb_says_by_default(kind: str, dhat: float, dt: float) -> None:
    """Mu 0.5 at 45 degrees: g (sin - mu cos). It did not move at a dhat of 1 mm."""
    push = 9.81 * math.sqrt(0.5)
    shape = Recipe("box", {"size": [0.4, 0.2, 0.4]})
    if kind == "elastic":
        shape = Recipe("block", {"size": [0.4, 0.2, 0.4], "cells": [2, 1, 2]})
    made = Material(density=1000.0, stiffness=5e7 if kind == "affine" else 1e7, friction=0.5)
    body = Body("a", shape, made, kind, position=(0.0, 0.1 + 0.6 * dhat, 0.0))  # type: ignore[arg-type]
    world = scene([floor(100.0), body], gravity=(push, -push, 0.0), dt=dt, dhat=dhat)
    ticks = round(0.25 / dt)
    model, states = run(world, 2 * ticks)
    speeds = [
        centres(model, after)[0, 0] - centres(model, before)[0, 0]
        for before, after in (states[ticks - 1 : ticks + 1], states[-2:])
    ]
    assert (speeds[1] - speeds[0]) / (ticks * dt * dt) == pytest.approx(0.5 * push, rel=0.02)


def test_a_body_spins_on_ice_as_implicit_euler_says() -> None:
    """An affine step loses the share of 1 / sqrt(1 / w^2 + 2 dt T) of the spin in the time T."""
    shape = Recipe("lathe", {"profile": [[0.15, -0.05], [0.15, 0.05]], "n": 16})
    made = Material(density=1000.0, stiffness=5e7, friction=0.0)
    top = Body("top", shape, made, position=(0, 0.06, 0), spin=(0, 3.0, 0), velocity=(1.0, 0.0, 0.0))
    for speed in (0.0, 0.05):
        model, states = run(scene([floor(friction=0.0), top], friction_speed=speed), 60)
        spins = [
            np.linalg.norm(np.einsum("ij,jkl->kl", m := model.tables.mass[0, 1:, 1:], q[1:, :, None] * v[1:, None, :])
                           - np.einsum("ij,jkl->kl", m, v[1:, :, None] * q[1:, None, :]))
            for q, v in ((one.q, one.v) for one in (states[0], states[-1]))
        ]  # fmt: skip
        assert spins[1] / spins[0] == pytest.approx(1 / math.sqrt(1 / 9 + 1 / 30) / 3, rel=0.01)


@pytest.mark.parametrize(("size", "density"), [(50.0, 1e3), (0.3, 1e8), (0.3, 1e10)])
def test_a_heavy_body_stays_above_the_floor(size: float, density: float) -> None:
    """The barrier is made for the mass of the body. One for 15 kg let a cube of 50 m through."""
    heavy = box("heavy", size, density=density, position=(0, size + 0.02, 0), rotation=TURNED)
    model, states = run(scene([floor(20 * size), heavy]), 330 if size > 1.0 else 60)
    assert min(vertices(model, state)[:, 1].min() for state in states) > 1e-4
    assert check_contact(model, states[-1]).passed


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"dhat": 1e-4, "position": (1e5, 1.0, 0.0)}, "dhat"),
        ({"density": 1e13, "position": (0.0, 1.0, 0.0)}, "density"),
    ],
)
def test_a_scene_that_doubles_cannot_represent_is_refused(options: dict[str, Any], field: str) -> None:
    dhat = options.pop("dhat", 0.01)
    world = scene([floor(), box("a", 0.2, **options), box("b", 0.2, position=(2.0, 1.0, 0.0))], dhat=dhat)
    with pytest.raises(Refused) as refused:
        compile_scene(world)
    assert (refused.value.reason, refused.value.field) == ("bad_scene", field)


@pytest.mark.parametrize("speed", [10.0, 30.0])
def test_a_soft_body_that_is_thrown_hard_recovers(speed: float) -> None:
    """Stiffness 1e4: without an energy that is infinite at no volume it was pressed to a singular value of 1e-19."""
    soft = box("soft", 0.2, stiffness=1e4, position=(0, 0.5, 0), velocity=(speed, -speed, 0), rotation=TURNED)
    _, states = run(scene([floor(), soft]), 60)
    least = [np.linalg.svd(state.q[1:4])[1].min() for state in states]
    assert min(least) > 0.05
    assert least[-1] > 0.95
    assert all(np.linalg.det(state.q[1:4]) > 0.0 for state in states)


@pytest.mark.parametrize("speed", [5.0, 8.0, 20.0])
def test_fast_boxes_do_not_end_on_the_far_side_of_each_other(speed: float) -> None:
    """They stop each other. In one step of 1/60 s the iterates walked around."""
    away = max(1.0, speed / 20) - 0.37 * speed / 60
    boxes = [
        box("a", 0.1, position=(-away, 0.01, 0), velocity=(speed, 0, 0)),
        box("b", 0.1, position=(away, 0, 0), velocity=(-speed, 0, 0)),
    ]
    model, states = run(scene(boxes, gravity=(0, 0, 0)), math.ceil(60 * away / speed) + 5)
    assert all(centres(model, state)[1, 0] - centres(model, state)[0, 0] > 0.05 for state in states)
    assert np.abs(states[-1].v[::4, 0]).max() < 0.1 * speed


@pytest.mark.parametrize("aside", [0.0, 0.02])
def test_a_fast_box_does_not_pass_a_post(aside: float) -> None:
    post = Body("post", Recipe("box", {"size": [0.1, 2.0, 0.1]}), Material(density=1.0), "static")
    fast = box("fast", 0.1, position=(-1.0, 0.01, aside), velocity=(20.0, 0, 0))
    model, states = run(scene([post, fast], gravity=(0, 0, 0)), 8)
    assert all(centres(model, state)[0, 0] < 0.0 for state in states)


def test_a_fast_body_slides_on() -> None:
    """Substeps on the ground need their own iterations. With those of one step they took nearly all its speed."""
    fast = box("fast", 0.3, position=(0, 0.158, 0), velocity=(60.0, 0, 0))
    _, states = run(scene([floor(100.0), fast]), 20)
    assert states[-1].v[0, 0] == pytest.approx(60.0 - 0.5 * 9.81 / 3, rel=2e-3)


def test_the_substeps_and_the_work_of_a_tick_have_a_bound() -> None:
    world = scene([floor(), box("a", 0.1, position=(0, 0.1, 0), velocity=(0, -1e3, 0))], max_iterations=12)
    model, state = compile_scene(world)

    def plan(speed: float) -> int:
        predicted = state.q.copy()
        predicted[0, 1] -= speed / 60
        substeps, _ = plan_tick(
            model.tables.kind, model.tables.node_start, state.active, state.q, predicted, np.zeros(1),
            model.bounding_radius, model.half_widths, model.static_low, model.static_high,
        )  # fmt: skip
        return int(substeps)

    assert [plan(speed) for speed in (0.0, 2.9, 3.1, 8.9, 1e3, 1e300)] == [
        1,
        1,
        2,
        3,
        SUBSTEPS_MAX,
        SUBSTEPS_MAX,
    ]
    after, report = step(model, state)
    assert 12 < report.iterations <= 12 * ITERATIONS_SHARE
    assert vertices(model, after)[:, 1].min() > 0.0


def test_impulses_of_substeps_add_up() -> None:
    """A box that the floor stops in one tick: the floor gives it its momentum, at the point where they meet."""
    fast = box("a", 0.1, position=(0.3, 0.1, 0), velocity=(0, -10.0, 0))
    world = scene([floor(), fast], gravity=(0, 0, 0), max_iterations=200)
    model, state = compile_scene(world)
    total = np.zeros(3)
    for _ in range(3):
        before = state
        state, report = step(model, state)
        change = model.masses[0] * (state.v[0] - before.v[0])
        assert report.impulses[0, 1] == pytest.approx(change, abs=0.05)
        assert report.impulses[1, 0] == pytest.approx(-report.impulses[0, 1])
        total += report.impulses[0, 1]
        if report.impulses[0, 1, 1] > 1.0:
            assert report.points[0, 1] == pytest.approx([0.3, 0.0, 0.0], abs=0.06)
    assert total[1] > 10.0


def test_the_half_width_is_that_of_the_thinnest_direction() -> None:
    corners = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-0.2, 0.2) for z in (-0.5, 0.5)])
    c, s = math.cos(math.pi / 4), math.sin(math.pi / 4)
    turned = corners @ np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    assert half_width(corners) == pytest.approx(0.2)
    assert half_width(turned) == pytest.approx(0.2)


@pytest.mark.parametrize("size", [0.1, 1.0])
def test_ten_cubes_stand_on_one_another(size: float) -> None:
    """Ten aligned cubes, for the first seconds; a column that buckles grows hundredfold in four. Creep < 1 mm/s."""
    rise = size + 0.0085
    cubes = [box(f"c{n}", size, position=(1e-5 * n, n * rise + rise - size / 2, 0)) for n in range(10)]
    model, states = run(scene([floor(), *cubes]), 480)
    start, end = (centres(model, states[n])[:, [0, 2]] for n in (120, 480))
    assert np.abs(end - start).max() < 2e-4
    assert np.abs(states[-1].v[::4]).max() < 1e-3


def test_a_card_house_keeps_its_shape_with_the_defaults() -> None:
    house = make_template("card-house").scene
    model, states = run(scene(house.bodies, dhat=house.dhat), 240)
    assert centres(model, states[-1])[-1, 1] == pytest.approx(centres(model, states[60])[-1, 1], abs=1e-3)
    assert np.abs(states[-1].v[::4]).max() < 1e-3
