"""``python -m tests.golden.record``: record the golden archives again, after an intended change of the simulation.

    tests/golden/archive/built      a scene that its members made: bdf2, moving pins, pairs, restitution, averaged
                                    elements, joints with a motor, and one that breaks
    tests/golden/archive/duel       four bots, a duel to its end
    tests/golden/archive/sandbox    two bots that drag affine bodies and an elastic one, and a body that is spawned

The sessions are played by seeded bots and written by the real archive. On one machine two recordings differ only in
their dates. tests/golden/test_golden.py uses them. A commit that changes them says why the old ones no longer hold.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tests.support.paths import BODIES as CATALOGUE
from tussle.lobby.rules.joints import Joint, JointMotor, Pair
from tussle.lobby.rules.motions import Keyframe, Motion
from tussle.lobby.rules.scenes import Body, Material, Pin, Recipe, Scene, encode_scene
from tussle.server.archive.archive import Archive
from tussle.server.modes.mode import Seat, stream
from tussle.server.modes.registry import get_mode
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulation import Advance, Input, SessionSpec, Simulation

__all__ = ["ARCHIVE", "GOLDEN"]

ARCHIVE = Path(__file__).parent / "archive"
SEED = 20_261_121
SANDBOX_TICKS = 600
BUILT_TICKS = 300

Play = Callable[[SessionSpec, Advance, dict[str, Any]], tuple[list[Input], int] | None]
"""Returns the inputs of the next advance and its largest number of ticks; None at the end of the recording."""


def _duel(spec: SessionSpec, here: Advance, brief: dict[str, Any]) -> tuple[list[Input], int] | None:
    if here.phase == "over":
        return None
    if here.phase != "acting":
        return [], 60
    assert here.seat is not None
    skill = spec.seats[here.seat].skill
    action = get_mode("duel").bot(brief, here.seat, skill, None, stream(spec.seed, here.turn, here.seat))
    return [Input(here.seat, action.kind, here.turn + 1, action.d)], 60


def _sandbox(spec: SessionSpec, here: Advance, brief: dict[str, Any]) -> tuple[list[Input], int] | None:
    if here.tick >= SANDBOX_TICKS:
        return None
    inputs = []
    if any(kind == "brief" for _, kind, _ in here.events):
        for seat in spec.seats:
            chance = stream(spec.seed, here.tick, seat.seat)
            action = get_mode("sandbox").bot(brief, seat.seat, "", None, chance)
            if action.kind:
                inputs.append(Input(seat.seat, action.kind, here.tick + 1, action.d))
    if here.tick == 150:
        inputs.append(Input(0, "spawn", here.tick + 1, {"body": "burr", "position": [0.0, 3.2, 0.0]}))
    return inputs, 1


def _built_scene() -> Scene:
    """A block on a side that is pulled up and down, a paddle that pins turn, a ball that bounces, a sled that slides on
    little friction, a door with a motor, and a beam on a joint that breaks when the ball hits it."""
    stone = Material(density=800.0, stiffness=1e7, friction=0.5)
    jelly = Material(density=1000.0, stiffness=5e4, poisson=0.49, friction=0.5, element="averaged")
    lift = Motion(keys=(Keyframe(1.0, (0.0, 0.3, 0.0)), Keyframe(2.0)), repeat=True)
    turn = Motion(spin=1.5, until=3.0, axis=(0.0, 0.0, 1.0))
    box = Recipe("box", {"size": [0.3, 0.2, 0.3]})
    block = Recipe("block", {"size": [0.3, 0.3, 0.3], "cells": [2, 2, 2]})
    hard = Material(density=800.0, stiffness=1e7, friction=0.5, restitution=0.7)
    bodies = (
        Body("floor", Recipe("slab", {"size": [8, 0.3, 8]}), stone, "static"),
        Body("jelly", block, jelly, "elastic", position=(-1.5, 0.2, 0.0), pins=(Pin(tuple(range(9)), lift),)),
        Body("paddle", Recipe("box", {"size": [0.8, 0.1, 0.3]}), stone, position=(0.0, 1.2, 1.5),
             pins=(Pin((0, 1, 2, 3), turn),)),
        Body("ball", Recipe("sphere", {"radius": 0.15}), hard, position=(1.5, 1.6, 0.1), spin=(0.0, 2.0, 0.0)),
        Body("sled", box, stone, position=(0.0, 0.13, -1.5), velocity=(3.0, 0.0, 0.0)),
        Body("door", box, stone, position=(0.0, 1.0, -3.0)),
        Body("beam", box, stone, position=(1.5, 1.0, 0.0)),
        Body("drop", block, jelly, "elastic", position=(-1.45, 1.0, 0.05), velocity=(0.0, -2.0, 0.0)),
    )  # fmt: skip
    joints = (
        Joint(
            "hinge",
            "hinge",
            "door",
            (0.15, 1.0, -3.0),
            motor=JointMotor(2.0, torque=100.0),
            limits=(-1.0, 1.0),
        ),
        Joint("wire", "ball", "beam", (1.35, 1.1, 0.0), breaks_at=300.0),
    )
    pairs = (Pair("floor", "sled", friction=0.05), Pair("ball", "beam", restitution=0.2))
    return Scene(
        bodies=bodies,
        joints=joints,
        pairs=pairs,
        name="built",
        dt=1 / 60,
        integrator="bdf2",
        max_iterations=40,
    )


def _built(spec: SessionSpec, here: Advance, brief: dict[str, Any]) -> tuple[list[Input], int] | None:
    if here.tick >= BUILT_TICKS:
        return None
    acts: dict[int, tuple[str, dict[str, Any]]] = {
        8: ("mark", {}),
        20: ("grab", {"body": "drop", "handle": "v7"}),
        21: ("move", {"target": [-1.0, 1.5, 0.5]}),
        60: ("release", {}),
        120: ("gravity", {"strength": 3.0}),
        160: ("undo", {}),
        200: ("remove", {"body": "sled"}),
        220: ("spawn", {"body": "burr", "position": [0.0, 3.2, 0.0]}),
    }
    kind, d = acts.get(here.tick, ("", {}))
    return ([Input(0, kind, here.tick + 1, d)] if kind else []), 1


def _spec(mode: str, bodies: tuple[str, ...], params: dict[str, Any], *skills: str) -> SessionSpec:
    seats = tuple(
        Seat(seat, f"p{seat}", f"bot {seat}", "bot", skill, bodies[seat]) for seat, skill in enumerate(skills)
    )
    used = {
        body: CATALOGUE[body] for body in sorted({*bodies, *params.get("bodies", ())}) if body in CATALOGUE
    }
    return SessionSpec(mode, mode, seats, used, SEED, params)


GOLDEN: dict[str, tuple[SessionSpec, Play]] = {
    "built": (
        msgspec.structs.replace(
            _spec("sandbox", ("burr",), {}, ""), session="built", scene=encode_scene(_built_scene()).decode()
        ),
        _built,
    ),
    "duel": (_spec("duel", ("marl", "halo", "crux", "caltrop"), {}, "novice", "fair", "good", "sharp"), _duel),
    "sandbox": (
        _spec(
            "sandbox", ("cobble", "marl", "burr"),
            {"bodies": ["cobble", "marl", "jelly", "crux"], "brief_s": 0.3}, "", "",
        ),
        _sandbox,
    ),
}  # fmt: skip
"""Name of the archived session -> its specification and its players."""


async def _record(archive: Archive, name: str) -> int:
    """Play and archive one session. Returns its last tick."""
    spec, play = GOLDEN[name]
    volume = archive.volume(name, 1)
    await volume.write_manifest(spec, physics_id())
    simulation, here = Simulation.start(spec)
    volume.record(here, [])
    brief: dict[str, Any] = {}
    while True:
        for _, kind, d in here.events:
            if kind in ("turn_started", "brief"):
                brief = d
        following = play(spec, here, brief)
        if following is None:
            break
        inputs, ticks = following
        here = simulation.advance(inputs, ticks)
        volume.record(here, inputs)
        volume.keep(here.tick, simulation.checkpoint())
    await volume.end(here.tick)
    if volume.archived_tick != here.tick:
        raise OSError(f"the archive of {name} was not written")
    return here.tick


async def main() -> None:
    """Record all of them."""
    shutil.rmtree(ARCHIVE, ignore_errors=True)
    for name in GOLDEN:
        ticks = await _record(Archive(str(ARCHIVE)), name)
        size = sum(path.stat().st_size for path in (ARCHIVE / name).iterdir())
        sys.stdout.write(f"{name}: {ticks} ticks, {size / 1024:.0f} KiB, physics {physics_id()}\n")


if __name__ == "__main__":
    asyncio.run(main())
