"""A compiled scene with its state: the solver's side of a simulation. Immutable.

    Effect (push, halt, remove, place, rebuild) -> World -> View (rules), frame and topology (wire), digest (hash)

It must never know a mode's rules, a clock or a socket. Importing it loads the solver.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import msgspec
import numpy as np

from tussle.lobby.errors import Diverged, ProtocolError
from tussle.lobby.rules.rotations import rotation_matrix
from tussle.lobby.rules.scenes import Quaternion, Scene, Vector
from tussle.lobby.wire.frames import BodyKind, TopologyBody
from tussle.server.modes.mode import Effect, View
from tussle.server.physics.checkpoint import decode_state, encode_state
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.integrators import carry_past, with_past
from tussle.server.physics.model import Model, affines, body_vertices, motion_energies, parking
from tussle.server.physics.path_check import check_path
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.stored_meshes import load_mesh
from tussle.server.physics.world_state import (
    Bools,
    ContactCheck,
    Control,
    Floats,
    PathCheck,
    State,
    StepReport,
)

__all__ = ["World"]


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """One scene at one tick. version: number of rebuilds, but for those that change only the gravity; frames and
    topology carry it. affine: all movable bodies are affine, so that arrays can be sliced without a look at each body.
    still: the report of a tick in which nothing moved. grips: every body has handles besides those that the scene
    names."""

    model: Model
    state: State
    version: int
    affine: bool
    still: StepReport
    grips: bool = False

    @classmethod
    def compile(cls, scene: Scene, *, grips: bool = False) -> World:
        """The world at the start of a scene. Raises Refused (bad_scene) when the scene intersects."""
        return cls._of(*compile_scene(scene, load_mesh=load_mesh, grips=grips), 0, grips)

    @classmethod
    def decode(cls, scene: Scene, data: bytes, version: int, *, grips: bool = False) -> World:
        """The world of a state that ``encode`` returned, for the same scene. Raises ProtocolError (bad_checkpoint)."""
        model, first = compile_scene(scene, load_mesh=load_mesh, check=False, grips=grips)
        try:
            state = decode_state(data)
        except Diverged as error:
            raise ProtocolError(error.message, code="bad_checkpoint") from None
        if state.q.shape != first.q.shape or state.active.shape != first.active.shape:
            raise ProtocolError("a checkpoint of another scene", code="bad_checkpoint")
        if state.broken.shape != first.broken.shape or state.q_past.shape != first.q_past.shape:
            raise ProtocolError("a checkpoint of another scene", code="bad_checkpoint")
        return cls._of(model, state, version, grips)

    @classmethod
    def _of(cls, model: Model, state: State, version: int, grips: bool) -> World:
        none = np.zeros((len(model.body_ids) + 1,) * 2 + (3,))
        still = StepReport(0, 0, math.inf, True, 0.0, 0.0, 0.0, none, none)
        return cls(model, state, version, all(kind == "affine" for kind in model.kinds), still, grips)

    def _at(self, state: State) -> World:
        return World(self.model, state, self.version, self.affine, self.still, self.grips)

    def encode(self) -> bytes:
        """The exact state, as bytes for ``decode``."""
        return encode_state(self.state)

    def digest(self, rules: bytes) -> bytes:
        """A hash of the state and of the encoded rules: 16 bytes."""
        state = self.state
        digest = hashlib.blake2b(digest_size=16)
        digest.update(state.tick.to_bytes(8, "little"))
        digest.update(state.q.tobytes())
        digest.update(state.v.tobytes())
        digest.update(state.active.tobytes())
        digest.update(state.broken.tobytes())
        digest.update(state.q_past.tobytes())
        digest.update(state.v_past.tobytes())
        digest.update(state.collided.tobytes())
        digest.update(rules)
        return digest.digest()

    def check_contact(self) -> ContactCheck:
        """The contact check of the present state by ipctk."""
        return check_contact(self.model, self.state)

    def check_path(self, control: Control | None) -> PathCheck:
        """The check of the path that ``step`` takes with a control, by ipctk's CCD. Costs several steps."""
        return PathCheck(0) if control is None else check_path(self.model, self.state, control)

    def step(self, control: Control | None) -> tuple[World, StepReport]:
        """The world one tick later, with the report of the step. Without a control nothing moves in that tick.

        Raises SolverFailed when the step fails.
        """
        if control is None:
            return self._at(replace(self.state, tick=self.state.tick + 1)), self.still
        state, report = step(self.model, self.state, control)
        return self._at(state), report

    def energies(self) -> tuple[float, ...]:
        """The ENERGIES of the present state [J]. Contacts are not searched for: barrier and friction are 0."""
        model = replace(
            self.model,
            scene=msgspec.structs.replace(self.model.scene, max_iterations=0),
            gravity=np.zeros_like(self.model.gravity),
            rails=(),
        )
        rest = self._moved(self.state.q, np.zeros_like(self.state.v), self.state.active, True).state
        _, report = step(model, rest)  # without an iteration and a way to go it moves nothing, and measures
        kinetic, _ = motion_energies(self.model, self.state)
        return kinetic, report.gravity, report.elastic, report.springs, 0.0, 0.0

    def affected(self, effect: Effect) -> World:
        """The world after an effect: remove, place, halt and push, in this order. The effect changes the state, so a
        checkpoint between two ticks has it."""
        if not (effect.push or effect.remove or effect.halt or effect.place):
            return self
        model, state = self.model, self.state
        q, active = state.q.copy(), state.active.copy()
        v = np.zeros_like(state.v) if effect.halt else state.v.copy()
        for body in effect.remove:
            active[body] = False
            q[self._nodes(body)] = parking(model, body)
            v[self._nodes(body)] = 0.0
        for body, (position, rotation) in effect.place.items():
            active[body] = True
            q[self._nodes(body)] = self._pose(body, position, rotation)
            v[self._nodes(body)] = 0.0
        for body, (velocity, spin) in effect.push.items():
            rows = self._nodes(body)
            if model.kinds[body] == "elastic":
                v[rows] += velocity + np.cross(spin, q[rows] - q[rows].mean(axis=0))
            else:
                v[rows.start] += velocity
                v[rows.start + 1 : rows.stop] += np.cross(spin, q[rows.start + 1 : rows.stop])
        still = np.full(len(q), effect.halt)
        for body in (*effect.remove, *effect.place):
            still[self._nodes(body)] = True
        for body in effect.push:
            still[self._nodes(body)] = False
        return self._moved(q, v, active, still)

    def _moved(self, q: Floats, v: Floats, active: Bools, rest: Bools | bool) -> World:
        """This world with its nodes moved and pushed. rest: which of them are at rest now."""
        still = np.full(len(q), rest) if isinstance(rest, bool) else rest
        q_past, v_past = carry_past(self.state, q, v, self.model.dt, still)
        return self._at(replace(self.state, q=q, v=v, active=active, q_past=q_past, v_past=v_past))

    def posed(self, poses: list[Floats | None]) -> World:
        """The world at tick 0 and at rest, with the given nodes of each body; None for a body that is out."""
        q = self.state.q.copy()
        active = np.ones_like(self.state.active)
        for body, pose in enumerate(poses):
            active[body] = pose is not None
            q[self._nodes(body)] = parking(self.model, body) if pose is None else pose
        moved = self._moved(q, np.zeros_like(q), active, True)
        return self._at(replace(moved.state, tick=0, collided=np.zeros_like(self.state.collided)))

    def rebuilt(self, scene: Scene) -> World:
        """The same world with the bodies of ``scene``. Bodies of the same id keep their state, new bodies take the
        pose that the scene gives them, and all other bodies are removed. The mode checks that a new body has space.
        The version stays if only the gravity differs: the topology is then the same."""
        model, first = compile_scene(scene, load_mesh=load_mesh, check=False, grips=self.grips)
        q, v, active = first.q.copy(), first.v.copy(), first.active.copy()
        kept = []
        moving = [body for body in scene.bodies if body.kind != "static"]
        before = self.model.scene
        same = msgspec.structs.replace(scene, gravity=before.gravity) == before
        new = World._of(model, first, self.version + (not same), self.grips)
        for number, body in enumerate(moving):
            rows = new._nodes(number)
            if body.id in self.model.body_ids:
                old = self.model.body(body.id)
                q[rows], v[rows] = self.state.q[self._nodes(old)], self.state.v[self._nodes(old)]
                active[number] = self.state.active[old]
                kept.append((number, old))
            else:
                q[rows] = new._pose(number, body.position, body.rotation)
        broke = set(self._broken())
        broken = np.array([joint.id in broke for joint in model.joints], dtype=bool)
        state = State(q=q, v=v, active=active, tick=self.state.tick, broken=broken)
        if len(first.q_past):
            state = with_past(state, model.tables, model.gravity, model.dt)
            for number, old in kept:
                rows, past = new._nodes(number), self._nodes(old)
                state.q_past[rows], state.v_past[rows] = self.state.q_past[past], self.state.v_past[past]
                state.collided[number] = self.state.collided[old]
        return new._at(state)

    def restart(self, scene: Scene) -> World:
        """The world as ``scene`` begins, at the present tick, as the next version."""
        model, first = compile_scene(scene, load_mesh=load_mesh, check=False, grips=self.grips)
        state = replace(first, tick=self.state.tick)
        return World._of(model, state, self.version + 1, self.grips)

    def returned(self, now: World) -> World:
        """This earlier world at the tick of a later one, as its next version."""
        state = replace(self.state, tick=now.state.tick)
        return World(self.model, state, now.version + 1, self.affine, self.still, self.grips)

    def view(self, report: StepReport | None = None) -> View:
        """The world for the rules; without a report, between two ticks."""
        model, state = self.model, self.state
        if self.affine:
            q, v = state.q.reshape(-1, 4, 3), state.v.reshape(-1, 4, 3)
            radii = model.bounding_radius
        else:
            q, v = _fitted(model, state), _fitted(model, replace(state, q=state.v))
            radii = self._radii(q[:, 0])
        last = report or self.still
        return View(
            tick=state.tick,
            dt=model.dt,
            ids=model.body_ids,
            positions=q[:, 0],
            velocities=v[:, 0],
            rows=q[:, 1:],
            rates=v[:, 1:],
            masses=model.masses,
            moments=model.tables.mass[:, 1:, 1:],
            radii=radii,
            active=state.active,
            impulses=last.impulses,
            points=last.points,
            min_distance=last.min_distance,
            contacts=last.contacts,
            iterations=last.iterations,
            kinetic=last.kinetic,
            energy=last.kinetic + last.gravity + last.elastic,
            grip=self.grip,
            broken=self._broken(),
        )

    def _broken(self) -> tuple[str, ...]:
        """The ids of the joints that are broken."""
        joints, broken = self.model.joints, self.state.broken
        return tuple(joints[number].id for number in np.flatnonzero(broken)) if len(broken) else ()

    def grip(self, body: int, handle: str) -> Vector:
        """The position of a handle [m]. Raises KeyError if the body has no handle of that name."""
        nodes, shares = self.model.handles[body, handle]
        x, y, z = shares @ self.state.q[nodes]
        return float(x), float(y), float(z)

    def frame_rows(self) -> tuple[Floats, tuple[int, ...] | None]:
        """The rows of a frame, (n, 3), and the number of rows of each body (None: four each)."""
        if self.affine:
            return self.state.q, None
        parts = [
            body_vertices(self.model, self.state, body)
            if kind == "elastic"
            else self.state.q[self._nodes(body)]
            for body, kind in enumerate(self.model.kinds)
        ]
        return np.concatenate(parts), tuple(len(part) for part in parts)

    def topology(self, owners: list[tuple[int | None, str]]) -> Iterator[TopologyBody]:
        """The meshes of all bodies, each with its seat and catalogue id, then those of the obstacles."""
        model, tables, count = self.model, self.model.tables, len(self.model.body_ids)
        for body, (name, (seat, catalogue_id)) in enumerate(zip(model.body_ids, owners, strict=True)):
            vertices, faces = model.surface(body)
            yield TopologyBody(
                id=name,
                kind=cast(BodyKind, model.kinds[body]),
                vertices=vertices.astype(np.float32),
                faces=faces.astype(np.uint32),
                seat=seat,
                body=catalogue_id,
            )
        first = tables.vertex_start[count]
        for group, name in enumerate(model.static_ids, count):
            begin, end = tables.vertex_start[group] - first, tables.vertex_start[group + 1] - first
            triangles = tables.faces[tables.face_start[group] : tables.face_start[group + 1]]
            yield TopologyBody(
                id=name,
                kind="static",
                vertices=model.static_vertices[begin:end].astype(np.float32),
                faces=(triangles - tables.vertex_start[group]).astype(np.uint32),
            )

    def _radii(self, centres: Floats) -> Floats:
        """The present bounding radii [m], (n,): elastic bodies stretch."""
        radii = self.model.bounding_radius.copy()
        for body, kind in enumerate(self.model.kinds):
            if kind == "elastic":
                reach = np.linalg.norm(self.state.q[self._nodes(body)] - centres[body], axis=1).max()
                radii[body] = max(radii[body], reach)
        return radii

    def _nodes(self, body: int) -> slice:
        return slice(int(self.model.node_offset[body]), int(self.model.node_offset[body + 1]))

    def _pose(self, body: int, position: Vector, rotation: Quaternion) -> Floats:
        """The nodes of a body at rest in a pose [m]."""
        turn = rotation_matrix(rotation)
        if self.model.kinds[body] == "elastic":
            return np.asarray(self.model.rest_nodes[self._nodes(body)] @ turn.T + position)
        return np.concatenate([np.array(position, dtype=np.float64)[None], turn.T])


def _fitted(model: Model, state: State) -> Floats:
    """Centre and images of the local axes of each body, (n, 4, 3). Elastic bodies give their best affine fit."""
    maps = affines(model, state)
    return np.concatenate([maps[:, None, :, 3], maps[:, :, :3].transpose(0, 2, 1)], axis=1)
