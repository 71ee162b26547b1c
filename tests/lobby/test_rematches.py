"""Rematches on real stores: one lobby however many ask, seats that move and are held, a score that is carried."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import BODIES, HOLDER, World
from tussle.lobby.errors import Conflict, LobbyError, NotFound
from tussle.lobby.filling import Filling
from tussle.lobby.rematches import Rematches
from tussle.lobby.seating import SeatReservation
from tussle.lobby.settings import Settings
from tussle.lobby.wire.messages import SeriesWins


@pytest.fixture
def rematches(world: World, settings: Settings) -> Rematches:
    return Rematches(world.store, settings)


async def people(world: World, count: int = 2) -> list[str]:
    return [(await world.accounts.login(kind="person")).player for _ in range(count)]


async def played(world: World, players: list[str], winner: int | None = 0, **more: object) -> str:
    """A duel of these players, in this order of seats, that is over."""
    first = await world.seating.open(
        players[0], "duel", len(players), holder=HOLDER, bodies=BODIES, params={"rounds": 3}, **more
    )  # type: ignore[arg-type]
    await world.enter(first)
    for player in players[1:]:
        await world.enter(await world.seating.join(player, first.session, bodies=BODIES, ready=True))
    await finish(world, first.session, winner)
    return first.session


async def finish(world: World, session: str, winner: int | None) -> None:
    """Let a session that is starting run and end."""
    fence, members = await world.begin(session)
    await world.runs.running(fence, 0, b"spec", 1 / 60)
    players = [one.player for one in sorted(members, key=lambda one: one.seat)]
    await world.runs.finish(fence, 1, [], world.result(players, {}) | {"winner": winner})


async def again(world: World, rematches: Rematches, player: str, session: str) -> SeatReservation:
    """What the server does for one call."""
    plan = await rematches.plan(player, session)
    if plan.lobby:
        return await world.seating.join(player, plan.lobby, body=plan.body, bodies=BODIES, ready=True)
    return await world.seating.open_rematch(player, plan, holder=HOLDER, bodies=BODIES)


async def refusal(world: World, rematches: Rematches, player: str, session: str) -> str:
    with pytest.raises(LobbyError) as refused:
        await again(world, rematches, player, session)
    return refused.value.reason


async def test_two_people_swap_seats_and_keep_bodies_and_score(world: World, rematches: Rematches) -> None:
    """The second player acts first in the rematch; each has the body of before; the score grows by each match, and a
    match that nobody wins counts as drawn. The parameters of the match are carried."""
    ada, otto = await people(world)
    session = await played(world, [ada, otto])
    bodies = {seat.player: seat.body for seat in (await world.views.view(session)).seats}
    for match, (winner, seats) in enumerate(((0, [otto, ada]), (None, [ada, otto])), start=2):
        first = await again(world, rematches, ada, session)
        second = await again(world, rematches, otto, session)
        assert first.session == second.session != session
        view = await world.views.view(first.session)
        assert [seat.player for seat in view.seats] == seats
        assert {seat.player: seat.body for seat in view.seats} == bodies
        assert view.params == {"rounds": 3}
        assert view.series is not None
        assert (view.series.match, view.series.before) == (match, session)
        assert (await world.views.view(session)).rematch == first.session
        for seat in (first, second):
            await world.enter(seat)
        await finish(world, first.session, winner)
        session = first.session
    last = await rematches.plan(ada, session)
    assert {one.player: one.won for one in last.series.wins} == {ada: 1, otto: 1}
    assert (last.series.match, last.series.drawn, last.series.bots) == (4, 1, 0)


async def test_who_joins_a_rematch_by_its_code_has_the_body_of_before(
    world: World, rematches: Rematches
) -> None:
    """Without a body of their own choice, as by the link; with one, that one."""
    for chosen in ("", BODIES[0]):
        players = await people(world, 3)
        session = await played(world, players)
        before = {seat.player: seat.body for seat in (await world.views.view(session)).seats}
        lobby = (await again(world, rematches, players[0], session)).session
        for player in players[1:]:
            await world.seating.join(player, lobby, body=chosen, bodies=BODIES)
        now = {seat.player: seat.body for seat in (await world.views.view(lobby)).seats}
        assert now == (before | dict.fromkeys(players[1:], chosen) if chosen else before)


async def test_all_who_ask_at_once_get_one_lobby(world: World, rematches: Rematches) -> None:
    """Three people read that there is no rematch before any of them opens one: one lobby exists, the others are refused
    because somebody was faster, and get a seat in that lobby when they ask again. Nothing is opened twice."""
    players = await people(world, 3)
    session = await played(world, players)
    plans = [await rematches.plan(player, session) for player in players]
    opened = await asyncio.gather(
        *(
            world.seating.open_rematch(player, plan, holder=HOLDER, bodies=BODIES)
            for player, plan in zip(players, plans, strict=True)
        ),
        return_exceptions=True,
    )
    seats = [one for one in opened if isinstance(one, SeatReservation)]
    assert [one.reason for one in opened if isinstance(one, Conflict)] == ["crowded"] * 2
    assert await world.store.call("ZCARD", world.store.keys.lobbies) == 1
    everyone = [await again(world, rematches, player, session) for player in players]
    assert {one.session for one in everyone} == {seats[0].session}
    assert sorted(one.seat for one in everyone if one.seat is not None) == [0, 1, 2]
    assert [one.seat for one in everyone] == [2, 0, 1]


async def test_a_lost_answer_changes_nothing(world: World, rematches: Rematches) -> None:
    """Who asks again, because the server died before it answered, gets the same seat of the same lobby."""
    ada, otto = await people(world)
    session = await played(world, [ada, otto])
    first = await again(world, rematches, ada, session)
    before = await world.hash(world.store.keys.session(first.session))
    second = await again(world, rematches, ada, session)
    assert (second.session, second.seat) == (first.session, first.seat)
    assert second.ticket != first.ticket
    assert await world.hash(world.store.keys.session(first.session)) == before


async def test_seats_are_held_and_then_free(world: World, rematches: Rematches) -> None:
    """While a seat is held nobody else gets it, by its code or by find, and the view says for whom it is held; a
    refusal changes nothing. After its time it is listed, and anyone may take it."""
    ada, otto, kim = await people(world, 3)
    session = await played(world, [ada, otto])
    seat = await again(world, rematches, ada, session)
    await world.enter(seat)
    key = world.store.keys.session(seat.session)
    before = await world.hash(key)
    with pytest.raises(Conflict) as refused:
        await world.seating.join(kim, seat.session, bodies=BODIES)
    assert refused.value.reason == "seats_held"
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 60
    assert await world.hash(key) == before
    other = await world.find(kim)
    assert other.session != seat.session
    await world.seating.leave(kim, other.session)
    [held] = (await world.views.view(seat.session)).held
    assert (held.seat, held.player) == (0, otto)
    assert await world.timers.run_due(held.until - 1) == 0
    assert await world.timers.run_due(held.until) == 1
    assert (await world.views.view(seat.session)).held == ()
    assert (await world.events(seat.session))[-1] == "seats_released"
    assert (await world.find(kim)).session == seat.session
    assert await refusal(world, rematches, otto, session) == "lobby_full"


async def test_bots_are_asked_for_again(world: World, rematches: Rematches) -> None:
    """The bots of a match are wanted in its rematch at once, with their skill, and take the seats that no person
    has; their wins count together."""
    [ada, otto] = await people(world)
    bots = await world.players(2)
    session = await played(world, [ada, otto, bots[0]], winner=2)
    filling = Filling(world.scripts)
    seat = await again(world, rematches, ada, session)
    [offer] = await filling.offers(bots[1])
    assert (offer.session, offer.wanted, offer.skill) == (seat.session, 1, "good")
    assert (await world.seating.fill(bots[1], seat.session, bodies=BODIES)).seat == 1
    assert await filling.offers(bots[1]) == []
    assert (await again(world, rematches, otto, session)).seat == 0
    view = await world.views.view(seat.session)
    assert view.series is not None
    assert (view.series.bots, {one.won for one in view.series.wins}) == (1, {0})
    assert SeriesWins(ada, view.seats[2].name, 0) in view.series.wins


async def test_a_rematch_that_never_began_is_replaced(world: World, rematches: Rematches) -> None:
    """When the lobby of a rematch times out or is left, the next who asks opens another; once it was played, the
    answer names it."""
    ada, otto = await people(world)
    session = await played(world, [ada, otto])
    first = await again(world, rematches, ada, session)
    await world.seating.leave(ada, first.session)
    second = await again(world, rematches, otto, session)
    assert second.session != first.session
    await world.enter(second)
    await world.enter(await again(world, rematches, ada, session))
    await finish(world, second.session, 1)
    assert await refusal(world, rematches, ada, session) == "rematch_played"


async def test_refusals_change_nothing(world: World, rematches: Rematches) -> None:
    """A session that waits or runs, one that was never played, a person who was not in it, a player with a seat
    elsewhere, no such session."""
    ada, otto, kim = await people(world, 3)
    waiting = await world.seating.open(ada, "duel", 2, holder=HOLDER, bodies=BODIES)
    assert await refusal(world, rematches, ada, waiting.session) == "not_over"
    await world.seating.leave(ada, waiting.session)
    assert await world.status(waiting.session) == "ended"
    assert await refusal(world, rematches, ada, waiting.session) == "not_over"
    session = await played(world, [ada, otto])
    before = await world.hash(world.store.keys.session(session))
    assert await refusal(world, rematches, kim, session) == "not_member"
    elsewhere = await world.seating.open(otto, "duel", 2, holder=HOLDER, bodies=BODIES)
    assert await refusal(world, rematches, otto, session) == "in_session"
    with pytest.raises(NotFound):
        await rematches.plan(ada, "k7qm2xpv")
    assert await world.hash(world.store.keys.session(session)) == before
    await world.seating.leave(otto, elsewhere.session)


async def test_nobody_waits_alone_while_seats_are_held(world: World, rematches: Rematches) -> None:
    """The time after which bots fill a lobby by themselves begins when the seats are released."""
    ada, otto = await people(world)
    session = await played(world, [ada, otto])
    plan = await rematches.plan(ada, session)
    seat = await world.seating.open_rematch(ada, plan, holder=HOLDER, bodies=BODIES, alone_ms=5000)
    await world.enter(seat)
    [held] = (await world.views.view(seat.session)).held
    due = await world.store.call("ZSCORE", world.store.keys.deadlines, f"bots:{seat.session}")
    assert float(due) == held.until + 5000
