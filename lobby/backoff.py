"""Delays between attempts: exponential, jittered and bounded.

This module must never sleep or read a clock. The caller passes the random generator and waits for the delay.
"""

from __future__ import annotations

import random

__all__ = ["Backoff"]


class Backoff:
    """Delays of ``rng.uniform(0.5, 1) * min(cap_s, base_s * 2**n)`` after n failed attempts.

    The fixed half of a delay limits how often a client calls a server that is down. The random half spreads the
    clients of a server that comes back. ``attempts`` is the number of delays since the last ``reset``.
    """

    def __init__(self, rng: random.Random, *, base_s: float = 0.1, cap_s: float = 2.0) -> None:
        self._rng = rng
        self._base_s = base_s
        self._cap_s = cap_s
        self.attempts = 0

    def next_s(self, *, at_least_s: float = 0.0) -> float:
        """Count a failed attempt and return the delay before the next one [s].

        The delay is at least ``at_least_s``, which gets up to half as much again as jitter.
        """
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(self.attempts, 30))
        self.attempts += 1
        return max(self._rng.uniform(0.5, 1.0) * ceiling, at_least_s * self._rng.uniform(1.0, 1.5))

    def reset(self) -> None:
        """Start again from the shortest delay, after an attempt that succeeded."""
        self.attempts = 0
