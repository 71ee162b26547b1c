"""The deadlines of lobbies, on real stores."""

from __future__ import annotations

import pytest

from tests.conftest import World
from tussle.lobby.errors import Conflict

LATER = 10**15
"""A time at which every deadline has passed [ms]."""


async def test_a_lobby_times_out(world: World) -> None:
    """At its deadline, and not before, a lobby ends as timed_out, once, and its players are free."""
    players = await world.players(3)
    seats = [await world.find(player, size=4) for player in players]
    for seat in seats:
        await world.enter(seat)
    session = seats[0].session
    due = await world.timers.next_due()
    assert due == (await world.views.view(session)).opened_at + 1000 * world.settings.lobby_timeout_s
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
    """Between its deadline and its end by the timer, ``find`` does not return a lobby."""
    first, second = await world.players(2)
    seat = await world.find(first)
    await world.store.call("ZADD", world.store.keys.deadlines, 1, f"lobby:{seat.session}")
    assert (await world.find(second)).session != seat.session


async def test_a_full_lobby_that_is_not_ready_times_out(world: World) -> None:
    """A full lobby with a player who never connects ends at its deadline as not_ready."""
    first, second = await world.players(2)
    seat = await world.find(first)
    await world.enter(seat)
    await world.find(second)
    await world.store.call("ZREM", world.store.keys.deadlines, f"seat:{seat.session}:{second}")
    assert await world.timers.run_due(LATER) == 1
    assert (await world.views.view(seat.session)).reason == "not_ready"


async def test_a_session_that_never_begins_fails(world: World) -> None:
    """A starting session that its holder does not run in time ends as failed and releases its players."""
    session, players = await world.starting()
    assert await world.timers.run_due(LATER) == 1
    view = await world.views.view(session)
    assert (view.status, view.reason) == ("failed", "not_started")
    assert (await world.find(players[0])).session != session


async def test_a_seat_is_reserved_for_a_while(world: World) -> None:
    """A player who does not connect in time loses the seat, and the lobby reopens. One who reconnects keeps it."""
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
