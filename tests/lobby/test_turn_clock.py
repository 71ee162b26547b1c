"""The turn clock of a session as a state machine: two servers, an operator and time, in any order, on a real store.

Servers die, come back as the same boot or as a new boot with the same id, claim and restore the session; the operator
pauses and resumes it. Time passes in large strides: the machine moves all times in the store back instead of waiting.
After every step the remaining time in the store is the length of the turn minus the time in which a living holder ran
it.
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
"""Unit of time of the machine, much longer than a run of the test takes."""

LENGTH_MS = 50 * STRIDE_MS
NAMES = st.sampled_from(["s1", "s2"])


@dataclass
class Boot:
    """The present boot of a server. ``fence``: its newest claim, once it has restored the session."""

    address: HolderAddress
    alive: bool = True
    fence: Fence | None = None


class TurnClock(RuleBasedStateMachine):
    """``rest_ms`` is the model: the remaining time of the turn. ``url`` is set by the test."""

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
        self.operators = Operators(self.world.scripts, self.world.seating)
        fence, _ = self.run(self.world.running())
        self.session, self.key = fence.session, self.store.keys.session(fence.session)
        other = HolderAddress("s2", "boot-1", "http://two:8420")
        self.run(self.world.register(other))
        self.boots = {"s1": Boot(HOLDER, fence=fence), "s2": Boot(other)}
        self.holder = self.boots["s1"]
        self.paused = False
        self.going = True
        """The holder has restored the session and started its clock after the last interruption."""
        self.turn()

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()

    @property
    def runs(self) -> bool:
        return self.holder.alive and self.going and not self.paused

    def member(self, boot: Boot) -> str:
        return f"{boot.address.id}:{boot.address.nonce}"

    # the steps

    @rule(strides=st.integers(1, 3))
    def time_passes(self, strides: int) -> None:
        """The holder continues if it is alive, then time passes and living servers renew their leases."""
        self.go_on()
        if self.runs:
            self.rest_ms = max(0, self.rest_ms - strides * STRIDE_MS)
        self.run(self.shift(strides * STRIDE_MS))

    async def shift(self, by_ms: int) -> None:
        for field in ("turn_ends_at", "turn_clock_at"):
            await self.store.call("HINCRBY", self.key, field, -by_ms)
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
        """The same boot registers again after it was stopped or cut off. It may die before its run continues."""
        boot = self.boots[name]
        if not boot.alive:
            self.run(self.world.register(boot.address))
            boot.alive = True

    @rule(name=NAMES)
    def start_again(self, name: str) -> None:
        """A new boot with the same id."""
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
        """A living holder restores the session that it claimed, or continues its own."""
        boot = self.holder
        if not boot.alive or self.going:
            return
        if boot.fence is None:
            boot.fence = self.run(self.world.runs.resume(self.session, boot.address)).fence
            self.run(self.claims.recovered(boot.fence, 1, exact=True, ticks_again=0))
        else:  # it was away, and knows the remaining time
            self.run(self.world.runs.start_clock(boot.fence, self.rest_ms))
        self.going = True

    @rule(again=st.booleans())
    def pause(self, again: bool) -> None:
        for _ in range(1 + again):
            self.run(self.operators.pause(self.session, "boss"))
        self.paused = True

    @rule()
    def resume(self) -> None:
        self.run(self.operators.resume(self.session, "boss"))
        if self.paused:
            self.paused = False
            if self.holder.alive and self.going and self.holder.fence is not None:
                self.run(self.world.runs.start_clock(self.holder.fence))

    @precondition(lambda self: self.holder.alive and self.going)
    @rule()
    def turn(self) -> None:
        """The next turn begins, possibly in the tick of a pause."""
        tick = next(self.numbers)
        assert self.holder.fence is not None
        self.run(
            self.world.runs.publish(
                self.holder.fence, tick, [(tick, "turn_started", {})], deadline_ms=LENGTH_MS
            )
        )
        self.rest_ms = LENGTH_MS

    # the comparison

    @invariant()
    def the_store_has_the_remaining_time(self) -> None:
        if not hasattr(self, "rest_ms"):
            return
        left, ends_at, began_at = self.run(
            self.store.call("HMGET", self.key, "turn_left_ms", "turn_ends_at", "turn_clock_at")
        )
        now = self.run(self.store.now_ms())
        if self.runs:
            assert left is None, "the clock is stopped without a pause"
            rest = int(ends_at) - now
        elif (self.holder.alive and self.going) or self.holder.fence is None:
            rest = int(
                left
            )  # stopped by a pause, or by the claim of a holder that has not restored the session
        else:  # the values that a claim would read
            last = float(
                self.run(self.store.call("ZSCORE", self.store.keys.servers, self.member(self.holder)))
            )
            rest = max(int(left or 0), int(ends_at) - max(int(last), int(began_at)))
        assert abs(max(0, rest) - self.rest_ms) < STRIDE_MS / 2, (rest / STRIDE_MS, self.rest_ms / STRIDE_MS)


def test_a_turn_uses_time_only_while_it_runs(store_url: str) -> None:
    """For any order of the steps of servers, operator and time."""
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
