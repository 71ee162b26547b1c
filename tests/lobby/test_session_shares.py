"""An address and a player have a share of all sessions, whatever the number of servers, guests and lobbies."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import HOLDER, World
from tussle.lobby.errors import RateLimited
from tussle.lobby.seating import Seating, SeatReservation
from tussle.lobby.servers import HolderAddress
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.session_shares import SessionShares, opening_rates, session_share
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store

SETTINGS = Settings(address_sessions=4)
SECOND = HolderAddress("s2", "boot-1", "http://two:8420")


class Realm:
    """Two servers of one realm. An address may have opened four sessions, a player two."""

    def __init__(self, world: World, other: Store) -> None:
        self.world = world
        self.shares = SessionShares(world.store, SETTINGS)
        self._servers = [
            (HOLDER, Seating(world.scripts, SETTINGS)),
            (SECOND, Seating(SessionScripts(other), SETTINGS)),
        ]

    async def open(self, server: int, player: str, address: str, *, size: int = 2) -> SeatReservation:
        holder, seating = self._servers[server]
        return await seating.open(player, "duel", size, holder=holder, address=address)

    async def attempt(self, server: int, player: str, address: str) -> str:
        """The code of the refusal, or "opened"."""
        try:
            await self.open(server, player, address)
        except RateLimited as error:
            assert error.retry_after
            return error.reason
        return "opened"


@pytest.fixture
async def realm_of_two(world: World, stores: list[Store]) -> Realm:
    await world.servers.register("s2", "boot-1", SECOND.url, "physics-1", 60_000)
    return Realm(world, stores[0])


async def test_an_address_has_one_share_on_all_servers(realm_of_two: Realm) -> None:
    """Twelve guests of one address open lobbies at two servers at once: exactly four are opened. Another
    address has its own share."""
    players = await realm_of_two.world.players(13)
    assert await realm_of_two.attempt(0, players[12], "203.0.113.70") == "opened"
    answers = await asyncio.gather(
        *(
            realm_of_two.attempt(number % 2, player, "203.0.113.7")
            for number, player in enumerate(players[:12])
        )
    )
    assert sorted(answers) == ["address_sessions"] * 8 + ["opened"] * 4
    counts = await realm_of_two.shares.counts()
    assert counts["address"] == {"203.0.113.7": 4, "203.0.113.70": 1}


async def test_a_refused_player_may_join_and_find(realm_of_two: Realm) -> None:
    """A guest of an address that has its share takes a seat in an open lobby; nothing of the refusal is kept."""
    world = realm_of_two.world
    players = await world.players(6)
    for player in players[:4]:
        await realm_of_two.open(0, player, "a")
    with pytest.raises(RateLimited):
        await realm_of_two.open(1, players[4], "a")
    seating = Seating(world.scripts, SETTINGS)
    found = await seating.find(players[4], "duel", 2, holder=HOLDER, address="a")
    assert found.seat == 1
    with pytest.raises(RateLimited) as refused:
        await seating.find(players[5], "duel", 3, holder=HOLDER, address="a")
    assert refused.value.reason == "address_sessions"
    assert await world.store.call("HGET", world.store.keys.player(players[5]), "session") is None


async def test_a_session_counts_until_it_is_over(realm_of_two: Realm) -> None:
    """Lobbies that are given up, and those whose keys are gone, no longer count. Their entries are removed with the
    next lobby of the same owner, or by the sweep. A session that runs counts, also after its host has left."""
    world = realm_of_two.world
    players = await world.players(9)
    seats = [await realm_of_two.open(0, player, "a") for player in players[:4]]
    await world.seating.join(players[4], seats[3].session)
    await world.seating.leave(players[3], seats[3].session)  # players[4] is the host now
    assert await realm_of_two.attempt(1, players[5], "a") == "address_sessions"
    await world.seating.leave(players[0], seats[0].session)
    assert await realm_of_two.attempt(1, players[5], "a") == "opened"
    assert (await realm_of_two.shares.counts())["address"]["a"] == 4
    assert await realm_of_two.attempt(1, players[6], "a") == "address_sessions"

    keys = world.store.keys
    await world.store.call("ZREM", keys.lobbies, seats[1].session)  # as after the loss of its keys
    assert await realm_of_two.shares.prune() == 3  # of player and address; of the first lobby, of its player
    assert (await realm_of_two.shares.counts())["address"]["a"] == 3
    assert await realm_of_two.shares.prune() == 0
    assert await realm_of_two.attempt(0, players[6], "a") == "opened"


async def test_a_player_has_a_share_at_all_addresses(realm_of_two: Realm) -> None:
    """A player who leaves each lobby to a friend opens two, from any address, and no third one before one is over."""
    world = realm_of_two.world
    host, *friends = await world.players(4)
    opened = []
    for server, friend in enumerate(friends[:2]):
        seat = await realm_of_two.open(server, host, f"a{server}")
        await world.seating.join(friend, seat.session)
        await world.seating.leave(host, seat.session)
        opened.append(seat.session)
    assert await realm_of_two.attempt(0, host, "a2") == "player_sessions"
    await world.seating.leave(friends[0], opened[0])
    assert await realm_of_two.attempt(1, host, "a2") == "opened"


async def test_the_share_survives_a_dead_server(realm_of_two: Realm) -> None:
    """Lobbies of a server that was killed count until they are over, and no longer."""
    world = realm_of_two.world
    players = await world.players(6)
    seats = [await realm_of_two.open(0, player, "a") for player in players[:4]]
    await world.servers.release(HOLDER.id, HOLDER.nonce)
    assert await realm_of_two.attempt(1, players[4], "a") == "address_sessions"
    for player, seat in zip(players[:4], seats, strict=True):
        await world.seating.leave(player, seat.session)
    await realm_of_two.shares.prune()
    assert await world.store.call("EXISTS", world.store.keys.session_shares) == 0
    assert await realm_of_two.attempt(1, players[4], "a") == "opened"


async def test_openings_have_a_rate_on_all_servers(world: World, stores: list[Store]) -> None:
    """Nine guests of one address open and leave lobbies at two servers at once: three are opened, the others have to
    wait. A lobby that was left gives nothing back. What is refused costs nothing, nor does a seat in the lobby of
    another; one unit comes back after its time."""
    settings = Settings(open_rate=0.05)
    servers = [Seating(world.scripts, settings), Seating(SessionScripts(stores[0]), settings)]
    players = await world.players(13)

    async def attempt(server: int, player: str, address: str = "203.0.113.7") -> float:
        """The time to wait [s]; 0: opened."""
        try:
            seat = await servers[server].open(player, "duel", 2, holder=HOLDER, address=address, private=True)
        except RateLimited as error:
            assert error.reason == "address_openings" and error.retry_after is not None
            return error.retry_after
        await world.seating.leave(player, seat.session)
        return 0.0

    waits = sorted(await asyncio.gather(*(attempt(n % 2, player) for n, player in enumerate(players[:9]))))
    assert waits[:3] == [0.0] * 3 and all(15.0 < wait <= 20.0 for wait in waits[3:])
    assert await attempt(0, players[9], "203.0.113.8") == 0.0
    key = world.store.keys.address_openings("203.0.113.7")
    assert 50_000 < await world.store.call("PTTL", key) <= 60_000
    await world.store.call("DECRBY", key, 20_000)  # as after twenty seconds
    assert await attempt(1, players[10]) == 0.0
    assert await attempt(0, players[11]) > 15.0
    lobby = await servers[0].open(players[12], "duel", 3, holder=HOLDER, address="203.0.113.9")
    found = await servers[1].find(players[11], "duel", 3, holder=HOLDER, address="203.0.113.7")
    assert found.session == lobby.session


async def test_a_player_has_a_rate_at_all_addresses(world: World) -> None:
    """A player who opens and leaves lobbies, each from another address, is refused after fifteen times the rate."""
    seating = Seating(world.scripts, Settings(open_rate=0.2))
    [player] = await world.players(1)
    for number in range(3):
        seat = await seating.open(player, "duel", 2, holder=HOLDER, address=f"a{number}")
        await world.seating.leave(player, seat.session)
    with pytest.raises(RateLimited) as refused:
        await seating.find(player, "duel", 2, holder=HOLDER, address="a9")
    assert refused.value.reason == "player_openings" and 15.0 < (refused.value.retry_after or 0.0) <= 20.0


def test_the_default_bears_a_classroom() -> None:
    """Sixty players behind one address open a session each, and at once the next one; the rest of the server is for
    others."""
    assert opening_rates(Settings()) == ((2.0, 120.0), (0.5, 30.0))
    assert session_share(Settings()) == (100, 50)
    assert session_share(Settings(max_sessions=2)) == (1, 1)
    assert session_share(Settings(address_sessions=7)) == (7, 3)
