"""The lists in memory find what a scan of all rows would find."""

from __future__ import annotations

import random
from itertools import product

from tussle.server.http.session_index import Choice, SessionIndex, SessionRow

STATUSES = ("open", "running", "ended")
NAMES = ("ada", "otto", "mira", "amber quern", "guest#k3v7")


def made_row(rng: random.Random, token: str) -> SessionRow:
    kind = rng.randrange(3)
    mode, at = rng.choice(("duel", "curling")), rng.randrange(1, 60)
    names = rng.sample(NAMES, rng.randrange(4))
    place = (kind, at if kind == 0 else -at, token)
    players = frozenset((*names, *(name.partition("#")[0] for name in names)))
    return SessionRow(place, STATUSES[kind], mode, at, (token, mode, *names), players, {"session": token})


def suits(row: SessionRow, choice: Choice) -> bool:
    return (
        (not choice.status or row.status == choice.status)
        and (not choice.mode or row.mode == choice.mode)
        and (not choice.player or choice.player in row.players)
        and choice.since <= row.changed_at
        and (not choice.until or row.changed_at <= choice.until)
        and (not choice.search or any(choice.search in word for word in row.words))
    )


def test_every_choice_finds_what_a_scan_finds() -> None:
    """Filters, searches and times, alone and together, page after page, while rows come, change and go."""
    rng = random.Random(16)
    index, rows = SessionIndex(), {}
    for step in range(400):
        token = f"t{rng.randrange(80):02d}"
        if rng.random() < 0.2:
            assert index.remove(token) == (rows.pop(token, None) is not None)
        else:
            rows[token] = made_row(rng, token)
            index.put(rows[token])
        assert len(index) == len(rows)
        if step not in (120, 399):
            continue
        ordered = sorted(rows.values(), key=lambda row: row.place)
        for mode, status, search, player, since in product(
            ("", "duel", "chess"),
            ("", *STATUSES),
            ("", "r q", "t1", "a", "nobody"),
            ("", "guest", "x"),
            (0, 30),
        ):
            choice = Choice(mode, status, search, player, since, 0, limit=3)
            wanted = [row for row in ordered if suits(row, choice) and (status or row.place[0] != 2)]
            found: list[SessionRow] = []
            following = "first"
            while following:
                page, following = index.find(choice)
                assert len(page) == 3 or not following
                found += page
                choice = Choice(
                    mode, status, search, player, since, 0, 3, after=page[-1].place if page else None
                )
            assert found == wanted


def test_ended_sessions_follow_if_they_are_asked_for() -> None:
    """Only where no status is asked for, at most as many as asked, the newest first."""
    index = SessionIndex()
    for at in range(5):
        index.put(SessionRow((2, -at, f"e{at}"), "ended", "duel", at, (f"e{at}",), frozenset(), {}))
    index.put(SessionRow((0, 9, "open"), "open", "duel", 9, ("open",), frozenset(), {}))
    page, following = index.find(Choice("", "", "", "", 0, 0, limit=200, ended=2))
    assert [row.place[2] for row in page] == ["open", "e4", "e3"] and following == ""


def test_an_equal_row_changes_nothing() -> None:
    """Then a list keeps its version, and clients its ETag."""
    index, row = SessionIndex(), made_row(random.Random(1), "t")
    assert index.put(row) and not index.put(row)
    assert index.remove("t") and not index.remove("t")
