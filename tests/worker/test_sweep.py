"""The sweep: what no event told is repaired, by any number of sweeps, once."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from tests.conftest import BODIES, HOLDER, World, until
from tussle.lobby.lobbies import HolderAddress
from tussle.lobby.store.store import Store
from tussle.lobby.store.streams import StreamGroup, trim_acknowledged
from tussle.worker.cleanup import GROUP, Cleanup
from tussle.worker.sweep import Sweep


class Clock:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def world(world: World) -> World:
    """Leases of a second, runs abandoned after ten, ends of life after ten minutes, no patience with dead workers."""
    return replace(
        world,
        settings=replace(world.settings, lease_ms=1000, abandon_s=10.0, expiry_s=600, claim_idle_s=0.05),
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sweep(world: World, clock: Clock) -> Sweep:
    return Sweep(world.store, world.settings, Cleanup(world.store, world.settings), clock=clock)


async def lose(world: World, holder: HolderAddress = HOLDER) -> None:
    """The lease of a server has ended."""
    await world.store.call("DEL", world.store.keys.server(holder.id))


async def test_nothing_to_do(world: World, sweep: Sweep) -> None:
    """A world in order is left as it is."""
    fence, _ = await world.running()
    [alone] = await world.players(1)
    await world.find(alone)
    before = await world.keys()
    assert not await sweep.once()
    assert await world.keys() == before | {world.store.keys.lifecycle}
    assert await world.status(fence.session) == "running"


async def test_a_run_that_nobody_claims_fails(world: World, sweep: Sweep, clock: Clock) -> None:
    """Only when its holder has been gone for ABANDON_S: then it ends as failed, once, and its players are free."""
    fence, players = await world.running()
    await lose(world)
    for _ in range(9):
        assert not await sweep.once()
        clock.now += 1.1
    clock.now += 1.0
    assert (await sweep.once())["holder_lost"] == 1
    assert "holder_lost" not in await sweep.once()
    view = await world.lobbies.view(fence.session)
    assert (view.status, view.reason) == ("failed", "holder_lost")
    assert (await world.find(players[0])).session != fence.session
    assert (await world.lifecycle(fence.session)).count("failed") == 1


async def test_a_holder_that_comes_back_is_forgiven(world: World, sweep: Sweep, clock: Clock) -> None:
    """A store that was restarted has no leases at first; servers that renew them lose nothing, and the patience begins
    anew."""
    fence, _ = await world.running()
    await lose(world)
    await sweep.once()
    clock.now += 9.0
    await world.register()
    await sweep.once()
    await lose(world)
    clock.now += 5.0
    assert not await sweep.once()
    clock.now += 5.0
    assert not await sweep.once()
    assert await world.status(fence.session) == "running"


async def test_a_waiting_lobby_gets_the_least_busy_server(world: World, sweep: Sweep, clock: Clock) -> None:
    """A lobby whose holder is gone is given to the living server with the fewest sessions."""
    [player] = await world.players(1)
    seat = await world.find(player)
    for name, sessions in [("s2", 5), ("s3", 1)]:
        await world.servers.register(name, "boot", f"http://{name}", "physics-1", 60_000)
        await world.servers.renew(name, "boot", 60_000, sessions)
    await lose(world)
    assert not await sweep.once()
    clock.now += 1.5
    assert (await sweep.once())["rehomed"] == 1
    assert (await world.lobbies.holder_of(seat.session))[0].id == "s3"
    assert await world.status(seat.session) == "open"


async def test_timers_are_kept(world: World) -> None:
    """A worker executes the deadlines of lobbies within a second of their time, without any server."""
    world = replace(world, settings=replace(world.settings, lobby_timeout_s=0.3, sweep_s=60.0))
    world.__post_init__()
    [player] = await world.players(1)
    seat = await world.find(player)
    stop = asyncio.Event()
    sweep = Sweep(world.store, world.settings, Cleanup(world.store, world.settings))

    async def timed_out() -> bool:
        return await world.status(seat.session) == "timed_out"

    async with asyncio.TaskGroup() as group:
        group.create_task(sweep.run(stop))
        await until(timed_out)
        stop.set()
    view = await world.lobbies.view(seat.session)
    assert view.ended_at - view.opened_at < 1300


async def test_a_missed_end_is_cleaned(world: World, sweep: Sweep) -> None:
    """A session that ended and whose lifecycle entry was lost is awarded and expires nevertheless."""
    session, players = await world.ended()
    await world.store.call("DEL", world.store.keys.lifecycle)
    await world.store.call("HINCRBY", world.store.keys.session(session), "ended_at", -1000)
    await world.store.call("ZINCRBY", world.store.keys.ended, -1000, session)
    assert (await sweep.once())["cleaned"] == 1
    assert not await sweep.once()
    assert await world.store.call("TTL", world.store.keys.session(session)) > 0
    assert (await world.hash(world.store.keys.player(players[0])))["played"] == "1"


async def test_a_session_whose_keys_are_gone_is_forgotten(world: World, sweep: Sweep) -> None:
    """The lifecycle says ``expired`` once, when the keys are gone, and no index knows the session any more."""
    session, _ = await world.ended()
    fence, _ = await world.running()
    for token in (session, fence.session):
        await world.store.call("DEL", *[key for key in await world.keys() if token in key])
    others = [Sweep(world.store, world.settings, Cleanup(world.store, world.settings)) for _ in range(3)]
    counts = await asyncio.gather(sweep.once(), *(other.once() for other in others))
    assert sum(count["expired"] for count in counts) == 2
    for index in (world.store.keys.ended, world.store.keys.running):
        assert await world.store.call("ZCARD", index) == 0
    for token in (session, fence.session):
        assert (await world.lifecycle(token))[-1] == "expired"


async def test_orphans(world: World, sweep: Sweep) -> None:
    """A session that no index knows is indexed again by its status; parts without a session get an end of life."""
    keys = world.store.keys
    fence, _ = await world.running()
    ended, _ = await world.ended()
    [player] = await world.players(1)
    lobby = await world.find(player)
    await world.store.call("DEL", keys.running, keys.ended, keys.lobbies)
    stray = [keys.events("gggggggg"), keys.session_player("gggggggg", "p-gone"), keys.journal("gggggggg")]
    await world.store.call("HSET", stray[1], "seat", "0")
    await world.store.batch([("XADD", key, "1-1", "a", "b") for key in (stray[0], stray[2])])
    repaired: Counter[str] = Counter()
    for _ in range(500):  # each pass looks at a part of the store, which other tests have filled
        repaired += await sweep.once()
        if repaired["indexed"] == 3 and -1 not in [await world.store.call("TTL", key) for key in stray]:
            break
    assert repaired["indexed"] == 3
    for index, token in [(keys.running, fence.session), (keys.ended, ended), (keys.lobbies, lobby.session)]:
        assert await world.store.call("ZRANGE", index, 0, -1) == [token]
    for key in stray:
        assert 0 < await world.store.call("TTL", key) <= 600
    assert await world.store.call("TTL", keys.session(fence.session)) == -1


async def test_a_leaderboard_forgets_guests_with_them(world: World, sweep: Sweep) -> None:
    """A player that no longer exists is not ranked."""
    session, players = await world.ended()
    await Cleanup(world.store, world.settings).handle(session)
    await world.store.call("DEL", world.store.keys.player(players[0]))
    board, passes = world.store.keys.leaderboard("duel"), 0
    while players[0] in await world.store.call("ZRANGE", board, 0, -1):
        passes += 1
        assert passes < 500  # each pass looks at a part of the store, which other tests have filled
        await sweep.once()
    assert await world.store.call("ZRANGE", board, 0, -1) == [players[1]]


async def test_the_lifecycle_is_trimmed_behind_all_groups(world: World) -> None:
    """Only what every group has acknowledged goes; without a group nothing does."""
    store, stream = world.store, world.store.keys.lifecycle
    assert await trim_acknowledged(store, store.keys.prefix + "none") == 0
    await world.ended()
    assert await trim_acknowledged(store, stream) == 0
    first, second = StreamGroup(store, stream, "one", "a"), StreamGroup(store, stream, "two", "b")
    await first.ensure()
    await second.ensure()
    await first.ensure()
    for entry in await first.read():
        await first.acknowledge(entry)
    assert await trim_acknowledged(store, stream) == 0
    entries = await second.read()
    assert len(entries) == 5
    for entry in [entries[0], entries[1], entries[3]]:
        await second.acknowledge(entry)
    assert await trim_acknowledged(store, stream) == 2
    for entry in entries:
        await second.acknowledge(entry)
    assert await trim_acknowledged(store, stream) == 3
    session, _ = await world.ended()
    assert [entry.fields["session"] for entry in await first.read()] == [session] * 5


async def test_what_a_dead_worker_had_is_claimed(world: World, stores: list[Store]) -> None:
    """An entry is handed over after its time and not before; a consumer that holds nothing is forgotten."""
    await world.ended()
    dead, heir, third = (
        StreamGroup(store, world.store.keys.lifecycle, GROUP, name)
        for store, name in zip(stores, "abc", strict=True)
    )
    await dead.ensure()
    taken = await dead.read(count=2)
    assert await heir.claim(60_000) == []
    assert await heir.claim(0) == taken
    assert len(await heir.read()) == 3
    assert await third.read() == []
    assert await third.forget_consumers(60_000) == 0
    assert await third.forget_consumers(-1) == 1
    assert "a" not in await third.consumers(), (
        "and Redis 7.0 makes no consumer of one that never got an entry"
    )
    await heir.leave()
    await third.leave()
    assert set(await heir.consumers()) == {"b"}


async def test_a_trimmed_entry_is_not_handled(world: World) -> None:
    """An entry that was pending when the stream lost it is no reason to stop."""
    await world.ended()
    worker = Cleanup(world.store, world.settings)
    other = StreamGroup(world.store, world.store.keys.lifecycle, GROUP, "dead")
    await other.ensure()
    assert len(await other.read()) == 5
    await world.store.call("XTRIM", world.store.keys.lifecycle, "MAXLEN", 1)

    async def claimed() -> bool:
        return await worker.drain() > 0

    await until(claimed)
    assert await worker.group.claim(0) == []


async def test_sweeps_at_once(world: World, clock: Clock) -> None:
    """Three sweeps and three workers over a messy world agree: each thing is done once."""
    ended = [await world.ended() for _ in range(4)]
    fence, _ = await world.running()
    players = await world.players(2)
    lobby = await world.lobbies.open(
        players[0], "duel", 2, holder=HolderAddress("s9", "x", "u"), bodies=BODIES
    )
    await lose(world)
    sweeps = [
        Sweep(world.store, world.settings, Cleanup(world.store, world.settings), clock=clock)
        for _ in range(3)
    ]
    await asyncio.gather(*(sweep.once() for sweep in sweeps))
    await world.servers.register("s2", "boot", "http://s2", "physics-1", 60_000)
    clock.now += 20.0
    counts = await asyncio.gather(*(sweep.once() for sweep in sweeps))
    assert sum(count["holder_lost"] for count in counts) == 1
    assert sum(count["rehomed"] for count in counts) == 1
    await asyncio.gather(
        *(Cleanup(world.store, world.settings).handle(s) for s, _ in ended for _ in range(2))
    )
    for _, members in ended:
        assert (await world.hash(world.store.keys.player(members[0])))["played"] == "1"
    assert (await world.lobbies.holder_of(lobby.session))[0].id == "s2"
    assert await world.status(fence.session) == "failed"
