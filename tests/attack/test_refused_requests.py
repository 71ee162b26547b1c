"""What a refused request and a refused connection cost the server: an answer, and nothing that grows or is logged."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import pytest

from tests.support.gateway import address, metrics
from tests.support.stack import Stack
from tussle.server.gateway.http_guard import PAUSE_S, PIPELINED
from tussle.server.security_headers import SECURITY_HEADERS

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVIRONMENT = {"REQUEST_RATE": "20", "ADDRESS_CONNECTIONS": "60"}
"""100 requests and 200 new connections of an address at once."""

CLIENTS = 8


def from_address(site: Stack, number: int) -> socket.socket:
    """A connection from an address of its own, so that the tests do not share their budgets."""
    return socket.create_connection(address(site), timeout=20.0, source_address=(f"127.0.0.{number}", 0))


async def streams(site: Stack, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*address(site), local_addr=(f"127.0.0.{number}", 0))


async def flood(site: Stack, number: int, until: float) -> int:
    """Repeat a request on one connection, until it was refused at least once. Returns how many were refused."""
    reader, writer = await streams(site, number)
    refused = 0
    while time.monotonic() < until or not refused:
        writer.write(b"GET /api/nothing HTTP/1.1\r\nhost: localhost\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        refused += b" 429 " in head.split(b"\r\n")[0]
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
    writer.close()
    return refused


async def test_a_refused_request_delays_the_next_one_of_its_connection(site: Stack) -> None:
    """An address beyond its budget gets few answers, however fast it asks; another address is answered at once."""
    began = time.monotonic()
    refused = await asyncio.gather(*(flood(site, 11, began + 2.0) for _ in range(CLIENTS)))
    assert sum(refused) >= CLIENTS
    for count in refused:
        assert count <= 1 + (time.monotonic() - began) / PAUSE_S
    reader, writer = await streams(site, 12)
    writer.write(b"GET /api/nothing HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
    writer.close()
    assert (await metrics(site))[
        'tussle_budget_refusals_total{owner="address",resource="requests"}'
    ] >= CLIENTS


async def test_requests_that_wait_behind_a_refused_one_get_no_answer(site: Stack) -> None:
    """A connection that sends several requests at once gets one refusal, not one for each, and is closed."""
    reader, writer = await streams(site, 20)
    at_once = 10
    async with asyncio.timeout(60.0):
        while True:
            writer.write(b"GET /api/nothing HTTP/1.1\r\nhost: localhost\r\n\r\n" * at_once)
            waiting = at_once
            while waiting:
                waiting -= 1
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
                if b" 429 " in head.split(b"\r\n")[0]:
                    break
            else:
                continue
            if waiting:
                break
        assert await reader.read() == b""
    writer.close()


async def test_metrics_have_a_budget_of_their_own(site: Stack) -> None:
    """Health is answered to an address that has spent its requests; thousands of requests for metrics are refused."""
    reader, writer = await streams(site, 19)

    async def ask(path: str) -> bytes:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        return head.split(b" ")[1]

    while await ask("/api/nothing") != b"429":
        pass
    assert await ask("/healthz") in (b"200", b"503")  # 503: its lease is late, on a busy machine
    async with asyncio.timeout(60.0):
        while await ask("/metrics") != b"429":
            pass
    writer.close()


async def test_few_requests_may_wait_on_one_connection(site: Stack) -> None:
    """A connection that sends thousands of requests at once gets some answers, an error, and is closed."""
    reader, writer = await streams(site, 13)
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n" * 2000)
    answer = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(20.0):
            while data := await reader.read(65536):
                answer += data
    writer.close()
    assert answer.count(b"HTTP/1.1 ") <= PIPELINED + 2


async def test_a_long_request_line_is_answered_before_its_head_is_whole(site: Stack) -> None:
    """414 with all security headers, and the connection is closed. Nothing waits for the rest."""
    for sent in (b"GET /" + b"a" * 60_000, b"GET /%00" + b"a" * 60_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"):
        reader, writer = await streams(site, 14)
        writer.write(sent)
        async with asyncio.timeout(20.0):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        writer.close()
        assert head.startswith(b"http/1.1 414 "), head[:80]
        assert b"connection: close" in head
        assert all(name in head for name, _ in SECURITY_HEADERS)


async def test_bytes_that_are_no_http_are_not_logged(site: Stack) -> None:
    """Each connection gets 400 and leaves no line in the log."""
    before = len(site.servers[0].output)
    for _ in range(20):
        reader, writer = await streams(site, 15)
        writer.write(b"\x16\x03\x01 no http\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        writer.close()
    assert len(site.servers[0].output) == before


async def test_an_address_that_connects_too_often_is_closed_at_once(site: Stack) -> None:
    """Connections beyond the number that an address may hold, or open in a short time, are closed before anything is
    made for them. Another address is served."""
    with contextlib.ExitStack() as held:
        for _ in range(61):
            last = held.enter_context(from_address(site, 16))
        assert await asyncio.to_thread(closed, last)
    for _ in range(400):
        with from_address(site, 17) as one:
            one.sendall(b"no http\r\n\r\n")  # costs as much as several connections
            if await asyncio.to_thread(closed_without_answer, one):
                break
    else:
        raise AssertionError("every connection was served")
    counted = await metrics(site)
    assert counted['tussle_budget_refusals_total{owner="address",resource="http_connections"}'] >= 1
    assert counted['tussle_budget_refusals_total{owner="address",resource="connects"}'] >= 1
    reader, writer = await streams(site, 18)
    writer.write(b"GET /api/nothing HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
    writer.close()


def closed(connection: socket.socket) -> bool:
    """Whether the server closes a connection that sends nothing, before its timeout for a head."""
    connection.settimeout(8.0)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def closed_without_answer(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
