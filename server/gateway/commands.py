"""What the messages of a client do: read, once each, obeyed or refused.

    bytes -> read -> ping, resync -----------------> answered here
                  -> act ----------> Run.accept_input -> acknowledged when journaled, if asked for
                  -> chat, ready, choose, leave ---> lobby scripts -> acknowledged

A command has an id: one that comes again gets its reply again and has no second effect (``Replies``). Errors become
replies here and nowhere else.
"""

from __future__ import annotations

import time
from functools import partial

from tussle.lobby.errors import ClientError, CloseCode, Conflict, LobbyError, ProtocolError, RateLimited
from tussle.lobby.roles import Operation, Role, may
from tussle.lobby.seating import Seating
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import (
    Ack,
    AckData,
    Act,
    Chat,
    Choose,
    ClientMessage,
    Hello,
    Leave,
    Ping,
    Pong,
    PongData,
    Ready,
    Resync,
)
from tussle.server.fanout.audience import Audience
from tussle.server.fanout.audiences import Audiences
from tussle.server.gateway.protocol import Replies
from tussle.server.gateway.relay import Relays
from tussle.server.gateway.sender import Link
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.sessions.holder import Holder

__all__ = ["OPERATIONS", "Commands"]

OPERATIONS: dict[type[ClientMessage], Operation] = {
    Hello: Operation.WATCH,
    Ping: Operation.WATCH,
    Resync: Operation.WATCH,
    Act: Operation.ACT,
    Chat: Operation.CHAT,
    Ready: Operation.READY,
    Choose: Operation.CHOOSE,
    Leave: Operation.LEAVE,
}
"""The right that each message needs. The gateway asks for Hello's before it welcomes, ``read`` for the others'."""


class Commands:
    """The commands of all connections of one server."""

    def __init__(
        self,
        seating: Seating,
        views: Views,
        holder: Holder,
        telemetry: Telemetry,
        audiences: Audiences,
        relays: Relays,
    ) -> None:
        self._seating = seating
        self._views = views
        self._holder = holder
        self._telemetry = telemetry
        self._audiences = audiences
        self._relays = relays

    def read(self, link: Link, data: str | bytes) -> ClientMessage | None:
        """The next message; None if it is refused: the sender has its error, or the connection is closing."""
        try:
            message = link.core.receive(data, time.monotonic())
        except RateLimited as error:
            link.close(error.close_code, error.message)
            return None
        except ProtocolError as error:
            link.refuse(None, error)
            if link.core.fatal:
                link.close(CloseCode.BAD_MESSAGE, "too many unreadable messages")
            return None
        if not may(Role(link.who.role), OPERATIONS[type(message)]):
            command = None if isinstance(message, Hello | Ping | Resync) else message.id
            link.refuse(command, Conflict("observers only watch", code="observer"))
            return None
        self._telemetry.messages.inc(1.0, "act" if type(message) is Act else type(message).__name__.lower())
        return message

    def quick(self, link: Link, replies: Replies, seat: int, text: bytes) -> None:
        """An input that took the short way; everything is as on the longer one."""
        message = self.read(link, text.decode("utf-8", "replace"))
        if isinstance(message, Act):
            self._begin(link, replies, seat, message)

    async def take(self, link: Link, audience: Audience, message: ClientMessage) -> bool:
        """Obey one message; True ends the connection."""
        match message:
            case Ping():
                link.reply(Pong(PongData(message.d.at, await self._views.now_ms())))
                return False
            case Resync():
                audience.resync(link)
                await audience.catch_up(link, None)
                return False
            case Hello():
                return False
        seat = link.who.seat
        assert seat is not None, "a player has a seat"
        replies = link.replies
        if not self._begin(link, replies, seat, message) or isinstance(message, Act):
            return False
        try:
            await self._command(link, message)
        except LobbyError as error:
            replies.finish(message.id, link.refuse(message.id, error))
            return False
        replies.finish(message.id, link.reply(Ack(message.id)))
        if isinstance(message, Leave):
            link.close(CloseCode.LEFT, "left")
            await link.closed()
            return True
        return False

    def _begin(
        self, link: Link, replies: Replies, seat: int, message: Act | Chat | Ready | Choose | Leave
    ) -> bool:
        """Whether a command is still to be obeyed: it is new, and no input, which is admitted here at once."""
        try:
            known = replies.begin(message.id)
        except ClientError as error:
            link.refuse(message.id, error)
            return False
        if known is not True:
            if isinstance(known, bytes):
                link.write(known)
            elif isinstance(message, Act) and message.ack:
                self._act(
                    link, replies, seat, message
                )  # under way, for a connection that may be gone: tell this one
            return False
        if isinstance(message, Act):
            self._act(link, replies, seat, message)
            return False
        return True

    async def _command(self, link: Link, message: Chat | Ready | Choose | Leave) -> None:
        session, player = link.who.session, link.who.player
        match message:
            case Chat():
                await self._seating.chat(player, session, message.id, message.d.text)
            case Ready():
                await self._seating.set_ready(player, session, message.d.ready)
            case Choose():
                if message.d.body not in self._holder.bodies():
                    raise Conflict(f"there is no body {message.d.body!r}", code="unknown_body", field="body")
                await self._seating.choose_body(player, session, message.d.body)
            case Leave():
                await self._seating.leave(player, session)

    def _act(self, link: Link, replies: Replies, seat: int, message: Act) -> None:
        """Admit an input; its acknowledgement follows when it is journaled, while the connection reads on."""
        session = link.who.session
        # Where it runs is asked of the store, if it must be: it may be on its way here, or to another server.
        run = self._holder.runs.get(session) or self._relays.remote(self._audiences.get(session, link.who.v))
        answer = partial(self._answer, link, replies, message)
        try:
            run.accept_input(seat, message.id, message.d.kind, message.d.d, time.monotonic(), answer)
        except LobbyError as error:
            answer(error)

    def _answer(self, link: Link, replies: Replies, message: Act, told: int | LobbyError | None) -> None:
        if told is None:  # the session went elsewhere: the client sends it again, there or here
            replies.lose(message.id)
        elif isinstance(told, LobbyError):
            replies.finish(message.id, link.refuse(message.id, told))
        elif message.ack:
            replies.finish(message.id, link.reply(Ack(message.id, AckData(told))))
