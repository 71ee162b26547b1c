"""The writing side of one connection: whole WebSocket frames, a bound on what is unsent, and the closing handshake.

    write -> transport      more than ``limit`` unsent -> closed with TOO_SLOW

server/gateway/sender.py writes to the viewers of a session, server/gateway/replay_gate.py to the members of a replay
room. This module must never wait for a client.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TypeVar

from tussle.lobby.addresses import socket_address
from tussle.lobby.errors import CloseCode, LobbyError, ProtocolError, RateLimited
from tussle.server.gateway.protocol import Connection
from tussle.server.gateway.socket import Socket
from tussle.server.metrics.telemetry import Telemetry

__all__ = ["Outlet", "short_reason"]

Message = TypeVar("Message")


class Outlet(ABC):
    """Writes to one socket."""

    def __init__(self, socket: Socket, limit: int, telemetry: Telemetry, path: str = "/ws") -> None:
        """``limit``: most unsent bytes. ``path``: of the socket, which it has on every server."""
        self.socket = socket
        self._transport = socket.transport
        self._limit = limit
        self._telemetry = telemetry
        self._path = path
        self._servers: tuple[str, ...] | None = None
        self._closing: asyncio.Task[None] | None = None

    def write(self, framed: bytes) -> None:
        """Write a whole WebSocket frame to the transport, or close with TOO_SLOW if too much is unsent."""
        if not self.socket.open or self._closing is not None:
            return
        if self._transport.get_write_buffer_size() > self._limit:
            self.close(CloseCode.TOO_SLOW, "too slow")
            return
        self._transport.write(framed)

    def address_of(self, url: str) -> str:
        """The WebSocket address at which this client reaches the server that publishes ``url``; '' if it cannot: any
        server that it reaches relays the session."""
        return socket_address(self.socket.came.of_server(url), self._path) if url else ""

    def servers_of(self, urls: Iterable[str]) -> tuple[str, ...]:
        """The WebSocket addresses of these servers for this client, for its welcome; without those that it cannot
        reach."""
        self._servers = tuple(filter(None, map(self.address_of, urls)))
        return self._servers

    def show_servers(self, urls: Iterable[str]) -> None:
        """Send the addresses of the other servers if they have changed; before its welcome a client is sent nothing."""
        before = self._servers
        if before is not None and self.servers_of(urls) != before:
            self._send_servers(self._servers or ())

    @abstractmethod
    def _send_servers(self, addresses: tuple[str, ...]) -> object:
        """Send the addresses of the other servers."""

    @abstractmethod
    def _on_room(self, room: bool) -> None:
        """Called when the socket can take more bytes again, and when it no longer can."""

    def close(self, code: CloseCode, reason: str = "") -> bool:
        """Begin the closing handshake. Returns False if it has begun before."""
        if self._closing is not None:
            return False
        self._telemetry.closes.labels(code=str(int(code))).inc()
        self.socket.quick = None
        self._closing = asyncio.create_task(
            self.socket.close(
                code, short_reason(self.address_of(reason) if code is CloseCode.MOVED else reason)
            )
        )
        self._on_room(False)
        return True

    def receive(self, core: Connection[Message], data: str | bytes) -> Message | None:
        """The next message; None if it is refused: the client has its error, or the connection is closing."""
        try:
            return core.receive(data, time.monotonic())
        except (RateLimited, ProtocolError) as error:
            self.reject(core, error)
        return None

    def reject(self, core: Connection[Message], error: RateLimited | ProtocolError) -> None:
        """Answer a message that the connection has refused, or close the connection."""
        if isinstance(error, RateLimited):
            self.close(error.close_code, error.message)
            return
        self.refuse(error.command, error)
        if core.fatal:
            self.close(CloseCode.BAD_MESSAGE, "too many unreadable messages")

    @abstractmethod
    def refuse(self, command: int | None, error: LobbyError) -> object:
        """Send an error. ``command``: the id of the message, None if it could not be read."""

    @property
    def ending(self) -> bool:
        return self._closing is not None

    async def closed(self) -> None:
        if self._closing is not None:
            await self._closing


def short_reason(text: str) -> str:
    """The part of a sentence that fits into a close frame, which holds 123 bytes."""
    return text.encode()[:120].decode("utf-8", "ignore")
