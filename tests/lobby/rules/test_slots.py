import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tussle.lobby.errors import Refused
from tussle.lobby.rules.slots import Slots


def test_grab_and_renew() -> None:
    """A lease ends ``lease_ticks`` after the last renewal; then its handle is free."""
    slots = Slots(capacity=2, lease_ticks=10).grab(0, "a", "v0", 100)
    slots = slots.renew(0, 105)
    assert slots.settle(115)[1] == ()
    slots, ended, _ = slots.settle(116)
    assert [lease.seat for lease in ended] == [0]
    assert slots.grab(1, "a", "v0", 117).of_seat(1) is not None


def test_two_on_one_body() -> None:
    """Two seats can hold two handles of one body, but not the same handle; one seat cannot hold two."""
    slots = Slots(capacity=4, lease_ticks=10).grab(0, "a", "v0", 0).grab(1, "a", "v1", 0)
    assert slots.holders("a") == (0, 1)
    with pytest.raises(Refused) as taken:
        slots.grab(2, "a", "v1", 0)
    with pytest.raises(Refused) as held:
        slots.grab(0, "b", "v0", 0)
    assert (taken.value.reason, held.value.reason) == ("handle_taken", "slot_held")


def test_queue_in_order() -> None:
    """With all slots taken, seats wait in order; the first one whose handle is free gets the next slot."""
    slots = Slots(capacity=1, lease_ticks=10).grab(0, "a", "v0", 0)
    slots = slots.grab(1, "a", "v1", 1).grab(2, "b", "v0", 2).grab(1, "b", "v2", 3)
    assert (slots.place(1), slots.place(2)) == (1, 2)
    slots, _, granted = slots.release(0).settle(4)
    assert [(lease.seat, lease.handle) for lease in granted] == [(1, "v2")]
    slots, ended, granted = slots.settle(15)
    assert [lease.seat for lease in ended] == [1]
    assert [lease.seat for lease in granted] == [2]
    assert slots.queue == ()


def test_nobody_jumps_the_queue() -> None:
    """While seats wait, a new one waits behind them, also if a slot is free."""
    slots = Slots(capacity=1, lease_ticks=10).grab(0, "a", "v0", 0).grab(1, "a", "v1", 1).release(0)
    slots = slots.grab(2, "b", "v0", 2)
    assert slots.place(2) == 2


def test_no_slot_to_renew() -> None:
    """A renewal without a lease is refused."""
    with pytest.raises(Refused) as caught:
        Slots(capacity=1, lease_ticks=10).renew(0, 1)
    assert caught.value.reason == "no_slot"


def test_body_goes() -> None:
    """Dropping a body removes its leases and the seats that wait for it."""
    slots = Slots(capacity=1, lease_ticks=10).grab(0, "a", "v0", 0).grab(1, "a", "v1", 0).drop_body("a")
    assert (slots.leases, slots.queue) == ((), ())


SEATS, BODIES, HANDLES = st.integers(0, 5), st.sampled_from("ab"), st.sampled_from(["v0", "v1"])


class SlotsMachine(RuleBasedStateMachine):
    """Any sequence of grabs, moves, releases, dropped bodies and ticks."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(capacity=2, lease_ticks=3)
        self.tick = 0

    @rule(seat=SEATS, body=BODIES, handle=HANDLES)
    def grab(self, seat: int, body: str, handle: str) -> None:
        try:
            self.slots = self.slots.grab(seat, body, handle, self.tick)
        except Refused:
            return
        assert (self.slots.of_seat(seat) is None) != (self.slots.place(seat) is None)

    @rule(seat=SEATS)
    def move(self, seat: int) -> None:
        try:
            self.slots = self.slots.renew(seat, self.tick)
        except Refused:
            assert self.slots.of_seat(seat) is None

    @rule(seat=SEATS)
    def release(self, seat: int) -> None:
        self.slots = self.slots.release(seat)
        assert self.slots.of_seat(seat) is None
        assert self.slots.place(seat) is None

    @rule(body=BODIES)
    def drop(self, body: str) -> None:
        self.slots = self.slots.drop_body(body)
        assert not self.slots.holders(body)

    @rule()
    def settle(self) -> None:
        self.tick += 1
        self.slots, ended, _ = self.slots.settle(self.tick)
        assert all(lease.until < self.tick for lease in ended)
        if len(self.slots.leases) < self.slots.capacity:
            taken = {(lease.body, lease.handle) for lease in self.slots.leases}
            assert all((wait.body, wait.handle) in taken for wait in self.slots.queue)

    @invariant()
    def exclusive(self) -> None:
        leases = self.slots.leases
        assert len(leases) <= self.slots.capacity
        assert len({lease.seat for lease in leases}) == len(leases)
        assert len({(lease.body, lease.handle) for lease in leases}) == len(leases)
        waiting = [wait.seat for wait in self.slots.queue]
        assert len(set(waiting)) == len(waiting)
        assert not set(waiting) & {lease.seat for lease in leases}


TestSlotsMachine = SlotsMachine.TestCase
