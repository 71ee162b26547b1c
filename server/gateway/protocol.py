"""The rules of one client connection, sans-I/O: what the client may send, in which order and how fast.

    AWAITING_HELLO -- hello --> LIVE -- close --> CLOSED

This module must never use a socket or read a clock. The gateway owns the socket and passes the time. A refused message
changes only the count of strikes and the rate limit.
"""

from __future__ import annotations

from enum import Enum

from tussle.lobby.errors import ProtocolError, RateLimited
from tussle.lobby.settings import Settings
from tussle.lobby.wire.messages import ClientMessage, Hello, Resync, decode_client
from tussle.server.costs import RESYNC_COST, message_bucket
from tussle.server.limits import TokenBucket

__all__ = ["Connection", "Phase"]

MAX_STRIKES = 10
"""Refused messages after which the gateway closes a connection with 4004. A correct client sends none."""


class Phase(Enum):
    AWAITING_HELLO = "awaiting_hello"
    LIVE = "live"
    CLOSED = "closed"


class Connection:
    """The state of one connection. The caller passes every message to ``receive``, in order."""

    __slots__ = ("_bucket", "_greeted", "_mean", "phase", "strikes")

    def __init__(self, settings: Settings) -> None:
        self.phase = Phase.AWAITING_HELLO
        self.strikes = 0
        self._greeted = False
        self._bucket, self._mean = message_bucket(settings)

    def share_budget(self, bucket: TokenBucket) -> None:
        """Charge messages to ``bucket`` from now on: the seat's, which all its connections share."""
        self._bucket = bucket

    def receive(self, data: str | bytes, now: float) -> ClientMessage:
        """Decode ``data``, which arrived at ``now`` [s], and return its message.

        Raises RateLimited if the client sends too much: close the connection with the error's code. Raises
        ProtocolError if the message is unreadable or out of order: close the connection if ``fatal`` is then True,
        otherwise reply with the error and continue.
        """
        size = len(data)
        if not self._bucket.take(now, size / self._mean if size > self._mean else 1.0):
            raise RateLimited("too many messages, or too long ones")
        try:
            if isinstance(data, bytes):
                raise ProtocolError("clients send text", code="binary_message")
            message = decode_client(data)
            greets = type(message) is Hello
            if greets is self._greeted:
                raise ProtocolError(
                    "hello comes first, and once", code="hello_again" if greets else "hello_expected"
                )
        except ProtocolError:
            self.strikes += 1
            raise
        if type(message) is Resync and not self._bucket.take(now, RESYNC_COST - 1.0):
            raise RateLimited("too many calls of resync")
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
