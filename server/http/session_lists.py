"""The lists of public sessions: read once per change, in pages, small, compressed, with an ETag.

    refresh -> newest lifecycle entry: unchanged, and read within LOOK_S -> rows in memory --> page -> 304, or gzip
                                       '-> else v of each session -> read again those whose v is new

A row is a session view without what a list does not show: no brief, parameters and address. Requests at the same time
share one read, and so do the streams of changes (server/http/session_changes.py). This module must never list a private
session.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.errors import Refused
from tussle.lobby.lifecycle import ENDED, LIVE, Status
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import SeatView, SessionView
from tussle.server.http.requests import query_text
from tussle.server.http.tagged_bodies import TaggedBody

__all__ = ["Choice", "SessionLists"]

LOOK_S = 1.0
"""Longest delay of changes that are no transitions of a session, such as a taken seat [s]."""

LARGEST_PAGE = 200
MAX_TIME_DIGITS = 15
PAGES_KEPT = 64
Place = tuple[int, int, str]
"""Waiting sessions, oldest first; running ones, newest first; ended ones, newest first."""


@dataclass(frozen=True, slots=True)
class _Row:
    place: Place
    status: str
    mode: str
    changed_at: int
    """The time when it opened, began or ended, whichever is last [ms since 1970]."""
    words: tuple[str, ...]
    """The text that a search matches, casefolded."""
    players: frozenset[str]
    shown: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which sessions of the lists a client asks for: the parameters of its query."""

    mode: str
    status: str
    search: str
    player: str
    """Identity or whole name of somebody who has a seat, casefolded; a guest's name also without what follows "#"."""
    since: int
    until: int
    """The last change of status lies between these times, if they are not 0 [ms since 1970]."""
    limit: int
    after: Place | None = None
    ended: int = 0
    """Ended sessions that follow those which wait or run, if no status is asked for."""

    @classmethod
    def of(cls, request: Request) -> Choice:
        """The choice of a request. Raises Refused for a bad status, time, limit, cursor or number of ended sessions."""
        return cls(
            query_text(request, "mode"),
            _status(query_text(request, "status")),
            query_text(request, "search").casefold(),
            query_text(request, "player").casefold(),
            _time(query_text(request, "since"), "since"),
            _time(query_text(request, "until"), "until"),
            _count(query_text(request, "limit"), "limit", LARGEST_PAGE, least=1),
            _place(query_text(request, "cursor")),
            _count(query_text(request, "ended"), "ended", 0, least=0),
        )


@dataclass(frozen=True, slots=True)
class _Page:
    version: int
    body: TaggedBody


class SessionLists:
    """The lists of one server."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._views_by_token: dict[str, tuple[SessionView, bool]] = {}
        self._rows: list[_Row] = []
        self._version = 0
        self._newest = ""
        self._looked = float("-inf")
        self._looking = asyncio.Lock()
        self._pages: OrderedDict[Choice, _Page] = OrderedDict()

    @property
    def version(self) -> int:
        """Counts the changes of the lists that this server has read."""
        return self._version

    async def respond(self, request: Request) -> Response:
        """One page, or 304 if the client has it. Raises Refused for a bad query; StoreError."""
        choice = Choice.of(request)
        await self.refresh()
        page = self._pages.get(choice)
        if page is None or page.version != self._version:
            page = self._pages[choice] = self._make_page(choice)
        self._pages.move_to_end(choice)
        if len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)
        return page.body.respond(request)

    async def refresh(self) -> None:
        """Read what has changed in the store since the last call. Raises StoreError."""
        async with self._looking:
            newest = await self._views.newest_transition()
            if newest == self._newest and time.monotonic() - self._looked < LOOK_S:
                return
            looked = time.monotonic()
            views = await self._views.all_sessions(self._views_by_token)
            if views != self._views_by_token:
                self._rows = sorted(
                    (_row(view) for view, private in views.values() if not private), key=lambda row: row.place
                )
                self._version += 1
            self._views_by_token, self._newest, self._looked = views, newest, looked

    def rows(self, choice: Choice) -> tuple[list[Mapping[str, Any]], str]:
        """The rows of one page as of the last ``refresh``, and the cursor of the page after it, or ''."""
        found = [row for row in self._rows if _suits(row, choice)]
        ended = [] if choice.status else [row for row in found if row.place[0] == 2]
        present = found[: len(found) - len(ended)]
        page = present[: choice.limit]
        following = ".".join(map(str, page[-1].place)) if len(present) > choice.limit else ""
        return [row.shown for row in page + ended[: choice.ended]], following

    def _make_page(self, choice: Choice) -> _Page:
        rows, following = self.rows(choice)
        body = orjson.dumps({"sessions": rows, "next": following})
        return _Page(self._version, TaggedBody.of(body))


def _suits(row: _Row, choice: Choice) -> bool:
    """Whether a row belongs to a list, whatever the limits of its page."""
    return (
        (not choice.status or row.status == choice.status)
        and (not choice.mode or row.mode == choice.mode)
        and (choice.after is None or row.place > choice.after)
        and (not choice.player or choice.player in row.players)
        and choice.since <= row.changed_at
        and (not choice.until or row.changed_at <= choice.until)
        and (not choice.search or any(choice.search in word for word in row.words))
    )


def _status(text: str) -> str:
    try:
        return Status(text).value if text else ""
    except ValueError:
        raise Refused(f"no such status: {text}", code="bad_status", field="status") from None


def _count(text: str, name: str, default: int, *, least: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= LARGEST_PAGE):
        raise Refused(f"{name} is a number from {least} to {LARGEST_PAGE}", code="bad_page", field=name)
    return int(text)


def _time(text: str, name: str) -> int:
    """A time in milliseconds since 1970; 0 if there is none."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_TIME_DIGITS):
        raise Refused(f"{name} is a time in milliseconds since 1970", code="bad_page", field=name)
    return int(text)


def _place(text: str) -> Place | None:
    """The place after which the page begins: the ``next`` of the page before it."""
    if not text:
        return None
    try:
        kind, key, token = text.split(".")
        return int(kind), int(key), token
    except ValueError:
        raise Refused("not a cursor of a list", code="bad_page", field="cursor") from None


def _row(view: SessionView) -> _Row:
    if view.status in ENDED:
        place = (2, -view.ended_at, view.session)
    elif view.status in LIVE:
        place = (1, -view.started_at, view.session)
    else:
        place = (0, view.opened_at, view.session)
    shown: dict[str, Any] = {
        "session": view.session, "status": view.status, "mode": view.mode, "size": view.size, "host": view.host,
        "seats": [_seat(seat) for seat in view.seats], "opened_at": view.opened_at,
    }  # fmt: skip
    for name in (
        "started_at",
        "ended_at",
        "round",
        "tick",
        "turn_seat",
        "closes_at",
        "min_distance",
        "reason",
    ):
        value = getattr(view, name)
        if value not in (0, "", None) or (name == "turn_seat" and value == 0):
            shown[name] = value
    if view.parent is not None:
        shown |= {"parent": view.parent, "parent_tick": view.parent_tick}
    if view.result is not None:
        shown["result"] = {"winner": view.result.get("winner")}
    if view.observers.count:
        shown["observers"] = {"count": view.observers.count}
    words = (view.session, view.mode, *(seat.name for seat in view.seats))
    players = frozenset(
        text.casefold()
        for seat in view.seats
        for text in (seat.player, seat.name, seat.name.partition("#")[0])
    )
    return _Row(
        place, view.status, view.mode, view.ended_at or view.started_at or view.opened_at,
        tuple(word.casefold() for word in words), players, shown,
    )  # fmt: skip


def _seat(seat: SeatView) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "seat": seat.seat, "player": seat.player, "name": seat.name, "kind": seat.kind, "body": seat.body,
        "ready": seat.ready, "connected": seat.connected,
    }  # fmt: skip
    if seat.health is not None:
        shown["health"] = seat.health
    if seat.out:
        shown["out"] = True
    return shown
