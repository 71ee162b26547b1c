"""Requests that do not end, large heads, and what a closed connection leaves: uvicorn's protocol with its guard, on a
real connection and with an application of a few lines."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from tussle.lobby.settings import Settings
from tussle.server.costs import Ledger
from tussle.server.gateway import http_guard
from tussle.server.gateway.http_guard import HEAD_BYTES, HEADERS, LINGER_BYTES, WAITING_BYTES, http_protocol
from tussle.server.limits import Proxies

CHUNKED = b"%s /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
LENGTH = b"POST %s HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"
FLOOD_BYTES = 32 * LINGER_BYTES
"""More than any bound, and more than the buffers of a connection hold."""


class Site:
    """One listener. ``protocols``: those of all connections, which nothing here keeps alive."""

    def __init__(self) -> None:
        self.protocols: list[weakref.ref[Any]] = []
        self.bodies: list[bytes] = []
        self.headers: list[Any] = []
        self.left = asyncio.Event()

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        """/stream answers until the client has left, /read after the whole body, others at once."""
        self.headers.append(scope["headers"])
        if scope["path"] == "/read":
            body, more = b"", True
            while more:
                message = await receive()
                body, more = body + message.get("body", b""), message.get("more_body", False)
            self.bodies.append(body)
        streams = scope["path"] == "/stream"
        length = [] if streams else [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": b"ok", "more_body": streams})
        if streams:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()

    async def closed(self) -> None:
        """Wait until no protocol lives, without the cycle collector."""
        while any(protocol() is not None for protocol in self.protocols):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Site, int]]:
    site = Site()
    made = http_protocol(Ledger(Settings(), lambda *_: None), Proxies("127.0.0.1"))
    config = uvicorn.Config(
        site.application, interface="asgi3", lifespan="off", log_config=None, access_log=False
    )
    config.load()
    state = ServerState()

    def protocol() -> asyncio.Protocol:
        new: asyncio.Protocol = made(config=config, server_state=state, app_state={})
        site.protocols.append(weakref.ref(new))
        return new

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        yield site, server.sockets[0].getsockname()[1]


async def say(port: int, *parts: bytes, flood: bytes = b"") -> bytes:
    """Send parts, each after an answer to the one before, then ``flood`` for ever; what is heard until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard, sent = b"", 0
    async with asyncio.timeout(30.0):
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                if part is not parts[-1]:
                    heard += await reader.readuntil(b"ok")
            while flood and sent < FLOOD_BYTES:
                writer.write(flood)
                sent += len(flood)
                await writer.drain()
            assert sent < FLOOD_BYTES, "the flood was read to its end"
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                heard += data
    writer.close()
    return heard


FLOODS = {
    "trailers": b"0\r\n" + b"a:\r\n" * 4000,
    "one trailer": b"0\r\na: " + b"b" * 16_000,
    "tiny chunks": b"1\r\na\r\n" * 4000,
    "extensions": b"1;" + b"a" * 16_000 + b"\r\na\r\n",
    "body": b"4000\r\n" + b"a" * 0x4000 + b"\r\n",
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_a_message_ends_soon_after_its_answer(method: bytes, flood: bytes) -> None:
    """Whatever follows the answer, the connection is closed, and nothing of it is kept."""
    async with serving() as (site, port):
        heard = await say(port, CHUNKED % method, b"", flood=flood)
        assert heard.count(b"HTTP/1.1 200") == 1
        assert b"connection: close" in heard
        assert site.headers == [[(b"host", b"a"), (b"transfer-encoding", b"chunked")]]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("kind", ["trailers", "one trailer", "tiny chunks", "extensions"])
async def test_a_message_is_bounded_before_its_answer(method: bytes, kind: str) -> None:
    """The same while a stream is the answer, or while the body is read."""
    async with serving() as (_, port):
        for path in (b"/stream", b"/read"):
            await say(port, (CHUNKED % method).replace(b"/x", path), flood=FLOODS[kind])


async def test_a_body_of_a_get_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is bounded, and must end in the time of a head, also while a stream is the answer."""
    async with serving() as (site, port):
        await say(port, CHUNKED.replace(b"/x", b"/stream") % b"GET", flood=FLOODS["body"])
        await site.left.wait()
        monkeypatch.setattr(http_guard, "HEAD_S", 0.05)
        await say(port, CHUNKED.replace(b"/x", b"/stream") % b"GET" + b"5\r\na")


async def test_a_body_that_is_withheld_after_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is closed after LINGER_S."""
    monkeypatch.setattr(http_guard, "LINGER_S", 0.05)
    async with serving() as (_, port):
        assert b"connection: close" in await say(port, LENGTH % (b"/x", 50))


async def test_a_body_that_ends_after_the_answer_closes_the_connection() -> None:
    """The client has sent all of it and gets the whole answer."""
    async with serving() as (_, port):
        heard = await say(port, LENGTH % (b"/x", 500_000), b"a" * 500_000)
        assert heard.endswith(b"ok")


async def test_bodies_that_are_read_arrive() -> None:
    """Small and large chunks, and a length; the connection stays open."""
    async with serving() as (site, port):
        chunks = b"".join(b"40\r\n" + b"a" * 64 + b"\r\n" for _ in range(5000)) + b"0\r\n\r\n"
        await say(
            port,
            CHUNKED.replace(b"/x", b"/read") % b"POST" + chunks,
            LENGTH % (b"/read", 300_000) + b"a" * 300_000,
            b"GET /read HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        )
        assert [len(body) for body in site.bodies] == [320_000, 300_000, 0]


async def test_one_trailer_is_refused() -> None:
    """It would count as a header of the request."""
    async with serving() as (site, port):
        heard = await say(port, CHUNKED % b"POST" + b"0\r\nx-forwarded-for: b\r\n\r\n")
        assert heard.startswith(b"HTTP/1.1 400 ")
        assert all(name != b"x-forwarded-for" for headers in site.headers for name, _ in headers)


@pytest.mark.parametrize(
    "head",
    [
        b"a:b\r\n" * (HEADERS + 1),
        b"a: " + b"b" * (HEAD_BYTES // 2) + b"\r\nc: " + b"d" * (HEAD_BYTES // 2),
        b"a: " + b"b" * HEAD_BYTES * 2,
    ],
    ids=["many", "long", "one"],
)
async def test_a_large_head_is_refused(head: bytes) -> None:
    """431 before the head has ended."""
    async with serving() as (site, port):
        heard = await say(port, b"GET /x HTTP/1.1\r\nhost: a\r\n" + head)
        assert heard.startswith(b"HTTP/1.1 431 ")
        assert not site.headers


async def test_few_bytes_wait_behind_an_answer() -> None:
    """Requests that arrive with another one are refused beyond WAITING_BYTES. The stream before them ends."""
    waiting = b"GET /x HTTP/1.1\r\nhost: a\r\nb: " + b"c" * 12_000 + b"\r\n\r\n"
    async with serving() as (site, port):
        heard = await say(port, b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n", waiting * 3)
        assert heard.count(b"HTTP/1.1 ") == 1
        await site.left.wait()
        heard = await say(
            port,
            b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n",
            LENGTH % (b"/x", 2 * WAITING_BYTES) + b"a" * 2 * WAITING_BYTES,
        )
        assert heard.count(b"HTTP/1.1 ") == 1


async def test_a_stream_ends_with_its_connection_while_a_request_waits() -> None:
    """The application is notified that the client has left, and no request that waits is answered."""
    async with serving() as (site, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n")
        await reader.readuntil(b"ok")
        writer.write(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
        while not (protocol := site.protocols[0]()).pipeline:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        protocol.transport.abort()
        async with asyncio.timeout(20.0):
            await site.left.wait()
        writer.close()
        assert len(site.headers) == 1


@pytest.mark.parametrize(
    "end", [b"", b"GET /x HTTP/1.1\r\nhost: a\r\n", LENGTH % (b"/read", 9), b"nonsense\r\n\r\n"]
)
async def test_a_closed_connection_is_freed_without_the_cycle_collector(end: bytes) -> None:
    """After answers, and in the middle of a head, of a body, and of bytes that are no HTTP."""
    gc.disable()
    try:
        async with serving() as (site, port), asyncio.timeout(20.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
            await reader.readuntil(b"ok")
            writer.write(end)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            await site.closed()
    finally:
        gc.enable()


UPGRADE = b"connection: upgrade\r\nupgrade: websocket\r\n"


async def test_no_upgrade_takes_a_connection_from_its_answer() -> None:
    """An upgrade that arrives during a stream closes the connection, and the stream ends."""
    async with serving() as (site, port):
        heard = await say(
            port,
            b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n",
            b"GET /x HTTP/1.1\r\nhost: a\r\n" + UPGRADE + b"\r\n",
        )
        assert heard.count(b"HTTP/1.1 ") == 1
        async with asyncio.timeout(20.0):
            await site.left.wait()
