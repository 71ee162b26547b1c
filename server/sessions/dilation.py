"""Decides when the members of a session are notified of its dilation.

    step, step, ... -> average over AVERAGE_S -> announce: SLOW is reached | changed by CHANGE | real time again

Dilation is wall time per simulated time. A session dilates when its ticks need more CPU time than it gets; no tick is
skipped. Sans-I/O: this module must never read a clock.
"""

from __future__ import annotations

import math

__all__ = ["DilationWatch"]

AVERAGE_S = 2.0
"""Time constant of the average [s of wall time]."""

SLOW, REAL_TIME = 1.25, 1.1
"""A session is slow from the first average on, and in real time again below the second."""

CHANGE = 1.5
"""Factor by which the average changes before it is announced again."""

QUIET_S = 3.0
"""Time between two announcements [s of wall time]."""


class DilationWatch:
    """The dilation of one session. ``announced``: the newest announcement; 1 is real time."""

    __slots__ = ("_quiet_s", "_simulated_s", "_wall_s", "announced")

    def __init__(self) -> None:
        self.announced = 1.0
        self._quiet_s = 0.0
        self._simulated_s = AVERAGE_S
        self._wall_s = AVERAGE_S

    @property
    def average(self) -> float:
        """The dilation of the last seconds. It begins at 1."""
        return self._wall_s / self._simulated_s

    def step(self, dilation: float, period_s: float) -> float | None:
        """Record a step of ``period_s`` simulated seconds. Returns the dilation to announce, or None."""
        wall_s = period_s * dilation
        kept = math.exp(-wall_s / AVERAGE_S)
        self._wall_s = self._wall_s * kept + wall_s
        self._simulated_s = self._simulated_s * kept + period_s
        self._quiet_s += wall_s
        average = self.average
        if self._quiet_s < QUIET_S:
            return None
        if self.announced > 1.0:
            if average >= REAL_TIME and self.announced / CHANGE < average < self.announced * CHANGE:
                return None
        elif average < SLOW:
            return None
        self._quiet_s = 0.0
        self.announced = round(average, 2) if average >= REAL_TIME else 1.0
        return self.announced
