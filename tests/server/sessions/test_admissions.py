"""Inputs from arrival to answer: repeated, superseded and too costly ones, without a solver, a store or a clock."""

from __future__ import annotations

import msgspec
import pytest

from tests.server.sessions.test_core import BOX, advance
from tussle.lobby.errors import LobbyError, RateLimited, Refused
from tussle.lobby.settings import Settings
from tussle.server.costs import Ledger
from tussle.server.sessions.admissions import Admissions
from tussle.server.sessions.core import InputBatch, SessionCore, Superseded

Outcome = int | Superseded | LobbyError | None


class Desk:
    """Admissions of a session in slots, with the outcomes that were answered."""

    def __init__(self, *, cost_rate: float = 100.0, cost_burst: float = 400.0) -> None:
        self.core = SessionCore([0, 1])
        self.core.took(msgspec.structs.replace(advance(7, "moving", None), actions=BOX), 100.0)
        settings = Settings(input_cost_rate=cost_rate, input_cost_burst=cost_burst)
        self.ledger = Ledger(settings, lambda *_: None)
        self.admissions = Admissions(self.core, lambda: None, self.ledger, "k7qm2xpv")
        self.answers: list[tuple[int, Outcome]] = []

    def send(self, number: int, kind: str = "gravity", at: float = 100.0, seat: int = 0) -> None:
        d = {"strength": float(number)} if kind == "gravity" else {}
        self.admissions.queue(
            seat, number, kind, d, at, lambda outcome: self.answers.append((number, outcome))
        )

    def journal(self) -> InputBatch:
        """Close a batch and acknowledge it."""
        batch = self.core.batch()
        for given in batch.inputs:
            older = batch.superseded.get((given.seat, given.id), ())
            self.admissions.journaled(given, batch.tick, older)
        return batch


def test_a_superseded_input_is_answered_when_the_newer_one_is_journaled() -> None:
    """Nothing is answered before the journal. Then the older ones are superseded at the tick of the newest, and each of
    them gets the same answer again, however often it is sent."""
    desk = Desk()
    for number in (1, 2, 3):
        desk.send(number)
    assert desk.answers == []
    desk.send(1)  # sent again while it waits
    desk.journal()
    assert desk.answers == [(1, Superseded(8)), (1, Superseded(8)), (2, Superseded(8)), (3, 8)]
    desk.answers.clear()
    for number in (3, 2, 1):
        desk.send(number)
    assert desk.answers == [(3, 8), (2, Superseded(8)), (1, Superseded(8))]
    assert desk.core.batch().inputs == ()


def test_inputs_that_wait_are_answered_when_the_session_moves() -> None:
    """A superseded one too: its client sends it to the next holder, before the newer one."""
    desk = Desk()
    desk.send(1)
    desk.send(2)
    desk.admissions.release(None)
    assert sorted(desk.answers, key=lambda pair: pair[0]) == [(1, None), (2, None)]


def test_a_seat_has_a_budget_of_solver_time() -> None:
    """Spawns of 100 ms: four at once, then one a second. The refusal says when it may succeed, changes nothing, and
    costs the other seat nothing."""
    desk = Desk()
    for number in range(1, 5):
        desk.send(number, "spawn")
    with pytest.raises(RateLimited) as refused:
        desk.send(5, "spawn", at=100.5)
    assert refused.value.reason == "too_costly"
    assert refused.value.retry_after == pytest.approx(0.5)
    [shown] = [row for row in desk.ledger.snapshot() if row["resource"] == "input_cost"]
    assert (shown["refusals"], shown["keys"][0]["key"]) == (1, "k7qm2xpv seat 0")
    desk.send(5, "spawn", seat=1)
    desk.send(6, "mark", at=100.5)  # what costs nothing is always possible
    desk.send(7, "spawn", at=101.1)
    sent = [desk.journal() for _ in range(4)]
    taken = [(given.seat, given.id) for batch in sent for given in batch.inputs]
    assert taken == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (0, 6), (0, 7)]


def test_what_is_not_done_costs_nothing() -> None:
    """A superseded input gives its cost back, and so does one that is refused: a slider may be dragged for ever."""
    desk = Desk(cost_burst=150.0)
    for number in range(1, 101):
        desk.send(number)
    desk.journal()
    with pytest.raises(RateLimited):
        desk.send(101)
    desk = Desk(cost_burst=150.0)
    for number in range(1, 10):
        with pytest.raises(Refused):
            desk.admissions.queue(0, number, "gravity", {"strength": "much"}, 100.0, lambda _: None)
    desk.send(10)


def test_an_input_above_the_whole_budget_takes_all_of_it() -> None:
    """Else a small budget would forbid the kind for ever."""
    desk = Desk(cost_burst=50.0)
    desk.send(1, "spawn")
    with pytest.raises(RateLimited):
        desk.send(2, "spawn")
    desk.send(2, "spawn", at=100.5)
