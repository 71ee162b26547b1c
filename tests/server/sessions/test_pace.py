"""The pace of sessions, on a simulated clock."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tussle.server.sessions.pace import ALIGNMENT_S, Pace

PERIODS = (1 / 30, 1 / 60, 1 / 120)
starts = st.floats(0.0, 1e6)


@given(start=starts, period=st.sampled_from(PERIODS))
def test_steps_in_time_are_a_period_apart(start: float, period: float) -> None:
    """Only the first period is shorter, by less than ALIGNMENT_S. The duration of a step moves no later step."""
    pace, now, begun = Pace(period, start), start, [start]
    for number in range(20):
        now += period * (0.1 + 0.02 * number)  # the solver's time
        now += pace.stepped(now)
        begun.append(now)
        assert pace.dilation == 1.0
    assert period - ALIGNMENT_S - 1e-9 < begun[1] - begun[0] <= period + 1e-9
    assert [b - a for a, b in pairwise(begun[1:])] == pytest.approx([period] * 19)


@given(start=starts, period=st.sampled_from(PERIODS), share=st.floats(0.0, 0.99))
def test_steps_are_at_common_boundaries(start: float, period: float, share: float) -> None:
    """All sessions of a server together are due at no more than 240 times per second, unless a step is late."""
    pace = Pace(period, start)
    took = share * (period - ALIGNMENT_S)  # the first period begins up to ALIGNMENT_S before the start
    for step in range(1, 5):
        now = start + took
        start = now + pace.stepped(now)
        assert start / ALIGNMENT_S == pytest.approx(round(start / ALIGNMENT_S), abs=1e-3), step


def test_a_late_step_dilates_time_and_is_not_caught_up() -> None:
    """After a step that takes two periods the next step is due at once, and then the pace is as before. Simulated time
    catches up at most ALIGNMENT_S."""
    period, now = 1 / 60, 100.0
    pace = Pace(period, now)
    now += pace.stepped(now)
    began, steps = now, 0
    for _ in range(3):
        now += 2 * period
        steps += 1
        assert pace.stepped(now) == 0.0
        assert pace.dilation > 1.9
    now += pace.stepped(now)
    for _ in range(10):
        steps += 1
        now += 0.001
        now += pace.stepped(now)
        assert pace.dilation == 1.0
        assert steps * period <= now - began + ALIGNMENT_S + period


@pytest.mark.parametrize("hz", [30, 60, 120, 240])
def test_a_solver_that_is_slightly_too_slow_dilates_slightly(hz: int) -> None:
    """One per cent too slow: simulated time passes one per cent more slowly, and the mean dilation is 1.01."""
    period, now = 1 / hz, 50.0
    pace = Pace(period, now)
    dilations = []
    for _ in range(3000):
        now += 1.01 * period
        now += pace.stepped(now)
        dilations.append(pace.dilation)
    assert (now - 50.0) / (3000 * period) == pytest.approx(1.01, abs=0.002)
    assert sum(dilations) / len(dilations) == pytest.approx(1.01, abs=0.005)


def test_flat_out_never_rests() -> None:
    """With period 0 (SIM_SPEED 0) every step is due at once, and none is late."""
    pace = Pace(0.0, 5.0)
    assert [pace.stepped(5.0 + 0.1 * step) for step in range(4)] == [0.0] * 4
    assert pace.dilation == 1.0


def test_after_a_pause_nothing_is_caught_up() -> None:
    """A session that waited a minute for an input steps at its normal pace."""
    pace = Pace(1 / 60, 10.0)
    pace.stepped(10.0)
    pace.restart(70.0)
    assert 0.0 < pace.stepped(70.0) <= 1 / 60
    assert pace.dilation == 1.0
