"""``python -m bench.physics.fuzz [--scenes 2000] [--first 0] [--limit-s 60]``: random scenes, two contact checkers.

A scene has up to seven bodies of any shape and kind on the ground, in a bowl or beside a rail; sizes, masses,
stiffness, friction, dhat, dt and speeds are drawn over decades; some have joints, pins that move, restitution, pairs,
averaged elements or the integrator bdf2. While it runs, bodies get kicks and pulls. Each state
is checked by ipctk (contact_check) and by the checker of this file, which shares no code with it: edges against
triangles in exact rational arithmetic, and parity of rays. A scene has a time limit; those that reach it are counted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np

from tussle.lobby.errors import Refused
from tussle.lobby.rules.joints import Joint, JointMotor, JointSpring, Pair
from tussle.lobby.rules.motions import Motion
from tussle.lobby.rules.scenes import Body, Handle, Material, Pin, Rail, Recipe, Scene
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.model import Model, vertices
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Control, Floats, HandleTarget, State

__all__ = ["SecondChecker", "draw_scene", "main", "run_scene"]

TICKS = 30
SHAPES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("box", {"size": [0.3, 0.3, 0.3]}),
    ("box", {"size": [0.4, 0.08, 0.3]}),
    ("box", {"size": [0.06, 0.06, 0.6]}),
    ("sphere", {"radius": 0.15}),
    ("torus", {"R": 0.2, "r": 0.06, "n": 8, "m": 5}),
    ("tetra", {"R": 0.25}),
    ("lathe", {"profile": [[0.01, 0.2], [0.15, -0.1]], "n": 6}),
    ("cross", {"R": 0.2, "w": 0.08, "h": 0.08}),
)


def _crosses(p: Any, q: Any, a: Any, b: Any, c: Any) -> bool:
    """Whether the segment p q passes through the triangle a b c, exactly; touching counts."""
    p, q, a, b, c = ([Fraction(float(x)) for x in point] for point in (p, q, a, b, c))

    def volume(o: Any, x: Any, y: Any, z: Any) -> Fraction:
        u, v, w = ([s - t for s, t in zip(point, o, strict=True)] for point in (x, y, z))
        return Fraction(
            u[0] * (v[1] * w[2] - v[2] * w[1])
            - u[1] * (v[0] * w[2] - v[2] * w[0])
            + u[2] * (v[0] * w[1] - v[1] * w[0])
        )

    above, below = volume(p, a, b, c), volume(q, a, b, c)
    if above * below > 0 or above == below == 0:
        return False
    sides = [volume(p, q, a, b), volume(p, q, b, c), volume(p, q, c, a)]
    return all(side >= 0 for side in sides) or all(side <= 0 for side in sides)


class SecondChecker:
    """Finds intersections and containment in a state without ipctk."""

    def __init__(self, model: Model) -> None:
        t = model.tables
        self._model = model
        self._faces = t.faces
        directed = np.concatenate([t.faces[:, [0, 1]], t.faces[:, [1, 2]], t.faces[:, [2, 0]]])
        self._edges = np.unique(np.sort(directed, axis=1), axis=0)
        self._group = t.vertex_group
        self._bodies = len(model.body_ids)
        names = [*model.body_ids, *model.static_ids]
        self._apart = {
            (names.index(one.a), names.index(one.b))
            for one in (*model.scene.joints, *model.scene.pairs)
            if not one.collide and one.b is not None
        }
        self._apart |= {(b, a) for a, b in self._apart}
        self._closed = []
        for group in range(len(t.face_start) - 1):
            own = t.faces[t.face_start[group] : t.face_start[group + 1]]
            ends = np.concatenate([own[:, [0, 1]], own[:, [1, 2]], own[:, [2, 0]]])
            self._closed.append(set(map(tuple, ends.tolist())) == set(map(tuple, ends[:, ::-1].tolist())))

    def find(self, state: State) -> str:
        """Return what is wrong with a state, or an empty text."""
        x = np.concatenate([vertices(self._model, state), self._model.static_vertices])
        hit = self._intersection(x)
        return hit or self._containment(x)

    def _intersection(self, x: Floats) -> str:
        faces, edges, group = self._faces, self._edges, self._group
        low, high = x[faces].min(axis=1), x[faces].max(axis=1)
        for start in range(0, len(edges), 256):
            part = edges[start : start + 256]
            near = (
                (x[part].min(axis=1)[:, None] <= high[None]) & (low[None] <= x[part].max(axis=1)[:, None])
            ).all(axis=2)
            e, f = np.nonzero(near)
            own = group[part[e, 0]], group[faces[f, 0]]
            shared = (part[e][:, :, None] == faces[f][:, None, :]).any(axis=(1, 2))
            keep = ~shared & ((own[0] < self._bodies) | (own[1] < self._bodies))
            e, f = e[keep], f[keep]
            p, q = x[part[e, 0]], x[part[e, 1]]
            a, b, c = x[faces[f, 0]], x[faces[f, 1]], x[faces[f, 2]]
            normal = np.cross(b - a, c - a)
            above, below = ((p - a) * normal).sum(axis=1), ((q - a) * normal).sum(axis=1)
            along = q - p
            sides = np.stack(
                [(along * np.cross(m - p, n - p)).sum(axis=1) for m, n in ((a, b), (b, c), (c, a))]
            )
            scale = 1e-9 * np.abs(sides).max(axis=0)
            maybe = (above * below <= 1e-9 * np.maximum(above**2, below**2)) & (
                (sides >= -scale).all(axis=0) | (sides <= scale).all(axis=0)
            )
            for n in np.flatnonzero(maybe):
                if (group[part[e[n], 0]], group[faces[f[n], 0]]) in self._apart:
                    continue
                if _crosses(p[n], q[n], a[n], b[n], c[n]):
                    return f"an edge of group {group[part[e[n], 0]]} is in a face of group {group[faces[f[n], 0]]}"
        return ""

    def _containment(self, x: Floats) -> str:
        t = self._model.tables
        way = np.array([0.5377, 0.8334, 0.1276])
        groups = len(self._closed)
        for outer in range(groups):
            if not self._closed[outer]:
                continue
            own = self._faces[t.face_start[outer] : t.face_start[outer + 1]]
            a, b, c = (x[own[:, k]] for k in range(3))
            for inner in range(groups):
                if inner == outer or (inner >= self._bodies and outer >= self._bodies):
                    continue
                if (inner, outer) in self._apart:
                    continue
                p = x[t.vertex_start[inner]]
                if (p < np.minimum(np.minimum(a, b), c).min(axis=0)).any():
                    continue
                sides = np.stack([np.cross(m - p, n - p) @ way for m, n in ((a, b), (b, c), (c, a))])
                through = (sides > 0).all(axis=0) | (sides < 0).all(axis=0)
                normal = np.cross(b - a, c - a)
                ahead = ((a - p) * normal).sum(axis=1) * (normal @ way) > 0
                if (through & ahead).sum() % 2:
                    return f"group {inner} is inside group {outer}"
        return ""


def draw_scene(seed: int) -> Scene:
    """Draw a scene."""
    rng = np.random.default_rng([17, seed])

    def decade(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    friction = float(rng.choice([0.0, 0.3, 1.0]))
    base = Recipe("slab", {"size": [6, 0.3, 6]}) if rng.random() < 0.6 else Recipe("bowl", {"radius": 1.2})
    bodies = [Body("ground", base, Material(density=1.0, friction=friction), "static")]
    if rng.random() < 0.3:
        rail = Rail(
            amplitude=tuple(rng.uniform(-0.3, 0.3, 3).tolist()),
            frequency=decade(0.2, 3.0),
            spin=decade(0.1, 10),
        )
        bodies.append(
            Body(
                "rail",
                Recipe("box", {"size": [0.3] * 3}),
                Material(density=1000.0),
                "rail",
                position=(0, 1.0, 0),
                rail=rail,
            )
        )
    fast, place = decade(0.5, 40.0), 0.0
    for number in range(int(rng.integers(1, 8))):
        elastic = rng.random() < 0.35
        kind, params = SHAPES[rng.integers(len(SHAPES))]
        if elastic:
            cells = rng.integers(1, 4, size=3).tolist()
            kind, params = "block", {"size": rng.uniform(0.1, 0.4, 3).tolist(), "cells": cells}
        size = decade(0.4, 1.5)
        params = {
            name: [v * size for v in value] if name == "size"
            else [[v * size for v in row] for row in value] if name == "profile"
            else value * size if name in {"R", "r", "radius", "w", "h"} else value
            for name, value in params.items()
        }  # fmt: skip
        place += 0.55 * max(1.0, size)
        bodies.append(
            Body(
                f"b{number}",
                Recipe(kind, params),
                Material(
                    density=decade(50, 2e4),
                    stiffness=decade(3e3, 1e6) if elastic else decade(1e4, 1e9),
                    poisson=float(rng.choice([0.0, 0.3, 0.45])),
                    friction=friction,
                ),
                "elastic" if elastic else "affine",
                position=(float(rng.uniform(-0.3, 0.3)), 1.0 + place, float(rng.uniform(-0.3, 0.3))),
                rotation=tuple(rng.normal(size=4).tolist()),
                velocity=tuple((rng.normal(size=3) * fast).tolist()),
                spin=tuple((rng.normal(size=3) * decade(0.1, 30)).tolist()),
                handles=(Handle("h", (0, 1)),),
            )
        )
    bodies, fields = _with_features(seed, bodies)
    return Scene(
        bodies=tuple(bodies),
        **fields,
        dt=float(rng.choice([1 / 240, 1 / 120, 1 / 60, 1 / 30])),
        dhat=decade(3e-4, 1e-2),
        max_iterations=int(rng.choice([8, 25, 100])),
    )


def _with_features(seed: int, bodies: list[Body]) -> tuple[list[Body], dict[str, Any]]:
    """Return the bodies, some with another material or with pins that move, and the fields of the scene beyond them.

    Their numbers are drawn apart from those of the bodies, so that a seed keeps its bodies when a feature is added.
    """
    rng = np.random.default_rng([19, seed])
    fields: dict[str, Any] = {"integrator": "bdf2" if rng.random() < 0.35 else "implicit_euler"}
    lively, averaged = rng.random() < 0.35, rng.random() < 0.6
    movable = [body for body in bodies if body.kind in ("affine", "elastic")]
    changed: dict[str, Body] = {}
    for body in movable:
        material, pins = body.material, body.pins
        bounce, soft, held = rng.random(), rng.random(), rng.random()
        if body.kind == "affine" and lively:
            material = msgspec.structs.replace(material, restitution=bounce)
        if body.kind == "elastic" and averaged and soft < 0.8:
            material = msgspec.structs.replace(
                material, element="averaged", poisson=float(rng.choice([0.3, 0.49]))
            )
        motion = Motion(
            velocity=tuple(rng.normal(size=3).tolist()),
            spin=float(rng.normal()),
            until=float(rng.uniform(0.1, 1.0)),
        )
        if held < 0.12:
            pins = (Pin((0, 1, 2), motion if held < 0.08 else None),)
        changed[body.id] = msgspec.structs.replace(body, material=material, pins=pins)
    bodies = [changed.get(body.id, body) for body in bodies]
    names = [body.id for body in movable]
    if rng.random() < 0.4:
        fields["joints"] = tuple(
            joint for number in range(int(rng.integers(1, 4))) if (joint := _draw_joint(rng, number, movable))
        )
    if rng.random() < 0.3:
        bounces = any(changed[name].kind == "affine" for name in names)
        fields["pairs"] = (
            Pair(
                "ground", names[0], friction=float(rng.uniform(0, 2)),
                restitution=float(rng.random()) if bounces else None,
            ),
        )  # fmt: skip
    return bodies, fields


def _draw_joint(rng: np.random.Generator, number: int, movable: list[Body]) -> Joint | None:
    """Draw a joint of a body with the next one, or with the world."""
    at = int(rng.integers(len(movable)))
    a, b = movable[at], movable[at + 1] if at + 1 < len(movable) and rng.random() < 0.6 else None
    kind = str(rng.choice(["ball", "hinge", "slider", "fixed", "distance"]))
    if "elastic" in (a.kind, b.kind if b else "") and kind not in ("ball", "distance"):
        kind = "ball"
    axis = rng.normal(size=3)
    limits = {"ball": (0.0, 1.0), "hinge": (-1.0, 0.5), "slider": (-0.2, 0.3)}.get(kind)
    driven = rng.random()
    motor = spring = None
    if kind in ("hinge", "slider") and driven < 0.3:
        size = float(np.exp(rng.uniform(0.0, 7.0)))
        motor = JointMotor(float(rng.normal() * 3.0), **{"torque" if kind == "hinge" else "force": size})
    elif kind in ("hinge", "slider", "distance") and driven < 0.5:
        spring = JointSpring(float(np.exp(rng.uniform(2.0, 9.0))), float(rng.uniform(0.0, 10.0)))
    far = tuple(
        (np.array(b.position if b else a.position) + np.array([0.0, 0.0 if b else 0.5, 0.0])).tolist()
    )
    anchor = a.position if kind == "distance" else tuple(((np.array(a.position) + far) / 2).tolist())
    return Joint(
        f"j{number}",
        kind,  # type: ignore[arg-type]
        a.id,
        anchor,
        b.id if b else None,
        far if kind == "distance" else None,
        axis=tuple(axis.tolist()),
        limits=limits if rng.random() < 0.5 else None,
        motor=motor,
        spring=spring,
        breaks_at=float(np.exp(rng.uniform(2.0, 9.0))) if rng.random() < 0.3 else 0.0,
        collide=bool(rng.random() < 0.5),
    )


def run_scene(seed: int, limit_s: float) -> tuple[str, int, int]:
    """Return what became of a scene, its ticks, and those that ended at the iteration limit."""
    rng = np.random.default_rng([18, seed])
    try:
        model, state = compile_scene(draw_scene(seed))
    except Refused as refusal:
        return f"refused: {refusal.message[:60]}" if "inters" not in refusal.message else "refused", 0, 0
    checker, capped, began = SecondChecker(model), 0, time.monotonic()
    movable = [n for n, kind in enumerate(model.kinds) if kind != "rail"]
    for tick in range(TICKS):
        kicks, pulls = {}, ()
        if tick % 10 == 5:
            kicks = {
                int(rng.choice(movable)): (tuple(rng.normal(size=3) * 10.0), tuple(rng.normal(size=3) * 20.0))
            }
        if tick % 10 > 6:
            target = tuple(rng.uniform(-1, 1, size=3))
            pulls = (HandleTarget(int(rng.choice(movable)), "h", target, 1e4, 10.0, 5e3),)
        state, report = step(model, state, Control(velocity_change=kicks, handles=pulls))
        capped += not report.converged
        check = check_contact(model, state)
        second = checker.find(state)
        if not check.passed or second:
            return f"BROKEN at tick {tick}: ipctk {check}, second: {second or 'nothing'}", tick + 1, capped
        if not report.min_distance > 0:
            return f"BROKEN at tick {tick}: smallest distance {report.min_distance}", tick + 1, capped
        if time.monotonic() - began > limit_s:
            return "time limit", tick + 1, capped
    return "clean", TICKS, capped


def main() -> None:
    """Run the scenes and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--limit-s", type=float, default=60.0)
    options = parser.parse_args()
    ends: Counter[str] = Counter()
    ticks = capped = 0
    began = time.monotonic()
    for seed in range(options.first, options.first + options.scenes):
        end, played, limited = run_scene(seed, options.limit_s)
        ticks, capped = ticks + played, capped + limited
        ends[end if end in {"clean", "refused", "time limit"} else end.split(" ")[0].strip(":")] += 1
        if end not in {"clean", "refused"}:
            sys.stdout.write(f"scene {seed}: {end}\n")
        if (seed + 1) % 50 == 0:
            sys.stdout.write(
                f"{seed + 1 - options.first} scenes, {dict(ends)}, {ticks} ticks, {capped} at the limit, "
                f"{time.monotonic() - began:.0f} s\n"
            )
        sys.stdout.flush()
    sys.stdout.write(f"| scenes | {dict(ends)} | {ticks} ticks | {capped} at the limit |\n")


if __name__ == "__main__":
    main()
