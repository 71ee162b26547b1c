"""What a run makes public about its end."""

from __future__ import annotations

import pytest

from tussle.lobby.filling import PRACTICE_SKILL
from tussle.lobby.runs import Member
from tussle.server.sessions.publication import is_rated


def member(seat: int, skill: str = "") -> Member:
    return Member(seat, f"p{seat}", f"P{seat}", "bot" if skill else "person", skill, "cube", False, 0)


@pytest.mark.parametrize(
    ("mode", "skills", "rated"),
    [
        ("duel", ("", ""), True),
        ("duel", ("", "sharp"), True),
        ("duel", ("", PRACTICE_SKILL), False),
        ("curling", (PRACTICE_SKILL, "", "good"), False),
        ("sandbox", ("", ""), False),
    ],
)
def test_practice_changes_no_rating(mode: str, skills: tuple[str, ...], rated: bool) -> None:
    """A session with a bot that never moves is not rated, even if others play."""
    members = [member(seat, skill) for seat, skill in enumerate(skills)]
    assert is_rated(mode, members) is rated
