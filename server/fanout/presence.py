"""Lists of who is present, one for each session or room: kept in the store, and sent to those on this server.

    present ----.                             .--> write: a list in the store whose entries expire unless renewed
                +--> keep: one task, rounds --+
    refresh ----'                             '--> show: read the list and send it to everybody on this server

A list is not part of the numbered events: only its current content matters. A server that dies renews nothing, and its
entries expire after LIFE_MS. This module must never block a connection.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from tussle.lobby.errors import LobbyError, NotFound, StoreError
from tussle.lobby.logs import get_logger, short

__all__ = ["LIFE_MS", "PresenceLists"]

log = get_logger("server.presence")

ROUND_S = 0.5
"""Pause between two rounds. All arrivals within one round cause one message."""

RENEW_S = 10.0
LIFE_MS = 30_000
"""An entry expires when its server has not renewed it for this long."""

Write = Callable[[str, Sequence[str], Sequence[str]], Awaitable[object]]
Show = Callable[[str], Awaitable[bool]]


class PresenceLists:
    """The lists of this server. An entry is a player's id and name, separated by a blank, as in the store.

    write: called with the session, those present on this server and those that left it. Raises StoreError, and NotFound
    when the session's keys have expired. show: reads and sends a list; returns whether it has an entry.
    """

    def __init__(self, write: Write, show: Show, *, work: str) -> None:
        """``work``: what the log calls it."""
        self._write = write
        self._show = show
        self._work = work
        self._present: dict[str, Counter[str]] = {}
        self._departed: dict[str, set[str]] = {}
        self._changed: set[str] = set()
        self._to_read: set[str] = set()
        self._nonempty: set[str] = set()
        self._wake = asyncio.Event()

    @contextmanager
    def watching(self, session: str, player: str, name: str) -> Iterator[None]:
        """List a player while the context lasts: for the life of its connection."""
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
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, renewed + RENEW_S - time.monotonic())):
                    await self._wake.wait()
            if time.monotonic() >= renewed + RENEW_S:  # also when lists change in every round
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
            log.warning("store_waiting", work=self._work, token=short(session), error=error.message)
            self._wake.set()

    async def _write_list(self, session: str) -> None:
        present, departed = list(self._present.get(session, ())), self._departed.pop(session, set())
        self._changed.discard(session)
        try:
            await self._write(session, present, sorted(departed.difference(present)))
        except StoreError:
            self._departed.setdefault(session, set()).update(departed)
            self._changed.add(session)
            raise
        if not self._present.get(session):
            self._present.pop(session, None)

    async def _send_list(self, session: str) -> None:
        self._to_read.discard(session)
        try:
            nonempty = await self._show(session)
        except StoreError:
            self._to_read.add(session)
            raise
        if nonempty:
            self._nonempty.add(session)
        else:
            self._nonempty.discard(session)
