"""The sandbox with a scene that its members made: it simulates exactly that document."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.support.paths import BODIES as CATALOGUE
from tussle.lobby.errors import Refused
from tussle.lobby.rules.joints import Joint
from tussle.lobby.rules.motions import Motion
from tussle.lobby.rules.scenes import Body, Handle, Material, Pin, Rail, Recipe, Scene, encode_scene
from tussle.lobby.wire.frames import decode_frame, decode_topology
from tussle.server.modes.mode import Seat
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.simulation.simulation import Advance, Input, Origin, SessionSpec, Simulation

pytestmark = pytest.mark.timeout(600)  # a cold cache compiles the solver first

STONE = Material(density=500.0, friction=0.5)
JELLY = Material(density=1000.0, stiffness=3e4, poisson=0.45, damping=0.2)
FLOOR = Body("floor", Recipe("slab", {"size": [8, 0.3, 8]}), STONE, "static")
SWING = Rail(amplitude=(0.4, 0.0, 0.0), frequency=0.5, spin=1.0)
BALL = Recipe("ball", {"radius": 0.2, "cells": 3})
CUBE = Recipe("box", {"size": [0.3, 0.3, 0.3]})

SCENE = Scene(
    bodies=(
        FLOOR,
        Body("stone", CUBE, STONE, position=(0.0, 0.6, 0.0), velocity=(0.3, 0.0, 0.0), spin=(0.0, 1.0, 0.0)),
        Body("jelly", BALL, JELLY, "elastic", position=(1.0, 0.4, 0.0), handles=(Handle("top", (62,)),)),
        Body("paddle", CUBE, STONE, "rail", position=(-1.5, 0.2, 0.0), rail=SWING),
        Body("hung", CUBE, STONE, position=(0.0, 1.6, -1.0), pins=(Pin((0,)),)),
        Body("held", CUBE, STONE, position=(2.0, 1.0, 0.0), pins=(Pin(),)),
    ),
    name="all kinds",
    gravity=(0.0, -5.0, 0.0),
    dt=1 / 60,
)


class Made:
    """Runs a sandbox with a scene."""

    def __init__(self, scene: Scene = SCENE) -> None:
        seats = tuple(Seat(seat, f"p{seat}", f"n{seat}") for seat in range(2))
        document = encode_scene(scene).decode()
        self.spec = SessionSpec("T", "sandbox", seats, CATALOGUE, seed=5, scene=document)
        self.simulation, self.last = Simulation.start(self.spec)
        self.first = self.last

    def run(self, ticks: int, *inputs: Input) -> Advance:
        self.last = self.simulation.advance(inputs, ticks)
        return self.last

    def act(self, seat: int, kind: str, **d: Any) -> list[tuple[str, dict[str, Any]]]:
        """Apply one input, run its tick and return the events."""
        return [(name, d) for _, name, d in self.run(1, Input(seat, kind, 7, d)).events if name != "brief"]

    def positions(self) -> np.ndarray[Any, Any]:
        copy: np.ndarray[Any, Any] = self.simulation.view().positions.copy()
        return copy


def test_a_scene_of_all_kinds_is_simulated_as_it_is() -> None:
    """After sixty ticks every body is where the solver alone has it, to the last bit: nothing is added or left out."""
    made = Made()
    model, state = compile_scene(SCENE)
    for _ in range(60):
        state, _ = step(model, state)
    made.run(60)
    assert np.array_equal(made.simulation.view().positions[0], state.q[0])
    rows = made.simulation._world.state
    assert np.array_equal(rows.q, state.q)
    assert np.array_equal(rows.v, state.v)
    assert made.positions()[3][1] == pytest.approx(1.6, abs=0.3), "a pinned body stays"


def test_frames_and_topology_have_every_body() -> None:
    """Those that move come first, in the order of the scene, each with its kind and its id; then the obstacles."""
    made = Made()
    topology = decode_topology(made.first.topology or b"")
    kinds = {body.id: body.kind for body in topology.bodies}
    assert list(kinds) == ["stone", "jelly", "paddle", "hung", "held", "floor"]
    assert (kinds["jelly"], kinds["paddle"], kinds["floor"]) == ("elastic", "rail", "static")
    frame = decode_frame(made.first.frame)
    surface = len(topology.bodies[1].vertices)
    assert frame.row_counts == (4, surface, 4, 4, 4)
    (name, set_up), (_, brief) = ((name, d) for _, name, d in made.first.events)
    assert name == "set_up"
    assert set_up["scene"] == {
        "name": "all kinds",
        "sha256": hashlib.sha256(encode_scene(SCENE)).hexdigest(),
    }
    assert [(body["id"], body["handles"]) for body in brief["bodies"]] == [
        ("stone", 8), ("jelly", 8), ("paddle", 0), ("hung", 8), ("held", 8)
    ]  # fmt: skip
    assert brief["gravity"] == 5.0


def test_handles_are_those_given_and_those_made() -> None:
    """A body can be pulled by the handle that its author named, by a vertex and at its centre; a rail cannot."""
    made = Made()
    for body, handle in (("jelly", "top"), ("jelly", "v3"), ("stone", "v7"), ("hung", "centre")):
        ((name, lease),) = made.act(0, "grab", body=body, handle=handle)
        assert (name, lease["handle"]) == ("slot_granted", handle)
        made.act(0, "release")
    ((name, refused),) = made.act(0, "grab", body="paddle", handle="centre")
    assert (name, refused["code"]) == ("refused", "unknown_handle")
    made.act(0, "grab", body="stone", handle="centre")
    made.act(0, "move", target=[0.0, 2.0, 0.5])
    made.run(120)
    assert made.positions()[0] == pytest.approx([0.0, 2.0 - 5.0 / 40, 0.5], abs=0.05)


def test_reset_begins_again() -> None:
    """After spawn, remove, gravity and a freeze, reset brings the scene as it was made, and it runs as at first."""
    made = Made()
    first = made.run(50)
    made.act(0, "spawn", body="marl", position=[0.0, 2.5, 1.5])
    made.act(0, "remove", body="paddle")
    made.act(0, "gravity", strength=1.0)
    made.act(0, "freeze", state="on")
    ids = [body.id for body in decode_topology(made.simulation.look().topology or b"").bodies]
    assert ids == ["stone", "jelly", "hung", "held", "marl-5", "floor"]
    assert [name for name, _ in made.act(0, "reset")] == ["reset"]
    again = made.run(49)
    was, now = decode_frame(first.frame), decode_frame(again.frame)
    assert again.tick == 104
    assert np.abs(was.rows - now.rows).max() < 1e-6


def test_mark_and_undo_keep_the_course_of_rails() -> None:
    """After an undo, and after a freeze, the rails go on from where they were: nothing jumps."""
    made = Made()
    made.run(40)
    made.act(0, "mark")
    marked = made.positions()
    after = decode_frame(made.run(20).frame)
    made.act(0, "freeze", state="on")
    still = made.positions()
    made.run(30)
    assert np.array_equal(made.positions(), still), "a frozen world is still"
    made.act(0, "freeze", state="off")
    assert np.abs(made.positions() - still).max() < 0.1
    made.act(0, "undo")
    assert np.abs(made.positions() - marked).max() < 0.1
    again = decode_frame(made.run(20).frame)
    assert np.abs(after.rows - again.rows).max() < 1e-6


def test_a_fork_and_a_recovery_are_exact() -> None:
    """Restored from a checkpoint, with bodies brought in and a mark set, it goes on with the same hashes; so does a
    fork. Pins hold at their places."""
    made = Made()
    made.run(20)
    made.act(0, "spawn", body="marl", position=[0.0, 2.5, 1.5])
    made.act(1, "grab", body="hung", handle="v7")
    made.run(10, Input(1, "move", 8, {"target": [1.0, 1.0, -1.0]}))
    there = Simulation.restore(made.spec, made.simulation.checkpoint())
    state = made.simulation.release()
    origin = Origin("T", made.last.tick, made.simulation.hash().hex(), hashlib.sha256(state).hexdigest())
    fork, _ = Simulation.begin(msgspec.structs.replace(made.spec, session="child", fork=origin), state)
    then = [Input(0, "gravity", 9, {"strength": 9.0})]
    hashes = made.simulation.advance(then, 30).hashes
    assert there.advance(then, 30).hashes == hashes
    assert fork.advance(then, 30).hashes == hashes
    assert (
        there.advance([Input(0, "undo", 10)], 5).hashes
        == made.simulation.advance([Input(0, "undo", 10)], 5).hashes
    )


def test_a_lost_body_comes_back() -> None:
    """A body that falls over the edge of the floor returns to where the scene has it, or above everything if that place
    is taken."""
    slide = Body("slide", CUBE, STONE, position=(3.9, 0.6, 0.0), velocity=(4.0, 0.0, 0.0))
    made = Made(msgspec.structs.replace(SCENE, bodies=(FLOOR, slide)))
    returned = []
    for _ in range(40):
        returned += [d for _, name, d in made.run(10).events if name == "returned"]
        if returned:
            break
    assert returned[0]["id"] == "slide"
    assert returned[0]["position"] == pytest.approx([3.9, 0.6, 0.0], abs=1e-9)


def test_joined_bodies_come_back_together() -> None:
    """Two bodies that a joint connects return at once, so that the joint does not pull them across the scene; a body
    that is removed takes its joints with it."""
    pair = tuple(
        Body(name, CUBE, STONE, position=(x, 0.6, 0.0), velocity=(0.0, 0.0, 6.0))
        for name, x in (("a", 0.0), ("b", 0.4))
    )
    joint = Joint("bar", "fixed", "a", (0.2, 0.6, 0.0), "b")
    made = Made(msgspec.structs.replace(SCENE, bodies=(FLOOR, *pair), joints=(joint,)))
    for _ in range(40):
        if any(name == "returned" for _, name, _ in made.run(10).events):
            break
    gap = made.positions()[1] - made.positions()[0]
    assert gap == pytest.approx([0.4, 0.0, 0.0], abs=1e-3)
    assert made.positions()[0][2] < 2.0
    there = Simulation.restore(made.spec, made.simulation.checkpoint())
    assert there.advance([], 5).hashes == made.simulation.advance([], 5).hashes
    assert made.act(0, "remove", body="b")[0][0] == "removed"
    made.run(5)


def test_bodies_are_not_brought_into_obstacles() -> None:
    """A place inside of a wall, or nearer than the body's radius, is refused; a free one is taken."""
    wall = Body("wall", Recipe("slab", {"size": [1, 1, 1]}), STONE, "static", position=(0.0, 3.0, 2.0))
    made = Made(msgspec.structs.replace(SCENE, bodies=(*SCENE.bodies, wall)))
    for place in ([0.0, 2.5, 2.0], [0.0, 2.5, 1.4], [3.0, 0.1, 3.0]):
        ((name, refused),) = made.act(0, "spawn", body="marl", position=place)
        assert (name, refused["code"]) == ("refused", "would_touch")
    assert made.act(0, "spawn", body="marl", position=[0.0, 2.5, 1.2])[0][0] == "spawned"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"bodies": (FLOOR,)}, "bad_scene"),
        ({"gravity": (0.0, -900.0, 0.0)}, "bad_scene"),
        ({"dt": 1e-4}, "bad_scene"),
        ({"bodies": tuple(msgspec.structs.replace(FLOOR, id=f"f{n}") for n in range(200))}, "too_many_bodies"),
        ({"bodies": (Body("a", Recipe("sphere", {"radius": 1, "level": 7}), STONE),)}, "too_many_vertices"),
        ({"bodies": (Body("a", Recipe("block", {"size": [1, 1, 1], "cells": [30] * 3}), JELLY),)},
         "too_many_vertices"),
        ({"bodies": (Body("a", CUBE, STONE, position=(1e300, 0.0, 0.0)),)}, "bad_scene"),
        ({"bodies": (Body("a", CUBE, STONE, "rail", rail=Rail(axis=(0.0, 0.0, 0.0))),)}, "bad_scene"),
        ({"bodies": (Body("a", Recipe("mesh", {"path": "/etc/passwd"}), STONE),)}, "unknown_mesh"),
        ({"bodies": (Body("a", CUBE, STONE), Body("b", CUBE, STONE, position=(0.1, 0.0, 0.0)))}, "bad_scene"),
    ],
)  # fmt: skip
def test_a_scene_out_of_bounds_is_refused(change: dict[str, Any], code: str) -> None:
    """A scene that is too large, out of range or overlapping is refused before a world exists."""
    with pytest.raises(Refused) as refused:
        Made(msgspec.structs.replace(SCENE, **change))
    assert refused.value.reason == code


def test_only_a_sandbox_takes_a_scene() -> None:
    """A mode with a scene of its own refuses one; without a scene a specification has the bytes of before."""
    made = Made()
    duel = msgspec.structs.replace(made.spec, mode="curling", catalogue={})
    with pytest.raises(Refused) as refused:
        Simulation.start(duel)
    assert refused.value.reason == "no_scene"
    plain = SessionSpec("T", "sandbox", made.spec.seats, {}, 5)
    assert b"scene" not in msgspec.msgpack.encode(plain)
    assert b"scene" not in msgspec.json.encode(plain)


def hung_on_a_wire() -> Made:
    """A weight on a joint that breaks in the first tick."""
    hung = Body("hung", CUBE, STONE, position=(0.0, 2.0, 0.0))
    weight = Body("weight", CUBE, STONE, position=(0.0, 1.4, 0.0))
    joints = (
        Joint("top", "ball", "hung", (0.0, 2.2, 0.0)),
        Joint("wire", "ball", "weight", (0.0, 1.7, 0.0), "hung", breaks_at=1.0),
    )
    return Made(msgspec.structs.replace(SCENE, bodies=(FLOOR, hung, weight), joints=joints))


def test_a_joint_that_breaks_is_an_event() -> None:
    """Once, in the tick in which it breaks, with the two bodies; also after the world is restored, or goes back."""
    made = hung_on_a_wire()
    there = Simulation.restore(made.spec, made.simulation.checkpoint())
    first = made.run(1).events
    found = [(tick, d) for tick, name, d in first if name == "joint_broken"]
    assert [(tick, d["id"], d["a"], d["b"]) for tick, d in found] == [(1, "wire", "weight", "hung")]
    assert there.advance([], 1).events == first
    assert not [name for _, name, _ in made.run(5).events if name == "joint_broken"]
    assert made.act(0, "undo")[-1][0] == "joint_broken"


def test_a_body_that_pins_move_is_not_brought_back() -> None:
    """It leaves the box of the session as its scene says; its pins would pull it out again at once."""
    slide = Body("slide", CUBE, STONE, position=(3.9, 0.6, 0.0), velocity=(4.0, 0.0, 0.0))
    drop = Motion(velocity=(0.0, -60.0, 0.0), until=0.5)
    pinned = Body("pinned", CUBE, STONE, position=(0.0, 40.0, 9.0), pins=(Pin((0, 1), drop),))
    made = Made(msgspec.structs.replace(SCENE, bodies=(FLOOR, slide, pinned)))
    box = made.simulation.mode.box  # type: ignore[attr-defined]
    object.__setattr__(box, "height", 5.0)  # the scene asked for a box that has room for the motion
    names = [d["id"] for _ in range(20) for _, name, d in made.run(10).events if name == "returned"]
    assert "slide" in names
    assert "pinned" not in names


def test_a_scene_of_bdf2_is_restored_at_any_tick() -> None:
    """Its checkpoints have the past of the state: also after a push from outside, a mark, and a change of gravity."""
    made = Made(msgspec.structs.replace(SCENE, integrator="bdf2", dt=1 / 60))
    acts = {3: ("grab", {"body": "stone", "handle": "v0"}), 12: ("mark", {}), 14: ("freeze", {"state": "on"}),
            16: ("freeze", {"state": "off"}), 20: ("gravity", {"strength": 3.0}), 26: ("undo", {})}  # fmt: skip
    for tick in range(30):
        there = Simulation.restore(made.spec, made.simulation.checkpoint())
        kind, d = acts.get(tick, ("", {}))
        inputs = [Input(0, kind, tick + 1, d)] if kind else []
        assert there.advance(inputs, 1).hashes == made.run(1, *inputs).hashes, tick
