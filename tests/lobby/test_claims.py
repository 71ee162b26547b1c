"""Sessions that change hands: by table, and as a machine that interleaves two servers in any order.

The machine's servers die, come back, claim, resume, hand over, journal, publish and finish, each with whatever fence
it last had. After every step: the journal holds every acknowledged input exactly once, in order; the events have no
gap; the epoch never falls; and whatever a stale fence tried has changed nothing.
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
from tussle.lobby.runs import Fence, Orders, Resumed
from tussle.lobby.servers import HolderAddress
from tussle.lobby.settings import Settings

OTHER = HolderAddress("s2", "boot-9", "http://two:8420")
T = TypeVar("T")


async def lose_lease(world: World, holder: HolderAddress) -> None:
    await world.store.call("DEL", world.store.keys.server(holder.id))


async def last_held(world: World, holder: HolderAddress, at: int) -> None:
    """It renewed last at that time [ms], and is dead."""
    await world.store.call("ZADD", world.store.keys.servers, at, f"{holder.id}:{holder.nonce}")
    await lose_lease(world, holder)


async def handed_to(world: World, session: str, heir: HolderAddress) -> Fence:
    """The heir has found the session unheld, claimed it and taken it up."""
    claims = Claims(world.store)
    unheld, _ = await claims.look(await world.servers.alive(), heir)
    assert [await claims.claim(one, heir) for one in unheld] == [True]
    return (await world.runs.resume(session, heir)).fence


async def begun_turn(world: World, fence: Fence, length_ms: int = 20_000) -> int:
    """A turn has begun; when it ends [ms]."""
    published = await world.runs.publish(fence, 1, [(1, "turn_started", {"seat": 0})], deadline_ms=length_ms)
    return published.turn_ends_at


async def operate(world: World, session: str, what: Literal["pause", "resume"]) -> int:
    """An operator does that; the store's time just before [ms]."""
    operators, before = Operators(world.scripts, world.settings, world.seating), await world.store.now_ms()
    await (operators.pause if what == "pause" else operators.resume)(session, "boss")
    return before


async def claimed(world: World) -> tuple[Fence, Resumed]:
    """A running session of HOLDER, which died; OTHER has claimed and resumed it."""
    fence, _ = await world.running()
    claims = Claims(world.store)
    await world.register(OTHER)
    await lose_lease(world, HOLDER)
    unheld, ours = await claims.look(await world.servers.alive(), OTHER)
    assert (len(unheld), ours) == (1, [])
    assert await claims.claim(unheld[0], OTHER)
    return fence, await world.runs.resume(fence.session, OTHER)


async def test_a_dead_holders_session_is_claimed_once(world: World) -> None:
    """Its fences are void, the new one writes; a second claim finds nothing to do."""
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


async def test_a_living_holder_keeps_its_session(world: World) -> None:
    """Neither a claim nor a look finds anything, however late the caller's knowledge is."""
    fence, _ = await world.running()
    claims = Claims(world.store)
    await world.register(OTHER)
    await lose_lease(world, HOLDER)
    unheld, _ = await claims.look(await world.servers.alive(), OTHER)
    await world.register()  # it was only slow
    assert not await claims.claim(unheld[0], OTHER)
    assert await world.runs.journal(fence, 5, [b"{}"]) == 1
    assert (await claims.look(await world.servers.alive(), OTHER))[0] == []


async def test_a_server_without_a_lease_claims_nothing(world: World) -> None:
    """It is fenced before it can harm."""
    await world.running()
    claims = Claims(world.store)
    await lose_lease(world, HOLDER)
    unheld, _ = await claims.look([], OTHER)
    with pytest.raises(Fenced):
        await claims.claim(unheld[0], OTHER)


async def test_the_turn_clock_stands_while_nobody_holds(world: World) -> None:
    """What was left of the turn when the holder last renewed is left when the world stands again."""
    fence, _ = await world.running()
    keys, claims = world.store.keys, Claims(world.store)
    await world.runs.publish(fence, 1, [(1, "turn_started", {"seat": 0})], deadline_ms=20_000)
    ends_at = int(await world.store.call("HGET", keys.session(fence.session), "turn_ends_at"))
    await world.register(OTHER)
    # It renewed last five seconds before the turn would have ended, and has been gone for a while.
    await last_held(world, HOLDER, ends_at - 5_000)
    unheld, _ = await claims.look(await world.servers.alive(), OTHER)
    assert await claims.claim(unheld[0], OTHER)
    resumed = await world.runs.resume(fence.session, OTHER)
    before = await world.store.now_ms()
    recovered = await claims.recovered(resumed.fence, 7, exact=True, ticks_again=0)
    [stored] = await world.views.events(fence.session, recovered.event.v - 1)
    assert stored == recovered.event  # whoever reads it from the stream hears the same, its tick too
    after = await world.store.now_ms()
    assert before + 5_000 <= recovered.turn_ends_at <= after + 5_000
    again = await claims.recovered(resumed.fence, 7, exact=True, ticks_again=0)
    assert (again.turn_ends_at, again.event.v) == (recovered.turn_ends_at, recovered.event.v)
    assert (await world.events(fence.session)).count("recovered") == 1


async def test_a_paused_turn_keeps_its_rest_over_a_takeover(world: World) -> None:
    """The holder renewed for long after the pause, and died; so did its heir. What the operator left is left."""
    fence, _ = await world.running()
    ends_at = await begun_turn(world, fence)
    paused_at = await operate(world, fence.session, "pause")
    await world.register(OTHER)
    await last_held(world, HOLDER, ends_at - 1_000)
    second = await handed_to(world, fence.session, OTHER)
    stood = await Claims(world.store).recovered(second, 1, exact=True, ticks_again=0)
    assert (await world.runs.orders(fence.session)).paused
    third = HolderAddress("s3", "boot-1", "http://three:8420")
    await world.register(third)
    await last_held(world, OTHER, stood.turn_ends_at - 2_000)
    last = await handed_to(world, fence.session, third)
    await Claims(world.store).recovered(last, 1, exact=True, ticks_again=0)
    await operate(world, fence.session, "resume")
    clock = await world.runs.start_clock(last)
    assert ends_at - paused_at - 1_000 <= clock.ends_at - clock.now <= ends_at - paused_at
    running_on = await world.runs.start_clock(last)
    assert running_on.ends_at == clock.ends_at


async def test_a_pause_of_what_nobody_holds_takes_nothing(world: World) -> None:
    """The holder was dead already when the operator paused: the turn had stood since it was last held."""
    fence, _ = await world.running()
    await begun_turn(world, fence)
    clock = await world.runs.start_clock(fence, 10_000)
    await last_held(world, HOLDER, clock.now - 5_000)
    await operate(world, fence.session, "pause")
    await operate(world, fence.session, "resume")
    await world.register(OTHER)
    heir = await handed_to(world, fence.session, OTHER)
    recovered = await Claims(world.store).recovered(heir, 1, exact=True, ticks_again=0)
    left = recovered.turn_ends_at - await world.store.now_ms()
    assert 14_000 <= left <= 15_000


async def test_a_turn_that_begins_in_a_pause_begins_with_all_its_time(world: World) -> None:
    """The tick in which the pause came ended a turn: the next one stands from its beginning."""
    fence, _ = await world.running()
    await operate(world, fence.session, "pause")
    await begun_turn(world, fence, 7_000)
    await operate(world, fence.session, "resume")
    clock = await world.runs.start_clock(fence)
    assert clock.ends_at - clock.now == 7_000


async def test_a_holder_that_was_away_says_what_is_left(world: World) -> None:
    """It knows better than the store for how long the clock stood; while the session is paused it stands on."""
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


async def test_a_boot_under_the_same_name_keeps_the_turns_of_the_one_before(world: World) -> None:
    """The name is taken again, and renewed: the old boot's last renewal still says since when nobody holds."""
    fence, _ = await world.running()
    ends_at = await begun_turn(world, fence)
    await last_held(world, HOLDER, ends_at - 9_000)
    again = HolderAddress(HOLDER.id, "boot-2", HOLDER.url)
    await world.register(again)
    assert await world.servers.renew(again.id, again.nonce, 60_000)
    await world.servers.forget_silent({(HOLDER.id, HOLDER.nonce)})
    heir = await handed_to(world, fence.session, again)
    recovered = await Claims(world.store).recovered(heir, 1, exact=True, ticks_again=0)
    left = recovered.turn_ends_at - await world.store.now_ms()
    assert 8_000 <= left <= 9_000


async def test_a_boot_that_takes_its_lease_again_leaves_its_last_renewal(world: World) -> None:
    """Until it renews: it may die before its runs have said what their clocks had left."""
    fence, _ = await world.running()
    ends_at = await begun_turn(world, fence)
    await last_held(world, HOLDER, ends_at - 9_000)
    await world.register(HOLDER)
    await lose_lease(world, HOLDER)
    await world.register(OTHER)
    heir = await handed_to(world, fence.session, OTHER)
    recovered = await Claims(world.store).recovered(heir, 1, exact=True, ticks_again=0)
    assert recovered.turn_ends_at - await world.store.now_ms() >= 8_000


async def test_an_end_may_be_asked_for_before_the_run(world: World) -> None:
    """A session that is being set up takes the order for later; a pause of it is refused, and changes nothing."""
    session, _ = await world.starting()
    operators = Operators(world.scripts, world.settings, world.seating)
    with pytest.raises(Conflict) as refused:
        await operators.pause(session, "boss")
    assert refused.value.reason == "not_running"
    assert not (await world.runs.orders(session)).end
    await operators.end(session, "boss")
    assert await world.runs.orders(session) == Orders(paused=False, end=True)
    assert await world.status(session) == "starting"


async def test_a_session_is_handed_over_between_the_living(world: World) -> None:
    """The giver is fenced at once; without an heir nothing changes."""
    fence, _ = await world.running()
    claims = Claims(world.store)
    assert not await claims.hand_over(fence, OTHER)  # it has no lease
    assert await world.runs.journal(fence, 3, [b"{}"]) == 1
    await world.register(OTHER)
    assert await claims.hand_over(fence, OTHER)
    with pytest.raises(Fenced):
        await world.runs.journal(fence, 4, [b"{}"])
    resumed = await world.runs.resume(fence.session, OTHER)
    assert [entry[2] for entry in await world.runs.read_journal(fence.session)] == [b"{}"]
    assert await world.runs.journal(resumed.fence, 4, [b"{}"]) == 1


async def test_a_starting_session_of_a_dead_server_is_begun_by_another(world: World) -> None:
    """It was never set up: the claimant begins it as its own."""
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
    """What must be true of the session, whoever did what."""

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
        """By the store's word: the fence that it last got is the present claim."""
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
        """The same boot again: it was stopped, or the store was."""
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
        # What a holder does: it goes on behind the newest input and the newest public tick.
        newest = max((tick for tick, _ in self.model.journal), default=0)
        self.tick = max(self.tick, newest, resumed.events_tick)

    @rule(giver=servers, heir=servers)
    def hand_over(self, giver: HolderAddress, heir: HolderAddress) -> None:
        fence = self.fences[giver.id]
        if fence is None or giver == heir:
            return
        holds = self._holds(giver.id)
        try:
            given = self.run(self.claims.hand_over(fence, heir))
        except Fenced:
            assert not holds
            return
        assert holds
        assert given == self.alive[heir.id]

    @rule(server=servers, count=st.integers(1, 3), twice=st.booleans())
    def journal(self, server: HolderAddress, count: int, twice: bool) -> None:
        """Inputs of the coming tick; ``twice``: the reply was lost and the call is repeated."""
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
    def every_acknowledged_input_is_there_once(self) -> None:
        if not hasattr(self, "session"):
            return
        stored = self.run(self.world.runs.read_journal(self.session))
        assert [(tick, entry) for tick, _, entry in stored] == self.model.journal

    @invariant()
    def events_have_no_gap_and_epochs_never_fall(self) -> None:
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
    """Whatever order two servers act in, nothing acknowledged is lost, doubled or written by a stale owner."""
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
