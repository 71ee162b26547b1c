"""A small session that was really simulated and archived, for tests that change its files.

epoch 1    parts 0..3: ticks 1 to 26, checkpoints at 0, 10 and 20; the store had the one of tick 20. Then it was
           killed while it wrote part 4
epoch 2    took over at tick 20, parts 0..2: ticks 21 to 40, a checkpoint at tick 30, the end
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.support.paths import BODIES
from tussle.server.archive import archive as module
from tussle.server.archive.archive import Archive, Volume
from tussle.server.archive.findings import Finding
from tussle.server.archive.parts import (
    OLD_SCHEMA,
    ArchiveEnd,
    ArchivePart,
    Manifest,
    StoredPart,
    TakenOver,
    digest_of,
    encode_part,
    frame,
    read_parts,
)
from tussle.server.archive.record import read_record
from tussle.server.archive.verify import Verdict, verify
from tussle.server.modes.mode import Seat
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulation import Input, SessionSpec, Simulation

TOKEN = "k7qm2xpv"
OTHER = "b3n8wq4z"
CUT_BYTES = 300

INPUTS = {
    3: Input(0, "gravity", 1, {"strength": 3.0}),
    12: Input(0, "mark", 2),
    18: Input(0, "spawn", 3, {"body": "marl", "position": [0.5, 1.5, 0.5]}),
    24: Input(0, "gravity", 4, {"strength": 5.0}),
    33: Input(0, "undo", 5),
}
"""Tick -> the input that it begins with."""


def spec(session: str = TOKEN, seed: int = 7) -> SessionSpec:
    """A sandbox with one body."""
    seat = Seat(seat=0, player="p0", name="bot 0", kind="bot", skill="", body="marl")
    return SessionSpec(session, "sandbox", (seat,), {"marl": BODIES["marl"]}, seed, {"bodies": ["marl"]})


async def run_to(simulation: Simulation, volume: Volume, last: int) -> None:
    """Simulate and record up to a tick, as a holder does."""
    while (before := simulation.look().tick) < last:
        inputs = [INPUTS[before + 1]] if before + 1 in INPUTS else []
        volume.record(simulation.advance(inputs, 1), inputs)


async def record_session(archive: Archive, session: str = TOKEN, *, dies: bool = True) -> None:
    """Record the session. Without ``dies`` the first holder goes on to the end."""
    first = archive.volume(session, 1)
    simulation, here = Simulation.start(spec(session))
    first.record(here, [])
    await first.write_manifest(spec(session), physics_id())
    first.keep(0, simulation.checkpoint())
    for tick in (10, 20):
        await run_to(simulation, first, tick)
        first.keep(tick, simulation.checkpoint())
        await first.flush()
    head, kept = first.head, simulation.checkpoint()
    await run_to(simulation, first, 23)
    await first.flush()
    await run_to(simulation, first, 26)
    await first.flush()
    if not dies:
        await run_to(simulation, first, 40)
        await first.end(40)
        return
    await run_to(simulation, first, 40)
    parts = folder_of(archive, session) / "000001.parts"
    before = parts.stat().st_size
    await first.flush()
    with parts.open("r+b") as file:
        file.truncate(before + CUT_BYTES)
    second = archive.volume(session, 2)
    simulation = Simulation.restore(spec(session), kept)
    await second.write_manifest(spec(session), physics_id(), TakenOver(20, digest_of(kept), head))
    for tick in (30, 36, 40):
        await run_to(simulation, second, tick)
        if tick == 30:
            second.keep(tick, simulation.checkpoint())
        await second.flush()
    await second.end(40)


def folder_of(archive: Archive, session: str = TOKEN) -> Path:
    return Path(archive.url) / session


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an archive with the session TOKEN and, run by another spec, the session OTHER. Do not change it."""
    import asyncio

    url = tmp_path_factory.mktemp("recorded")
    before, module.CHECKPOINT_TICKS = module.CHECKPOINT_TICKS, 10
    try:
        for session in (TOKEN, OTHER):
            asyncio.run(record_session(Archive(str(url)), session))
    finally:
        module.CHECKPOINT_TICKS = before
    return url


@pytest.fixture
def copied(recorded: Path, tmp_path: Path) -> Path:
    """The folder of the session TOKEN in a copy of the archive, to be changed."""
    shutil.copytree(recorded, tmp_path / "archive")
    return tmp_path / "archive" / TOKEN


def found_in(folder: Path) -> list[Finding]:
    """What reading alone finds, without the simulation."""
    return list(read_record(Archive(str(folder.parent)), folder.name).findings)


def verdict_of(folder: Path) -> Verdict:
    """The whole verdict on a session."""
    reading = read_record(Archive(str(folder.parent)), folder.name)
    if reading.record is None:
        return Verdict(folder.name, findings=list(reading.findings))
    return verify(reading.record, check_contact=False)


def stored(path: Path, *, old: bool = False) -> list[StoredPart]:
    """The parts of a file."""
    return read_parts(path.read_bytes(), old=old)[0]


def write_parts(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change a file as a list of whole parts. What follows the last part is kept."""
    data, parts = path.read_bytes(), stored(path)
    pieces = change([data[part.at : part.at + part.size] for part in parts])
    end = parts[-1].at + parts[-1].size
    path.write_bytes(b"".join(pieces) + data[end:])


def make_old(folder: Path) -> None:
    """Rewrite a session as the schema tussle-archive/1 had it."""
    for path in folder.glob("*.parts"):
        bodies = [part.part for part in stored(path) if part.part is not None]
        old = [
            msgspec.msgpack.encode(
                {
                    name: value
                    for name, value in msgspec.structs.asdict(
                        msgspec.structs.replace(part, schema=OLD_SCHEMA)
                    ).items()
                    if name not in ("session", "previous")
                }
            )
            for part in bodies
        ]
        path.write_bytes(b"".join(len(body).to_bytes(4, "little") + body for body in old))
    for path in folder.glob("manifest-*.json"):
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        document = msgspec.to_builtins(msgspec.structs.replace(manifest, schema=OLD_SCHEMA))
        path.write_bytes(
            msgspec.json.encode({k: v for k, v in document.items() if k not in ("taken_over", "sha256")})
        )
    path = folder / "end.json"
    end = msgspec.json.decode(path.read_bytes(), type=ArchiveEnd)
    path.write_bytes(msgspec.json.encode({"tick": end.tick, "whole": end.whole}))


def rewritten(part: ArchivePart) -> bytes:
    """A part with a right hash of its own."""
    return frame(encode_part(part))
