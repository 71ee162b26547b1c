"""The delays between attempts."""

from __future__ import annotations

import random

from tussle.lobby.backoff import Backoff


def test_delays_grow_to_the_cap_with_jitter() -> None:
    """Each delay lies between half its ceiling and its ceiling. The ceiling doubles up to the cap."""
    backoff = Backoff(random.Random(3), base_s=0.1, cap_s=1.0)
    ceilings = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    delays = [backoff.next_s() for _ in ceilings]
    assert all(ceiling / 2 <= delay <= ceiling for delay, ceiling in zip(delays, ceilings, strict=True))
    assert len(set(delays)) == len(delays)


def test_a_reset_starts_from_the_shortest_delay() -> None:
    """``attempts`` counts the delays since the last reset."""
    backoff = Backoff(random.Random(3), base_s=0.1, cap_s=1.0)
    for _ in range(5):
        backoff.next_s()
    assert backoff.attempts == 5
    backoff.reset()
    assert backoff.attempts == 0
    assert backoff.next_s() <= 0.1


def test_a_delay_is_at_least_what_the_caller_asks_for() -> None:
    """The floor applies above the cap too, and is jittered upward only."""
    backoff = Backoff(random.Random(3), base_s=0.1, cap_s=1.0)
    assert all(3.0 <= backoff.next_s(at_least_s=3.0) <= 4.5 for _ in range(20))


def test_a_thousand_failed_attempts_do_not_overflow() -> None:
    """The exponent is bounded, so that a long outage raises nothing."""
    backoff = Backoff(random.Random(3), cap_s=2.0)
    assert all(backoff.next_s() <= 2.0 for _ in range(2000))


def test_a_seed_decides_the_delays() -> None:
    """Two back-offs with equal generators give equal delays."""
    one, two = (Backoff(random.Random(7)) for _ in range(2))
    assert [one.next_s() for _ in range(5)] == [two.next_s() for _ in range(5)]
