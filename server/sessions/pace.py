"""When the sessions of a server step: each in its own period, and many of them together.

    lanes of 1/240 s:  |  a d  |   b   |  c e  |       |  a d  |   b   | ...      (60 steps a second: four lanes)

Most of what a small frame costs is not the frame but the waking for it: of this process, of the network, of those at
the other ends (bench/load/peers.md). So a period begins where a lane does, which moves it once by less than a
lane and costs no input any time. Sans-I/O: the time is an argument.
"""

from __future__ import annotations

import math

__all__ = ["ALIGNMENT_S", "Pace"]

ALIGNMENT_S = 1 / 240
"""Divides the periods of 30, 60 and 120 frames a second. Seconds of the monotonic clock."""


class Pace:
    """The due times of one session, ``period`` seconds apart; 0: as fast as it can. All times in seconds."""

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
        """A step has been taken; the time until the next is due. One that is late makes simulated time pass more
        slowly: nothing is skipped, and nothing hurried that is later than a lane."""
        self._due += self.period
        if self._due > now or not self.period:
            self.dilation, self._late = 1.0, 0.0
            return max(0.0, self._due - now)
        self.dilation = (self.period + now - self._due - self._late) / self.period
        self._due = max(self._due, _aligned(now))
        self._late = now - self._due
        return 0.0


def _aligned(at: float) -> float:
    """The newest beginning of a lane that is not after ``at``."""
    return math.floor(at / ALIGNMENT_S) * ALIGNMENT_S
