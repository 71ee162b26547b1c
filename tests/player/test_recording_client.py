"""Recordings in Python: blocking and asynchronous, from a server and from files, long ones and one that grows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

import tussle
from tests.server.recordings.frames import fill, frames, topology
from tussle.lobby.errors import NotFound, ProtocolError, Refused
from tussle.lobby.wire.frames import Topology, encode_topology
from tussle.player import recording_client
from tussle.player.clips import Arrays
from tussle.player.recording_client import FileSource, HttpSource, Recording
from tussle.server.recordings.answers import answer
from tussle.server.recordings.frame_store import FIELDS, MemoryFrames
from tussle.server.recordings.selection import select
from tussle.server.recordings.zarr_frames import ZarrFrames

TOKEN = "k7qm2xpv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three segments: 1500 frames of two affine bodies, 700 with an elastic one before them, 40 of two again."""
    path = tmp_path_factory.mktemp("recordings") / "one.zarr"
    store = ZarrFrames.create(str(path), {"mode": "duel", "dt": 1 / 60}, seats=2)
    for line in ({"tick": 3, "type": "set_up"}, {"tick": 9, "type": "ended"}):
        store._group.log(line)
    fill(store)
    store.close()
    return path


def served(store: Any, live: Callable[[], bool] = lambda: False) -> HttpSource:
    """A server's answers, made by the server's own code."""

    async def fetch(path: str, query: dict[str, str]) -> bytes:
        if path.endswith("/frames"):
            asked = {name: query[name] for name in ("data", "frames")}
            made = answer(store, select(store, **asked), query["format"], {"session": TOKEN})
            return b"".join(made.pieces())
        if "/topology/" in path:
            return encode_topology(store.topology(int(path.rpartition("/")[2])))
        about = {
            "length": store.length, "session": TOKEN, "live": live(), "segments": store.segments,
            "fields": {name: msgspec.to_builtins(FIELDS[name]) for name in store.fields},
        }  # fmt: skip
        return msgspec.json.encode(about)

    return HttpSource(fetch, TOKEN)


@pytest.fixture(params=["files", "server"])
async def opened(request: pytest.FixtureRequest, folder: Path) -> Recording:
    """The same recording from both places."""
    if request.param == "files":
        return await Recording(FileSource(str(folder))).open()
    return await Recording(served(ZarrFrames.open(str(folder)))).open()


async def test_frames_are_read_by_index_and_by_slice(opened: Recording) -> None:
    """Single frames, ranges over segments and steps have the recorded numbers."""
    assert len(opened) == 2240 and opened.fields == tuple(FIELDS)
    last = await opened.read(-1, "energy", "tick")
    assert last.tick == 10 + 2 * 2239 and isinstance(float(last.energy), float)
    clip = await opened.read(slice(1490, 2205, 3), "rows", "contacts", "tick")
    assert len(clip) == 239 and (clip.tick == 10 + 2 * np.arange(1490, 2205, 3)).all()
    assert clip[:4].rows.shape == (4, 8, 3) and clip[10:20].rows.shape == (10, 12, 3)
    assert (clip[10:20][3].rows == clip[13].rows).all()
    for wrong in (2240, -2241, slice(5, 1, -1)):
        with pytest.raises(Refused):
            opened.numbers(wrong)
    with pytest.raises(Refused) as refused:
        await opened.read(0, "colour")
    assert refused.value.reason == "bad_fields"
    with pytest.raises(Refused) as refused:
        _ = clip.energy
    assert "read" in refused.value.message
    with pytest.raises(Refused) as refused:
        _ = clip.rows
    assert refused.value.reason == "bad_range"


async def test_a_long_range_is_read_in_blocks(opened: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are the same, whatever the size of a block; no block is larger."""
    whole = await opened.read(slice(None))
    asked: list[int] = []
    real = opened._source.frames

    async def counted(numbers: range, fields: Sequence[str]) -> Arrays:
        asked.append(len(numbers))
        return await real(numbers, fields)

    monkeypatch.setattr(opened._source, "frames", counted)
    monkeypatch.setattr(recording_client, "BLOCK_BYTES", 200_000)
    again = await opened.read(slice(None))
    assert len(asked) > 4 and max(asked) < 500
    for key, piece in whole._pieces.items():
        assert np.array_equal(again._pieces[key].array, piece.array, equal_nan=piece.array.dtype.kind == "f")
    sizes = [len(clip) async for clip in opened.blocks("positions")]
    assert sum(sizes) == 2240 and len(sizes) > 1


async def test_positions_are_those_of_the_meshes(opened: Recording) -> None:
    """x = c + X_1 r_1 + X_2 r_2 + X_3 r_3 for an affine body, the rows of an elastic one; NaN while not active."""
    clip = await opened.read(slice(1500, 1510), "positions")
    assert [body.id for body in clip.bodies] == ["b0", "b1", "b2", "ground"]
    assert clip.positions.shape == (10, 12, 3)
    assert np.array_equal(clip.positions[:, :4], clip.rows[:, :4])
    rows, mesh = clip.rows[1, 4:8], 2 * np.concatenate([np.zeros((1, 3)), np.eye(3)])
    assert np.allclose(clip.positions[1, 4:8], rows[0] + mesh @ rows[1:], atol=1e-5)
    assert np.isnan(clip.positions[0, 8:]).all() and not np.isnan(clip.positions[1]).any()
    assert clip[2].positions.shape == (12, 3) and clip.body("b1").faces.shape == (4, 3)


async def test_a_body_is_followed_over_topologies(opened: Recording) -> None:
    """A body has its centre in every frame, NaN while it is not active. A name of no or several bodies is refused."""
    clip = await opened.read(slice(None), "rows")
    centre = clip.body("b2").centre
    assert centre.shape == (2240, 3) and np.isnan(centre[:1500]).all() and np.isnan(centre[2200:]).all()
    assert np.array_equal(centre[1501], clip[1501].rows[8])
    elastic = clip[1500:2200].body("b0").centre
    assert np.allclose(elastic, clip[1500:2200].rows[:, :4].mean(axis=1), equal_nan=True)
    for name in ("halo", "nobody"):
        with pytest.raises(Refused) as refused:
            clip.body(name)
        assert refused.value.reason == "unknown_body"


async def test_a_recording_is_followed_while_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each frame once, in order, until the session is over."""
    monkeypatch.setattr(recording_client, "POLL_S", 0.0)
    store = MemoryFrames(seats=2)
    store.append(frames(0, 5), topology("affine", "affine"))
    recording = await Recording(served(store, lambda: store.length < 20)).open()
    ticks = []
    async for frame in recording.follow("tick", "energy"):
        ticks.append(int(frame.tick))
        if len(ticks) in (3, 8, 12):
            store.append(frames(2 * store.length, 5))
    assert ticks == list(range(0, 40, 2)) and not recording.live


def test_a_script_reads_a_recording_in_files(folder: Path) -> None:
    """tussle.recording with a path: a sequence whose numbers are read when they are used."""
    with tussle.recording(str(folder)) as rec:
        assert len(rec) == 2240 and rec.attributes["mode"] == "duel"
        assert rec[10:20].positions.shape == (10, 8, 3) and rec[-1].energy == rec.energy[-1]
        assert rec.body("b0").centre.shape == (2240, 3)
        assert [event["type"] for event in rec.events] == ["set_up", "ended"]
        assert [int(frame.tick) for frame in rec[5:8]] == [20, 22, 24]
        assert sum(1 for _ in rec.follow("tick")) == sum(1 for _ in rec) == 2240
        with pytest.raises(IndexError):
            rec[2240]
    with pytest.raises(NotFound) as missing:
        tussle.recording(str(folder / "nothing"))
    assert missing.value.reason == "no_recording"


def test_a_recording_becomes_a_table_of_xarray(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With units and coordinates; frames of several topologies without what depends on them; said if xarray is not
    installed."""
    with tussle.recording(str(folder)) as rec:
        table = rec[:100].to_xarray()
        assert table.rows.dims == ("frame", "row", "axis") and table.energy.attrs["units"] == "J"
        assert list(table.body.values) == ["b0", "b1"] and float(table.time[3]) == pytest.approx(16 / 60)
        assert rec.to_xarray("energy", "health").sizes["frame"] == 2240
        with pytest.raises(Refused):
            rec.to_xarray()
        monkeypatch.setitem(__import__("sys").modules, "xarray", None)
        with pytest.raises(ModuleNotFoundError, match="pip install xarray"):
            rec.to_xarray("energy")


async def test_an_answer_that_is_no_recording_is_an_error() -> None:
    """Foreign bytes, a wrong shape, a description without fields."""
    bad = iter(
        [
            b"{}", b"[]", b'{"length": 1, "fields": {"tick": {"dtype": "<u4"}}, "segments": []}',
            b"nonsense", msgspec.msgpack.encode({"arrays": {"tick": {"dtype": "<u4", "shape": [5], "data": b"abcd"}}}),
        ]
    )  # fmt: skip

    async def fetch(path: str, query: dict[str, str]) -> bytes:
        return next(bad)

    recording = Recording(HttpSource(fetch, TOKEN))
    for _ in range(2):
        with pytest.raises(ProtocolError):
            await recording.open()
    await recording.open()
    for _ in range(2):
        with pytest.raises(ProtocolError):
            await recording.read(0, "tick")


async def test_a_client_reads_over_http(folder: Path) -> None:
    """Client.recording asks the server, waits while it is refused, and passes errors on."""
    store, refusals = ZarrFrames.open(str(folder)), 1
    source = served(store)

    async def handle(request: httpx.Request) -> httpx.Response:
        nonlocal refusals
        if request.url.path.endswith("/frames") and refusals:
            refusals -= 1
            return httpx.Response(429, json={"code": "rate_limited", "detail": "wait", "retry_after": 0.001})
        if TOKEN not in request.url.path:
            return httpx.Response(404, json={"code": "no_recording", "detail": "none"})
        return httpx.Response(200, content=await source._fetch(request.url.path, dict(request.url.params)))

    async with tussle.Client("http://127.0.0.1:1", transport=httpx.MockTransport(handle)) as client:
        recording = await client.recording(TOKEN)
        clip = await recording.read(slice(0, 5), "energy")
        assert clip.energy.shape == (5,) and refusals == 0
        with pytest.raises(NotFound):
            await client.recording("22222222")
    await asyncio.sleep(0)


def test_a_topology_is_read_once_for_each_segment(folder: Path) -> None:
    """However often positions are asked for."""
    asked: list[int] = []
    with tussle.recording(str(folder)) as rec:
        real = rec.topology

        def counted(segment: int) -> Topology:
            asked.append(segment)
            return real(segment)

        rec.topology = counted  # type: ignore[method-assign]
        clip = rec[:50]
        for part in (clip, clip[3], clip[:10]):
            assert part.positions.shape[-2:] == (8, 3)
    assert asked == [0]


async def test_a_trajectory_of_ones_own_grows(folder: Path, tmp_path: Path) -> None:
    """What a session recorded is only read; a copy of some frames may grow, frame by frame and many at once."""
    store = ZarrFrames.open(str(folder))
    session = await Recording(served(store)).open()
    with pytest.raises(Refused) as refused:
        await session.append({"tick": 9999})
    assert refused.value.reason == "read_only"
    path = str(tmp_path / "mine.zarr")
    mine = await session.derive(path, slice(1490, 2210, 5))
    assert len(mine) == 144 and len(mine.segments) == 3
    assert mine.attributes["derived_from"] == {"session": TOKEN, "frames": [1490, 2210, 5]}
    left, right = await mine.read(slice(3, 90)), await session.read(slice(1505, 1940, 5))
    assert np.array_equal(left.rows, right.rows, equal_nan=True) and (left.health == right.health).all()
    last = frames(9000, 3, rows=8, bodies=2)
    assert await mine.extend(last) == 147
    one = {"tick": 9010, "rows": last["rows"][1], "active": last["active"][1]}
    assert await mine.append(one) == 148
    assert np.array_equal((await mine.read(-1)).rows, last["rows"][1]) and (await mine.read(-1)).contacts == 0
    for bad in ({"tick": 3}, {**one, "tick": 9011, "rows": one["rows"][:5]}):
        with pytest.raises(Refused) as refused:
            await mine.append(bad)
        assert refused.value.reason == "bad_frames"
    assert await mine.refresh() == 148
    with pytest.raises(Refused) as refused:
        await session.derive(path)
    assert refused.value.reason == "recording_exists"
    with tussle.recording(path) as rec:
        assert rec.append({**one, "tick": 9012}) == len(rec) == 149


def test_files_of_a_session_are_not_changed(tmp_path: Path) -> None:
    """The Python client refuses to extend it: the attribute ``session`` marks the recording of a session."""
    store = ZarrFrames.create(str(tmp_path / "one.zarr"), {"session": TOKEN})
    store.append(frames(0, 3, seats=0), topology("affine", "affine"))
    store.close()
    with tussle.recording(str(tmp_path / "one.zarr")) as rec:
        with pytest.raises(Refused) as refused:
            rec.extend(frames(100, 3, seats=0))
        assert refused.value.reason == "read_only"
        assert rec.refresh() == 3
        with rec.derive(str(tmp_path / "two.zarr"), slice(1, None)) as copy:
            assert copy.extend(frames(100, 3, seats=0)) == 5
