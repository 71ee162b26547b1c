"""Joints do what mechanics says: periods, tensions, speeds, limits, breaking."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.support.paths import ROOT
from tussle.lobby.errors import Refused
from tussle.lobby.rules.joints import Joint, JointMotor, JointSpring
from tussle.lobby.rules.scene_limits import check_scene
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene, decode_scene, encode_scene, with_bodies
from tussle.server.physics.checkpoint import decode_state, encode_state, state_hash
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.model import Model, centres
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import State, StepReport

WOOD = Material(density=600.0, stiffness=1e8)
ROD = Recipe("box", {"size": [0.4, 0.06, 0.04]})
G = 9.81


def rod(name: str = "rod", **fields: Any) -> Body:
    """A rod of 0.4 m along x, 0.576 kg."""
    return Body(name, ROD, WOOD, **fields)


def run(scene: Scene, ticks: int) -> tuple[Model, list[State], list[StepReport]]:
    """All states of a run, the first one included, and the reports; every tick converged."""
    model, state = compile_scene(scene)
    states, reports = [state], []
    for _ in range(ticks):
        state, report = step(model, state)
        assert report.converged
        states.append(state)
        reports.append(report)
    assert check_contact(model, state).passed
    return model, states, reports


def scene(*bodies: Body, joints: tuple[Joint, ...], **fields: Any) -> Scene:
    """A scene that servers take too, and that survives its own text."""
    made = Scene(bodies=bodies, joints=joints, **fields)
    check_scene(made)
    assert decode_scene(encode_scene(made)) == made
    return made


def turned(angle: float) -> tuple[float, float, float, float]:
    """A rotation about z [rad]."""
    return math.cos(0.5 * angle), 0.0, 0.0, math.sin(0.5 * angle)


def inertia(axis: int) -> float:
    """The moment of inertia of a rod about its centre [kg m^2]."""
    size = [0.4, 0.06, 0.04]
    return 0.576 * sum(size[k] ** 2 for k in range(3) if k != axis) / 12


@pytest.mark.parametrize("kind", ["ball", "hinge"])
def test_the_period_of_a_pendulum(kind: Any) -> None:
    """That of small swings as implicit Euler has it, which comes nearer to the true one as dt^2."""
    start = -0.5 * math.pi + 0.05
    position = (0.2 * math.cos(start), 0.2 * math.sin(start), 0.0)
    errors = []
    for dt in (1 / 60, 1 / 120):
        made = scene(
            rod(position=position, rotation=turned(start)),
            joints=(Joint("pivot", kind, "rod", (0.0, 0.0, 0.0), axis=(0.0, 0.0, 1.0)),),
            dt=dt,
        )
        model, states, _ = run(made, round(1.3 / dt))
        x = np.array([centres(model, state)[0, 0] for state in states])
        crossings = [
            (n + x[n] / (x[n] - x[n + 1])) * dt for n in range(len(x) - 1) if (x[n] > 0.0) != (x[n + 1] > 0.0)
        ]
        omega = math.sqrt(0.576 * G * 0.2 / (inertia(2) + 0.576 * 0.2**2))
        period = 2.0 * (crossings[1] - crossings[0])
        assert period == pytest.approx(2.0 * math.pi * dt / math.atan(omega * dt), rel=2e-3)
        errors.append(abs(period * omega / (2.0 * math.pi) - 1.0))
        anchors = [state.q[0] + model.joint_arrays.frames[0, 0, 0, 1:4] @ state.q[1:4] for state in states]
        assert np.abs(anchors).max() < 1e-4 * 0.4
    assert errors[1] < 0.4 * errors[0] and errors[1] < 2e-3


def test_a_slider_falls_along_its_axis() -> None:
    """Down a slope of 30 degrees with g sin 30, and no turn."""
    slope = (math.cos(math.pi / 6), -math.sin(math.pi / 6), 0.0)
    joint = Joint("rail", "slider", "rod", (0.1, 0.0, 0.0), axis=slope)
    _, states, reports = run(scene(rod(spin=(0.0, 0.0, 0.0)), joints=(joint,)), 30)
    way = 0.5 * G * (1 / 60) ** 2 * 30 * 31 / 2
    assert states[-1].q[0] == pytest.approx(np.array(slope) * way, abs=1e-5)
    assert states[-1].q[1:] == pytest.approx(np.eye(3), abs=1e-5)
    assert reports[-1].joints[0, 2] == pytest.approx(way, rel=1e-5)
    assert reports[-1].joints[0, 0] == pytest.approx(0.576 * G * math.cos(math.pi / 6), rel=1e-3)


def test_the_tension_of_a_distance_joint() -> None:
    """The weight of what hangs; and m v^2 / L of what circles."""
    hangs = Joint("rope", "distance", "rod", (0.0, 0.0, 0.0), anchor_b=(0.0, 1.0, 0.0))
    _, states, reports = run(scene(rod(), joints=(hangs,)), 10)
    assert reports[-1].joints[0, :2] == pytest.approx([0.576 * G, 0.0], abs=1e-3)
    assert np.abs(states[-1].q - states[0].q).max() < 1e-5
    made = scene(rod(velocity=(2.0, 0.0, 0.0)), joints=(hangs,), gravity=(0.0, 0.0, 0.0), dt=1 / 240)
    _, _, reports = run(made, 12)
    assert reports[-1].joints[0, 0] == pytest.approx(0.576 * 2.0**2 / 1.0, rel=0.02)
    assert reports[-1].joints[0, 2] == pytest.approx(1.0, abs=1e-5)


def test_a_rope_is_slack_until_it_is_long() -> None:
    """A distance joint with limits transmits nothing between them, and holds at the longer one."""
    rope = Joint("rope", "distance", "rod", (0.0, 0.0, 0.0), anchor_b=(0.0, 1.0, 0.0), limits=(0.0, 1.2))
    _, states, reports = run(scene(rod(), joints=(rope,)), 40)
    assert reports[5].joints[0, 0] == 0.0
    assert states[-1].q[0, 1] == pytest.approx(-0.2, abs=1e-4)
    assert reports[-1].joints[0, 0] == pytest.approx(0.576 * G, rel=1e-2)


def test_a_motor_turns_a_hinge() -> None:
    """With its torque until it has its speed, which it keeps against a load."""
    about = inertia(2) + 0.576 * 0.2**2
    motor = JointMotor(speed=2.0, torque=0.3)
    joint = Joint("axle", "hinge", "rod", (-0.2, 0.0, 0.0), axis=(0.0, 0.0, 1.0), motor=motor)
    _, _, reports = run(scene(rod(), joints=(joint,), gravity=(0.0, 0.0, 0.0)), 60)
    angles = np.array([0.0, *(report.joints[0, 2] for report in reports)])
    speeds = np.diff(angles) * 60
    assert speeds[9] == pytest.approx(0.3 / about * 10 / 60, rel=0.02)
    assert speeds[-1] == pytest.approx(2.0, rel=1e-3)
    assert max(report.joints[0, 1] for report in reports) == pytest.approx(0.3, rel=1e-2)


@pytest.mark.parametrize(("kind", "axis"), [("hinge", (0.0, 0.0, 1.0)), ("ball", (1.0, 0.0, 0.0))])
def test_limits_hold(kind: Any, axis: Any) -> None:
    """A rod that falls about its end stops at its limit, and stays there."""
    limits = (-0.5, 0.5) if kind == "hinge" else (0.0, 0.5)
    joint = Joint("pivot", kind, "rod", (-0.2, 0.0, 0.0), axis=axis, limits=limits)
    _, _, reports = run(scene(rod(), joints=(joint,)), 60)
    angles = np.abs([report.joints[0, 2] for report in reports])
    assert angles.max() < 0.5 + 1e-3
    assert angles[-1] == pytest.approx(0.5, abs=1e-3)


def test_a_slider_stops_at_its_limit() -> None:
    """Whatever its speed."""
    joint = Joint("rail", "slider", "rod", (0.0, 0.0, 0.0), axis=(0.0, 1.0, 0.0), limits=(-0.3, 0.0))
    _, _, reports = run(scene(rod(velocity=(0.0, -20.0, 0.0)), joints=(joint,)), 30)
    assert min(report.joints[0, 2] for report in reports) > -0.3 - 1e-3
    assert reports[-1].joints[0, 2] == pytest.approx(-0.3, abs=1e-3)


def test_a_spring_holds_a_slider() -> None:
    """At rest it is longer by m g / k; its energy is reported."""
    spring = JointSpring(stiffness=60.0, damping=6.0)
    joint = Joint("spring", "slider", "rod", (0.0, 0.0, 0.0), axis=(0.0, 1.0, 0.0), spring=spring)
    _, _, reports = run(scene(rod(), joints=(joint,)), 200)
    assert reports[-1].joints[0, 2] == pytest.approx(-0.576 * G / 60.0, rel=1e-3)
    assert reports[-1].springs == pytest.approx(0.5 * (0.576 * G) ** 2 / 60.0, rel=1e-2)


@pytest.mark.parametrize(("share", "breaks"), [(0.98, True), (1.02, False)])
def test_a_beam_breaks_at_its_force_and_torque(share: float, breaks: bool) -> None:
    """A beam that is fixed at one end carries its weight and its moment, and breaks above what is given."""
    weight = 0.576 * G
    for limit in ({"breaks_at": share * weight}, {"breaks_at_torque": share * weight * 0.2}):
        joint = Joint("wall", "fixed", "rod", (-0.2, 0.0, 0.0), **limit)
        _, states, reports = run(scene(rod(), joints=(joint,)), 20)
        assert reports[0].joints[0, :2] == pytest.approx([weight, 0.2 * weight], rel=0.01)
        assert states[-1].broken.tolist() == [breaks]
        fallen = G * (1 / 60) ** 2 * 19 * 20 / 2
        assert states[-1].q[0, 1] == pytest.approx(-fallen if breaks else 0.0, abs=1e-4)
        if breaks:
            assert not reports[-1].joints[:, :2].any()


def test_a_broken_joint_is_state() -> None:
    """It is in the bytes of a checkpoint and in the hash, and a restored world goes on with the same bits."""
    joint = Joint("wall", "fixed", "rod", (-0.2, 0.0, 0.0), breaks_at=1.0)
    model, states, _ = run(scene(rod(), joints=(joint,)), 3)
    assert [state.broken.tolist() for state in states] == [[False], [True], [True], [True]]
    again = decode_state(encode_state(states[1]))
    assert again.broken.tolist() == [True]
    for _ in range(2):
        again, _ = step(model, again)
    assert state_hash(again) == state_hash(states[3])
    whole = State(states[1].q, states[1].v, states[1].active, 1, np.array([False]))
    assert state_hash(whole) != state_hash(states[1])
    with pytest.raises(Exception, match="wrong length"):
        decode_state(encode_state(states[1])[:-1])


def test_joints_keep_momentum() -> None:
    """Two rods that turn about a common ball: linear momentum is kept exactly, angular momentum is never gained."""
    joint = Joint("ball", "ball", "rod", (0.2, 0.0, 0.0), "other")
    made = scene(
        rod(velocity=(0.0, 1.0, 0.0)),
        rod("other", position=(0.4, 0.0, 0.0), velocity=(0.0, -1.0, 0.5), spin=(1.0, 0.0, -3.0)),
        joints=(joint,),
        gravity=(0.0, 0.0, 0.0),
        dt=1 / 240,
    )
    model, states, _ = run(made, 60)

    def momenta(state: State) -> tuple[np.ndarray, np.ndarray]:
        mass = model.tables.mass[:2]
        carried = np.einsum("bij,bjk->bik", mass, state.v.reshape(2, 4, 3))
        return carried[:, 0].sum(axis=0), np.cross(state.q, carried.reshape(-1, 3)).sum(axis=0)

    first, last = momenta(states[1]), momenta(states[-1])
    assert last[0] == pytest.approx(momenta(states[0])[0], abs=1e-9)
    assert 0.97 * np.linalg.norm(first[1]) < np.linalg.norm(last[1]) < 1.0001 * np.linalg.norm(first[1])


def test_joined_bodies_may_overlap() -> None:
    """Unless the joint says that they collide."""
    overlapping = (rod(), rod("other", position=(0.3, 0.0, 0.0)))
    joint = Joint("pivot", "hinge", "rod", (0.15, 0.0, 0.0), "other", axis=(0.0, 0.0, 1.0))
    run(scene(*overlapping, joints=(joint,)), 5)
    with pytest.raises(Refused, match="bodies intersect: 'rod' and 'other'"):
        compile_scene(
            Scene(
                bodies=overlapping,
                joints=(Joint("pivot", "ball", "rod", (0.15, 0.0, 0.0), "other", collide=True),),
            )
        )
    third = rod("third", position=(0.0, 0.05, 0.0))
    with pytest.raises(Refused, match="'rod' and 'third'"):
        compile_scene(Scene(bodies=(*overlapping, third), joints=(joint,)))


def test_an_elastic_body_hangs_by_a_joint() -> None:
    """By the tetrahedron at the anchor."""
    jelly = Body(
        "jelly",
        Recipe("block", {"size": [0.2, 0.2, 0.2], "cells": [1, 1, 1]}),
        Material(density=500.0, stiffness=1e6, damping=20.0),
        "elastic",
    )
    joint = Joint("rope", "distance", "jelly", (0.0, 0.1, 0.0), anchor_b=(0.0, 1.0, 0.0))
    _, _, reports = run(scene(jelly, joints=(joint,)), 30)
    assert reports[-1].joints[0, 0] == pytest.approx(4.0 * G, rel=0.02)
    assert reports[-1].joints[0, 2] == pytest.approx(0.9, abs=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"a": "nobody"}, "there is no body 'nobody'"),
        ({"b": "rod"}, "joins a body with itself"),
        ({"kind": "fixed", "limits": (0.0, 1.0)}, "has no limits"),
        ({"limits": (1.0, 0.0)}, "wrong order"),
        ({"limits": (-4.0, 0.0)}, "between -pi and pi"),
        ({"axis": (0.0, 0.0, 0.0)}, "no direction"),
        ({"motor": JointMotor(1.0, force=1.0)}, "has a torque"),
        ({"anchor_b": (1.0, 0.0, 0.0)}, "anchor_b"),
        ({"anchor": (math.nan, 0.0, 0.0)}, "not finite"),
        ({"a": "floor", "b": None}, "neither of its bodies can move"),
    ],
)
def test_a_joint_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    """With its name."""
    floor = Body("floor", Recipe("slab", {"size": [1, 0.1, 1]}), WOOD, "static", position=(0.0, -1.0, 0.0))
    joint = Joint(**{"id": "j", "kind": "hinge", "a": "rod", "anchor": (0.0, 0.0, 0.0), **fields})
    with pytest.raises(Refused, match=message) as refused:
        compile_scene(Scene(bodies=(rod(), floor), joints=(joint,)))
    assert refused.value.reason == "bad_scene" and "joint 'j'" in str(refused.value)


def test_other_bodies_take_their_joints_with_them() -> None:
    """As when a member of a session removes one."""
    joint = Joint("pivot", "ball", "rod", (0.2, 0.0, 0.0), "other")
    made = scene(rod(), rod("other", position=(0.45, 0.0, 0.0)), joints=(joint,))
    assert with_bodies(made, made.bodies).joints == (joint,)
    assert with_bodies(made, made.bodies[:1]).joints == ()


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "scenes").glob("*.json")), ids=lambda p: p.stem)
def test_the_scenes_of_the_examples_run(path: Any) -> None:
    """They are within a server's limits, and their first half second passes the contact check."""
    made = decode_scene(path.read_bytes())
    check_scene(made)
    model, state = compile_scene(made)
    for _ in range(30):
        state, report = step(model, state)
        assert report.converged
    assert check_contact(model, state).passed
