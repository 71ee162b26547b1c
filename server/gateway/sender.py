"""The sending side of one connection after its hello: every message to a client is written by its Sender.

audience (frames, events) ----+
commands (replies, errors) ---+--> Sender --> transport      too much unsent -> closed with TOO_SLOW
gateway (welcome, close) -----+

This module must never wait for a client.
"""

from __future__ import annotations

from collections.abc import Callable, Set

import msgspec

from tussle.lobby.connections import Connected
from tussle.lobby.errors import LobbyError
from tussle.lobby.text import MESSAGE_LENGTH, clip
from tussle.lobby.wire.client_messages import ClientMessage
from tussle.lobby.wire.messages import (
    Ack,
    ErrorData,
    ErrorMessage,
    Pong,
    ServersData,
    ServersMessage,
    Welcome,
    encode,
)
from tussle.lobby.wire.signalling import AnswerMessage, ChannelMessage
from tussle.server.fanout.audience import Audience
from tussle.server.fanout.framing import text_frame
from tussle.server.gateway.outlet import Outlet
from tussle.server.gateway.protocol import Connection
from tussle.server.gateway.replies import Replies
from tussle.server.gateway.socket import PING, Socket
from tussle.server.metrics.telemetry import Telemetry

__all__ = ["Sender"]


class Sender(Outlet):
    """The sending side of one connection. Implements ``Viewer`` of server/fanout/audience.py."""

    def __init__(
        self,
        socket: Socket,
        who: Connected,
        core: Connection[ClientMessage],
        audience: Audience,
        limit: int,
        telemetry: Telemetry,
        *,
        network: str = "",
        deltas: bool = False,
        slow: bool = False,
        without: Set[str] = frozenset(),
    ) -> None:
        super().__init__(socket, limit, telemetry)
        self.network = network
        self.deltas = deltas
        self.slow = slow
        self.without = without
        self._audience = audience
        self.replies = Replies()
        self.who = who
        self.core = core
        self.v = 0
        self.topology_sent = False
        self.frames: Callable[[bytes], object] | None = None
        self._by_channel = False
        self.unsent: Callable[[], int] = self._transport.get_write_buffer_size
        """Unsent bytes."""
        socket.on_room = self._on_room
        socket.on_quiet = self._carry_ping
        self._on_room(socket.room)

    def _on_room(self, room: bool) -> None:
        # The lanes of delta frames look at the unsent bytes themselves: a frame may be larger than the room for one.
        room = room or (self.deltas and self.socket.open)
        free = room and self._closing is None and not self._by_channel
        if self.deltas and free is (self.frames is not None):
            return  # a delta frame more is no reason to begin its chain again
        self.frames = self._transport.write if free else None
        self._audience.update_frames(self)
        if self.frames is not None:
            self._audience.show_newest(self)

    def _carry_ping(self) -> bool:
        """Have the next frame carry a ping, if one will come at once. Returns whether it will."""
        if self.frames is None or not self._audience.flows:
            return False
        self._write_frames_with(self._write_with_ping)
        return True

    def _write_with_ping(self, framed: bytes) -> None:
        self._write_frames_with(self._transport.write)
        if self.socket.ping_due:
            self.socket.ping_due = False
            framed = PING + framed
        self._transport.write(framed)

    def _write_frames_with(self, write: Callable[[bytes], object]) -> None:
        self.frames = write
        if not self.deltas:  # the lanes of delta frames look at ``frames`` each time
            self._audience.update_frames(self)

    def use_channel(self, use: bool) -> None:
        """Whether frames go over a data channel, and not over this socket."""
        self._by_channel = use
        self._on_room(self.socket.room)

    def _send_servers(self, addresses: tuple[str, ...]) -> None:
        self.reply(ServersMessage(ServersData(addresses)))

    def reply(
        self, message: Ack | AnswerMessage | ChannelMessage | ErrorMessage | Pong | ServersMessage | Welcome
    ) -> bytes:
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
                    msgspec.UNSET if error.detail is None else dict(error.detail),
                ),
                command,
            )
        )
