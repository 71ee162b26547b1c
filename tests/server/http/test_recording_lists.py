"""The list of recorded sessions over HTTP: what a page has, what is refused, what a search costs."""

from __future__ import annotations

import gzip
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response

from tests.conftest import World
from tests.lobby.test_recording_index import row, token
from tussle.lobby.errors import RateLimited, Refused
from tussle.lobby.recording_index import RecordingIndex
from tussle.lobby.uploads import Uploads
from tussle.server.costs import Ledger
from tussle.server.http.recording_lists import SEARCH_COST, RecordingLists
from tussle.server.http.requests import Requests


@pytest.fixture
async def lists(world: World) -> RecordingLists:
    """The lists of a server, with five recorded sessions."""
    index = RecordingIndex(world.store, 100)
    for number in range(5):
        await index.add(row(number, mode="duel" if number else "curling"))
    ledger = Ledger(world.settings, lambda *_: None)
    backend: Any = SimpleNamespace(uploads=Uploads(world.store, world.settings), recording_index=index)
    return RecordingLists(backend, Requests(world.settings, world.accounts, ledger))


async def answer_to(lists: RecordingLists, query: dict[str, object], **headers: str) -> Response:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": "GET", "path": "/api/recordings", "headers": raw, "client": ("10.0.0.1", 1),
        "query_string": urlencode(query).encode(),
    }  # fmt: skip
    return await lists.show(Request(scope))


async def ask(lists: RecordingLists, **query: object) -> dict[str, Any]:
    answer = await answer_to(lists, query)
    found: dict[str, Any] = orjson.loads(answer.body)
    return found


async def test_recorded_sessions_are_listed_in_pages(lists: RecordingLists) -> None:
    """A page has the sessions that ended last and leads to the next one; uploads are another list."""
    first = await ask(lists, kind="sessions", limit=3)
    assert [one["session"] for one in first["recordings"]] == [token(4), token(3), token(2)]
    assert first["recordings"][0]["seats"][0]["name"] == "ada" and first["recordings"][0]["length"] == 10
    second = await ask(lists, kind="sessions", limit=3, cursor=first["next"])
    assert [one["session"] for one in second["recordings"]] == [token(1), token(0)] and not second["next"]
    found = await ask(lists, kind="sessions", mode="curling", since=1, until=1, player="p-ada")
    assert [one["session"] for one in found["recordings"]] == [token(0)]
    assert await ask(lists) == {"recordings": []}


async def test_an_unchanged_page_is_not_sent_again(lists: RecordingLists) -> None:
    """With the ETag of the last answer the answer is 304, until a session is listed; a large page is compressed. So is
    the list of uploads."""
    sessions: dict[str, object] = {"kind": "sessions"}
    first = await answer_to(lists, sessions)
    again = await answer_to(lists, sessions, if_none_match=f'"x", {first.headers["etag"]}')
    assert (again.status_code, bytes(again.body)) == (304, b"")
    packed = await answer_to(lists, sessions, accept_encoding="br, gzip")
    assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "accept-encoding")
    assert gzip.decompress(bytes(packed.body)) == bytes(first.body)
    assert len(packed.body) < len(first.body) / 2
    await lists._backend.recording_index.add(row(7))
    changed = await answer_to(lists, sessions, if_none_match=first.headers["etag"])
    assert changed.status_code == 200 and changed.headers["etag"] != first.headers["etag"]
    uploads = await answer_to(lists, {}, accept_encoding="gzip")
    assert "content-encoding" not in uploads.headers  # it is small
    assert (await answer_to(lists, {}, if_none_match=uploads.headers["etag"])).status_code == 304


async def test_a_bad_query_is_refused(lists: RecordingLists) -> None:
    """With the code of the parameter, whatever it has instead of a number, cursor or word."""
    for query, code in (
        ({"kind": "all"}, "bad_query"),
        ({"limit": "0"}, "bad_page"),
        ({"limit": "101"}, "bad_page"),
        ({"limit": "²"}, "bad_page"),
        ({"cursor": "12"}, "bad_page"),
        ({"cursor": "x.aaaaaaaa"}, "bad_page"),
        ({"cursor": "1.not a token"}, "bad_page"),
        ({"since": "-1"}, "bad_page"),
        ({"until": "1" * 16}, "bad_page"),
        ({"search": "x" * 49}, "bad_query"),
    ):
        with pytest.raises(Refused) as refused:
            await ask(lists, **{"kind": "sessions", **query})
        assert refused.value.reason == code, query


async def test_a_search_costs_more_than_a_page(lists: RecordingLists, world: World) -> None:
    """Searches, which may read many rows for a few, are refused after a number of them; pages, which are charged by the
    table of costs, are not charged here."""
    most = round(world.settings.request_rate * 5 / SEARCH_COST)
    for _ in range(most):
        await ask(lists, kind="sessions", search="ada")
    with pytest.raises(RateLimited):
        for _ in range(most):
            await ask(lists, kind="sessions", search="ada")
    with pytest.raises(RateLimited):
        for _ in range(most):
            await ask(lists, kind="sessions", mode="duel", player="ada")
    assert len((await ask(lists, kind="sessions", player="ada"))["recordings"]) == 5
