"""Filling the store: large scenes, many lobbies, and a store that has no memory left."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections import Counter
from dataclasses import replace

import pytest

from tests.conftest import HOLDER, World, connected, until
from tests.support.http import healthy
from tests.support.stack import Stack
from tests.support.stores import redis_with
from tests.support.stranger import Person, duel
from tussle.lobby.errors import Refused, StoreError
from tussle.lobby.rules.scene_edits import SCENE_BYTES
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.worker.cleanup import UNPLAYED_S, Cleanup
from tussle.worker.sweep import Sweep

SCENE = "x" * 50_000


def cleanup(world: World) -> Cleanup:
    return Cleanup(world.store, world.settings)


async def scene_keys(world: World) -> list[str]:
    return [key for key in await world.keys() if ":scene:" in key]


async def test_a_scene_is_bounded(world: World) -> None:
    """A scene above SCENE_BYTES in UTF-8 is refused and nothing is stored."""
    [player] = await world.players(1)
    before = await world.keys()
    for scene in ("x" * (SCENE_BYTES + 1), "é" * (SCENE_BYTES // 2 + 1), "\ud800"):
        with pytest.raises(Refused) as refused:
            await world.seating.open(player, "duel", 2, holder=HOLDER, scene=scene, address="a")
        assert (refused.value.reason, refused.value.field) == ("bad_scene", "scene")
    assert await world.keys() == before


async def test_equal_scenes_are_stored_once(world: World) -> None:
    """Two lobbies with one scene share its key. It is deleted when the second of them has ended."""
    players = await world.players(3)
    first, second = [
        await world.seating.open(player, "duel", 2, holder=HOLDER, scene=SCENE) for player in players[:2]
    ]
    [key] = await scene_keys(world)
    await world.seating.leave(players[0], first.session)
    await cleanup(world).handle(first.session)
    assert await world.store.call("HGET", key, "data") == SCENE
    await world.seating.join(players[2], second.session)
    for player in players[1:]:
        await world.seating.leave(player, second.session)
    for _ in range(2):
        await cleanup(world).handle(second.session)
    assert await scene_keys(world) == []


async def test_a_holder_reads_the_scene_of_its_session(world: World) -> None:
    """The fence of a session that was opened with a scene has the scene, and it survives a look of the cleanup."""
    players = await world.players(2)
    seat = await world.seating.open(players[0], "duel", 2, holder=HOLDER, scene=SCENE)
    for reservation in (seat, await world.seating.join(players[1], seat.session)):
        await world.enter(reservation)
    assert not await cleanup(world).handle(seat.session)
    fence, _ = await world.begin(seat.session)
    assert fence.scene == SCENE


async def test_the_sweep_deletes_scenes_of_lost_sessions(world: World) -> None:
    """A scene whose session has no keys any more is deleted by the sweep."""
    [player] = await world.players(1)
    seat = await world.seating.open(player, "duel", 2, holder=HOLDER, scene=SCENE)
    sweep = Sweep(world.store, world.settings, cleanup(world))
    await sweep.run_pass()
    assert len(await scene_keys(world)) == 1
    await world.store.call("DEL", world.store.keys.session(seat.session))
    repaired: Counter[str] = Counter()
    while not repaired["scenes"]:
        repaired += await sweep.run_pass()
    assert await scene_keys(world) == []


async def test_a_lobby_that_never_ran_goes_at_once(world: World) -> None:
    """Its keys live for UNPLAYED_S after its end, those of a played session for EXPIRY_S."""
    [player] = await world.players(1)
    seat = await world.seating.open(player, "duel", 2, holder=HOLDER)
    await world.seating.leave(player, seat.session)
    played, _ = await world.ended()
    for session in (seat.session, played):
        await cleanup(world).handle(session)
    left = [key for key in await world.keys() if f"session:{seat.session}" in key]
    assert left
    for key in left:
        assert 0 < await world.store.call("PTTL", key) <= UNPLAYED_S * 1000
    assert await world.store.call("PTTL", world.store.keys.session(played)) > UNPLAYED_S * 1000


async def test_open_and_leave_leave_the_store_as_it_was(realm: str) -> None:
    """After 400 lobbies that were opened and left, the store has the keys and the memory that it had before."""
    lobbies, at_once = 400, 20
    with redis_with("100mb") as url:
        async with connected(url, realm) as [store]:
            settings = replace(
                Settings(redis_url=url, realm=realm, open_rate=1000.0),
                expiry_s=1,
                ticket_ttl_s=1.0,
                claim_idle_s=0.05,
            )
            world = World(store, settings)
            await world.register(px=600_000)
            players = await world.players(at_once)
            worker = cleanup(world)
            await worker.group.ensure()
            sweep = Sweep(store, settings, worker)

            async def open_and_leave(player: str, count: int) -> None:
                for i in range(count):
                    scene = f"{i % 7}{SCENE}"
                    seat = await world.seating.open(
                        player, "duel", 2, holder=HOLDER, scene=scene, address="a"
                    )
                    await world.seating.leave(player, seat.session)

            async def play(count: int) -> tuple[set[str], int]:
                await asyncio.gather(*(open_and_leave(player, count) for player in players))

                async def gone() -> bool:
                    while await worker.drain():
                        pass
                    await sweep.run_pass()
                    return not [key for key in await world.keys() if ":session:" in key or ":ticket:" in key]

                await until(gone, 90.0)
                await sweep.run_pass()
                info = str(await store.call("INFO", "memory"))
                used = re.search(r"^used_memory:(\d+)", info, re.MULTILINE)
                assert used is not None
                return await world.keys(), int(used[1])

            keys, used = await play(1)
            after, used_after = await play(lobbies // at_once)
            assert after == keys
            assert used_after < used + 200_000


async def fill(store: Store, share: float) -> None:
    """Write strings that are not Tussle's until the store uses that share of its memory."""
    for i in range(500):
        text = str(await store.call("INFO", "memory"))
        info = dict(re.findall(r"^(used_memory|maxmemory):(\d+)", text, re.MULTILINE))
        if int(info["used_memory"]) >= share * int(info["maxmemory"]):
            return
        await store.call("SET", f"filler:{i}", "x" * 50_000)
    raise AssertionError("the store did not fill up")


async def test_a_full_store_takes_no_new_work_and_runs_on() -> None:
    """In a store of 20 MB that is almost full: logins and lobbies are refused as store_full with a time, health and a
    notice say so, a duel goes on even without any memory left, and everything is as before once memory is free."""
    with redis_with("20mb") as url:
        realm = f"test-{secrets.token_hex(4)}"
        async with (
            contextlib.AsyncExitStack() as closing,
            Stack.up(url, realm, SIM_SPEED="0", LEASE_MS="1500") as stack,
        ):
            server = await stack.server()
            filler = await Store.connect(url, f"other-{realm}")
            closing.push_async_callback(filler.close)
            async with duel(server.url) as game, Person(server.url) as late:
                await late.login(name="late")
                await game.turn()
                await fill(filler, 0.90)
                notice = await game.lines[0].until("notice", state="store_full")
                assert notice["d"]["reason"]
                health = await healthy(late.http)
                assert (health["accepts"], health["store"]) == (False, "full")
                for path, body in [
                    ("/api/login", {"name": "new"}),
                    ("/api/find", {}),
                    ("/api/open", {"mode": "duel"}),
                    ("/api/join", {"session": game.session}),
                ]:
                    answer = await late.post(path, body)
                    problem = answer.json()
                    assert (answer.status_code, problem["code"]) == (503, "store_full"), path
                    assert problem["retry_after"] > 0 and answer.headers["retry-after"]
                assert "tussle_store_full 1.0" in (await late.get("/metrics")).text
                await filler.call("CONFIG", "SET", "maxmemory", "10mb")  # far below what is used now
                with pytest.raises(StoreError) as refused:
                    await filler.call("SET", "one more", "x")
                assert refused.value.reason == "store_full"
                for line in game.lines:
                    line._read_up_to = len(line.messages)
                view = await game.persons[0].look(game.session)
                acting = next(line for line in game.lines if line.seat == view["turn_seat"])
                answer = await acting.act(azimuth=0.0, elevation=20.0, power=0.1)
                assert answer["t"] == "ack", answer
                await acting.until("turn_started", "ended")
                ticket = await game.persons[0].ask("/api/join", session=game.session)
                assert ticket["ticket"]
                await filler.batch([("DEL", f"filler:{i}") for i in range(500)])
                await game.lines[0].until("notice", state="store_ok")
                assert (await late.post("/api/login", {"name": "new"})).status_code == 200
                assert (await healthy(late.http))["accepts"]
