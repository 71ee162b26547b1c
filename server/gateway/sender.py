"""The sending side of one connection after its hello: every message to a client is written by its Sender.

audience (frames, events) ----+
commands (replies, errors) ---+--> Sender --> transport      too much unsent -> closed with TOO_SLOW
gateway (welcome, close) -----+

This module must never wait for a client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from tussle.lobby.connections import Connected
from tussle.lobby.errors import CloseCode, LobbyError
from tussle.lobby.text import clip
from tussle.lobby.wire.messages import Ack, ErrorData, ErrorMessage, Pong, Welcome, encode
from tussle.server.fanout.audience import Audience
from tussle.server.fanout.framing import text_frame
from tussle.server.gateway.protocol import Connection
from tussle.server.gateway.replies import Replies
from tussle.server.gateway.socket import Socket, header
from tussle.server.metrics.telemetry import Telemetry

__all__ = ["Sender", "absolute", "short_reason"]

MESSAGE_LENGTH = 400
"""Characters of an error's message that are sent: it may repeat what the client sent."""


class Sender:
    """The sending side of one connection. Implements ``Viewer`` of server/fanout/audience.py."""

    def __init__(
        self,
        socket: Socket,
        who: Connected,
        core: Connection,
        audience: Audience,
        limit: int,
        telemetry: Telemetry,
    ) -> None:
        self.socket = socket
        self._transport = socket.transport
        self._audience = audience
        self.replies = Replies()
        self.who = who
        self.core = core
        self.v = 0
        self.topology_sent = False
        self.frames: Callable[[bytes], object] | None = None
        self._limit = limit
        self._telemetry = telemetry
        self._closing: asyncio.Task[None] | None = None
        socket.on_room = self._on_room
        self._on_room(socket.room)

    def write(self, framed: bytes) -> None:
        """Write a whole WebSocket frame to the transport, or close with TOO_SLOW if too much is unsent."""
        if not self.socket.open or self._closing is not None:
            return
        if self._transport.get_write_buffer_size() > self._limit:
            self.close(CloseCode.TOO_SLOW, "too slow")
            return
        self._transport.write(framed)

    def _on_room(self, room: bool) -> None:
        self.frames = self._transport.write if room and self._closing is None else None
        self._audience.update_frames(self)
        if self.frames is not None:
            self._audience.show_newest(self)

    def close(self, code: CloseCode, reason: str = "") -> bool:
        """Begin the closing handshake. Returns False if it has begun before."""
        if self._closing is not None:
            return False
        self._telemetry.closes.labels(code=str(int(code))).inc()
        self.socket.quick = None
        self._closing = asyncio.create_task(
            self.socket.close(code, short_reason(absolute(self.socket, reason)))
        )
        self._on_room(False)
        return True

    @property
    def ending(self) -> bool:
        return self._closing is not None

    async def closed(self) -> None:
        if self._closing is not None:
            await self._closing

    def reply(self, message: Ack | ErrorMessage | Pong | Welcome) -> bytes:
        framed = text_frame(encode(message))
        self.write(framed)
        return framed

    def refuse(self, command: int | None, error: LobbyError) -> bytes:
        self._telemetry.refusals.labels(code=error.reason).inc()
        return self.reply(
            ErrorMessage(
                ErrorData(
                    error.reason,
                    clip(error.message, MESSAGE_LENGTH),
                    error.field,
                    msgspec.UNSET if error.retry_after is None else error.retry_after,
                ),
                command,
            )
        )


def absolute(socket: Socket, address: str) -> str:
    """``address`` with the scheme and host of the client's request, if it is only a path behind a proxy."""
    if not address.startswith("/") or socket.request is None:
        return address
    headers = socket.request.headers
    proto = (header(headers, "x-forwarded-proto") or "").partition(",")[0].strip()
    return f"{'wss' if proto == 'https' else 'ws'}://{header(headers, 'host') or ''}{address}"


def short_reason(text: str) -> str:
    """The part of a sentence that fits into a close frame, which holds 123 bytes."""
    return text.encode()[:120].decode("utf-8", "ignore")
