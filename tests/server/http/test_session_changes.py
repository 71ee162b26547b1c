"""The stream of changes of the lists of sessions: what it sends, what streams share, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from tests.conftest import HOLDER, World
from tests.support.http import http_client
from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import CEILING_S, Message, Person
from tussle.lobby.settings import Settings
from tussle.server.costs import Ledger, Owner, Resource
from tussle.server.http import session_changes
from tussle.server.http.session_changes import SessionChanges
from tussle.server.http.session_lists import SessionLists

ENVIRONMENT = {"TRUSTED_PROXIES": "127.0.0.1", "ADDRESS_CONNECTIONS": "3", "SIM_SPEED": "0"}


class Follower:
    """The rows that a stream leads to. It must not import Tussle."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.rows: dict[str, Message] = {}
        self.events: list[Message] = []

    async def next(self) -> Message:
        """The next event, applied to ``rows``."""
        async with asyncio.timeout(CEILING_S):
            async for line in self._lines:
                if line.startswith("data: "):
                    break
            else:
                raise EOFError
        event: Message = json.loads(line.removeprefix("data: "))
        self.events.append(event)
        if event["whole"]:
            self.rows.clear()
        for token in event["gone"]:
            del self.rows[token]
        self.rows |= {row["session"]: row for row in event["rows"]}
        return event


@pytest.mark.asyncio(loop_scope="module")
async def test_a_stream_leads_to_the_list_of_now(site: Stack) -> None:
    """The first event has all public sessions; each later one has what changed: a new lobby, a taken seat, an end.
    A private lobby is in none."""
    async with Person(site.url) as ada, Person(site.url) as otto, Person(site.url) as eve:
        for person in (ada, otto, eve):
            await person.login()
        first = (await ada.ask("/api/open", size=3))["session"]
        async with ada.http.stream("GET", "/api/sessions/changes?ended=5") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["x-content-type-options"] == "nosniff"
            follower = Follower(response.aiter_lines())
            assert (await follower.next())["whole"] and set(follower.rows) == {first}
            private = (await eve.ask("/api/open", size=3, private=True))["session"]
            await otto.ask("/api/join", session=first)
            while len(follower.rows[first]["seats"]) < 2:
                assert not (await follower.next())["whole"]
            for person in (otto, ada):
                await person.ask("/api/leave", session=first)
            while follower.rows.get(first, {}).get("status") != "ended":
                await follower.next()
            second = (await otto.ask("/api/open", size=2))["session"]
            while second not in follower.rows:
                await follower.next()
            listed = (await otto.get("/api/sessions?ended=5")).json()["sessions"]
            assert {row["session"] for row in listed} == set(follower.rows)
            assert private not in json.dumps(follower.events)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_address_has_a_limit_of_streams(site: Stack) -> None:
    """Behind a proxy too: the fourth stream of one address is refused with 429, another address gets one, and a stream
    that closes makes room."""

    def stream(address: str) -> Any:
        return client.stream("GET", "/api/sessions/changes", headers={"x-forwarded-for": address})

    async with contextlib.AsyncExitStack() as exits:
        client = await exits.enter_async_context(http_client(site.url, timeout=CEILING_S))
        for _ in range(2):
            await exits.enter_async_context(stream("192.0.2.7"))
        async with stream("192.0.2.7"), stream("192.0.2.7") as refused, stream("192.0.2.8") as other:
            await refused.aread()
            assert_problem(refused, 429, "rate_limited")
            assert int(refused.headers["retry-after"]) > 0 and other.status_code == 200
        async with asyncio.timeout(CEILING_S):
            while True:
                async with stream("192.0.2.7") as again:
                    if again.status_code == 200:
                        break


@pytest.mark.asyncio(loop_scope="module")
async def test_a_bad_query_is_refused(site: Stack) -> None:
    """A number of ended sessions that no page has is refused with a code."""
    async with Person(site.url) as person:
        assert_problem(await person.get("/api/sessions/changes?ended=201"), 422, "bad_page")
        assert_problem(await person.get("/api/sessions/changes?status=happy"), 422, "bad_status")


def request(address: str, coding: str = "identity") -> Request:
    scope = {
        "type": "http",
        "method": "GET",
        "query_string": b"",
        "headers": [(b"accept-encoding", coding.encode())],
        "client": (address, 1),
    }
    return Request(scope)


async def open_stream(changes: SessionChanges, address: str) -> tuple[Any, Follower]:
    response: Any = await changes.respond(request(address))

    async def lines() -> AsyncIterator[str]:
        async for part in response.body_iterator:
            for line in part.decode().splitlines():
                yield line

    return response, Follower(lines())


async def test_streams_share_their_events(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event of one change is made once for 30 streams, and costs each of their addresses a tenth."""
    monkeypatch.setattr(session_changes, "STEP_S", 0.0)
    ledger = Ledger(Settings(), lambda *_: None)
    changes = SessionChanges(SessionLists(world.views), ledger)
    made: list[int] = []
    rows = changes._lists.rows

    def count(choice: Any) -> Any:
        made.append(1)
        return rows(choice)

    monkeypatch.setattr(changes._lists, "rows", count)
    keeper = asyncio.create_task(changes.keep())
    followers = [(await open_stream(changes, f"192.0.2.{n}"))[1] for n in range(30)]
    assert [(await follower.next())["rows"] for follower in followers] == [[]] * 30
    [player] = await world.players(1)
    seat = await world.seating.open(player, "duel", 2, holder=HOLDER)
    for follower in followers:
        await follower.next()
        assert set(follower.rows) == {seat.session}
    assert len(made) == 2
    spent = [ledger.bucket(Resource.REQUESTS, Owner.ADDRESS, f"192.0.2.{n}") for n in range(30)]
    burst = spent[0].burst
    assert all(burst - 1.0 < bucket.level for bucket in spent[1:])
    keeper.cancel()


async def test_a_stream_is_compressed_event_by_event(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that accepts gzip gets every event at once, and a changed row as a small difference from the row before;
    another client gets the same text plain, and the end of the stream is that of the gzip member."""
    monkeypatch.setattr(session_changes, "STEP_S", 0.0)
    changes = SessionChanges(SessionLists(world.views), Ledger(Settings(), lambda *_: None))
    keeper = asyncio.create_task(changes.keep())
    first, second = await world.players(2)
    seat = await world.seating.open(first, "duel", 3, holder=HOLDER)
    plain: Any = await changes.respond(request("192.0.2.1", "gzip;q=0"))
    packed: Any = await changes.respond(request("192.0.2.1", "br, gzip"))
    assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
    gzip = zlib.decompressobj(31)

    async def read_both(word: bytes) -> tuple[int, int]:
        """Read both streams to the next event with this word; returns the sizes of that event."""
        while True:
            text, data = await anext(plain.body_iterator), await anext(packed.body_iterator)
            assert gzip.decompress(data) == text
            if word in text:
                return len(text), len(data)

    async with asyncio.timeout(CEILING_S):
        await read_both(seat.session.encode())
        await world.seating.join(second, seat.session)
        size, sent = await read_both(second.encode())
        assert sent < size / 3
        changes.close()
        assert [gzip.decompress(data) async for data in packed.body_iterator][-1:] == [b""] and gzip.eof
    keeper.cancel()


async def test_a_stream_without_budget_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream whose address has spent its budget sends nothing until it has some again; then one event has all."""
    monkeypatch.setattr(session_changes, "STEP_S", 0.0)
    ledger = Ledger(Settings(request_rate=10.0), lambda *_: None)
    changes = SessionChanges(SessionLists(world.views), ledger)
    keeper = asyncio.create_task(changes.keep())
    _, follower = await open_stream(changes, "192.0.2.1")
    await follower.next()
    bucket = ledger.bucket(Resource.REQUESTS, Owner.ADDRESS, "192.0.2.1")
    bucket.level = -2.0  # two tenths of a second
    players = await world.players(3)
    waiting = asyncio.create_task(follower.next())
    for player in players:
        await world.seating.open(player, "duel", 2, holder=HOLDER)
    await waiting
    while len(follower.rows) < 3:
        await follower.next()
    assert sum(len(event["rows"]) for event in follower.events) == 3
    keeper.cancel()


async def test_streams_end_when_the_server_stops(world: World) -> None:
    """``close`` ends each stream, and their addresses hold nothing any more once the responses are over."""
    ledger = Ledger(Settings(), lambda *_: None)
    changes = SessionChanges(SessionLists(world.views), ledger)
    response, _ = await open_stream(changes, "192.0.2.1")
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 3:
            changes.close()

    async with asyncio.timeout(CEILING_S):
        await response(
            {"type": "http", "asgi": {"spec_version": "2.4"}}, lambda: asyncio.sleep(CEILING_S), send
        )
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert len(changes) == 0 and ledger.held(Resource.STREAMS, Owner.ADDRESS, "192.0.2.1") == 0
