"""A player has a share of the bots, and an address eight, whatever the number of its guests and lobbies."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

import pytest

from tests.conftest import BODIES, HOLDER, World
from tussle.lobby import bot_holdings
from tussle.lobby.bot_holdings import BotHoldings
from tussle.lobby.errors import Conflict, RateLimited, StoreError
from tussle.lobby.filling import Filling
from tussle.lobby.ids import new_session_token
from tussle.lobby.seating import Seating
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.server.costs import Ledger, Owner, Resource
from tussle.server.http import bot_shares
from tussle.server.http.bot_shares import BotShares

OTHERS = 28


class Site:
    """Two servers whose clients may have four bots each, and a bot process that is up."""

    def __init__(self, world: World, other: Store) -> None:
        self.world = world
        self.seating = Seating(world.scripts, Settings(bot_share=4))
        self.filling = Filling(world.scripts)
        self.holdings = BotHoldings(world.store, self.filling)
        self.refusals: Counter[tuple[str, str]] = Counter()
        elsewhere = Filling(SessionScripts(other))
        self.servers = [
            self._shares(self.filling, self.holdings),
            self._shares(elsewhere, BotHoldings(other, elsewhere)),
        ]
        self.shares = self.servers[0]

    def _shares(self, filling: Filling, holdings: BotHoldings) -> BotShares:
        def count(resource: Resource, owner: Owner) -> None:
            self.refusals[resource, owner] += 1

        return BotShares(filling, holdings, Ledger(Settings(bot_share=4), count))

    async def others(self, address: str) -> None:
        """A session in which the bots of other guests of an address play: four more are in the share."""
        store, session = self.world.store, new_session_token()
        fills = [part for seat in range(OTHERS) for part in (f"fill.{seat}", "bot")]
        await store.call("HSET", store.keys.session(session), "status", "running", "size", OTHERS, *fills)
        await self.holdings.hold(session, OTHERS, address, f"others-{address}", most=(OTHERS, OTHERS))

    async def held(self, address: str) -> int:
        return (await self.holdings.counts())["address"][address] - OTHERS

    async def alone(self, address: str, size: int) -> tuple[str, str, int]:
        """A connected host, its lobby, and the time after which it gets bots by itself [ms]; 0: never."""
        host = (await self.world.accounts.login(kind="person")).player
        await self.shares.make_room(address, host, size - 1)
        seat = await self.seating.open(
            host, "duel", size, holder=HOLDER, ready=False, alone_ms=5000, address=address
        )
        await self.world.enter(seat)
        keys = self.world.store.keys
        alone_ms = await self.world.store.call("HGET", keys.session(seat.session), "bots.alone_ms")
        assert (alone_ms is None) == bool(seat.no_bots_of)
        return host, seat.session, int(alone_ms or 0)

    async def lobby(self, size: int) -> tuple[str, str]:
        """A connected host and its lobby."""
        host = (await self.world.accounts.login(kind="person")).player
        seat = await self.world.seating.open(host, "duel", size, holder=HOLDER, ready=False)
        await self.world.enter(seat)
        return host, seat.session

    async def ask(self, address: str, host: str, session: str, count: int | None, *, server: int = 0) -> int:
        async with self.servers[server].asking(session, address, host, count):
            return (await self.filling.request(host, session, count, "fair")).wanted

    async def fill(self, session: str, bot: str) -> None:
        await self.world.enter(await self.world.seating.fill(bot, session, bodies=BODIES))


@pytest.fixture
async def site(world: World, stores: list[Store], monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(bot_holdings, "FRESH_MS", 0)
    monkeypatch.setattr(bot_shares, "SETTLE_S", 0.0)
    made = Site(world, stores[0])
    for address in "abc":
        await made.others(address)
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
    await site.holdings.settle()
    assert (await site.held("a"), await site.held("b")) == (4, 3)


async def test_one_player_has_one_share_at_all_addresses(site: Site) -> None:
    """A host that asks again from another address moves its bots there, and has no second share."""
    host, session = await site.lobby(6)
    with pytest.raises(RateLimited):
        await site.ask("a", host, session, None)
    assert await site.ask("a", host, session, 4) == 4
    assert await site.ask("b", host, session, 4) == 4
    assert (await site.held("a"), await site.held("b")) == (0, 4)
    with pytest.raises(RateLimited):
        await site.ask("c", host, session, 5)
    assert (await site.held("b"), await site.held("c")) == (4, 0)


async def test_a_player_takes_its_share_along(site: Site) -> None:
    """Bots of a lobby that the host has left to a friend count for the host, also in its next lobby, elsewhere."""
    host, session = await site.lobby(4)
    friend = (await site.world.accounts.login(kind="person")).player
    await site.world.seating.join(friend, session)
    assert await site.ask("a", host, session, 2) == 2
    await site.world.seating.leave(host, session)
    seat = await site.world.seating.open(host, "duel", 4, holder=HOLDER, ready=False)
    await site.world.enter(seat)
    with pytest.raises(RateLimited):
        await site.ask("b", host, seat.session, 3, server=1)
    assert site.refusals == {(Resource.BOTS, Owner.PLAYER): 1}
    assert await site.ask("b", host, seat.session, 2, server=1) == 2


async def test_lobbies_of_one_address_have_one_name(site: Site) -> None:
    """It says that two lobbies are of one address, and not which."""
    one, two, three = [await site.lobby(2) for _ in range(3)]
    for address, (host, session) in (("a", one), ("a", two), ("b", three)):
        await site.ask(address, host, session, None)
    tokens = [session for _, session in (one, two, three)]
    names = await site.shares.groups([*tokens, "aaaaaaaa"])
    assert names[0] == names[1] != names[2] and len(names[2]) == 16 and names[3] == ""
    others = await site.servers[1].groups(tokens)
    assert others[0] == others[1] != others[2] and not {*others} & {*names}, "another server, other names"


async def test_bots_are_given_back_when_they_leave(site: Site) -> None:
    """Bots that play are held until the session is over; a request that is refused, that the host takes back, or that
    expires, holds nothing."""
    host, session = await site.lobby(3)
    store = site.world.store
    bots = [(await site.world.accounts.login(kind="bot")).player for _ in range(2)]
    await site.ask("a", host, session, None)
    for bot in bots:
        await site.fill(session, bot)
    await site.holdings.settle()
    assert await site.held("a") == 2
    await site.world.seating.set_ready(host, session, True)
    assert await site.world.status(session) == "starting"
    await site.holdings.settle()
    assert await site.held("a") == 2
    await store.call("HSET", store.keys.session(session), "status", "ended")
    await site.holdings.settle()
    assert await site.held("a") == 0

    other, second = await site.lobby(3)
    await site.ask("a", other, second, None)
    await site.ask("a", other, second, 0)
    await site.holdings.settle()
    assert await site.held("a") == 0
    await site.ask("a", other, second, None)
    await store.call("HSET", store.keys.session(second), "bots.until", 1)
    await site.holdings.settle()
    assert await site.held("a") == 0
    await store.call("DEL", store.keys.bot_processes)
    with pytest.raises(Conflict):
        await site.ask("a", other, second, None)
    assert await site.held("a") == 0


async def test_lobbies_that_ask_by_themselves_count(site: Site) -> None:
    """Guests who wait alone use up the share too: the next lobby opens, and asks for no bots. Joining a lobby holds
    none. What a lobby asked for by itself stays held while it waits, also while a second person is in it."""
    opened = [await site.alone("a", 3) for _ in range(3)]
    assert [alone_ms for _, _, alone_ms in opened] == [5000, 5000, 0]
    host, session, _ = opened[0]
    await site.holdings.settle()
    assert await site.held("a") == 4
    friend = (await site.world.accounts.login(kind="person")).player
    found = await site.seating.find(friend, "duel", 3, holder=HOLDER, alone_ms=5000, address="b")
    assert found.session == session and not found.no_bots_of
    assert await site.held("b") == 0
    await site.holdings.settle()
    assert await site.held("a") == 4
    await site.world.seating.leave(friend, session)
    assert await site.filling.request_alone(session, due_at=10**15) == 1
    for _ in range(2):
        await site.fill(session, (await site.world.accounts.login(kind="bot")).player)
    await site.world.seating.set_ready(host, session, True)
    assert await site.world.status(session) == "starting"
    await site.holdings.settle()
    assert await site.held("a") == 4


async def test_people_who_come_and_leave_free_no_bots(site: Site) -> None:
    """The bots of a request stay held while people have taken the seats: when they leave, bots come after all."""
    host, session = await site.lobby(3)
    assert await site.ask("a", host, session, None) == 2
    friends = [(await site.world.accounts.login(kind="person")).player for _ in range(2)]
    for friend in friends:
        await site.world.seating.join(friend, session)
    await site.holdings.settle()
    for friend in friends:
        await site.world.seating.leave(friend, session)
    for _ in range(2):
        await site.fill(session, (await site.world.accounts.login(kind="bot")).player)
    assert await site.held("a") == 2


async def test_a_small_request_does_not_free_what_a_lobby_takes_by_itself(site: Site) -> None:
    """A host asks for one bot in a lobby that will ask for three by itself: three stay held. If it wants no bots, none
    are."""
    host, session, _ = await site.alone("a", 4)
    assert await site.ask("a", host, session, 1) == 1
    assert await site.held("a") == 3
    await site.ask("a", host, session, 0)
    await site.holdings.settle()
    assert await site.held("a") == 0


async def test_a_store_that_fails_afterwards_spoils_no_answer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal keeps its code if what was held cannot be given back."""
    store, gone = site.world.store, Store("redis://127.0.0.1:1/0", "gone")
    [host] = await site.world.players(1)
    seat = await site.world.seating.open(host, "duel", 2, holder=HOLDER, ready=False)
    with pytest.raises(Conflict) as refused:
        async with site.shares.asking(seat.session, "b", host, None):
            monkeypatch.setattr(site.holdings, "_store", gone)
            await store.call("DEL", store.keys.bot_processes)
            await site.filling.request(host, seat.session, None, "fair")
    assert refused.value.reason == "no_bots"


async def test_a_request_without_an_answer_stays_held(site: Site) -> None:
    """The store fails when it has perhaps stored the request: its bots stay held until they are counted again."""
    host, session = await site.lobby(3)
    with pytest.raises(StoreError):
        async with site.shares.asking(session, "a", host, None):
            await site.filling.request(host, session, None, "fair")
            await Store("redis://127.0.0.1:1/0", "gone").call("PING")
    assert await site.held("a") == 2
    await site.filling.request(host, session, 0, "fair")
    await site.holdings.settle()
    assert await site.held("a") == 0


async def test_a_share_is_one_on_all_servers(site: Site) -> None:
    """Four guests of one address ask at two servers at once: together they get the share of the address. Each refusal
    is counted by its server. When one of their sessions is over, the next request is served at once."""
    lobbies = [await site.lobby(3) for _ in range(4)]

    async def asked(server: int, host: str, session: str) -> str:
        try:
            await site.ask("a", host, session, None, server=server)
        except RateLimited as error:
            return error.reason
        return session

    answers = await asyncio.gather(*(asked(number % 2, *lobby) for number, lobby in enumerate(lobbies)))
    assert sorted(answers).count("bots_busy") == 2 and await site.held("a") == 4
    assert site.refusals == {(Resource.BOTS, Owner.ADDRESS): 2}
    served = next(lobby for lobby in lobbies if lobby[1] in answers)
    refused = next(number for number, answer in enumerate(answers) if answer == "bots_busy")
    await site.world.seating.leave(*served)
    assert await asked(refused % 2, *lobbies[refused]) == lobbies[refused][1]
    assert await site.held("a") == 4


async def test_a_request_on_its_way_is_not_forgotten(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bots of a request that is not in the store yet stay held for FRESH_MS when another server or the sweep counts
    them."""
    monkeypatch.setattr(bot_holdings, "FRESH_MS", 60_000)
    host, session = await site.lobby(4)
    async with site.shares.asking(session, "a", host, None):
        assert await site.holdings.settle() == 0
        await site.filling.request(host, session, None, "fair")
    assert await site.held("a") == 3


async def test_a_killed_server_holds_nothing(site: Site) -> None:
    """What a server held for sessions that are over, or for one that is not in the store, is given back."""
    host, session = await site.lobby(3)
    await site.ask("a", host, session, None)
    await site.holdings.hold("k7qm2xpv", 2, "a", "p-lost", most=(64, 8))
    assert await site.held("a") == 4
    await site.world.seating.leave(host, session)
    await site.holdings.settle()
    assert await site.held("a") == 0


async def test_a_lobby_holds_its_bots_from_the_moment_when_it_exists(site: Site) -> None:
    """The server is killed right after the script that opened a lobby: the bots that the lobby gets by itself count.
    Lobbies that are opened at once at two servers share what is left."""
    hosts = [(await site.world.accounts.login(kind="person")).player for _ in range(4)]
    seats = await asyncio.gather(
        *(
            site.seating.open(host, "duel", 3, holder=HOLDER, ready=False, alone_ms=5000, address="a")
            for host in hosts
        )
    )
    assert sorted(seat.no_bots_of for seat in seats) == ["", "", "address", "address"]
    assert await site.held("a") == 4
    asked, unasked = [[s for s in seats if bool(s.no_bots_of) is refused] for refused in (False, True)]
    assert await site.holdings.addresses([s.session for s in asked]) == ["a", "a"]
    assert await site.holdings.addresses([s.session for s in unasked]) == [None, None]
    await site.holdings.settle()
    assert await site.held("a") == 4


async def test_a_request_reads_the_sessions_of_its_owners_only(site: Site) -> None:
    """Three hundred sessions of other addresses hold bots. A request of a client that holds none costs the store as
    much as without them."""
    store = site.world.store
    for number in range(300):
        await site.holdings.hold(f"session{number}", 1, f"d{number}", f"p{number}", most=(4, 4))
    host, session = await site.lobby(3)

    async def calls() -> Counter[str]:
        """How often each command was called, also by scripts."""
        text = str(await store.call("INFO", "commandstats"))
        return Counter(
            {name: int(count) for name, count in re.findall(r"cmdstat_(\w+)\W+calls\W+(\d+)", text)}
        )

    before = await calls()
    assert await site.holdings.busy(2, "e", host, most=(4, 4)) is None
    assert not isinstance(await site.holdings.hold(session, 2, "e", host, most=(4, 4)), bot_holdings.Busy)
    await site.holdings.settle("address", "e")
    spent = await calls() - before
    assert spent["hgetall"] == 0 and 0 < spent["hget"] < 20, spent


async def test_owners_that_were_lost_are_found_again(site: Site) -> None:
    """The set of owners is lost, as in a store of an older version: the sweep makes it again, and each owner has its
    share as before."""
    host, session = await site.lobby(4)
    await site.ask("a", host, session, 3)
    await site.world.store.call("DEL", site.world.store.keys.bot_owners)
    await site.holdings.settle()
    assert await site.held("a") == 3
    other, second = await site.lobby(3)
    with pytest.raises(RateLimited):
        await site.ask("a", other, second, 2)
    await site.ask("a", host, session, 0)
    await site.holdings.settle()
    assert await site.held("a") == 0
    store, keys = site.world.store, site.world.store.keys
    assert await store.call("ZCARD", keys.bot_owners) == 2 * await store.call("HLEN", keys.bot_shares)
