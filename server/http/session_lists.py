"""The lists of public sessions: read once per change, in pages, small, compressed, with an ETag.

    refresh -> sessions that the store's indexes and lifecycle stream name as new, begun or ended   --.
            -> v of those on the pages asked for, and of the next in turn, within LOOK_S  -> changed --> SessionIndex
    respond -> refresh, page of the index -> 304, or gzip

A call never reads all sessions: its cost is that of one page, and of what has changed. A row is a session view without
what a list does not show: no brief, parameters and address. Requests at the same time share one read, and so do the
streams of changes (server/http/session_changes.py). This module must never list a private session.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from tussle.lobby.errors import Refused
from tussle.lobby.lifecycle import ENDED, LIVE, Status
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import SeatView, SessionView
from tussle.server.http.requests import query_text
from tussle.server.http.session_index import Choice, Place, SessionIndex, SessionRow
from tussle.server.http.tagged_bodies import TaggedBody

__all__ = ["SessionLists", "read_choice"]

LOOK_S = 1.0
"""Longest delay on a page of changes that are no transitions of a session, such as a taken seat [s]."""

LARGEST_PAGE = 200
MAX_TIME_DIGITS = 15
PAGES_KEPT = 64

CHECKED_IN_TURN = 500
"""Sessions whose version is read each LOOK_S besides those on the pages that clients ask for."""

CHECKED_OF_PAGES = 1000
"""Most sessions on pages whose version is read at once."""

READ_AT_ONCE = 20
"""Sessions that are read and made into rows without a pause of the event loop: about 3 ms."""

RESYNC_S = 60.0
"""How often the indexes of the store are read whole. This repairs what a failover or a jump of its clock hid [s]."""

CLOCK_MARGIN_MS = 2000


@dataclass(frozen=True, slots=True)
class _Look:
    v: int
    kind: int
    """The first part of its place: whether it waits, runs or has ended."""
    looked_at: float


@dataclass(frozen=True, slots=True)
class _Page:
    version: int
    body: TaggedBody


class SessionLists:
    """The lists of one server."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._index = SessionIndex()
        self._known: dict[str, _Look] = {}
        """Every session that was read, private ones too, in the order of the last look, oldest first."""
        self._version = 0
        self._newest = ""
        self._looked = float("-inf")
        self._synced = float("-inf")
        self._store_ms = 0
        self._looking = asyncio.Lock()
        self._pages: OrderedDict[Choice, _Page] = OrderedDict()

    @property
    def version(self) -> int:
        """Counts the changes of the lists that this server has read."""
        return self._version

    async def respond(self, request: Request) -> Response:
        """One page, or 304 if the client has it. Raises Refused for a bad query; StoreError."""
        choice = read_choice(request)
        await self.refresh(choice)
        page = self._pages.get(choice)
        if page is None or page.version != self._version:
            page = self._pages[choice] = self._make_page(choice)
        self._pages.move_to_end(choice)
        if len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)
        return page.body.respond(request)

    async def refresh(self, *choices: Choice) -> None:
        """Read what has changed in the store since the last call. Raises StoreError.

        Sessions that are new, begin or end are always read. Of the others, those on the pages of ``choices`` are at
        most LOOK_S old; the rest is checked in turn, CHECKED_IN_TURN each LOOK_S.
        """
        async with self._looking:
            newest, announced = await self._views.transitions_after(self._newest)
            now = time.monotonic()
            due, moved = now - self._looked >= LOOK_S, newest != self._newest
            shown = self._on_pages(choices, now)
            if not (due or moved or shown):
                return
            whole = now - self._synced >= RESYNC_S
            if whole:
                self._store_ms, entered = await self._views.now_ms(), await self._views.every_listed()
            else:
                self._store_ms, entered = await self._views.listed_since(self._store_ms - CLOCK_MARGIN_MS)
            moved_on = (token for token, kind in entered.items() if self._is_elsewhere(token, kind))
            check = dict.fromkeys((*announced, *shown, *moved_on))
            if due:
                check |= dict.fromkeys(self._next_in_turn(now))
            versions = await self._views.versions([token for token in check if token in self._known])
            changed = [token for token, v in versions.items() if v != self._known[token].v]
            for token in versions:
                self._note_look(token, replace(self._known[token], looked_at=now))
            await self._read([*changed, *(token for token in entered if token not in self._known)])
            self._newest = newest
            if whole:
                self._synced = self._looked = time.monotonic()  # a first read of thousands takes seconds
            elif due:
                self._looked = now

    def rows(self, choice: Choice) -> tuple[list[Mapping[str, Any]], str]:
        """The rows of one page as of the last ``refresh``, and the cursor of the page after it, or ''."""
        found, following = self._index.find(choice)
        return [row.shown for row in found], following

    def _make_page(self, choice: Choice) -> _Page:
        rows, following = self.rows(choice)
        body = orjson.dumps({"sessions": rows, "next": following})
        return _Page(self._version, TaggedBody.of(body))

    def _on_pages(self, choices: Iterable[Choice], now: float) -> list[str]:
        """The sessions on these pages that nobody looked at for LOOK_S, those first whose last look is longest ago."""
        tokens = {row.place[2] for choice in choices for row in self._index.find(choice)[0]}
        tokens = {token for token in tokens if now - self._known[token].looked_at >= LOOK_S}
        return sorted(tokens, key=lambda token: self._known[token].looked_at)[:CHECKED_OF_PAGES]

    def _next_in_turn(self, now: float) -> list[str]:
        """The sessions that nobody looked at for the longest time: more of them after a pause."""
        count = CHECKED_IN_TURN * max(1.0, (now - self._looked) / LOOK_S)
        return list(islice(self._known, round(min(count, len(self._known)))))

    async def _read(self, tokens: Sequence[str]) -> None:
        """Read sessions and change their rows. One that does not exist any more leaves the lists."""
        changed = False
        try:
            for at in range(0, len(tokens), READ_AT_ONCE):
                batch = tokens[at : at + READ_AT_ONCE]
                now = time.monotonic()
                found = await self._views.read(batch)
                for token in batch:
                    if token in found:
                        view, private = found[token]
                        row = _row(view)
                        self._note_look(token, _Look(view.v, row.place[0], now))
                        changed |= self._index.remove(token) if private else self._index.put(row)
                    else:
                        self._known.pop(token, None)
                        changed |= self._index.remove(token)
        finally:
            self._version += changed

    def _is_elsewhere(self, token: str, kind: int) -> bool:
        """Whether a known session is on another index of the store than when it was read."""
        known = self._known.get(token)
        return known is not None and known.kind != kind

    def _note_look(self, token: str, known: _Look) -> None:
        self._known.pop(token, None)
        self._known[token] = known


def read_choice(request: Request) -> Choice:
    """The choice of a request. Raises Refused for a bad status, time, limit, cursor or number of ended sessions."""
    return Choice(
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


def _row(view: SessionView) -> SessionRow:
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
    return SessionRow(
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
