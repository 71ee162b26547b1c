"""Who waits for a connection to the store: lanes, turns and cancelled calls."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest

from tussle.lobby.store.call_lanes import Caller, CallLane, for_client, for_lease, known_as, own_task
from tussle.lobby.store.store import Store


async def soon(check: Callable[[], bool]) -> None:
    """Let other tasks run until ``check`` holds."""
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_calls_of_clients_never_delay_the_servers_own(store: Store) -> None:
    """While clients of many addresses hold every connection that they may, and more wait, the calls of the lease, the
    server and of a task that a client's task made are answered."""
    held, most = store.keys.prefix + "held", 60

    async def hold(number: int) -> None:
        for_client(Caller(f"192.0.2.{number}"))
        assert await store.call("BLPOP", held, 0)

    async def made_by_a_client() -> str:
        for_client(Caller("192.0.2.200"))
        task = own_task(ask(), name="lives-on")
        return await task

    async def ask() -> str:
        return str(await store.call("ECHO", "own"))

    async def renew() -> str:
        with for_lease():
            return str(await store.call("ECHO", "lease"))

    holding = [asyncio.create_task(hold(number)) for number in range(most)]
    await soon(lambda: len(store.lanes.clients) >= most - 32)
    others = [asyncio.create_task(work) for work in (ask(), renew(), made_by_a_client())]
    done, late = await asyncio.wait(others, timeout=20.0)
    for _ in range(most):
        await store.call("LPUSH", held, "x")
    await asyncio.gather(*holding)
    assert not late and {task.result() for task in done} == {"own", "lease"}


async def test_an_owner_with_many_calls_delays_only_its_own() -> None:
    """One owner has its share of a lane and no more; another owner's call has the next turn, in order of arrival."""
    lane, order = CallLane(4, 2), []

    async def call(owner: str, number: int) -> None:
        await lane.enter(owner)
        order.append((owner, number))

    flood = [asyncio.create_task(call("flood", number)) for number in range(50)]
    await soon(lambda: len(lane) == 48)
    fills = [asyncio.create_task(call("fills", number)) for number in range(2)]
    await asyncio.gather(*fills)  # at once: the lane has room for others
    waits = [asyncio.create_task(call("waits", number)) for number in range(2)]
    await soon(lambda: len(lane) == 50)
    assert order[2:] == [("fills", 0), ("fills", 1)]
    lane.leave("flood")
    lane.leave("fills")
    lane.leave("fills")
    await asyncio.gather(*waits)
    assert [owner for owner, _ in order[4:]].count("waits") == 2
    while len(lane):
        lane.leave("flood")
        await asyncio.sleep(0)
    await asyncio.gather(*flood)
    assert [number for owner, number in order if owner == "flood"] == list(range(50))


@pytest.mark.parametrize("seed", range(5))
async def test_a_lane_keeps_its_bounds_whatever_is_cancelled(seed: int) -> None:
    """With calls that come, end and are cancelled at any time: never more than the bounds, and nobody is forgotten."""
    chance, lane = random.Random(seed), CallLane(5, 2)
    running: Counter[str] = Counter()
    ended: Counter[str] = Counter()

    async def call(owner: str) -> None:
        await lane.enter(owner)
        try:
            running[owner] += 1
            assert running[owner] <= 2 and running.total() <= 5
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
        finally:
            running[owner] -= 1
            lane.leave(owner)
            ended[owner] += 1

    calls = []
    for _ in range(400):
        calls.append(asyncio.create_task(call(chance.choice("abcdefg"))))
        if chance.random() < 0.3:
            chance.choice(calls).cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
    ends = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
    assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends), ends
    assert len(lane) == 0 and not +running and ended.total() >= sum(end is None for end in ends)
    for owner in ("a", "a", "b", "b", "c"):  # nothing is held any more
        await asyncio.wait_for(lane.enter(owner), 1)


async def test_a_client_is_its_address_until_it_is_known() -> None:
    """Turns belong to the address before the login and to the player after it; other tasks are not touched."""
    caller = Caller("192.0.2.1")

    async def serve() -> str:
        for_client(caller)
        before = caller.owner
        known_as("p1")
        return before

    assert await asyncio.create_task(serve()) == "address 192.0.2.1" and caller.owner == "p1"
    known_as("p2")
    assert caller.owner == "p1"
