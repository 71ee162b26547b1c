"""The client's reconnection over real sockets, against a model of the server (tests/support/stage.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.support.stage import Stage, connect, take
from tussle.lobby.errors import CloseCode, NotFound
from tussle.lobby.wire.messages import ServersData, ServersMessage, encode
from tussle.player.connection import SessionConnection
from tussle.player.transcript import Disconnected


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with Stage() as stage:
        yield stage


@pytest.mark.parametrize("code", [1006, 4001, 4002, 4013])
async def test_after_a_close_the_missed_events_come_once_and_in_order(stage: Stage, code: int) -> None:
    """The reader sees one list without gaps, whatever the close code was."""
    async with connect(stage) as connection:
        await stage.publish("a")
        assert [event.v for event in await take(connection, 2)] == [0, 1]
        await stage.cut(code)
        for name in "bcd":
            await stage.publish(name)
        assert [(event.v, event.t) for event in await take(connection, 3)] == [(2, "b"), (3, "c"), (4, "d")]
        assert connection.reconnections == 1


async def test_a_server_that_restarts_is_found_again(stage: Stage) -> None:
    """While it is away the client tries again; then it resumes with its newest token."""
    async with connect(stage) as connection:
        await take(connection, 1)
        await stage.stop()
        await stage.publish("meanwhile")
        acting = asyncio.create_task(connection.act("brace"))
        await stage.start()
        assert [event.t for event in await take(connection, 1)] == ["meanwhile"]
        assert await acting == 1
    assert [hello.d.resume for hello in stage.session.hellos] == [None, "resume-1"]


async def test_an_observer_comes_back_with_a_new_ticket_and_misses_nothing(stage: Stage) -> None:
    """Tickets are good once, and observers have no resume token."""
    stage.session.seat = None
    asked = 0

    async def renew(_: Sequence[str]) -> tuple[str, str]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise Disconnected("not yet")
        return f"ticket-{asked}", stage.ws_url

    async with SessionConnection(stage.ws_url, ticket="ticket-0", renew=renew) as connection:
        await take(connection, 1)
        await stage.cut(1006)
        await stage.publish("meanwhile")
        assert [event.t for event in await take(connection, 1)] == ["meanwhile"]
    assert [hello.d.ticket for hello in stage.session.hellos] == ["ticket-0", "ticket-2"]
    assert [hello.d.last_v for hello in stage.session.hellos] == [None, 0]


async def test_a_ticket_that_cannot_be_renewed_ends_the_connection(stage: Stage) -> None:
    """The session is gone: the client gives up and says why."""
    stage.session.seat = None

    async def renew(_: Sequence[str]) -> tuple[str, str]:
        raise NotFound("there is no session k7qm2xpv")

    async with SessionConnection(stage.ws_url, ticket="ticket-0", renew=renew) as connection:
        await take(connection, 1)
        await stage.cut(1006)
        with pytest.raises(Disconnected, match="there is no session"):
            await take(connection, 1)


async def test_moved_goes_to_the_address_in_the_reason(stage: Stage) -> None:
    """4011 names another server; the same token opens the seat there."""
    async with Stage(stage.session) as other, connect(stage) as connection:
        await stage.cut(CloseCode.MOVED, other.ws_url)
        async with asyncio.timeout(10):
            await other.met.wait()
        await other.publish("here")
        assert [event.t for event in await take(connection, 2)] == ["session", "here"]
        assert connection.url == other.ws_url


async def test_a_client_that_is_sent_on_at_once_shows_its_ticket_there(stage: Stage) -> None:
    """The first server did not welcome it, so the ticket is still good, and no new one is asked for."""

    async def renew(_: Sequence[str]) -> tuple[str, str]:
        raise AssertionError("not needed")

    async with Stage() as other:
        stage.move_to = other.ws_url
        async with SessionConnection(stage.ws_url, ticket="ticket", renew=renew) as connection:
            assert connection.connected
        assert [hello.d.ticket for hello in other.session.hellos] == ["ticket"]


async def test_a_server_that_died_before_the_welcome_is_not_waited_for(stage: Stage) -> None:
    """The ticket is shown to another of the servers that came with it, and the seat is taken there."""
    async with Stage() as gone:
        dead = gone.ws_url
    async with SessionConnection(dead, ticket="ticket", servers=[stage.ws_url]) as connection:
        assert connection.url == stage.ws_url
    assert [hello.d.ticket for hello in stage.session.hellos] == ["ticket"]


@pytest.mark.parametrize("seat", [0, None])
async def test_a_server_that_started_after_the_welcome_is_tried(stage: Stage, seat: int | None) -> None:
    """Its address came later. The first server dies; a player shows its resume token there, and an observer gets its
    new ticket there."""
    stage.session.seat = seat
    asked: list[Sequence[str]] = []

    async def renew(servers: Sequence[str]) -> tuple[str, str]:
        asked.append(servers)
        return "ticket-2", servers[-1]

    async with Stage(stage.session) as later:
        async with SessionConnection(stage.ws_url, ticket="ticket-1", renew=renew) as connection:
            await take(connection, 1)
            known = (stage.ws_url, later.ws_url)
            await stage.say(encode(ServersMessage(ServersData(known[1:]))))
            await stage.publish("after it")
            await take(connection, 1)
            assert connection.servers == known
            await stage.stop(1006)
            async with asyncio.timeout(10):
                await later.met.wait()
            await later.publish("here")
            assert [event.t for event in await take(connection, 1)] == ["here"]
            assert connection.url == later.ws_url
        assert [tuple(servers) for servers in asked] == ([] if seat == 0 else [known])


async def test_a_ticket_that_lapsed_on_the_way_is_renewed_once(stage: Stage) -> None:
    """Refused before any welcome: another one is asked for; refused again, it is given up."""
    asked = 0

    async def renew(_: Sequence[str]) -> tuple[str, str]:
        nonlocal asked
        asked += 1
        return f"ticket-{asked}", stage.ws_url

    stage.session.tickets = {"ticket-1"}
    async with SessionConnection(stage.ws_url, ticket="too old", renew=renew) as connection:
        assert connection.connected
    assert asked == 1
    stage.session.tickets = set()
    with pytest.raises(Disconnected, match="4003"):
        async with SessionConnection(stage.ws_url, ticket="too old", renew=renew):
            pass
    assert asked == 2


@pytest.mark.parametrize("code", [4003, 4004, 4010, 4012])
async def test_some_closes_are_final(stage: Stage, code: int) -> None:
    """Refused, replaced or of another version: no attempt is made, and every wait ends with the reason."""
    async with connect(stage) as connection:
        stage.deaf = True
        acting = asyncio.create_task(connection.act("brace"))
        await take(connection, 1)
        await stage.cut(code, "because")
        with pytest.raises(Disconnected, match="because") as caught:
            await take(connection, 1)
        assert caught.value.close == code
        with pytest.raises(Disconnected):
            await acting
        with pytest.raises(Disconnected):
            await connection.chat("anyone there")
    assert len(stage.session.hellos) == 1


async def test_an_unreadable_message_of_the_server_leads_to_a_reconnection(stage: Stage) -> None:
    """Text that is no message closes the connection; unreadable binary messages are ignored."""
    async with connect(stage) as connection:
        await take(connection, 1)
        stage.met.clear()
        await stage.say(b"\x01garbage")
        async with asyncio.timeout(10):
            await stage.met.wait()
        await stage.publish("fine")
        assert [event.t for event in await take(connection, 1)] == ["fine"]
        await stage.say(b"\x01\x00", text=False)
        await stage.say(b"\x09 unknown kind", text=False)
        assert await connection.ping() > 0
        assert connection.frame is None


async def test_a_server_that_is_not_there_is_given_up_within_its_time() -> None:
    """The entry raises, with the address in the sentence."""
    stage = Stage()
    async with stage:
        pass
    with pytest.raises(Disconnected, match="gave up after"):
        async with connect(stage, give_up_s=0.2):
            pass


async def test_a_server_that_never_welcomes_is_given_up() -> None:
    """The wait for the welcome is bounded."""
    async with Stage() as stage:
        stage.deaf = True
        connection = SessionConnection(stage.ws_url, ticket="x", give_up_s=0.3, answer_timeout_s=0.1)
        with pytest.raises(Disconnected, match="no welcome message"):
            async with connection:
                pass
