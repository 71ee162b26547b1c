"""Paths that are no paths: 404 or 414 with all security headers, no trace and no long line in the log."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

import httpx
import pytest
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.support.gateway import address
from tests.support.http import http_client
from tests.support.stack import Stack
from tussle.lobby import logs
from tussle.lobby.address_bans import AddressBans
from tussle.lobby.settings import Settings
from tussle.server.banned_addresses import BannedAddresses
from tussle.server.costs import Ledger
from tussle.server.http.responses import problem_response
from tussle.server.http.security import SecurityMiddleware
from tussle.server.limits import Hosts
from tussle.server.security_headers import SECURITY_HEADERS

LINE_BYTES = 16_384
"""The longest line that a log may have."""

NAMES = {name.decode() for name, _ in SECURITY_HEADERS}

PATHS = (
    ("/%00", 404), ("/a/%00/b", 404), ("/%0d%0aSet-Cookie:%20a=b", 404), ("/" + "a" * 300, 404),
    ("/" + "a/" * 1000 + "a", 200), ("/" + "a" * 3000, 414), ("/assets/" + "%00" * 100, 404),
    ("/api/%00", 404),
    ("/api/sessions/%00", 404), ("/..%2f..%2fetc/passwd", 200), ("/api/nothing", 404), ("/metrics", 200),
    ("/api/sessions?search=%00%1b[2J", 200), ("/openapi.json", 200),
)  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
async def test_every_answer_has_the_security_headers(site: Stack) -> None:
    """Unknown, long and unprintable paths: a status below 500, all headers, with every method."""
    async with http_client(site.url) as http:
        for path, status in PATHS:
            answer = await http.get(path)
            assert answer.status_code == status, (path[:60], answer.status_code, answer.text[:200])
            assert set(answer.headers) >= NAMES, path[:60]
            for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
                answer = await http.request(method, path)
                assert answer.status_code < 500, (method, path[:60])
                assert set(answer.headers) >= NAMES, (method, path[:60])
    output = site.servers[0].output
    assert "Traceback" not in output
    assert max(map(len, output.splitlines())) < LINE_BYTES


@pytest.mark.asyncio(loop_scope="module")
async def test_answers_without_a_handler_have_the_security_headers(site: Stack) -> None:
    """Bytes that are not HTTP, and an upgrade to an unknown path."""
    upgrade = (
        b"GET /no HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    for sent, status in ((b"nonsense\r\n\r\n", b"400"), (upgrade, b"404")):
        reader, writer = await asyncio.open_connection(*address(site))
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        writer.close()
        assert head.split(b" ")[1] == status
        for name, _ in SECURITY_HEADERS:
            assert name in head, (status, name)


SMUGGLED = {
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}aaaa",
    "unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n{}",
    "space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "negative length": b"Content-Length: -1\r\n\r\n{}",
    "length above 64 bits": b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "chunk above 64 bits": b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nx",
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("rest", SMUGGLED.values(), ids=SMUGGLED.keys())
async def test_a_body_without_one_length_gets_one_refusal(site: Stack, rest: bytes) -> None:
    """A proxy and the server could disagree on where such a request ends, and take the rest for another one. It is
    answered once with 400, and the connection is closed."""
    reader, writer = await asyncio.open_connection(*address(site))
    writer.write(b"POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" + rest)
    heard = b""
    async with asyncio.timeout(20):
        while data := await reader.read(4096):
            heard += data
    writer.close()
    assert heard.startswith(b"HTTP/1.1 400")
    assert heard.count(b"HTTP/1.1 ") == 1


async def test_an_error_that_nothing_handles_has_the_security_headers() -> None:
    """A bug in a handler gives 500 as a problem document with all headers."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    def explain(error: Exception) -> Response:
        assert isinstance(error, ZeroDivisionError)
        return problem_response(500, "server_error", "an error of the server")

    settings = Settings()
    ledger, banned = Ledger(settings, lambda *_: None), BannedAddresses(cast(AddressBans, None))
    app = SecurityMiddleware(broken, settings, Hosts(""), ledger, banned, lambda _: None, explain)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
        answer = await http.get("/")
    assert (answer.status_code, answer.json()["code"]) == (500, "server_error")
    assert set(answer.headers) >= NAMES


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_logged_values_are_cut_and_escaped(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A value of 128 kB, a long trace and control characters become a short printable line."""
    before = structlog.get_config()
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        logs.configure(Settings(log_format=form), process="test")
        log = logs.get_logger(f"test.clip.{form}")
        try:
            raise ValueError("\x1b[2J" + "x" * 128_000)
        except ValueError as error:
            log.error(
                "request_failed", exc_info=error, path="y" * 128_000, list=["\x1b]0;z" * 9000], name="\u202e"
            )
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
        structlog.configure(**before)
    shown = capsys.readouterr().out
    assert "request_failed" in shown
    assert len(shown.encode()) < LINE_BYTES
    assert "\x1b]0" not in shown
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
