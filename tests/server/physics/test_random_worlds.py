"""For random scenes and inputs, every state passes the contact check."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.worlds import CATALOGUE, ground, random_turn, scene
from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Body, Handle, Material, Recipe
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Control, HandleTarget

KINDS = st.sampled_from(sorted(CATALOGUE) + ["elastic"] * 6)
SPEEDS = st.tuples(*[st.floats(-15, 15)] * 3)
SPINS = st.tuples(*[st.floats(-30, 30)] * 3)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Body], int]:
    """Up to five bodies of any kind in a column with random turns, and a seed."""
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    bodies = [ground(friction=draw(st.sampled_from([0.0, 0.3, 1.0])))]
    for number, kind in enumerate(draw(st.lists(KINDS, min_size=1, max_size=5))):
        place = (float(rng.uniform(-0.2, 0.2)), 0.5 + 0.7 * number, float(rng.uniform(-0.2, 0.2)))
        handles = (Handle("h", (0, 1)),)
        if kind == "elastic":
            young = draw(st.sampled_from([5e3, 5e4, 1e6]))
            material = Material(
                density=1000.0, stiffness=young, poisson=draw(st.sampled_from([0.0, 0.3, 0.45]))
            )
            shape, mode = Recipe("block", {"size": [0.3, 0.25, 0.35], "cells": [1, 2, 2]}), "elastic"
        else:
            entry = CATALOGUE[kind]
            material = Material(density=entry["density"], stiffness=entry["stiffness"])
            shape, mode = Recipe(entry["kind"], entry["params"]), "affine"
        speed, spin = draw(SPEEDS), draw(SPINS)
        bodies.append(
            Body(
                f"b{number}",
                shape,
                material,
                mode,
                position=place,
                rotation=random_turn(rng),
                velocity=speed,  # type: ignore[arg-type]
                spin=spin,
                handles=handles,
            )
        )
    return bodies, seed


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(worlds())
def test_every_state_passes_the_contact_check(world: tuple[list[Body], int]) -> None:
    """No intersection, inversion or containment after any tick, under kicks, spins, stiff drags and
    removals."""
    bodies, seed = world
    rng = np.random.default_rng(seed)
    try:
        model, state = compile_scene(scene(bodies, dt=float(rng.choice([1 / 30, 1 / 60])), max_iterations=15))
    except Refused:
        return
    count = len(model.body_ids)
    for tick in range(25):
        kicks = {}
        if tick % 6 == 0:
            kick = tuple(rng.normal(size=3) * 8.0)
            kicks = {int(rng.integers(count)): (kick, tuple(rng.normal(size=3) * 20.0))}
        pull = HandleTarget(int(rng.integers(count)), "h", tuple(rng.uniform(-1, 1, size=3)), 5e4, 10.0, 5e3)
        remove = (int(rng.integers(count)),) if tick == 20 else ()
        state, report = step(model, state, Control(velocity_change=kicks, handles=(pull,), remove=remove))
        check = check_contact(model, state)
        assert check.passed, (tick, check)
        assert np.isfinite(report.impulses).all() and report.min_distance > 0


@pytest.mark.parametrize("seed", range(6))
def test_fast_bodies_do_not_tunnel(seed: int) -> None:
    """A body thrown at 100 m/s against a thin obstacle stays on its side."""
    rng = np.random.default_rng(seed)
    entry = CATALOGUE[sorted(CATALOGUE)[seed]]
    wall = Body("wall", Recipe("slab", {"size": [3, 0.01, 3]}), Material(density=1.0), "static")
    body = Body(
        "ball",
        Recipe(entry["kind"], entry["params"]),
        Material(density=entry["density"], stiffness=entry["stiffness"]),
        position=(0, 1, 0),
        rotation=random_turn(rng),
        velocity=(0, -100, 0),
        spin=tuple(rng.normal(size=3) * 20.0),
    )
    model, state = compile_scene(scene([wall, body]))
    for _ in range(10):
        state, _ = step(model, state)
        assert check_contact(model, state).passed
    assert state.q[0, 1] > 0
