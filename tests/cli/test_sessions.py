"""The table of ``tussle sessions``."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import click
import msgspec
import pytest
from rich.console import Console

from tests.support.pair import ModelSession
from tussle.cli.sessions import RECORDINGS_S, RecordingLook, age, read_since, sessions_table
from tussle.lobby.recorded_sessions import RecordedSeat, RecordedSession
from tussle.lobby.wire.messages import SessionView
from tussle.player.client import Client


def table(*views: SessionView, recorded: Sequence[RecordedSession] = (), width: int = 110) -> str:
    console = Console(width=width, file=StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(sessions_table(views, recorded, now_ms=100_000, width=width))
    return capture.get()


def view(status: str, **changes: object) -> SessionView:
    return msgspec.structs.replace(ModelSession(status=status).view(), opened_at=90_000, **changes)


def test_a_row_has_status_mode_and_players() -> None:
    """A row has the status as shape and word, the winner, and times as ages."""
    text = table(
        view("open", closes_at=142_000),
        view("running", started_at=40_000, round=3, tick=1482, turn_seat=1),
        view("ended", ended_at=99_000, result={"winner": 1}, min_distance=1.234e-5),
        width=120,
    )
    rows = [line.rstrip() for line in text.splitlines()]
    assert " ".join(rows[1].split()) == "k7qm2xpv duel ○ open #1 2/2 ● Ada bot ■ Otto bot closes in 42 s 10 s"
    assert "● running" in rows[2] and rows[2].endswith("1:00      3  1\u2009482")
    assert "Otto bot won" in rows[3] and "■ ended" in rows[3] and rows[3].endswith("12.3 µm")
    assert rows[0].endswith("gap")


def test_recordings_are_in_the_table() -> None:
    """A session that is over says how much of it was recorded; one that is in no other list any more has a row of its
    own, with its players and the winner. A narrow terminal has the row without the time."""
    over = view("ended", ended_at=99_000)
    older = RecordedSession(
        "aaaaaaa2", "ended", "duel", 2, tuple(RecordedSeat(n, f"p{n}", f"P{n}", "person", "halo") for n in (0, 1)),
        1_000, 2_000, 40_000, 400, 13.25, winner=1,
    )  # fmt: skip
    rows = table(
        over, recorded=[RecordedSession.of(over, length=90, dt=1 / 30), older], width=130
    ).splitlines()
    assert rows[0].endswith("recorded") and len(rows) == 3
    assert rows[1].endswith(f"{over.tick / 30:.1f} s") and "■ ended" in rows[1]
    assert " ".join(rows[2].split()) == "aaaaaaa2 duel ■ recorded 2/2 ● P0 ■ P1 won 1:00 13.2 s"
    assert "recorded" not in table(over).splitlines()[0]
    narrow = table(over, recorded=[older], width=70).splitlines()
    assert "aaaaaaa2" in narrow[2] and "13.2" not in narrow[2] and all(len(line) <= 70 for line in narrow)
    assert "tussle bots" not in table(recorded=[older])


def test_bots_are_marked() -> None:
    """A bot has the word after its name, in a session and in a recording."""
    now = view("running")
    now = msgspec.structs.replace(
        now,
        seats=[
            msgspec.structs.replace(now.seats[0], kind="person"),
            msgspec.structs.replace(now.seats[1], kind="bot"),
        ],
    )
    seats = (RecordedSeat(0, "p0", "Eva", "bot", "halo"), RecordedSeat(1, "p1", "Kei", "person", "halo"))
    older = RecordedSession("aaaaaaa2", "ended", "duel", 2, seats, 1_000, 2_000, 40_000, 400, 13.25, winner=0)
    rows = table(now, recorded=[older]).splitlines()
    assert "● Ada  ■ Otto bot  " in rows[1]
    assert "● Eva bot won  ■ Kei  " in rows[2]


def test_a_narrow_terminal_gets_fewer_columns() -> None:
    text = table(view("running", tick=7, round=2), width=70)
    assert "tick" not in text
    assert all(len(line) <= 70 for line in text.splitlines())


def test_waiting_sessions_have_their_place() -> None:
    text = table(view("open"), view("filled"), view("open"), view("running"))
    assert [line.split()[4] for line in text.splitlines()[1:]] == ["#1", "2/2", "#2", "2/2"]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("30m", 998_200.0),
        ("2h", 992_800.0),
        ("7d", 395_200.0),
        ("99d", 0.0),
        ("1970-01-05T00:00+00:00", 345_600.0),
    ],
)
def test_a_time_is_an_age_or_a_date(text: str, at: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    assert read_since(text) == at


@pytest.mark.parametrize("text", ["", "h", "soon", "1.5h", "-2h", "2026-13-01"])
def test_another_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a time"):
        read_since(text)


def test_an_empty_table_suggests_a_command() -> None:
    assert "tussle bots" in table()


@pytest.mark.parametrize(
    ("ms", "text"),
    [(-5, "0 s"), (59_900, "59 s"), (60_000, "1:00"), (3_599_000, "59:59"), (7_200_000, "2 h")],
)
def test_ages(ms: float, text: str) -> None:
    assert age(ms) == text


async def test_a_failed_look_at_the_recordings_is_not_repeated_at_once() -> None:
    """Where the call fails the table has no recordings and says so; the next call is RECORDINGS_S later."""
    look = RecordingLook()
    async with Client("http://127.0.0.1:1") as client:
        await look.ask(client, 100.0, limit=5)
        assert look.rows == [] and look.failure.startswith("No recordings: ")
        look.failure = ""
        await look.ask(client, 100.0 + RECORDINGS_S / 2, limit=5)
        assert not look.failure
        await look.ask(client, 100.0 + RECORDINGS_S, limit=5)
        assert look.failure
