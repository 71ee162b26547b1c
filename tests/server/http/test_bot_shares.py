"""A player has a share of the bots, and an address eight, whatever the number of its guests and lobbies."""

from __future__ import annotations

import pytest

from tests.conftest import BODIES, HOLDER, World
from tussle.lobby.errors import Conflict, RateLimited
from tussle.lobby.filling import Filling
from tussle.lobby.settings import Settings
from tussle.server.costs import Ledger, Owner, Resource
from tussle.server.http.bot_shares import BotShares

OTHERS = 28


class Site:
    """The shares of a server whose clients may have four bots each, and a bot process that is up."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.filling = Filling(world.scripts)
        self.ledger = Ledger(Settings(bot_share=4), lambda *_: None)
        self.shares = BotShares(self.filling, self.ledger)

        for address in ("a", "b", "c"):  # the bots of other guests there: four more are in the share
            self.ledger.hold(Resource.BOTS, Owner.ADDRESS, address, count=OTHERS)

    def held(self, address: str) -> int:
        return self.ledger.held(Resource.BOTS, Owner.ADDRESS, address) - OTHERS

    async def lobby(self, size: int) -> tuple[str, str]:
        """A connected host and its lobby."""
        host = (await self.world.accounts.login(kind="person")).player
        seat = await self.world.seating.open(host, "duel", size, holder=HOLDER, ready=False)
        await self.world.enter(seat)
        return host, seat.session

    async def ask(self, address: str, host: str, session: str, count: int | None) -> int:
        async with self.shares.asking(session, address, host, count):
            return (await self.filling.request(host, session, count, "fair")).wanted

    async def fill(self, session: str, bot: str) -> None:
        await self.world.enter(await self.world.seating.fill(bot, session, bodies=BODIES))


@pytest.fixture
async def site(world: World) -> Site:
    made = Site(world)
    await made.filling.offers((await world.players(1))[0])
    return made


async def test_many_guests_of_one_address_get_its_share(site: Site) -> None:
    """The guest that asks for one bot too many gets bots_busy with retry_after, and its lobby asks for none; a smaller
    request and other addresses still get bots."""
    one, two, three = [await site.lobby(4) for _ in range(3)]
    assert await site.ask("a", *one, None) == 3
    with pytest.raises(RateLimited) as refused:
        await site.ask("a", *two, None)
    assert refused.value.reason == "bots_busy" and (refused.value.retry_after or 0) > 0
    assert [offer.session for offer in await site.filling.offers(one[0])] == [one[1]]
    assert await site.ask("a", *two, 1) == 1
    assert await site.ask("b", *three, None) == 3
    await site.shares.settle()
    assert (site.held("a"), site.held("b")) == (4, 3)


async def test_one_player_has_one_share_at_all_addresses(site: Site) -> None:
    """A host that asks again from another address moves its bots there, and has no second share."""
    host, session = await site.lobby(6)
    with pytest.raises(RateLimited):
        await site.ask("a", host, session, None)
    assert await site.ask("a", host, session, 4) == 4
    assert await site.ask("b", host, session, 4) == 4
    assert (site.held("a"), site.held("b")) == (0, 4)
    with pytest.raises(RateLimited):
        await site.ask("c", host, session, 5)
    assert (site.held("b"), site.held("c")) == (4, 0)


async def test_lobbies_of_one_address_have_one_name(site: Site) -> None:
    """It says that two lobbies are of one address, and not which."""
    one, two, three = [await site.lobby(2) for _ in range(3)]
    for address, (host, session) in (("a", one), ("a", two), ("b", three)):
        await site.ask(address, host, session, None)
    names = [site.shares.group(session) for _, session in (one, two, three)]
    assert names[0] == names[1] != names[2] and len(names[2]) == 16
    again = BotShares(site.filling, site.ledger)
    async with again.asking(one[1], "a", one[0], 1):
        assert again.group(one[1]) not in ("", names[0]), "another server, another name"
    assert again.group(two[1]) == ""


async def test_bots_are_given_back_when_they_leave(site: Site) -> None:
    """Bots that play are held until the session is over; a request that is refused, that the host takes back, or that
    expires, holds nothing."""
    host, session = await site.lobby(3)
    store = site.world.store
    bots = [(await site.world.accounts.login(kind="bot")).player for _ in range(2)]
    await site.ask("a", host, session, None)
    for bot in bots:
        await site.fill(session, bot)
    await site.shares.settle()
    assert site.held("a") == 2
    await site.world.seating.set_ready(host, session, True)
    assert await site.world.status(session) == "starting"
    await site.shares.settle()
    assert site.held("a") == 2
    await store.call("HSET", store.keys.session(session), "status", "ended")
    await site.shares.settle()
    assert site.held("a") == 0

    other, second = await site.lobby(3)
    await site.ask("a", other, second, None)
    await site.ask("a", other, second, 0)
    await site.shares.settle()
    assert site.held("a") == 0
    await site.ask("a", other, second, None)
    await store.call("HSET", store.keys.session(second), "bots.until", 1)
    await site.shares.settle()
    assert site.held("a") == 0
    await store.call("DEL", store.keys.bot_processes)
    with pytest.raises(Conflict):
        await site.ask("a", other, second, None)
    assert site.held("a") == 0


async def test_lobbies_that_ask_by_themselves_count(site: Site) -> None:
    """Guests who wait alone use up the share too: the next lobby opens, and asks for no bots. A second person in a
    lobby gives its bots back, and joining one holds none."""
    opened = []
    for _ in range(3):
        host = (await site.world.accounts.login(kind="person")).player
        with site.shares.waiting("a", host, 3, 5000) as lobby:
            seat = await site.world.seating.open(
                host, "duel", 3, holder=HOLDER, ready=False, alone_ms=lobby.alone_ms
            )
            lobby.record(seat)
        await site.world.enter(seat)
        opened.append((seat.session, lobby.alone_ms))
    assert [alone_ms for _, alone_ms in opened] == [5000, 5000, 0]
    await site.shares.settle()
    assert site.held("a") == 4
    friend = (await site.world.accounts.login(kind="person")).player
    with site.shares.waiting("b", friend, 3, 5000) as lobby:
        lobby.record(await site.world.seating.join(friend, opened[0][0]))
    assert site.held("b") == 0
    await site.shares.settle()
    assert site.held("a") == 2
