"""The observers (spectators) of each session: a list in the store, and its broadcast to the viewers on this server.

    watching ---.                             .--> the store: a list whose entries expire unless renewed
                +--> keep: one task, rounds --+
    refresh ----'                             '--> audience: the names, sent to every viewer on this server

The list is not part of the numbered events: only its current content matters. A server that dies renews nothing, and
the entries of its observers expire after LIFE_MS. This module must never block a connection.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from tussle.lobby.connections import Connections
from tussle.lobby.errors import LobbyError, NotFound, StoreError
from tussle.lobby.logs import get_logger, short
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import ObserversMessage, encode
from tussle.server.fanout.audiences import Audiences
from tussle.server.fanout.framing import text_frame

__all__ = ["Observers"]

log = get_logger("server.observers")

ROUND_S = 0.5
"""Pause between two rounds. All observers that connect within one round cause one message."""

RENEW_S = 10.0
LIFE_MS = 30_000
"""An observer's entry expires when its server has not renewed it for this long."""


class Observers:
    """The observers on this server. A list entry is a player's id and name, separated by a blank, as in the store."""

    def __init__(self, connections: Connections, views: Views, audiences: Audiences) -> None:
        self._connections = connections
        self._views = views
        self._audiences = audiences
        self._present: dict[str, Counter[str]] = {}
        self._departed: dict[str, set[str]] = {}
        self._changed: set[str] = set()
        self._to_read: set[str] = set()
        self._nonempty: set[str] = set()
        self._wake = asyncio.Event()

    @contextmanager
    def watching(self, session: str, player: str, name: str) -> Iterator[None]:
        """List an observer while the context lasts: for the life of its connection."""
        entry = f"{player} {name}"
        present = self._present.setdefault(session, Counter())
        present[entry] += 1
        self._mark_changed(session)
        try:
            yield
        finally:
            present = self._present.setdefault(session, Counter())
            present[entry] -= 1
            if present[entry] <= 0:
                del present[entry]
                self._departed.setdefault(session, set()).add(entry)
                self._mark_changed(session)

    def _mark_changed(self, session: str) -> None:
        self._changed.add(session)
        self._wake.set()

    def refresh(self, session: str) -> None:
        """Read the list in the next round and send it: it may have changed, or a new viewer has not seen it."""
        self._to_read.add(session)
        self._wake.set()

    def forget(self, session: str) -> None:
        """Stop reading the list of a session that nobody on this server watches. Departures are still written."""
        self._nonempty.discard(session)
        self._to_read.discard(session)

    async def keep(self) -> None:
        """Write and read the lists that changed, and renew the entries of this server, until cancelled."""
        renewed = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(max(0.0, renewed + RENEW_S - time.monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                renewed = time.monotonic()
                self._changed |= self._present.keys()
                self._to_read |= self._nonempty
            self._wake.clear()
            for session in list(self._changed):
                await self._attempt(session, self._write_list)
            for session in list(self._to_read):
                await self._attempt(session, self._send_list)
            await asyncio.sleep(ROUND_S)

    async def _attempt(self, session: str, work: Callable[[str], Awaitable[None]]) -> None:
        try:
            await work(session)
        except NotFound:  # the keys of the session have expired
            for known in (self._changed, self._to_read):
                known.discard(session)
            self._departed.pop(session, None)
            self._nonempty.discard(session)
            if not self._present.get(session):
                self._present.pop(session, None)
        except LobbyError as error:  # the next round tries again
            log.warning("store_waiting", work="observers", token=short(session), error=error.message)
            self._wake.set()

    async def _write_list(self, session: str) -> None:
        present, departed = list(self._present.get(session, ())), self._departed.pop(session, set())
        self._changed.discard(session)
        try:
            await self._connections.keep_observers(
                session, present, sorted(departed.difference(present)), life_ms=LIFE_MS
            )
        except StoreError:
            self._departed.setdefault(session, set()).update(departed)
            self._changed.add(session)
            raise
        if not self._present.get(session):
            self._present.pop(session, None)

    async def _send_list(self, session: str) -> None:
        self._to_read.discard(session)
        try:
            now = await self._views.observers(session)
        except StoreError:
            self._to_read.add(session)
            raise
        if now.count:
            self._nonempty.add(session)
        else:
            self._nonempty.discard(session)
        self._audiences.show_observers(session, text_frame(encode(ObserversMessage(now))))
