"""The lists of sessions: small rows, pages, ETags, and one read of the store per change."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from tests.conftest import HOLDER, World
from tussle.lobby.errors import Refused
from tussle.server.http import session_lists
from tussle.server.http.session_lists import SessionLists


async def ask(lists: SessionLists, query: str = "", **headers: str) -> Response:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return await lists.respond(
        Request({"type": "http", "method": "GET", "query_string": query.encode(), "headers": raw})
    )


async def rows(lists: SessionLists, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bytes((await ask(lists, query)).body))["sessions"]
    return found


async def test_a_row_is_small(world: World) -> None:
    """A row has what a list shows, without the brief and the parameters; of the result it has the winner."""
    session, _ = await world.ended()
    await world.store.call("HSET", world.store.keys.session(session), "brief", json.dumps({"x": "y" * 500}))
    [row] = await rows(SessionLists(world.views), "status=ended")
    assert row["session"] == session and row["result"] == {"winner": 0}
    assert not {"brief", "params", "ws_url", "epoch", "v"} & row.keys()
    assert len(json.dumps(row)) < 700


async def test_pages_have_every_session_once(world: World) -> None:
    """The pages of a list, one after the other, have all public sessions, oldest lobby first, and end. Lobbies of one
    millisecond are in the order of their tokens."""
    players = await world.players(7)
    tokens = [
        (await world.seating.open(p, "duel", 2, holder=HOLDER, private=p is players[6])).session
        for p in players
    ]
    lists, found, cursor = SessionLists(world.views), [], ""
    for _ in range(4):
        page = json.loads(bytes((await ask(lists, f"limit=2&cursor={cursor}")).body))
        found += [row["session"] for row in page["sessions"]]
        cursor = page["next"]
        if not cursor:
            break
    opened = {token: (await world.views.view(token)).opened_at for token in tokens[:6]}
    assert found == sorted(opened, key=lambda token: (opened[token], token)) and cursor == ""
    for bad in ("limit=0", "limit=201", "limit=x", "cursor=nonsense"):
        with pytest.raises(Refused) as refused:
            await ask(lists, bad)
        assert refused.value.reason == "bad_page"


async def test_an_unchanged_list_is_not_sent_again(world: World) -> None:
    """With the ETag of the last answer the answer is 304, until a session opens; large ones are compressed."""
    for player in await world.players(12):
        await world.seating.open(player, "duel", 2, holder=HOLDER)
    lists = SessionLists(world.views)
    first = await ask(lists)
    again = await ask(lists, if_none_match=first.headers["etag"])
    assert (again.status_code, bytes(again.body)) == (304, b"")
    packed = await ask(lists, accept_encoding="gzip, br")
    assert packed.headers["content-encoding"] == "gzip" and packed.headers["vary"] == "accept-encoding"
    assert gzip.decompress(bytes(packed.body)) == bytes(first.body)
    assert len(packed.body) < len(first.body) / 3
    [late] = await world.players(1)
    await world.seating.open(late, "duel", 2, holder=HOLDER)
    changed = await ask(lists, if_none_match=first.headers["etag"])
    assert changed.status_code == 200 and changed.headers["etag"] != first.headers["etag"]


async def test_the_store_is_read_once_per_change(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty requests of an unchanged list read no session; after a change only the changed session is read."""
    monkeypatch.setattr(session_lists, "LOOK_S", 3600.0)
    players = await world.players(9)
    for player in players[:8]:
        await world.seating.open(player, "duel", 2, holder=HOLDER)
    read: list[list[str]] = []
    whole = world.views.read

    async def count(tokens: list[str]) -> Any:
        read.append(list(tokens))
        return await whole(tokens)

    monkeypatch.setattr(world.views, "read", count)
    lists = SessionLists(world.views)
    await asyncio.gather(*(ask(lists) for _ in range(50)))
    assert [len(tokens) for tokens in read] == [8]
    seat = await world.find(players[8])
    await asyncio.gather(*(ask(lists) for _ in range(50)))
    assert [len(tokens) for tokens in read] == [8, 1] and read[1] == [seat.session]
    [row] = [row for row in await rows(lists) if row["session"] == seat.session]
    assert len(row["seats"]) == 2


async def test_a_session_that_is_gone_leaves_the_list(world: World) -> None:
    """A lobby that ended is no longer among the open ones, and is among the ended ones."""
    [player] = await world.players(1)
    lists = SessionLists(world.views)
    seat = await world.find(player)
    assert [row["session"] for row in await rows(lists)] == [seat.session]
    await world.seating.leave(player, seat.session)
    assert await rows(lists) == []
    assert [row["session"] for row in await rows(lists, "status=ended")] == [seat.session]


async def test_an_entry_without_a_session_hides_no_list(world: World) -> None:
    """What somebody writes to the lifecycle stream by hand is left out; the changes around it are read."""
    lists = SessionLists(world.views)
    assert await rows(lists) == []
    await world.store.call("XADD", world.store.keys.lifecycle, "*", "x", "y")
    [player] = await world.players(1)
    seat = await world.seating.open(player, "duel", 2, holder=HOLDER)
    assert [row["session"] for row in await rows(lists)] == [seat.session]


async def test_a_long_list_is_found_and_read_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more lobbies than are checked at once, pages have each one once, and a search finds the last one. A call after
    that checks one page and what is next in turn, never all of them."""
    monkeypatch.setattr(session_lists, "CHECKED_IN_TURN", 5)
    monkeypatch.setattr(session_lists, "CLOCK_MARGIN_MS", 100)
    players = await world.players(620)
    for at in range(0, 620, 20):
        await asyncio.gather(
            *(world.seating.open(player, "duel", 2, holder=HOLDER) for player in players[at : at + 20])
        )
    lists, found, query = SessionLists(world.views), [], "limit=200"
    while query:
        page = json.loads(bytes((await ask(lists, query)).body))
        found += [row["session"] for row in page["sessions"]]
        query = page["next"] and f"limit=200&cursor={page['next']}"
    assert len(found) == len(set(found)) == 620
    last = await world.views.view(found[-1])
    assert found[-1] in [row["session"] for row in await rows(lists, f"search={last.session}")]
    checked: list[int] = []
    versions = world.views.versions

    async def count(tokens: list[str]) -> Any:
        checked.append(len(tokens))
        return await versions(tokens)

    monkeypatch.setattr(world.views, "versions", count)
    [late] = await world.players(1)
    seat = await world.seating.open(late, "duel", 3, holder=HOLDER)
    assert seat.session in [row["session"] for row in await rows(lists, f"search={seat.session[:7]}")]
    assert sum(checked) <= 210  # the page, those that opened within the margin of the clock, and 5 in turn


async def test_a_taken_seat_is_on_the_page_that_is_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third seat of four is no transition: the page that shows it reads it, however many others are before it."""
    monkeypatch.setattr(session_lists, "CHECKED_IN_TURN", 1)
    monkeypatch.setattr(session_lists, "LOOK_S", 1e-9)
    players = await world.players(9)
    seats = [await world.seating.open(player, "duel", 4, holder=HOLDER) for player in players[:8]]
    lists = SessionLists(world.views)
    assert len(await rows(lists)) == 8
    last = seats[-1].session
    await world.seating.join(players[8], last)
    [row] = await rows(lists, f"search={last}")
    assert len(row["seats"]) == 2
