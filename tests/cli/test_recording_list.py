"""The list of recordings, and how a command finds the one of a session that still runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from fsspec.implementations.local import LocalFileSystem

from tests.server.recordings.export import moving
from tussle.cli.main import main
from tussle.lobby.files import Files
from tussle.lobby.recorded_sessions import RecordedSession, RecordingChoice
from tussle.lobby.recording_index import RecordingIndex
from tussle.lobby.recording_marks import RecordingMark
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.uploads import NewUpload, Uploads
from tussle.lobby.wire.replay import CameraView, NamedView
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.live_files import LiveState
from tussle.server.recordings.recordings import Recordings
from tussle.server.recordings.uploaded import Draft

FINAL, LIVE, UPLOADED = "k7qm2xpv", "m3nw8rtz", "h4xk9pwc"


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a final recording and with what the holder of a running session wrote; no store is set."""
    folder = tmp_path / "recordings"
    moving.write(folder / f"{FINAL}.zarr")
    monkeypatch.setenv("RECORDINGS_URL", str(folder))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    for name in ("REDIS_URL", "SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


def write_live(folder: Path) -> RecordingMark:
    """What a holder of epoch 1 wrote, up to its last checkpoint. Returns the mark that the store has."""
    source = moving.read_arrays(str(folder / f"{FINAL}.zarr"), 5)
    group, files = (
        RecordingGroup({"session": LIVE, "mode": "curling"}, seats=2),
        Files(str(folder / f"{LIVE}.live")),
    )
    state = LiveState(group, tick=8)
    state.begin_epoch(1)
    for path, data in group.append(source, moving.SEGMENTS[0]):
        files.write(f"000001/{path}", data)
    data = state.encode()
    files.write("000001/state-1", data)
    return RecordingMark(1, 8, 5, "state-1", hashlib.sha256(data).hexdigest())


async def keep(url: str, realm: str, mark: RecordingMark) -> None:
    """Store a mark as a holder's checkpoint does."""
    store = await Store.connect(url, realm)
    try:
        await store.call("HSET", store.keys.recording(LIVE), *mark.arguments())
    finally:
        await store.close()


async def keep_views(url: str, realm: str, positions: dict[str, tuple[float, float, float]]) -> None:
    """Keep cameras with a recording, as its replay room does."""
    store = await Store.connect(url, realm)
    try:
        for name, position in positions.items():
            view = NamedView(name, CameraView(position, (0.5, 0.0, 0.0)), "p1")
            await store.call("HSET", store.keys.replay_views(FINAL), name, msgspec.json.encode(view))
    finally:
        await store.close()


def listed(*words: str) -> dict[str, dict[str, object]]:
    result = CliRunner().invoke(main, ["recordings", "--json", *words])
    assert result.exit_code == 0, result.output
    return {one["session"]: one for one in map(json.loads, result.output.splitlines())}


def test_running_and_final_recordings_are_listed(
    recordings: Path, store_url: str, realm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has mode, frames, seconds, size and state; a running session is shown up to its mark, and can be
    exported."""
    mark = write_live(recordings)
    asyncio.run(keep(store_url, realm, mark))
    monkeypatch.setenv("REDIS_URL", store_url)
    monkeypatch.setenv("REALM", realm)
    found = listed()
    assert {session: (one["mode"], one["state"], one["frames"]) for session, one in found.items()} == {
        FINAL: ("duel", "final", moving.LENGTH), LIVE: ("curling", "live", 5),
    }  # fmt: skip
    assert found[FINAL]["seconds"] == pytest.approx(2 * (moving.LENGTH - 1) * moving.DT)
    assert all(one["size"] > 1000 and one["written"] > 1e9 for one in found.values())  # type: ignore[operator]
    assert set(listed("--mode", "curling")) == {LIVE} and len(listed("-n", "1")) == 1
    result = CliRunner().invoke(main, ["export", LIVE, "--to", "npz"])
    assert result.exit_code == 0, result.output
    with np.load(f"{LIVE}.npz") as loaded:
        assert loaded["tick"].tolist() == [0, 2, 4, 6, 8]


def test_a_session_that_is_finished_while_it_is_listed_is_shown(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker removes the files of a running session once it has made the final ones: the list has those."""
    folder = recordings / f"{FINAL}.live"
    write_live(recordings)
    (recordings / f"{LIVE}.live").rename(folder)
    mark = RecordingMark(1, 8, 5, "state-1", "")
    final, hidden = recordings / f"{FINAL}.zarr", recordings / "hidden"
    final.rename(hidden)
    size = LocalFileSystem.du

    def du(self: LocalFileSystem, path: str, *words: object, **more: object) -> object:
        if folder.exists():
            shutil.rmtree(folder)
            hidden.rename(final)
            raise FileNotFoundError(path)
        return size(self, path, *words, **more)

    async def marks(settings: Settings, sessions: list[str]) -> dict[str, RecordingMark]:
        return {FINAL: mark}

    monkeypatch.setattr(LocalFileSystem, "du", du)
    monkeypatch.setattr("tussle.cli.recording_list.marks_of_sessions", marks)
    assert listed()[FINAL]["state"] == "final"


@pytest.mark.parametrize("marked", [False, True])
def test_a_session_whose_files_change_while_they_are_listed_is_live(
    recordings: Path, store_url: str, realm: str, monkeypatch: pytest.MonkeyPatch, marked: bool
) -> None:
    """Before its first checkpoint it has no mark, and no frames. A checkpoint removes the state of the one before: the
    newest mark is read then."""
    mark = write_live(recordings)
    asyncio.run(keep_session(store_url, realm))
    monkeypatch.setenv("REDIS_URL", store_url)
    monkeypatch.setenv("REALM", realm)
    if marked:
        asyncio.run(keep(store_url, realm, replace(mark, state="state-0")))
        size = Files.size

        def measure(self: Files, path: str) -> int:
            asyncio.run(keep(store_url, realm, mark))
            return size(self, path)

        monkeypatch.setattr(Files, "size", measure)
    found = listed("--mode", "curling")[LIVE]
    assert (found["state"], found["frames"], found["problem"]) == ("live", 5 if marked else 0, "")


async def keep_session(url: str, realm: str) -> None:
    """Store what the list needs of a running session."""
    store = await Store.connect(url, realm)
    try:
        await store.call("HSET", store.keys.session(LIVE), "status", "running", "mode", "curling")
    finally:
        await store.close()


async def keep_upload(url: str, realm: str, folder: Path, scratch: Path) -> None:
    """Keep an upload as a server does."""
    source = moving.read_arrays(str(folder / f"{FINAL}.zarr"), 5)
    draft = Draft(scratch, RecordingGroup({"mode": "duel"}, seats=2))
    draft.append(source, moving.SEGMENTS[0])
    kept = draft.finish()
    draft.keep(Recordings(str(folder)).blobs)
    store = await Store.connect(url, realm)
    try:
        made = NewUpload(kept.sha256, kept.size, kept.length, "A fall", "duel")
        await Uploads(store, Settings()).store(UPLOADED, "p1", "Ada", made)
    finally:
        await store.close()


def test_uploads_are_listed_with_their_owners(
    recordings: Path, tmp_path: Path, store_url: str, realm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What players uploaded is in the list of this realm, beside what sessions recorded."""
    (tmp_path / "scratch").mkdir()
    asyncio.run(keep_upload(store_url, realm, recordings, tmp_path / "scratch"))
    monkeypatch.setenv("REDIS_URL", store_url)
    monkeypatch.setenv("REALM", realm)
    found = listed()
    assert set(found) == {FINAL, UPLOADED}
    upload = found[UPLOADED]
    assert (upload["state"], upload["owner"], upload["title"], upload["mode"]) == (
        "upload",
        "Ada",
        "A fall",
        "duel",
    )
    assert upload["frames"] == 5 and upload["seconds"] == pytest.approx(8 * moving.DT)
    assert set(listed("--url", str(recordings))) == {FINAL}
    shown = CliRunner().invoke(main, ["recordings"])
    assert "upload of Ada" in shown.output, shown.output


def test_a_film_is_seen_by_the_camera_that_is_kept(
    recordings: Path, store_url: str, realm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view named default is used, or another one by its name; an unknown name is refused with the known ones."""
    monkeypatch.setenv("REDIS_URL", store_url)
    monkeypatch.setenv("REALM", realm)
    words = ["export", FINAL, "--to", "gif", "--frames", "0", "--size", "96x64"]

    def film(name: str, *more: str) -> bytes:
        result = CliRunner().invoke(main, [*words, "-o", name, *more])
        assert result.exit_code == 0, result.output
        return Path(name).read_bytes()

    own = film("own.gif")
    asyncio.run(keep_views(store_url, realm, {"default": (0.0, 9.0, 0.1), "side": (9.0, 1.0, 0.0)}))
    above, aside = film("above.gif"), film("side.gif", "--view", "side")
    assert len({own, above, aside}) == 3
    refused = CliRunner().invoke(main, [*words, "--view", "back"])
    assert refused.exit_code == 1
    assert "no view back is kept with k7qm2xpv; there are default, side" in refused.output


async def rows_of(url: str, realm: str) -> list[RecordedSession]:
    store = await Store.connect(url, realm)
    try:
        rows, _ = await RecordingIndex(store, 100).page(RecordingChoice())
        return rows
    finally:
        await store.close()


def test_the_table_is_chosen_by_player_and_date_and_lists_are_made_again(
    recordings: Path, store_url: str, realm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A player is found by name or identity. ``--rebuild`` lists what the index has a row of, without a server."""
    assert set(listed("--player", "ADA")) == set(listed("--player", "p0", "--since", "1h")) == {FINAL}
    assert listed("--player", "nobody") == listed("--since", "2999-01-01") == {}
    refused = CliRunner().invoke(main, ["recordings", "--rebuild"])
    assert refused.exit_code == 1 and "no store answers" in refused.output
    monkeypatch.setenv("REDIS_URL", store_url)
    monkeypatch.setenv("REALM", realm)
    row = RecordedSession(FINAL, "ended", "duel", 2, (), 1, 2, 3, 4, 5.0)
    (recordings / "index").mkdir()
    (recordings / "index" / f"{FINAL}.json").write_bytes(msgspec.json.encode(row))
    result = CliRunner().invoke(main, ["recordings", "--rebuild"])
    assert result.exit_code == 0 and "1 recorded sessions are listed." in result.output
    assert asyncio.run(rows_of(store_url, realm)) == [row]


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_the_code_of_a_recording_is_whole_in_a_narrow_terminal(
    recordings: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """The other commands take it. Names give way first."""
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = CliRunner().invoke(main, ["recordings"]).output.splitlines()
    assert lines[1].startswith(f"{FINAL} ")


def test_what_cannot_be_read_is_said(recordings: Path) -> None:
    """Without a store a running session has no mark. A truncated group and foreign files hide no recording."""
    write_live(recordings)
    (recordings / "notes.txt").write_text("mine")
    broken = recordings / "aaaaaaaa.zarr"
    moving.write(broken)
    (broken / "zarr.json").write_bytes((broken / "zarr.json").read_bytes()[:-40])
    found = listed()
    assert {session: one["state"] for session, one in found.items()} == {
        FINAL: "final", LIVE: "unreadable", "aaaaaaaa": "unreadable",
    }  # fmt: skip
    table = CliRunner().invoke(main, ["recordings"]).output
    assert FINAL in table and "final" in table and "80" in table
    empty = CliRunner().invoke(main, ["recordings", "--url", str(recordings / "nothing")])
    assert empty.exit_code == 0 and empty.output == f"No recordings in {recordings / 'nothing'}.\n"
    foreign = CliRunner().invoke(main, ["recordings", "--url", "nosuch://x"])
    assert foreign.exit_code == 1 and len(foreign.output.strip().splitlines()) == 1
