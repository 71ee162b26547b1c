"""When members learn that their session is slow, without a clock."""

from __future__ import annotations

from tussle.server.sessions.dilation import DilationWatch


def announced(watch: DilationWatch, dilation: float, wall_s: float) -> list[float]:
    """The announcements while the session runs at that dilation for so long, thirty steps a simulated second."""
    steps = (watch.step(dilation, 1 / 30) for _ in range(round(30 * wall_s / dilation)))
    return [one for one in steps if one is not None]


def test_a_slow_session_says_so_and_says_when_it_is_over() -> None:
    """Twice as slow for a while: one announcement near 2, later 1. A session in real time announces nothing."""
    watch = DilationWatch()
    assert announced(watch, 1.0, 60.0) == []
    slow = announced(watch, 2.0, 60.0)
    assert slow
    assert 1.25 <= slow[0] <= slow[-1] <= 2.0
    assert watch.announced == slow[-1] > 1.3
    assert announced(watch, 1.0, 60.0)[-1] == 1.0
    assert announced(watch, 1.05, 60.0) == []


def test_one_late_step_is_not_announced() -> None:
    """A single step of a third of a second is forgotten again."""
    watch = DilationWatch()
    announced(watch, 1.0, 10.0)
    assert watch.step(10.0, 1 / 30) is None
    assert announced(watch, 1.0, 10.0) == []


def test_announcements_are_rare() -> None:
    """However much the dilation varies, there are at least three seconds between two announcements."""
    watch = DilationWatch()
    count = sum(len(announced(watch, dilation, 1.0)) for dilation in (1.0, 9.0, 1.0, 30.0, 2.0, 1.0) * 10)
    assert count <= 60 / 3
