"""A WebSocket connection with a fast path for inputs: one call from the received bytes to the gateway.

    bytes -> whole frames -+- a text message that begins like an input, nothing queued -> ``quick``
                           '- everything else -> websockets -> ``recv``, in a task

    water marks of the transport, state of the protocol -> ``on_room``
    ``slow_down`` -> both ways pass through a bad network (server/gateway/slow_line.py)

websockets queues every message and wakes a task for it. That is expensive for a drag, which sends a hundred inputs a
second. Messages stay in order: an input behind a message that is queued for ``recv`` is queued too. Only a whole,
final, masked text frame takes the fast path. This module must never accept a frame that websockets refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from functools import partial
from math import ceil
from typing import Any, cast

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode, apply_mask  # type: ignore[attr-defined]
from websockets.protocol import State
from websockets.server import ServerProtocol

from tussle.lobby.addresses import RequestAddress
from tussle.lobby.errors import CloseCode
from tussle.lobby.network import Network, NetworkLine
from tussle.server.gateway.slow_line import Delay, SlowTransport
from tussle.server.limits import TokenBucket

__all__ = ["FRAME_BACKLOG", "OUTBOX_BYTES", "PING", "Socket", "header"]

INPUTS = (b'{"t":"act"', b'{"t": "act"')
"""The first bytes of an input, as JSON encoders write them. Inputs in other spellings go through websockets."""

PING = b"\x89\x00"
"""A ping without a payload."""

PONG = 0x8A
"""First byte of its answer, whose payload is empty too."""

TEXT = 0x81
"""First byte of a text message in one frame."""

MASKED = 0x80
EXTENDED = 126
HEAD = 6
"""Bytes before the payload of a masked frame of less than 126 bytes."""

NEVER = 2**62
"""A frame length that every limit refuses."""

FRAME_BACKLOG = 2048
"""High-water mark of the write buffer [B]. A socket above it gets no frame until the buffer drains: an event waits
behind about one frame, not behind seconds of them."""

SLOW_UNSENT_BYTES = 2048
"""Unsent bytes that the kernel buffers for a connection that was too slow once."""


OUTBOX_BYTES = 1_048_576
"""Unsent bytes of a slow client above which it is closed with TOO_SLOW."""

PING_S = 1.5
"""A connection of which nothing was heard for this long is sent a ping [s]."""

GRID_S = 0.125
"""The checks of all connections are due at multiples of this [s], so that they wake the process together."""

SILENT_S = 4.4
"""A peer that is silent for this long, and takes no bytes, is gone [s]. With the interval of the checks that is noticed
after at most 6 s, well within a turn."""

INBOUND_BYTES = 65_536
"""Bytes on their way from a client over a bad network above which nothing more is read from it."""

REFUSED_S = 2.0
"""Time for the close frame to reach a client that was refused or has closed. Nothing is read from it meanwhile."""


class _Protocol(ServerProtocol):
    """Calls ``on_end`` when the connection leaves the state OPEN, and ``check`` before each frame has an effect."""

    on_end: Callable[[], None] | None = None
    check: Callable[[Frame], tuple[CloseCode, str] | None] | None = None

    def recv_frame(self, frame: Frame) -> None:
        refusal = None if self.check is None else self.check(frame)
        if refusal is not None:
            self.fail(*refusal)
            raise ProtocolError(refusal[1])
        super().recv_frame(frame)

    def _enter(self, state: State) -> None:
        ServerProtocol.state.__set__(self, state)  # type: ignore[attr-defined]
        if state is not State.OPEN and self.on_end is not None:
            self.on_end()

    state = ServerProtocol.state.setter(_enter)  # type: ignore[attr-defined]


class Socket(ServerConnection):
    """One connection.

    ``quick`` is called with the text of each input on the fast path. The reader of ``recv`` must call ``done`` after
    each message. ``on_room`` is called with True when frames may be written, and with False above FRAME_BACKLOG or when
    the connection ends, ``on_lost`` is called once when it has ended. ``on_quiet`` is called when a ping is due, and
    returns whether the next frame will carry it: then a ping costs no write(2) and no wake-up of its own.
    """

    address: str | None = None
    """The client's address while the connection limit counts it, else None."""

    client: str = ""
    """The client's IP address: of the connection, or as a trusted proxy reports it."""

    came: RequestAddress = RequestAddress("")
    """The address at which the client reached this server."""

    quick: Callable[[str], None] | None = None
    on_room: Callable[[bool], None] | None = None
    on_lost: Callable[[], None] | None = None
    on_refused: Callable[[CloseCode], None] | None = None
    on_quiet: Callable[[], bool] | None = None
    ping_due = False
    """Whether a ping waits for the next frame. Who sends it with one sets it to False."""
    _frames: TokenBucket | None = None
    _mean = 0.0
    _refused = False
    _slow = False
    _heard = 0.0
    _taken = _unsent = 0
    written = 0
    """Bytes that a relay has written. They show that the other side reads, also while the buffer stays full."""
    _watch: asyncio.TimerHandle | None = None
    _calls = 0
    _split = False
    _waiting = 0
    _rest = b""
    _inbound: Delay | None = None
    _outbound: Delay | None = None
    _held = False
    _pauses = 0

    def __init__(self, server: Any, *, max_size: int, **options: Any) -> None:
        protocol = _Protocol(max_size=max_size)
        super().__init__(protocol, server, write_limit=FRAME_BACKLOG, **options)
        protocol.on_end = self._ends
        protocol.check = self._check
        self._largest = max_size + HEAD + 2

    def keep_watch(self) -> None:
        """Send pings to a silent peer from now on, and close the connection of one that is gone."""
        self._heard = self.loop.time()
        self._look_at(self._heard + PING_S)

    def _look_at(self, due: float) -> None:
        due = ceil(due / GRID_S) * GRID_S
        self._watch = self.loop.call_at(due, self._look, due)

    def _look(self, due: float) -> None:
        if not self.open:
            return
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        taken = self.written - unsent
        if now - due > PING_S or taken > self._taken or unsent < self._unsent:
            self._heard = now  # this process was late itself, or the peer takes bytes
        self._taken, self._unsent = taken, unsent
        silent = now - self._heard
        if silent > SILENT_S:
            code = CloseCode.TOO_SLOW if unsent > FRAME_BACKLOG else CloseCode.ERROR
            if self.on_refused is not None:
                self.on_refused(code)
            self.protocol.fail(code, "silent")
            self.transport.abort()
            return
        if silent >= PING_S / 2:
            late, self.ping_due = self.ping_due, False
            if not late and self.on_quiet is not None and self.on_quiet():
                self.ping_due = True
            else:
                self.transport.write(PING)
        self._look_at(now + PING_S)

    def slow_down(self, network: Network, way: str) -> None:
        """Put a bad network between this connection and its client from now on. ``way``: makes its chances differ from
        those of other connections of one seed. Call it once, before anything keeps the transport."""
        loop = self.loop
        self._inbound = Delay(NetworkLine(network, f"{way} from client"), loop.time, loop.call_at)
        self._outbound = Delay(NetworkLine(network, f"{way} to client"), loop.time, loop.call_at)
        slow = SlowTransport(
            self.transport,
            self._outbound,
            low=FRAME_BACKLOG // 4,
            high=FRAME_BACKLOG,
            pause=self.pause_writing,
            resume=self.resume_writing,
        )
        self.transport = cast(asyncio.Transport, slow)

    def limit_frames(self, bucket: TokenBucket | None, mean: float = 1.0) -> None:
        """Charge every frame but inputs on the fast path to ``bucket``; one of n bytes costs max(1, n / mean).

        A connection that exceeds it is closed with RATE_LIMITED. None: the other side is a server of the realm.
        """
        self._frames, self._mean = bucket, mean

    def _check(self, frame: Frame) -> tuple[CloseCode, str] | None:
        """Charge a frame. Returns code and reason if the connection must close; the frame then has no effect."""
        refusal = None
        if self._frames is not None and not self._frames.take(
            self.loop.time(), max(1.0, len(frame.data) / self._mean)
        ):
            refusal = CloseCode.RATE_LIMITED, "too many frames"
        elif frame.opcode is Opcode.PING and self.transport.get_write_buffer_size() > OUTBOX_BYTES:
            refusal = CloseCode.TOO_SLOW, "too slow"
        if refusal is not None and not self._refused:
            self._hear_no_more()
            if self.on_refused is not None:
                self.on_refused(refusal[0])
        return refusal

    def _hear_no_more(self) -> None:
        """Read nothing that comes after the close: it has no meaning, and nobody pays for it. The peer has REFUSED_S
        for the close frame."""
        self._refused = True
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self.loop.call_later(REFUSED_S, self.transport.abort)

    def done(self) -> None:
        """Report that a message from ``recv`` was executed. Inputs behind it may then take the fast path."""
        self._waiting -= 1

    @property
    def open(self) -> bool:
        """Whether messages may be written."""
        return self.protocol.state is State.OPEN

    @property
    def room(self) -> bool:
        """Whether frames may be written now."""
        return not self.paused and self.open

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # With unsent HTTP responses, the transport has reported its high-water mark to HTTP and not to this protocol.
        if transport.get_write_buffer_size():
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        for delay in (self._inbound, self._outbound):
            if delay is not None:
                delay.end()
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self.on_lost is not None:
            self.on_lost()
            self.on_lost = None

    async def drain(self) -> None:
        """Return at once: a ping or a close must not wait for a client that does not read. Sender bounds the buffer."""

    async def drained(self) -> None:
        """Wait until the write buffer is below its high-water mark."""
        await super().drain()

    def pause_writing(self) -> None:
        self._pauses += 1  # of the transport, and of a bad network before it
        if self._pauses > 1:
            return
        super().pause_writing()
        if not self._slow:
            self._slow = True
            raw = self.transport.get_extra_info("socket")
            if raw is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
                with contextlib.suppress(OSError):  # the client is gone
                    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, SLOW_UNSENT_BYTES)
        self._no_room()

    def resume_writing(self) -> None:
        self._pauses -= 1
        if self._pauses:
            return
        super().resume_writing()
        if self.on_room is not None:
            self.on_room(self.room)

    def _ends(self) -> None:
        self.quick = None
        self._no_room()

    def _no_room(self) -> None:
        if self.on_room is not None:
            self.on_room(False)

    def data_received(self, data: bytes) -> None:
        if self._inbound is None:
            length = len(data) - HEAD
            whole = self._split and not self._rest and not self._refused
            if whole and 0 < length == data[1] - MASKED < EXTENDED:  # one small frame, as inputs are
                self._heard = self.loop.time()
                self._take(data)
            else:
                self._receive(data)
            return
        self._inbound.add(len(data), partial(self._arrive, data))
        if self._inbound.size > INBOUND_BYTES and not self._held:
            self._held = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:  # type: ignore[override]  # as in asyncio.Protocol
        if self._inbound is None or not self._inbound.size:
            super().eof_received()
            return False
        self._inbound.add(0, self._end)
        return True  # the transport stays open for what is on its way, except with TLS

    def _end(self) -> None:
        """The end of the stream has come over the bad network."""
        super().eof_received()
        self.transport.close()

    def _arrive(self, data: bytes) -> None:
        """Bytes have come over the bad network."""
        assert self._inbound is not None
        self._receive(data)
        if self._held and self._inbound.size <= INBOUND_BYTES and not self._refused:
            self._held = False
            self.transport.resume_reading()

    def _receive(self, data: bytes) -> None:
        self._heard = self.loop.time()
        if self._refused:
            self.transport.pause_reading()
            return
        if not self._split:
            # The first call has the request. If the client sends frames before the upgrade is accepted, websockets may
            # be in the middle of a frame. The connection then has no fast path.
            if self._calls != 1 or self.protocol.state is not State.OPEN:
                self._calls += 1 if data.endswith(b"\r\n\r\n") else 2
                super().data_received(data)
                return
            self._split = True
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        while at < end:
            size = frame_size(data, at, end)
            if size > self._largest:
                # websockets refuses a frame that is too large or not masked
                self._split, self._calls = False, 2
                super().data_received(data[at:])
                return
            if size == 0 or at + size > end:
                self._rest = data[at:]
                return
            self._take(data if size == end else data[at : at + size])
            if self._refused:
                return
            at += size

    def _take(self, frame: bytes) -> None:
        """Pass one whole, masked frame to ``quick`` or to websockets."""
        if frame[0] == TEXT and not self._waiting and self.quick is not None:
            head = HEAD if frame[1] < MASKED + EXTENDED else HEAD + 2
            text = apply_mask(frame[head:], frame[head - 4 : head])
            if text.startswith(INPUTS):
                try:
                    decoded = text.decode()
                except UnicodeDecodeError:
                    pass  # websockets closes the connection: RFC 6455, section 8.1
                else:
                    self.quick(decoded)
                    return
        if (
            frame[0] == PONG
            and len(frame) == HEAD
            and (self._frames is None or self._frames.take(self.loop.time(), 1.0))
        ):
            return  # it was heard, and has no other meaning
        if frame[0] & 0x0F in (1, 2):
            self._waiting += 1
        super().data_received(frame)
        if self.protocol.eof_sent and not self._refused:  # the peer closed, or sent what no peer may send
            self._hear_no_more()


def frame_size(data: bytes, at: int, end: int) -> int:
    """The length [B] of the frame at ``at``: 0 if its head is incomplete, NEVER if a client may not send it."""
    if end - at < HEAD:
        return 0 if end - at < 2 or data[at + 1] & MASKED else NEVER
    length = data[at + 1]
    if length < MASKED:
        return NEVER
    length -= MASKED
    if length < EXTENDED:
        return HEAD + length
    if length > EXTENDED:
        return NEVER
    return HEAD + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def header(headers: Headers, name: str) -> str | None:
    """The value of a header, or None. Values of a repeated header are joined with commas (RFC 9110, section 5.3)."""
    return ", ".join(headers.get_all(name)) or None
