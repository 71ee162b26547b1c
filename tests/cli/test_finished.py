"""The sentence about a finished session fits the line of `tussle up`."""

from __future__ import annotations

import itertools

import orjson

from tussle.build_db import SHIPPED
from tussle.cli.finished import sentence
from tussle.cli.up import SENTENCE_COLUMNS
from tussle.lobby.wire.messages import SeatView, SessionView
from tussle.player.bots import NAMES

SHIPPED_BODIES = [body["id"] for body in orjson.loads(SHIPPED.read_bytes())["bodies"]]


def ended(names: list[str], bodies: list[str], *, winner: int | None) -> SessionView:
    seats = tuple(
        SeatView(seat, f"p{seat}", name, "bot", body, True, True)
        for seat, (name, body) in enumerate(zip(names, bodies, strict=True))
    )
    return SessionView(
        "k7qm2xpv", "ended", "duel", len(seats), names[0], seats, 1, started_at=1000, ended_at=91_000,
        round=13, turn=24, result={"winner": winner, "rounds": 13, "turns": 25},
    )  # fmt: skip


def test_a_duel_of_bots_fits_a_line() -> None:
    """Of the bots' names and the bodies of the catalogue, each pair that is the widest."""
    wide = sorted(NAMES, key=len)[-3:]
    for names in itertools.permutations(wide, 2):
        for played in itertools.permutations(sorted(SHIPPED_BODIES, key=len)[-3:], 2):
            for winner in (0, 1, None):
                said = sentence(ended(list(names), list(played), winner=winner), SENTENCE_COLUMNS)
                assert len(said) <= SENTENCE_COLUMNS
                assert all(name in said for name in names)


def test_bodies_are_named_where_they_fit() -> None:
    view = ended(["Ada", "Otto#7"], ["cobble", "marl"], winner=1)
    whole = "Otto (marl) beat Ada (cobble): 13 rounds, 25 turns, 90 s"
    assert sentence(view, len(whole)) == whole
    assert sentence(view, len(whole) - 1) == "Otto beat Ada: 13 rounds, 25 turns, 90 s"


def test_a_draw_names_all() -> None:
    view = ended(["Ada", "Otto", "Kei"], ["", "", ""], winner=None)
    assert sentence(view, 80) == "Ada and Otto and Kei drew: 13 rounds, 25 turns, 90 s"
