"""What a run does that nobody is connected to, by a clock of the test."""

from __future__ import annotations

import pytest

from tussle.server.sessions.attendance import Attendance


def test_a_run_without_anybody_pauses_and_then_ends() -> None:
    """After IDLE_S it pauses, after UNATTENDED_S it ends; both count from when the last one was gone."""
    attendance = Attendance(10.0, 60.0)
    assert attendance.look(True, 100.0) == "run"
    assert attendance.look(False, 150.0) == "run"
    assert attendance.look(False, 159.9) == "run"
    assert attendance.look(False, 160.0) == "pause"
    assert attendance.look(False, 209.9) == "pause"
    assert attendance.look(False, 210.0) == "end"


def test_somebody_who_connects_begins_the_time_again() -> None:
    """The run resumes at once, and has all of both times again."""
    attendance = Attendance(10.0, 60.0)
    attendance.look(False, 0.0)
    assert attendance.look(False, 59.0) == "pause"
    assert attendance.look(True, 59.5) == "run"
    assert attendance.look(False, 60.0) == "run"
    assert attendance.look(False, 70.0) == "pause"
    attendance.restart()
    assert attendance.look(False, 71.0) == "run"


@pytest.mark.parametrize(
    ("idle_s", "unattended_s", "verdicts"),
    [(0.0, 0.0, ["run", "run"]), (10.0, 0.0, ["pause", "pause"]), (0.0, 60.0, ["run", "end"])],
)
def test_zero_means_never(idle_s: float, unattended_s: float, verdicts: list[str]) -> None:
    """Each of the two settings can be turned off alone."""
    attendance = Attendance(idle_s, unattended_s)
    attendance.look(False, 0.0)
    assert [attendance.look(False, at) for at in (20.0, 1e9)] == verdicts
