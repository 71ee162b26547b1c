"""Admission and turn clock of a session, without a solver, a store or a clock."""

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tussle.lobby.errors import Conflict, LobbyError, NotYourTurn, Refused
from tussle.lobby.rules.actions import ActionField, ActionKind, ActionSpec
from tussle.server.modes.mode import Phase, Standing
from tussle.server.sessions.core import SessionCore
from tussle.server.simulation.simulation import Advance


def launch_spec(seat: int) -> ActionSpec:
    return ActionSpec(seat, (ActionKind("launch", {"power": ActionField(low=0.0, high=1.0)}),))


def advance(
    tick: int, phase: Phase, seat: int | None, *, began: bool = False, deadline_s: float | None = 2.0
) -> Advance:
    return Advance(
        tick=tick, ticks_run=1, dt=1 / 60, frame=b"", topology=None,
        events=[(tick, "turn_started", {"seat": seat})] if began else [],
        phase=phase, seat=seat, actions=launch_spec(seat or 0) if phase == "acting" else None,
        deadline_s=deadline_s if began else None, round=1, turn=1, hashes=[], min_distance=1.0, contacts=0,
        iterations=0, unconverged=0, result=None, standing={},
    )  # fmt: skip


def acting(seat: int = 0, at: float = 100.0) -> SessionCore:
    core = SessionCore([0, 1])
    core.took(advance(7, "acting", seat, began=True), at)
    return core


def test_one_action_of_the_acting_seat_is_admitted_per_turn() -> None:
    """The second is a conflict; the batch holds exactly the first, for the coming tick."""
    core = acting()
    core.admit(0, 1, "launch", {"power": 0.5})
    with pytest.raises(Conflict) as caught:
        core.admit(0, 2, "launch", {"power": 0.5})
    assert caught.value.reason == "already_acted"
    batch = core.batch()
    assert (batch.tick, [(i.seat, i.id, i.kind) for i in batch.inputs]) == (8, [(0, 1, "launch")])
    assert core.batch().inputs == ()


def test_an_input_out_of_turn_is_refused_and_changes_nothing() -> None:
    """The other seat's action neither counts nor uses up the turn."""
    core = acting(seat=1)
    with pytest.raises(NotYourTurn):
        core.admit(0, 1, "launch", {"power": 0.5})
    assert core.waits()
    core.admit(1, 1, "launch", {"power": 0.5})


@pytest.mark.parametrize(
    ("kind", "d", "code", "field"),
    [
        ("fly", {}, "unknown_kind", "kind"),
        ("launch", {}, "missing_field", "power"),
        ("launch", {"power": 2.0}, "out_of_range", "power"),
        ("launch", {"power": "much"}, "bad_type", "power"),
        ("launch", {"power": 0.5, "spin": 1.0}, "unknown_field", "spin"),
        ("skip", {}, "unknown_kind", "kind"),
        ("leave", {}, "unknown_kind", "kind"),
    ],
)
def test_an_illegal_action_names_its_field(kind: str, d: dict[str, object], code: str, field: str) -> None:
    """Refused with code and field; the turn is not used up."""
    core = acting()
    with pytest.raises(Refused) as caught:
        core.admit(0, 1, kind, d)
    assert (caught.value.reason, caught.value.field) == (code, field)
    assert core.waits()


def test_a_passed_deadline_admits_one_skip() -> None:
    """Not before the deadline, once after it, and never when the seat has acted."""
    core = acting(at=100.0)
    core.expire(101.99)
    assert core.waits()
    core.expire(102.0)
    core.expire(103.0)
    assert [i.kind for i in core.batch().inputs] == ["skip"]

    acted = acting(at=100.0)
    acted.admit(0, 1, "launch", {"power": 1.0})
    acted.expire(1000.0)
    assert [i.kind for i in acted.batch().inputs] == ["launch"]


def test_a_leave_while_another_acts_keeps_the_turn_and_its_clock() -> None:
    """The forfeit is applied in a tick of its own; the deadline of the turn does not change."""
    core = acting(seat=0, at=100.0)
    core.leave(1)
    core.leave(1)
    assert [(i.seat, i.kind) for i in core.batch().inputs] == [(1, "leave")]
    core.took(advance(8, "acting", 0), 101.5)
    assert core.deadline == 102.0


class AnyOrder(RuleBasedStateMachine):
    """For any inputs in any order, each turn has exactly one action or skip, by the seat whose turn it is."""

    def __init__(self) -> None:
        super().__init__()
        self.core = SessionCore([0, 1, 2])
        self.now = 0.0
        self.tick = 0
        self.command = 0
        self.turn_seat = 0
        self.core.took(advance(0, "acting", 0, began=True), self.now)
        self.deciding: list[str] = []

    @rule(seat=st.integers(0, 2), kind=st.sampled_from(["launch", "fly", "skip"]), power=st.floats(-1, 2))
    def act(self, seat: int, kind: str, power: float) -> None:
        self.command += 1
        try:
            self.core.admit(seat, self.command, kind, {"power": power})
        except LobbyError:
            return
        assert seat == self.turn_seat
        assert kind == "launch"
        assert 0 <= power <= 1

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.core.expire(self.now)

    @rule(seat=st.integers(0, 2))
    def leave(self, seat: int) -> None:
        self.core.leave(seat)

    @precondition(lambda self: not self.core.waits())
    @rule()
    def step(self) -> None:
        batch = self.core.batch()
        assert batch.tick == self.tick + 1
        self.deciding += [i.kind for i in batch.inputs if i.kind != "leave"]
        assert len(self.deciding) <= 1
        self.tick += 1
        if self.deciding:
            self.deciding = []
            self.turn_seat = (self.turn_seat + 1) % 3
            self.core.took(advance(self.tick, "acting", self.turn_seat, began=True), self.now)
        else:
            self.core.took(advance(self.tick, "acting", self.turn_seat), self.now)

    @invariant()
    def a_deadline_is_armed_while_a_turn_waits(self) -> None:
        assert self.core.phase != "acting" or self.core.deadline is not None


TestAnyOrder = AnyOrder.TestCase


def test_an_action_and_the_forfeit_of_one_seat_are_in_two_batches() -> None:
    """The forfeit follows the action, so that neither makes the other illegal."""
    core = acting(seat=0, at=100.0)
    core.admit(0, 1, "launch", {"power": 0.5})
    core.leave(0)
    assert [(i.seat, i.kind) for i in core.batch().inputs] == [(0, "launch")]
    assert [(i.seat, i.kind) for i in core.batch().inputs] == [(0, "leave")]
    assert core.batch().inputs == ()


def test_a_seat_that_left_neither_acts_nor_is_skipped() -> None:
    """Only its forfeit is in the batch; an action is refused and no skip follows."""
    core = acting(seat=0, at=100.0)
    core.leave(0)
    with pytest.raises(Conflict) as caught:
        core.admit(0, 1, "launch", {"power": 0.5})
    assert caught.value.reason == "left"
    core.expire(1000.0)
    assert [(i.seat, i.kind) for i in core.batch().inputs] == [(0, "leave")]


def test_a_seat_that_is_out_has_nothing_left_to_give_up() -> None:
    """Leaving after going out changes nothing, so it cannot spoil the session for the others."""
    core = SessionCore([0, 1, 2])
    standing = {seat: Standing(health=0.0, points=0.0, out=seat == 2) for seat in range(3)}
    core.took(msgspec.structs.replace(advance(7, "acting", 0, began=True), standing=standing), 100.0)
    core.leave(2)
    assert core.waits()
    assert core.batch().inputs == ()


BOX = ActionSpec(
    0,
    (
        ActionKind("gravity", {"strength": ActionField()}, latest=True, cost=100.0),
        ActionKind("freeze", {}, latest=True),
        ActionKind("spawn", {}, cost=100.0),
        ActionKind("mark", {}),
    ),
)


def box() -> SessionCore:
    """The core of a session in slots, whose world moves."""
    core = SessionCore([0, 1])
    core.took(msgspec.structs.replace(advance(7, "moving", None), actions=BOX), 100.0)
    return core


def batched(core: SessionCore) -> list[tuple[int, int, str]]:
    return [(given.seat, given.id, given.kind) for given in core.batch().inputs]


def test_the_newest_of_a_kind_takes_the_place_of_the_older_ones() -> None:
    """115 settings of gravity in one tick: one is in the batch, which names the 114 others. Another kind that is
    ``latest`` in between changes nothing, and each seat has its own newest one."""
    core = box()
    for number in range(1, 116):
        core.admit(0, 2 * number, "gravity", {"strength": float(number)})
        core.admit(0, 2 * number + 1, "freeze", {})
    core.admit(1, 9, "gravity", {"strength": 3.0})
    batch = core.batch()
    assert [(given.seat, given.id) for given in batch.inputs] == [(0, 230), (0, 231), (1, 9)]
    assert batch.inputs[0].d == {"strength": 115.0}
    assert batch.superseded == {
        (0, 230): tuple(range(2, 230, 2)),
        (0, 231): tuple(range(3, 231, 2)),
    }
    assert core.batch().inputs == ()


def test_an_input_is_kept_that_another_one_may_have_read() -> None:
    """A mark between two settings of gravity saves the first one, so that both are applied."""
    core = box()
    core.admit(0, 1, "gravity", {"strength": 1.0})
    core.admit(0, 2, "mark", {})
    core.admit(0, 3, "gravity", {"strength": 2.0})
    core.admit(1, 1, "mark", {})
    core.admit(0, 4, "gravity", {"strength": 3.0})
    batch = core.batch()
    assert [(given.seat, given.id) for given in batch.inputs] == [(0, 1), (0, 2), (1, 1), (0, 4)]
    assert batch.superseded == {(0, 4): (3,)}


def test_superseded_inputs_count_as_waiting() -> None:
    """No more than 256 inputs wait, superseded ones too: their answers are remembered as well."""
    core = box()
    for number in range(1, 257):
        core.admit(0, number, "gravity", {"strength": 1.0})
    with pytest.raises(Conflict) as refused:
        core.admit(0, 257, "gravity", {"strength": 1.0})
    assert refused.value.reason == "too_many_inputs"
    core.batch()
    core.admit(0, 257, "gravity", {"strength": 1.0})


def test_one_tick_takes_a_bounded_cost() -> None:
    """Of ten inputs of 100 ms each tick takes two, in their order; one that alone is too costly is taken alone. A seat
    that left while its inputs wait is given up after the last of them."""
    core = box()
    for number in range(1, 11):
        core.admit(number % 2, number, "spawn", {})
    core.leave(1)
    taken = []
    for tick in range(5):
        batch = core.batch()
        taken += [given.id for given in batch.inputs if given.kind == "spawn"]
        assert len([given for given in batch.inputs if given.kind == "spawn"]) == 2, tick
        assert all(given.kind == "spawn" for given in batch.inputs)
    assert taken == list(range(1, 11))
    assert batched(core) == [(1, 0, "leave")]
    dear = ActionSpec(0, (ActionKind("reset", {}, cost=900.0),))
    core.took(msgspec.structs.replace(advance(8, "moving", None), actions=dear), 100.0)
    core.admit(0, 20, "reset", {})
    core.admit(0, 21, "reset", {})
    assert batched(core) == [(0, 20, "reset")]
    assert batched(core) == [(0, 21, "reset")]
