"""The archive's retention on a real folder, with a real store."""

from __future__ import annotations

import os
from pathlib import Path

from tussle.lobby.lifecycle import Status
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.worker.retention import DAY_S, Retention

NOW = 2_000_000_000.0


def archive(folder: Path, session: str, *, days_old: float, files: tuple[str, ...] = ("end.json",)) -> Path:
    """An archived session; the last file is ``days_old``, the others are a year older."""
    place = folder / session
    place.mkdir(parents=True)
    for i, name in enumerate(reversed(files)):
        path = place / name
        path.write_text("{}")
        at = NOW - (days_old + (365 if i else 0)) * DAY_S
        os.utime(path, (at, at))
    return place


def retention(store: Store, folder: Path, days: float = 30) -> Retention:
    settings = Settings(archive_url=str(folder), archive_days=days, recordings_url=str(folder / "none"))
    return Retention(store, settings, clock=lambda: NOW)


async def test_old_sessions_are_removed(store: Store, tmp_path: Path) -> None:
    """The newest file of a session counts; other folders and an absent archive are left alone."""
    assert await retention(store, tmp_path / "absent").run_pass() == 0
    old = archive(tmp_path, "aaaaaaa2", days_old=31, files=("manifest-000001.json", "end.json"))
    new = archive(tmp_path, "aaaaaaa3", days_old=29, files=("manifest-000001.json", "end.json"))
    other = archive(tmp_path, "notes", days_old=99)
    assert await retention(store, tmp_path).run_pass() == 1
    assert not old.exists()
    assert new.exists() and other.exists()
    assert await retention(store, tmp_path).run_pass() == 0


async def test_a_session_that_has_not_ended_is_kept(store: Store, tmp_path: Path) -> None:
    """Paused for longer than the archive keeps anything; it goes once it has ended."""
    place = archive(tmp_path, "aaaaaaa2", days_old=99)
    key = store.keys.session("aaaaaaa2")
    for status in Status:
        await store.call("HSET", key, "status", status)
        if status in (Status.ENDED, Status.TIMED_OUT, Status.FAILED):
            continue
        assert await retention(store, tmp_path).run_pass() == 0
        assert place.exists(), status
    await store.call("HSET", key, "status", Status.ENDED)
    assert await retention(store, tmp_path).run_pass() == 1
    assert not place.exists()


async def test_old_recordings_are_removed(store: Store, tmp_path: Path) -> None:
    """Final and unfinished recordings are removed after RECORDINGS_DAYS; 0 days keep them for ever."""
    old = archive(tmp_path, "aaaaaaa2.zarr", days_old=31, files=("zarr.json",))
    left = archive(tmp_path / "aaaaaaa3.live", "000001", days_old=31, files=("state-1", "state-2")).parent
    new = archive(tmp_path, "aaaaaaa4.zarr", days_old=29, files=("zarr.json",))
    running = archive(tmp_path / "aaaaaaa5.live", "000001", days_old=31).parent
    other = archive(tmp_path, "aaaaaaa6.tmp", days_old=99)
    await store.call("HSET", store.keys.session("aaaaaaa5"), "status", Status.PAUSED)
    marks = [store.keys.replay_bookmarks(f"aaaaaaa{n}") for n in (2, 4)]
    for key in marks:
        await store.call("HSET", key, "b1", "{}")
    for days, gone in ((0, 0), (30, 2)):
        settings = Settings(
            archive_url=str(tmp_path / "none"), recordings_url=str(tmp_path), recordings_days=days
        )
        assert await Retention(store, settings, clock=lambda: NOW).run_pass() == gone
    assert not old.exists() and not left.exists()
    assert new.exists() and running.exists() and other.exists()
    assert [await store.call("EXISTS", key) for key in marks] == [0, 1], "bookmarks go with their recording"
