"""Claims and handovers of sessions: single cases, and a state machine that interleaves two servers in any order.

The machine's servers die, come back, claim, resume, hand over, journal, publish and finish, each with the last fence
that it got. After every step: the journal has every acknowledged input exactly once, in order; the events have no gap;
the epoch never decreases; calls with a stale fence have changed nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.conftest import HOLDER, World, connected
from tussle.lobby.claims import Claims
from tussle.lobby.errors import Conflict, Fenced, LobbyError
from tussle.lobby.operators import Operators
from tussle.lobby.recording_marks import RecordingMark, RecordingMarks
from tussle.lobby.runs import Fence, Orders, Resumed
from tussle.lobby.servers import HolderAddress
from tussle.lobby.settings import Settings

OTHER = HolderAddress("s2", "boot-9", "http://two:8420")
T = TypeVar("T")


async def lose_lease(world: World, holder: HolderAddress) -> None:
    await world.store.call("DEL", world.store.keys.server(holder.id))


async def last_held(world: World, holder: HolderAddress, at: int) -> None:
    """Make ``holder`` dead, with its last renewal at time ``at`` [ms]."""
    await world.store.call("ZADD", world.store.keys.servers, at, f"{holder.id}:{holder.nonce}")
    await lose_lease(world, holder)


async def take_over(world: World, session: str, server: HolderAddress) -> Fence:
    """``server`` finds the session without a holder, claims it and resumes it."""
    claims = Claims(world.store)
    unheld, _ = await claims.look(await world.servers.alive(), server)
    assert [await claims.claim(one, server) for one in unheld] == [True]
    return (await world.runs.resume(session, server)).fence


async def begun_turn(world: World, fence: Fence, length_ms: int = 20_000) -> int:
    """Begin a turn; returns when it ends [ms]."""
    published = await world.runs.publish(fence, 1, [(1, "turn_started", {"seat": 0})], deadline_ms=length_ms)
    return published.turn_ends_at


async def operate(world: World, session: str, what: Literal["pause", "resume"]) -> int:
    """Pause or resume as an operator; returns the store's time before the call [ms]."""
    operators, before = Operators(world.scripts, world.seating), await world.store.now_ms()
    await (operators.pause if what == "pause" else operators.resume)(session, "boss")
    return before


async def claimed(world: World) -> tuple[Fence, Resumed]:
    """The fence of HOLDER, which died, and the claim of OTHER, which resumed the session."""
    fence, _ = await world.running()
    claims = Claims(world.store)
    await world.register(OTHER)
    await lose_lease(world, HOLDER)
    unheld, ours = await claims.look(await world.servers.alive(), OTHER)
    assert (len(unheld), ours) == (1, [])
    assert await claims.claim(unheld[0], OTHER)
    return fence, await world.runs.resume(fence.session, OTHER)


async def test_a_dead_holders_session_is_claimed_once(world: World) -> None:
    """The old fence is refused and the new one writes. A second look finds no session without a holder."""
    old, resumed = await claimed(world)
    new = resumed.fence
    assert new.epoch > old.epoch
    assert (new.server, new.nonce) == (OTHER.id, OTHER.nonce)
    with pytest.raises(Fenced):
        await world.runs.journal(old, 5, [b"{}"])
    with pytest.raises(Fenced):
        await world.runs.publish(old, 5, [(5, "blow", {})])
    with pytest.raises(Fenced):
        await world.runs.checkpoint(old, 5, b"state")
    with pytest.raises(Fenced):
        await world.runs.finish(old, 5, [], None)
    assert await world.runs.journal(new, 5, [b"{}"]) == 1
    unheld, ours = await Claims(world.store).look(await world.servers.alive(), OTHER)
    assert (unheld, ours) == ([], [(new.session, "running")])


async def test_only_the_holder_says_how_far_a_recording_goes(world: World) -> None:
    """The mark of a holder that has lost its session changes nothing, nor does one with an older checkpoint; a
    checkpoint without a mark keeps the mark."""
    old, resumed = await claimed(world)
    new, marks = resumed.fence, RecordingMarks(world.store)
    mark = RecordingMark(new.epoch, 20, 9, "state-1", "a" * 64)
    stale = RecordingMark(old.epoch, 30, 14, "state-7", "b" * 64)
    assert await world.runs.checkpoint(new, 20, b"state", recording=mark)
    with pytest.raises(Fenced):
        await world.runs.checkpoint(old, 30, b"state", recording=stale)
    with pytest.raises(Fenced):
        await world.runs.finish(old, 30, [], None, recording=stale)
    assert not await world.runs.checkpoint(new, 10, b"older", recording=replace(mark, tick=10, length=4))
    assert await world.runs.checkpoint(new, 40, b"later")
    assert await marks.load(new.session) == mark
    last = replace(mark, tick=50, length=20, state="state-2")
    await world.runs.finish(new, 50, [], None, recording=last)
    assert await marks.load(new.session) == last


async def test_a_living_holder_keeps_its_session(world: World) -> None:
    """A claim by a server that saw the holder dead is refused once the holder has renewed its lease."""
    fence, _ = await world.running()
    claims = Claims(world.store)
    await world.register(OTHER)
    await lose_lease(world, HOLDER)
    unheld, _ = await claims.look(await world.servers.alive(), OTHER)
    await world.register()  # it was slow, not dead
    assert not await claims.claim(unheld[0], OTHER)
    assert await world.runs.journal(fence, 5, [b"{}"]) == 1
    assert (await claims.look(await world.servers.alive(), OTHER))[0] == []


async def test_a_server_without_a_lease_claims_nothing(world: World) -> None:
    """Its claim raises Fenced."""
    await world.running()
    claims = Claims(world.store)
    await lose_lease(world, HOLDER)
    unheld, _ = await claims.look([], OTHER)
    with pytest.raises(Fenced):
        await claims.claim(unheld[0], OTHER)


async def test_the_turn_clock_stops_without_a_holder(world: World) -> None:
    """After a takeover the turn has the time that it had at the last renewal of the dead holder."""
    fence, _ = await world.running()
    keys, claims = world.store.keys, Claims(world.store)
    await world.runs.publish(fence, 1, [(1, "turn_started", {"seat": 0})], deadline_ms=20_000)
    ends_at = int(await world.store.call("HGET", keys.session(fence.session), "turn_ends_at"))
    await world.register(OTHER)
    # The holder renewed last five seconds before the end of the turn.
    await last_held(world, HOLDER, ends_at - 5_000)
    unheld, _ = await claims.look(await world.servers.alive(), OTHER)
    assert await claims.claim(unheld[0], OTHER)
    resumed = await world.runs.resume(fence.session, OTHER)
    before = await world.store.now_ms()
    recovered = await claims.recovered(resumed.fence, 7, exact=True, ticks_again=0)
    [stored] = await world.views.events(fence.session, recovered.event.v - 1)
    assert stored == recovered.event  # the stream has the same event, with the same tick
    after = await world.store.now_ms()
    assert before + 5_000 <= recovered.turn_ends_at <= after + 5_000
    again = await claims.recovered(resumed.fence, 7, exact=True, ticks_again=0)
    assert (again.turn_ends_at, again.event.v) == (recovered.turn_ends_at, recovered.event.v)
    assert (await world.events(fence.session)).count("recovered") == 1


async def test_a_paused_turn_keeps_its_time_over_takeovers(world: World) -> None:
    """Holders that renew during the pause and die, twice, do not change the remaining time of the turn."""
    fence, _ = await world.running()
    ends_at = await begun_turn(world, fence)
    paused_at = await operate(world, fence.session, "pause")
    await world.register(OTHER)
    await last_held(world, HOLDER, ends_at - 1_000)
    second = await take_over(world, fence.session, OTHER)
    recovered = await Claims(world.store).recovered(second, 1, exact=True, ticks_again=0)
    assert (await world.runs.orders(fence.session)).paused
    third = HolderAddress("s3", "boot-1", "http://three:8420")
    await world.register(third)
    await last_held(world, OTHER, recovered.turn_ends_at - 2_000)
    last = await take_over(world, fence.session, third)
    await Claims(world.store).recovered(last, 1, exact=True, ticks_again=0)
    await operate(world, fence.session, "resume")
    clock = await world.runs.start_clock(last)
    assert ends_at - paused_at - 1_000 <= clock.ends_at - clock.now <= ends_at - paused_at
    running_on = await world.runs.start_clock(last)
    assert running_on.ends_at == clock.ends_at


async def test_a_pause_without_a_holder_takes_no_time(world: World) -> None:
    """A pause after the holder's death: the turn clock stopped at the holder's last renewal."""
    fence, _ = await world.running()
    await begun_turn(world, fence)
    clock = await world.runs.start_clock(fence, 10_000)
    await last_held(world, HOLDER, clock.now - 5_000)
    began_at = str(clock.now - 5_000)  # a server renews its lease after it has started a clock
    await world.store.call("HSET", world.store.keys.session(fence.session), "turn_clock_at", began_at)
    await operate(world, fence.session, "pause")
    await operate(world, fence.session, "resume")
    await world.register(OTHER)
    fence = await take_over(world, fence.session, OTHER)
    recovered = await Claims(world.store).recovered(fence, 1, exact=True, ticks_again=0)
    left = recovered.turn_ends_at - await world.store.now_ms()
    assert 14_000 <= left <= 15_000


async def test_a_holder_that_dies_before_its_first_renewal_gives_no_time_back(world: World) -> None:
    """The clock counts from when it last began to run, however old the holder's last renewal is."""
    fence, _ = await world.running()
    await begun_turn(world, fence)
    await last_held(world, HOLDER, await world.store.now_ms() - 60_000)
    await world.runs.start_clock(fence, 10_000)
    await world.register(OTHER)
    fence = await take_over(world, fence.session, OTHER)
    recovered = await Claims(world.store).recovered(fence, 1, exact=True, ticks_again=0)
    assert 9_000 <= recovered.turn_ends_at - await world.store.now_ms() <= 10_000


async def test_a_turn_that_begins_during_a_pause_has_all_its_time(world: World) -> None:
    """If the tick of the pause ends a turn, the clock of the next turn starts on resume."""
    fence, _ = await world.running()
    await operate(world, fence.session, "pause")
    await begun_turn(world, fence, 7_000)
    await operate(world, fence.session, "resume")
    clock = await world.runs.start_clock(fence)
    assert clock.ends_at - clock.now == 7_000


async def test_a_holder_that_was_away_sets_the_remaining_time(world: World) -> None:
    """``start_clock`` with a remaining time overrides the stored one; during a pause it does not start the clock."""
    fence, _ = await world.running()
    await begun_turn(world, fence)
    clock = await world.runs.start_clock(fence, 12_345)
    assert clock.ends_at - clock.now == 12_345
    await operate(world, fence.session, "pause")
    await world.runs.start_clock(fence, 5_000)
    await operate(world, fence.session, "resume")
    clock = await world.runs.start_clock(fence)
    assert clock.ends_at - clock.now == 5_000
    with pytest.raises(Fenced):
        await world.runs.start_clock(replace(fence, epoch=fence.epoch + 1))


async def test_a_new_boot_keeps_the_remaining_time_of_the_old_one(world: World) -> None:
    """A new boot under the same id renews; the turn clock still stopped at the last renewal of the old boot."""
    fence, _ = await world.running()
    ends_at = await begun_turn(world, fence)
    await last_held(world, HOLDER, ends_at - 9_000)
    again = HolderAddress(HOLDER.id, "boot-2", HOLDER.url)
    await world.register(again)
    assert await world.servers.renew(again.id, again.nonce, 60_000)
    await world.servers.forget_silent({(HOLDER.id, HOLDER.nonce)})
    fence = await take_over(world, fence.session, again)
    recovered = await Claims(world.store).recovered(fence, 1, exact=True, ticks_again=0)
    left = recovered.turn_ends_at - await world.store.now_ms()
    assert 8_000 <= left <= 9_000


async def test_a_boot_that_registers_again_keeps_its_last_renewal(world: World) -> None:
    """It may die before its runs start their clocks: registering alone does not move the last renewal."""
    fence, _ = await world.running()
    ends_at = await begun_turn(world, fence)
    await last_held(world, HOLDER, ends_at - 9_000)
    await world.register(HOLDER)
    await lose_lease(world, HOLDER)
    await world.register(OTHER)
    fence = await take_over(world, fence.session, OTHER)
    recovered = await Claims(world.store).recovered(fence, 1, exact=True, ticks_again=0)
    assert recovered.turn_ends_at - await world.store.now_ms() >= 8_000


async def test_an_end_before_the_run_is_stored(world: World) -> None:
    """A starting session stores a request to end; a pause is refused and changes nothing."""
    session, _ = await world.starting()
    operators = Operators(world.scripts, world.seating)
    with pytest.raises(Conflict) as refused:
        await operators.pause(session, "boss")
    assert refused.value.reason == "not_running"
    assert not (await world.runs.orders(session)).end
    await operators.end(session, "boss")
    assert await world.runs.orders(session) == Orders(paused=False, end=True)
    assert await world.status(session) == "starting"


async def test_a_session_is_handed_over_to_a_living_server(world: World) -> None:
    """The old fence is refused at once. A handover to a target without a lease changes nothing."""
    fence, _ = await world.running()
    claims = Claims(world.store)
    assert not await claims.hand_over(fence, OTHER)  # the target has no lease
    assert await world.runs.journal(fence, 3, [b"{}"]) == 1
    await world.register(OTHER)
    assert await claims.hand_over(fence, OTHER)
    with pytest.raises(Fenced):
        await world.runs.journal(fence, 4, [b"{}"])
    resumed = await world.runs.resume(fence.session, OTHER)
    assert [entry[2] for entry in await world.runs.read_journal(fence.session)] == [b"{}"]
    assert await world.runs.journal(resumed.fence, 4, [b"{}"]) == 1


async def test_a_starting_session_of_a_dead_server_is_begun_by_another(world: World) -> None:
    """The session has no world yet: the server that claims it begins it."""
    session, _ = await world.starting()
    claims = Claims(world.store)
    await world.register(OTHER)
    await lose_lease(world, HOLDER)
    unheld, _ = await claims.look(await world.servers.alive(), OTHER)
    assert [(one.session, one.status) for one in unheld] == [(session, "starting")]
    assert await claims.claim(unheld[0], OTHER)
    fence, members = await world.runs.begin(session, OTHER)
    assert (fence.server, len(members)) == (OTHER.id, 2)


@dataclass
class Model:
    """The expected journal, epoch and number of events, and whether the session has ended."""

    journal: list[tuple[int, bytes]] = field(default_factory=list)
    epoch: int = 0
    events: int = 0
    over: bool = False


class Interleaved(RuleBasedStateMachine):
    """Two servers and one session. ``url`` is set by the test."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.fences: dict[str, Fence | None] = {HOLDER.id: None, OTHER.id: None}
        self.alive = {HOLDER.id: True, OTHER.id: True}
        self.model = Model()
        self.tick = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        realm = f"test-{secrets.token_hex(4)}"
        stores = self.run(self.stack.enter_async_context(connected(self.url, realm)))
        self.world = World(stores[0], Settings(redis_url=self.url, realm=realm))
        self.claims = Claims(stores[0])
        fence, _ = self.run(self.world.running())
        self.run(self.world.register(OTHER))
        self.session = fence.session
        self.fences[HOLDER.id] = fence

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()

    def _holds(self, server: str) -> bool:
        """Whether the server's last fence is the present claim in the store."""
        fence = self.fences[server]
        if fence is None:
            return False
        keys = self.world.store.keys
        now = self.run(
            self.world.store.call("HMGET", keys.session(self.session), "holder", "epoch", "status")
        )
        return bool(now[0] == fence.server and now[1] == str(fence.epoch) and now[2] == "running")

    servers = st.sampled_from([HOLDER, OTHER])

    @rule(server=servers)
    def die(self, server: HolderAddress) -> None:
        self.run(lose_lease(self.world, server))
        self.alive[server.id] = False

    @rule(server=servers)
    def come_back(self, server: HolderAddress) -> None:
        """The same boot registers again, as after it or the store was stopped."""
        self.run(self.world.register(server))
        self.alive[server.id] = True

    @rule(server=servers)
    def claim(self, server: HolderAddress) -> None:
        async def claim() -> bool:
            unheld, _ = await self.claims.look(await self.world.servers.alive(), server)
            return any([await self.claims.claim(one, server) for one in unheld])

        try:
            taken = self.run(claim())
        except Fenced:
            assert not self.alive[server.id]
            return
        assert not taken or (self.alive[server.id] and not self.model.over)

    @rule(server=servers)
    def resume(self, server: HolderAddress) -> None:
        try:
            resumed = self.run(self.world.runs.resume(self.session, server))
        except LobbyError:
            return
        assert self.alive[server.id]
        self.fences[server.id] = resumed.fence
        # A holder continues after the newest input and the newest published tick.
        newest = max((tick for tick, _ in self.model.journal), default=0)
        self.tick = max(self.tick, newest, resumed.events_tick)

    @rule(giver=servers, receiver=servers)
    def hand_over(self, giver: HolderAddress, receiver: HolderAddress) -> None:
        fence = self.fences[giver.id]
        if fence is None or giver == receiver:
            return
        holds = self._holds(giver.id)
        try:
            given = self.run(self.claims.hand_over(fence, receiver))
        except Fenced:
            assert not holds
            return
        assert holds
        assert given == self.alive[receiver.id]

    @rule(server=servers, count=st.integers(1, 3), twice=st.booleans())
    def journal(self, server: HolderAddress, count: int, twice: bool) -> None:
        """Journal the inputs of the next tick. ``twice``: repeat the call, as after a lost reply."""
        fence = self.fences[server.id]
        if fence is None:
            return
        entries = [orjson.dumps({"seat": i, "by": server.id, "at": self.tick + 1}) for i in range(count)]
        holds = self._holds(server.id)
        try:
            self.run(self.world.runs.journal(fence, self.tick + 1, entries))
            if twice:
                assert self.run(self.world.runs.journal(fence, self.tick + 1, entries)) == 0
        except Fenced:
            assert not holds
            return
        assert holds
        self.tick += 1
        self.model.journal += [(self.tick, entry) for entry in entries]

    @rule(server=servers, again=st.booleans())
    def publish(self, server: HolderAddress, again: bool) -> None:
        fence = self.fences[server.id]
        if fence is None:
            return
        holds = self._holds(server.id)
        self.tick += 1
        try:
            first = self.run(self.world.runs.publish(fence, self.tick, [(self.tick, "blow", {"n": 1})]))
            if again:
                second = self.run(self.world.runs.publish(fence, self.tick, [(self.tick, "blow", {"n": 2})]))
                assert second.duplicate
                assert (second.first_v, second.last_v) == (first.first_v, first.last_v)
        except Fenced:
            assert not holds
            return
        assert holds

    @precondition(lambda self: not self.model.over)
    @rule(server=servers)
    def finish(self, server: HolderAddress) -> None:
        fence = self.fences[server.id]
        if fence is None:
            return
        holds = self._holds(server.id)
        try:
            self.run(self.world.runs.finish(fence, self.tick + 1, [], {"cause": "test"}))
        except Fenced:
            assert not holds
            return
        assert holds
        self.model.over = True

    @invariant()
    def every_acknowledged_input_is_journaled_once(self) -> None:
        if not hasattr(self, "session"):
            return
        stored = self.run(self.world.runs.read_journal(self.session))
        assert [(tick, entry) for tick, _, entry in stored] == self.model.journal

    @invariant()
    def events_have_no_gap_and_epochs_never_decrease(self) -> None:
        if not hasattr(self, "session"):
            return
        events = self.run(self.world.views.events(self.session, 0))
        assert [event.v for event in events] == list(range(1, len(events) + 1))
        assert len(events) >= self.model.events
        self.model.events = len(events)
        epoch = int(
            self.run(self.world.store.call("HGET", self.world.store.keys.session(self.session), "epoch"))
        )
        assert epoch >= self.model.epoch
        self.model.epoch = epoch


def test_two_servers_interleaved(store_url: str) -> None:
    """In any order of the servers' calls, acknowledged inputs are not lost, not doubled and not from a stale holder."""
    machine = type("Machine", (Interleaved,), {"url": store_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
