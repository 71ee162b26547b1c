"""What is said of a scene before it starts is what happens when it starts."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Body, Material, Pin, Recipe, Scene, encode_scene
from tussle.lobby.wire.frames import decode_topology
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.simulation.scene_check import check_scene, make_shape

pytestmark = pytest.mark.timeout(300)

STONE = Material(density=500.0)
CUBE = Recipe("box", {"size": [0.4, 0.4, 0.4]})
FLOOR = Body("floor", Recipe("slab", {"size": [8, 0.3, 8]}), STONE, "static")


def at(name: str, x: float, y: float = 0.25, **more: Any) -> Body:
    return Body(name, more.pop("shape", CUBE), STONE, position=(x, y, 0.0), **more)


def test_a_sound_scene_is_ok() -> None:
    """The smallest gap is the true one, also beyond dhat; beyond ten times dhat it is not named."""
    found = check_scene(encode_scene(Scene(bodies=(FLOOR, at("a", 0.0, 0.26), at("b", 0.43, 0.5)))))
    assert (found.ok, found.overlaps, found.problems, found.vertices) == (True, [], [], 24)
    assert found.smallest_gap == pytest.approx(0.03, abs=1e-9)
    assert check_scene(encode_scene(Scene(bodies=(FLOOR, at("a", 0.0, 1.0))))).smallest_gap is None


def test_bodies_that_overlap_are_named() -> None:
    """Pairs that intersect, that touch and that contain one another are named, and no other."""
    inner = at("inner", 0.0, 1.0, shape=Recipe("box", {"size": [0.1, 0.1, 0.1]}))
    bodies = (FLOOR, at("a", 0.0, 1.0), inner, at("b", 2.0), at("c", 2.3), at("d", -2.0, 0.1), at("e", -3.0))
    found = check_scene(encode_scene(Scene(bodies=bodies)))
    assert not found.ok
    assert {frozenset(pair) for pair in found.overlaps} == {
        frozenset(pair) for pair in (("inner", "a"), ("b", "c"), ("d", "floor"))
    }
    touching = check_scene(encode_scene(Scene(bodies=(FLOOR, at("a", 0.0, 0.2)))))
    assert {frozenset(pair) for pair in touching.overlaps} == {frozenset(("a", "floor"))}


def test_many_bodies_in_one_place_are_bounded() -> None:
    """A hundred bodies in one place name 64 pairs, and starting them names five."""
    scene = Scene(bodies=tuple(at(f"b{n}", 0.001 * n) for n in range(100)))
    assert len(check_scene(encode_scene(scene)).overlaps) == 64
    with pytest.raises(Refused, match=r"bodies intersect: ('b0' and 'b\d+'(; )?){5}$"):
        compile_scene(scene)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (at("x", 9.0, shape=Recipe("bowl", {"radius": 0.3})), "bad_scene", "shape"),
        (
            at("x", 9.0, shape=Recipe("sphere", {"radius": 0.2, "level": 7})),
            "too_many_vertices",
            "shape.params",
        ),
        (at("x", 9.0, shape=Recipe("sphere", {"radius": 0.0})), "bad_scene", "shape.params"),
        (at("x", 9.0, shape=Recipe("sphere", {"radius": 1e200})), "bad_scene", "shape.params"),
        (at("x", 9.0, shape=Recipe("sphere", {"radius": 0.01, "level": 3})), "bad_scene", "shape"),
        (at("x", 9.0, shape=Recipe("box", {"size": [9000, 1, 1]})), "bad_scene", "position"),
        (at("x", 9.0, shape=Recipe("mesh", {"sha256": "0" * 64})), "unknown_mesh", "shape.params"),
        (at("x", 9.0, pins=(Pin((99,)),)), "bad_scene", "pins"),
        (msgspec.structs.replace(at("x", 9.0), kind="elastic"), "bad_scene", "shape"),
    ],
)
def test_a_body_that_is_wrong_is_named(body: Body, code: str, field: str) -> None:
    """The problem names the body, its code and its field; overlaps of the others are found all the same."""
    found = check_scene(encode_scene(Scene(bodies=(FLOOR, at("a", 0.0), at("b", 0.1), body))))
    (problem,) = found.problems
    assert (problem.body, problem.code, problem.field) == ("x", code, field)
    assert found.overlaps == [("a", "b")]


def test_a_document_that_is_none() -> None:
    """Bytes that are no scene, and settings out of range, are a problem of the world."""
    for document in (
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"bodies": []}',
        encode_scene(Scene((at("a", 0.0),), dt=1e-4)),
    ):
        found = check_scene(document)
        assert [problem.body for problem in found.problems] == ["world"]
        assert not found.ok
    assert check_scene(encode_scene(Scene(bodies=(FLOOR,)))).problems[0].body == "world"


def test_a_shape_is_described() -> None:
    """Its surface in its own frame, its volume and its centre of mass; a ball of tetrahedra sends its surface only."""
    box = make_shape(CUBE)
    assert (box.vertices, box.tetrahedra, box.volume) == (8, 0, pytest.approx(0.064))
    assert box.bounding_radius == pytest.approx(0.2 * 3**0.5)
    (drawn,) = decode_topology(box.topology).bodies
    assert np.abs(drawn.vertices).max() == np.float32(0.2)
    slab = make_shape(Recipe("slab", {"size": [1, 0.5, 1]}))
    assert slab.centre_of_mass == pytest.approx((0.0, -0.25, 0.0), abs=1e-12)
    assert (slab.low[1], slab.high[1]) == pytest.approx((-0.5, 0.0))
    ball = make_shape(Recipe("ball", {"radius": 0.2, "cells": 4}))
    (drawn,) = decode_topology(ball.topology).bodies
    assert (ball.vertices, drawn.kind, len(drawn.vertices)) == (125, "elastic", 125)
    assert make_shape(Recipe("bowl", {"radius": 1.0})).volume == 0.0


@pytest.mark.parametrize(
    ("recipe", "code"),
    [
        (Recipe("block", {"size": [1, 1, 1], "cells": [99, 99, 99]}), "too_many_vertices"),
        (Recipe("box", {"size": [1e5, 1, 1]}), "bad_scene"),
        (Recipe("sphere", {"radius": 1e200}), "bad_scene"),
        (Recipe("box", {"length": 1}), "bad_scene"),
        (Recipe("mesh", {"path": "/etc/passwd"}), "unknown_mesh"),
        (Recipe("mesh", {"sha256": "../../x"}), "unknown_mesh"),
        (Recipe("spell", {}), "bad_scene"),
    ],
)
def test_a_shape_that_cannot_be_built(recipe: Recipe, code: str) -> None:
    """It is refused with its code; a large one before it is built."""
    with pytest.raises(Refused) as refused:
        make_shape(recipe)
    assert refused.value.reason == code
