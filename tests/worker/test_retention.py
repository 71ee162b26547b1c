"""The archive's retention on a real folder, with a real store."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.server.recordings.frames import frames, topology
from tussle.lobby.files import Files
from tussle.lobby.lifecycle import Status
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.uploads import NewUpload, Uploads
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.uploaded import BLOBS, Draft, Kept, blobs_of, names_of
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


async def test_uploads_are_removed_with_the_files_that_none_has(store: Store, tmp_path: Path) -> None:
    """An upload that has not changed for RECORDINGS_DAYS goes; a chunk that another upload has stays; a file that no
    upload has goes once it is old; a removed upload makes room for its owner."""
    settings = Settings(archive_url=str(tmp_path / "archive"), recordings_url=str(tmp_path / "recordings"))
    uploads, files = Uploads(store, settings), Files(str(tmp_path / "recordings" / BLOBS))
    kept: dict[str, Kept] = {}
    for token, count in (("aaaaaaa2", 1100), ("aaaaaaa3", 1150)):
        (tmp_path / token).mkdir()
        draft = Draft(tmp_path / token, RecordingGroup({}, seats=0))
        draft.append(frames(10, count, seats=0), topology("affine", "affine"))
        kept[token] = draft.finish()
        draft.keep(files)
        made = NewUpload(kept[token].sha256, kept[token].size, count)
        assert await uploads.store(token, "p1", "ada", made) == 1
    files.write("ab/" + "ab" * 32, b"of a change that was refused")
    clock = time.time() + 10 * DAY_S
    await store.call("HSET", store.keys.upload("aaaaaaa2"), "changed_at", round((clock - 31 * DAY_S) * 1000))
    worker = Retention(store, settings, clock=lambda: clock)
    assert await worker.run_pass() == 1
    assert [upload.token for upload in await uploads.all()] == ["aaaaaaa3"]
    assert {name for _, name in blobs_of(files)} == names_of(files, kept["aaaaaaa3"].sha256)
    used = await store.call("HGETALL", store.keys.upload_use)
    size = str(kept["aaaaaaa3"].size)
    assert dict(zip(used[::2], used[1::2], strict=True)) == {"p1 bytes": size, "p1 count": "1", "bytes": size}
