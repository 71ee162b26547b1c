"""The final recording of a session that is over: made once, by any worker, from what the store says."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest

from tests.conftest import World
from tests.server.archive.test_repair import Archiving
from tests.server.recordings.sessions import TOKEN, Holder, files_of, played
from tussle.lobby.lifecycle import Status
from tussle.lobby.recording_marks import RecordingMark, RecordingMarks
from tussle.server.archive.archive import Archive
from tussle.server.recordings.recordings import Recordings
from tussle.worker.cleanup import Cleanup
from tussle.worker.compaction import TRIES, Compaction, RepairOutcome


@pytest.fixture
def world(world: World, tmp_path: Path) -> World:
    settings = replace(world.settings, recordings_url=str(tmp_path), archive_url=str(tmp_path / "archive"))
    return replace(world, settings=settings)


def worker_of(world: World) -> Compaction:
    return Compaction(world.store, world.settings, Cleanup(world.store, world.settings))


async def recorded(world: World, status: Status) -> RecordingMark:
    """A session with that status, whose holder has recorded it to its end."""
    spec, inputs, last = played("duel", 200)
    holder = Holder(Recordings(world.settings.recordings_address), spec, inputs, 1)
    holder.start()
    await holder.run(last, repeat(2))
    mark = await holder.recorder.finish(last)
    assert mark is not None
    keys, call = world.store.keys, world.store.call
    await call("HSET", keys.session(TOKEN), "status", status)
    await call("HSET", keys.recording(TOKEN), *mark.arguments())
    await call("ZADD", keys.ended, 1, TOKEN)
    return mark


async def test_a_session_that_is_over_gets_its_final_recording(world: World, tmp_path: Path) -> None:
    """The final group is made once, published in the store and readable without a mark; live files are removed."""
    mark = await recorded(world, Status.ENDED)
    assert await worker_of(world).run_pass() == 1
    recordings = Recordings(str(tmp_path))
    assert recordings.open(TOKEN, None).length == mark.length > 0
    published = await RecordingMarks(world.store).load(TOKEN)
    assert published is not None and published.final
    assert recordings.open(TOKEN, published).length == mark.length
    assert not (tmp_path / f"{TOKEN}.live").exists()
    assert await worker_of(world).run_pass() == 0


async def test_two_workers_make_the_same_recording(world: World, tmp_path: Path) -> None:
    """Both write, in any order; each publication of equal bytes succeeds, of other bytes it is refused."""
    mark = await recorded(world, Status.FAILED)
    recordings, marks = Recordings(str(tmp_path)), RecordingMarks(world.store)
    first = recordings.compact(TOKEN, mark)
    before = files_of(tmp_path / f"{TOKEN}.zarr")
    assert await marks.publish(TOKEN, mark, first)
    assert recordings.compact(TOKEN, mark) == first
    assert files_of(tmp_path / f"{TOKEN}.zarr") == before
    assert await marks.publish(TOKEN, mark, first)
    assert not await marks.publish(TOKEN, mark, "f" * 64)
    assert not await marks.publish(TOKEN, replace(mark, sha256="0" * 64), first)


async def test_a_session_that_is_not_over_is_not_published(world: World) -> None:
    """Whatever an index says: a running session's recording stays with its holder."""
    for status in (Status.RUNNING, Status.PAUSED):
        mark = await recorded(world, status)
        assert not await RecordingMarks(world.store).publish(TOKEN, mark, "f" * 64)
        assert await worker_of(world).run_pass() == 0


async def test_a_damaged_recording_without_an_archive_is_given_up(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state that is another one is detected; nothing is published, and the worker continues."""
    mark = await recorded(world, Status.ENDED)
    state = tmp_path / f"{TOKEN}.live" / "000001" / mark.state
    state.write_bytes(state.read_bytes()[:-1])
    worker = worker_of(world)
    asked = []

    async def no_archive(session: str, mark: RecordingMark) -> RepairOutcome:
        asked.append(session)
        return RepairOutcome(code="not_archived")

    monkeypatch.setattr(worker, "_run_child", no_archive)
    assert await worker.run_pass() == 0
    for _ in range(TRIES):
        assert await worker.repair_pass() == 0
    assert asked == [TOKEN] * TRIES
    assert await worker.run_pass() == await worker.repair_pass() == 0
    stored = await RecordingMarks(world.store).load(TOKEN)
    assert stored is not None and not stored.final


@pytest.mark.parametrize("store_url", ["valkey"], indirect=True)
async def test_a_recording_that_lacks_ticks_is_filled_by_one_worker(world: World, tmp_path: Path) -> None:
    """The rest of a recording that stopped is simulated again by a process of its own. While one worker does so, others
    leave it alone, and make the recordings that lack nothing."""
    archive = Archive(world.settings.archive_address)
    spec, _, last = played("duel", 200)
    holder = Archiving(Recordings(world.settings.recordings_address), "duel", 200, 1, archive)
    await holder.begin()
    await holder.run(50, repeat(2))
    _, mark = await holder.save()
    assert mark is not None
    await holder.run(last, repeat(2), 10**6)
    await holder.volume.end()
    mark = replace(mark, stopped="not_written")
    keys, call = world.store.keys, world.store.call
    await call("HSET", keys.session(TOKEN), "status", Status.ENDED)
    await call("HSET", keys.recording(TOKEN), *mark.arguments())
    await call("ZADD", keys.ended, 1, TOKEN)
    worker, other = worker_of(world), worker_of(world)
    assert await worker.run_pass() == await other.run_pass() == 0
    await call("SET", keys.recording_repair(TOKEN), other._name, "PX", 60_000)
    assert await worker.repair_pass() == 0
    await call("DEL", keys.recording_repair(TOKEN))
    assert await worker.repair_pass() == 1
    assert await other.repair_pass() == 0
    store = Recordings(str(tmp_path)).open(TOKEN, await RecordingMarks(world.store).load(TOKEN))
    assert "stopped" not in store.attributes and store.attributes["session"] == spec.session
    [block] = store.frames(range(store.length)[-1:], ("tick",))
    assert block.arrays["tick"][0] == last
    assert not (tmp_path / f"{TOKEN}.live").exists()


async def test_a_repair_has_a_limit_of_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that takes longer is killed, and the recording is made of what there is, with the gap."""
    mark = await recorded(world, Status.ENDED)
    await world.store.call("HSET", world.store.keys.recording(TOKEN), "stopped", "not_written")
    monkeypatch.setattr("tussle.worker.compaction.REPAIR_S", 0.001)
    worker = worker_of(world)
    assert await worker.run_pass() == 0
    outcome = await worker._run_child(TOKEN, mark)
    assert outcome.code == "too_slow"
    assert await worker.repair_pass() == 1
    store = Recordings(world.settings.recordings_address).open(TOKEN, None)
    assert store.length == mark.length and store.attributes["stopped"]["reason"] == "not_written"


async def test_a_recording_waits_for_a_worker_that_was_away(world: World) -> None:
    """A worker comes back long after the end: the keys that lead to the recording stay until it is final, then they go
    at once. While the recordings are out of reach each pass keeps them."""
    mark = await recorded(world, Status.ENDED)
    keys, call, life_ms = world.store.keys, world.store.call, world.settings.expiry_s * 1000
    ended_ms = await world.store.now_ms() - 3 * life_ms
    await call(
        "HSET",
        keys.session(TOKEN),
        "mode",
        "duel",
        "size",
        2,
        "started_at",
        ended_ms - 1,
        "ended_at",
        ended_ms,
    )
    cleanup = Cleanup(world.store, world.settings)
    await cleanup.handle(TOKEN)
    assert 0 < await call("PTTL", keys.recording(TOKEN)) <= life_ms
    address = world.settings.recordings_address
    away = Compaction(world.store, replace(world.settings, recordings_url=f"{address}/{'x' * 300}"), cleanup)
    await call("PEXPIRE", keys.recording(TOKEN), 1000)
    assert await away.run_pass() == 0
    assert await call("PTTL", keys.recording(TOKEN)) > 1000
    assert await worker_of(world).run_pass() == 1
    assert await call("EXISTS", keys.recording(TOKEN), keys.session(TOKEN)) == 0
    assert Recordings(address).open(TOKEN, None).length == mark.length


async def test_a_recording_that_waits_for_its_repair_is_kept(world: World) -> None:
    """A repair takes as long as the keys of its session live, and others may be before it: each pass keeps them."""
    await recorded(world, Status.ENDED)
    keys, call = world.store.keys, world.store.call
    ended_ms = await world.store.now_ms()
    about = {"mode": "duel", "size": 2, "started_at": ended_ms - 1, "ended_at": ended_ms}
    for name, value in about.items():
        await call("HSET", keys.session(TOKEN), name, value)
    await call("HSET", keys.recording(TOKEN), "stopped", "not_written")
    worker = worker_of(world)
    assert await worker.run_pass() == 0
    await call("PEXPIRE", keys.recording(TOKEN), 1000)
    assert await worker.run_pass() == 0
    assert await call("PTTL", keys.recording(TOKEN)) > 1000


async def test_no_session_is_too_old_to_get_its_recording(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look reads the whole index, page after page."""
    monkeypatch.setattr("tussle.worker.compaction.PAGE", 2)
    await recorded(world, Status.ENDED)
    for number in range(5):
        await world.store.call("ZADD", world.store.keys.ended, 2 + number, f"2222222{number + 2}")
    worker = worker_of(world)
    assert await worker.run_pass() == 1
    assert await worker.run_pass() == 0
