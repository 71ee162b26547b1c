"""A real server at its limits: origins, rates, connections, headers, and secrets in logs."""

from __future__ import annotations

import asyncio
import base64
import os

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.http import http_client
from tests.support.stack import Stack
from tussle.server.gateway.relay_messages import RELAY_PATH

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVIRONMENT = {
    "ALLOWED_ORIGINS": "https://friend.example",
    "LOGIN_RATE": "1",
    "REQUEST_RATE": "1000",
    "GUESS_RATE": "0.01",
    "PLAYER_CONNECTIONS": "2",
    "ADDRESS_CONNECTIONS": "40",
}


async def handshake(site: Stack, *headers: str, path: str = "/ws") -> str:
    """Return the first line of the answer to a WebSocket handshake."""
    port = int(site.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *headers, "", "",
    ]  # fmt: skip
    writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(10):
        answer = (await reader.readline()).decode().strip()
    writer.close()
    return answer


async def test_a_socket_requires_an_allowed_origin(site: Stack) -> None:
    """A page of another origin cannot open a socket; a program, which sends no origin, can."""
    host = site.url.removeprefix("http://")
    assert "101" in await handshake(site)
    assert "101" in await handshake(site, f"Origin: http://{host}")
    assert "101" in await handshake(site, "Origin: https://friend.example")
    assert "403" in await handshake(site, "Origin: https://evil.example")
    assert "403" in await handshake(site, "Origin: null")
    assert "404" in await handshake(site, path="/elsewhere")


async def test_a_relay_needs_another_servers_ticket(site: Stack) -> None:
    """A relay without a server ticket from the store is closed with 4003 before any message."""
    url = site.url.replace("http://", "ws://") + RELAY_PATH
    for headers in ({}, {"authorization": "Bearer made-up"}, {"authorization": "Basic made-up"}):
        async with connect(url, additional_headers=headers, proxy=None) as socket, asyncio.timeout(10):
            await socket.wait_closed()
            assert socket.close_code == 4003, headers


async def test_only_allowed_origins_may_post_and_get_cors_headers(site: Stack) -> None:
    """Unknown origins get 403; only origins of ALLOWED_ORIGINS get CORS headers."""
    async with http_client(site.url) as http:
        evil = await http.post("/api/find", json={}, headers={"origin": "https://evil.example"})
        assert (evil.status_code, evil.json()["code"]) == (403, "origin_refused")
        assert "access-control-allow-origin" not in evil.headers
        asked = await http.options("/api/find", headers={"origin": "https://friend.example"})
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == "https://friend.example"


async def test_every_answer_has_the_security_headers(site: Stack) -> None:
    """Pages, API answers and errors have the security headers."""
    async with http_client(site.url) as http:
        for path in ("/", "/api/sessions", "/api/nothing", "/healthz", "/api/me"):
            headers = (await http.get(path)).headers
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path
            assert (
                "script-src 'self'" in headers["content-security-policy"]
                or "default-src 'self'" in headers["content-security-policy"]
            )
            assert headers["x-content-type-options"] == "nosniff"
            assert "server" not in headers


async def test_guesses_of_a_secret_are_limited_per_name(site: Stack) -> None:
    """A name has one login with a secret at once, and the next one after a hundred seconds, whether the secret is right
    or not; other names are not limited."""
    async with http_client(site.url) as http:

        async def login(name: str, secret: str) -> httpx.Response:
            return await http.post("/api/login", json={"name": name, "secret": secret})

        assert (await login("victim", "the right one")).status_code == 200
        for secret in ("a wrong one", "the right one"):
            refused = await login("victim", secret)
            assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
            assert 0 < refused.json()["retry_after"] <= 100
        assert (await login("neighbour", "the right one")).status_code == 200


async def test_a_too_long_head_is_refused(site: Stack) -> None:
    """A request head beyond the limit ends the connection at once."""
    port = int(site.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
    async with asyncio.timeout(10):
        try:
            for _ in range(200):
                writer.write(b"X-Filler: " + b"y" * 1000 + b"\r\n")
                await writer.drain()
            assert await reader.read() == b""
        except ConnectionError:
            pass
    writer.close()


async def test_connections_of_one_address_are_limited(site: Stack) -> None:
    """A connection beyond ADDRESS_CONNECTIONS is refused; when others close, one is accepted again."""
    port = int(site.url.rpartition(":")[2])
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(45)]
    everyone = reading = {asyncio.ensure_future(reader.read(1)) for reader, _ in held}
    try:
        async with asyncio.timeout(20):
            while len(held) - len(reading) < 4:
                _, reading = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*everyone, return_exceptions=True)
        for _, writer in held:
            writer.close()
    async with http_client(site.url) as http, asyncio.timeout(30):
        while True:
            try:
                if (await http.get("/healthz")).status_code == 200:
                    return
            except httpx.TransportError:
                continue


async def test_logins_of_one_address_are_limited_and_no_secret_is_logged(site: Stack) -> None:
    """Of forty logins at once at most ten are answered, and those whose time has come; no log line has a token or a
    secret."""
    secret = "correct horse battery staple"
    few = httpx.Limits(max_connections=8)
    async with httpx.AsyncClient(base_url=site.url, trust_env=False, limits=few) as http:
        answers = await asyncio.gather(*(http.post("/api/login", json={}) for _ in range(40)))
        tokens = [answer.json()["token"] for answer in answers if answer.status_code == 200]
        assert {answer.status_code for answer in answers} == {200, 429}
        await http.post("/api/login", json={"name": "keeper", "secret": secret})
    output = site.servers[0].output
    assert secret not in output
    assert not [token for token in tokens if token in output]
