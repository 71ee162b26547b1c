"""The lease on a fake clock: when the server may act, when it must wait, and when its lease is lost for good."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conftest import World
from tussle.lobby.errors import Fenced, ScriptError, StoreError
from tussle.lobby.servers import HolderAddress
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.sessions.lease import SCRIPT_TRIES, Lease

PERIOD_MS = 300


class Registry:
    """A fake of the store calls of a lease. ``answers``: results of the next renewals; later ones return True."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.taken = False
        self.registered = 0
        self.renewed = asyncio.Event()

    async def register(self, *_: Any, **__: Any) -> None:
        if self.taken:
            raise Fenced("the name is another's", code="server_id_taken")
        self.registered += 1

    async def renew(self, *_: Any, **__: Any) -> bool:
        self.renewed.set()
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lease(registry: Registry, clock: Clock) -> Lease:
    servers: Any = registry
    return Lease(
        servers, HolderAddress("s1", "n1", "http://x"), physics_id="p", internal_url="http://y",
        period_ms=PERIOD_MS, load=tuple,
        telemetry=Telemetry(), clock=clock,
    )  # fmt: skip


async def test_it_is_held_for_two_thirds_of_its_period() -> None:
    """Counted from when the renewal was sent; before the first one it is not held at all."""
    clock = Clock()
    held = lease(Registry(), clock)
    assert not held.held()
    await held.acquire()
    clock.now += 0.199
    assert held.held()
    clock.now += 0.002
    assert not held.held()


async def test_after_a_sleep_the_lease_has_lapsed() -> None:
    """A process that was stopped may not act before it renews."""
    clock = Clock()
    held = lease(Registry(), clock)
    await held.acquire()
    clock.now += 60.0
    assert not held.held()
    assert not held.steady()


async def test_it_is_steady_only_after_a_whole_period() -> None:
    """The store must answer for a whole period before the lease is steady."""
    clock = Clock()
    held = lease(Registry(), clock)
    await held.acquire()
    assert not held.steady()
    for _ in range(4):
        clock.now += 0.1
        await held._renew(clock.now)
    assert held.steady()


async def test_a_store_that_is_away_makes_it_lapse_but_not_lost() -> None:
    """Renewals go on; when the store answers again the lease is held, but not steady yet."""
    clock, registry = Clock(), Registry(StoreError("away"), StoreError("away"))
    held = lease(registry, clock)
    await held.acquire()
    keeping = asyncio.create_task(held.keep())
    clock.now += 1.0
    for _ in range(2):
        await registry.renewed.wait()
        registry.renewed.clear()
    assert not held.held()
    async with asyncio.timeout(5.0):
        await held.ready()
    assert held.held()
    assert not held.steady()
    assert not held.lost.is_set()
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_a_lease_that_ran_out_is_taken_again() -> None:
    """No other boot took the server id: the lease is registered again under the same nonce."""
    clock, registry = Clock(), Registry(False)
    held = lease(registry, clock)
    await held.acquire()
    clock.now += 5.0
    await held._renew(clock.now)
    assert registry.registered == 2
    assert held.held()


async def test_the_time_of_a_lapse_is_counted() -> None:
    """It runs from two thirds of the period after the last renewal until the next renewal."""
    clock = Clock()
    held = lease(Registry(), clock)
    await held.acquire()
    clock.now += 0.1
    await held._renew(clock.now)
    assert (held.lapses, held.away_s) == (0, 0.0)
    clock.now += 5.2
    await held._renew(clock.now)
    assert held.lapses == 1
    assert held.away_s == pytest.approx(5.0)
    clock.now += 0.1
    await held._renew(clock.now)
    assert held.away_s == pytest.approx(5.0)
    clock.now += 1.2
    await held._renew(clock.now - 0.5)  # the answer came that much later
    clock.now += 0.1
    await held._renew(clock.now)
    assert held.away_s == pytest.approx(6.1)


async def test_a_boot_waits_until_the_lease_of_the_earlier_boot_ends(world: World) -> None:
    """A server that is started again at once under a fixed id waits until the lease of the dead boot ends."""
    holder = HolderAddress("fixed", "boot-1", "http://x")
    await world.servers.register(holder.id, holder.nonce, holder.url, "p", 400)
    again = Lease(
        world.servers, HolderAddress("fixed", "boot-2", "http://x"), physics_id="p", internal_url="http://y",
        period_ms=400, load=tuple, telemetry=Telemetry(),
    )  # fmt: skip
    await again.acquire()
    assert again.held()
    third = Lease(
        world.servers, HolderAddress("fixed", "boot-3", "http://x"), physics_id="p", internal_url="http://y",
        period_ms=400, load=tuple, telemetry=Telemetry(),
    )  # fmt: skip
    keeping = asyncio.create_task(again.keep())
    with pytest.raises(Fenced) as refused:
        await third.acquire()
    assert refused.value.reason == "server_id_taken"
    assert not keeping.done()
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_a_server_id_that_another_boot_took_is_lost() -> None:
    """``lost`` is set, waiting for it raises Fenced, and the keeper ends by itself."""
    clock, registry = Clock(), Registry(False)
    held = lease(registry, clock)
    await held.acquire()
    registry.taken = True
    clock.now += 5.0
    async with asyncio.timeout(5.0):
        await held.keep()
    assert held.lost.is_set()
    assert not held.held()
    with pytest.raises(Fenced):
        await held.ready()


async def test_a_retry_waits_for_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the store does not answer, the call is repeated until it does."""
    monkeypatch.setattr("tussle.server.sessions.lease.RETRY_S", 0.0)
    answers: list[Any] = [StoreError("away")] * 10 + [ScriptError("once"), StoreError("away"), "done"]

    async def call() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await lease(Registry(), Clock()).retry(call) == "done"


async def test_a_retry_ends_at_a_broken_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that fails several times in a row has a fault: the error reaches the caller, who ends the session."""
    monkeypatch.setattr("tussle.server.sessions.lease.RETRY_S", 0.0)
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise ScriptError("a script failed")

    with pytest.raises(ScriptError):
        await lease(Registry(), Clock()).retry(call)
    assert calls == SCRIPT_TRIES


async def test_the_store_names_a_broken_script(world: World) -> None:
    """A fault of a script is a ScriptError; a command that the store refuses is a StoreError and no more."""
    with pytest.raises(ScriptError, match="nil value"):
        await world.store.call("EVAL", "local t; return t.x", 0)
    with pytest.raises(ScriptError):
        await world.store.call("EVAL", "return redis.call('HGET', KEYS[1])", 1, world.store.keys.prefix + "x")
    with pytest.raises(StoreError) as refused:
        await world.store.call("HGET", "x")
    assert refused.value.reason == "store_unavailable"
