"""The public API of the solver: worlds of one's own, without a lobby or a server.

    from tussle.physics import Body, Material, Recipe, Scene, compile_scene, rollout, step, vertices

    model, state = compile_scene(Scene(bodies=(...)))      # checked; the Model is immutable
    state, report = step(model, state)                     # pure: the old state is unchanged
    run = rollout(model, state, 240)                       # run.q: positions [m], shape (241, nodes, 3)

Everything is SI and float64; y is up. A State has generalised positions q [m] and velocities v [m/s], shape (n, 3):
four rows for an affine body (its centre, then the rows of A^T), one row for each vertex of an elastic body.
``vertices`` gives the surface [m], shape (v, 3). Equal arguments give equal bits. Import the module before
numpy: then it computes with the CPU baseline, as servers do; else with what this CPU has, under another ``physics_id``.
Importing it loads the solver; the first step of a version compiles it, which takes minutes (``warm_up`` shows
progress).
"""

from __future__ import annotations

from tussle.lobby.cpu_baseline import use_baseline

use_baseline()

from tussle.lobby.errors import Refused, SolverFailed  # noqa: E402
from tussle.lobby.rules.joints import Joint, JointMotor, JointSpring, Pair  # noqa: E402
from tussle.lobby.rules.motions import Keyframe, Motion  # noqa: E402
from tussle.lobby.rules.scenes import Body, Handle, Material, Pin, Rail, Recipe, Scene, decode_scene  # noqa: E402
from tussle.server.physics.checkpoint import decode_state, encode_state, state_hash  # noqa: E402
from tussle.server.physics.contact_check import check_contact  # noqa: E402
from tussle.server.physics.model import (  # noqa: E402
    Model,
    affines,
    body_vertices,
    centres,
    kinetic_energy,
    vertex_velocities,
    vertices,
)
from tussle.server.physics.rollout import Rollout, rollout, trajectory  # noqa: E402
from tussle.server.physics.scene_compiler import compile_scene  # noqa: E402
from tussle.server.physics.solver import step  # noqa: E402
from tussle.server.physics.world_state import ContactCheck, Control, HandleTarget, State, StepReport  # noqa: E402
from tussle.server.solver.kernels import warm_up  # noqa: E402

__all__ = [
    "Body",
    "ContactCheck",
    "Control",
    "Handle",
    "HandleTarget",
    "Joint",
    "JointMotor",
    "JointSpring",
    "Keyframe",
    "Material",
    "Model",
    "Motion",
    "Pair",
    "Pin",
    "Rail",
    "Recipe",
    "Refused",
    "Rollout",
    "Scene",
    "SolverFailed",
    "State",
    "StepReport",
    "affines",
    "body_vertices",
    "centres",
    "check_contact",
    "compile_scene",
    "decode_scene",
    "decode_state",
    "encode_state",
    "kinetic_energy",
    "rollout",
    "state_hash",
    "step",
    "trajectory",
    "vertex_velocities",
    "vertices",
    "warm_up",
]
