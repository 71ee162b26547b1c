"""Recordings over HTTP, on a real server: of a session that runs, of one that is over, and of one without its keys."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import pytest_asyncio
from click.testing import CliRunner

from tests.conftest import until
from tests.server.recordings.frames import fill
from tests.server.recordings.sessions import TOKEN, Holder, played
from tests.support.http import http_client
from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import duel
from tussle.cli.main import main
from tussle.lobby.lifecycle import Status
from tussle.lobby.store.store import Store
from tussle.lobby.wire.frames import decode_topology
from tussle.server.recordings.recordings import Recordings
from tussle.server.recordings.zarr_frames import ZarrFrames

ENVIRONMENT = {"SOLVERS": "1", "REQUEST_RATE": "100000"}

OVER = "22222222"
"""A recording of three segments whose session the store has forgotten."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(site: Stack) -> AsyncIterator[httpx.AsyncClient]:
    folder = site.data_dir / "recordings"
    store = ZarrFrames.create(str(folder / f"{OVER}.zarr"), {"session": OVER, "mode": "duel"}, seats=2)
    fill(store)
    store.close()
    async with http_client(f"{site.url}/api/recordings", headers={"accept-encoding": "identity"}) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(site: Stack) -> AsyncIterator[tuple[Holder, Store]]:
    """A session that runs, recorded by a holder elsewhere up to about tick 150."""
    spec, inputs, last = played("duel", 300)
    holder = Holder(Recordings(str(site.data_dir / "recordings")), spec, inputs, 1)
    holder.start()
    await holder.run(last // 2, iter(lambda: 2, 0))
    _, mark = await holder.save()
    assert mark is not None
    store = await Store.connect(site.store_url, site.realm)
    await store.call("HSET", store.keys.session(TOKEN), "status", Status.RUNNING, "v", 0)
    await store.call("HSET", store.keys.recording(TOKEN), *mark.arguments())
    yield holder, store
    await store.close()


async def test_a_recording_says_what_it_has(http: httpx.AsyncClient) -> None:
    """Length, fields, segments with their bodies, and the first and last tick; without a login, and after the keys."""
    about = (await http.get(f"/{OVER}")).json()
    assert (about["session"], about["length"], about["live"]) == (OVER, 2240, False)
    assert (about["first_tick"], about["last_tick"]) == (10, 10 + 2 * 2239)
    assert about["fields"]["rows"]["unit"] == "m" and [s["frames"] for s in about["segments"]] == [
        1500,
        700,
        40,
    ]
    assert [body["kind"] for body in about["segments"][0]["bodies"]] == ["affine", "affine", "static"]
    topology = await http.get(f"/{OVER}/topology/1")
    assert [body.id for body in decode_topology(topology.content).bodies] == ["b0", "b1", "b2", "ground"]


async def test_frames_come_in_the_format_that_is_asked_for(http: httpx.AsyncClient) -> None:
    """npz without an Accept header; the same numbers in JSON; one array as npy."""
    answer = await http.get(f"/{OVER}/frames?data=rows,energy&frames=10:20:2")
    assert answer.headers["content-type"] == "application/x-npz"
    with np.load(io.BytesIO(answer.content)) as found:
        arrays = dict(found)
    assert arrays["rows"].shape == (5, 8, 3) and arrays["energy"].shape == (5,)
    path = f"/{OVER}/frames?data=energy&frames=10:20:2"
    npy = await http.get(path, headers={"accept": "application/x-npy"})
    assert np.array_equal(np.load(io.BytesIO(npy.content)), arrays["energy"])
    listed = (await http.get(path, headers={"accept": "application/json"})).json()
    assert np.allclose(listed["arrays"]["energy"], arrays["energy"])
    assert (await http.get(f"{path}&format=arrow")).headers["content-type"].endswith("arrow.stream")


async def test_an_answer_that_the_client_has_is_not_sent_again(http: httpx.AsyncClient) -> None:
    """An answer is 304 for its ETag in any coding, partial for a Range, 416 beyond its end, and has no body for
    HEAD."""
    path = f"/{OVER}/frames?data=time&frames=:200&format=npy"
    whole = await http.get(path)
    tag = whole.headers["etag"]
    assert (await http.get(path, headers={"if-none-match": tag})).status_code == 304
    packed = await http.get(path, headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and packed.content == whole.content
    assert packed.headers["etag"] != tag
    assert (await http.get(path, headers={"if-none-match": packed.headers["etag"]})).status_code == 304
    for known in ("*", f'"other", W/{tag}'):
        same = await http.get(path, headers={"if-none-match": known})
        assert (same.status_code, same.headers["etag"], same.content) == (304, tag, b""), known
    other = {"if-none-match": tag.replace('"', "") + ', "*"'}
    assert (await http.get(path, headers=other)).status_code == 200
    for asked, part in (("100-199", slice(100, 200)), ("900-", slice(900, None)), ("-8", slice(-8, None))):
        answer = await http.get(path, headers={"range": f"bytes={asked}"})
        assert answer.status_code == 206 and answer.content == whole.content[part]
    assert_problem(await http.get(path, headers={"range": "bytes=99999-"}), 416, "bad_range")
    other = await http.get(path, headers={"range": "bytes=0-9", "if-range": '"another"'})
    assert other.status_code == 200 and other.content == whole.content
    head = await http.head(path)
    assert head.content == b"" and head.headers["content-length"] == str(len(whole.content))


async def test_a_file_of_the_zarr_group_comes_in_parts(http: httpx.AsyncClient, site: Stack) -> None:
    """A Range of a chunk is these bytes of its file, and with an ETag that is not the chunk's the whole file."""
    path = f"/{OVER}.zarr/segments/0/rows/c/0/0/0"
    stored = (site.data_dir / "recordings" / path[1:]).read_bytes()
    whole = await http.get(path, headers={"accept-encoding": "zstd, gzip"})
    assert whole.content == stored and "content-encoding" not in whole.headers, (
        "chunks are compressed already"
    )
    for asked, part in (("0-15", slice(0, 16)), ("100-", slice(100, None)), ("-8", slice(-8, None))):
        answer = await http.get(path, headers={"range": f"bytes={asked}", "if-range": whole.headers["etag"]})
        assert answer.status_code == 206 and answer.content == stored[part]
        first = range(len(stored))[part][0]
        assert answer.headers["content-range"].startswith(f"bytes {first}-")
    assert_problem(await http.get(path, headers={"range": f"bytes={len(stored)}-"}), 416, "bad_range")
    other = await http.get(path, headers={"range": "bytes=0-9", "if-range": '"another"'})
    assert other.status_code == 200 and other.content == stored


@pytest.mark.parametrize("path", ["/frames?data=time,energy&frames=:2000", ".zarr/zarr.json"])
async def test_an_answer_comes_in_zstd(http: httpx.AsyncClient, path: str) -> None:
    """A client that takes zstd gets frames of zstd which have the bytes of the answer without coding; one that takes
    gzip too gets zstd, and one that refuses it does not."""
    from numcodecs.zstd import Zstd

    plain = await http.get(f"/{OVER}{path}")
    for accepted, coding in (("zstd", "zstd"), ("gzip, zstd", "zstd"), ("gzip, zstd;q=0", "gzip")):
        async with http.stream("GET", f"/{OVER}{path}", headers={"accept-encoding": accepted}) as answer:
            raw = b"".join([part async for part in answer.aiter_raw()])
        assert (
            answer.headers["content-encoding"] == coding
            and "accept-encoding" in answer.headers["vary"].lower()
        )
        assert answer.headers["etag"] != plain.headers["etag"] and len(raw) < len(plain.content)
        assert (Zstd().decode(raw) if coding == "zstd" else gzip.decompress(raw)) == plain.content


async def test_a_command_exports_what_a_server_has(
    site: Stack, http: httpx.AsyncClient, running: tuple[Holder, Store], tmp_path: Path
) -> None:
    """`tussle export --server`: a session that runs, one that is over, and one that is not there."""
    for token in (TOKEN, OVER):
        about = (await http.get(f"/{token}")).json()
        words = ["export", token, "--to", "npz", "--server", site.url, "-o", str(tmp_path / token)]
        result = await asyncio.to_thread(CliRunner().invoke, main, words)
        assert result.exit_code == 0, result.output
        with np.load(tmp_path / token) as loaded:
            assert loaded["tick"].shape == (about["length"],) and loaded["tick"][-1] == about["last_tick"]
    words = ["export", "33333333", "--to", "npz", "--server", site.url, "-o", str(tmp_path / "none")]
    result = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert result.exit_code == 1 and "there is no recording" in result.output


async def test_what_is_asked_wrongly_has_a_code(http: httpx.AsyncClient) -> None:
    """Refused are a range outside, an unknown field, format or segment, a missing recording, a path outside of it."""
    for path, status, code in (
        (f"/{OVER}/frames?frames=9999", 422, "bad_range"),
        (f"/{OVER}/frames?data=colour", 422, "bad_fields"),
        (f"/{OVER}/frames?format=csv", 422, "bad_format"),
        (f"/{OVER}/frames?data=rows&format=npy", 422, "bad_format"),
        (f"/{OVER}/topology/3", 422, "bad_range"),
        (f"/{OVER}/topology/-1", 422, "bad_range"),
        ("/23456789", 404, "no_recording"),
        ("/nonsense!", 404, "no_such_session"),
        (f"/{OVER}.zarr/colour/zarr.json", 404, "no_recording"),
        (f"/{OVER}.zarr/..%2f{OVER}.zarr/zarr.json", 404, "no_recording"),
        (f"/{OVER}.zarr/", 404, "no_recording"),
        (f"/{OVER}.zarr/{'a' * 256}", 404, "no_recording"),
    ):
        assert_problem(await http.get(path), status, code)


async def test_a_damaged_recording_is_named(http: httpx.AsyncClient, site: Stack) -> None:
    """A missing chunk and foreign metadata are refused with a code, for frames and for the Zarr group."""
    folder = site.data_dir / "recordings"
    for token in ("33333333", "44444444"):
        shutil.copytree(folder / f"{OVER}.zarr", folder / f"{token}.zarr")
    (folder / "33333333.zarr/energies/c/0/0").unlink()
    (folder / "44444444.zarr/zarr.json").write_text("{}")
    for path in ("/33333333/frames?data=energy", "/33333333.zarr/energies/c/0/0"):
        assert_problem(await http.get(path), 400, "damaged_recording")
    assert_problem(await http.get("/44444444"), 400, "not_a_recording")


async def test_a_recording_is_opened_as_zarr_over_http(http: httpx.AsyncClient, running: object) -> None:
    """xarray and zarr read it without our code, of a session that is over and of one that still runs."""
    import xarray
    import zarr

    def read(token: str) -> tuple[int, np.ndarray]:
        url = f"{http.base_url}{token}.zarr"
        with xarray.open_zarr(url, consolidated=True, chunks=None) as found:
            energy = found["energies"].values
        rows = zarr.open_group(url, mode="r")["segments/0/rows"]
        return len(energy), rows[-1]

    for token in (OVER, TOKEN):
        length, rows = await asyncio.to_thread(read, token)
        about = (await http.get(f"/{token}")).json()
        assert length == about["length"]
        end = about["segments"][0]["first"] + about["segments"][0]["frames"] - 1
        npy = (await http.get(f"/{token}/frames?data=rows&frames={end}&format=npy")).content
        assert np.array_equal(np.load(io.BytesIO(npy))[0], rows, equal_nan=True)


async def test_a_session_that_runs_is_read_as_far_as_it_is_recorded(
    http: httpx.AsyncClient, running: tuple[Holder, Store]
) -> None:
    """More frames appear with each mark, and the first ones stay what they were; then it is over."""
    holder, store = running
    before = (await http.get(f"/{TOKEN}")).json()
    assert before["live"] and before["length"] == holder.recorder._mark.length  # type: ignore[union-attr]
    path = f"/{TOKEN}/frames?frames=:10"
    first = await http.get(path)
    tick = holder.tick
    await holder.run(tick + 60, iter(lambda: 2, 0))
    _, mark = await holder.save()
    assert mark is not None
    await store.call("HSET", store.keys.recording(TOKEN), *mark.arguments())
    after = (await http.get(f"/{TOKEN}")).json()
    assert after["length"] == mark.length > before["length"]
    again = await http.get(path, headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    await store.call("HSET", store.keys.session(TOKEN), "status", Status.ENDED)
    assert not (await http.get(f"/{TOKEN}")).json()["live"]
    events = (await http.get(f"/{TOKEN}/events", headers={"accept-encoding": "gzip"})).json()
    assert [event["type"] for event in events][:1] == ["set_up"] or events[0]["tick"] == 0


async def test_data_is_never_on_the_socket(http: httpx.AsyncClient, site: Stack) -> None:
    """A duel's own recording is read while it is played, and ten others' megabytes with it; the players' sockets get a
    few messages."""
    async with duel(site.url) as game:

        async def recorded() -> bool:
            return (await http.get(f"/{game.session}")).status_code == 200

        await until(recorded)
        about = (await http.get(f"/{game.session}")).json()
        assert about["live"] and about["mode"] == "duel" and about["length"] >= 1 and len(about["seats"]) == 2
        answers = [await http.get(f"/{OVER}/frames") for _ in range(10)]
        assert sum(len(answer.content) for answer in answers) > 3_000_000
        for line in game.lines:
            assert sum(len(json.dumps(message)) for message in line.messages) < 30_000
