"""A thousand steps of hard blows in a bowl: every state passes the contact check."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from bench.physics.torture import run, torture_scenes
from tests.support.worlds import random_turn, scene
from tussle.lobby.rules.scenes import Body, Handle, Material, Recipe
from tussle.server.physics import solver
from tussle.server.physics.contact_check import check_contact, is_path_free
from tussle.server.physics.model import vertices
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Control, HandleTarget

STEPS = 1000
BODIES = 8


def torture_world() -> list[Body]:
    """Four affine and four elastic bodies above a bowl, each with a handle."""
    rng = np.random.default_rng(3)
    stone = Material(density=1000.0, stiffness=1e7, friction=0.3)
    jelly = Material(density=1000.0, stiffness=3e4, poisson=0.4, friction=0.3)
    bodies = [Body("bowl", Recipe("bowl", {"radius": 1.2}), Material(density=1.0, friction=0.3), "static")]
    for k in range(BODIES):
        side = (k % 2 - 0.5) * 0.6
        hard = k < BODIES // 2
        shape = (
            Recipe("box", {"size": [0.3] * 3})
            if hard
            else Recipe("block", {"size": [0.3] * 3, "cells": [2, 2, 2]})
        )
        bodies.append(
            Body(
                f"b{k}",
                shape,
                stone if hard else jelly,
                "affine" if hard else "elastic",
                position=(side, 0.7 + 0.5 * (k // 2), side if hard else -side),
                rotation=random_turn(rng),
                handles=(Handle("corner", (0,)),),
            )
        )
    return bodies


def test_torture() -> None:
    """Blows of up to 12 m/s and stiff drags: no intersection, no inversion, nothing leaves through the bowl."""
    rng = np.random.default_rng(4)
    model, state = compile_scene(
        scene(
            torture_world(),
            dt=1 / 30,
            dhat=5e-3,
            friction_speed=0.01,
            tolerance=0.05,
            max_iterations=12,
            contact_mass=27,
        )
    )
    handles: tuple[HandleTarget, ...] = ()
    capped = 0
    for tick in range(STEPS):
        kicks = {}
        if tick % 25 == 0:
            x, y, z = (float(c) for c in rng.normal(size=3) * 6.0)
            kicks = {int(rng.integers(BODIES)): ((x, -abs(y), z), (0.0, 0.0, 0.0))}
        if tick % 40 == 0:
            target = tuple(float(c) for c in rng.uniform((-0.5, 0.2, -0.5), (0.5, 1.2, 0.5)))
            body = int(rng.integers(BODIES))
            handles = (HandleTarget(body, "corner", target, 2e4, 0.0, 2e3),)  # type: ignore[arg-type]
        if tick % 40 == 20:
            handles = ()
        state, report = step(model, state, Control(velocity_change=kicks, handles=handles))
        capped += not report.converged
        check = check_contact(model, state)
        assert check.passed, (tick, check)
        assert report.min_distance > 0
    assert not escaped(vertices(model, state))
    assert capped < STEPS / 2


@pytest.mark.parametrize("name", [name for name, _, _ in torture_scenes() if "balls" not in name])
def test_points_and_edges_converge(name: str) -> None:
    """Spikes, wedges and crossed edges that meet at a point: nearly every tick ends before the iteration limit.

    bench/physics/torture.py prints the table.
    """
    world, ticks = next((world, ticks) for other, world, ticks in torture_scenes() if other == name)
    capped, _, broken, _ = run(world, ticks)
    assert broken == 0 and capped <= 1


def escaped(places: np.ndarray) -> bool:
    """Whether a vertex is below the bowl's sheet while inside its rim."""
    inside = (np.linalg.norm(places[:, [0, 2]], axis=1) < 1.0) & (places[:, 1] < 1.0)
    return bool((np.linalg.norm(places[inside] - [0.0, 1.2, 0.0], axis=1) > 1.2).any())


def test_every_line_search_segment_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step cut to one iteration moves along two segments, the way to the guess and the direction: tight-inclusion CCD
    finds every one of them free."""
    monkeypatch.setattr(solver, "count_substeps", lambda *_: 1)
    rng = np.random.default_rng(5)
    model, state = compile_scene(
        scene(torture_world(), dt=1 / 30, dhat=5e-3, max_iterations=1, contact_mass=27)
    )
    guess = replace(model, scene=msgspec.structs.replace(model.scene, max_iterations=0))
    free = bent = 0
    for tick in range(150):
        kick = (
            {int(rng.integers(BODIES)): (tuple(rng.normal(size=3) * 4.0), (0.0, 0.0, 0.0))}
            if tick % 10 == 0
            else {}
        )
        between, report = step(guess, state, Control(velocity_change=kick))
        assert report.iterations == 0
        after, _ = step(model, state, Control(velocity_change=kick))
        free += is_path_free(model, state, between, tolerance=1e-9)
        free += is_path_free(model, between, after, tolerance=1e-9)
        bent += not np.array_equal(between.q, after.q) and not np.array_equal(between.q, state.q)
        state = after
    assert free == 300 and bent > 50
