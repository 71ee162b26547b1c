"""A WebSocket connection that passes inputs from the received bytes to the gateway in one call.

    bytes -> whole frames -+- one text message that begins like an input, nothing waiting -> ``quick`` (at once)
                           '- everything else: websockets (control frames, fragments, errors) -> recv() (a task)

    transport's water marks, state of the protocol ----------------------------------> ``on_room`` (frames or none)

websockets parses with generators, queues and wakes a task for each message, which is expensive for a drag that sends a
hundred inputs a second. A client's messages stay in order: while one of them is queued for ``recv``, inputs are queued
behind it. Everything that is not exactly one whole, final, masked text frame goes to the library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.frames import apply_mask  # type: ignore[attr-defined]
from websockets.protocol import State
from websockets.server import ServerProtocol

__all__ = ["FRAME_BACKLOG", "Socket", "header"]

INPUTS = (b'{"t":"act"', b'{"t": "act"')
"""The first bytes of an input, as JSON encoders write them. Other encodings are handled by the library."""

TEXT = 0x81
"""First byte of a text message that is whole in its frame."""

MASKED = 0x80
EXTENDED = 126
HEAD = 6
"""Bytes before the payload of a masked frame of less than 126 bytes."""

NEVER = 2**62

FRAME_BACKLOG = 65_536
"""Bytes in a write buffer above which the socket gets no frame, until most of them are sent."""


class _Protocol(ServerProtocol):
    """Calls ``on_end`` when the connection is not open any more."""

    on_end: Callable[[], None] | None = None

    def _enter(self, state: State) -> None:
        ServerProtocol.state.__set__(self, state)  # type: ignore[attr-defined]
        if state is not State.OPEN and self.on_end is not None:
            self.on_end()

    state = ServerProtocol.state.setter(_enter)  # type: ignore[attr-defined]


class Socket(ServerConnection):
    """One connection. ``quick`` is given an input's text; ``done`` must be called for each message of ``recv``;
    ``on_room`` is told each time that frames may be written (True) or may not (False): too much waits, or it ends."""

    address: str | None = None
    """The client's address, once the connection limit counts it."""

    quick: Callable[[bytes], None] | None = None
    on_room: Callable[[bool], None] | None = None
    _calls = 0
    _split = False
    _waiting = 0
    _rest = b""

    def __init__(self, server: Any, *, max_size: int, **options: Any) -> None:
        protocol = _Protocol(max_size=max_size)
        super().__init__(protocol, server, write_limit=FRAME_BACKLOG, **options)
        protocol.on_end = self._ends
        self._largest = max_size + HEAD + 2

    def done(self) -> None:
        """Report that a message from ``recv`` was executed, so that inputs need not wait for it."""
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
        if (
            transport.get_write_buffer_size()
        ):  # answers of HTTP that nobody reads: its water marks are not ours
            transport.abort()

    async def drain(self) -> None:
        """Never waits: a ping or a close must not hang on a client that does not read. Link bounds what waits."""

    async def drained(self) -> None:
        """Wait while too much waits."""
        await super().drain()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._no_room()

    def resume_writing(self) -> None:
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
        if not self._split:
            # The first call brings the request. A client that sends frames before it was accepted could leave the
            # library in the middle of one: its connection stays with the library.
            if self._calls != 1 or self.protocol.state is not State.OPEN:
                self._calls += 1 if data.endswith(b"\r\n\r\n") else 2
                super().data_received(data)
                return
            self._split = True
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        if end > HEAD and end - HEAD == data[1] - MASKED < EXTENDED:  # one small frame, as inputs are
            self._take(data)
            return
        while at < end:
            size = frame_size(data, at, end)
            if size > self._largest:
                self._split, self._calls = False, 2  # the library refuses what is too large or not masked
                super().data_received(data[at:])
                return
            if size == 0 or at + size > end:
                self._rest = data[at:]
                return
            self._take(data if size == end else data[at : at + size])
            at += size

    def _take(self, frame: bytes) -> None:
        """One whole, masked frame."""
        if frame[0] == TEXT and not self._waiting and self.quick is not None:
            head = HEAD if frame[1] < MASKED + EXTENDED else HEAD + 2
            text = apply_mask(frame[head:], frame[head - 4 : head])
            if text.startswith(INPUTS):
                self.quick(text)
                return
        if frame[0] & 0x0F in (1, 2):
            self._waiting += 1
        super().data_received(frame)


def frame_size(data: bytes, at: int, end: int) -> int:
    """Bytes of the frame that begins at ``at``; 0: not enough of it is here to say; very many: not a client's frame."""
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
    """The value of a header; of one that comes several times, all, as if it were one (RFC 9110, section 5.3)."""
    return ", ".join(headers.get_all(name)) or None
