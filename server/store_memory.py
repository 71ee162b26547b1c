"""How much of its memory the store uses, and the state `full`, in which this server takes no new work.

    INFO memory, once a second --> used < 85 % of maxmemory: ok
                               '-> full, until used < 80 %: logins, lobbies and seats are refused (store_full),
                                   the streams of sessions are trimmed, running sessions continue

The rest of the memory belongs to the running sessions; their scripts write even at 100 % (scripts/parts/full.lua). A
store without `maxmemory` is never full. This module must never end a session.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tussle.lobby.errors import StoreError
from tussle.lobby.logs import get_logger
from tussle.lobby.store.store import Store
from tussle.server.metrics.telemetry import Telemetry

__all__ = ["StoreMemory"]

log = get_logger("server.store")

FULL, RELIEVED = 0.85, 0.80
"""Shares of `maxmemory` at which the store becomes full and stops being full."""

RETRY_S = 5.0
"""``retry_after`` of a refusal [s]."""

EVENTS_KEPT, TELEMETRY_KEPT = 2000, 300
"""Entries that a session's streams keep in a full store. A client that missed more events receives the whole view."""

SESSIONS_TRIMMED = 500
"""Sessions of each index that one call of ``look`` trims: the oldest."""


class StoreMemory:
    """The memory of the store. The server calls ``look`` once a second. ``on_change``: called with the new ``full``."""

    def __init__(self, store: Store, telemetry: Telemetry, on_change: Callable[[bool], None]) -> None:
        self.full = False
        self._store = store
        self._telemetry = telemetry
        self._on_change = on_change

    def admit(self) -> None:
        """Raises StoreError ``store_full`` while the store is full. Call it before new work: a login, a lobby."""
        if self.full:
            raise StoreError(
                "the store is almost full: running sessions continue, new ones are refused for now",
                code="store_full",
                retry_after=RETRY_S,
            )

    async def look(self) -> None:
        """Read the store's memory; while it is full, trim the streams of sessions. Raises StoreError."""
        found = dict(re.findall(r"^(used_memory|maxmemory):(\d+)", await self._info(), re.MULTILINE))
        used, limit = int(found.get("used_memory", 0)), int(found.get("maxmemory", 0))
        full = limit > 0 and used >= limit * (RELIEVED if self.full else FULL)
        self._telemetry.store_used.set(used)
        self._telemetry.store_limit.set(limit)
        self._telemetry.store_full.set(full)
        self._telemetry.readings.most_kept = TELEMETRY_KEPT if full else None
        if full != self.full:
            self.full = full
            log.warning("store_full" if full else "store_relieved", used=used, limit=limit)
            self._on_change(full)
        if full:
            await self._trim()

    async def _info(self) -> str:
        return str(await self._store.call("INFO", "memory"))

    async def _trim(self) -> None:
        keys = self._store.keys
        indexes = await self._store.batch(
            [("ZRANGE", index, 0, SESSIONS_TRIMMED - 1) for index in (keys.ended, keys.running)]
        )
        await self._store.batch(
            [
                ("XTRIM", stream, "MAXLEN", "~", kept)
                for tokens in indexes
                for token in tokens
                for stream, kept in (
                    (keys.telemetry(token), TELEMETRY_KEPT),
                    (keys.events(token), EVENTS_KEPT),
                )
            ]
        )
