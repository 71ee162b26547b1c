"""Timeouts and limits of a real server: slow and silent clients, too many sockets, too many requests.

The tests wait for the server's timeouts, so they run concurrently, on one store.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.http import healthy, http_client
from tests.support.stack import Stack
from tests.support.stranger import Line, Person
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import Binary, EmbeddedStore

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVIRONMENT = {"PLAYER_CONNECTIONS": "2", "REQUEST_RATE": "10", "LOGIN_RATE": "1000"}

HEAD_S, BODY_S, PING_S = 10.0, 10.0, 6.0
"""The timeouts [s] of SECURITY.md: a head, a body, and the silence of a socket."""

LATE_S = 20.0
"""Tolerance for a busy machine [s]."""


@pytest.fixture(scope="module")
def store_url(valkey: Binary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One store is enough: these limits do not depend on its kind."""
    with EmbeddedStore(Settings(data_dir=tmp_path_factory.mktemp("patience")), binary=valkey) as store:
        yield store.url


async def dial(site: Stack) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))


async def drip_head(site: Stack) -> float:
    """Send an endless header byte by byte; return the time until the server closes [s]."""
    reader, writer = await dial(site)
    began = time.monotonic()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    gone = asyncio.ensure_future(reader.read())
    try:
        while not gone.done() and time.monotonic() - began < HEAD_S + LATE_S:
            writer.write(b"y")
            await asyncio.wait([gone], timeout=0.25)
        assert gone.done()
        assert gone.exception() is not None or gone.result() == b""
    finally:
        gone.cancel()
        writer.close()
    return time.monotonic() - began


async def keep_body(site: Stack) -> tuple[float, bytes]:
    """Announce a body and do not send it; return the time until the answer [s], and the answer."""
    reader, writer = await dial(site)
    began = time.monotonic()
    writer.write(
        b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
    )
    try:
        async with asyncio.timeout(BODY_S + LATE_S):
            answer = await reader.readuntil(b"}")
    finally:
        writer.close()
    return time.monotonic() - began, answer


async def fall_silent(site: Stack, ticket: str) -> float:
    """Join as a member and answer no ping; return the time until the server closes [s]."""
    reader, writer = await dial(site)
    began = time.monotonic()
    key = base64.b64encode(os.urandom(16))
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    hello = json.dumps({"t": "hello", "d": {"protocol": 1, "ticket": ticket}}).encode()
    assert len(hello) < 126
    writer.write(bytes((0x81, 0x80 | len(hello))) + bytes(4) + hello)
    try:
        async with asyncio.timeout(PING_S + LATE_S):
            while await reader.read(65536):
                pass
    finally:
        writer.close()
    return time.monotonic() - began


@pytest.mark.timeout(150)
async def test_slow_and_silent_clients_are_disconnected(site: Stack) -> None:
    """A head and a body time out after 10 s, a socket without pongs is closed, and other clients are served."""
    async with Person(site.url) as ada:
        await ada.login()
        seat = await ada.ask("/api/open", private=True)
        head, (body, answer), silence = await asyncio.gather(
            drip_head(site), keep_body(site), fall_silent(site, seat["ticket"])
        )
        assert head > HEAD_S * 0.9
        assert body > BODY_S * 0.9
        assert b" 400 " in answer.split(b"\r\n")[0]
        assert json.loads(answer[answer.index(b"{") :])["code"] == "too_slow"
        assert silence > PING_S / 4  # a member until the ping is overdue
        await healthy(ada.http)


async def test_sockets_of_one_player_are_limited(site: Stack) -> None:
    """A socket beyond PLAYER_CONNECTIONS is closed with 4013; when another closes, one is accepted again."""
    async with Person(site.url) as eve:
        await eve.login()
        tokens = []
        for _ in range(3):
            async with Person(site.url) as host:
                await host.login()
                tokens.append((await host.ask("/api/open", private=True))["session"])
        seats = [await eve.ask("/api/observe", session=token) for token in tokens]
        async with Line.to(seats[0]["ws_url"]) as first, Line.to(seats[1]["ws_url"]) as second:
            for line, seat in ((first, seats[0]), (second, seats[1])):
                await line.hello(ticket=seat["ticket"])
            async with Line.to(seats[2]["ws_url"]) as third:
                await third.say("hello", {"protocol": 1, "ticket": seats[2]["ticket"]})
                assert (await third.end())[0] == 4013
            assert first.closed is second.closed is None
        async with asyncio.timeout(30):
            while True:  # until the server has noticed that the two are closed
                again = await eve.ask("/api/observe", session=tokens[2])
                async with Line.to(again["ws_url"]) as line:
                    await line.say("hello", {"protocol": 1, "ticket": again["ticket"]})
                    async with asyncio.timeout(10):
                        while "session" not in line.kinds() and line.closed is None:  # noqa: ASYNC110
                            await asyncio.sleep(0.02)
                    if line.closed is None:
                        return


async def test_requests_of_one_address_are_limited(site: Stack) -> None:
    """Beyond REQUEST_RATE an address gets 429 with a code, except for /healthz, until its tokens are refilled."""
    async with http_client(site.url) as http:
        async with asyncio.timeout(60):
            while (refused := await http.get("/api/sessions")).status_code == 200:
                pass
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["x-content-type-options"] == "nosniff"
        await healthy(http)
        with pytest.raises(InvalidStatus) as upgrade:
            for _ in range(60):  # a try takes longer than a token, now and then
                async with connect(site.url.replace("http", "ws", 1) + "/ws", proxy=None):
                    pass
        assert upgrade.value.response.status_code == 429
        async with asyncio.timeout(30):
            while (await http.get("/api/sessions")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
