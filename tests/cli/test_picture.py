"""The terminal's model of a session, and the lines that it prints for events."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.support.pair import ModelSession
from tussle.cli.palette import bar, gap, marks_of, number, short_names
from tussle.cli.picture import Picture
from tussle.lobby.wire.messages import Event


def duel() -> Picture:
    picture = Picture.of(ModelSession().view())
    seats = [
        {"seat": 0, "name": "Ada", "kind": "bot", "body": "cobble", "health": 146.0},
        {"seat": 1, "name": "Otto", "kind": "person", "body": "marl", "health": 169.0},
    ]
    hear(picture, "set_up", {"seats": seats})
    return picture


def hear(picture: Picture, kind: str, d: dict[str, Any], *, tick: int = 7) -> str | None:
    """Apply one event and return the line that it added to the log."""
    before = len(picture.log)
    picture.apply(Event(v=picture.v + 1, t=kind, d=d, tick=tick, epoch=1))
    return picture.log[-1].text if len(picture.log) > before else None


def turn(seat: int, **more: Any) -> dict[str, Any]:
    return {
        "seat": seat,
        "deadline_s": 2.0,
        "health": [146.0, 100.0],
        "health_full": [146.0, 169.0],
        "bodies": ["cobble", "marl"],
        "round": 2,
        "turn": 3,
        **more,
    }


@pytest.mark.parametrize(
    ("kind", "d", "words"),
    [
        ("chat", {"seat": 0, "name": "Ada", "text": "mind the rim"}, "Ada: mind the rim"),
        ("turn_started", turn(1), "Round 2: Otto to act"),
        ("action", {"seat": 0, "kind": "launch", "power": 0.8, "target": 1}, "Ada launches at Otto, power 80 %"),
        ("action", {"seat": 0, "kind": "brace", "azimuth": None, "power": None, "target": None}, "Ada braces"),
        ("action", {"seat": 1, "kind": "skip", "azimuth": None, "timed_out": True}, "Otto skipped the turn"),
        (
            "blow",
            {"a": 0, "b": 1, "impulse_credited_Ns": 18.64, "damage_a": 18.2, "damage_b": 9.4},
            "Ada touched Otto, 18.6 N·s. Ada −18, Otto −9",
        ),
        ("blow", {"a": 0, "b": 1, "impulse_credited_Ns": 0.4, "damage_b": 0.2}, "Ada touched Otto, 0.4 N·s"),
        ("out", {"seat": 1, "cause": "fallen", "by": 0, "place": 2}, "Otto is off the mat, by Ada; place 2"),
        ("out", {"seat": 1, "cause": "forfeit", "by": None, "place": 2}, "Otto gave up; place 2"),
        ("turn_ended", {"end": "rest", "ticks": 61}, "All bodies are at rest after 61 ticks"),
        ("result", {"winner": 0, "places": [1, 2], "rounds": 3, "turns": 6}, "Ada wins, 3 rounds, 6 turns"),
        ("result", {"winner": None, "places": [1, 1]}, "A draw"),
        ("rim_cracked", {"sides": [6, 2], "falls": 5}, "The rim cracks on two sides: they fall before round 5"),
        ("rim_fell", {"sides": [6, 2], "distances": [2.8] * 8}, "Two sides of the mat fall"),
        ("bout_ended", {"bout": 1, "winner": 1}, "Bout 1: Otto wins"),
        ("bout_ended", {"bout": 2, "winner": None}, "Bout 2: nobody wins"),
        ("bout_started", {"bout": 2, "wins": [0, 1]}, "Bout 2: every body is whole again"),
        ("failed", {"reason": "solver_failed"}, "The session failed: solver_failed"),
        ("timed_out", {"reason": "nobody_came"}, "The lobby timed out"),
        ("seat_connected", {"seat": 0, "player": "pa"}, None),
        ("something_new", {"strange": [1, 2]}, None),
    ],
)  # fmt: skip
def test_each_event_has_a_line(kind: str, d: dict[str, Any], words: str | None) -> None:
    assert hear(duel(), kind, d) == words


@pytest.mark.parametrize(
    ("kind", "d", "words"),
    [
        ("action", {"seat": 0, "kind": "launch", "power": 0.6, "stone": 0}, "Ada slides a stone, power 60 %"),
        ("blow", {"a": 0, "b": 3, "impulse_Ns": 4.25}, "A stone of Ada touched one of Otto, 4.2 N·s"),
        ("blow", {"a": 4, "b": 3, "impulse_Ns": 4.25}, "Two stones of Otto touched, 4.2 N·s"),
        ("stone_lost", {"stone": 2, "cause": "off"}, "A stone of Ada is off the sheet"),
        ("stone_lost", {"stone": 5, "cause": "short"}, "A stone of Otto stopped too short"),
        ("end_scored", {"end": 2, "seat": 1, "points": 2, "total": 3}, "End 2: 2 for Otto"),
        ("end_scored", {"end": 2, "seat": None, "points": 0}, "End 2: no stone counts"),
        ("turn_ended", {"seat": 0, "ticks": 99, "undone": True}, "The guard rule: the stones are put back"),
    ],
)
def test_a_curling_speaks_of_stones(kind: str, d: dict[str, Any], words: str) -> None:
    """The owner of a stone follows from its number and the stones of a seat, here three."""
    picture = duel()
    picture.mode = "curling"
    hear(picture, "set_up", {"params": {"stones": 3}, "seats": []})
    assert hear(picture, kind, d) == words


def test_health_follows_blows_and_is_corrected_at_the_end_of_the_turn() -> None:
    """During a turn health is an estimate from blows; `turn_ended` replaces it by the exact value."""
    picture = duel()
    hear(picture, "turn_started", turn(0))
    assert picture.players[1].health == 100.0
    hear(picture, "blow", {"a": 0, "b": 1, "damage_a": 1.0, "damage_b": 30.0, "dist_min_mm": 2.5})
    assert (picture.players[1].health, picture.players[1].lost) == (70.0, 30.0)
    hear(picture, "turn_ended", {"health": [145.0, 71.0], "dist_min_mm": 1.5})
    assert (picture.players[1].health, picture.least_gap_mm) == (71.0, 1.5)
    hear(picture, "turn_started", turn(1))
    assert picture.players[1].lost == 0.0


def test_the_actor_is_named_first() -> None:
    picture = duel()
    hear(picture, "turn_started", turn(1))
    blow = {"a": 0, "b": 1, "impulse_credited_Ns": 30.6, "damage_a": 14.0, "damage_b": 15.0}
    assert hear(picture, "blow", blow) == "Otto touched Ada, 30.6 N·s. Otto −15, Ada −14"


def test_the_phases_of_a_turn() -> None:
    picture = duel()
    hear(picture, "turn_started", turn(1, positions=[[0.0, 0.2, 0.0], [0.5, 0.2, -0.5]]))
    assert (picture.turn_seat, picture.acting) == (1, True)
    hear(picture, "action", {"seat": 1, "kind": "launch", "azimuth": 90.0, "power": 1.0, "target": 0})
    assert not picture.acting
    assert picture.aim == (0.5, -0.5, math.pi / 2)
    hear(picture, "turn_ended", {"health": [1.0, 2.0]})
    assert picture.aim is None


def test_members_join_and_leave_a_waiting_lobby() -> None:
    picture = Picture()
    hear(picture, "seat_taken", {"seat": 0, "player": "pa", "name": "Ada", "kind": "bot", "body": "cobble"})
    hear(picture, "seat_taken", {"seat": 1, "player": "pb", "name": "Otto", "kind": "bot"})
    hear(picture, "seat_ready", {"seat": 0, "ready": True})
    hear(picture, "body_chosen", {"seat": 1, "body": "halo"})
    assert (picture.players[0].ready, picture.players[1].body) == (True, "halo")
    hear(picture, "seat_left", {"seat": 1, "player": "pb", "reason": "left"})
    assert list(picture.players) == [0]
    hear(picture, "running", {"at": 1})
    hear(picture, "seat_disconnected", {"seat": 0})
    assert (picture.status, picture.players[0].connected) == ("running", False)


def test_an_out_player_keeps_its_place_on_the_list() -> None:
    picture = duel()
    hear(picture, "out", {"seat": 1, "cause": "broken", "by": 0, "place": 2, "health_left": 0.0})
    assert (picture.players[1].out, picture.players[1].place, picture.players[1].health) == ("broken", 2, 0.0)
    hear(picture, "ended", {"at": 1, "reason": ""})
    assert picture.status == "ended"


def test_equal_initials_are_distinguished() -> None:
    """Of two players with one first letter the second uses its next letter; colours and shapes differ."""
    marks = marks_of(["Ada", "Anouk", "Ana", "", "Otto"])
    assert [mark.initial for mark in marks] == ["A", "N", "2", "?", "O"]
    assert len({mark.colour for mark in marks}) == len({mark.shape for mark in marks}) == 5


def test_guest_suffixes_are_shown_only_for_equal_names() -> None:
    assert short_names(["Ada#k3v7", "Otto#22ab"]) == ["Ada", "Otto"]
    assert short_names(["Ada#k3v7", "Ada#22ab"]) == ["Ada#k3v7", "Ada#22ab"]
    assert short_names(["Ada#k3v7", "Ada"]) == ["Ada#k3v7", "Ada"]


def test_numbers_read_well_and_a_gap_is_never_zero() -> None:
    assert number(1482) == "1\u2009482"
    assert number(-18.4) == "−18"
    assert gap(3.214) == "3.21 mm"
    assert gap(0.0004) == "0.4 µm"
    assert gap(float("inf")) == gap(None) == "no contact"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.24, 0.5, 0.999, 1.0, 2.0, -1.0])
def test_a_bar_always_has_its_width(share: float) -> None:
    """For every share the full and the empty part fill the width; only zero has no full part."""
    full, rest = bar(share, 10)
    assert len(full) + len(rest) == 10
    assert (full == "") == (share <= 0)
