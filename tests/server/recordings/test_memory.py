"""What works on a whole recording needs memory for some chunks of it, whatever its length."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tussle
from tussle.lobby.files import Files
from tussle.lobby.recording_marks import RecordingMark
from tussle.lobby.wire.frames import Topology, TopologyBody
from tussle.server.archive.repair import readable_state
from tussle.server.recordings.answers import answer
from tussle.server.recordings.export.clip import Clip
from tussle.server.recordings.export.exporting import export
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.live_files import LiveFrames, LiveState, compact, live_folder
from tussle.server.recordings.selection import Selection
from tussle.server.recordings.uploaded import read_upload
from tussle.server.recordings.zarr_frames import ZarrFrames

TOKEN = "k7qm2xpv"
VERTICES, FRAMES, BLOCK = 2048, 1536, 512
DECODED = 12 * VERTICES * FRAMES
"""The size of all rows [B]: 38 MB. They are noise, which does not compress."""

MOST = DECODED // 2


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RecordingMark]:
    """A recording of elastic vertices: the files of a running session, its final group, and an upload of it."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(1)
    rest = rng.normal(size=(VERTICES, 3)).astype(np.float32)
    body = TopologyBody("jelly", "elastic", rest, np.array([[0, 1, 2]], np.uint32))
    state = LiveState(RecordingGroup({"mode": "sandbox"}), FRAMES)
    state.begin_epoch(1)
    live = Files(str(folder)).below(live_folder(TOKEN))
    for first in range(0, FRAMES, BLOCK):
        ticks = np.arange(first, first + BLOCK)
        zeros = np.zeros(BLOCK)
        arrays = {
            "tick": ticks, "time": ticks / 60, "min_distance": zeros, "energy": zeros, "contacts": ticks,
            "iterations": ticks, "active": np.ones((BLOCK, 1), bool),
            "rows": rng.random((BLOCK, VERTICES, 3), np.float32),
        }  # fmt: skip
        for path, data in state.group.append(arrays, None if first else Topology((body,))):
            live.write(f"000001/{path}", data)
    encoded = state.encode()
    live.write("000001/state-1", encoded)
    mark = RecordingMark(1, FRAMES, state.group.length, "state-1", hashlib.sha256(encoded).hexdigest())
    compact(Files(str(folder)), TOKEN, mark)
    with (folder / "packed.zip").open("wb") as file:
        ZarrFrames.open(str(folder / f"{TOKEN}.zarr")).pack(file)
    return folder, mark


def packed(folder: Path, mark: RecordingMark, place: Path) -> None:
    with (place / "packed.zip").open("wb") as file:
        ZarrFrames.open(str(folder / f"{TOKEN}.zarr")).pack(file)


def received(folder: Path, mark: RecordingMark, place: Path) -> None:
    with (folder / "packed.zip").open("rb") as file:
        draft = read_upload(file, place, 2**30)
    assert draft.finish().length == FRAMES
    draft.keep(Files(str(place / "blobs")))


def compacted(folder: Path, mark: RecordingMark, place: Path) -> None:
    compact(Files(str(folder)), TOKEN, mark)


def checked_for_repair(folder: Path, mark: RecordingMark, place: Path) -> None:
    assert readable_state(Files(str(folder)).below(live_folder(TOKEN)), mark) is not None


def read_while_it_runs(folder: Path, mark: RecordingMark, place: Path) -> None:
    live = LiveFrames(Files(str(folder)).below(live_folder(TOKEN)), mark)
    assert sum(len(block.numbers) for block in live.frames(range(FRAMES), live.fields)) == FRAMES


def read_by_a_script(folder: Path, mark: RecordingMark, place: Path) -> None:
    with tussle.recording(str(folder / f"{TOKEN}.zarr")) as recording:
        assert sum(clip.rows.nbytes for clip in recording.blocks("rows")) == DECODED


def answered(form: str) -> Callable[[Path, RecordingMark, Path], None]:
    def work(folder: Path, mark: RecordingMark, place: Path) -> None:
        store = ZarrFrames.open(str(folder / f"{TOKEN}.zarr"))
        made = answer(store, Selection(("rows",), range(FRAMES)), form, {})
        assert sum(len(piece) for piece in made.pieces()) > DECODED

    return work


def exported(name: str) -> Callable[[Path, RecordingMark, Path], None]:
    def work(folder: Path, mark: RecordingMark, place: Path) -> None:
        export(Clip(ZarrFrames.open(str(folder / f"{TOKEN}.zarr"))), name, place / "out")

    return work


@pytest.mark.parametrize(
    "work",
    [
        packed, received, compacted, checked_for_repair, read_while_it_runs, read_by_a_script,
        *(pytest.param(answered(form), id=form) for form in ("npy", "npz", "msgpack")),
        *(pytest.param(exported(name), id=name) for name in ("zarr", "npz")),
    ],
)  # fmt: skip
def test_memory_does_not_grow_with_the_recording(
    made: tuple[Path, RecordingMark], tmp_path: Path, work: Callable[[Path, RecordingMark, Path], None]
) -> None:
    """Each needs less than half of the rows that it reads."""
    folder, mark = made
    tracemalloc.start()
    try:
        work(folder, mark, tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MOST
