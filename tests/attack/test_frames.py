"""Control frames, empty frames and fragments: each costs, before hello too, and unread pongs are bounded."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.gateway import address, assert_healthy, lobby_of_one, masked_frame, metrics
from tests.support.stack import Stack
from tests.support.stranger import Person

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENVIRONMENT = {"SIM_SPEED": "0", "TURN_S": "60"}

UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

PING, PONG, TEXT, CONTINUATION = 9, 10, 1, 0
FLOOD = 50_000
"""Frames in one flood, far above every budget. The client sends them without waiting."""


@pytest.fixture
def raw(site: Stack) -> Iterator[socket.socket]:
    """A TCP connection to the server."""
    with socket.create_connection(address(site), timeout=20.0) as connection:
        yield connection


def upgrade(raw: socket.socket, path: bytes = b"/ws") -> None:
    raw.sendall(UPGRADE % path)
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += raw.recv(1)
    assert heard.startswith(b"HTTP/1.1 101"), heard


def flood(raw: socket.socket, frame: bytes, count: int = FLOOD) -> bytes:
    """Send the frame ``count`` times, or until the server closes. Returns everything that the server sent."""
    raw.settimeout(20.0)
    chunk = frame * 1000
    heard = bytearray()
    try:
        for _ in range(count // 1000):
            raw.sendall(chunk)
        while data := raw.recv(65_536):
            heard += data
    except ConnectionError:
        pass
    return bytes(heard)


def close_code(heard: bytes) -> int | None:
    """The code of the close frame at the end of what a server sent; None without one."""
    at = heard.rfind(b"\x88")
    return int.from_bytes(heard[at + 2 : at + 4], "big") if at >= 0 else None


FLOODS = {
    "empty pings": masked_frame(PING, b""),
    "long pings": masked_frame(PING, b"p" * 125),
    "pongs": masked_frame(PONG, b""),
    "empty messages": masked_frame(TEXT, b""),
    "short messages": masked_frame(TEXT, b"{}"),
    "fragments": bytes([CONTINUATION, 0x80]) + b"\0\0\0\0",
}


@pytest.mark.parametrize("path", [b"/ws", b"/live", b"/relay"], ids=["ws", "live", "relay"])
@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_of_frames_before_hello_is_closed(
    site: Stack, raw: socket.socket, kind: str, path: bytes
) -> None:
    """The server answers a bounded number of frames, then closes, and nobody else is affected."""
    upgrade(raw, path)
    if kind == "fragments":
        raw.sendall(bytes([TEXT, 0x81]) + b"\0\0\0\0x")  # a text message without its end
    heard = flood(raw, FLOODS[kind])
    answers = heard.count(b"\x8a")
    assert answers <= 300, answers
    await assert_healthy(site)


async def test_a_flood_of_pings_after_hello_is_closed_with_its_code(site: Stack) -> None:
    """A member that floods is closed with 4013."""
    async with Person(site.url) as ada:
        await ada.login()
        seat = await ada.ask("/api/open", private=True)
        with socket.create_connection(address(site), timeout=20.0) as raw:
            upgrade(raw)
            hello = b'{"t":"hello","d":{"protocol":1,"ticket":"%s"}}' % seat["ticket"].encode()
            raw.sendall(masked_frame(TEXT, hello))
            raw.recv(10)
            assert close_code(flood(raw, masked_frame(PING, b""), 5000)) == 4013


async def test_refused_floods_are_counted(site: Stack) -> None:
    """The metric of refused budgets counts connections that sent too many frames."""
    counted = (await metrics(site))['tussle_budget_refusals_total{owner="connection",resource="frames"}']
    assert counted >= 1.0


async def test_a_ping_now_and_then_is_answered(site: Stack) -> None:
    """A client that pings within its budget gets its pongs."""
    async with lobby_of_one(site) as (_, line, _):
        for _ in range(20):
            await (await line.socket.ping())


BROKEN = {
    "not masked": (b"\x81\x05hello", 1002),
    "unknown opcode": (b"\x83\x80\0\0\0\0", 1002),
    "length of 8 EiB": (b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"\0\0\0\0", 1009),
    "long ping": (b"\x89\xfe\x00\x80\0\0\0\0" + b"x" * 128, 1002),
    "fragment of nothing": (b"\x80\x80\0\0\0\0", 1002),
    "reserved bits": (b"\xf1\x80\0\0\0\0", 1002),
    "compressed": (b"\xc1\x84\0\0\0\0\x4a\x4c\x04\x00", 1002),
    "close of one byte": (b"\x88\x81\0\0\0\0x", 1002),
    "no UTF-8": (b"\x81\x82\0\0\0\0\xff\xff", 1007),
}


@pytest.mark.parametrize(("frame", "code"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_frame_closes_its_connection_only(
    site: Stack, raw: socket.socket, frame: bytes, code: int
) -> None:
    """Before hello, on a real server: the close frame has the code of RFC 6455."""
    upgrade(raw)
    raw.sendall(frame)
    heard = b""
    while close_code(heard) is None or len(heard) < 4:
        data = raw.recv(4096)
        assert data, heard
        heard += data
    assert close_code(heard) == code


async def test_no_compression_is_negotiated(site: Stack, raw: socket.socket) -> None:
    """A few bytes that unpack to megabytes need an extension, and the server has none."""
    offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    raw.sendall(UPGRADE.removesuffix(b"\r\n") % b"/ws" + offer)
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += raw.recv(1)
    assert heard.startswith(b"HTTP/1.1 101")
    assert b"sec-websocket-extensions" not in heard.lower()
