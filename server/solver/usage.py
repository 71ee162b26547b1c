"""What each session uses of the solver processes: CPU time per second and per tick, over the last seconds. Sans-I/O.

The pool places and moves sessions by these numbers, and a run asks how many ticks fit in one call. This module must
never read a clock: the time is an argument.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["Decayed", "SessionUsage", "UsageTable"]

MEMORY_S = 5.0
"""Time constant of all averages [s]: an amount of that age counts by 1/e."""

CALL_S = 0.008
"""CPU time that one call may take, if it is more than one tick [s]. A call is never interrupted, so this, or one tick,
is what another session of the process waits for at most."""

MOST_TICKS = 64
"""Ticks of one call, at most."""

HEAVY_TICK_S, LIGHT_TICK_S = 0.008, 0.004
"""A session becomes heavy when its ticks take more CPU time than the first [s], and light again below the second."""

TRIAL_TICKS = 5
"""Ticks after which a session is judged."""

NEW_LOAD = 0.05
"""Assumed load of a session that has not run yet [CPU s per s], so that several new sessions spread over processes."""

FORGET_S = 60.0
"""Time after which a session that used nothing is forgotten [s]."""


@dataclass(slots=True)
class Decayed:
    """An amount per second, averaged over the last MEMORY_S."""

    rate: float = 0.0
    at: float = 0.0

    def add(self, amount: float, now: float) -> None:
        self.rate = self.read(now) + amount / MEMORY_S
        self.at = max(self.at, now)

    def read(self, now: float) -> float:
        """The average at ``now``."""
        return self.rate * math.exp(-max(0.0, now - self.at) / MEMORY_S)


@dataclass(slots=True)
class SessionUsage:
    """The usage of one session. cpu: of all its calls. heavy: its ticks are long. moved_at: when it was last placed in
    a process. look_at: when to look for a better one."""

    cpu: Decayed
    moved_at: float
    look_at: float = 0.0
    heavy: bool = False
    _tick_cpu: Decayed = field(default_factory=Decayed)
    _ticks: Decayed = field(default_factory=Decayed)
    _seen: int = 0
    _newest_tick_s: float = 0.0

    def add_ticks(self, ticks: int, seconds: float, now: float) -> None:
        """Record a call that ran ``ticks`` ticks in ``seconds`` of CPU time."""
        if ticks <= 0:
            return
        self._tick_cpu.add(seconds, now)
        self._ticks.add(ticks, now)
        self._seen += ticks
        self._newest_tick_s = seconds / ticks
        if self.judged:
            self.heavy = self.tick_s > (LIGHT_TICK_S if self.heavy else HEAVY_TICK_S)

    @property
    def judged(self) -> bool:
        """Whether enough ticks were measured to decide if it is heavy."""
        return self._seen >= TRIAL_TICKS

    @property
    def tick_s(self) -> float:
        """CPU time per tick [s]; 0 before the first tick."""
        return self._tick_cpu.rate / self._ticks.rate if self._ticks.rate > 0.0 else 0.0

    def expect(self, ticks: int) -> float:
        """CPU time that so many ticks will take [s]; CALL_S for a session that has not run yet."""
        return ticks * self.tick_s if self._seen else CALL_S

    @property
    def ticks_per_call(self) -> int:
        """Ticks that fit in CALL_S, at least 1. It is 1 for a session that has not run yet."""
        if not self._seen:
            return 1
        tick_s = max(self.tick_s, self._newest_tick_s)
        return MOST_TICKS if tick_s * MOST_TICKS <= CALL_S else max(1, int(CALL_S / tick_s))


class UsageTable:
    """The usage of every session of a pool."""

    def __init__(self) -> None:
        self._sessions: dict[str, SessionUsage] = {}

    def get(self, session: str, now: float) -> SessionUsage:
        """The usage of a session, that of a new one if it is not known."""
        usage = self._sessions.get(session)
        if usage is None:
            self._forget(now)
            usage = self._sessions[session] = SessionUsage(Decayed(NEW_LOAD, now), now)
        return usage

    def load(self, session: str, now: float) -> float:
        """CPU time per second of a session; 0 for one that is not known."""
        usage = self._sessions.get(session)
        return 0.0 if usage is None else usage.cpu.read(now)

    def _forget(self, now: float) -> None:
        for session in [s for s, usage in self._sessions.items() if now - usage.cpu.at > FORGET_S]:
            del self._sessions[session]
