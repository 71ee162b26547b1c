"""The short way of inputs: the same messages in the same order as the library's own way, however the bytes arrive."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from tussle.server.gateway.socket import Socket, header

ACT = b'{"t":"act","id":%d,"d":{"kind":"move"}}'


class Transport:
    """What a Socket asks of its transport. ``sent``: the bytes that went out."""

    def __init__(self) -> None:
        self.sent = b""
        self.waits = 0
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return self.waits

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def set_write_buffer_limits(self, *_: Any) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closed = True


class Server:
    """What a ServerConnection asks of its server."""

    def __init__(self) -> None:
        import logging

        self.logger = logging.getLogger("test")
        self.handler_tasks: set[asyncio.Task[None]] = set()

    def is_serving(self) -> bool:
        return True

    async def handler(self, socket: Socket) -> None: ...


def frame(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


class Live:
    """An open connection; ``heard`` is what came the short way (True) or the long one, in order of their effect."""

    def __init__(self, max_size: int = 8192) -> None:
        self.transport = Transport()
        self.socket = Socket(Server(), max_size=max_size, ping_interval=None)
        self.socket.connection_made(cast(asyncio.Transport, self.transport))
        self.socket.data_received(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
        self.socket.protocol.state = State.OPEN
        self.heard: list[tuple[bool, bytes]] = []
        self.socket.quick = lambda text: self.heard.append((True, text))

    async def read(self) -> None:
        """What the reading task does once: take everything that waits."""
        messages = self.socket.recv_messages
        while any(part.fin for part in messages.frames.queue):
            data = await messages.get()
            self.heard.append((False, data.encode() if isinstance(data, str) else data))
            self.socket.done()


message = st.one_of(
    st.integers(1, 99).map(lambda n: [(Opcode.TEXT, ACT % n, True)]),
    st.binary(max_size=300).map(lambda data: [(Opcode.BINARY, data, True)]),
    st.text(max_size=200).map(lambda text: [(Opcode.TEXT, text.encode(), True)]),
    st.binary(max_size=20).map(lambda data: [(Opcode.PING, data, True)]),
    st.just([(Opcode.TEXT, ACT[:9], False), (Opcode.PING, b"", True), (Opcode.CONT, ACT[9:] % 7, True)]),
)


@given(st.lists(message, max_size=12), st.lists(st.integers(1, 60), max_size=40), st.booleans())
def test_nothing_is_lost_changed_or_overtaken(parts: list[Any], cuts: list[int], reads: bool) -> None:
    """Whatever is sent, in whatever pieces: every message has its effect once, in the order in which it was sent."""

    async def scenario() -> None:
        live = Live()
        sent = b"".join(frame(*one) for group in parts for one in group)
        at = 0
        for cut in [*cuts, len(sent)]:
            if at < len(sent):
                live.socket.data_received(sent[at : at + cut])
                at += cut
            if reads:
                await live.read()
        await live.read()
        expected = [
            b"".join(data for opcode, data, _ in group if opcode is not Opcode.PING)
            for group in parts
            if any(opcode is not Opcode.PING for opcode, _, _ in group)
        ]
        assert [text for _, text in live.heard] == expected
        pings = sum(opcode is Opcode.PING for group in parts for opcode, _, _ in group)
        assert live.transport.sent.count(b"\x8a") >= pings

    asyncio.run(scenario())


def test_an_input_takes_the_short_way_and_a_command_the_long_one() -> None:
    """Only what begins like an input goes straight to the session."""

    async def scenario() -> None:
        live = Live()
        live.socket.data_received(frame(Opcode.TEXT, ACT % 1) + frame(Opcode.TEXT, b'{"t":"chat","id":2}'))
        live.socket.data_received(frame(Opcode.TEXT, ACT % 3))
        assert [quick for quick, _ in live.heard] == [True]
        await live.read()
        live.socket.data_received(frame(Opcode.TEXT, ACT % 4))
        assert [quick for quick, _ in live.heard] == [True, False, False, True]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (Frame(Opcode.TEXT, b"{}").serialize(mask=False), 1002),
        (frame(Opcode.TEXT, b"x" * 9000), 1009),
        (frame(Opcode.TEXT, b"x" * 70_000), 1009),
        (b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"mask", 1009),
        (b"\xf1\x80mask", 1002),
        (b"\x83\x80mask", 1002),
        (frame(Opcode.CONT, b"tail"), 1002),
    ],
    ids=["unmasked", "large", "jumbo", "absurd", "reserved bits", "unknown opcode", "continues nothing"],
)
def test_what_breaks_the_protocol_closes_with_the_librarys_code(bad: bytes, code: int) -> None:
    """The short way never accepts what the library would refuse."""

    async def scenario() -> None:
        live = Live()
        live.socket.data_received(frame(Opcode.TEXT, ACT % 1))
        live.socket.data_received(bad)
        assert live.socket.protocol.close_sent is not None or live.socket.protocol.close_rcvd is not None
        assert (live.socket.protocol.close_sent or Close(0, "")).code == code
        live.socket.data_received(frame(Opcode.TEXT, ACT % 2))
        assert live.heard == [(True, ACT % 1)]

    asyncio.run(scenario())


def test_a_client_that_sends_before_it_is_accepted_keeps_the_long_way() -> None:
    """Bytes that came with the handshake leave the library in the middle of a frame: it keeps the connection."""

    async def scenario() -> None:
        live = Live()
        socket = Socket(Server(), max_size=8192, ping_interval=None)
        socket.connection_made(cast(asyncio.Transport, live.transport))
        socket.data_received(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
        socket.data_received(b"early")
        socket.quick = lambda text: pytest.fail("the short way")
        socket.protocol = ServerProtocol(state=State.OPEN)
        socket.data_received(frame(Opcode.TEXT, ACT % 1))
        assert len(socket.recv_messages.frames) == 1

    asyncio.run(scenario())


def test_frames_have_room_while_the_socket_is_open_and_little_waits() -> None:
    """Each change is told once it is so: too much waits, it has gone, or it ends, for good."""

    async def scenario() -> None:
        socket = Socket(Server(), max_size=8192, ping_interval=None)
        socket.connection_made(cast(asyncio.Transport, Transport()))
        assert not socket.room
        socket.protocol.state = State.OPEN
        told: list[tuple[bool, bool]] = []
        socket.on_room = lambda room: told.append((room, socket.room))
        assert socket.room
        socket.pause_writing()
        socket.resume_writing()
        socket.pause_writing()
        socket.protocol.fail(1011, "no pong")
        socket.resume_writing()
        assert told == [(False, False), (True, True), (False, False), (False, False), (False, False)]

    asyncio.run(scenario())


def test_no_close_and_no_ping_waits_for_a_client_that_does_not_read() -> None:
    """Whoever wants to wait for room says so; the library's own frames never do."""

    async def scenario() -> None:
        live = Live()
        live.socket.pause_writing()
        async with asyncio.timeout(5):
            await live.socket.ping()
        waiting = asyncio.ensure_future(live.socket.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
        live.socket.resume_writing()
        async with asyncio.timeout(5):
            await waiting

    asyncio.run(scenario())


def test_an_upgrade_behind_answers_that_nobody_reads_is_dropped() -> None:
    """The transport's water marks were told to HTTP, and would never be told to the socket."""

    async def scenario() -> None:
        transport = Transport()
        transport.waits = 1
        Socket(Server(), max_size=8192, ping_interval=None).connection_made(
            cast(asyncio.Transport, transport)
        )
        assert transport.closed

    asyncio.run(scenario())


def test_a_header_that_comes_twice_is_one() -> None:
    """RFC 9110, section 5.3; websockets' own ``get`` raises."""
    headers = Headers([("X-Forwarded-For", "10.0.0.1"), ("Host", "a"), ("x-forwarded-for", "10.0.0.2")])
    assert header(headers, "x-forwarded-for") == "10.0.0.1, 10.0.0.2"
    assert header(headers, "host") == "a"
    assert header(headers, "origin") is None
