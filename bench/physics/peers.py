"""The pile of cubes in other installed engines, with the same contact check.

Each engine gets the cubes of a scene as boxes of the same size, mass and position, and the same walls. After every
frame the poses of its boxes are written into a state of Tussle, which is checked for contact.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tussle.lobby.rules.scenes import Body, Scene
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.model import Model
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Floats, State

__all__ = ["peers"]

FRAMES = 120
HALF = 0.15
Frames = Callable[[], tuple[Floats, Floats]]
"""Advances one frame; returns positions (n, 3) [m] and rotations (n, 3, 3)."""


def peers(scene: Scene) -> Iterator[dict[str, Any]]:
    """Measure Tussle, then every other installed engine."""
    model, state = compile_scene(scene)
    yield _tussle(model, state)
    for name, package, make in (
        ("MuJoCo rigid", "mujoco", _mujoco),
        ("PyBullet rigid", "pybullet", _pybullet),
        ("Newton VBD, CPU", "newton", _newton),
    ):
        if importlib.util.find_spec(package) is not None:
            yield _run(name, model, state, make(scene))


def _tussle(model: Model, state: State) -> dict[str, Any]:
    spent, broken = 0.0, 0
    for _ in range(FRAMES):
        start = time.thread_time()
        state, _ = step(model, state)
        spent += time.thread_time() - start
        broken += not check_contact(model, state).passed
    return {"engine": "Tussle", "ms": spent / FRAMES * 1e3, "broken": broken, "frames": FRAMES}


def _run(name: str, model: Model, state: State, frame: Frames) -> dict[str, Any]:
    spent, broken = 0.0, 0
    for _ in range(FRAMES):
        start = time.thread_time()
        places, turns = frame()
        spent += time.thread_time() - start
        q = np.concatenate([places[:, None], np.swapaxes(turns, 1, 2)], axis=1).reshape(-1, 3)
        broken += not check_contact(model, State(q=q, v=state.v, active=state.active)).passed
    return {"engine": name, "ms": spent / FRAMES * 1e3, "broken": broken, "frames": FRAMES}


def _split(scene: Scene) -> tuple[list[Body], list[Body]]:
    cubes = [b for b in scene.bodies if b.kind != "static"]
    return cubes, [b for b in scene.bodies if b.kind == "static"]


def _mujoco(scene: Scene) -> Frames:
    import mujoco

    cubes, obstacles = _split(scene)
    text = [f'<mujoco><option timestep="{scene.dt}" gravity="0 -9.81 0"/>']
    text.append('<default><geom friction="0.3"/></default><worldbody>')
    for b in obstacles:
        x, y, z = b.shape.params["size"]
        px, py, pz = b.position
        text.append(f'<geom type="box" size="{x / 2} {y / 2} {z / 2}" pos="{px} {py - y / 2} {pz}"/>')
    for b in cubes:
        place, turn = " ".join(map(str, b.position)), " ".join(map(str, b.rotation))
        text.append(f'<body pos="{place}" quat="{turn}"><freejoint/>')
        text.append(f'<geom type="box" size="{HALF} {HALF} {HALF}" density="{b.material.density}"/></body>')
    text.append("</worldbody></mujoco>")
    world = mujoco.MjModel.from_xml_string("".join(text))
    data = mujoco.MjData(world)

    def frame() -> tuple[Floats, Floats]:
        mujoco.mj_step(world, data)
        mujoco.mj_kinematics(world, data)
        return data.xpos[1:].copy(), data.xmat[1:].reshape(-1, 3, 3).copy()

    return frame


def _pybullet(scene: Scene) -> Frames:
    import pybullet

    client = pybullet.connect(pybullet.DIRECT)
    cubes, obstacles = _split(scene)
    pybullet.setGravity(0, -9.81, 0, physicsClientId=client)
    pybullet.setTimeStep(scene.dt, physicsClientId=client)
    for b in obstacles:
        x, y, z = b.shape.params["size"]
        px, py, pz = b.position
        box = pybullet.createCollisionShape(
            pybullet.GEOM_BOX, halfExtents=[x / 2, y / 2, z / 2], physicsClientId=client
        )
        pybullet.createMultiBody(0, box, basePosition=[px, py - y / 2, pz], physicsClientId=client)
    box = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=[HALF] * 3, physicsClientId=client)
    bodies = []
    for b in cubes:
        w, x, y, z = np.array(b.rotation) / np.linalg.norm(b.rotation)
        mass = b.material.density * (2 * HALF) ** 3
        made = pybullet.createMultiBody(
            mass, box, basePosition=b.position, baseOrientation=[x, y, z, w], physicsClientId=client
        )
        pybullet.changeDynamics(made, -1, lateralFriction=0.3, physicsClientId=client)
        bodies.append(made)

    def frame() -> tuple[Floats, Floats]:
        pybullet.stepSimulation(physicsClientId=client)
        found = [pybullet.getBasePositionAndOrientation(b, physicsClientId=client) for b in bodies]
        places = np.array([place for place, _ in found])
        turns = np.array([pybullet.getMatrixFromQuaternion(turn) for _, turn in found]).reshape(-1, 3, 3)
        return places, turns

    return frame


def _newton(scene: Scene) -> Frames:
    """Newton's vertex block descent for rigid bodies, with its own defaults. Its kernels compile before the first frame
    is timed."""
    import newton
    import warp

    warp.config.quiet = True
    cubes, obstacles = _split(scene)
    builder = newton.ModelBuilder(up_axis=newton.Axis.Y)
    for b in obstacles:
        x, y, z = b.shape.params["size"]
        px, py, pz = b.position
        builder.add_shape_box(
            -1,
            xform=warp.transform((px, py - y / 2, pz), warp.quat_identity()),
            hx=x / 2, hy=y / 2, hz=z / 2,
            cfg=newton.ModelBuilder.ShapeConfig(mu=0.3),
        )  # fmt: skip
    for b in cubes:
        w, x, y, z = np.array(b.rotation) / np.linalg.norm(b.rotation)
        body = builder.add_body(xform=warp.transform(b.position, warp.quat(x, y, z, w)))
        config = newton.ModelBuilder.ShapeConfig(density=b.material.density, mu=0.3)
        builder.add_shape_box(body, hx=HALF, hy=HALF, hz=HALF, cfg=config)
    builder.color()
    model = builder.finalize(device="cpu")
    solver = newton.solvers.SolverVBD(model)
    pipeline = newton.CollisionPipeline(model)
    contacts = pipeline.contacts()
    states = [model.state(), model.state()]
    control = model.control()

    def advance() -> None:
        now, then = states
        now.clear_forces()
        pipeline.collide(now, contacts)
        solver.step(now, then, control, contacts, scene.dt)
        states.reverse()

    advance()  # compiles
    states[0].assign(model.state())
    solver = newton.solvers.SolverVBD(model)

    def frame() -> tuple[Floats, Floats]:
        advance()
        poses = states[0].body_q.numpy()
        x, y, z, w = poses[:, 3:].T
        turns = np.array([
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ])  # fmt: skip
        return poses[:, :3].astype(float), np.moveaxis(turns, 2, 0).astype(float)

    return frame
