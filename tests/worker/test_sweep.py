"""The sweep. Each repair happens once, with any number of concurrent sweeps."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from tests.conftest import BODIES, HOLDER, World, until
from tussle.lobby import bot_holdings
from tussle.lobby.bot_holdings import BotHoldings
from tussle.lobby.filling import Filling
from tussle.lobby.lifecycle import ReplayRoomEvent
from tussle.lobby.replay_rooms import ReplayRooms
from tussle.lobby.servers import HolderAddress
from tussle.lobby.session_shares import SessionShares
from tussle.lobby.store.consumer_group import ConsumerGroup
from tussle.worker.cleanup import GROUP, Cleanup
from tussle.worker.sweep import Sweep


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def world(world: World) -> World:
    """A realm with leases of 1 s, runs that fail after 10 s without a holder, and expiry after 10 minutes."""
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
    """End the lease of a server."""
    await world.store.call("DEL", world.store.keys.server(holder.id))


async def test_a_consistent_store_is_unchanged(world: World, sweep: Sweep) -> None:
    """A sweep of a consistent store changes no key."""
    fence, _ = await world.running()
    [alone] = await world.players(1)
    await world.find(alone)
    before = await world.keys()
    assert not await sweep.run_pass()
    assert await world.keys() == before | {world.store.keys.lifecycle}
    assert await world.status(fence.session) == "running"


async def test_a_run_that_nobody_claims_fails(world: World, sweep: Sweep, clock: Clock) -> None:
    """A run whose holder is gone for ABANDON_S ends as failed, once, and its players are free."""
    fence, players = await world.running()
    await lose(world)
    for _ in range(9):
        assert not await sweep.run_pass()
        clock.now += 1.1
    clock.now += 1.0
    assert (await sweep.run_pass())["holder_lost"] == 1
    assert "holder_lost" not in await sweep.run_pass()
    view = await world.views.view(fence.session)
    assert (view.status, view.reason) == ("failed", "holder_lost")
    assert (await world.find(players[0])).session != fence.session
    assert (await world.lifecycle(fence.session)).count("failed") == 1


async def test_a_holder_that_renews_again_keeps_its_sessions(
    world: World, sweep: Sweep, clock: Clock
) -> None:
    """A server that renews an ended lease keeps its sessions, and ABANDON_S begins again."""
    fence, _ = await world.running()
    await lose(world)
    await sweep.run_pass()
    clock.now += 9.0
    await world.register()
    await sweep.run_pass()
    await lose(world)
    clock.now += 5.0
    assert not await sweep.run_pass()
    clock.now += 5.0
    assert not await sweep.run_pass()
    assert await world.status(fence.session) == "running"


async def test_a_waiting_lobby_gets_the_least_busy_server(world: World, sweep: Sweep, clock: Clock) -> None:
    """A lobby whose holder is gone is assigned to the living server with the fewest sessions."""
    [player] = await world.players(1)
    seat = await world.find(player)
    for name, sessions in [("s2", 5), ("s3", 1)]:
        await world.servers.register(name, "boot", f"http://{name}", "physics-1", 60_000)
        await world.servers.renew(name, "boot", 60_000, [f"t{number}" for number in range(sessions)])
    await lose(world)
    assert not await sweep.run_pass()
    clock.now += 1.5
    assert (await sweep.run_pass())["rehomed"] == 1
    assert (await world.views.holder_of(seat.session))[0].id == "s3"
    assert await world.status(seat.session) == "open"


async def test_timers_fire_without_a_server(world: World) -> None:
    """A worker executes the deadlines of lobbies within a second, without any server."""
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
    view = await world.views.view(seat.session)
    assert view.ended_at - view.opened_at < 30_000, "not by the sweep, which runs every minute"


async def test_a_missed_end_is_cleaned(world: World, sweep: Sweep) -> None:
    """An ended session whose lifecycle entry was lost is awarded and expires."""
    session, players = await world.ended()
    await world.store.call("DEL", world.store.keys.lifecycle)
    await world.store.call("HINCRBY", world.store.keys.session(session), "ended_at", -1000)
    await world.store.call("ZINCRBY", world.store.keys.ended, -1000, session)
    assert (await sweep.run_pass())["cleaned"] == 1
    assert not await sweep.run_pass()
    assert await world.store.call("TTL", world.store.keys.session(session)) > 0
    assert (await world.hash(world.store.keys.player(players[0])))["played"] == "1"


async def test_a_session_without_keys_leaves_the_indexes(world: World, sweep: Sweep) -> None:
    """When a session's keys are gone, ``expired`` is appended once and every index drops the session."""
    session, _ = await world.ended()
    fence, _ = await world.running()
    for token in (session, fence.session):
        await world.store.call("DEL", *[key for key in await world.keys() if token in key])
    others = [Sweep(world.store, world.settings, Cleanup(world.store, world.settings)) for _ in range(3)]
    counts = await asyncio.gather(sweep.run_pass(), *(other.run_pass() for other in others))
    assert sum(count["expired"] for count in counts) == 2
    for index in (world.store.keys.ended, world.store.keys.running):
        assert await world.store.call("ZCARD", index) == 0
    for token in (session, fence.session):
        assert (await world.lifecycle(token))[-1] == "expired"


async def test_what_is_over_leaves_the_shares(
    world: World, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lobby that was left counts for nobody: neither its session nor its bots. One that waits counts."""
    monkeypatch.setattr(bot_holdings, "FRESH_MS", 0)
    shares = SessionShares(world.store, world.settings)
    bots = BotHoldings(world.store, Filling(world.scripts))
    seats = []
    for number, player in enumerate(await world.players(2)):
        address = f"10.0.0.{number}"
        seats.append(
            await world.seating.open(player, "duel", 4, holder=HOLDER, address=address, alone_ms=5000)
        )
        await bots.hold(seats[-1].session, 3, address, player, most=(64, 8))
        if number == 0:
            await world.seating.leave(player, seats[-1].session)
    await sweep.run_pass()
    assert (await shares.counts())["address"] == {"10.0.0.1": 1}
    assert (await bots.counts())["address"] == {"10.0.0.1": 3}


async def test_orphans_are_indexed_or_expire(world: World, sweep: Sweep) -> None:
    """A session that is missing in the indexes is indexed by its status; keys without a session get an expiry."""
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
    for _ in range(500):  # a pass scans a part of the store, which has keys of other tests
        repaired += await sweep.run_pass()
        if repaired["indexed"] == 3 and -1 not in [await world.store.call("TTL", key) for key in stray]:
            break
    assert repaired["indexed"] == 3
    for index, token in [(keys.running, fence.session), (keys.ended, ended), (keys.lobbies, lobby.session)]:
        assert await world.store.call("ZRANGE", index, 0, -1) == [token]
    for key in stray:
        assert 0 < await world.store.call("TTL", key) <= 600
    assert await world.store.call("TTL", keys.session(fence.session)) == -1


async def test_an_expired_guest_leaves_the_leaderboard(world: World, sweep: Sweep) -> None:
    """The sweep removes players that no longer exist from the leaderboard."""
    session, players = await world.ended()
    await Cleanup(world.store, world.settings).handle(session)
    await world.store.call("DEL", world.store.keys.player(players[0]))
    board, passes = world.store.keys.leaderboard("duel"), 0
    while players[0] in await world.store.call("ZRANGE", board, 0, -1):
        passes += 1
        assert passes < 500  # a pass scans a part of the store, which has keys of other tests
        await sweep.run_pass()
    assert await world.store.call("ZRANGE", board, 0, -1) == [players[1]]


async def test_a_trimmed_entry_is_not_handled(world: World) -> None:
    """A pending entry that was trimmed from the stream is dropped without an error."""
    await world.ended()
    worker = Cleanup(world.store, world.settings)
    other = ConsumerGroup(world.store, world.store.keys.lifecycle, GROUP, "dead", claim_idle_s=60)
    await other.ensure()
    assert len(await other.read()) == 5
    await world.store.call("XTRIM", world.store.keys.lifecycle, "MAXLEN", 1)

    async def claimed() -> bool:
        return await worker.drain() > 0

    await until(claimed)
    assert await worker.group.claim(0) == []


async def test_concurrent_sweeps(world: World, clock: Clock) -> None:
    """Three concurrent sweeps and workers repair everything once."""
    ended = [await world.ended() for _ in range(4)]
    fence, _ = await world.running()
    players = await world.players(2)
    lobby = await world.seating.open(
        players[0], "duel", 2, holder=HolderAddress("s9", "x", "u"), bodies=BODIES
    )
    await lose(world)
    sweeps = [
        Sweep(world.store, world.settings, Cleanup(world.store, world.settings), clock=clock)
        for _ in range(3)
    ]
    await asyncio.gather(*(sweep.run_pass() for sweep in sweeps))
    await world.servers.register("s2", "boot", "http://s2", "physics-1", 60_000)
    clock.now += 20.0
    counts = await asyncio.gather(*(sweep.run_pass() for sweep in sweeps))
    assert sum(count["holder_lost"] for count in counts) == 1
    assert sum(count["rehomed"] for count in counts) == 1
    await asyncio.gather(
        *(Cleanup(world.store, world.settings).handle(s) for s, _ in ended for _ in range(2))
    )
    for _, members in ended:
        assert (await world.hash(world.store.keys.player(members[0])))["played"] == "1"
    assert (await world.views.holder_of(lobby.session))[0].id == "s2"
    assert await world.status(fence.session) == "failed"


async def test_a_replay_room_of_a_killed_server_is_cleaned(world: World, sweep: Sweep) -> None:
    """Its members lapse, the sweep ends it, the cleanup sets the expiry of every key, and the sweep forgets it."""
    store, keys, room = world.store, world.store.keys, "k7qm2xpv"
    rooms = ReplayRooms(store, world.settings)
    await rooms.attend(room, ["p1 ada"], life_ms=30_000)
    await rooms.present(room, "p1", "c1")
    await rooms.say(room, "p1", "ada", "hello")
    assert not await sweep.run_pass()
    await store.call("DEL", keys.replay_members(room))  # nobody renewed it
    assert (await sweep.run_pass())[ReplayRoomEvent.ENDED] == 1
    await Cleanup(store, world.settings).drain()
    lives = await store.batch([("PTTL", key) for key in keys.of_replay(room)])
    assert all(life == -2 or 60_000 < life <= 600_000 for life in lives) and lives[0] > 0
    await store.call("DEL", *keys.of_replay(room))
    assert (await sweep.run_pass())[ReplayRoomEvent.EXPIRED] == 1
    assert not await store.call("EXISTS", keys.replays)
