"""Players who reserve seats and never connect must not keep others from being matched."""

from __future__ import annotations

import contextlib

import pytest

from tests.conftest import HOLDER, World
from tests.support.stack import Stack
from tests.support.stranger import Line, Person
from tussle.lobby.errors import RateLimited
from tussle.lobby.settings import Settings
from tussle.server.costs import Ledger
from tussle.server.http.reservations import Reservations

ENVIRONMENT = {
    "TRUSTED_PROXIES": "127.0.0.1", "RESERVATION_RATE": "0.04", "ADDRESS_SESSIONS": "8", "SIM_SPEED": "0",
}  # fmt: skip
"""Twelve seats at once for an address, one for a player; eight sessions of an address."""


async def test_connected_players_are_matched_first(world: World) -> None:
    """``find`` prefers a younger lobby with a connected member, until that member's connection closes."""
    idle, host, third, fourth = await world.players(4)
    older = await world.seating.open(idle, "duel", 3, holder=HOLDER)
    younger = await world.seating.open(host, "duel", 3, holder=HOLDER)
    connected = await world.enter(younger)
    assert (await world.find(third, size=3)).session == younger.session
    await world.connections.disconnect(younger.session, host, connected.conn)
    assert (await world.find(fourth, size=3)).session == older.session


async def test_a_lobby_reopens_with_its_rank(world: World) -> None:
    """A full lobby whose reservation lapses is first again if a member is connected, although it is younger."""
    idle, host, absent, last = await world.players(4)
    await world.seating.open(idle, "duel", 2, holder=HOLDER, private=False)
    younger = await world.seating.open(host, "duel", 2, holder=HOLDER)
    await world.enter(younger)
    assert (await world.find(absent)).session == younger.session
    await world.seating.leave(absent, younger.session)
    assert (await world.find(last)).session == younger.session


async def test_asking_again_does_not_extend_a_reservation(world: World) -> None:
    """A player who has not connected gets new tickets, but its seat is freed at the time set at first."""
    [player] = await world.players(1)
    seat = await world.find(player)
    timer = f"seat:{seat.session}:{player}"
    due = await world.store.call("ZSCORE", world.store.keys.deadlines, timer)
    await world.store.call("ZADD", world.store.keys.deadlines, int(float(due)) - 5000, timer)
    again = await world.find(player)
    assert again.session == seat.session and again.ticket != seat.ticket
    assert await world.store.call("ZSCORE", world.store.keys.deadlines, timer) == str(int(float(due)) - 5000)


async def test_who_connects_is_not_limited(world: World) -> None:
    """A charge is given back once its player has connected; that of a player who does not connect is not."""
    ledger = Ledger(Settings(reservation_rate=0.04), lambda *_: None)
    reservations = Reservations(world.store, ledger, 60.0)
    honest = await world.players(20)
    for player in honest:  # more than the twelve at once of the address
        await reservations.charge("a", player)
        seat = await world.find(player)
        reservations.record(seat.session, player, "a")
        await world.enter(seat)
    squatters = await world.players(14)
    with pytest.raises(RateLimited) as refused:
        for player in squatters:
            await reservations.charge("a", player)
            reservations.record((await world.find(player)).session, player, "a")
    assert (refused.value.retry_after or 0) > 0
    with pytest.raises(RateLimited):
        await reservations.charge("b", squatters[0])
    await reservations.charge("b", honest[0])
    reservations.cancel("b", honest[0])
    await reservations.charge("b", honest[0])


@pytest.mark.asyncio(loop_scope="module")
async def test_squatters_do_not_keep_others_from_a_game(site: Stack) -> None:
    """While guests of one address reserve seats and never connect, players of other addresses are matched and play."""
    async with contextlib.AsyncExitStack() as stack:

        async def person(address: str) -> Person:
            made = await stack.enter_async_context(Person(site.url))
            made.http.headers["x-forwarded-for"] = address
            return await made.login()

        answers = []

        async def squat() -> None:
            answers.append(await (await person("203.0.113.1")).post("/api/find", {}))

        for _ in range(14):
            await squat()
        lines = []
        for i in range(4):
            victim = await person(f"198.51.100.{i}")
            seat = await victim.ask("/api/find")
            line = await stack.enter_async_context(Line.to(seat["ws_url"]))
            await line.hello(ticket=seat["ticket"])
            lines.append(line)
            await squat()
        for line in lines:
            await line.until("running")
    codes = [answer.json().get("code", "seat") for answer in answers]
    assert codes == ["seat"] * 12 + ["rate_limited"] * 6
    assert all(answer.json()["retry_after"] > 0 for answer in answers[12:])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_network_behind_a_proxy_has_one_share(site: Stack) -> None:
    """Guests with IPv6 addresses of one /64 network, as a trusted proxy says, open eight sessions together. Those of
    another network open their own."""
    async with contextlib.AsyncExitStack() as stack:

        async def code(address: str) -> str:
            person = await stack.enter_async_context(Person(site.url))
            person.http.headers["x-forwarded-for"] = address
            await person.login()
            answer = await person.post("/api/open", {"size": 2, "private": True})
            return str(answer.json().get("code", "seat"))

        codes = [await code(f"2001:db8::{number:x}") for number in range(1, 11)]
        assert codes == ["seat"] * 8 + ["address_sessions"] * 2
        assert await code("2001:db8:0:1::1") == "seat"
