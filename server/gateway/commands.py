"""The messages of a client: decoded, executed once each, answered.

    bytes -> read -> ping, resync -----------------> answered at once
                  -> offer, candidate, hangup ----> channels.py
                  -> act ----------> Run.accept_input -> acknowledged when journaled, if requested
                  -> chat, ready, choose, leave ---> lobby scripts -> acknowledged
                  -> lock, unlock, edit, undo, redo, skip -> editing.py -> acknowledged

A command has an id. A repeated command gets its reply again and has no second effect (``Replies``). This module turns
errors into replies; no other module may.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from tussle.lobby.errors import (
    ClientError,
    CloseCode,
    Conflict,
    LobbyError,
    ProtocolError,
    RateLimited,
    StoreError,
)
from tussle.lobby.roles import Operation, Role, may
from tussle.lobby.seating import Seating
from tussle.lobby.text import check_text
from tussle.lobby.views import Views
from tussle.lobby.wire.client_messages import (
    Act,
    Chat,
    Choose,
    ClientMessage,
    EditScene,
    Hello,
    Leave,
    Lock,
    Ping,
    Ready,
    Redo,
    Resync,
    SceneCommand,
    Skip,
    Undo,
    Unlock,
)
from tussle.lobby.wire.messages import Ack, AckData, Pong, PongData
from tussle.lobby.wire.signalling import Candidate, Hangup, Offer, Seen
from tussle.server.costs import STORE_COSTS, Ledger, Owner, Resource
from tussle.server.fanout.audience import Audience
from tussle.server.fanout.audiences import Audiences
from tussle.server.gateway.channels import Channels
from tussle.server.gateway.editing import Editing
from tussle.server.gateway.relay_client import Relays
from tussle.server.gateway.replies import Replies
from tussle.server.gateway.sender import Sender
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.sessions.core import Superseded
from tussle.server.sessions.holder import Holder

__all__ = ["OPERATIONS", "Commands"]

OPERATIONS: dict[type[ClientMessage], Operation] = {
    Hello: Operation.WATCH,
    Ping: Operation.WATCH,
    Resync: Operation.WATCH,
    Offer: Operation.WATCH,
    Candidate: Operation.WATCH,
    Hangup: Operation.WATCH,
    Seen: Operation.WATCH,
    Act: Operation.ACT,
    Chat: Operation.CHAT,
    Ready: Operation.READY,
    Choose: Operation.CHOOSE,
    Leave: Operation.LEAVE,
    Lock: Operation.EDIT,
    Unlock: Operation.EDIT,
    EditScene: Operation.EDIT,
    Undo: Operation.EDIT,
    Redo: Operation.EDIT,
    Skip: Operation.EDIT,
}
"""The right that each message needs. The gateway asks for Hello's before it welcomes, ``read`` for the others'."""

WITHOUT_ID = (Hello, Ping, Resync, Offer, Candidate, Hangup, Seen)
"""The messages that are no commands: they have no id, and their effect is not remembered."""

CLOCK_S = 10.0
"""How long the store's clock is known from one reading [s]."""

CLOCK_WAIT_S = 0.25
"""How long a ping waits for that reading [s]."""


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
        ledger: Ledger,
        editing: Editing,
        channels: Channels,
    ) -> None:
        self._seating = seating
        self._views = views
        self._holder = holder
        self._telemetry = telemetry
        self._audiences = audiences
        self._relays = relays
        self._ledger = ledger
        self._editing = editing
        self._channels = channels
        self._store_ahead_ms: float | None = None
        """The store's clock minus the one of this process [ms]; None before it was read."""
        self._clock_until = float("-inf")

    def read(self, sender: Sender, data: str | bytes) -> ClientMessage | None:
        """The next message; None if it is refused: the sender has its error, or the connection is closing."""
        message = sender.receive(sender.core, data)
        if message is None:
            return None
        if not may(Role(sender.who.role), OPERATIONS[type(message)]):
            command = None if isinstance(message, WITHOUT_ID) else message.id
            sender.refuse(command, Conflict("observers only watch", code="observer"))
            return None
        self._telemetry.messages.inc(1.0, "act" if type(message) is Act else type(message).__name__.lower())
        return message

    def handle_input(self, sender: Sender, replies: Replies, seat: int, text: str) -> None:
        """Handle an input that the socket passed directly (server/gateway/socket.py), as ``handle`` would. Its sender
        is a player."""
        now = time.monotonic()
        try:
            message = sender.core.receive(text, now)
        except (RateLimited, ProtocolError) as error:
            sender.reject(sender.core, error)
            return
        if type(message) is not Act:  # a text that begins like one
            return
        self._telemetry.messages.inc(1.0, "act")
        if message.id > replies.last_id:
            replies.add(message.id)
            self._submit_input(sender, replies, seat, message, now)
        else:
            self._register(sender, replies, seat, message)

    async def handle(self, sender: Sender, audience: Audience, message: ClientMessage) -> bool:
        """Execute one message. Returns True if the connection has ended."""
        match message:
            case Ping():
                await self._answer_ping(sender, message)
                return False
            case Resync():
                audience.resync(sender)
                await audience.catch_up(sender, None)
                return False
            case Offer() | Candidate() | Hangup():
                self._channels.handle(sender, audience, message)
                return False
            case Seen():
                if audience.channels is not None:
                    audience.channels.seen(sender, message.d.number)
                return False
            case Hello():
                return False
        seat = sender.who.seat
        assert seat is not None, "a player has a seat"
        replies = sender.replies
        if not self._register(sender, replies, seat, message) or isinstance(message, Act):
            return False
        try:
            done = await self._execute(sender, message)
        except LobbyError as error:
            replies.finish(message.id, sender.refuse(message.id, error))
            return False
        replies.finish(message.id, sender.reply(Ack(message.id, done)))
        if isinstance(message, Leave):
            sender.close(CloseCode.LEFT, "left")
            await sender.closed()
            return True
        return False

    async def _answer_ping(self, sender: Sender, ping: Ping) -> None:
        """Answer with the store's clock as it goes on since it was last read, also while the store is away or does not
        answer: a pong says that this server is there."""
        if time.monotonic() >= self._clock_until:
            try:
                async with asyncio.timeout(CLOCK_WAIT_S):
                    now_ms = await self._views.now_ms()
                self._store_ahead_ms = now_ms - time.monotonic() * 1000
            except (StoreError, TimeoutError):
                if self._store_ahead_ms is None:
                    return
            self._clock_until = time.monotonic() + CLOCK_S
        assert self._store_ahead_ms is not None, "it has been read once"
        now_ms = round(time.monotonic() * 1000 + self._store_ahead_ms)
        sender.reply(Pong(PongData(ping.d.at, now_ms)))

    def _register(
        self,
        sender: Sender,
        replies: Replies,
        seat: int,
        message: Act | Chat | Ready | Choose | Leave | SceneCommand,
    ) -> bool:
        """Register a command by its id. Returns True if it is new and not an input; an input is submitted at once."""
        try:
            known = replies.begin(message.id)
        except ClientError as error:
            sender.refuse(message.id, error)
            return False
        if known is not True:
            if isinstance(known, bytes):
                sender.write(known)
            elif isinstance(message, Act) and message.ack:
                # Under way for a connection that may have closed: this one gets the reply.
                self._submit_input(sender, replies, seat, message)
            return False
        if isinstance(message, Act):
            self._submit_input(sender, replies, seat, message)
            return False
        return (
            True  # perhaps again: the store knows the ids of chats and edits, and the others may be repeated
        )

    async def _execute(
        self, sender: Sender, message: Chat | Ready | Choose | Leave | SceneCommand
    ) -> AckData:
        """Execute a command that is not an input, and return what acknowledges it."""
        session, player = sender.who.session, sender.who.player
        if isinstance(message, SceneCommand):
            return await self._editing.execute(sender.who, sender.socket.address or "", message)
        stored = STORE_COSTS.get(OPERATIONS[type(message)], 0.0)
        if isinstance(message, Chat):
            stored += len(message.d.text.encode())
            check_text(message.d.text, field="text")
            self._ledger.charge(Resource.CHATS, Owner.SEAT, f"{session} {player}", time.monotonic())
        self._ledger.charge_store(
            time.monotonic(), stored, address=sender.socket.address or "", player=player, session=session
        )
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
        return AckData()

    def _submit_input(
        self, sender: Sender, replies: Replies, seat: int, message: Act, at: float | None = None
    ) -> None:
        """Submit an input, which arrived at ``at`` (now), to the session, local or remote. The reply follows when it is
        journaled."""
        session = sender.who.session
        # Without a local run the relay finds the holder. This server may soon be the holder itself.
        run = self._relays.find_run(session) or self._relays.remote(
            self._audiences.get(session, sender.who.v)
        )
        answer = partial(self._reply_to_input, sender, replies, message)
        command, data = message.id, message.d
        at = time.monotonic() if at is None else at
        try:
            run.accept_input(seat, command, data.kind, data.d, at, answer, command <= replies.before)
        except LobbyError as error:
            answer(error)

    def _reply_to_input(
        self, sender: Sender, replies: Replies, message: Act, result: int | Superseded | LobbyError | None
    ) -> None:
        if type(result) is int and not message.ack:
            return
        if result is None:  # the session was handed over: the client sends the input again
            replies.lose(message.id)
        elif isinstance(result, LobbyError):
            replies.finish(message.id, sender.refuse(message.id, result))
        elif not message.ack:
            return
        elif isinstance(result, Superseded):
            replies.finish(message.id, sender.reply(Ack(message.id, AckData(result.tick, superseded=True))))
        else:
            replies.finish(message.id, sender.reply(Ack(message.id, AckData(result))))
