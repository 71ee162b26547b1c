"""Bots that fill the free seats of a lobby, on real stores: who asks, who is seated, who gives way."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import BODIES, HOLDER, World
from tussle.lobby.errors import Conflict, Forbidden, LobbyError, LobbyFull, NotFound, Refused
from tussle.lobby.filling import Filling
from tussle.lobby.seating import SeatReservation

LATER = 10**15
"""A time at which every deadline has passed [ms]."""


async def person(world: World) -> str:
    return (await world.accounts.login(kind="person")).player


async def lobby(world: World, size: int = 2, **more: object) -> tuple[str, SeatReservation]:
    """A person who waits, connected and not ready, and the seat."""
    host = await person(world)
    seat = await world.seating.open(host, "duel", size, holder=HOLDER, ready=False, **more)  # type: ignore[arg-type]
    await world.enter(seat)
    return host, seat


async def fill(world: World, bot: str, session: str) -> SeatReservation:
    return await world.seating.fill(bot, session, bodies=BODIES)


async def test_a_host_gets_bots_for_the_free_seats(world: World) -> None:
    """A request without a count is for every free seat. The bots are marked and ready, and the session starts when the
    host is ready. Then no process sees the request any more."""
    filling = Filling(world.scripts)
    host, seat = await lobby(world, 3)
    steward, *bots = await world.players(3)
    assert await filling.offers(steward) == []
    asked = await filling.request(host, seat.session, None, "sharp")
    assert (asked.wanted, asked.skill, asked.processes) == (2, "sharp", 1)
    [offer] = await filling.offers(steward)
    assert (offer.session, offer.mode, offer.size, offer.wanted, offer.skill) == (
        seat.session,
        "duel",
        3,
        2,
        "sharp",
    )
    for bot in bots:
        await world.enter(await fill(world, bot, seat.session))
    assert await filling.offers(steward) == []
    view = await world.views.view(seat.session)
    assert [(one.kind, one.fills, one.ready) for one in view.seats[1:]] == [("bot", True, True)] * 2
    assert len({one.body for one in view.seats}) == 3
    await world.seating.set_ready(host, seat.session, True)
    assert await world.status(seat.session) == "starting"


async def test_only_the_host_asks_and_only_while_it_helps(world: World) -> None:
    """Another member, a full lobby, a count of more seats than are free, a session that runs, and a realm without a bot
    process: each gets its code, or as many bots as there are seats; a refusal changes nothing."""
    filling = Filling(world.scripts)
    host, seat = await lobby(world, 3)
    other = await person(world)
    await world.seating.join(other, seat.session)

    async def refusal(player: str, session: str) -> str:
        with pytest.raises(LobbyError) as refused:
            await filling.request(player, session, None, "fair")
        return refused.value.reason

    before = await world.hash(world.store.keys.session(seat.session))
    assert await refusal(host, seat.session) == "no_bots"
    [steward, bot] = await world.players(2)
    await filling.offers(steward)
    assert await refusal(other, seat.session) == "not_host"
    assert await world.hash(world.store.keys.session(seat.session)) == before
    assert (await filling.request(host, seat.session, 9, "fair")).wanted == 1
    assert (await filling.request(host, seat.session, 0, "fair")).wanted == 0
    assert await filling.offers(steward) == []
    with pytest.raises(Conflict) as unwanted:
        await fill(world, bot, seat.session)
    assert unwanted.value.reason == "no_bot_wanted"
    await world.seating.join(await person(world), seat.session)
    with pytest.raises(LobbyFull):
        await filling.request(host, seat.session, None, "fair")
    session, players = await world.starting()
    assert await refusal(players[0], session) == "not_open"
    with pytest.raises(NotFound):
        await filling.request(host, "22222222", None, "fair")
    with pytest.raises(Refused):
        await filling.request(other, seat.session, None, "fair")


async def test_two_processes_never_fill_one_seat_twice(world: World) -> None:
    """Of many bots that take a wanted seat at once, as many get one as are wanted, though more seats are free."""
    filling = Filling(world.scripts)
    host, seat = await lobby(world, 6)
    steward, *bots = await world.players(9)
    await filling.offers(steward)
    await filling.request(host, seat.session, 3, "fair")
    results = await asyncio.gather(*(fill(world, bot, seat.session) for bot in bots), return_exceptions=True)
    taken = [one.seat for one in results if isinstance(one, SeatReservation)]
    refused = [one.reason for one in results if isinstance(one, Conflict)]
    assert sorted(seat for seat in taken if seat) == [1, 2, 3]
    assert refused == ["no_bot_wanted"] * 5
    free = [
        login
        for login in bots
        if not await world.store.call("HGET", world.store.keys.player(login), "session")
    ]
    assert len(free) == 5, "a bot that was refused is free"


async def test_a_person_cannot_fill_a_seat(world: World) -> None:
    """A seat that waits for a bot is not a way for a person into a private lobby."""
    filling = Filling(world.scripts)
    host, seat = await lobby(world, private=True)
    await filling.offers((await world.players(1))[0])
    await filling.request(host, seat.session, None, "fair")
    with pytest.raises(Forbidden):
        await fill(world, await person(world), seat.session)


async def test_a_bot_gives_its_seat_to_a_person(world: World) -> None:
    """Before the start a person who joins, or who looks for a lobby, gets the seat of a bot that fills it. A bot does
    not, nor does a person once all seats are those of people. The lobby does not ask for the bot again."""
    filling = Filling(world.scripts)
    host, seat = await lobby(world, 3)
    steward, one, two, third = await world.players(4)
    await filling.offers(steward)
    await filling.request(host, seat.session, None, "fair")
    for bot in (one, two):
        await world.enter(await fill(world, bot, seat.session))
    with pytest.raises(LobbyFull):
        await world.seating.join(third, seat.session)
    joined, found, late = [await person(world) for _ in range(3)]
    assert (await world.seating.join(joined, seat.session)).seat == 2
    at = await world.seating.find(found, "duel", 3, holder=HOLDER, person=True)
    assert (at.session, at.seat) == (seat.session, 1)
    view = await world.views.view(seat.session)
    assert [player.player for player in view.seats] == [host, found, joined]
    assert not any(player.fills for player in view.seats)
    left = [
        event.d["reason"] for event in await world.views.events(seat.session, 0) if event.t == "seat_left"
    ]
    assert left == ["gave_way", "gave_way"]
    elsewhere = await world.seating.find(late, "duel", 3, holder=HOLDER, person=True)
    assert elsewhere.session != seat.session
    assert await filling.offers(steward) == []
    with pytest.raises(LobbyFull):
        await world.seating.join((await world.players(1))[0], seat.session)


async def test_a_bot_that_dies_leaves_its_seat_to_another(world: World) -> None:
    """A bot that never connects, or whose connection is lost, keeps its seat for its reservation only; then the lobby
    wants another bot, without a new request of the host."""
    filling = Filling(world.scripts)
    host, seat = await lobby(world)
    steward, first, second, third = await world.players(4)
    await filling.offers(steward)
    await filling.request(host, seat.session, None, "fair")
    await fill(world, first, seat.session)  # and its process is killed
    deadline = await world.store.call("ZSCORE", world.store.keys.deadlines, f"seat:{seat.session}:{first}")
    assert await world.timers.run_due(int(float(deadline))) == 1
    assert [offer.session for offer in await filling.offers(steward)] == [seat.session]
    connected = await world.enter(await fill(world, second, seat.session))
    await world.connections.disconnect(seat.session, second, connected.conn)
    lost = await world.store.call("ZSCORE", world.store.keys.deadlines, f"seat:{seat.session}:{second}")
    assert float(lost) <= await world.store.now_ms() + 2000
    assert await world.timers.run_due(int(float(lost))) == 1
    await world.enter(await fill(world, third, seat.session))
    assert host == (await world.views.view(seat.session)).host


async def test_bots_do_not_keep_a_lobby_that_people_left(world: World) -> None:
    """When the last person leaves, a bot becomes the host, and therefore leaves; no other bot comes, and with the
    last bot the lobby ends."""
    filling = Filling(world.scripts)
    host, seat = await lobby(world, 4)
    steward, one, two = await world.players(3)
    await filling.offers(steward)
    await filling.request(host, seat.session, None, "fair")
    for bot in (one, two):
        await world.enter(await fill(world, bot, seat.session))
    await world.seating.leave(host, seat.session)
    assert (await world.views.view(seat.session)).host == one
    assert await filling.offers(steward) == []
    for bot in (one, two):
        await world.seating.leave(bot, seat.session)
    assert await world.status(seat.session) == "ended"
    assert await world.timers.next_due() is None


async def test_one_person_who_waits_alone_gets_bots(world: World) -> None:
    """After the time of the lobby, not before, and only if a bot process runs; else the lobby asks again later. A lobby
    with two people, and one without that setting, never ask."""
    filling = Filling(world.scripts)
    _, seat = await lobby(world, 3, alone_ms=5000)
    timer = f"bots:{seat.session}"
    due = int(float(await world.store.call("ZSCORE", world.store.keys.deadlines, timer)))
    assert await world.timers.run_due(due - 1) == 0
    assert await world.timers.run_due(due) == 0, "no bot process runs"
    assert await world.store.call("ZSCORE", world.store.keys.deadlines, timer) is not None
    [steward] = await world.players(1)
    await filling.offers(steward)
    again = int(float(await world.store.call("ZSCORE", world.store.keys.deadlines, timer)))
    assert await world.timers.run_due(again) == 1
    assert [(offer.session, offer.wanted) for offer in await filling.offers(steward)] == [(seat.session, 2)]

    _, second = await lobby(world, 4, alone_ms=5000)
    friend = await person(world)
    await world.enter(await world.seating.join(friend, second.session))
    _, third = await lobby(world, 5)
    await world.store.call(
        "ZREM", world.store.keys.deadlines, *(f"lobby:{one.session}" for one in (second, third))
    )
    await world.timers.run_due(LATER)
    assert [offer.session for offer in await filling.offers(steward)] == [seat.session]
    await world.seating.leave(friend, second.session)
    await world.timers.run_due(LATER)
    assert second.session in [offer.session for offer in await filling.offers(steward)]


async def test_the_request_of_the_host_keeps_its_effect(world: World) -> None:
    """A lobby in which one person waits alone does not ask for other bots than its host did, nor for any when the host
    wants none."""
    filling = Filling(world.scripts)
    host, seat = await lobby(world, 4, alone_ms=5000)
    timer = f"bots:{seat.session}"
    [steward] = await world.players(1)
    await filling.offers(steward)
    await filling.request(host, seat.session, 1, "sharp")
    due = int(float(await world.store.call("ZSCORE", world.store.keys.deadlines, timer)))
    assert await world.timers.run_due(due) == 0
    assert [(offer.wanted, offer.skill) for offer in await filling.offers(steward)] == [(1, "sharp")]
    assert await world.store.call("ZSCORE", world.store.keys.deadlines, timer) is not None, "it asks later"
    await filling.request(host, seat.session, 0, "sharp")
    assert await world.store.call("ZSCORE", world.store.keys.deadlines, timer) is None
    connected = await world.seating.join(host, seat.session)
    await world.enter(connected)
    assert await world.store.call("ZSCORE", world.store.keys.deadlines, timer) is None
    assert await filling.offers(steward) == []


async def test_a_request_and_a_process_are_forgotten(world: World) -> None:
    """A process that does not look any more does not count as running, and a request that nobody serves expires."""
    filling = Filling(world.scripts)
    host, seat = await lobby(world, 3)
    keys = world.store.keys
    steward, bot = await world.players(2)
    await filling.offers(steward)
    await filling.request(host, seat.session, None, "fair")
    await world.store.call("ZADD", keys.bot_processes, 1, steward)
    with pytest.raises(Conflict) as refused:
        await filling.request(host, seat.session, None, "fair")
    assert refused.value.reason == "no_bots"
    await world.store.call("ZADD", keys.bot_requests, 1, seat.session)
    await world.store.call("HSET", keys.session(seat.session), "bots.until", 1)
    assert await filling.offers(bot) == []
    assert await world.store.call("ZRANGE", keys.bot_requests, 0, -1) == []
    with pytest.raises(Conflict):
        await fill(world, bot, seat.session)
