"""One tick does what mechanics says, for every input."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from tests.support.worlds import CUBE, RUBBER, block, cube, duel, ground, random_turn, scene
from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Body, Handle, Material, Pin, Rail, Recipe, Scene
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.model import Model, centres, kinetic_energy, parking, vertices
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Control, HandleTarget, State, StepReport

EXACT: dict[str, Any] = {"tolerance": 1e-4, "max_iterations": 100}
"""Options of a scene whose steps converge much further than with the defaults."""


def run(
    scene: Scene, ticks: int, control: Control | None = None
) -> tuple[Model, list[State], list[StepReport]]:
    """All states of a run, the first included, and the reports. Every state passes the contact check."""
    model, state = compile_scene(scene)
    states, reports = [state], []
    for _ in range(ticks):
        state, report = step(model, state, control or Control())
        states.append(state)
        reports.append(report)
    assert all(check_contact(model, s).passed for s in states[:: max(1, ticks // 20)])
    return model, states, reports


def momentum(model: Model, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Linear [kg m/s] and angular momentum [kg m^2/s] about the origin."""
    linear, angular = np.zeros(3), np.zeros(3)
    for body, kind in enumerate(model.kinds):
        rows = slice(model.node_offset[body], model.node_offset[body + 1])
        if kind == "elastic":
            carried = model.tables.node_mass[rows, None] * state.v[rows]
            linear += carried.sum(axis=0)
        else:
            carried = model.tables.mass[body] @ state.v[rows]
            linear += carried[0]
        angular += np.cross(state.q[rows], carried).sum(axis=0)
    return linear, angular


@pytest.mark.parametrize(("make", "bound"), [(cube, 1e-7), (block, 4e-5)])
def test_free_fall(make: Any, bound: float) -> None:
    """A thrown body follows the recurrence of the implicit Euler method."""
    model, states, _ = run(scene([make("a", position=(0, 10, 0), velocity=(1, 2, 0))]), 60)
    h, n = 1 / 60, 60
    expected = np.array([1.0, 10 + 2 - 9.81 * h * h * n * (n + 1) / 2, 0.0])
    assert centres(model, states[-1])[0] == pytest.approx(expected, abs=bound)


def test_arguments_are_not_changed() -> None:
    """A step leaves state and control as they were."""
    model, state = compile_scene(duel())
    control = Control(drag=np.array([0.1, 0.2]), velocity_change={0: ((1, 1, 0), (0, 5, 0))}, remove=(1,))
    before = (state.q.copy(), state.v.copy(), state.active.copy(), control.drag.copy())  # type: ignore[union-attr]
    after, _ = step(model, state, control)
    assert (state.q == before[0]).all() and (state.v == before[1]).all() and (state.active == before[2]).all()
    assert (control.drag == before[3]).all()
    assert after.tick == 1 and not after.active[1] and state.tick == 0


def test_momentum_in_a_collision() -> None:
    """Linear momentum is kept to 1e-10, angular momentum to a tenth, and the kinetic energy never grows.

    Implicit Euler turns the velocity of a body by h v1 x m v0 in one step of a blow, either way.
    """
    rng = np.random.default_rng(1)
    bodies = [
        cube("a", position=(-0.5, 0.05, 0), velocity=(1, 0, 0), rotation=random_turn(rng)),
        cube("b", position=(0.1, 0, 0.03), velocity=(-0.5, 0, 0), rotation=random_turn(rng)),
    ]
    model, states, reports = run(scene(bodies, gravity=(0, 0, 0), **EXACT), 60)
    before, after = momentum(model, states[0]), momentum(model, states[-1])
    assert max(r.contacts for r in reports) > 0
    assert np.linalg.norm(after[0] - before[0]) < 1e-10 * np.linalg.norm(before[0])
    assert np.linalg.norm(after[1] - before[1]) < 0.1 * np.linalg.norm(before[1])
    energy = [float(kinetic_energy(model, s).sum()) for s in states]
    assert max(energy) <= energy[0] * (1 + 1e-9)


def test_a_spinning_body_loses_little_angular_momentum() -> None:
    """In one second of free spin at most a tenth is lost, nothing gained, and the kinetic energy never
    grows."""
    model, states, _ = run(scene([cube("a", spin=(0.4, 2.0, 0.0))], gravity=(0, 0, 0), **EXACT), 60)
    spin = [float(np.linalg.norm(momentum(model, s)[1])) for s in states]
    energy = [r for s in states for r in kinetic_energy(model, s)]
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(spin))
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(energy))
    assert spin[-1] > 0.9 * spin[0]


def sloped(degrees: float) -> Scene:
    """A cube on a slope, mu = 0.5; degrees above the critical angle. The gravity is tilted, not the
    ground."""
    angle = math.atan(0.5) + math.radians(degrees)
    gravity = (9.81 * math.sin(angle), -9.81 * math.cos(angle), 0.0)
    bodies = [
        ground(friction=0.5, size=12.0),
        cube("a", position=(-4.0, 0.155, 0), material=Material(density=500.0, stiffness=4e6, friction=0.5)),
    ]
    return scene(bodies, gravity=gravity, friction_speed=1e-3, **EXACT)


def test_above_the_critical_slope_it_slides() -> None:
    """Two degrees above, the acceleration after settling is g (sin - mu cos) within 1 %."""
    _model, states, _ = run(sloped(2.0), 120)
    gained = states[120].v[0, 0] - states[60].v[0, 0]
    angle = math.atan(0.5) + math.radians(2.0)
    assert gained == pytest.approx(9.81 * (math.sin(angle) - 0.5 * math.cos(angle)), rel=0.01)


def test_below_the_critical_slope_it_sticks() -> None:
    """Two degrees below, it creeps slower than friction_speed."""
    _, states, _ = run(sloped(-2.0), 120)
    assert abs(states[120].v[0, 0]) < 1e-3
    assert np.abs(states[120].q[0, 0] - states[60].q[0, 0]) < 1e-3


def test_a_stack_of_bodies_rests() -> None:
    """Eight cubes on one another drift less than 1e-4 m sideways in five seconds."""
    bodies = [ground(), *[cube(f"c{i}", position=(0, 0.155 + 0.31 * i, 0)) for i in range(8)]]
    model, states, _ = run(scene(bodies, tolerance=1e-3, max_iterations=60), 300)
    drift = np.abs(centres(model, states[-1]) - centres(model, states[0]))[:, [0, 2]]
    assert drift.max() < 1e-4
    assert np.abs(states[-1].v).max() < 0.01


def test_impulse_of_a_resting_body() -> None:
    """At rest, the ground's impulse is the weight times dt, at the middle of the body's base."""
    _, _, reports = run(scene([ground(), cube("a", position=(0.2, 0.155, 0.1))], **EXACT), 90)
    report = reports[-1]
    assert report.impulses[0, 1] == pytest.approx([0, 13.5 * 9.81 / 60, 0], abs=0.02)
    assert report.impulses[1, 0] == pytest.approx(-report.impulses[0, 1])
    assert report.points[0, 1] == pytest.approx([0.2, 0.0, 0.1], abs=0.02)
    assert np.isnan(report.points[0, 0]).all()
    assert 0 < report.min_distance < 0.01 and report.contacts > 0


def test_impulse_of_a_blow_is_the_momentum_exchanged() -> None:
    """Summed over the ticks, the impulse from one body on another changes its momentum."""
    bodies = [cube("a", position=(-0.5, 0, 0), velocity=(2, 0, 0)), cube("b", rotation=(0.9, 0.2, 0.3, 0.1))]
    frictionless = Material(density=500.0, stiffness=4e6, friction=0.0)
    bodies = [
        Body(b.id, CUBE, frictionless, position=b.position, rotation=b.rotation, velocity=b.velocity)
        for b in bodies
    ]
    _, states, reports = run(scene(bodies, gravity=(0, 0, 0), tolerance=1e-6, max_iterations=200), 40)
    total = sum(r.impulses[1, 0] for r in reports)
    assert 13.5 * (states[-1].v[4] - states[0].v[4]) == pytest.approx(total, rel=1e-3, abs=1e-3)
    assert np.linalg.norm(total) > 5


def test_far_away_nothing_is_reported() -> None:
    """Without contact the smallest distance is infinite and every impulse zero."""
    _, _, reports = run(scene([ground(), cube("a", position=(0, 5, 0))]), 1)
    assert reports[0].min_distance == math.inf and reports[0].contacts == 0 and not reports[0].impulses.any()


def test_velocity_change_drag_and_halt() -> None:
    """A kick adds to every velocity, drag is exponential, and halt ends in a standstill."""
    model, state = compile_scene(scene([cube("a"), block("b", position=(1, 0, 0))], gravity=(0, 0, 0)))
    kick = Control(
        velocity_change={0: ((1, 0, 0), (0, 2, 0)), 1: ((0, 1, 0), (0, 0, 0))}, drag=np.array([6.0, 0.0])
    )
    after, report = step(model, state, kick)
    assert after.v[0] == pytest.approx([math.exp(-0.1), 0, 0], abs=1e-9)
    assert after.v[1] == pytest.approx(np.array([0, 0, -2]) * math.exp(-0.1), abs=0.05)
    assert after.v[4:] == pytest.approx(np.tile([0, 1, 0], (27, 1)), abs=1e-4)
    assert report.kinetic > 0
    after, report = step(model, after, Control(halt=True))
    assert not after.v.any() and report.kinetic == 0.0


def test_material_damping() -> None:
    """A damped material slows by exp(-damping dt) a tick."""
    thick = Material(density=500.0, stiffness=4e6, damping=3.0)
    _, states, _ = run(scene([cube("a", material=thick, velocity=(1, 0, 0))], gravity=(0, 0, 0)), 60)
    assert states[-1].v[0, 0] == pytest.approx(math.exp(-3.0), rel=1e-6)


def test_removed_bodies_take_no_part() -> None:
    """A removed body is parked, keeps its place, and the body above it falls."""
    model, state = compile_scene(
        scene([ground(), cube("a", position=(0, 0.155, 0)), cube("b", position=(0, 0.47, 0))])
    )
    for _ in range(30):
        state, report = step(model, state)
    assert report.impulses[1, 0, 1] > 0
    state, report = step(model, state, Control(remove=(0,)))
    assert not state.active[0] and state.q[:4] == pytest.approx(parking(model, 0))
    assert not report.impulses[0].any()
    for _ in range(60):
        state, report = step(model, state)
    assert centres(model, state)[1, 1] < 0.17 and state.q[:4] == pytest.approx(parking(model, 0))
    again, _ = step(model, state, Control(remove=(0, 1), velocity_change={0: ((9, 9, 9), (0, 0, 0))}))
    assert not again.active.any() and not again.v.any()


def test_a_handle_never_exceeds_its_force() -> None:
    """However far the target, the pull is at most the limit; near the target it is a damped spring."""
    body = cube("a", handles=(Handle("middle", tuple(range(8))),))
    model, state = compile_scene(scene([body], gravity=(0, 0, 0)))
    pull = HandleTarget(0, "middle", (1e6, 0.0, 0.0), 1e5, 10.0, 27.0)
    after, _ = step(model, state, Control(handles=(pull,)))
    assert after.v[0] == pytest.approx([27.0 / 13.5 / 60, 0, 0], rel=1e-6)
    for _ in range(300):
        state, _ = step(
            model, state, Control(handles=(HandleTarget(0, "middle", (0.5, 0.2, 0.0), 500.0, 150.0, 1e3),))
        )
    assert centres(model, state)[0] == pytest.approx([0.5, 0.2, 0.0], abs=1e-3)


def test_an_elastic_handle_drags() -> None:
    """A handle of an elastic body moves it, and inverts nothing at any stiffness."""
    body = block("a", handles=(Handle("corner", (0, 1)),))
    model, state = compile_scene(scene([body], gravity=(0, 0, 0)))
    for _ in range(30):
        state, _ = step(model, state, Control(handles=(HandleTarget(0, "corner", (5, 5, 5), 1e7, 0.0, 2e3),)))
        assert check_contact(model, state).passed
    assert centres(model, state)[0, 0] > 0.5


@pytest.mark.parametrize("make", [cube, block])
def test_pins_hold(make: Any) -> None:
    """Pinned vertices stay where the scene puts them; a body pinned whole does not move at all."""
    pinned, state = compile_scene(
        scene([make("a", pins=(Pin((0,)),)), make("b", position=(1, 0, 0), pins=(Pin(),))])
    )
    place = vertices(pinned, state)
    for _ in range(60):
        state, _ = step(pinned, state)
    now = vertices(pinned, state)
    assert now[0] == pytest.approx(place[0], abs=2e-6)
    assert now[len(now) // 2 :] == pytest.approx(place[len(now) // 2 :], abs=0)
    assert centres(pinned, state)[0, 1] < -0.02


def test_a_rail_moves_and_carries() -> None:
    """An obstacle on a rail follows its course and lifts what lies on it."""
    rail = Rail(amplitude=(0, 0.3, 0), frequency=0.5)
    lift = Body("lift", Recipe("box", {"size": [1, 0.2, 1]}), Material(density=1e3), "rail", rail=rail)
    _model, states, _reports = run(scene([lift, cube("a", position=(0, 0.255, 0))]), 60)
    for tick in (30, 60):
        height = 0.3 * math.sin(math.pi * tick / 60)
        assert states[tick].q[0] == pytest.approx([0, height, 0], abs=1e-4)
    assert states[30].q[4, 1] == pytest.approx(0.3 + 0.255, abs=0.02)


def test_a_rail_does_not_crush() -> None:
    """A press that would crush a body against the ground stalls instead of passing through."""
    rail = Rail(amplitude=(0, -0.5, 0), frequency=0.5)
    press = Body(
        "press",
        Recipe("box", {"size": [1, 0.2, 1]}),
        Material(density=1e3),
        "rail",
        position=(0, 0.6, 0),
        rail=rail,
    )
    model, states, _ = run(scene([ground(), press, cube("a", position=(0, 0.155, 0))]), 60)
    assert all(check_contact(model, s).passed for s in states)


def test_a_spinning_rail() -> None:
    """A rail turns about its axis at its rate, and drags what lies on it along by friction."""
    plate = Body(
        "plate", Recipe("box", {"size": [1, 0.1, 1]}), Material(density=1e3), "rail", rail=Rail(spin=1.0)
    )
    _, states, _ = run(scene([plate, cube("a", position=(0.2, 0.205, 0))]), 60)
    assert states[60].q[1] == pytest.approx([math.cos(1.0), 0, -math.sin(1.0)], abs=1e-4)
    assert states[60].q[4, 2] < -0.1


@pytest.mark.parametrize("cells", [2, 4, 6])
def test_cantilever(cells: int) -> None:
    """A clamped beam sags towards Euler-Bernoulli as it is refined, and reaches 0.9 at six cells."""
    assert deflection(cells) > {2: 0.35, 4: 0.7, 6: 0.9}[cells]


def test_cantilever_is_monotone() -> None:
    """Refinement only softens the beam, and never beyond the analytic deflection."""
    assert deflection(2) < deflection(4) < deflection(6) < 1.02


def deflection(cells: int) -> float:
    """The tip of a beam of 1 x 0.125 x 0.125 m under its weight, as a share of rho g h^2 L^4 / (8 E I), nu =
    0."""
    if cells in DEFLECTIONS:
        return DEFLECTIONS[cells]
    beam = Recipe("block", {"size": [1.0, 0.125, 0.125], "cells": [8 * cells, cells, cells]})
    material = Material(density=1000.0, stiffness=5e7, poisson=0.0)
    clamped = tuple(range((cells + 1) ** 2))
    body = Body("beam", beam, material, "elastic", pins=(Pin(clamped),))
    model, state = compile_scene(scene([body], dt=0.1, tolerance=1e-7, max_iterations=40))
    start = state.q.copy()
    for _ in range(4):
        state, _ = step(model, state, Control(halt=True), dt=10.0)
    tip = -(state.q - start)[start[:, 0] > 0.5 - 1e-9, 1].mean()
    inertia = 0.125**4 / 12
    DEFLECTIONS[cells] = float(tip / (1000 * 0.125**2 * 9.81 / (8 * 5e7 * inertia)))
    return DEFLECTIONS[cells]


DEFLECTIONS: dict[int, float] = {}


def test_elastic_momentum() -> None:
    """Two elastic bodies in collision keep linear momentum to 1e-10 and gain no energy; angular momentum
    to a tenth."""
    bodies = [
        block("a", position=(-0.5, 0.05, 0), velocity=(2, 0, 0), rotation=(0.9, 0.1, 0.2, 0.3)),
        block("b", velocity=(-1, 0, 0)),
    ]
    model, states, reports = run(scene(bodies, gravity=(0, 0, 0), dt=1 / 240, **EXACT), 160)
    before, after = momentum(model, states[0]), momentum(model, states[-1])
    assert max(r.contacts for r in reports) > 0
    assert np.linalg.norm(after[0] - before[0]) < 1e-10 * np.linalg.norm(before[0])
    assert np.linalg.norm(after[1] - before[1]) < 0.1 * np.linalg.norm(before[1])
    energy = [
        float(kinetic_energy(model, s).sum()) + r.elastic for s, r in zip(states[1:], reports, strict=True)
    ]
    assert all(b <= a * (1 + 1e-6) for a, b in itertools.pairwise(energy))


def test_a_soft_body_rests() -> None:
    """An elastic cube dropped on the ground squashes, comes to rest and carries its weight."""
    soft = Material(density=RUBBER.density, stiffness=3e4, poisson=0.4, damping=2.0)
    _model, states, reports = run(scene([ground(), block("a", position=(0, 0.3, 0), material=soft)]), 180)
    assert np.abs(states[-1].v).max() < 0.05
    assert reports[-1].impulses[0, 1, 1] == pytest.approx(27 * 9.81 / 60, rel=0.05)
    assert reports[-1].elastic > 0


@pytest.mark.parametrize(
    "control",
    [
        Control(remove=(2,)),
        Control(velocity_change={-1: ((0, 0, 0), (0, 0, 0))}),
        Control(velocity_change={0: ((math.nan, 0, 0), (0, 0, 0))}),
        Control(drag=np.zeros(3)),
        Control(drag=np.array([math.inf, 0])),
        Control(handles=(HandleTarget(0, "nose", (0, 0, 0), 1.0, 1.0, 1.0),)),
    ],
)
def test_impossible_controls_are_refused(control: Control) -> None:
    """A control that names what is not there, or holds no numbers, is refused before anything happens."""
    model, state = compile_scene(duel())
    with pytest.raises(Refused) as caught:
        step(model, state, control)
    assert caught.value.reason == "bad_control"
