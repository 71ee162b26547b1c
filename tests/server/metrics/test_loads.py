"""The load of a session: rates and dilation over the last seconds."""

from __future__ import annotations

import pytest

from tussle.server.metrics.loads import FORGET_S, SessionLoads


def run(loads: SessionLoads, session: str, *, steps: int, every_s: float, seconds: float) -> float:
    """Steps of two ticks of 1/60 s, ``every_s`` apart. Returns the time of the last one."""
    now = 100.0
    for step in range(steps):
        now = 100.0 + step * every_s
        loads.record(session, ticks=2, seconds=seconds, simulated_s=2 / 60, moving=True, now=now)
    return now


def test_a_session_in_real_time() -> None:
    """60 ticks a second, 4 ms each: a quarter of a core, dilation 1."""
    loads = SessionLoads()
    now = run(loads, "a", steps=600, every_s=1 / 30, seconds=0.008)
    load = loads.now(now)["a"]
    assert load.tick_rate == pytest.approx(60, rel=0.05)
    assert load.solver_ms == pytest.approx(4.0)
    assert load.share == pytest.approx(0.24, rel=0.05)
    assert load.dilation == pytest.approx(1.0)


def test_a_slow_session_dilates() -> None:
    """A step each tenth of a second simulates 1/30 s: three times slower than real time."""
    loads = SessionLoads()
    now = run(loads, "a", steps=200, every_s=0.1, seconds=0.09)
    load = loads.now(now)["a"]
    assert load.dilation == pytest.approx(3.0)
    assert load.tick_rate == pytest.approx(20, rel=0.05)


def test_rest_and_pauses_are_no_dilation() -> None:
    """A world at rest between two turns, and a pause of a moving one, do not count; the rates fade."""
    loads = SessionLoads()
    now = run(loads, "a", steps=100, every_s=1 / 30, seconds=0.001)
    loads.record("a", ticks=2, seconds=0.001, simulated_s=2 / 60, moving=False, now=now + 1 / 30)
    loads.record("a", ticks=2, seconds=0.001, simulated_s=2 / 60, moving=True, now=now + 5.0)
    loads.record("a", ticks=2, seconds=0.001, simulated_s=2 / 60, moving=True, now=now + 35.0)
    load = loads.now(now + 35.0)["a"]
    assert load.dilation == pytest.approx(1.0)
    assert load.tick_rate < 1.0


def test_a_session_without_ticks_is_forgotten() -> None:
    """The table is bounded by the sessions of the last minute."""
    loads = SessionLoads()
    now = run(loads, "a", steps=2, every_s=1 / 30, seconds=0.001)
    assert "a" in loads.now(now + FORGET_S / 2)
    assert loads.now(now + FORGET_S + 1) == {}
