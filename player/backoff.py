"""How long to wait before the next attempt: exponential, jittered, bounded. Pure: the chance is an
argument."""

from __future__ import annotations

import random

__all__ = ["Backoff"]


class Backoff:
    """Delays of ``rng.uniform(0.5, 1) * min(cap_s, base_s * 2**n)``.

    Half of each delay is certain, so that a server that is down is not hammered; the other half is chance,
    so that the clients of a server that came back do not come all at once.
    """

    def __init__(self, rng: random.Random, *, base_s: float = 0.1, cap_s: float = 2.0) -> None:
        self._rng = rng
        self._base_s = base_s
        self._cap_s = cap_s
        self.attempts = 0

    def next_s(self, *, at_least_s: float = 0.0) -> float:
        """The next delay [s], at least ``at_least_s`` (itself jittered upward)."""
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(self.attempts, 30))
        self.attempts += 1
        return max(self._rng.uniform(0.5, 1.0) * ceiling, at_least_s * self._rng.uniform(1.0, 1.5))

    def reset(self) -> None:
        """It worked: the next trouble starts from the shortest delay."""
        self.attempts = 0
