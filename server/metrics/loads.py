"""How much each session of a server costs and how slow it is: means over about the last five seconds.

Readings.record (server/metrics/readings.py) adds every advance. This module must never read a clock: the time is an
argument.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["SessionLoad", "SessionLoads"]

MEMORY_S = 5.0
"""Time in which an old tick loses two thirds of its weight [s]."""

FORGET_S = 60.0
"""Time after which a session without a tick is forgotten [s]."""

LONGEST_STEP_S = 10.0
"""A longer time between two advances is a pause, not a slow step [s]."""


@dataclass(frozen=True, slots=True)
class SessionLoad:
    """tick_rate: ticks per second of real time. solver_ms: solver time per tick. share: solver seconds per second, of
    one core. dilation: real time per simulated time while the world moves; 1 is real time at SIM_SPEED 1."""

    tick_rate: float
    solver_ms: float
    share: float
    dilation: float


@dataclass(slots=True)
class _Sums:
    """Decayed sums of one session, as of ``at``."""

    began: float
    at: float
    ticks: float = 0.0
    seconds: float = 0.0
    wall: float = 0.0
    simulated: float = 0.0
    moving: bool = False

    def decay(self, now: float) -> None:
        keep = math.exp(-max(0.0, now - self.at) / MEMORY_S)
        self.ticks, self.seconds = self.ticks * keep, self.seconds * keep
        self.wall, self.simulated = self.wall * keep, self.simulated * keep
        self.at = now

    def load(self, now: float) -> SessionLoad:
        since = max(0.0, now - self.at)
        fading = math.exp(-since / MEMORY_S)
        window = MEMORY_S * (1 - math.exp(-max(now - self.began, 0.1) / MEMORY_S))
        return SessionLoad(
            tick_rate=self.ticks * fading / window,
            solver_ms=1000 * self.seconds / self.ticks if self.ticks else 0.0,
            share=self.seconds * fading / window,
            dilation=self.wall / self.simulated if self.simulated else 1.0,
        )


class SessionLoads:
    """The loads of all sessions of one server."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}

    def record(
        self, session: str, *, ticks: int, seconds: float, simulated_s: float, moving: bool, now: float
    ) -> None:
        """Add one advance. seconds: its solver time. moving: whether the world still moves after it."""
        sums = self._sums.get(session)
        if sums is None:
            sums = self._sums[session] = _Sums(now, now)
        step = now - sums.at
        sums.decay(now)
        if sums.moving and step < LONGEST_STEP_S:
            sums.wall += step
            sums.simulated += simulated_s
        sums.ticks += ticks
        sums.seconds += seconds
        sums.moving = moving

    def now(self, now: float) -> dict[str, SessionLoad]:
        """The load of each session that ran a tick in the last FORGET_S."""
        for session in [one for one, sums in self._sums.items() if now - sums.at > FORGET_S]:
            del self._sums[session]
        return {session: sums.load(now) for session, sums in self._sums.items()}
