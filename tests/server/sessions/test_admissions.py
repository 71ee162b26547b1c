"""Inputs from arrival to answer: repeated, superseded and too costly ones, without a solver, a store or a clock."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.sessions.test_core import BOX, advance
from tussle.lobby.errors import Conflict, LobbyError, RateLimited, Refused
from tussle.lobby.runs import Member
from tussle.lobby.settings import Settings
from tussle.server.costs import Ledger, Owner, Resource
from tussle.server.sessions.admissions import Admissions
from tussle.server.sessions.core import InputBatch, SessionCore, Superseded
from tussle.server.simulation.simulation import Input

Outcome = int | Superseded | LobbyError | None


class Answering:
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
        for item in batch.inputs:
            older = batch.superseded.get((item.seat, item.id), ())
            self.admissions.journaled(item, batch.tick, older)
        return batch


def test_an_input_that_is_sent_again_after_a_takeover_is_acknowledged() -> None:
    """Its acknowledgement was lost with the server. The new holder has its tick from the journal and answers with it;
    an id that had no effect there is refused if a later one had; otherwise it is new."""
    answering = Answering()
    answering.admissions.restored(Input(0, "gravity", 3, {"strength": 1.0}), 7)

    def again(number: int) -> None:
        answering.admissions.queue(
            0, number, "gravity", {"strength": 1.0}, 100.0, lambda outcome: answering.answers.append((number, outcome)),
            again=True,
        )  # fmt: skip

    again(3)
    assert answering.answers == [(3, 7)]
    with pytest.raises(Conflict) as refused:
        again(2)
    assert refused.value.reason == "stale_id"
    again(4)
    assert [item.id for item in answering.journal().inputs] == [4] and answering.answers[-1] == (4, 8)
    member = Member(0, "p", "ada", "person", "", "bar", left=False, last_id=9)
    later = Admissions(answering.core, lambda: None, answering.ledger, "k7qm2xpv", [member])
    with pytest.raises(Conflict):  # published by an earlier holder, and no longer in the journal
        later.queue(0, 9, "gravity", {"strength": 1.0}, 100.0, lambda _: None, again=True)


def test_a_superseded_input_is_answered_when_the_newer_one_is_journaled() -> None:
    """Nothing is answered before the journal. Then the older ones are superseded at the tick of the newest, and each of
    them gets the same answer again, however often it is sent."""
    answering = Answering()
    for number in (1, 2, 3):
        answering.send(number)
    assert answering.answers == []
    answering.send(1)  # sent again while it waits
    answering.journal()
    assert answering.answers == [(1, Superseded(8)), (1, Superseded(8)), (2, Superseded(8)), (3, 8)]
    answering.answers.clear()
    for number in (3, 2, 1):
        answering.send(number)
    assert answering.answers == [(3, 8), (2, Superseded(8)), (1, Superseded(8))]
    assert answering.core.batch().inputs == ()


@pytest.mark.parametrize("journaled", [False, True])
def test_an_older_input_that_comes_late_does_not_supersede_a_newer_one(journaled: bool) -> None:
    """While a session moves, the inputs of a seat may come by two ways, so that the newest one comes first. It takes
    effect, and the older ones are answered as superseded at its tick, also when they are sent again."""
    answering = Answering()
    answering.send(115)
    if journaled:
        answering.journal()
    for number in (1, 12):
        answering.send(number)
    batch = answering.journal()
    assert [item.id for item in batch.inputs] == ([] if journaled else [115])
    assert sorted(answering.answers, key=lambda pair: pair[0]) == [
        (1, Superseded(8)),
        (12, Superseded(8)),
        (115, 8),
    ]
    answering.answers.clear()
    answering.send(12)
    assert answering.answers == [(12, Superseded(8))]
    assert answering.core.batch().inputs == ()


def test_an_older_input_that_comes_while_the_newer_one_is_being_journaled_waits_for_it() -> None:
    """The batch is closed and not yet written."""
    answering = Answering()
    answering.send(2)
    batch = answering.core.batch()
    answering.send(1)
    assert answering.answers == []
    answering.admissions.journaled(batch.inputs[0], batch.tick)
    assert answering.answers == [(2, 8), (1, Superseded(8))]
    assert answering.core.batch().inputs == ()


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(1, 9)),
            st.tuples(st.sampled_from(["journal", "take_over", "refuse"]), st.just(0)),
        ),
        max_size=40,
    )
)
def test_the_newest_input_wins_in_any_order_of_arrival(steps: list[tuple[str, int]]) -> None:
    """Inputs of one kind and seat arrive in any order and any number of times. Between them batches are journaled,
    seats have no budget left, and another server takes over with the journal and gets the unanswered ones again. What
    is journaled is in the order of the ids, each once; the newest one that is answered took effect; each superseded one
    names the tick of a newer one."""
    answering, log = Answering(cost_rate=1e-6, cost_burst=1e9), []
    answers: dict[int, int | Superseded] = {}
    waiting: set[int] = set()

    def journal() -> None:
        batch = answering.journal()
        log.extend((batch.tick, item, batch.superseded.get((0, item.id), ())) for item in batch.inputs)
        answering.core.tick = batch.tick

    def hear() -> None:
        for number, outcome in answering.answers:
            assert isinstance(outcome, int | Superseded)
            waiting.discard(number)
            assert answers.setdefault(number, outcome) == outcome or isinstance(outcome, Superseded)
        answering.answers.clear()

    for what, number in [*steps, ("journal", 0)]:
        if what == "send":
            waiting.add(number)
            answering.send(number)
        elif what == "journal":
            journal()
        elif what == "refuse":
            budget = answering.ledger.bucket(Resource.INPUT_COST, Owner.SEAT, "k7qm2xpv seat 0")
            level, budget.level = budget.level, 0.0
            with contextlib.suppress(RateLimited):
                answering.send(10)
                waiting.add(10)
            budget.level = level
        else:
            hear()
            tick, answering = answering.core.tick, Answering(cost_rate=1e-6, cost_burst=1e9)
            answering.core.tick = tick
            for at, item, older in log:
                answering.admissions.restored(item, at, older)
            for again in sorted(waiting):
                answering.send(again)
        hear()
    assert not waiting
    ids = [item.id for _, item, _ in log]
    assert ids == sorted(set(ids))
    assert not answers or max(answers) == ids[-1]
    ticks = {tick: item.id for tick, item, _ in log}
    for number, outcome in answers.items():
        if isinstance(outcome, Superseded):
            assert ticks[outcome.tick] > number
        else:
            assert ticks[outcome] == number


def test_inputs_that_wait_are_answered_when_the_session_moves() -> None:
    """A superseded one too: its client sends it to the next holder, before the newer one."""
    answering = Answering()
    answering.send(1)
    answering.send(2)
    answering.admissions.release(None)
    assert sorted(answering.answers, key=lambda pair: pair[0]) == [(1, None), (2, None)]


def test_a_seat_has_a_budget_of_solver_time() -> None:
    """Spawns of 100 ms: four at once, then one a second. The refusal says when it may succeed, changes nothing, and
    costs the other seat nothing."""
    answering = Answering()
    for number in range(1, 5):
        answering.send(number, "spawn")
    with pytest.raises(RateLimited) as refused:
        answering.send(5, "spawn", at=100.5)
    assert refused.value.reason == "too_costly"
    assert refused.value.retry_after == pytest.approx(0.5)
    [shown] = [row for row in answering.ledger.snapshot() if row["resource"] == "input_cost"]
    assert (shown["refusals"], shown["keys"][0]["key"]) == (1, "k7qm2xpv seat 0")
    answering.send(5, "spawn", seat=1)
    answering.send(6, "mark", at=100.5)  # what costs nothing is always possible
    answering.send(7, "spawn", at=101.1)
    sent = [answering.journal() for _ in range(4)]
    taken = [(given.seat, given.id) for batch in sent for given in batch.inputs]
    assert taken == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (0, 6), (0, 7)]


def test_what_is_not_done_costs_nothing() -> None:
    """A superseded input gives its cost back, and so does one that is refused: a slider may be dragged for ever."""
    answering = Answering(cost_burst=150.0)
    for number in range(1, 101):
        answering.send(number)
    answering.journal()
    with pytest.raises(RateLimited):
        answering.send(101)
    answering = Answering(cost_burst=150.0)
    for number in range(1, 10):
        with pytest.raises(Refused):
            answering.admissions.queue(0, number, "gravity", {"strength": "much"}, 100.0, lambda _: None)
    answering.send(10)


def test_an_input_above_the_whole_budget_takes_all_of_it() -> None:
    """Else a small budget would forbid the kind for ever."""
    answering = Answering(cost_burst=50.0)
    answering.send(1, "spawn")
    with pytest.raises(RateLimited):
        answering.send(2, "spawn")
    answering.send(2, "spawn", at=100.5)
