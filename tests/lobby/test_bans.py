"""Bans: a banned player may not log in, call or connect, on any server, until the ban ends or is lifted."""

from __future__ import annotations

import pytest

from tests.conftest import World
from tussle.lobby.address_bans import AddressBans
from tussle.lobby.errors import Conflict, Forbidden, NotFound, Refused
from tussle.lobby.operators import Operators
from tussle.lobby.orders import OrderLog

SECRET = "a secret of hers"


@pytest.fixture
def operators(world: World) -> Operators:
    return Operators(world.scripts, world.seating)


async def test_a_banned_player_is_refused_at_every_door(world: World, operators: Operators) -> None:
    """Login, token, ticket and resume token are refused with ``banned``; the seat is free; other players are not
    affected."""
    ada = await world.accounts.login("ada", SECRET)
    [bob] = await world.players(1)
    seat, other = await world.find(ada.player, 3), await world.find(bob, 3)
    assert seat.session == other.session
    resumed = await world.enter(seat)
    watching = await world.seating.observe(ada.player, seat.session)
    player, until = await operators.ban("ADA", "boss", 3600.0)
    assert player == ada.player and until > await world.store.now_ms()
    assert not (await world.accounts.authenticate((await world.accounts.login()).token)).session
    for attempt in (
        world.accounts.login("ada", SECRET),
        world.accounts.authenticate(ada.token),
        world.connections.connect(ticket=watching.ticket, conn="c9"),
        world.connections.connect(resume=resumed.resume, conn="c9"),
    ):
        with pytest.raises(Forbidden) as refused:
            await attempt
        assert (refused.value.reason, refused.value.status) == ("banned", 403)
    view = await world.views.view(seat.session)
    assert [member.player for member in view.seats] == [bob]
    assert [ban.name for ban in await operators.bans.listed()] == ["ada"]


async def test_a_lifted_ban_is_over(world: World, operators: Operators) -> None:
    """The player logs in again, and its old token works again."""
    ada = await world.accounts.login("ada", SECRET)
    await operators.ban(ada.player, "boss")
    assert await operators.unban("ada", "boss") == ada.player
    assert (await world.accounts.authenticate(ada.token)).player == ada.player
    assert (await world.accounts.login("ada", SECRET)).player == ada.player
    assert await operators.bans.listed() == []


async def test_a_ban_ends_by_itself(world: World, operators: Operators) -> None:
    """After its end nothing is refused, and the next ban removes it from the index."""
    ada, bob = await world.accounts.login("ada", SECRET), await world.accounts.login("bob", SECRET)
    await operators.ban("ada", "boss", 1.0)
    key = world.store.keys.player(ada.player)
    past = await world.store.now_ms() - 1
    await world.store.call("HSET", key, "banned_until", past)
    await world.store.call("ZADD", world.store.keys.banned, past, ada.player)
    assert (await world.accounts.authenticate(ada.token)).player == ada.player
    assert await operators.bans.listed() == []
    await operators.ban("bob", "boss")
    assert await world.store.call("ZRANGE", world.store.keys.banned, 0, -1) == [bob.player]


@pytest.mark.parametrize("for_s", [0.0, 0.5, -1.0, 4e8, float("nan"), float("inf")])
async def test_the_length_of_a_ban_is_bounded(world: World, operators: Operators, for_s: float) -> None:
    """Less than a second, more than ten years and numbers that are none are refused, and nobody is banned."""
    ada = await world.accounts.login()
    with pytest.raises(Refused) as refused:
        await operators.ban(ada.player, "boss", for_s)
    assert refused.value.reason == "out_of_range"
    assert (await world.accounts.authenticate(ada.token)).player == ada.player


async def test_whom_an_operator_cannot_ban(world: World, operators: Operators) -> None:
    """Nobody of that name, and not itself."""
    with pytest.raises(NotFound):
        await operators.ban("nobody", "boss")
    with pytest.raises(NotFound):
        await operators.unban("nobody", "boss")
    boss = await world.accounts.login("boss", SECRET)
    with pytest.raises(Conflict):
        await operators.ban("boss", boss.player)


async def test_bans_of_addresses_end_and_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ban ends by itself and leaves the index; a second one replaces the first; more than MOST are refused, and so is
    a length that is not between a second and a year. Every change is an order to all servers."""
    bans, orders = AddressBans(world.store), OrderLog(world.store)
    monkeypatch.setattr("tussle.lobby.address_bans.MOST", 2)
    after = await orders.newest()
    await bans.ban("10.0.0.1", "boss", 60.0)
    until = await bans.ban("10.0.0.1", "boss", 3600.0)
    await bans.ban("2001:db8::/64", "boss")
    assert [ban.address for ban in await bans.listed()] == ["2001:db8::/64", "10.0.0.1"]
    assert {ban.until for ban in await bans.listed()} >= {until}
    with pytest.raises(Conflict) as refused:
        await bans.ban("10.0.0.3", "boss")
    assert refused.value.reason == "too_many_bans"
    for length in (0.5, float("nan"), 4e7):
        with pytest.raises(Refused):
            await bans.ban("10.0.0.1", "boss", length)
    await world.store.call(
        "ZADD", world.store.keys.banned_addresses, await world.store.now_ms() - 1, "10.0.0.1"
    )
    assert list(await bans.remaining()) == ["2001:db8::/64"]
    await bans.ban("10.0.0.3", "boss", 60.0)
    await bans.unban("2001:db8::/64", "boss")
    assert await world.store.call("ZRANGE", world.store.keys.banned_addresses, 0, -1) == ["10.0.0.3"]
    given = [(order.kind, order.target) for order in await orders.read(after)]
    assert given[:2] == [("addresses", "10.0.0.1")] * 2 and len(given) == 5
