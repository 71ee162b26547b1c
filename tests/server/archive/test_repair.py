"""What a recording lacks is filled from the archive: to the byte what an undisturbed run records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest

from tests.server.recordings.sessions import TOKEN, Holder, files_of, played
from tussle.lobby.errors import LobbyError
from tussle.lobby.files import Files
from tussle.lobby.recording_marks import RecordingMark
from tussle.server.archive.archive import Archive
from tussle.server.archive.repair import repair_recording
from tussle.server.recordings import zarr_layout
from tussle.server.recordings.recordings import Recordings
from tussle.server.recordings.schedule import Stretch
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulation import Advance, Input


class Archiving(Holder):
    """A holder that also archives what it computes."""

    def __init__(self, recordings: Recordings, name: str, ticks: int, epoch: int, archive: Archive) -> None:
        spec, inputs, self.last = played(name, ticks)
        super().__init__(recordings, spec, inputs, epoch)
        self.recorder = recordings.recorder(spec, epoch, physics_id(), self.stopped.append)
        self.volume = archive.volume(TOKEN, epoch)
        self.given: dict[int, list[Input]] = inputs

    async def begin(self) -> None:
        await self.volume.write_manifest(self.spec, physics_id())
        self.start()
        self.volume.record(self.first, [])
        self.volume.keep(self.tick, self.simulation.checkpoint())

    def take(self, whole: Advance, stretches: list[Stretch]) -> None:
        super().take(whole, stretches)
        self.volume.record(whole, self.given.get(whole.tick - whole.ticks_run + 1, []))


SESSIONS = {"duel": 400, "sandbox": 250, "built": 250}

Whole = dict[str, tuple[Archive, dict[str, bytes], dict[int, bytes]]]


@pytest.fixture(scope="module", autouse=True)
def short_chunks() -> Iterator[None]:
    """Chunks of so few frames that these sessions have complete ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zarr_layout, "CHUNK_FRAMES", 32)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Of each session: its archive, its undisturbed recording, and its state at some ticks."""

    async def run(name: str, folder: Path) -> tuple[Archive, dict[str, bytes], dict[int, bytes]]:
        archive, recordings = Archive(str(folder / "archive")), Recordings(str(folder))
        holder = Archiving(recordings, name, SESSIONS[name], 1, archive)
        await holder.begin()
        states = {0: holder.simulation.checkpoint()}
        for tick in (101, 143):
            await holder.run(tick, repeat(3), 50)
            states[tick], _ = await holder.save()
        await holder.run(holder.last, repeat(3), 50)
        mark = await holder.recorder.finish(holder.last)
        await holder.volume.end()
        assert mark is not None
        recordings.compact(TOKEN, mark)
        return archive, files_of(folder / f"{TOKEN}.zarr"), states

    return {name: asyncio.run(run(name, tmp_path_factory.mktemp(name))) for name in SESSIONS}


async def disturbed(folder: Path, name: str, how: str, states: dict[int, bytes]) -> RecordingMark:
    """A recording of the session that lacks something."""
    recordings, unused = Recordings(str(folder)), Archive(str(folder / "unused"))
    holder = Archiving(recordings, name, SESSIONS[name], 1, unused)
    await holder.begin()
    await holder.run(101, repeat(2), 20)
    _, mark = await holder.save()
    assert mark is not None
    if how == "killed before its first frame":
        holder = Archiving(recordings, name, SESSIONS[name], 2, unused)
        holder.restore(states[0], None)
        await holder.run(holder.last, repeat(2), 20)
        end = await holder.recorder.finish(holder.last)
        assert end is not None and not end.stopped
        return end
    if how == "never begun":
        return RecordingMark(1, -1, 0, "", "", "not_written")
    if how == "stopped":
        return replace(mark, stopped="not_written")
    if how != "whole":
        holder = Archiving(recordings, name, SESSIONS[name], 2, unused)
        holder.restore(states[143], None if how == "begun late" else mark)
    await holder.run(holder.last, repeat(2), 20)
    end = await holder.recorder.finish(holder.last)
    assert end is not None and not end.stopped
    if how == "damaged":
        chunk = next((folder / f"{TOKEN}.live").rglob("energies/c/0/0"))
        chunk.write_bytes(chunk.read_bytes()[:-1])
    return end


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("duel", "a gap"),
        ("sandbox", "a gap"),
        ("duel", "begun late"),
        ("duel", "killed before its first frame"),
        ("sandbox", "killed before its first frame"),
        ("duel", "stopped"),
        ("duel", "never begun"),
        ("sandbox", "damaged"),
        ("built", "a gap"),
        ("built", "killed before its first frame"),
    ],
)
async def test_a_repaired_recording_is_that_of_an_undisturbed_run(
    tmp_path: Path, whole: Whole, name: str, how: str
) -> None:
    """Ticks that no holder recorded, a recording that began late, stopped, was never begun or is damaged, a holder that
    died with the first frame, whose energies are those of the settling before it: after the repair every file has the
    bytes of an undisturbed run."""
    archive, files, states = whole[name]
    mark = await disturbed(tmp_path, name, how, states)
    assert Recordings(str(tmp_path)).lacks(TOKEN, mark) or how == "damaged"
    repair_recording(Files(str(tmp_path)), archive, TOKEN, mark)
    found = files_of(tmp_path / f"{TOKEN}.zarr")
    assert sorted(found) == sorted(files)
    assert [path for path in files if found[path] != files[path]] == []


async def test_a_recording_that_lacks_nothing_needs_no_repair(tmp_path: Path, whole: Whole) -> None:
    """Such a one is only compacted."""
    mark = await disturbed(tmp_path, "duel", "whole", {})
    assert not Recordings(str(tmp_path)).lacks(TOKEN, mark)


@pytest.mark.parametrize(
    ("change", "code"),
    [("other physics", "other_physics"), ("another hash", "diverged"), ("no archive", "not_archived")],
)
async def test_what_cannot_be_computed_again_is_not_filled(
    tmp_path: Path, whole: Whole, monkeypatch: pytest.MonkeyPatch, change: str, code: str
) -> None:
    """Another physics, a simulation that computes other states than were recorded, no archive: a coded error, and what
    the holders wrote is still there."""
    archive, _, states = whole["duel"]
    mark = await disturbed(tmp_path, "duel", "a gap", states)
    if change == "other physics":
        monkeypatch.setattr("tussle.server.archive.repair.physics_id", lambda: "another")
    elif change == "another hash":
        monkeypatch.setattr("tussle.server.archive.repair.Simulation.hash", lambda self: bytes(16))
    else:
        archive = Archive(str(tmp_path / "nowhere"))
    with pytest.raises(LobbyError) as raised:
        repair_recording(Files(str(tmp_path)), archive, TOKEN, mark)
    assert raised.value.reason == code
    recordings = Recordings(str(tmp_path))
    recordings.compact(TOKEN, mark)
    assert recordings.open(TOKEN, None).attributes["gaps"] == [{"first_tick": 102, "last_tick": 143}]
