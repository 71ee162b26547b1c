"""Which recorded sessions are listed: from the end of the session to the removal of the recording, whatever is lost."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.conftest import World
from tests.server.recordings.sessions import TOKEN
from tests.worker.test_compaction import recorded, worker_of
from tussle.lobby.lifecycle import Status
from tussle.lobby.recorded_sessions import RecordedSession, RecordingChoice
from tussle.lobby.recording_index import RecordingIndex
from tussle.worker.recording_listing import Rebuilt, RecordingListing
from tussle.worker.retention import DAY_S, Retention


@pytest.fixture
def world(world: World, tmp_path: Path) -> World:
    settings = replace(world.settings, recordings_url=str(tmp_path), archive_url=str(tmp_path / "archive"))
    return replace(world, settings=settings)


async def finished(world: World, **fields: object) -> None:
    """A session that is over, whose recording a worker has finished."""
    await recorded(world, Status.ENDED)
    keys, call = world.store.keys, world.store.call
    about = {
        "mode": "duel",
        "size": 2,
        "opened_at": 1,
        "started_at": 2,
        "ended_at": 3,
        "tick": 200,
        "dt": 0.02,
        "v": 7,
    }
    for name, value in {**about, **fields}.items():
        await call("HSET", keys.session(TOKEN), name, value)
    await call("HSET", keys.seats(TOKEN), 0, "p1")
    await call("HSET", keys.session_player(TOKEN, "p1"), "name", "ada", "kind", "person", "body", "halo")
    assert await worker_of(world).run_pass() == 1


async def listed(world: World, **choice: str) -> list[RecordedSession]:
    rows, _ = await RecordingIndex(world.store, 100).page(RecordingChoice(**choice))
    return rows


async def test_a_recording_is_listed_when_the_keys_of_its_session_are_gone(world: World) -> None:
    """The worker that makes the final recording lists it, with its players, mode and times."""
    await finished(world)
    keys, call = world.store.keys, world.store.call
    await call("DEL", keys.session(TOKEN), keys.seats(TOKEN), keys.recording(TOKEN), keys.ended)
    [row] = await listed(world, player="ADA")
    assert (row.session, row.mode, row.ended_at, row.seconds) == (TOKEN, "duel", 3, 4.0)
    assert row.length > 1 and row.seats[0].body == "halo"


async def test_a_private_session_is_on_no_list_and_in_no_file(world: World, tmp_path: Path) -> None:
    """Lists that are made again do not show it either: what is not in a file cannot be listed."""
    await finished(world, private=1)
    assert await listed(world) == [] and not (tmp_path / "index").exists()
    assert await RecordingListing(world.store, world.settings).rebuild() == Rebuilt(0, 0, 1)
    assert await listed(world) == []


async def test_lists_are_made_again_from_their_files(world: World, tmp_path: Path) -> None:
    """After the store lost them. What is no row of a recording here is counted and left out; a row without a file is
    taken off."""
    await finished(world)
    [row] = await listed(world)
    keys = world.store.keys
    lists = (keys.recorded, keys.recorded_in("duel"), keys.recorded_of("ada"), keys.recorded_of("p1"))
    await world.store.call("DEL", keys.recorded_rows, *lists)
    index = RecordingIndex(world.store, 100)
    await index.add(msgspec.structs.replace(row, session="aaaaaaaa"))
    (tmp_path / "bbbbbbbb.zarr").mkdir()
    (tmp_path / "index" / "bbbbbbbb.json").write_bytes(b'{"session": 3}')
    (tmp_path / "index" / "cccccccc.json").write_bytes((tmp_path / "index" / f"{TOKEN}.json").read_bytes())
    listing = RecordingListing(world.store, world.settings)
    assert await listing.rebuild() == await listing.rebuild() == Rebuilt(1, 1, 1)
    assert await listed(world) == await listed(world, player="p1") == [row]


async def test_a_removed_recording_leaves_the_lists(world: World, tmp_path: Path) -> None:
    """Removed for its age, with its file; or by somebody else. A place that is empty takes nothing off."""
    await finished(world)
    retention = Retention(world.store, replace(world.settings, recordings_days=30.0), clock=lambda: 4e9)
    away = RecordingListing(world.store, replace(world.settings, recordings_url=str(tmp_path / "unmounted")))
    assert await away.prune() == 0 and len(await listed(world)) == 1
    metadata = tmp_path / f"{TOKEN}.zarr" / "zarr.json"
    os.utime(metadata, (4e9 - 29 * DAY_S, 4e9 - 29 * DAY_S))
    await retention.run_pass()
    assert len(await listed(world)) == 1
    for path in metadata.parent.iterdir():
        os.utime(path, (4e9 - 31 * DAY_S, 4e9 - 31 * DAY_S))
    await retention.run_pass()
    assert await listed(world) == [] and not list((tmp_path / "index").iterdir())
    row = RecordedSession("dddddddd", "ended", "duel", 2, (), 1, 2, 3, 4, 5.0)
    await RecordingIndex(world.store, 100).add(row)
    (tmp_path / "eeeeeeee.zarr").mkdir()
    await retention.run_pass()
    assert await listed(world) == []
