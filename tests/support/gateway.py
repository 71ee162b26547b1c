"""What the tests of the gateway share: addresses of a running server, short ways into a session, raw frames."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

from tests.support.http import healthy, http_client
from tests.support.stack import Stack
from tests.support.stranger import Duel, Line, Message, Person

GATEWAY_ENVIRONMENT = {
    "SIM_SPEED": "0", "TURN_S": "60", "BOT_TURN_S": "60", "MESSAGE_RATE": "400", "STORE_RATE": "100000000",
    "MESSAGE_BYTES_RATE": "50000000", "CHECKPOINT_S": "0.05", "CHAT_RATE": "1000",
}  # fmt: skip
"""Settings of the server under test: worlds as fast as they compute, and rate limits that few tests meet."""

LAUNCH = {"azimuth": 10.0, "elevation": 10.0, "power": 0.3}


def socket_url(site: Stack) -> str:
    """The address of the server's WebSocket."""
    return site.url.replace("http", "ws", 1) + "/ws"


def address(site: Stack) -> tuple[str, int]:
    """The host and port of the server."""
    parts = urlsplit(site.url)
    assert parts.hostname and parts.port
    return parts.hostname, parts.port


@contextlib.asynccontextmanager
async def lobby_of_one(site: Stack) -> AsyncIterator[tuple[Person, Line, Message]]:
    """A person alone in a private lobby: the person, the connection, the answer to ``open``."""
    async with Person(site.url) as ada:
        await ada.login()
        seat = await ada.ask("/api/open", private=True)
        async with Line.to(seat["ws_url"]) as line:
            await line.hello(ticket=seat["ticket"])
            await line.until("session")
            yield ada, line, seat


async def sit_out_turn(game: Duel) -> Line:
    """Brace in the next turn and wait until it ends. Returns the connection whose turn it was."""
    acting, _, _ = await game.turn()
    assert (await acting.act("brace"))["t"] == "ack"
    await acting.until("turn_ended")
    return acting


async def assert_healthy(site: Stack) -> None:
    """The server answers its health check."""
    async with http_client(site.url) as http:
        await healthy(http)


async def metrics(site: Stack) -> dict[str, float]:
    """The server's metrics: sample with its labels -> value."""
    async with http_client() as http:
        text = (await http.get(f"{site.url}/metrics")).text
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in rows}


@contextlib.contextmanager
def deaf_socket(site: Stack) -> Iterator[socket.socket]:
    """A socket with a small receive buffer, which its caller does not read."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.settimeout(10.0)
    deaf.connect(address(site))
    try:
        yield deaf
    finally:
        deaf.close()


def send_hello(deaf: socket.socket, ticket: str) -> None:
    """Upgrade the socket and send hello, byte by byte, without a WebSocket library."""
    deaf.sendall(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += deaf.recv(1)
    deaf.sendall(masked_frame(1, json.dumps({"t": "hello", "d": {"protocol": 1, "ticket": ticket}}).encode()))


def masked_frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame as a client sends it, with a mask of zeros."""
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload
