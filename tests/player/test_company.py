"""When a bot that fills a seat plays with nobody."""

from __future__ import annotations

from typing import Any

from tussle.player.company import Company

SEATS = [
    {"seat": 0, "connected": True, "fills": False},
    {"seat": 1, "connected": True, "fills": True},
    {"seat": 2, "connected": True, "fills": False},
]


def after(*events: tuple[str, dict[str, Any]]) -> Company:
    """The company after these events, one a second."""
    company = Company()
    for now, (kind, d) in enumerate(events):
        company.note(kind, d, float(now))
    return company


def test_it_begins_when_the_last_other_member_is_gone() -> None:
    """A lost connection and a seat that is left count alike; bots that fill seats do not count."""
    view, lost, left = (
        ("session", {"seats": SEATS}),
        ("seat_disconnected", {"seat": 0}),
        ("seat_left", {"seat": 2}),
    )
    assert after(view).left_at is None
    assert after(view, lost).left_at is None
    assert after(view, lost, left, ("turn_started", {"seat": 1})).left_at == 2.0
    assert after(view, lost, left, ("seat_connected", {"seat": 1})).left_at == 2.0


def test_it_ends_when_one_comes_back() -> None:
    """Also one who returns while a new view is read; who takes a seat has time to connect."""
    view, lost = ("session", {"seats": SEATS[:2]}), ("seat_disconnected", {"seat": 0})
    assert after(view, lost, ("seat_connected", {"seat": 0})).left_at is None
    assert after(view, lost, view).left_at is None
    assert after(("seat_taken", {"seat": 0, "fills": False})).left_at is None
