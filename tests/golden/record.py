"""``python -m tests.golden.record``: record the golden archives again, after an intended change of the simulation.

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

from tests.support.paths import BODIES as CATALOGUE
from tussle.server.archive.archive import Archive
from tussle.server.modes.mode import Seat, stream
from tussle.server.modes.registry import get_mode
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulation import Advance, Input, SessionSpec, Simulation

__all__ = ["ARCHIVE", "GOLDEN"]

ARCHIVE = Path(__file__).parent / "archive"
SEED = 20_261_121
SANDBOX_TICKS = 600

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


def _spec(mode: str, bodies: tuple[str, ...], params: dict[str, Any], *skills: str) -> SessionSpec:
    seats = tuple(
        Seat(seat, f"p{seat}", f"bot {seat}", "bot", skill, bodies[seat]) for seat, skill in enumerate(skills)
    )
    used = {
        body: CATALOGUE[body] for body in sorted({*bodies, *params.get("bodies", ())}) if body in CATALOGUE
    }
    return SessionSpec(mode, mode, seats, used, SEED, params)


GOLDEN: dict[str, tuple[SessionSpec, Play]] = {
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
