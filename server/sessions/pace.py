"""When the sessions of a server step. Tick alignment: sessions step at common times, so that one wake-up serves many.

    boundaries every 1/240 s:  |  a d  |   b   |  c e  |       |  a d  |   b   | ...      (60 steps a second)

Most of the cost of a small frame is waking up this process, the network and the peers (bench/load/peers.md). A period
therefore begins at a boundary. The alignment moves it once, by less than 1/240 s, and delays no input. Sans-I/O: the
time is an argument.
"""

from __future__ import annotations

import math

__all__ = ["ALIGNMENT_S", "Pace"]

ALIGNMENT_S = 1 / 240
"""Time between two boundaries [s]. It divides the periods of 30, 60 and 120 frames a second."""


class Pace:
    """The due times of one session, ``period`` seconds apart; with period 0 a step is always due. Monotonic
    times [s]."""

    __slots__ = ("_due", "_late", "dilation", "period")

    def __init__(self, period: float, now: float) -> None:
        self.period = period
        self.dilation = 1.0
        """Wall time per simulated time of the newest step; 1 is real time."""
        self.restart(now)

    def restart(self, now: float) -> None:
        """The first step is taken now."""
        self._due = _aligned(now)
        self._late = 0.0

    def stepped(self, now: float) -> float:
        """Record a step; return the time until the next one is due. A late step makes simulated time pass more slowly:
        no step is skipped, and a delay of more than one boundary is not caught up."""
        self._due += self.period
        if self._due > now or not self.period:
            self.dilation, self._late = 1.0, 0.0
            return max(0.0, self._due - now)
        self.dilation = (self.period + now - self._due - self._late) / self.period
        self._due = max(self._due, _aligned(now))
        self._late = now - self._due
        return 0.0


def _aligned(at: float) -> float:
    """The newest boundary that is not after ``at``."""
    return math.floor(at / ALIGNMENT_S) * ALIGNMENT_S
