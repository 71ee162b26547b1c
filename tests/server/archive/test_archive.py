"""The archive on a file system that fills up, hangs or fails: it is whole, or marked as not whole."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tussle.lobby.errors import ProtocolError
from tussle.server.archive import archive as module
from tussle.server.archive.archive import Archive, Volume
from tussle.server.archive.excerpt import read_excerpt
from tussle.server.archive.parts import TakenOver
from tussle.server.archive.record import load_record
from tussle.server.archive.verify import Verdict
from tussle.server.modes.mode import Seat
from tussle.server.simulation.simulation import Advance, Input, SessionSpec

TOKEN = "k7qm2xpv"


def spec() -> SessionSpec:
    seat = Seat(seat=0, player="p", name="P", kind="bot", skill="good", body="halo")
    return SessionSpec(session=TOKEN, mode="duel", seats=(seat,), catalogue={}, seed=1)


def ticks(first: int, count: int) -> Advance:
    """An advance over these ticks. The hash of each tick is its number."""
    return Advance(
        tick=first + count - 1, ticks_run=count, dt=1 / 60, frame=b"", topology=None, events=[], phase="moving",
        seat=None, actions=None, deadline_s=None, round=1, turn=1,
        hashes=[tick.to_bytes(16, "little") for tick in range(first, first + count)], min_distance=1.0, contacts=0,
        iterations=0, unconverged=0, result=None, standing={},
    )  # fmt: skip


def recorded(archive: Archive) -> list[int]:
    """The ticks that have a hash. Checks that each hash is right."""
    record = load_record(archive, TOKEN)
    assert record.conflict is None
    assert all(digest == tick.to_bytes(16, "little") for tick, digest in record.hashes.items())
    return sorted(record.hashes)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path / "archive"))


async def test_what_is_flushed_is_there_at_once(archive: Archive) -> None:
    """Part by part, in the order recorded, with the end; and the archive is whole."""
    volume = archive.volume(TOKEN, 1)
    await volume.write_manifest(spec(), "physics-1")
    volume.record(ticks(1, 5), [Input(0, "launch", 1)])
    assert await volume.flush() == 5
    assert recorded(archive) == list(range(1, 6))
    volume.record(ticks(6, 2), [])
    await volume.end(7)
    assert recorded(archive) == list(range(1, 8))
    record = load_record(archive, TOKEN)
    assert (record.ended, record.whole, record.inputs) == (True, True, {1: [Input(0, "launch", 1)]})


FULL = """
import asyncio, resource, signal, sys
from tests.server.archive.test_archive import *

async def main():
    archive = Archive(sys.argv[1])
    volume = archive.volume(TOKEN, 1)
    await volume.write_manifest(spec(), "physics-1")
    volume.record(ticks(1, 50), [])
    assert await volume.flush() == 50
    path = Path(sys.argv[1]) / TOKEN / "000001.parts"
    size = path.stat().st_size
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    free = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, free[1]))  # a piece of the next part fits
    volume.record(ticks(51, 50), [])
    assert await volume.flush() == 50
    assert path.stat().st_size > size, "nothing was written half way"
    assert recorded(archive) == list(range(1, 51))
    volume.record(ticks(101, 50), [])
    resource.setrlimit(resource.RLIMIT_FSIZE, free)
    assert await volume.flush() == 150
    assert recorded(archive) == list(range(1, 151))
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, free[1]))
    volume.record(ticks(151, 50), [])
    await volume.end(200)
    record = load_record(archive, TOKEN)
    assert (record.ended, record.whole) == (True, False)
    assert recorded(archive) == list(range(1, 151))

asyncio.run(main())
"""


def test_a_part_that_was_written_half_way_is_written_again(tmp_path: Path) -> None:
    """The disk is full in mid-write (here: the limit of a process on its files), then it is not: nothing is lost and
    nothing is read twice or torn. Full at the end: the end says that the archive is not whole."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path / "archive")],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


class Hanging(Archive):
    """On a file system that hangs in every append until ``answer`` is set; then it does what was asked."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.answer = threading.Event()

    def append(self, session: str, epoch: int, number: int, at: int, data: bytes) -> int:
        self.answer.wait()
        return super().append(session, epoch, number, at, data)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Hanging]:
    archive = Hanging(str(tmp_path / "archive"))
    yield archive
    archive.answer.set()


async def answered(archive: Hanging, volume: Volume) -> None:
    """The file system goes on, and the write that hung is done."""
    write = volume._write
    assert write is not None and write.slow
    archive.answer.set()
    async with asyncio.timeout(30):
        await write.done


async def test_a_file_system_that_hangs_delays_only_one_flush(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first flush waits PATIENCE_S, the next ones do not wait. Then everything is written."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    volume = hanging.volume(TOKEN, 1)
    await volume.write_manifest(spec(), "physics-1")
    volume.record(ticks(1, 5), [])
    assert await flushed(volume) == -1
    volume.record(ticks(6, 5), [])
    began = time.monotonic()
    for _ in range(50):
        assert await flushed(volume) == -1
    assert time.monotonic() - began < 50 * 0.2
    await volume.end(10)
    assert not load_record(hanging, TOKEN).ended
    await answered(hanging, volume)
    assert await flushed(volume) == 10
    assert recorded(hanging) == list(range(1, 11))


async def flushed(volume: Volume) -> int:
    async with asyncio.timeout(30):
        return await volume.flush()


async def test_a_hanging_write_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    """The thread of a write is a daemon."""
    code = """
        import asyncio, sys
        from tussle.server.archive import archive as module
        from tests.server.archive.test_archive import *
        module.PATIENCE_S = 0.1
        async def main():
            volume = Hanging(sys.argv[1]).volume(TOKEN, 1)
            await volume.write_manifest(spec(), "physics-1")
            volume.record(ticks(1, 5), [])
            assert await volume.flush() == -1
        asyncio.run(main())
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "archive"), cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(60):
        assert await process.wait() == 0


async def test_dropped_records_make_an_archive_not_whole(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than WAITING_BYTES wait: the rest is dropped, and the end marks the archive as not whole."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    monkeypatch.setattr(module, "WAITING_BYTES", 1000)
    volume = hanging.volume(TOKEN, 1)
    await volume.write_manifest(spec(), "physics-1")
    volume.record(ticks(1, 5), [])
    await flushed(volume)
    volume.record(ticks(6, 500), [])
    volume.record(ticks(506, 5), [])
    await answered(hanging, volume)
    await volume.end(510)
    await flushed(volume)
    record = load_record(hanging, TOKEN)
    assert record.ended and not record.whole
    [why] = [found for found in record.findings if found.kind == "not_whole"]
    assert "records after tick 5 were dropped" in why.what
    assert not Verdict(TOKEN, compared=5, ended=True, whole=record.whole).holds


async def test_another_physics_counts_from_where_it_took_over(archive: Archive) -> None:
    """Records of the earlier holder for the same ticks are ignored."""
    first = archive.volume(TOKEN, 1)
    await first.write_manifest(spec(), "physics-1")
    first.record(ticks(1, 10), [])
    first.record(ticks(11, 5), [Input(0, "launch", 1)])
    await first.flush()
    second = archive.volume(TOKEN, 2)
    await second.write_manifest(spec(), "physics-2", TakenOver(10, "0" * 64, first.head))
    other = ticks(11, 3)
    second.record(other, [Input(0, "skip")])
    await second.flush()
    record = load_record(archive, TOKEN)
    assert (record.conflict, record.last_tick) == (None, 13)
    assert record.inputs == {11: [Input(0, "skip")]}
    assert sorted(record.hashes) == list(range(1, 14))


@pytest.mark.timeout(20)
async def test_a_file_that_is_no_file_is_a_damaged_archive(tmp_path: Path) -> None:
    """A named pipe in place of the parts, which would be waited for, or a device without an end: a fork is refused
    with a code, and the process that reads ends."""
    archive = Archive(str(tmp_path))
    volume = archive.volume(TOKEN, 1)
    await volume.write_manifest(spec(), "physics-1")
    volume.record(ticks(1, 5), [])
    await volume.flush()
    [parts] = (tmp_path / TOKEN).glob("*.parts")
    for place in ("pipe", "device"):
        parts.unlink()
        if place == "pipe":
            os.mkfifo(parts)
        else:
            parts.symlink_to("/dev/null")
        with pytest.raises(ProtocolError) as refused:
            await read_excerpt(str(tmp_path), TOKEN, 3)
        assert refused.value.reason == "damaged_archive"
        assert "Not a regular file" in refused.value.message


def test_a_tick_without_a_hash_does_not_hold() -> None:
    """The verdict is negative, because the tick was not compared."""
    assert Verdict(TOKEN, compared=10, ended=True).holds
    assert not Verdict(TOKEN, compared=10, ended=True, unrecorded=1).holds
