"""One client connection, sans-I/O: what it may send, in which order and how fast.

    AWAITING_HELLO -- hello --> LIVE -- close --> CLOSED

The time is an argument; the gateway owns the socket. An illegal message changes nothing but the count of strikes.
"""

from __future__ import annotations

from enum import Enum

from tussle.lobby.errors import Conflict, ProtocolError, RateLimited
from tussle.lobby.settings import Settings
from tussle.lobby.wire.messages import ClientMessage, Hello, decode_client
from tussle.server.limits import TokenBucket

__all__ = ["Connection", "Phase", "Replies"]

MAX_STRIKES = 10
"""Unreadable messages after which a connection is closed with 4004; a valid client sends none."""

REMEMBERED = 64
"""Replies kept per seat, for commands that come again."""


class Phase(Enum):
    AWAITING_HELLO = "awaiting_hello"
    LIVE = "live"
    CLOSED = "closed"


class Connection:
    """The rules of one connection. ``receive`` is called for every message, in order."""

    __slots__ = ("_bucket", "_greeted", "_mean", "phase", "strikes")

    def __init__(self, settings: Settings) -> None:
        self.phase = Phase.AWAITING_HELLO
        self.strikes = 0
        self._greeted = False
        self._bucket = TokenBucket(settings.message_rate, settings.message_burst)
        # A long message counts as several: one bucket limits messages and bytes.
        self._mean = (settings.message_bytes_rate or 4096 * settings.message_rate) / settings.message_rate

    def receive(self, data: str | bytes, now: float) -> ClientMessage:
        """The message in ``data``.

        Raises RateLimited (close with its code), or ProtocolError: while ``fatal`` is False afterwards, answer with
        an error and go on.
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
        if greets:
            self._greeted, self.phase = True, Phase.LIVE
        return message

    @property
    def fatal(self) -> bool:
        """Whether the next thing to do is to close with BAD_MESSAGE."""
        return self.phase is Phase.AWAITING_HELLO or self.strikes >= MAX_STRIKES

    def close(self) -> None:
        self.phase = Phase.CLOSED


class Replies:
    """The replies of one seat by command id, so that a repeated command gets its reply and no second effect.

    It outlives connections: a client that never saw its acknowledgement sends the command again after it is back.
    """

    __slots__ = ("_lost", "_replies", "last_id")

    def __init__(self, last_id: int = 0) -> None:
        self.last_id = last_id
        self._lost: set[int] = set()
        self._replies: dict[int, bytes | None] = {}

    def begin(self, command: int) -> bytes | bool | None:
        """True: new, go on. Bytes: the reply, send it again. None: still under way, its reply will come.

        Raises Conflict(code="stale_id") for an id that is too old to be remembered.
        """
        if command > self.last_id:
            self.last_id = command
        elif command in self._replies:
            return self._replies[command]
        elif command in self._lost:
            self._lost.discard(command)
        else:
            raise Conflict(f"command {command} is not newer than {self.last_id}", code="stale_id", field="id")
        self._replies[command] = None
        if len(self._replies) > REMEMBERED:
            del self._replies[next(iter(self._replies))]
        return True

    def lose(self, command: int) -> None:
        """It had no effect and gets no reply: when it comes again it is new."""
        self._replies.pop(command, None)
        self._lost.add(command)

    def finish(self, command: int, reply: bytes) -> None:
        if command in self._replies:
            self._replies[command] = reply
