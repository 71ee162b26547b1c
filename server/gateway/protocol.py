"""The rules of one client connection, sans-I/O: what the client may send, in which order and how fast.

    AWAITING_HELLO -- hello --> LIVE -- close --> CLOSED

This module must never use a socket or read a clock. The gateway owns the socket and passes the time. A refused message
changes only the count of strikes and the rate limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from tussle.lobby.errors import ProtocolError, RateLimited
from tussle.lobby.settings import Settings
from tussle.lobby.wire.client_messages import (
    Choose,
    ClientMessage,
    EditScene,
    Hello,
    Ready,
    Redo,
    Resync,
    Undo,
    decode_client,
)
from tussle.lobby.wire.replay import (
    AddBookmark,
    Present,
    Release,
    RemoveBookmark,
    RemoveView,
    ReplayHello,
    ReplayMessage,
    SetView,
    decode_replay,
)
from tussle.lobby.wire.signalling import Offer
from tussle.server.costs import (
    EDIT_COST,
    LOBBY_COST,
    MARK_COST,
    OFFER_COST,
    PRESENT_COST,
    RESYNC_COST,
    message_bucket,
)
from tussle.server.limits import TokenBucket

__all__ = ["REPLAY_RULES", "SESSION_RULES", "Connection", "Phase", "Rules"]

Message = TypeVar("Message")

MAX_STRIKES = 10
"""Refused messages after which the gateway closes a connection with 4004. A correct client sends none."""


class Phase(Enum):
    """How far a connection is: before its hello, in use, or closed."""

    AWAITING_HELLO = "awaiting_hello"
    LIVE = "live"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Rules(Generic[Message]):
    """The messages of one kind of socket: their decoder, the one that comes first, and the prices of those that cost
    more than one message."""

    decode: Callable[[str | bytes], Message]
    hello: type
    prices: Mapping[type, float]


SESSION_RULES: Rules[ClientMessage] = Rules(
    decode_client,
    Hello,
    {
        Resync: RESYNC_COST,
        EditScene: EDIT_COST,
        Undo: EDIT_COST,
        Redo: EDIT_COST,
        Offer: OFFER_COST,
        Choose: LOBBY_COST,
        Ready: LOBBY_COST,
    },
)

REPLAY_RULES: Rules[ReplayMessage] = Rules(
    decode_replay,
    ReplayHello,
    {
        Present: PRESENT_COST,
        Release: PRESENT_COST,
        AddBookmark: MARK_COST,
        RemoveBookmark: MARK_COST,
        SetView: MARK_COST,
        RemoveView: MARK_COST,
    },
)


class Connection(Generic[Message]):
    """The state of one connection. The caller passes every message to ``receive``, in order."""

    __slots__ = ("_bucket", "_decode", "_greeted", "_hello", "_mean", "_prices", "phase", "strikes")

    def __init__(self, settings: Settings, rules: Rules[Message]) -> None:
        self._decode: Callable[[str | bytes], Message] = rules.decode
        self._hello: type = rules.hello
        self._prices: Mapping[Any, float] = rules.prices
        self.phase = Phase.AWAITING_HELLO
        self.strikes = 0
        self._greeted = False
        self._bucket, self._mean = message_bucket(settings)

    def share_budget(self, bucket: TokenBucket) -> None:
        """Charge messages to ``bucket`` from now on: the seat's, which all its connections share."""
        self._bucket = bucket

    def receive(self, data: str | bytes, now: float) -> Message:
        """Decode ``data``, which arrived at ``now`` [s], and return its message.

        Raises RateLimited if the client sends too much: close the connection with the error's code. Raises
        ProtocolError if the message is unreadable or out of order: close the connection if ``fatal`` is then True,
        otherwise reply with the error and continue. An error that names its command is the answer to it and no strike.
        """
        size = len(data)
        if not self._bucket.take(now, size / self._mean if size > self._mean else 1.0):
            raise RateLimited("too many messages, or too long ones")
        try:
            if isinstance(data, bytes):
                raise ProtocolError("clients send text", code="binary_message")
            message = self._decode(data)
            greets = type(message) is self._hello
            if greets is self._greeted:
                raise ProtocolError(
                    "hello comes first, and once", code="hello_again" if greets else "hello_expected"
                )
        except ProtocolError as error:
            if error.command is None or not self._greeted:
                self.strikes += 1
            raise
        price = self._prices.get(type(message))
        if price is not None and not self._bucket.take(now, price - 1.0):
            raise RateLimited("too many costly messages")
        if greets:
            self._greeted, self.phase = True, Phase.LIVE
        return message

    @property
    def fatal(self) -> bool:
        """Whether the connection must be closed with BAD_MESSAGE after a ProtocolError."""
        return self.phase is Phase.AWAITING_HELLO or self.strikes >= MAX_STRIKES

    def close(self) -> None:
        """Record that the connection is closed."""
        self.phase = Phase.CLOSED
