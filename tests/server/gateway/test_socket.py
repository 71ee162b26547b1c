"""The fast path of inputs: the same messages in the same order as through websockets, however the bytes arrive."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import tomllib
from importlib.metadata import version
from typing import Any, cast
from unittest.mock import Mock

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from tests.support.paths import ROOT
from tests.support.stack import until
from tussle.lobby.errors import CloseCode, StoreError
from tussle.lobby.network import Network
from tussle.lobby.settings import Settings
from tussle.server.gateway import gateway as gateway_module
from tussle.server.gateway import socket as socket_module
from tussle.server.gateway.gateway import Gateway
from tussle.server.gateway.socket import OUTBOX_BYTES, Socket, header
from tussle.server.limits import TokenBucket

ACT = b'{"t":"act","id":%d,"d":{"kind":"move"}}'


CONTROL = (Opcode.PING, Opcode.PONG)


class Transport:
    """The transport methods that a Socket calls. ``sent`` has the bytes written."""

    def __init__(self) -> None:
        self.sent = b""
        self.waits = 0
        self.closed = self.paused = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return self.waits

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, _: str) -> None: ...
    def set_write_buffer_limits(self, *_: Any) -> None: ...
    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None: ...
    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closed = True


class Server:
    """What a ServerConnection reads from its server."""

    def __init__(self) -> None:
        self.logger = logging.getLogger("test")
        self.handler_tasks: set[asyncio.Task[None]] = set()

    def is_serving(self) -> bool:
        return True

    async def handler(self, socket: Socket) -> None: ...


def frame(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


class Live:
    """An open connection. ``heard`` has the messages in order of their effect, each with True for the fast path."""

    def __init__(self, max_size: int = 8192) -> None:
        self.transport = Transport()
        self.socket = Socket(Server(), max_size=max_size, ping_interval=None)
        self.socket.connection_made(cast(asyncio.Transport, self.transport))
        self.socket.data_received(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
        self.socket.protocol.state = State.OPEN
        self.heard: list[tuple[bool, bytes]] = []
        self.socket.quick = lambda text: self.heard.append((True, text.encode()))

    async def read(self) -> None:
        """Read every queued message, as the reading task does."""
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
    st.binary(max_size=2).map(lambda data: [(Opcode.PONG, data, True)]),
    st.just([(Opcode.TEXT, ACT[:9], False), (Opcode.PING, b"", True), (Opcode.CONT, ACT[9:] % 7, True)]),
)


@given(st.lists(message, max_size=12), st.lists(st.integers(1, 60), max_size=40), st.booleans())
def test_no_message_is_lost_changed_or_overtaken(parts: list[Any], cuts: list[int], reads: bool) -> None:
    """Messages cut at any byte have their effect once, in the order in which they were sent."""

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
            b"".join(data for opcode, data, _ in group if opcode not in CONTROL)
            for group in parts
            if any(opcode not in CONTROL for opcode, _, _ in group)
        ]
        assert [text for _, text in live.heard] == expected
        pings = sum(opcode is Opcode.PING for group in parts for opcode, _, _ in group)
        assert live.transport.sent.count(b"\x8a") >= pings

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "end",
    [
        frame(Opcode.CLOSE, b"\x03\xe8"),
        frame(Opcode.TEXT, b"{", fin=False) + frame(Opcode.TEXT, b"{"),
        b"\x89\xfe\0\x7e\0\0\0\0" + bytes(126),
        b"\x83\x80\0\0\0\0",
    ],
    ids=["closed", "not continued", "long ping", "unknown"],
)
async def test_nothing_after_the_close_is_read(end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames behind a close, or behind a frame that no peer may send, are dropped unread. websockets would take each by
    itself, and a flood of small ones kept the process from everything else. Then the connection is aborted."""
    monkeypatch.setattr(socket_module, "REFUSED_S", 0.05)
    taken: list[bytes] = []
    receive = ServerConnection.data_received

    def note(self: ServerConnection, data: bytes) -> None:
        taken.append(data)
        receive(self, data)

    monkeypatch.setattr(ServerConnection, "data_received", note)
    live, more = Live(), frame(Opcode.TEXT, b"more") * 1000
    live.socket.limit_frames(TokenBucket(1e9, 1e9))
    taken.clear()
    live.socket.data_received(end + more)
    assert b"".join(taken) == end and live.socket.protocol.state is State.CLOSING
    sent, live.transport.closed = live.transport.sent, False
    for _ in range(3):
        live.socket.data_received(more)
    assert b"".join(taken) == end and live.transport.sent == sent and live.transport.paused
    await until(lambda: live.transport.closed, "the end of the connection")


def test_only_inputs_take_the_fast_path() -> None:
    """An input behind an unread command waits for it. After that, inputs take the fast path again."""

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
def test_a_broken_frame_closes_with_the_code_of_websockets(bad: bytes, code: int) -> None:
    """The fast path accepts no frame that websockets refuses."""

    async def scenario() -> None:
        live = Live()
        live.socket.data_received(frame(Opcode.TEXT, ACT % 1))
        live.socket.data_received(bad)
        assert live.socket.protocol.close_sent is not None or live.socket.protocol.close_rcvd is not None
        assert (live.socket.protocol.close_sent or Close(0, "")).code == code
        live.socket.data_received(frame(Opcode.TEXT, ACT % 2))
        assert live.heard == [(True, ACT % 1)]

    asyncio.run(scenario())


def test_a_client_that_sends_before_the_upgrade_has_no_fast_path() -> None:
    """Early bytes may leave websockets in the middle of a frame, so it handles the whole connection."""

    async def scenario() -> None:
        live = Live()
        socket = Socket(Server(), max_size=8192, ping_interval=None)
        socket.connection_made(cast(asyncio.Transport, live.transport))
        socket.data_received(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
        socket.data_received(b"early")
        socket.quick = lambda text: pytest.fail("the fast path")
        socket.protocol = ServerProtocol(state=State.OPEN)
        socket.data_received(frame(Opcode.TEXT, ACT % 1))
        assert len(socket.recv_messages.frames) == 1

    asyncio.run(scenario())


def test_an_input_that_is_not_utf_8_does_not_take_the_fast_path() -> None:
    """websockets gets it, whose ``recv`` closes the connection (RFC 6455, section 8.1)."""

    async def scenario() -> None:
        live = Live()
        live.socket.data_received(frame(Opcode.TEXT, ACT % 1))
        live.socket.data_received(frame(Opcode.TEXT, (ACT % 2).replace(b"move", b"mo\xff\xfe")))
        assert live.heard == [(True, ACT % 1)]
        with pytest.raises(UnicodeDecodeError):
            await live.socket.recv_messages.get()

    asyncio.run(scenario())


def test_on_room_reports_whether_frames_may_be_written() -> None:
    """False above the high-water mark, True when it drains, and False for good when the connection ends."""

    async def scenario() -> None:
        socket = Socket(Server(), max_size=8192, ping_interval=None)
        socket.connection_made(cast(asyncio.Transport, Transport()))
        assert not socket.room
        socket.protocol.state = State.OPEN
        reported: list[tuple[bool, bool]] = []
        socket.on_room = lambda room: reported.append((room, socket.room))
        assert socket.room
        socket.pause_writing()
        socket.resume_writing()
        socket.pause_writing()
        socket.protocol.fail(1011, "no pong")
        socket.resume_writing()
        assert reported == [(False, False), (True, True), (False, False), (False, False), (False, False)]

    asyncio.run(scenario())


def test_a_ping_does_not_wait_for_a_client_that_does_not_read() -> None:
    """``drain``, which websockets awaits, returns at once. ``drained`` waits until the buffer is empty enough."""

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


def test_a_client_that_pings_and_does_not_read_is_closed() -> None:
    """A ping while OUTBOX_BYTES are unsent gets no pong: the connection closes with TOO_SLOW and reads no more."""

    async def scenario() -> None:
        live = Live()
        codes: list[CloseCode] = []
        live.socket.on_refused = codes.append
        live.transport.waits = OUTBOX_BYTES + 1
        live.socket.data_received(frame(Opcode.PING, b"a") + frame(Opcode.PING, b"b"))
        live.socket.data_received(frame(Opcode.TEXT, ACT % 1))
        assert codes == [CloseCode.TOO_SLOW]
        assert b"\x8a" not in live.transport.sent
        assert live.socket.protocol.close_sent is not None
        assert live.socket.protocol.close_sent.code == CloseCode.TOO_SLOW
        assert live.heard == []

    asyncio.run(scenario())


class Clock:
    """An event loop with the clock and timers of a test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Any, Any]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Any, argument: Any) -> None:
        self.timers.append((at, call, argument))

    def run(self, until: float, each: Any) -> None:
        """Run the timers that are due, and call ``each`` before each of them."""
        while self.timers and self.timers[0][0] <= until:
            self.now, call, argument = self.timers.pop(0)
            each()
            call(argument)


@pytest.mark.parametrize("takes", [True, False], ids=["takes bytes", "takes nothing"])
def test_a_relay_with_a_full_buffer_is_kept_while_the_other_side_takes_bytes(takes: bool) -> None:
    """The buffer of a busy relay is as full at each check, because new frames take the place of those that were sent.
    A side that says nothing and takes nothing is cut off."""

    async def scenario() -> None:
        live, clock = Live(), Clock()
        live.socket.loop = cast(asyncio.AbstractEventLoop, clock)
        live.transport.waits = 1_000_000
        live.socket.written = 1_000_000
        live.socket.keep_watch()

        def passed() -> None:
            if takes:
                live.socket.written += 500_000  # and so many were taken: as much is unsent as before

        clock.run(60.0, passed)
        assert live.transport.closed is not takes

    asyncio.run(scenario())


def test_a_client_that_is_busy_with_a_long_message_is_kept() -> None:
    """It can answer no ping before it has the message, but it takes bytes of it. When it takes no more, it is cut."""

    async def scenario() -> None:
        live, clock = Live(), Clock()
        live.socket.loop = cast(asyncio.AbstractEventLoop, clock)
        live.transport.waits = 100_000
        live.socket.keep_watch()

        def passed() -> None:
            live.transport.waits = max(50_000, live.transport.waits - 5_000)

        clock.run(15.0, passed)
        assert not live.transport.closed
        clock.run(25.0, passed)
        assert live.transport.closed

    asyncio.run(scenario())


@pytest.mark.parametrize("early", [False, True], ids=["split", "early bytes"])
@pytest.mark.parametrize(
    "flood", [(Opcode.PING, b""), (Opcode.PONG, b""), (Opcode.TEXT, b"{}"), (Opcode.TEXT, b"")]
)
def test_frames_beyond_the_budget_have_no_effect(flood: tuple[Opcode, bytes], early: bool) -> None:
    """One chunk with more frames than the budget: as many have their effect as it allows, then RATE_LIMITED."""

    async def scenario() -> None:
        live = Live()
        codes: list[CloseCode] = []
        live.socket.on_refused = codes.append
        live.socket.limit_frames(TokenBucket(0.001, 10.0), 1000.0)
        if early:
            live.socket._calls = 2
        live.socket.data_received(frame(*flood) * 500)
        assert codes == [CloseCode.RATE_LIMITED]
        assert live.transport.sent.count(b"\x8a") == (10 if flood[0] is Opcode.PING else 0)
        assert len(live.socket.recv_messages.frames) == (10 if flood[0] is Opcode.TEXT else 0)

    asyncio.run(scenario())


def test_inputs_on_the_fast_path_are_not_counted_as_frames() -> None:
    """The connection core counts them: a drag costs each input once."""

    async def scenario() -> None:
        live = Live()
        live.socket.limit_frames(TokenBucket(0.001, 1.0), 1000.0)
        live.socket.data_received(b"".join(frame(Opcode.TEXT, ACT % n) for n in range(1, 50)))
        assert len(live.heard) == 49

    asyncio.run(scenario())


def test_an_upgrade_with_unsent_http_responses_is_aborted() -> None:
    """The transport has reported its high-water mark to the HTTP protocol and does not report it again."""

    async def scenario() -> None:
        transport = Transport()
        transport.waits = 1
        Socket(Server(), max_size=8192, ping_interval=None).connection_made(
            cast(asyncio.Transport, transport)
        )
        assert transport.closed

    asyncio.run(scenario())


def test_a_repeated_header_is_joined() -> None:
    """Values are joined with commas (RFC 9110, section 5.3). ``Headers.get`` of websockets raises instead."""
    headers = Headers([("X-Forwarded-For", "10.0.0.1"), ("Host", "a"), ("x-forwarded-for", "10.0.0.2")])
    assert header(headers, "x-forwarded-for") == "10.0.0.1, 10.0.0.2"
    assert header(headers, "host") == "a"
    assert header(headers, "origin") is None


# the contract with uvicorn and websockets: read server/gateway/gateway.py before a pin moves


def test_websockets_is_pinned_exactly() -> None:
    """pyproject.toml requires exactly the installed version."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"websockets=={version('websockets')}" in wanted


def test_the_gateway_has_what_a_connection_reads_from_its_server() -> None:
    """A ServerConnection uses four names of its server, and the gateway has them."""
    used = set(re.findall(r"self\.server\.(\w+)", inspect.getsource(ServerConnection)))
    assert used <= {"handler", "handler_tasks", "is_serving", "logger"}
    assert "handler_tasks" in used
    assert inspect.iscoroutinefunction(Gateway.handler)
    assert callable(Gateway.is_serving)


def test_uvicorn_hands_an_upgrade_to_the_protocol_that_ws_returns() -> None:
    """``ws=`` may be a callable. On an upgrade its result gets the transport and the bytes received so far."""
    nothing: Any = lambda **_: None  # noqa: E731
    config = uvicorn.Config(nothing, ws=nothing, http="httptools", lifespan="off")
    config.load()
    assert callable(config.ws_protocol_class)
    source = inspect.getsource(HttpToolsProtocol.handle_websocket_upgrade)
    for step in (
        "self.ws_protocol_class(",
        "connection_made(self.transport)",
        "data_received(",
        "set_protocol(",
    ):
        assert step in source, step


async def test_the_end_of_a_stream_comes_behind_its_messages() -> None:
    """Over a bad network, as the bytes before it do. Until then the transport stays open."""
    live = Live()
    live.socket.slow_down(Network(0.2), "a")
    live.socket.data_received(frame(Opcode.TEXT, ACT % 1) + frame(Opcode.PING, b"?"))
    assert live.socket.eof_received() is True
    assert (live.heard, live.transport.closed) == ([], False)
    await until(lambda: live.transport.closed, "the end of the stream")
    assert live.heard == [(True, ACT % 1)]
    assert live.socket.protocol.state is State.CLOSED


async def test_a_connection_runs_the_handler_of_its_server() -> None:
    """After a handshake and a message, the handler has the socket and receives the message."""
    heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    class Host:
        handler_tasks: set[asyncio.Task[None]]
        logger = logging.getLogger("test")

        def __init__(self) -> None:
            self.handler_tasks = set()

        def is_serving(self) -> bool:
            return True

        async def handler(self, socket: ServerConnection) -> None:
            await socket.handshake()
            heard.set_result(await socket.recv())
            await socket.close()

    host = Host()
    server = await asyncio.get_running_loop().create_server(
        lambda: ServerConnection(ServerProtocol(), host, close_timeout=1.0),  # type: ignore[arg-type]
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\x82\0\0\0\0hi"
    )
    async with asyncio.timeout(5.0):
        assert await heard == "hi"
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.close()
        await writer.wait_closed()
    server.close()
    await server.wait_closed()
    async with asyncio.timeout(5.0):
        await asyncio.gather(*host.handler_tasks)


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (ConnectionResetError(104, "reset by peer"), []),
        (BrokenPipeError(32, "broken pipe"), []),
        (TimeoutError(), []),
        (OSError(28, "no space left on device"), ["connection_failed"]),
        (OSError(24, "too many open files"), ["connection_failed"]),
        (FileNotFoundError(2, "no such file"), ["connection_failed"]),
        (StoreError("the store is away"), ["connection_closed"]),
    ],
)
async def test_an_error_that_is_not_of_the_connection_is_logged(
    error: Exception, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that breaks is usual. A full disk or a missing descriptor is the server's fault: it is in the
    log, and the client is closed with the code of a server's error."""
    seen: list[str] = []
    for level in ("exception", "warning"):
        monkeypatch.setattr(gateway_module.log, level, lambda event, **_: seen.append(event))

    class Broken(Socket):
        def __init__(self) -> None:
            self.closed_with: list[CloseCode] = []
            self.transport = cast(Any, Transport())
            self.protocol = cast(Any, None)

        async def handshake(self, *_: object, **__: object) -> None:
            raise error

        async def close(self, code: int = 1000, reason: str = "") -> None:
            self.closed_with.append(CloseCode(code))

    count = len(inspect.signature(Gateway).parameters) - 1
    gateway = Gateway(Settings(), *(cast(Any, Mock()) for _ in range(count)))
    socket = Broken()
    await gateway.handler(socket)
    assert seen == logged
    assert socket.closed_with == ([CloseCode.ERROR] if logged else [])
    assert cast(Any, socket.transport).closed is not bool(logged)
