"""Streams of changes of the lists of sessions, as server-sent events, so that a page need not poll.

    SessionLists.refresh, every STEP_S while there is a stream -> a new version -> each stream: rows now - rows sent
                                                             -> event "rows", or a comment -> gzip, flushed

A stream of a client that accepts it is one gzip member, flushed after each event: most of a changed row is what the
client got before. A stream that is read slowly, or whose address has spent its budget, gets fewer events: each event
has all changes since the event before it. Format: HTML standard, 9.2 Server-sent events. This module must never read
the store.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tussle.lobby.errors import RateLimited, StoreError
from tussle.lobby.logs import get_logger
from tussle.server.costs import CHANGE_COST, SHARED_CHANGE_COST, Ledger, Owner, Resource
from tussle.server.http.content_headers import accepted_codings
from tussle.server.http.requests import address_owner
from tussle.server.http.session_index import Choice
from tussle.server.http.session_lists import SessionLists, read_choice

__all__ = ["SessionChanges"]

STEP_S = 0.5
"""How often the lists are read while a stream follows them, and the shortest time between two events [s]."""

QUIET_S = 15.0
"""A stream without changes gets a comment after this time, so that proxies keep it open [s]."""

RETRY_MS = 2000
"""When a browser connects again after it lost its stream [ms]."""

FULL_RETRY_S = 10.0
EVENTS_KEPT = 64

HEADERS = {"cache-control": "no-store", "vary": "accept-encoding", "x-accel-buffering": "no"}
"""nginx passes each event on at once."""

GZIP_LEVEL = 5

WINDOW_BITS, MEMORY_LEVEL = 13, 4
"""Of zlib: a stream keeps 40 KiB, for the last 8 KiB that it sent. With four times that, the rows of two duels take
4 % fewer bytes."""

log = get_logger("server.http")

Rows = Mapping[str, Mapping[str, Any]]
"""Rows by their session's token, in the order of the list."""


class SessionChanges:
    """The streams of one server. The server runs ``keep`` as a task and calls ``close`` when it stops."""

    def __init__(self, lists: SessionLists, ledger: Ledger) -> None:
        self._lists = lists
        self._ledger = ledger
        self._choices: Counter[Choice] = Counter()
        """What the streams follow."""
        self._followed = asyncio.Event()
        self._closed = False
        self._change = asyncio.Event()
        """Set and replaced when there is a new version, or the server stops."""
        self._events: OrderedDict[tuple[Choice, int, int], tuple[Rows, bytes]] = OrderedDict()
        """What streams with the same choice share: by the versions that an event leads from and to."""

    def __len__(self) -> int:
        return self._choices.total()

    async def keep(self) -> None:
        """Read the lists while there is a stream, until cancelled."""
        notified = self._lists.version
        while True:
            await self._followed.wait()
            await asyncio.sleep(STEP_S)
            try:
                await self._lists.refresh(*self._choices)
            except StoreError as error:
                log.warning("store_waiting", work="session_changes", error=error.message)
            if self._lists.version != notified:  # also if a request read them
                notified = self._lists.version
                self._tell()

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        self._tell()

    async def respond(self, request: Request) -> Response:
        """A stream. Raises Refused for a bad query, StoreError, or RateLimited if the address has too many streams."""
        choice = read_choice(request)
        await self._lists.refresh(choice)
        owner = address_owner(request)
        if not self._ledger.hold(Resource.STREAMS, Owner.ADDRESS, owner):
            raise RateLimited("too many streams of this address", retry_after=FULL_RETRY_S)
        self._choices[choice] += 1
        self._followed.set()
        gzip = "gzip" in accepted_codings(request)
        return _Stream(self._follow(choice, owner), lambda: self._end(choice, owner), gzip=gzip)

    def _end(self, choice: Choice, owner: str) -> None:
        self._ledger.release(Resource.STREAMS, Owner.ADDRESS, owner)
        self._choices[choice] -= 1
        if not self._choices[choice]:
            del self._choices[choice]
        if not self._choices:
            self._followed.clear()

    def _tell(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def _follow(self, choice: Choice, owner: str) -> AsyncIterator[bytes]:
        yield b"retry: %d\n\n" % RETRY_MS
        sent: Rows = {}
        sent_version = -1
        while not self._closed:
            change, version = self._change, self._lists.version
            if version != sent_version:
                try:
                    rows, event = self._event(choice, sent, sent_version, owner)
                except RateLimited as error:
                    await asyncio.sleep(error.retry_after or STEP_S)
                    continue
                sent, sent_version = rows, version
                if event:
                    yield event
                continue
            try:
                await asyncio.wait_for(change.wait(), QUIET_S)
            except TimeoutError:
                yield b":\n\n"

    def _event(self, choice: Choice, sent: Rows, sent_version: int, owner: str) -> tuple[Rows, bytes]:
        """The current rows of a choice, and the event with the changes from ``sent`` to them; b"" if there are none.

        Raises RateLimited if the budget of the address is used up.
        """
        key = (choice, sent_version, self._lists.version)
        event = self._events.get(key)
        cost = CHANGE_COST if event is None else SHARED_CHANGE_COST
        self._ledger.charge(Resource.REQUESTS, Owner.ADDRESS, owner, time.monotonic(), cost)
        if event is None:
            rows = {row["session"]: row for row in self._lists.rows(choice)[0]}
            event = self._events[key] = rows, _encode(sent, rows, whole=sent_version < 0)
            if len(self._events) > EVENTS_KEPT:
                self._events.popitem(last=False)
        return event


class _Stream(StreamingResponse):
    """A response that calls ``ended`` once it is over, whether or not anything was sent."""

    def __init__(self, events: AsyncIterator[bytes], ended: Callable[[], None], *, gzip: bool) -> None:
        headers = HEADERS | {"content-encoding": "gzip"} if gzip else HEADERS
        super().__init__(_packed(events) if gzip else events, media_type="text/event-stream", headers=headers)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


async def _packed(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The events as one gzip member, each of them whole in what is sent up to its end (Z_SYNC_FLUSH)."""
    gzip = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + WINDOW_BITS, MEMORY_LEVEL)
    async for event in events:
        yield gzip.compress(event) + gzip.flush(zlib.Z_SYNC_FLUSH)
    yield gzip.flush()


def _encode(sent: Rows, rows: Rows, *, whole: bool) -> bytes:
    changed = [row for token, row in rows.items() if sent.get(token) != row]
    gone = [token for token in sent if token not in rows]
    if not (whole or changed or gone):
        return b""
    return b"event: rows\ndata: %s\n\n" % orjson.dumps({"whole": whole, "rows": changed, "gone": gone})
