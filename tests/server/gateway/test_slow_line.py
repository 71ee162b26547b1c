"""A bad network in a connection, on a fake clock: order, what counts as unsent, bounds, and the end."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from tussle.lobby.network import Network, NetworkLine
from tussle.server.gateway.slow_line import MOST_BYTES, Delay, SlowTransport


class Timer:
    """A call that can be cancelled."""

    def __init__(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.call, self.arguments, self.cancelled = call, arguments, False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """A clock that only ``run`` moves, with the timers of an event loop."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[..., Any], *arguments: Any) -> Timer:
        self._count += 1
        timer = Timer(call, arguments)
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def run(self, until: float) -> None:
        while self._timers and self._timers[0][0] <= until:
            when, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, when)
            if not timer.cancelled:
                timer.call(*timer.arguments)
        self.now = until

    @property
    def living(self) -> int:
        return sum(not timer.cancelled for _, _, timer in self._timers)


class Wire:
    """The real transport: what was written, and when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.written: list[tuple[float, bytes]] = []
        self.closed_at: float | None = None
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written.append((self.clock.now, data))

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed_at is not None

    def close(self) -> None:
        self.closed_at = self.clock.now

    def abort(self) -> None:
        self.aborted = True

    def extra(self) -> str:
        return "of the real one"


def behind(network: Network) -> tuple[Clock, Wire, SlowTransport, list[str]]:
    """A transport behind a line, and the pauses that it reports."""
    clock = Clock()
    wire, said = Wire(clock), list[str]()
    delay = Delay(NetworkLine(network, "to"), clock.time, clock.call_at)
    slow = SlowTransport(
        wire,
        delay,
        low=500,
        high=2000,
        pause=lambda: said.append("pause"),
        resume=lambda: said.append("resume"),
    )
    return clock, wire, slow, said


def test_bytes_arrive_late_complete_and_in_order() -> None:
    """With jitter and loss each write arrives at least half of the latency later, in the order of writing."""
    clock, wire, slow, _ = behind(Network(0.2, 0.1, 0.2, 0.2))
    for n in range(200):
        slow.write(b"%d" % n)
        clock.run(clock.now + 0.01)
    clock.run(60.0)
    assert [data for _, data in wire.written] == [b"%d" % n for n in range(200)]
    assert all(at >= n / 100 + 0.05 for n, (at, _) in enumerate(wire.written))
    assert clock.living == 0
    assert slow.extra() == "of the real one"


def test_bytes_on_their_way_are_not_unsent() -> None:
    """Latency alone never makes a reader slow, as it does not with a real network."""
    clock, _, slow, said = behind(Network(0.5))
    for _ in range(50):
        slow.write(bytes(1000))
        clock.run(clock.now + 0.001)
    assert slow.get_write_buffer_size() == 0
    assert said == []


def test_what_waits_for_the_rate_is_unsent() -> None:
    """Above the high mark the connection is paused, and it resumes when the line has sent enough, before all that
    arrived."""
    clock, wire, slow, said = behind(Network(1.0, rate=1000))
    for _ in range(4):
        slow.write(bytes(1000))
    assert slow.get_write_buffer_size() == 4000
    assert said == ["pause"]
    clock.run(4.0)
    assert said == ["pause", "resume"]
    assert len(wire.written) < 4
    clock.run(9.0)
    assert [at for at, _ in wire.written] == [1.5, 2.5, 3.5, 4.5]


def test_a_long_message_leaves_the_sender_bit_by_bit() -> None:
    """So that the gateway sees a line that takes bytes, although none of the message has arrived."""
    clock, wire, slow, _ = behind(Network(rate=8000))
    slow.write(bytes(16_000))
    slow.write(bytes(4_000))
    assert slow.get_write_buffer_size() == 20_000
    clock.run(1.0)
    assert slow.get_write_buffer_size() == 12_000
    assert wire.written == []
    clock.run(2.25)
    assert slow.get_write_buffer_size() == 2_000
    assert len(wire.written) == 1


def test_what_is_on_its_way_is_bounded() -> None:
    """More than MOST_BYTES on their way count as unsent: the gateway's limits then hold as for any slow reader."""
    _, _, slow, said = behind(Network(4.0))
    for _ in range(MOST_BYTES // 1000 + 1):
        slow.write(bytes(1000))
    assert slow.get_write_buffer_size() > MOST_BYTES
    assert said == ["pause"]


def test_a_close_comes_behind_all_bytes_and_an_abort_at_once() -> None:
    """After a close nothing is written; an abort drops what is on its way and leaves no timer."""
    clock, wire, slow, _ = behind(Network(0.2))
    slow.write(b"last")
    slow.close()
    slow.write(b"late")
    assert slow.is_closing()
    clock.run(1.0)
    assert [data for _, data in wire.written] == [b"last"]
    assert wire.closed_at == 0.1
    clock, wire, slow, _ = behind(Network(0.2))
    slow.write(b"lost")
    slow.abort()
    assert wire.aborted
    assert clock.living == 0
    clock.run(1.0)
    assert wire.written == []
