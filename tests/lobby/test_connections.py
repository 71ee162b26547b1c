"""Connections on real stores: tickets, resume tokens, the list of observers."""

from __future__ import annotations

import pytest

from tests.conftest import World, until
from tussle.lobby.errors import AuthError, CloseCode, Conflict, NotFound
from tussle.lobby.views import OBSERVERS_NAMED, observer_name
from tussle.lobby.wire.messages import ObserversData

LONG_MS = 60_000


async def test_a_ticket_works_once_and_for_its_player(world: World) -> None:
    """A used, foreign, forged or malformed ticket is refused and changes nothing."""
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
    """Each connection gets a new token. The token it used is valid until the new one is used, older ones are not."""
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
    """A connection with a new ticket takes the seat; resume tokens of earlier connections are refused."""
    session, players = await world.starting()
    first = await world.connections.connect(
        ticket=(await world.seating.join(players[0], session)).ticket, conn="a"
    )
    await world.connections.connect(ticket=(await world.seating.join(players[0], session)).ticket, conn="b")
    with pytest.raises(AuthError):
        await world.connections.connect(resume=first.resume, conn="c")


async def test_only_the_newest_connection_disconnects(world: World) -> None:
    """A replaced connection that closes late does not disconnect the seat. A repeated call changes nothing."""
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


async def test_leaving_voids_tickets_and_tokens(world: World) -> None:
    """Tickets and resume tokens of a player who left are refused."""
    first, second = await world.players(2)
    seat = await world.find(first)
    await world.find(second)
    connected = await world.enter(seat)
    fresh = await world.seating.join(first, seat.session)
    await world.seating.leave(first, seat.session)
    for secret in ({"ticket": fresh.ticket}, {"resume": connected.resume}):
        with pytest.raises(NotFound) as refused:
            await world.connections.connect(**secret, conn="x")
        assert (refused.value.reason, refused.value.close_code) == ("not_member", CloseCode.RESUME_REFUSED)


async def test_after_the_end_a_connection_changes_nothing(world: World) -> None:
    """Members can connect to see the result; no key is written and the resume token does not change."""
    session, players = await world.starting()
    first = await world.connections.connect(
        ticket=(await world.seating.join(players[0], session)).ticket, conn="a"
    )
    fence, _ = await world.begin(session)
    await world.runs.running(fence, 0, b"", 1 / 60)
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


async def test_a_connected_member_becomes_host_in_place_of_one_that_is_gone(world: World) -> None:
    """At once, and not only when the seat is given up; a member that is away too is passed over. The seat is kept, and
    who comes back to it is host again. With nobody else there the host stays host. Who has given up the seat does not
    become host when it comes back."""
    players = await world.players(3)
    opened = await world.seating.open(players[0], "duel", 3, ready=False, holder=world.holder)
    session = opened.session
    key = world.store.keys.session(session)
    here = [await world.connections.connect(ticket=opened.ticket, conn="c0")]
    for number in (1, 2):
        seat = await world.seating.join(players[number], session)
        here.append(await world.connections.connect(ticket=seat.ticket, conn=f"c{number}"))
    await world.connections.disconnect(session, players[1], "c1")
    assert (await world.hash(key))["host"] == players[0]
    await world.connections.disconnect(session, players[0], "c0")
    assert (await world.hash(key))["host"] == players[2]
    assert (await world.events(session))[-2:] == ["seat_disconnected", "host_changed"]
    back = await world.connections.connect(resume=here[0].resume, conn="again")
    assert back.seat == 0
    assert (await world.hash(key))["host"] == players[0]
    assert (await world.events(session))[-2:] == ["seat_connected", "host_changed"]
    await world.connections.disconnect(session, players[2], "c2")
    await world.connections.disconnect(session, players[0], "again")
    assert (await world.hash(key))["host"] == players[0]
    await world.connections.connect(resume=here[2].resume, conn="c3")
    await world.connections.connect(resume=back.resume, conn="c4")
    await world.connections.disconnect(session, players[0], "c4")
    assert (await world.hash(key))["host"] == players[2]
    await world.seating.leave(players[0], session)
    seat = await world.seating.join(players[0], session, ready=False)
    await world.connections.connect(ticket=seat.ticket, conn="c5")
    assert (await world.hash(key))["host"] == players[2]


async def lobby(world: World) -> str:
    (host,) = await world.players(1)
    return (await world.seating.open(host, "duel", 2, holder=world.holder)).session


async def test_the_list_is_kept_by_several_servers(world: World) -> None:
    """Each server adds and removes its own observers. The call reports only a change. Views and lists contain them."""
    keep, session = world.connections.keep_observers, await lobby(world)
    assert await keep(session, ["p1 Lena#k3v7", "p2 Tomas of old"], [], life_ms=LONG_MS)
    assert not await keep(session, ["p1 Lena#k3v7", "p2 Tomas of old"], [], life_ms=LONG_MS)
    assert await keep(session, ["p3 Ada"], [], life_ms=LONG_MS)
    assert await keep(session, [], ["p1 Lena#k3v7"], life_ms=LONG_MS)
    expected = ObserversData(2, ("Ada", "Tomas of old"))
    assert await world.views.observers(session) == expected
    assert (await world.views.view(session)).observers == expected
    (listed,) = await world.views.sessions(limit=10)
    assert listed.observers == expected


async def test_bots_among_the_observers_are_marked(world: World) -> None:
    """Their names are among the names, without the mark of the list in the store."""
    session = await lobby(world)
    entries = [f"p1 {observer_name('Lena', 'person')}", f"p2 {observer_name('Otto', 'bot')}"]
    await world.connections.keep_observers(session, entries, [], life_ms=LONG_MS)
    assert await world.views.observers(session) == ObserversData(2, ("Lena", "Otto"), ("Otto",))


async def test_observers_that_are_not_renewed_expire(world: World) -> None:
    """After a server's death the next renewal of another server removes the dead one's observers and reports a change.
    Without any renewal the whole list expires."""
    keep, session = world.connections.keep_observers, await lobby(world)
    await keep(session, ["p1 Lena"], [], life_ms=1)
    await keep(session, ["p2 Tomas"], [], life_ms=LONG_MS)

    async def lapsed() -> bool:
        await keep(session, ["p2 Tomas"], [], life_ms=LONG_MS)
        return (await world.views.observers(session)).names == ("Tomas",)

    await until(lapsed)
    await keep(session, [], [], life_ms=1)

    async def nobody() -> bool:
        return await world.views.observers(session) == ObserversData()

    await until(nobody)


async def test_a_crowd_is_counted_and_its_first_are_named(world: World) -> None:
    """The count is exact; at most OBSERVERS_NAMED names are listed."""
    session = await lobby(world)
    crowd = [f"p{number} Guest {number}" for number in range(100)]
    await world.connections.keep_observers(session, crowd, [], life_ms=LONG_MS)
    seen = await world.views.observers(session)
    assert (seen.count, len(seen.names)) == (100, OBSERVERS_NAMED)


async def test_an_expired_session_has_no_list(world: World) -> None:
    """A late renewal does not create a key of a session whose keys have expired."""
    with pytest.raises(NotFound):
        await world.connections.keep_observers("k7qm2xpv", ["p1 Lena"], [], life_ms=LONG_MS)
    assert await world.store.call("EXISTS", world.store.keys.observers("k7qm2xpv")) == 0
