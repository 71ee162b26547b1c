"""A bad network between one WebSocket and its client: both directions pass through a line of lobby/network.py.

    server -> SlowTransport -> NetworkLine "to client"   -> the real transport
    client -> Socket        -> NetworkLine "from client" -> the handling of received bytes

What waits for the rate of the line, or for the end of a stall, counts as unsent, as in the buffer of a real slow
connection: frames are left out, and a client is closed with 4014, by the same rules. What is on its way is bounded by
MOST_BYTES: above it the server writes no frames and reads nothing more. This module must never lose or reorder a byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from tussle.lobby.network import NetworkLine

__all__ = ["MOST_BYTES", "Delay", "SlowTransport"]

MOST_BYTES = 262_144
"""Bytes in transit in one direction. Above this number only messages that must be sent are added."""


class Delay:
    """One direction: calls in order, each when its bytes arrive. ``call_at``: as of an event loop."""

    def __init__(self, line: NetworkLine, now: Callable[[], float], call_at: Callable[..., Any]) -> None:
        self._line = line
        self._now = now
        self._call_at = call_at
        self._waiting: deque[tuple[float, float, int, Callable[[], object]]] = deque()
        self._timer: Any = None
        self.size = 0
        self.ended = False

    def add(self, size: int, arrive: Callable[[], object]) -> None:
        """Call ``arrive`` when ``size`` bytes that are sent now have arrived."""
        now = self._now()
        due = self._line.send(now, size)
        assert due is not None, "a reliable line loses nothing"
        self._waiting.append((due, self._line.sent_at, size, arrive))
        self.size += size
        if self._timer is None:
            self._timer = self._call_at(due, self._arrive)

    def unsent(self) -> int:
        """Bytes that have not left the sender: they wait for the rate of the line, or for the end of a stall."""
        now, rate, unsent = self._now(), self._line.network.rate, 0
        for _, sent_at, size, _ in reversed(self._waiting):
            if sent_at <= now:
                break
            unsent += min(size, round((sent_at - now) * rate)) if rate else size
        return unsent

    def call_when_sent(self, then: Callable[[], None]) -> None:
        """Call ``then`` when everything that was added so far has left the sender. Never, if it has, or at the end."""
        if self._line.sent_at > self._now():
            self._call_at(self._line.sent_at, lambda: None if self.ended else then())

    def _arrive(self) -> None:
        self._timer = None
        now = self._now()
        while self._waiting and self._waiting[0][0] <= now and not self.ended:
            _, _, size, arrive = self._waiting.popleft()
            self.size -= size
            arrive()
        if self._waiting and not self.ended and self._timer is None:
            self._timer = self._call_at(self._waiting[0][0], self._arrive)

    def end(self) -> None:
        """Drop everything that is on its way."""
        self.ended = True
        self._waiting.clear()
        self.size = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class SlowTransport:
    """The transport of a connection behind a line to its client. Everything else is the real transport's."""

    def __init__(
        self,
        transport: Any,
        delay: Delay,
        *,
        low: int,
        high: int,
        pause: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        """pause, resume: called when more than ``high`` bytes are unsent, and when at most ``low`` are."""
        self._transport = transport
        self._delay = delay
        self._low, self._high = low, high
        self._pause, self._resume = pause, resume
        self._full = False
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send bytes over the line."""
        if self._closing or self._delay.ended:
            return
        data = bytes(data)
        self._delay.add(len(data), lambda: self._deliver(data))
        self._look()

    def _deliver(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)
        self._look()

    def _look(self) -> None:
        unsent = self.get_write_buffer_size()
        if not self._full and unsent > self._high:
            self._full = True
            self._pause()
            self._delay.call_when_sent(self._look_again)
        elif self._full and unsent <= self._low:
            self._full = False
            self._resume()

    def _look_again(self) -> None:
        self._look()
        if self._full:
            self._delay.call_when_sent(self._look_again)

    def get_write_buffer_size(self) -> int:
        """Unsent bytes, here and in the real transport. All that is on its way, when it is more than MOST_BYTES."""
        unsent = self._delay.unsent() if self._delay.size <= MOST_BYTES else self._delay.size
        size: int = self._transport.get_write_buffer_size()
        return unsent + size

    def is_closing(self) -> bool:
        return self._closing or bool(self._transport.is_closing())

    def write_eof(self) -> None:
        """End the stream behind everything that is on its way."""
        self._delay.add(0, self._transport.write_eof)

    def close(self) -> None:
        """Close behind everything that is on its way."""
        if not self._closing:
            self._closing = True
            self._delay.add(0, self._transport.close)

    def abort(self) -> None:
        self._closing = True
        self._delay.end()
        self._transport.abort()
