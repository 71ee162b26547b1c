"""Cleanup of ended sessions: handled at least once, with one effect, whichever process dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from dataclasses import replace

import msgspec
import pytest

from tests.conftest import World, until
from tests.support.paths import ROOT
from tussle.lobby.errors import StoreError
from tussle.lobby.standings import MATCHES_KEPT, Standings
from tussle.lobby.store.store import Store
from tussle.worker.cleanup import GROUP, Cleanup

POINTS = ("before_award", "before_expire", "before_acknowledge", "acknowledged")

VICTIM = """
import asyncio, os, signal, sys
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.worker.sweep import Maintenance

async def die(point, session):
    if point == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    settings = Settings.read()
    await Maintenance(await Store.connect(settings.redis_url, settings.realm), settings, "cleanup", hook=die).run()

asyncio.run(main())
"""


@pytest.fixture
def world(world: World) -> World:
    """A realm whose keys expire ten minutes after the end, and whose entries may be claimed after 50 ms."""
    return replace(world, settings=replace(world.settings, expiry_s=600, claim_idle_s=0.05))


def cleanup(world: World, **options: object) -> Cleanup:
    return Cleanup(world.store, world.settings, **options)  # type: ignore[arg-type]


async def pending(world: World) -> int:
    return int((await world.store.call("XPENDING", world.store.keys.lifecycle, GROUP))[0])


async def assert_cleaned(world: World, session: str, players: list[str]) -> None:
    """Assert that each key of the session expires, no index has it, and each player was awarded once."""
    keys = world.store.keys
    session_keys = [key for key in await world.keys() if f"session:{session}" in key]
    assert session_keys
    for key in session_keys:
        assert 1 <= await world.store.call("TTL", key) <= world.settings.expiry_s, key
    for index in (keys.lobbies, keys.running, keys.open_lobbies("duel", 2), keys.deadlines):
        assert not [member for member in await world.store.call("ZRANGE", index, 0, -1) if session in member]
    for seat, player in enumerate(players):
        stored = await world.hash(keys.player(player))
        assert (stored["xp"], stored["played"], stored["won"]) == (
            str(10 * (seat + 1)),
            "1",
            str(int(seat == 0)),
        )
        value = await world.store.call("ZSCORE", keys.leaderboard("duel"), player)
        assert value == stored["rating.duel"] and (float(value) > 1000) == (seat == 0)


async def test_an_ended_session_is_cleaned(world: World) -> None:
    """A session that ended while no worker ran is awarded and expired when one starts; nothing is left pending."""
    session, players = await world.ended()
    worker = cleanup(world)
    await worker.group.ensure()
    assert await worker.drain() == 5
    await assert_cleaned(world, session, players)
    assert await pending(world) == 0 and await worker.drain() == 0
    first, second = [await world.hash(world.store.keys.player(player)) for player in players]
    assert float(first["mu.duel"]) > 25 > float(second["mu.duel"])


async def test_meetings_of_a_pair_are_counted(world: World) -> None:
    """Of one day, for each mode, once per rated session. A session of the same two players counts half after three."""
    worker = cleanup(world)
    keys, gains = world.store.keys, []
    for _ in range(4):
        session, _ = await world.ended()
        await world.store.call(
            "HSET",
            keys.session(session),
            "result",
            json.dumps({"places": {"0": 1, "1": 2}, "players": {"0": "ada", "1": "bo"}}),
        )
        for player in ("ada", "bo"):
            await world.store.call("HSET", keys.player(player), "kind", "bot")
            await world.store.call("HDEL", keys.player(player), "mu.duel", "sigma.duel")
        await worker.handle(session)
        await worker.handle(session)
        gains.append(float((await world.hash(keys.player("ada")))["mu.duel"]) - 25.0)
    assert gains[0] == gains[1] == gains[2] == pytest.approx(2 * gains[3])
    [meetings] = [key for key in await world.keys() if ":meetings:duel:" in key]
    assert await world.hash(meetings) == {"ada bo": "4"}
    assert 1 <= await world.store.call("TTL", meetings) <= 2 * 86_400


async def test_failed_and_timed_out_sessions_are_cleaned(world: World) -> None:
    """A lobby that timed out and a run that failed expire without an award."""
    [alone] = await world.players(1)
    lobby = await world.find(alone)
    await world.timers.run_due(10**15)
    session, _ = await world.starting()
    await world.timers.run_due(10**15)
    worker = cleanup(world)
    await worker.group.ensure()
    await worker.drain()
    for token in (lobby.session, session):
        assert await world.store.call("TTL", world.store.keys.session(token)) > 0
    assert "played" not in await world.hash(world.store.keys.player(alone))


async def test_a_running_session_is_not_cleaned(world: World) -> None:
    """A request to clean a session that has not ended sets no expiry."""
    fence, _ = await world.running()
    worker = cleanup(world)
    assert not await worker.handle(fence.session)
    assert not await worker.handle("22222222")
    for key in await world.keys():
        assert fence.session not in key or await world.store.call("TTL", key) == -1


async def test_handling_twice_changes_nothing(world: World) -> None:
    """Cleaning a session twice leaves expiry and experience as after the first time."""
    session, players = await world.ended()
    worker = cleanup(world)
    await worker.handle(session)
    at = await world.store.call("PEXPIRETIME", world.store.keys.session(session))
    for _ in range(3):
        await worker.handle(session)
    await assert_cleaned(world, session, players)
    assert await world.store.call("PEXPIRETIME", world.store.keys.session(session)) == at


async def test_no_key_remains_after_the_expiry(world: World) -> None:
    """After the expiry no key of any session remains, however the session ended."""
    world = replace(world, settings=replace(world.settings, expiry_s=1))
    fence, players = await world.running(3)
    await world.seating.leave(players[1], fence.session)
    await world.seating.chat(players[0], fence.session, 1, "hello")
    await world.runs.journal(fence, 1, [b"{}"])
    await world.runs.publish(fence, 1, [(1, "blow", {})], seats={players[0]: {"health": 1}})
    await world.runs.checkpoint(fence, 1, b"x")
    await world.runs.finish(fence, 2, [], world.result(players, {}))
    [alone] = await world.players(1)
    left = await world.find(alone)
    await world.seating.leave(alone, left.session)
    worker = cleanup(world)
    await worker.group.ensure()
    await worker.drain()

    async def nothing_left() -> bool:
        return not [key for key in await world.keys() if ":session:" in key]

    await until(nothing_left)


async def test_a_malformed_result_is_cleaned_without_an_award(world: World) -> None:
    """A session with an unreadable result expires, and its players get no award."""
    fence, players = await world.running()
    await world.runs.finish(fence, 1, [], {"places": "nonsense"})
    worker = cleanup(world)
    assert await worker.handle(fence.session)
    assert await world.store.call("TTL", world.store.keys.session(fence.session)) > 0
    assert "played" not in await world.hash(world.store.keys.player(players[0]))


async def test_a_session_keeps_the_ratings_before_and_after(world: World) -> None:
    """The view of a session that is over has each player's rating after it, and before it if there was one."""
    first, players = await world.ended()
    assert (await world.views.view(first)).ratings == ()
    await cleanup(world).handle(first)
    changed = {one.player: one for one in (await world.views.view(first)).ratings}
    assert {player: changed[player].before for player in players} == dict.fromkeys(players)
    assert changed[players[0]].after > changed[players[1]].after
    for seat in [await world.find(player) for player in players]:
        await world.enter(seat)
    fence, _ = await world.begin(seat.session)
    await world.runs.running(fence, 0, b"", 1 / 60)
    await world.runs.finish(fence, 1, [], world.result(players, {}))
    await cleanup(world).handle(fence.session)
    again = {one.player: one for one in (await world.views.view(fence.session)).ratings}
    assert {player: again[player].before for player in players} == {
        player: changed[player].after for player in players
    }


async def test_an_award_does_not_recreate_an_expired_guest(world: World) -> None:
    """An award for a player that no longer exists writes nothing; the other players are awarded."""
    session, players = await world.ended()
    await world.store.call("DEL", world.store.keys.player(players[1]))
    await cleanup(world).handle(session)
    assert not await world.store.call("EXISTS", world.store.keys.player(players[1]))
    assert await world.store.call("ZRANGE", world.store.keys.leaderboard("duel"), 0, -1) == [players[0]]


async def test_a_player_keeps_its_newest_matches(world: World) -> None:
    """Each ended session once, with place, body and rating; the oldest go. A private one has no token."""
    keys, standings = world.store.keys, Standings(world.store)
    session, players = await world.ended()
    await world.store.call("HSET", keys.session_player(session, players[0]), "body", "quern")
    for _ in range(2):
        await cleanup(world).handle(session)
    winner, loser = [await standings.public_profile(player) for player in players]
    [won], [lost] = winner.matches, loser.matches
    assert (won.session, won.mode, won.place, won.of, won.body) == (session, "duel", 1, 2, "quern")
    assert won.at == int((await world.hash(keys.session(session)))["ended_at"])
    assert won.rating == winner.standings[0].value > 1000 > loser.standings[0].value == lost.rating
    assert (winner.standings[0].place, loser.standings[0].place) == (1, 2)
    assert winner.standings[0].provisional
    again, others = await world.ended()
    await world.store.call("HSET", keys.session(again), "private", "1")
    old = [json.dumps({**msgspec.to_builtins(won), "at": at}) for at in range(MATCHES_KEPT)]
    await world.store.call("RPUSH", keys.matches(others[0]), *old)
    await cleanup(world).handle(again)
    kept = (await standings.public_profile(others[0])).matches
    assert len(kept) == await world.store.call("LLEN", keys.matches(others[0])) == MATCHES_KEPT
    assert [match.session for match in kept] == ["", *[session] * (MATCHES_KEPT - 1)]


async def test_the_matches_of_a_guest_expire_with_it(world: World) -> None:
    """Also after it has been seen again; those of a registered player stay."""
    keys = world.store.keys
    session, players = await world.ended()
    await world.store.call("PEXPIRE", keys.player(players[0]), 60_000)
    await world.store.call("PERSIST", keys.player(players[1]))
    await cleanup(world).handle(session)
    assert 0 < await world.store.call("PTTL", keys.matches(players[0])) <= 60_000
    assert await world.store.call("PTTL", keys.matches(players[1])) == -1


async def test_a_rating_that_changed_meanwhile_is_read_again(world: World) -> None:
    """Two concurrent awards of one player both count; neither overwrites the rating of the other."""
    first, players = await world.ended()
    again = [await world.find(player) for player in players]
    for seat in again:
        await world.enter(seat)
    fence, _ = await world.begin(again[0].session)
    await world.runs.running(fence, 0, b"", 1 / 60)
    await world.runs.finish(fence, 1, [], world.result(players, {}))
    await asyncio.gather(
        *(cleanup(world).handle(session) for session in (first, fence.session) for _ in range(3))
    )
    winner = await world.hash(world.store.keys.player(players[0]))
    once = await world.ended()
    await cleanup(world).handle(once[0])
    after_one = await world.hash(world.store.keys.player(once[1][0]))
    assert (winner["played"], winner["won"], winner["xp"]) == ("2", "2", "20")
    assert float(winner["sigma.duel"]) < float(after_one["sigma.duel"])


async def test_three_workers_share_the_work(world: World, stores: list[Store]) -> None:
    """Three workers handle every session, and each effect happens once."""
    handled: Counter[str] = Counter()

    async def count(point: str, session: str) -> None:
        handled[session] += point == "before_award"

    stop = asyncio.Event()
    patient = replace(world.settings, claim_idle_s=30)
    workers = [Cleanup(store, patient, hook=count) for store in stores]
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.run(stop))
        ended = [await world.ended() for _ in range(12)]

        async def all_done() -> bool:
            return sum(worker.handled for worker in workers) >= 12 and not await pending(world)

        await until(all_done)
        stop.set()
    for session, players in ended:
        assert handled[session] == 1
        await assert_cleaned(world, session, players)
    assert await world.store.call("XINFO", "CONSUMERS", world.store.keys.lifecycle, GROUP) == []


async def spawn(world: World, *arguments: str) -> asyncio.subprocess.Process:
    environ = {
        **os.environ,
        "REDIS_URL": world.settings.redis_url,
        "REALM": world.settings.realm,
        "EXPIRY_S": "600",
        "CLAIM_IDLE_S": "0.05",
        "SWEEP_S": "0.2",
        "LOG_LEVEL": "error",
    }
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, env=environ)


@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_worker_is_replaced(world: World, point: str) -> None:
    """After kill -9 before, between or after the scripts another worker finishes, and each effect happens once."""
    session, players = await world.ended()
    victim = await spawn(world, "-c", VICTIM, point)
    async with asyncio.timeout(30):
        assert await victim.wait() == -signal.SIGKILL
    worker = cleanup(world)

    async def all_done() -> bool:
        return not await worker.drain() and not await pending(world)

    await until(all_done)
    await assert_cleaned(world, session, players)
    assert (await world.lifecycle(session)).count("ended") == 1


async def test_the_process_cleans_until_sigterm(world: World) -> None:
    """``python -m worker`` cleans sessions that ended before and after its start; SIGTERM ends it with exit code 0."""
    before, players_before = await world.ended()
    process = await spawn(world, "-P", "-m", "tussle.worker")
    keys = world.store.keys

    async def expiring(session: str) -> bool:
        return bool(await world.store.call("TTL", keys.session(session)) > 0)

    try:
        await until(lambda: expiring(before))
        later, players_later = await world.ended()
        await until(lambda: expiring(later))
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            code = await process.wait()
    assert code == 0
    await assert_cleaned(world, before, players_before)
    await assert_cleaned(world, later, players_later)
    assert await world.store.call("XINFO", "CONSUMERS", keys.lifecycle, GROUP) == []


async def test_without_a_worker_the_keys_wait(world: World) -> None:
    """Without a worker sessions end, their players are free, and their keys stay."""
    session, players = await world.ended()
    assert (await world.find(players[0])).session != session
    assert await world.store.call("TTL", world.store.keys.session(session)) == -1


async def test_a_worker_retries_while_the_store_is_unavailable(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker survives an unavailable store and continues with the entry that it had read."""
    session, players = await world.ended()
    failures = iter([True, True])

    async def stumble(point: str, _: str) -> None:
        if point == "before_expire" and next(failures, False):
            raise StoreError("away")

    monkeypatch.setattr("tussle.worker.cleanup.RETRY_S", 0.01)
    stop = asyncio.Event()
    worker = cleanup(world, hook=stumble)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))

        async def all_done() -> bool:
            return bool(worker.handled) and not await pending(world)

        await until(all_done)
        stop.set()
    await assert_cleaned(world, session, players)
