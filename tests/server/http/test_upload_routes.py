"""Recordings of players on a real server: uploaded, read by every call, changed under versions and locks, removed."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
import pytest_asyncio

import tussle
from tests.server.recordings.frames import frames, topology
from tests.support.http import http_client
from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import Person
from tussle.lobby.errors import Conflict, Refused
from tussle.lobby.ids import new_session_token
from tussle.player.client import Client
from tussle.player.recording_client import Recording
from tussle.player.upload_client import packed
from tussle.server.recordings.uploaded import DEFAULTS
from tussle.server.recordings.zarr_frames import ZarrFrames

ENVIRONMENT = {
    "SOLVERS": "1", "REQUEST_RATE": "100000", "UPLOAD_BYTES": "1000000", "UPLOAD_PLAYER_BYTES": "200000",
    "ALLOWED_ORIGINS": "http://lab.example",
}  # fmt: skip

ONE_BODY = {
    "bodies": [
        {
            "id": "b0", "shape": {"kind": "box", "params": {"size": [1, 1, 1]}}, "material": {"density": 1},
            "rotation": [0, 0, 0, 0],
        }
    ]
}  # fmt: skip
"""A scene that the rotation of its body makes wrong."""

TICKS = 10 + 2 * np.arange(40)

pytestmark = pytest.mark.asyncio(loop_scope="module")


def made(path: Path, seed: int = 0, **attributes: Any) -> str:
    """A recording of 40 frames of two bodies, which no session made."""
    store = ZarrFrames.create(str(path), {"dt": 1 / 60, "mode": "duel", **attributes}, seats=2)
    arrays = frames(10, 40)
    arrays["energy"] = arrays["energy"] + seed
    store.append(arrays, topology("affine", "affine"))
    store.close()
    return str(path)


def archive(address: str) -> bytes:
    with packed(address) as file:
        file.seek(0)
        return file.read()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(site: Stack) -> AsyncIterator[Client]:
    async with Client(site.url) as one:
        await one.login()
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(site: Stack, client: Client) -> AsyncIterator[httpx.AsyncClient]:
    """The same player without the client's code."""
    headers = {"authorization": f"Bearer {client.token}", "accept-encoding": "identity"}
    async with http_client(f"{site.url}/api/recordings", headers=headers, timeout=30.0) as one:
        yield one


def blobs(site: Stack) -> int:
    """How many files of uploads there are."""
    return sum(path.is_file() for path in (site.data_dir / "recordings/blobs").rglob("*"))


async def put(http: httpx.AsyncClient, data: bytes, token: str = "", **query: str) -> httpx.Response:
    token = token or new_session_token()
    return await http.put(f"/{token}", content=data, params={"sha256": sha(data), **query})


async def test_an_uploaded_recording_is_read_by_every_call(
    client: Client, http: httpx.AsyncClient, site: Stack, tmp_path: Path
) -> None:
    """Description, frames, topology and Zarr files are those of the recording; it is in the list with its title unless
    its owner does not list it; a replay room opens over it; equal content is stored once."""
    address = made(tmp_path / "one.zarr")
    local = ZarrFrames.open(address)
    rec = await client.upload_recording(address, title="tower")
    token = rec.attributes["session"]
    assert len(rec) == 40 and rec.attributes["upload"]["title"] == "tower" and not rec.live
    [whole] = local.frames(range(40), ("rows", "energy"))
    clip = await rec.read(slice(None), "rows", "energy")
    assert np.array_equal(clip.rows, whole.arrays["rows"], equal_nan=True)
    assert (clip.energy == whole.arrays["energy"]).all()
    assert [body.id for body in (await rec.topology(0)).bodies] == ["b0", "b1", "ground"]
    for path in ("energies/c/0/0", "segments/0/rows/c/0/0/0", "tick/zarr.json"):
        assert (await http.get(f"/{token}.zarr/{path}")).content == local.file(path)
    before = blobs(site)
    again = await client.upload_recording(address, listed=False)
    assert blobs(site) == before
    listed = await client.recordings(player=client.me.player if client.me else "")
    assert [one["recording"] for one in listed] == [token] and listed[0]["title"] == "tower"
    async with client.replay(again.attributes["session"]) as room:
        assert room.length == 40
    for one in (rec, again):
        await client.remove_recording(one.attributes["session"])
    assert_problem(await http.get(f"/{token}"), 404, "no_recording")


async def test_what_is_no_upload_is_refused_and_nothing_is_stored(
    http: httpx.AsyncClient, site: Stack, tmp_path: Path
) -> None:
    """A flipped byte, a cut or foreign archive, a damaged chunk, NaN, a session's recording, too many bytes, no hash,
    no login, a bad name, and a name that is taken."""
    good = archive(made(tmp_path / "one.zarr"))
    before = blobs(site)
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    answer = await http.put(f"/{new_session_token()}", content=bytes(flipped), params={"sha256": sha(good)})
    assert_problem(answer, 400, "bad_hash")
    assert_problem(await put(http, bytes(flipped)), 400, "bad_upload")
    assert_problem(await put(http, good[:-9]), 400, "bad_upload")
    assert_problem(await put(http, b"hello"), 400, "bad_upload")
    assert_problem(
        await put(http, rezipped(good, lambda name, data: None if name == "energies/c/0/0" else data)),
        400,
        "damaged_recording",
    )
    assert_problem(
        await put(http, rezipped(good, lambda name, data: b"{}" if name == "zarr.json" else data)),
        400,
        "not_a_recording",
    )
    assert_problem(await put(http, rezipped(good, nan_energy)), 422, "bad_frames")
    assert_problem(
        await put(http, archive(made(tmp_path / "two.zarr", session="k7qm2xpv"))), 422, "read_only"
    )
    assert_problem(await put(http, archive(made(tmp_path / "three.zarr", dt="fast"))), 400, "bad_upload")
    assert_problem(await put(http, bytes(1_000_001)), 400, "upload_too_large")
    assert_problem(await http.put(f"/{new_session_token()}", content=good), 422, "bad_hash")
    assert_problem(await put(http, good, "tower"), 422, "bad_name")
    async with http_client(f"{site.url}/api/recordings") as stranger:
        assert_problem(await put(stranger, good), 401, "login_required")
    assert blobs(site) == before and not list((site.data_dir / "uploads").iterdir())
    token = new_session_token()
    assert (await put(http, good, token)).status_code == 201
    assert (await put(http, good, token)).json()["version"] == 1
    assert_problem(await put(http, archive(made(tmp_path / "four.zarr", 1)), token), 422, "recording_exists")
    async with Person(site.url) as other:
        other_token = (await other.login()).token
        headers = {"authorization": f"Bearer {other_token}"}
        async with http_client(f"{site.url}/api/recordings", headers=headers) as theirs:
            assert_problem(await put(theirs, good, token), 422, "recording_exists")
            assert_problem(await theirs.delete(f"/{token}"), 403, "not_own_recording")
            body = {"tick": 10}
            assert_problem(await theirs.post(f"/{token}/locks", json=body), 403, "not_own_recording")
    assert (await http.delete(f"/{token}")).status_code == 200


def rezipped(data: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """An archive with other files."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            kept = change(name, old.read(name))
            if kept is not None:
                new.writestr(name, kept)
    return out.getvalue()


def nan_energy(name: str, data: bytes) -> bytes:
    from tussle.server.recordings.zarr_layout import joined_layout

    if name != "energies/c/0/0":
        return data
    layout = joined_layout("energies", 0)
    values = layout.decode(data).copy()
    values[3, 0] = np.nan
    return layout.encode(values)


@pytest.mark.parametrize(
    "spec",
    [
        "text",
        {"mode": "sandbox"},
        {"mode": "duel", "session": "", "seats": [], "catalogue": {}, "seed": "7"},
        {"scene": "{}"},
        {"scene": msgspec.json.encode(ONE_BODY).decode()},
    ],
)
async def test_no_lobby_begins_like_a_recording_whose_scene_is_wrong(
    http: httpx.AsyncClient, client: Client, tmp_path: Path, spec: Any
) -> None:
    """What a player wrote into an upload instead of a specification is refused by a code, not by a fault."""
    token = (await put(http, archive(made(tmp_path / "one.zarr", spec=spec)))).json()["recording"]
    like = {"session": token, "tick": 20}
    address = str(http.base_url).rstrip("/").removesuffix("recordings") + "open"
    answer = await http.post(address, json={"mode": "sandbox", "like": like})
    assert_problem(answer, 422, "bad_seats" if "seats" in spec else "bad_scene")
    await client.remove_recording(token)


async def test_frames_are_added_inserted_and_edited_in_versions(
    client: Client, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Added frames are at the end, an inserted one between its neighbours, an edit changes one frame and its version;
    without a lock, with an old one, or on an old version it is refused, and so is a frame of NaN."""
    rec = await client.upload_recording(made(tmp_path / "one.zarr"))
    token = rec.attributes["session"]
    whole = await rec.read()
    assert await rec.extend(frames(100, 3)) == 43
    one = {name: array[0] for name, array in frames(13, 1).items()} | {"energy": 7.5}
    assert await rec.append(one) == 44
    ticks = (await rec.read(slice(None), "tick")).tick.tolist()
    assert ticks == sorted([*TICKS.tolist(), 13, 100, 102, 104])
    assert (await rec.read(2, "energy")).energy == 7.5 and await rec.versions() == {}
    await rec.edit(3, {"energy": 1.25})
    async with rec.lock(3):
        with pytest.raises(Conflict) as locked:
            await (await client.recording(token)).edit(3, {"energy": 2.0})
        assert locked.value.reason == "frame_locked"
        await rec.edit(3, {"energy": 2.5})
    assert await rec.versions() == {14: 3}
    clip = await rec.read()
    assert clip.energy[3] == 2.5 and np.array_equal(clip.rows[4:41], whole.rows[3:], equal_nan=True)
    with pytest.raises(Refused) as nan:
        await rec.edit(3, {"energy": float("nan")})
    assert nan.value.reason == "bad_frames"

    async def change(base: dict[int, int], locks: dict[int, int]) -> httpx.Response:
        arrays = {
            name: {"dtype": array.dtype.str, "shape": array.shape, "data": array.tobytes()}
            for name, array in frames(14, 1).items()
        }
        body = msgspec.msgpack.encode({"arrays": arrays, "base": base, "locks": locks})
        return await http.post(f"/{token}/frames", content=body, params={"sha256": sha(body)})

    assert_problem(await change({14: 3}, {}), 409, "lock_required")
    assert_problem(await change({14: 2}, {14: 1}), 409, "stale_version")
    assert_problem(await change({}, {}), 409, "stale_version")
    assert_problem(await change({14: 3}, {14: 1}), 409, "stale_lock")
    assert (await rec.read(3, "energy")).energy == 2.5
    await client.remove_recording(token)


async def test_an_edit_gives_the_recording_that_would_have_been_written(
    client: Client, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Frames in complete chunks and in the last one, in both segments, are edited: every file is that of a recording
    which had these frames from the beginning."""
    parts = [
        (frames(10, 1100), topology("affine", "affine")),
        (frames(3000, 20, rows=12, bodies=3), topology("elastic", "affine", "affine")),
    ]

    def store(name: str, energies: dict[int, float]) -> str:
        path = str(tmp_path / name)
        made = ZarrFrames.create(path, {**DEFAULTS, "dt": 1 / 60}, seats=2)
        for arrays, scene in parts:
            energy = [
                energies.get(int(tick), old)
                for tick, old in zip(arrays["tick"], arrays["energy"], strict=True)
            ]
            made.append({**arrays, "energy": np.array(energy)}, scene)
        made.close()
        return path

    edits = {3: 1.5, 1090: 2.5, 1105: 3.5}
    ticks = np.concatenate([arrays["tick"] for arrays, _ in parts])
    rec = await client.upload_recording(store("one.zarr", {}))
    for number, energy in edits.items():
        await rec.edit(number, {"energy": energy})
    wanted = ZarrFrames.open(store("two.zarr", {int(ticks[n]): e for n, e in edits.items()}))
    token = rec.attributes["session"]
    for path in ("zarr.json", "energies/c/0/0", "energies/c/1/0", "segments/1/rows/c/0/0/0", "tick/c/1"):
        assert (await http.get(f"/{token}.zarr/{path}")).content == wanted.file(path), path
    await client.remove_recording(token)


async def test_changes_at_the_same_time_lose_nothing(client: Client, tmp_path: Path) -> None:
    """Four clients add frames to one recording at once; every frame is there once."""
    rec = await client.upload_recording(made(tmp_path / "one.zarr"))
    token = rec.attributes["session"]

    async def add(number: int) -> int:
        mine = await client.recording(token)
        try:
            return await mine.extend(frames(1000 + 10 * number, 2))
        except Conflict as error:
            assert error.reason == "stale_version"
            return 0

    done = sum(length > 0 for length in await asyncio.gather(*(add(i) for i in range(4))))
    await rec.refresh()
    assert done >= 1 and len(rec) == 40 + 2 * done
    await client.remove_recording(token)


async def test_a_player_has_room_for_some_recordings(
    client: Client, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Beyond its bytes a player's upload is refused and leaves no file; after a removal there is room again."""
    store = ZarrFrames.create(str(tmp_path / "big.zarr"), {"dt": 1 / 60}, seats=2)
    store.append(frames(10, 1000), topology("affine", "affine"))
    store.close()
    first = await client.upload_recording(str(tmp_path / "big.zarr"))
    assert first.attributes["upload"]["bytes"] > 100_000
    with pytest.raises(Conflict) as full:
        await client.upload_recording(str(tmp_path / "big.zarr"))
    assert full.value.reason == "too_many_recordings"
    await client.remove_recording(first.attributes["session"])
    again = await client.upload_recording(str(tmp_path / "big.zarr"))
    await client.remove_recording(again.attributes["session"])


async def test_a_page_of_an_allowed_origin_reads_etags(http: httpx.AsyncClient) -> None:
    """A page of an allowed origin may read ETag and Content-Range, and may upload; one of another origin may not."""
    address = str(http.base_url).rstrip("/")
    allowed = await http.get(address, headers={"origin": "http://lab.example"})
    assert allowed.status_code == 200
    assert {"etag", "content-range"} <= set(allowed.headers["access-control-expose-headers"].split(", "))
    asked = await http.options(address, headers={"origin": "http://lab.example"})
    assert "PUT" in asked.headers["access-control-allow-methods"]
    other = await http.get(address, headers={"origin": "http://other.example"})
    assert "access-control-expose-headers" not in other.headers


async def test_a_script_uploads_and_appends(client: Client, site: Stack, tmp_path: Path) -> None:
    """The blocking client uploads a derived copy, adds a frame, edits one under a lock, and removes it."""
    address = made(tmp_path / "one.zarr")

    def script() -> tuple[int, float, dict[int, int]]:
        with tussle.connect(site.url, token=client.token) as one, tussle.recording(address) as local:
            rec = local.derive(str(tmp_path / "copy.zarr"), slice(10)).upload(one, title="copy")
            count = rec.append({name: array[0] for name, array in frames(200, 1).items()})
            with rec.lock(0):
                rec.edit(0, {"energy": 3.0})
            found = count, float(rec[0].energy), rec.versions()
            one.remove_recording(rec.attributes["session"])
            return found

    assert await asyncio.to_thread(script) == (11, 3.0, {10: 2})


async def test_what_a_session_recorded_is_never_changed(client: Client, site: Stack) -> None:
    """Frames are not added to the recording of a session, and its name is not free for an upload."""
    token = "44444444"
    path = site.data_dir / f"recordings/{token}.zarr"
    made(path, session=token)
    rec: Recording = await client.recording(token)
    with pytest.raises(Refused) as refused:
        await rec.extend(frames(100, 1))
    assert refused.value.reason == "read_only"


LARGE = 300_000_000
LARGE_LIMIT = 64 * 2**20


def peak(pid: int, *, forget: bool = False) -> int:
    """The largest memory of a process [B]. forget: from now on."""
    if forget:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux says what a process needed most"
)
async def test_a_large_upload_needs_little_memory(site: Stack, client: Client, tmp_path: Path) -> None:
    """300 MB are received, hashed and stored with less than 64 MiB more than before: an archive with a file that is not
    the recording's, which is ignored."""
    (server,) = await site.more_servers(1, UPLOAD_BYTES="400000000", UPLOAD_PLAYER_BYTES="400000000")
    with (tmp_path / "large.zip").open("w+b") as file:
        file.write(archive(made(tmp_path / "one.zarr")))
        with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as large, large.open("notes", "w") as notes:
            for _ in range(LARGE // 10**6):
                notes.write(bytes(10**6))
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()

        async def pieces() -> AsyncIterator[bytes]:
            file.seek(0)
            while piece := file.read(2**20):
                yield piece

        headers = {"authorization": f"Bearer {client.token}", "content-length": str(file.seek(0, 2))}
        before = peak(server.pid, forget=True)
        async with http_client(f"{server.url}/api/recordings", headers=headers, timeout=60.0) as http:
            answer = await http.put(f"/{new_session_token()}", content=pieces(), params={"sha256": digest})
    assert answer.status_code == 201, answer.text
    assert peak(server.pid) - before < LARGE_LIMIT
