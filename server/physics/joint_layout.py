"""From the joints and pairs of a scene to the arrays of the kernels. Called once per scene.

A joint takes hold of an affine body by its four nodes, of an elastic one by the tetrahedron at its anchor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.joints import Joint, Pair, check_joints, check_pairs
from tussle.server.physics.geometry import Ints
from tussle.server.physics.joint_forces import (
    BALL,
    BODY_A,
    COLUMNS,
    DAMPING,
    DISTANCE,
    FIXED,
    HIGH,
    HINGE,
    HOLD,
    KIND,
    LENGTH,
    LEVER,
    LINKS,
    LOW,
    MOTOR_LIMIT,
    MOTOR_SPEED,
    NODES,
    NONE,
    REST,
    SLIDER,
    SPRING,
)
from tussle.server.physics.kernel_arrays import Bounces, Joints, Tables
from tussle.server.physics.layout import Part
from tussle.server.physics.world_state import Floats

__all__ = ["JOINT_STIFFNESS", "lay_out_bounces", "lay_out_joints"]

JOINT_STIFFNESS = 1e5
"""The stiffness of a joint, in units of the larger mass / dt^2: a joint that carries the weight of that mass gives way
by g dt^2 / JOINT_STIFFNESS, 3e-8 m at 1/60 s."""

KINDS = {"ball": BALL, "hinge": HINGE, "slider": SLIDER, "fixed": FIXED, "distance": DISTANCE}


def lay_out_joints(
    tables: Tables, bodies: list[Part], obstacles: list[Part], joints: Sequence[Joint], pairs: Sequence[Pair]
) -> tuple[Joints, tuple[Joint, ...]]:
    """Return the arrays of the joints and pairs of a scene, and the joints in the order that they have there.

    Raises Refused (bad_scene), which names the joint.
    """
    parts = [*bodies, *obstacles]
    numbers = {part.body.id: number for number, part in enumerate(parts)}
    check_joints(joints, numbers)
    check_pairs(pairs, numbers)
    owned: list[tuple[int, Joint]] = []
    for joint in joints:
        sides = [numbers[joint.a], -1 if joint.b is None else numbers[joint.b]]
        movable = [n for n in sides if n >= 0 and tables.mobile[n] and parts[n].body.kind != "rail"]
        if not movable:
            raise _refuse(joint, "neither of its bodies can move")
        owned.append((next(n for n in sides if n >= 0 and tables.mobile[n]), joint))
    owned.sort(key=lambda one: one[0])
    links = np.full((len(owned), LINKS), -1, dtype=np.int64)
    frames = np.zeros((len(owned), 2, 4, 7))
    values = np.zeros((len(owned), COLUMNS))
    for row, (_, joint) in enumerate(owned):
        axes = _axes(joint)
        links[row, KIND] = KINDS[joint.kind]
        levers, masses = [], []
        for side, name in enumerate((joint.a, joint.b)):
            anchor = np.array(joint.anchor_b if side and joint.anchor_b is not None else joint.anchor)
            number = -1 if name is None else numbers[name]
            if number < 0 or number >= len(bodies):
                frames[row, side, :, 4:] = [anchor, *axes]
                continue
            links[row, BODY_A + side] = number
            nodes, frames[row, side, :, :4] = _frame(bodies[number], anchor, axes)
            links[row, NODES + 4 * side : NODES + 4 * side + 4] = nodes + tables.node_start[number]
            if bodies[number].body.kind != "rail" and tables.mobile[number]:
                levers.append(_reach(bodies[number], anchor))
                masses.append(bodies[number].mass)
        values[row] = _numbers(joint, max(masses), max(levers))
    owners = np.array([owner for owner, _ in owned], dtype=np.int64)
    starts = np.searchsorted(owners, np.arange(len(bodies) + 1))
    groups = len(parts)
    apart = {(numbers[one.a], numbers[one.b]) for one in joints if not one.collide and one.b is not None}
    apart |= {(numbers[one.a], numbers[one.b]) for one in pairs if not one.collide}
    keys = sorted({min(a, b) * groups + max(a, b) for a, b in apart})
    rubbing = _pair_values(numbers, pairs, "friction")
    made = Joints(
        start=starts.astype(np.int64),
        links=links,
        frames=frames,
        numbers=values,
        slopes=np.zeros((len(owned), 8, 3)),
        apart=np.array(keys, dtype=np.int64),
        rubbing=np.array([key for key, _ in rubbing], dtype=np.int64),
        rubs=np.array([friction for _, friction in rubbing], dtype=np.float64),
    )
    return made, tuple(joint for _, joint in owned)


def _pair_values(numbers: dict[str, int], pairs: Sequence[Pair], field: str) -> list[tuple[int, float]]:
    """Return the pairs with a value of their own, by their key in Joints.apart, and that value; sorted."""
    found = []
    for one in pairs:
        value = getattr(one, field)
        if value is not None:
            a, b = sorted((numbers[one.a], numbers[one.b]))
            found.append((a * len(numbers) + b, value))
    return sorted(found)


def lay_out_bounces(
    tables: Tables, bodies: list[Part], obstacles: list[Part], pairs: Sequence[Pair]
) -> Bounces | None:
    """Return what restitution needs; None in a scene without any."""
    parts = [*bodies, *obstacles]
    numbers = {part.body.id: number for number, part in enumerate(parts)}
    share = np.array([part.body.material.restitution for part in parts], dtype=np.float64)
    own = _pair_values(numbers, pairs, "restitution")
    if not share.any() and not any(value for _, value in own):
        return None
    moved = [part.body.kind == "affine" and not part.fixed.any() for part in bodies]
    return Bounces(
        share=share,
        keys=np.array([key for key, _ in own], dtype=np.int64),
        shares=np.array([value for _, value in own], dtype=np.float64),
        bends=np.array([part.elastic for part in parts], dtype=bool),
        mass=np.where(moved, [part.mass for part in bodies], 0.0).astype(np.float64),
    )


def _refuse(joint: Joint, message: str) -> Refused:
    return Refused(f"joint {joint.id!r}: {message}", code="bad_scene", field="joints")


def _axes(joint: Joint) -> Floats:
    """Return the axis n of a joint and the two directions t, s across it: right-handed, (3, 3)."""
    n = np.array(joint.axis) / np.linalg.norm(joint.axis)
    across = np.eye(3)[int(np.abs(n).argmin())]
    t = np.cross(across, n)
    t /= np.linalg.norm(t)
    return np.array([n, t, np.cross(n, t)])


def _frame(part: Part, anchor: Floats, axes: Floats) -> tuple[Ints, Floats]:
    """Return the four nodes of a body that carry an anchor [m] and axes (3, 3), and the weights (4, 4) of each."""
    weights = np.zeros((4, 4))
    if not part.elastic:
        to_rest = np.linalg.inv(part.q[1:].T)
        weights[0] = [1.0, *(to_rest @ (anchor - part.q[0]))]
        weights[1:, 1:] = axes @ to_rest.T
        return np.arange(4), weights
    tetrahedra = part.mesh.tetrahedra
    assert tetrahedra is not None
    corners = part.q[tetrahedra]
    inverse = np.linalg.inv(np.swapaxes(corners[:, 1:] - corners[:, :1], 1, 2))
    shares = np.einsum("eij,ej->ei", inverse, anchor - corners[:, 0])
    shares = np.concatenate([1.0 - shares.sum(axis=1, keepdims=True), shares], axis=1)
    best = int(shares.min(axis=1).argmax())
    weights[0] = shares[best]
    weights[1:, 1:] = axes @ inverse[best].T
    weights[1:, 0] = -weights[1:, 1:].sum(axis=1)
    return tetrahedra[best].astype(np.int64), weights


def _reach(part: Part, anchor: Floats) -> float:
    """Return the distance from an anchor to the farthest vertex of a body [m]."""
    placed = part.q if part.elastic else part.q[0] + part.rest @ part.q[1:]
    return float(np.linalg.norm(placed - anchor, axis=1).max())


def _numbers(joint: Joint, mass: float, lever: float) -> Floats:
    """Return the row of Joints.numbers of a joint; mass [kg] and lever [m] make its stiffness."""
    row = np.zeros(COLUMNS)
    row[HOLD], row[LEVER] = JOINT_STIFFNESS * mass, lever
    free = joint.limits is not None or joint.motor is not None or joint.spring is not None
    start = 0.0
    if joint.anchor_b is not None:
        start = float(np.linalg.norm(np.array(joint.anchor) - joint.anchor_b))
    row[LENGTH] = -1.0 if free else start
    row[LOW], row[HIGH] = joint.limits or (-NONE, NONE)
    if joint.spring is not None:
        row[SPRING], row[DAMPING] = joint.spring.stiffness, joint.spring.damping
        row[REST] = start if joint.spring.rest is None else joint.spring.rest
    if joint.motor is not None:
        row[MOTOR_SPEED] = joint.motor.speed
        row[MOTOR_LIMIT] = joint.motor.torque if joint.kind == "hinge" else joint.motor.force
    return row
