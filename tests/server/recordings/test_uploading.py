"""Frames that a client sends: how many one call may have."""

from __future__ import annotations

import asyncio
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest

from tests.server.recordings.frames import frames, topology
from tussle.lobby.errors import Conflict, Refused, StoreError
from tussle.lobby.files import Files
from tussle.lobby.settings import Settings
from tussle.lobby.uploads import Upload, Uploads
from tussle.server.recordings.frame_store import Frames, part_of
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.recordings import Recordings
from tussle.server.recordings.uploaded import Draft, UploadedFrames, plan_change, read_upload
from tussle.server.recordings.uploading import MOST_EDITS, MOST_FRAMES, SentFrames, Uploading, reachable

FULL = Path("/dev/full")


def sent(count: int, edits: int = 0) -> bytes:
    ticks = np.arange(count, dtype="<u4")
    array = {"dtype": "<u4", "shape": [count], "data": ticks.tobytes()}
    return msgspec.msgpack.encode({"arrays": {"tick": array}, "base": dict.fromkeys(range(edits), 1)})


def test_the_frames_of_one_call_are_bounded() -> None:
    """More frames than an answer names are refused, and more edits than the store compares are not even decoded."""
    arrays, _ = msgspec.msgpack.decode(sent(MOST_FRAMES, MOST_EDITS), type=SentFrames).decoded()
    assert len(arrays["tick"]) == MOST_FRAMES
    with pytest.raises(Refused) as many:
        msgspec.msgpack.decode(sent(MOST_FRAMES + 1), type=SentFrames).decoded()
    assert many.value.reason == "bad_frames"
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(sent(1, MOST_EDITS + 1), type=SentFrames)


def many_segments(count: int) -> tuple[RecordingGroup, dict[str, bytes]]:
    """A recording whose every frame has a topology of its own."""
    group, files = RecordingGroup({"dt": 1 / 60}, seats=0), dict[str, bytes]()
    for i in range(count):
        files.update(group.append(frames(10 + i, 1, seats=0), topology("affine", "affine")))
    files.update(group.files(files.__getitem__))
    return RecordingGroup.load(files["zarr.json"]), files


def test_an_upload_has_few_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each segment takes time on the thread that reads all uploads: there is a bound, before any is read."""
    monkeypatch.setattr("tussle.server.recordings.uploaded.UPLOAD_SEGMENTS", 3)
    for count in (3, 4):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, data in many_segments(count)[1].items():
                archive.writestr(name, data)
        if count == 3:
            assert read_upload(packed, tmp_path, 10**7).group.length == 3
            continue
        with pytest.raises(Refused) as many:
            read_upload(packed, tmp_path, 10**7)
        assert many.value.reason == "too_many_segments"


def test_a_frame_is_read_without_a_look_at_all_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise to read a recording segment by segment takes the square of their number."""
    group, files = many_segments(40)
    looked = []
    monkeypatch.setattr(
        "tussle.server.recordings.group.part_of",
        lambda numbers, block: looked.append(block) or part_of(numbers, block),  # type: ignore[func-returns-value]
    )
    (block,) = group.frames(range(25, 26), ("tick", "rows"), files.__getitem__)
    assert (block.segment, block.arrays["tick"].tolist()) == (25, [35])
    assert len(looked) < 8
    blocks = list(group.frames(range(3, 40, 9), ("tick",), files.__getitem__))
    assert [block.segment for block in blocks] == [3, 12, 21, 30, 39]
    assert not list(group.frames(range(0), ("tick",), files.__getitem__))


def test_a_full_disk_is_no_fault_of_the_server() -> None:
    """A file that cannot be written is reported as a store that is out of reach, which a client may ask again."""
    with pytest.raises(StoreError) as full, reachable(), FULL.open("wb", buffering=0) as file:
        file.write(b"PK")
    assert full.value.reason == "recordings_unreachable"


def test_frames_are_added_without_reading_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The price of adding frames does not grow with the recording: only the tick of the last frame is looked at."""
    draft = Draft(tmp_path, RecordingGroup({}, seats=0))
    draft.append(frames(10, 1100, seats=0), topology("affine", "affine"))
    files = Files(str(tmp_path / "blobs"))
    kept = draft.finish()
    draft.keep(files)
    before = UploadedFrames(files, kept.sha256)
    last = before.last_tick
    assert last == before.ticks[-1]

    def never(*_: object) -> Iterator[Frames]:
        raise AssertionError("frames were read")

    monkeypatch.setattr(UploadedFrames, "frames", never)
    assert plan_change(before, np.array([last + 1, last + 2]), {}).appended == [0, 1]
    with pytest.raises(Conflict):
        plan_change(before, np.array([last + 1]), {last + 1: 1})
    with pytest.raises(AssertionError, match="frames were read"):
        plan_change(before, np.array([last]), {last: 1})


async def test_a_change_does_not_wait_for_an_archive(tmp_path: Path) -> None:
    """While an uploaded archive is read, what is asked about another recording is answered."""
    draft = Draft(tmp_path, RecordingGroup({}, seats=0))
    draft.append(frames(3, 1100, seats=0), topology("affine", "affine"))
    recordings = Recordings(str(tmp_path / "recordings"))
    kept = draft.finish()
    draft.keep(recordings.blobs)
    uploading = Uploading(Settings(data_dir=tmp_path), recordings, cast(Uploads, None))
    upload = Upload("rec8aaaa", "p1", "ada", "", "", True, 1, kept.sha256, 10, 3, 1, 1)
    read = threading.Event()
    reading = asyncio.ensure_future(uploading._run(lambda: read.wait(60.0), uploading._archives))
    try:
        async with asyncio.timeout(30.0):
            assert len(await uploading.versions(upload)) >= 0
        assert not reading.done()
    finally:
        read.set()
    assert await reading
