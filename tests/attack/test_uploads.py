"""Clients that upload what takes much to read, never ends, or comes too often."""

from __future__ import annotations

import contextlib
import hashlib
import io
import select
import socket
import time
import zipfile
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest
import pytest_asyncio

from tests.server.recordings.frames import frames, topology
from tests.support.http import http_client
from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import CEILING_S, Person
from tussle.lobby.ids import new_session_token
from tussle.server.recordings.group import RecordingGroup

ENVIRONMENT = {"UPLOAD_BYTES": "100000", "REQUEST_RATE": "100000"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def http(site: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A new player."""
    async with Person(site.url) as person:
        token = (await person.login()).token
        headers = {"authorization": f"Bearer {token}"}
        async with http_client(f"{site.url}/api/recordings", headers=headers, timeout=30.0) as client:
            yield client


def group_files() -> dict[str, bytes]:
    """The files of a small recording."""
    group = RecordingGroup({"dt": 1 / 60}, seats=0)
    files = dict(group.append(frames(10, 40, seats=0), topology("affine", "affine")))
    return files | dict(group.files(files.__getitem__))


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


async def put(http: httpx.AsyncClient, data: bytes) -> httpx.Response:
    query = {"sha256": hashlib.sha256(data).hexdigest()}
    return await http.put(f"/{new_session_token()}", content=data, params=query)


async def test_segments_without_frames_are_refused_at_once(http: httpx.AsyncClient) -> None:
    """Thousands of them in a few kilobytes once took a quarter of a second each, on the one thread that reads all
    uploads."""
    files = group_files()
    root = orjson.loads(files["zarr.json"])
    first = root["attributes"]["segments"][0]
    root["attributes"]["segments"] += [{**first, "first": first["frames"], "frames": 0}] * 4000
    answer = await put(http, zipped({**files, "zarr.json": orjson.dumps(root)}))
    assert_problem(answer, 400, "damaged_recording")
    assert (await put(http, zipped(files))).status_code == 201


async def test_numbers_in_an_archive_do_not_choose_the_work(http: httpx.AsyncClient) -> None:
    """An archive whose metadata tells of very many frames, seats, rows or vertices, whose metadata is large, or whose
    directory or files unpack to much, is refused before it is read; the server still answers."""
    files = group_files()
    assert (await put(http, zipped(files))).status_code == 201
    for change in (
        b'"frames":40',
        b'"rows":4',
        b'"vertices":[4',
        b'"faces":[4',
        b'"seats":0',
        b'"events_bytes":0',
    ):
        assert change in files["zarr.json"]
        grown = files["zarr.json"].replace(change, change[:-1] + b"4000000000", 1)
        answer = await put(http, zipped({**files, "zarr.json": grown}))
        assert answer.status_code == 400, answer.text
        assert answer.json()["code"] in ("damaged_recording", "upload_too_large", "bad_upload"), change
    long = many_frames(files["zarr.json"], 10**12)
    assert_problem(await put(http, zipped({**files, "zarr.json": long})), 400, "upload_too_large")
    large = files["zarr.json"] + b" " * 2**22
    assert_problem(await put(http, zipped({**files, "zarr.json": large})), 400, "upload_too_large")
    bomb = zipped({**files, "tick/c/0": bytes(2**26)})
    assert len(bomb) < 100_000
    assert_problem(await put(http, bomb), 400, "upload_too_large")
    assert (await http.get(str(http.base_url).rstrip("/"))).status_code == 200


def many_frames(root: bytes, count: int) -> bytes:
    """The metadata of a group that says that it has ``count`` frames."""
    document = orjson.loads(root)
    document["attributes"]["segments"][0]["frames"] = count
    return orjson.dumps(document)


async def test_a_body_that_does_not_come_holds_only_its_own_share(
    http: httpx.AsyncClient, site: Stack
) -> None:
    """A player that begins uploads and sends nothing has two of them; a third is refused with a time to wait, the
    calls of others are served, and a body that ends early frees its place and leaves nothing."""
    port = int(site.url.rpartition(":")[2])
    head = "\r\n".join(
        (
            f"PUT /api/recordings/{new_session_token()}?sha256={'0' * 64} HTTP/1.1", "host: localhost",
            f"authorization: {http.headers['authorization']}", "content-length: 900", "", "",
        )
    )  # fmt: skip
    with contextlib.ExitStack() as idle:

        def begin() -> socket.socket:
            raw = idle.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10.0))
            raw.sendall(head.encode() + b"PK")
            return raw

        raws = [begin(), begin()]
        deadline = time.monotonic() + CEILING_S
        while (answer := await put(http, b"x")).status_code != 429 and time.monotonic() < deadline:
            # One that came while this small upload was the second is answered: it is refused.
            refused = select.select(raws, [], [], 0.0)[0]
            raws = [begin() if raw in refused else raw for raw in raws]
        assert_problem(answer, 429, "uploads_busy")
        assert answer.json()["retry_after"] > 0
        assert (await http.get(str(http.base_url).rstrip("/"))).status_code == 200
    deadline = time.monotonic() + CEILING_S
    while (answer := await put(http, b"x")).status_code != 400 and time.monotonic() < deadline:
        pass
    assert_problem(answer, 400, "bad_upload")


async def test_bytes_have_a_price(http: httpx.AsyncClient) -> None:
    """The bytes that a request declares are charged before they are read; beyond the budget it is refused."""
    data = bytes(100_000)
    answers = [await put(http, data) for _ in range(5)]
    assert_problem(answers[0], 400, "bad_upload")
    assert_problem(answers[-1], 429, "rate_limited")
    assert "upload bytes" in answers[-1].json()["detail"]
