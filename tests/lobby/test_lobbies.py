"""Lobbies on real stores (rows D2, D3): seats, tickets, connections, timers, hand-over."""

from __future__ import annotations

import pytest

from tests.conftest import BODIES, HOLDER, World
from tussle.lobby.errors import AuthError, Conflict, LobbyFull, NotFound, Refused
from tussle.lobby.servers import HolderAddress

LATER = 10**15
"""A time at which every deadline has passed [ms]."""


async def test_a_whole_set_up(world: World) -> None:
    """Two find each other, connect, and the session starts: events and lifecycle tell it, without a gap in v."""
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
    assert await world.timers.next_due() is not None, "a run that never begins has a deadline too"
    order = await world.store.call("LRANGE", world.store.keys.order(seat.session), 0, -1)
    assert order == [first, second]


async def test_open_lobbies_fill_oldest_first(world: World) -> None:
    """A finder is seated in the oldest open lobby of its mode and size, never in another's."""
    players = await world.players(7)
    lobbies = [
        (await world.seating.open(player, mode, size, holder=HOLDER)).session
        for player, mode, size in zip(
            players, ["duel", "duel", "curling", "duel"], [3, 2, 2, 2], strict=False
        )
    ]
    assert (await world.find(players[4])).session == lobbies[1]
    assert (await world.find(players[5])).session == lobbies[3]
    assert (await world.find(players[6])).session not in lobbies


async def test_a_private_lobby_is_joined_by_its_token_only(world: World) -> None:
    """Nobody finds it or sees it in the list; whoever knows the token joins."""
    host, guest, finder = await world.players(3)
    opened = await world.seating.open(host, "duel", 2, holder=HOLDER, private=True, params={"turn_s": 5})
    assert (await world.find(finder)).session != opened.session
    assert opened.session not in [view.session for view in await world.views.sessions()]
    assert (await world.seating.join(guest, opened.session)).seat == 1
    await world.seating.leave(guest, opened.session)
    assert await world.store.call("ZSCORE", world.store.keys.open_lobbies("duel", 2), opened.session) is None


async def test_a_player_is_in_one_session(world: World) -> None:
    """Opening or joining another is refused; finding what one waits in already gives a new ticket for it."""
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
    """A third player is refused; a member is not."""
    session, players = await world.starting()
    [third] = await world.players(1)
    with pytest.raises(LobbyFull):
        await world.seating.join(third, session)
    assert (await world.seating.join(players[1], session)).seat == 1


async def test_what_is_not_there(world: World) -> None:
    """Unknown sessions and players, and bad sizes, are said to be so."""
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


async def test_bodies_are_distinct_where_nobody_chose(world: World) -> None:
    """Each player without a choice gets a body that no seat has, always the same one; a choice is kept."""
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
    """Everybody seated and connected is not enough; the last one to be ready starts it, and nobody changes then."""
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


async def test_a_ticket_works_once_and_for_its_player(world: World) -> None:
    """A used, foreign or forged ticket is refused, and nothing happened."""
    first, second = await world.players(2)
    seat, other = await world.find(first), await world.find(second)
    await world.enter(seat)
    session, _, secret = other.ticket.split(".")
    for ticket in (
        seat.ticket,
        f"{session}.{first}.{secret}",
        f"{session}.{second}.forged",
        "x",
        "a.b.c",
        "",
    ):
        with pytest.raises(AuthError) as refused:
            await world.connections.connect(ticket=ticket, conn="c9")
        assert refused.value.reason in ("ticket_refused", "resume_refused")
    assert (await world.events(session)).count("seat_connected") == 1


async def test_a_resume_token_rotates(world: World) -> None:
    """Each connection gets a new one; the one it came with stays valid until the new one is used, older ones never."""
    session, players = await world.starting()
    first = await world.connections.connect(
        ticket=(await world.seating.join(players[0], session)).ticket, conn="a"
    )
    second = await world.connections.connect(resume=first.resume, conn="b")
    assert second.replaced_conn == "a"
    lost = await world.connections.connect(resume=first.resume, conn="c", new_resume="chosen")
    assert lost.resume == f"{session}.{players[0]}.chosen", "the answer with the second token was lost"
    with pytest.raises(AuthError) as refused:
        await world.connections.connect(resume=second.resume, conn="d")
    assert refused.value.reason == "resume_refused"
    third = await world.connections.connect(resume=lost.resume, conn="e")
    with pytest.raises(AuthError):
        await world.connections.connect(resume=first.resume, conn="f")
    assert (await world.connections.connect(resume=third.resume, conn="g")).replaced_conn == "e"
    stored = str(await world.hash(world.store.keys.session_player(session, players[0])))
    assert "chosen" not in stored and str(third.resume).rpartition(".")[2] not in stored


async def test_a_ticket_voids_resume_tokens(world: World) -> None:
    """Whoever logs in again takes the seat; tokens of earlier connections no longer do."""
    session, players = await world.starting()
    first = await world.connections.connect(
        ticket=(await world.seating.join(players[0], session)).ticket, conn="a"
    )
    await world.connections.connect(ticket=(await world.seating.join(players[0], session)).ticket, conn="b")
    with pytest.raises(AuthError):
        await world.connections.connect(resume=first.resume, conn="c")


async def test_only_the_newest_connection_disconnects(world: World) -> None:
    """A replaced connection that closes late does not take the seat offline; repeating does nothing more."""
    first, second = await world.players(2)
    seat = await world.find(first)
    await world.find(second)
    old = await world.enter(seat)
    new = await world.connections.connect(resume=old.resume, conn="new")
    assert new.replaced_conn == old.conn
    await world.connections.disconnect(seat.session, first, old.conn)
    assert (await world.views.view(seat.session)).seats[0].connected
    for _ in range(2):
        await world.connections.disconnect(seat.session, first, "new")
    assert not (await world.views.view(seat.session)).seats[0].connected
    assert (await world.events(seat.session)).count("seat_disconnected") == 1


async def test_a_lobby_times_out(world: World) -> None:
    """At its deadline the lobby ends as timed_out, once, and everybody is free; before, nothing happens."""
    players = await world.players(3)
    seats = [await world.find(player, size=4) for player in players]
    for seat in seats:
        await world.enter(seat)
    session = seats[0].session
    due = await world.timers.next_due()
    assert due == (await world.views.view(session)).opened_at + 60_000
    assert await world.timers.run_due(due - 1) == 0
    assert await world.timers.run_due(due) == 1
    assert await world.timers.run_due(due) == 0
    view = await world.views.view(session)
    assert (view.status, view.reason) == ("timed_out", "nobody_came") and view.ended_at > 0
    assert await world.lifecycle(session) == ["opened", "timed_out"]
    assert (await world.events(session))[-1] == "timed_out"
    assert await world.timers.next_due() is None
    assert (await world.find(players[0])).session != session
    with pytest.raises(Conflict) as refused:
        await world.seating.join(players[1], session)
    assert refused.value.reason == "ended"


async def test_a_lobby_that_is_overdue_takes_nobody(world: World) -> None:
    """Between its deadline and the timer that executes it, a lobby is not found any more."""
    first, second = await world.players(2)
    seat = await world.find(first)
    await world.store.call("ZADD", world.store.keys.deadlines, 1, f"lobby:{seat.session}")
    assert (await world.find(second)).session != seat.session


async def test_a_full_lobby_that_is_not_ready_times_out(world: World) -> None:
    """Full is not started: somebody who never connects does not hold the others for ever."""
    first, second = await world.players(2)
    seat = await world.find(first)
    await world.enter(seat)
    await world.find(second)
    await world.store.call("ZREM", world.store.keys.deadlines, f"seat:{seat.session}:{second}")
    assert await world.timers.run_due(LATER) == 1
    assert (await world.views.view(seat.session)).reason == "not_ready"


async def test_a_session_that_never_begins_fails(world: World) -> None:
    """If its holder does not run it in time, a starting session ends as failed and frees its players."""
    session, players = await world.starting()
    assert await world.timers.run_due(LATER) == 1
    view = await world.views.view(session)
    assert (view.status, view.reason) == ("failed", "not_started")
    assert (await world.find(players[0])).session != session


async def test_a_seat_is_kept_for_a_while(world: World) -> None:
    """Who never connects, or stays away, loses the seat; the lobby is open again and the next one finds it."""
    first, second, third = await world.players(3)
    seat = await world.find(first)
    connected = await world.enter(seat)
    await world.find(second)
    reserved = await world.timers.next_due()
    assert reserved is not None
    assert await world.timers.run_due(reserved) == 1
    assert (await world.events(seat.session))[-2:] == ["seat_left", "reopened"]
    assert (await world.find(third)).session == seat.session
    assert await world.lifecycle(seat.session) == ["opened", "filled", "reopened", "filled"]
    await world.connections.disconnect(seat.session, first, connected.conn)
    back = await world.connections.connect(resume=connected.resume, conn="back")
    assert back.seat == 0
    deadlines = await world.store.call("ZRANGE", world.store.keys.deadlines, 0, -1)
    assert f"seat:{seat.session}:{first}" not in deadlines


async def test_the_next_seat_becomes_host(world: World) -> None:
    """The host's role goes round to the next occupied seat; the last one to leave ends the lobby."""
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


async def test_a_leaver_s_tokens_are_void(world: World) -> None:
    """Neither ticket nor resume token of one who left opens the seat again."""
    first, second = await world.players(2)
    seat = await world.find(first)
    await world.find(second)
    connected = await world.enter(seat)
    fresh = await world.seating.join(first, seat.session)
    await world.seating.leave(first, seat.session)
    with pytest.raises(Conflict):
        await world.connections.connect(ticket=fresh.ticket, conn="x")
    with pytest.raises(Conflict):
        await world.connections.connect(resume=connected.resume, conn="x")


async def test_leaving_a_run(world: World) -> None:
    """The seat stays as left, the player is free at once and cannot come back; the holder reads the event."""
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
    """One who leaves while the session starts is told to the holder with the members."""
    session, players = await world.starting()
    await world.seating.leave(players[0], session)
    _, members = await world.begin(session)
    assert [member.left for member in members] == [True, False]
    assert [member.skill for member in members] == ["good", "good"]


async def test_observers_only_watch(world: World) -> None:
    """An observer takes no seat and no resume token, in any stage, the end included."""
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


async def test_after_the_end_a_connection_changes_nothing(world: World) -> None:
    """Members may come back to see the result; no key is written, the resume token stays as it is."""
    session, players = await world.starting()
    first = await world.connections.connect(
        ticket=(await world.seating.join(players[0], session)).ticket, conn="a"
    )
    fence, _ = await world.begin(session)
    await world.runs.running(fence, 0, b"")
    await world.runs.finish(fence, 1, [], None)
    before = await world.hash(world.store.keys.session_player(session, players[0]))
    events = await world.events(session)
    for _ in range(2):
        back = await world.connections.connect(resume=first.resume, conn="late")
        assert (back.status, back.resume) == ("ended", first.resume)
    await world.connections.disconnect(session, players[0], "a")
    await world.seating.leave(players[0], session)
    with pytest.raises(Conflict):
        await world.seating.chat(players[0], session, 9, "gg")
    assert await world.hash(world.store.keys.session_player(session, players[0])) == before
    assert await world.events(session) == events


async def test_chat_is_said_once_per_command(world: World) -> None:
    """A repeated command id has no second effect; a connection learns the last id its seat used."""
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


async def test_a_lobby_whose_holder_died_gets_the_finder_s(world: World) -> None:
    """A player is never sent to a server that is gone while the lobby waits."""
    dead = HolderAddress("s2", "boot-x", "http://gone:1")
    first, second = await world.players(2)
    opened = await world.seating.open(first, "duel", 2, holder=dead)
    seat = await world.find(second)
    assert (seat.session, seat.holder_id, seat.holder_url) == (opened.session, HOLDER.id, HOLDER.url)
    assert not await world.claims.rehome(opened.session, dead, HolderAddress("s3", "n", "u")), (
        "it has a living one"
    )


async def test_a_binding_to_a_session_that_is_gone_is_released(world: World) -> None:
    """A player who is bound to keys that no longer exist is not locked out."""
    first, second = await world.players(2)
    await world.store.call("HSET", world.store.keys.player(first), "session", "gggggggg")
    await world.store.call("HSET", world.store.keys.player(second), "session", "gggggggg")
    seat = await world.find(first)
    assert (await world.seating.join(second, seat.session)).seat == 1
    await world.seating.leave(second, seat.session)
    await world.store.call("HSET", world.store.keys.player(second), "session", "gggggggg")
    await world.seating.open(second, "duel", 2, holder=HOLDER)


async def test_a_gap_is_told(world: World) -> None:
    """Trimmed events, and a reader that is ahead of the store, raise a gap; otherwise the tail is complete."""
    session, players = await world.starting()
    for id in range(1, 41):
        await world.seating.chat(players[0], session, id, "x")
    newest = (await world.views.events(session, 0))[-1].v
    assert [event.v for event in await world.views.events(session, 10, 5)] == [11, 12, 13, 14, 15]
    assert await world.views.events(session, newest) == []
    await world.store.call("XTRIM", world.store.keys.events(session), "MINID", "20-0")
    assert [event.v for event in await world.views.events(session, 19)] == list(range(20, newest + 1))
    for after in (0, 18, newest + 1):
        with pytest.raises(Conflict) as refused:
            await world.views.events(session, after)
        assert refused.value.reason == "gap"


async def test_the_list(world: World) -> None:
    """Waiting ones first, then running ones; by mode, status and search."""
    fence, _ = await world.running()
    host, other = await world.players(2)
    waiting = await world.seating.open(host, "curling", 4, holder=HOLDER)
    ended, _ = await world.ended()
    everything = await world.views.sessions()
    assert [view.session for view in everything] == [waiting.session, fence.session]
    assert [view.session for view in await world.views.sessions(mode="duel")] == [fence.session]
    assert [view.session for view in await world.views.sessions(status="ended")] == [ended]
    assert [view.session for view in await world.views.sessions(status="running")] == [fence.session]
    assert [view.session for view in await world.views.sessions(status="open")] == [waiting.session]
    assert [view.session for view in await world.views.sessions(search=host[-4:].upper())] == [
        waiting.session
    ]
    assert [view.session for view in await world.views.sessions(limit=1)] == [waiting.session]
    assert other
