"""The turn clock of a session as a machine: two servers, an operator and time, in any order, on a real store.

Servers die, come back as the same boot or as another one under their name, claim and stand up; the operator pauses and
lets go on. Time passes in strides that no test runs for: every time in the store is moved back. After every step the
store knows what is left of the turn: all of it but the time in which a living holder ran it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

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
from tussle.lobby.operators import Operators
from tussle.lobby.runs import Fence
from tussle.lobby.servers import HolderAddress
from tussle.lobby.settings import Settings

T = TypeVar("T")

STRIDE_MS = 1_000_000
"""Time passes by this; what the test itself takes is nothing beside it."""

LENGTH_MS = 50 * STRIDE_MS
NAMES = st.sampled_from(["s1", "s2"])


@dataclass
class Boot:
    """A server as it is now. ``fence``: its newest claim of the session, if it has stood it up."""

    address: HolderAddress
    alive: bool = True
    fence: Fence | None = None


class TurnClock(RuleBasedStateMachine):
    """``rest_ms`` is the model. ``url`` is set by the test."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.numbers = itertools.count(1)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        realm = f"test-{secrets.token_hex(4)}"
        [self.store] = self.run(self.stack.enter_async_context(connected(self.url, realm)))
        self.world = World(self.store, Settings(redis_url=self.url, realm=realm))
        self.claims = Claims(self.store)
        self.operators = Operators(self.world.scripts, self.world.settings, self.world.seating)
        fence, _ = self.run(self.world.running())
        self.session, self.key = fence.session, self.store.keys.session(fence.session)
        other = HolderAddress("s2", "boot-1", "http://two:8420")
        self.run(self.world.register(other))
        self.boots = {"s1": Boot(HOLDER, fence=fence), "s2": Boot(other)}
        self.holder = self.boots["s1"]
        self.paused = False
        self.going = True
        """The holder runs the turn: it has stood the world up, and gone on after whatever held it."""
        self.turn()

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()

    @property
    def runs(self) -> bool:
        return self.holder.alive and self.going and not self.paused

    def member(self, boot: Boot) -> str:
        return f"{boot.address.id}:{boot.address.nonce}"

    # what happens

    @rule(strides=st.integers(1, 3))
    def time_passes(self, strides: int) -> None:
        """The living have heard of everything and renew."""
        self.go_on()
        if self.runs:
            self.rest_ms = max(0, self.rest_ms - strides * STRIDE_MS)
        self.run(self.shift(strides * STRIDE_MS))

    async def shift(self, by_ms: int) -> None:
        await self.store.call("HINCRBY", self.key, "turn_ends_at", -by_ms)
        servers = self.store.keys.servers
        for member in await self.store.call("ZRANGE", servers, 0, -1):
            await self.store.call("ZINCRBY", servers, -by_ms, member)
        for boot in self.boots.values():
            if boot.alive:
                assert await self.world.servers.renew(boot.address.id, boot.address.nonce, 60_000)

    @rule(name=NAMES)
    def die(self, name: str) -> None:
        boot = self.boots[name]
        self.run(self.silence(boot))
        boot.alive = False
        if boot is self.holder:
            self.going = False

    async def silence(self, boot: Boot) -> None:
        await self.store.call("DEL", self.store.keys.server(boot.address.id))

    @rule(name=NAMES)
    def come_back(self, name: str) -> None:
        """The same boot: it was stopped, or cut off. Its run has not gone on yet, and it may die before that."""
        boot = self.boots[name]
        if not boot.alive:
            self.run(self.world.register(boot.address))
            boot.alive = True

    @rule(name=NAMES)
    def start_again(self, name: str) -> None:
        """Another boot, under the same name."""
        old = self.boots[name]
        if old.alive:
            return
        boot = Boot(HolderAddress(name, f"boot-{secrets.token_hex(4)}", old.address.url))
        self.run(self.world.register(boot.address))
        self.boots[name] = boot

    @rule(name=NAMES)
    def claim(self, name: str) -> None:
        boot = self.boots[name]
        if not boot.alive:
            return
        unheld, _ = self.run(self.looked(boot))
        for one in unheld:
            assert self.run(self.claims.claim(one, boot.address))
            self.holder, self.going, boot.fence = boot, False, None

    async def looked(self, boot: Boot) -> Any:
        return await self.claims.look(await self.world.servers.alive(), boot.address)

    @rule()
    def go_on(self) -> None:
        """The holder, if it lives, stands up what it claimed, or goes on with what it had."""
        boot = self.holder
        if not boot.alive or self.going:
            return
        if boot.fence is None:
            boot.fence = self.run(self.world.runs.resume(self.session, boot.address)).fence
            self.run(self.claims.recovered(boot.fence, 1, exact=True, ticks_again=0))
        else:  # it was away, and knows for how long
            self.run(self.world.runs.start_clock(boot.fence, self.rest_ms))
        self.going = True

    @rule(again=st.booleans())
    def pause(self, again: bool) -> None:
        for _ in range(1 + again):
            self.run(self.operators.pause(self.session, "boss"))
        self.paused = True

    @rule()
    def let_go_on(self) -> None:
        self.run(self.operators.resume(self.session, "boss"))
        if self.paused:
            self.paused = False
            if self.holder.alive and self.going and self.holder.fence is not None:
                self.run(self.world.runs.start_clock(self.holder.fence))

    @precondition(lambda self: self.holder.alive and self.going)
    @rule()
    def turn(self) -> None:
        """The next turn begins; also in the tick in which a pause came."""
        tick = next(self.numbers)
        assert self.holder.fence is not None
        self.run(
            self.world.runs.publish(
                self.holder.fence, tick, [(tick, "turn_started", {})], deadline_ms=LENGTH_MS
            )
        )
        self.rest_ms = LENGTH_MS

    # what is true then

    @invariant()
    def the_store_knows_the_rest(self) -> None:
        if not hasattr(self, "rest_ms"):
            return
        left, ends_at = self.run(self.store.call("HMGET", self.key, "turn_left_ms", "turn_ends_at"))
        now = self.run(self.store.now_ms())
        if self.runs:
            assert left is None, "the clock stands, and nobody knows why"
            rest = int(ends_at) - now
        elif self.holder.alive and self.going:
            rest = int(left)
        else:  # what a claim would find
            last = float(
                self.run(self.store.call("ZSCORE", self.store.keys.servers, self.member(self.holder)))
            )
            rest = max(int(left or 0), int(ends_at) - int(last))
        assert abs(max(0, rest) - self.rest_ms) < STRIDE_MS / 2, (rest / STRIDE_MS, self.rest_ms / STRIDE_MS)


def test_a_turn_has_all_its_time_but_what_it_ran(store_url: str) -> None:
    """Whatever order servers, operator and time act in."""
    machine = type("Machine", (TurnClock,), {"url": store_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
