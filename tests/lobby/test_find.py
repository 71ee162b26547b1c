"""Finding under concurrency (row D2): everyone in full lobbies of distinct players, whatever the interleaving."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from tests.conftest import BODIES, World
from tussle.lobby.seating import Seating
from tussle.lobby.servers import HolderAddress
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.store.store import Store


@pytest.mark.parametrize("size", [2, 4])
async def test_200_concurrent_finds(world: World, stores: list[Store], size: int) -> None:
    """200 players find at once over three clients: every lobby is full, of distinct players, and none is left over."""
    players = await world.players(200)
    servers = [Seating(SessionScripts(store), world.settings) for store in stores]
    holders = [HolderAddress(f"s{i}", "boot", f"http://{i}") for i in range(3)]
    for holder in holders:
        await world.servers.register(holder.id + "x", holder.nonce, holder.url, "p", 60_000)
    random.Random(size).shuffle(players)
    seats = await asyncio.gather(
        *(
            servers[i % 3].find(player, "duel", size, holder=holders[i % 3], bodies=BODIES)
            for i, player in enumerate(players)
        )
    )
    lobbies = Counter(seat.session for seat in seats)
    assert len(lobbies) == 200 // size and set(lobbies.values()) == {size}
    for session in lobbies:
        view = await world.views.view(session)
        assert view.status == "filled"
        assert [seat.seat for seat in view.seats] == list(range(size))
        assert len({seat.player for seat in view.seats}) == size
        assert len({seat.body for seat in view.seats}) == size
    assert not await world.store.call("ZCARD", world.store.keys.open_lobbies("duel", size))


async def test_finds_among_leavers(world: World, stores: list[Store]) -> None:
    """While others leave and come back, nobody is lost: at the end at most one lobby is not full."""
    players = await world.players(40)
    servers = [Seating(SessionScripts(store), world.settings) for store in stores]
    rng = random.Random(7)

    async def wander(i: int, player: str, leaves: int) -> str:
        lobbies = servers[i % 3]
        for _ in range(leaves):
            seat = await lobbies.find(player, "duel", 3, holder=world.holder)
            await lobbies.leave(player, seat.session)
        return (await lobbies.find(player, "duel", 3, holder=world.holder)).session

    sessions = await asyncio.gather(*(wander(i, p, rng.randrange(4)) for i, p in enumerate(players)))
    sizes = Counter()
    for session in set(sessions):
        view = await world.views.view(session)
        assert view.status in ("open", "filled") and len({seat.player for seat in view.seats}) == len(
            view.seats
        )
        sizes[len(view.seats)] += 1
    assert sum(size * count for size, count in sizes.items()) == 40
    waiting = await world.store.call("ZRANGE", world.store.keys.open_lobbies("duel", 3), 0, -1)
    assert len(waiting) == sum(count for size, count in sizes.items() if size < 3)


async def test_a_repeated_find_seats_once(world: World) -> None:
    """One player who asks ten times at once, as after lost answers, has one seat."""
    [player] = await world.players(1)
    seats = await asyncio.gather(*(world.find(player) for _ in range(10)))
    assert len({seat.session for seat in seats}) == 1
    assert len((await world.views.view(seats[0].session)).seats) == 1
    assert len({seat.ticket for seat in seats}) == 10
