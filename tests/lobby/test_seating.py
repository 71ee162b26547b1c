"""Seats on real stores: find, open, join, choose, ready, leave."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from tests.conftest import BODIES, HOLDER, World, until
from tussle.lobby.errors import AuthError, Conflict, LobbyFull, NotFound, RateLimited, Refused
from tussle.lobby.seating import Seating, SeatReservation
from tussle.lobby.servers import HolderAddress
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.store.store import Store


async def test_a_whole_set_up(world: World) -> None:
    """Two players find a lobby and connect, and the session starts. Events and lifecycle record it, v has no gap."""
    first, second = await world.players(2)
    seat = await world.find(first)
    other = await world.find(second)
    assert (seat.session, seat.seat, other.seat) == (other.session, 0, 1)
    assert (seat.holder_id, seat.holder_url) == (HOLDER.id, HOLDER.url)
    one, two = await world.enter(seat), await world.enter(other)
    assert (one.status, two.status, two.role, two.seat) == ("filled", "starting", "player", 1)
    events = await world.views.events(seat.session, 0)
    assert [event.v for event in events] == list(range(1, len(events) + 1))
    assert [event.t for event in events] == [
        "seat_taken", "seat_taken", "filled", "seat_connected", "seat_connected", "starting",
    ]  # fmt: skip
    assert events[-1].d["holder"] == HOLDER.id
    assert two.v == len(events)
    assert await world.lifecycle(seat.session) == ["opened", "filled", "starting"]
    assert await world.timers.next_due() is not None, "a starting session has a deadline too"
    order = await world.store.call("LRANGE", world.store.keys.order(seat.session), 0, -1)
    assert order == [first, second]


async def later_than(world: World, at: int) -> bool:
    return await world.store.now_ms() > at


async def test_open_lobbies_fill_oldest_first(world: World) -> None:
    """``find`` seats a player in the oldest open lobby of its mode and size, and in no other lobby."""
    players = await world.players(7)
    lobbies = []
    for player, mode, size in zip(players, ["duel", "duel", "curling", "duel"], [3, 2, 2, 2], strict=False):
        lobbies.append((await world.seating.open(player, mode, size, holder=HOLDER)).session)
        opened = await world.store.now_ms()
        await until(lambda opened=opened: later_than(world, opened), every_s=0.0)  # age is counted in ms
    assert (await world.find(players[4])).session == lobbies[1]
    assert (await world.find(players[5])).session == lobbies[3]
    assert (await world.find(players[6])).session not in lobbies


async def test_a_private_lobby_is_joined_by_its_token_only(world: World) -> None:
    """``find`` and the list do not return a private lobby; a player with its token joins it."""
    host, guest, finder = await world.players(3)
    opened = await world.seating.open(host, "duel", 2, holder=HOLDER, private=True, params={"turn_s": 5})
    assert (await world.find(finder)).session != opened.session
    assert opened.session not in [view.session for view in await world.views.sessions()]
    assert (await world.seating.join(guest, opened.session)).seat == 1
    await world.seating.leave(guest, opened.session)
    assert await world.store.call("ZSCORE", world.store.keys.open_lobbies("duel", 2), opened.session) is None


async def test_a_player_is_in_one_session(world: World) -> None:
    """Opening or joining another session is refused. Finding or joining the same one gives a new ticket."""
    first, second = await world.players(2)
    seat = await world.find(first)
    other = await world.seating.open(second, "duel", 2, holder=HOLDER)
    for attempt in (
        world.seating.open(first, "duel", 2, holder=HOLDER),
        world.seating.join(first, other.session),
        world.find(first, size=3),
    ):
        with pytest.raises(Conflict) as refused:
            await attempt
        assert refused.value.reason == "in_session"
        assert seat.session in refused.value.message
    again = await world.find(first)
    assert (again.session, again.seat) == (seat.session, 0) and again.ticket != seat.ticket
    rejoined = await world.seating.join(first, seat.session)
    assert rejoined.seat == 0
    await world.enter(rejoined)


async def test_a_full_lobby_is_full(world: World) -> None:
    """A full lobby refuses a new player and gives a member a new ticket."""
    session, players = await world.starting()
    [third] = await world.players(1)
    with pytest.raises(LobbyFull):
        await world.seating.join(third, session)
    assert (await world.seating.join(players[1], session)).seat == 1


async def test_unknown_sessions_and_players(world: World) -> None:
    """Unknown sessions raise NotFound, unknown players AuthError, bad sizes Refused; leaving twice is allowed."""
    [player] = await world.players(1)
    for attempt in (
        world.seating.join(player, "22222222"),
        world.seating.observe(player, "22222222"),
        world.seating.set_ready(player, "no token", True),
        world.views.view("22222222"),
        world.views.events("22222222", 0),
        world.seating.chat(player, "22222222", 1, "hello"),
    ):
        with pytest.raises(NotFound):
            await attempt
    with pytest.raises(AuthError):
        await world.find("p-nobody")
    for size in (0, 17):
        with pytest.raises(Refused):
            await world.find(player, size=size)
    with pytest.raises(Refused):
        await world.views.sessions(status="sleeping")
    await world.seating.leave(player, "22222222")
    await world.connections.disconnect("22222222", player, "c1")


async def test_bodies_are_distinct_without_a_choice(world: World) -> None:
    """A player who chose no body gets one that no other seat has. Two players can choose the same body."""
    players = await world.players(4)
    opened = await world.seating.open(players[0], "duel", 4, holder=HOLDER, body="marl")
    for player in players[1:]:
        await world.seating.join(player, opened.session, bodies=BODIES)
    bodies = [seat.body for seat in (await world.views.view(opened.session)).seats]
    assert bodies[0] == "marl" and len(set(bodies)) == 4
    await world.seating.choose_body(players[1], opened.session, "marl")
    await world.seating.choose_body(players[1], opened.session, "marl")
    assert (await world.views.view(opened.session)).seats[1].body == "marl"
    assert (await world.events(opened.session)).count("body_chosen") == 1


async def test_ready_starts_the_session(world: World) -> None:
    """A full, connected lobby waits until all players are ready. Then it starts, and seats cannot change any more."""
    first, second = await world.players(2)
    seats = [
        await world.seating.find(player, "duel", 2, holder=HOLDER, ready=False) for player in (first, second)
    ]
    for seat in seats:
        await world.enter(seat)
    session = seats[0].session
    await world.seating.set_ready(first, session, True)
    await world.seating.set_ready(first, session, False)
    await world.seating.set_ready(second, session, True)
    assert await world.status(session) == "filled"
    await world.seating.set_ready(first, session, True)
    assert await world.status(session) == "starting"
    for attempt in (
        world.seating.set_ready(first, session, False),
        world.seating.choose_body(first, session, "halo"),
    ):
        with pytest.raises(Conflict) as refused:
            await attempt
        assert refused.value.reason == "not_open"
    [stranger] = await world.players(1)
    with pytest.raises(Conflict, match="no seat"):
        await world.seating.set_ready(stranger, session, True)


async def test_the_next_seat_becomes_host(world: World) -> None:
    """When the host leaves, the next occupied seat is host. When the last player leaves, the lobby ends."""
    players = await world.players(3)
    opened = await world.seating.open(players[0], "duel", 3, holder=HOLDER)
    for player in players[1:]:
        await world.seating.join(player, opened.session)
    hosts = []
    for leaver in (players[0], players[1], players[2]):
        hosts.append((await world.views.view(opened.session)).host)
        await world.seating.leave(leaver, opened.session)
        await world.seating.leave(leaver, opened.session)
    assert hosts == players
    view = await world.views.view(opened.session)
    assert (view.status, view.reason, view.seats) == ("ended", "empty", ())
    events = await world.events(opened.session)
    assert events.count("host_changed") == 2 and events.count("seat_left") == 3 and events[-1] == "ended"
    assert await world.lifecycle(opened.session) == ["opened", "filled", "reopened", "ended"]
    again = await world.find(players[0])
    assert again.session != opened.session


async def test_leaving_a_run(world: World) -> None:
    """The seat is marked as left, with one event. The player is free at once and cannot come back."""
    fence, players = await world.running()
    await world.seating.leave(players[1], fence.session)
    await world.seating.leave(players[1], fence.session)
    assert (await world.events(fence.session)).count("seat_left") == 1
    assert (await world.hash(world.store.keys.session_player(fence.session, players[1])))["left"] == "1"
    assert (await world.find(players[1])).session != fence.session
    with pytest.raises(Conflict) as refused:
        await world.seating.join(players[1], fence.session)
    assert refused.value.reason == "left"
    assert len((await world.views.view(fence.session)).seats) == 2


async def test_leaving_before_the_run_begins(world: World) -> None:
    """The members that a claim returns say who left while the session was starting."""
    session, players = await world.starting()
    await world.seating.leave(players[0], session)
    _, members = await world.begin(session)
    assert [member.left for member in members] == [True, False]
    assert [member.skill for member in members] == ["good", "good"]


async def test_observers_only_watch(world: World) -> None:
    """An observer gets no seat and no resume token, also after the end; its ticket works once."""
    session, _ = await world.ended()
    [watcher] = await world.players(1)
    seat = await world.seating.observe(watcher, session)
    assert (seat.seat, seat.role) == (None, "observer")
    connected = await world.enter(seat)
    assert (connected.role, connected.seat, connected.resume, connected.status) == (
        "observer",
        None,
        None,
        "ended",
    )
    with pytest.raises(AuthError):
        await world.enter(seat)


async def test_chat_is_said_once_per_command(world: World) -> None:
    """A repeated command id has no second effect. A connection returns the last id of its seat."""
    session, players = await world.starting()
    for id, text in [(3, "hello"), (3, "hello"), (2, "late"), (4, 'quo"te \u00e9 \U0001f600 \\')]:
        await world.seating.chat(players[0], session, id, text)
    said = [event.d for event in await world.views.events(session, 0) if event.t == "chat"]
    assert [line["text"] for line in said] == ["hello", 'quo"te \u00e9 \U0001f600 \\']
    assert said[0]["player"] == players[0] and said[0]["seat"] == 0
    ticket = (await world.seating.join(players[0], session)).ticket
    assert (await world.connections.connect(ticket=ticket, conn="x")).last_id == 4
    [stranger] = await world.players(1)
    with pytest.raises(Conflict):
        await world.seating.chat(stranger, session, 1, "hello")


async def test_a_lobby_of_a_dead_holder_gets_a_living_one(world: World) -> None:
    """``find`` replaces the dead holder of a waiting lobby with the server that runs it."""
    dead = HolderAddress("s2", "boot-x", "http://gone:1")
    first, second = await world.players(2)
    opened = await world.seating.open(first, "duel", 2, holder=dead)
    seat = await world.find(second)
    assert (seat.session, seat.holder_id, seat.holder_url) == (opened.session, HOLDER.id, HOLDER.url)
    assert not await world.claims.rehome(opened.session, dead, HolderAddress("s3", "n", "u")), (
        "the lobby has a living holder"
    )


async def test_a_player_of_an_expired_session_is_free(world: World) -> None:
    """A player whose session has no keys any more can find, join and open lobbies."""
    first, second = await world.players(2)
    await world.store.call("HSET", world.store.keys.player(first), "session", "gggggggg")
    await world.store.call("HSET", world.store.keys.player(second), "session", "gggggggg")
    seat = await world.find(first)
    assert (await world.seating.join(second, seat.session)).seat == 1
    await world.seating.leave(second, seat.session)
    await world.store.call("HSET", world.store.keys.player(second), "session", "gggggggg")
    await world.seating.open(second, "duel", 2, holder=HOLDER)


@pytest.mark.parametrize("size", [2, 4])
async def test_200_concurrent_finds(world: World, stores: list[Store], size: int) -> None:
    """200 concurrent calls over three stores: every lobby is full, its players are distinct, no lobby is open."""
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
    """Players find and leave concurrently: at the end each has one seat and every partial lobby is indexed."""
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
    """Ten concurrent calls of one player give one seat and ten tickets."""
    [player] = await world.players(1)
    seats = await asyncio.gather(*(world.find(player) for _ in range(10)))
    assert len({seat.session for seat in seats}) == 1
    assert len((await world.views.view(seats[0].session)).seats) == 1
    assert len({seat.ticket for seat in seats}) == 10


async def test_a_lobby_is_opened_where_there_is_room(world: World) -> None:
    """Ten players open lobbies on a server that holds three, at once: three are there, the others on the server with
    the fewest sessions, and none anywhere when that one is full too. A lobby that has ended makes room."""
    await world.servers.release("s1", "boot-1")
    for name in ("s1", "s2"):
        await world.servers.register(name, "boot-1", f"http://{name}:1", "physics-1", 60_000, max_sessions=3)
    here = HolderAddress("s1", "boot-1", "http://s1:1")

    async def opened(player: str) -> SeatReservation | str:
        try:
            return await world.seating.open(player, "duel", 2, holder=here)
        except RateLimited as error:
            assert error.retry_after is not None
            return error.reason

    players = await world.players(10)
    seats = await asyncio.gather(*map(opened, players))
    held = [seat for seat in seats if isinstance(seat, SeatReservation)]
    assert sorted(seat.holder_id for seat in held) == ["s1"] * 3 + ["s2"] * 3
    assert [seat for seat in seats if isinstance(seat, str)] == ["server_full"] * 4
    first = next(seat for seat in held if seat.holder_id == "s1")
    await world.seating.leave(players[seats.index(first)], first.session)
    again = await opened(players[seats.index("server_full")])
    assert isinstance(again, SeatReservation) and again.holder_id == "s1"


async def test_two_who_find_ended_lobbies_only_both_get_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's names of sessions are all of ended lobbies. Of two players who open at once, the second one finds them
    removed by the first, and is not refused."""
    await world.servers.release("s1", "boot-1")
    await world.servers.register("s1", "boot-1", "http://s1:1", "physics-1", 60_000, max_sessions=3)
    here = HolderAddress("s1", "boot-1", "http://s1:1")
    players = await world.players(4)
    for player in players[:3]:
        seat = await world.seating.open(player, "duel", 2, holder=here)
        await world.seating.leave(player, seat.session)
    make_room = world.servers.make_room

    async def second(server: str) -> bool:
        await make_room(server)  # by the first one
        return await make_room(server)

    monkeypatch.setattr(world.seating._servers, "make_room", second)
    assert (await world.seating.open(players[3], "duel", 2, holder=here)).holder_id == "s1"
