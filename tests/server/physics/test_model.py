"""Scenes compile to models, or are refused with the names of the bodies."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.worlds import CATALOGUE, STONE, block, contender, cube, duel, ground, octagon, scene
from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Body, Handle, Pin, Rail, Recipe, Scene
from tussle.server.physics.model import (
    affines,
    body_vertices,
    centres,
    kinetic_energy,
    parking,
    vertices,
)
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.world_state import State


def refusal(scene: Scene) -> str:
    with pytest.raises(Refused) as caught:
        compile_scene(scene)
    assert caught.value.reason == "bad_scene"
    return str(caught.value)


def test_bodies_and_obstacles() -> None:
    """Bodies are numbered in scene order, without the obstacles."""
    model, state = compile_scene(
        scene([cube("one", position=(0, 2, 0)), octagon(), cube("two", position=(1, 2, 0))])
    )
    assert model.body_ids == ("one", "two") and model.static_ids == ("octagon",)
    assert model.body("two") == 1
    assert state.q.shape == (8, 3) and state.active.all() and state.tick == 0
    assert len(model.static_vertices) == 16 and model.static_faces.max() == 15
    with pytest.raises(KeyError):
        model.body("octagon")


def test_masses_agree_with_the_catalogue() -> None:
    """Mass, volume and bounding radius of compiled bodies are the catalogue's."""
    for name, entry in CATALOGUE.items():
        model, _ = compile_scene(scene([contender(name, name, angle=0.0)]))
        assert model.masses[0] == pytest.approx(entry["computed"]["mass"], abs=6e-3)
        assert model.volumes[0] == pytest.approx(entry["computed"]["volume"], abs=6e-6)
        assert model.bounding_radius[0] == pytest.approx(entry["computed"]["bounding_radius"], abs=6e-4)


def test_places_agree() -> None:
    """Vertices, affine maps, centres and surfaces describe the same world, for affine and elastic bodies."""
    turn = (0.9, 0.1, 0.3, -0.2)
    model, state = compile_scene(
        scene([cube("a", position=(0, 1, 0), rotation=turn), block("b", position=(2, 1, 0), rotation=turn)])
    )
    world, maps = vertices(model, state), affines(model, state)
    for body in range(2):
        rest, faces = model.surface(body)
        assert faces.min() == 0 and faces.max() == len(rest) - 1
        rows = slice(model.vertex_offset[body], model.vertex_offset[body + 1])
        assert world[rows] == pytest.approx(rest @ maps[body, :, :3].T + maps[body, :, 3])
        assert world[rows] == pytest.approx(body_vertices(model, state, body))
        assert maps[body, :, :3] @ maps[body, :, :3].T == pytest.approx(np.eye(3))
    assert centres(model, state) == pytest.approx(np.array([[0, 1, 0], [2, 1, 0]]))


def test_spin_and_velocity() -> None:
    """The initial velocity of every vertex is that of a rigid motion, and so is the energy."""
    spin = np.array([0.0, 3.0, 1.0])
    for make in (cube, block):
        model, state = compile_scene(scene([make("a", velocity=(1, 2, 3), spin=tuple(spin))]))
        moved = State(q=state.q + 1e-6 * state.v, v=state.v, active=state.active)
        speed = (vertices(model, moved) - vertices(model, state)) / 1e-6
        assert speed == pytest.approx(np.array([1, 2, 3]) + np.cross(spin, vertices(model, state)), abs=1e-6)
        mass, inertia = model.masses[0], model.masses[0] * 0.3**2 / 6
        rigid = 0.5 * mass * 14 + 0.5 * inertia * 10
        assert kinetic_energy(model, state)[0] == pytest.approx(
            rigid, rel=0 if make is cube else 0.3, abs=1e-9
        )


def test_parking_places_are_apart() -> None:
    """Removed bodies are parked where they meet neither each other nor the world."""
    model, _ = compile_scene(duel())
    first, second = (parking(model, body)[0] for body in range(2))
    assert np.linalg.norm(first - second) > model.bounding_radius.sum()
    assert first[1] < -20


def test_overlap_is_refused() -> None:
    """Bodies that intersect are named."""
    message = refusal(scene([cube("a", position=(0, 1, 0)), cube("b", position=(0.2, 1.1, 0)), cube("c")]))
    assert "'a' and 'b'" in message and "'c'" not in message


def test_overlap_with_an_obstacle_is_refused() -> None:
    """A body that intersects a static obstacle is refused."""
    assert "'a' and 'ground'" in refusal(scene([ground(), cube("a", position=(0, 0.1, 0))]))


def test_containment_is_refused() -> None:
    """A body wholly inside another touches nothing, and is refused."""
    small = Body("pea", Recipe("sphere", {"radius": 0.05}), STONE, position=(0.02, 1, 0))
    assert "'pea' is inside 'pod'" in refusal(scene([cube("pod", position=(0, 1, 0)), small]))
    assert "'pea' is inside 'ground'" in refusal(
        scene([ground(), Body("pea", small.shape, STONE, position=(0, -0.2, 0))])
    )


def test_a_body_in_a_ring_is_not_contained() -> None:
    """A body in the hole of a torus is outside it."""
    ring = Body("ring", Recipe("torus", {"n": 12, "m": 6, "R": 0.3, "r": 0.05}), STONE)
    compile_scene(scene([ring, Body("pea", Recipe("sphere", {"radius": 0.05}), STONE)]))


def test_touching_is_refused() -> None:
    """Two bodies at distance zero have an infinite barrier."""
    assert "'a' and 'b'" in refusal(scene([cube("a"), cube("b", position=(0, 0.3, 0))]))


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (Body("x", Recipe("bowl", {"radius": 1.0}), STONE), "closed"),
        (Body("x", Recipe("gibberish", {}), STONE), "gibberish"),
        (Body("x", Recipe("box", {"size": [1, 1, 1]}), STONE, rotation=(0, 0, 0, 0)), "quaternion"),
        (Body("x", Recipe("box", {"size": [1, 1, 1]}), STONE, pins=(Pin((8,)),)), "pin"),
        (Body("x", Recipe("box", {"size": [1, 1, 1]}), STONE, handles=(Handle("h", (99,)),)), "handle"),
        (Body("x", Recipe("bowl", {"radius": 1.0}), STONE, kind="rail", rail=Rail()), "closed"),
    ],
)
def test_broken_bodies_are_named(body: Body, word: str) -> None:
    """A scene that cannot compile is refused with the name of the body and the reason."""
    message = refusal(scene([body]))
    assert "'x'" in message and word in message


def test_a_body_that_is_not_thicker_than_dhat_is_refused() -> None:
    """The refusal names the body and its thickness; with a smaller dhat the same scene starts."""
    coin = Body("coin", Recipe("box", {"size": [0.2, 0.01, 0.2]}), STONE, position=(0.0, 1.0, 0.0))
    with pytest.raises(Refused, match=r"'coin'.*0\.01 m thick"):
        compile_scene(scene([ground(), coin]))
    compile_scene(scene([ground(), coin], dhat=0.005))
