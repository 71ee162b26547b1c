"""Removes archived sessions that nobody wrote to for ARCHIVE_DAYS.

A session that the store knows and that has not ended is kept, whatever the age of its files. This module must never
remove a folder that is not named like a session.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import fsspec

from tussle.lobby.errors import StoreError
from tussle.lobby.ids import is_session_token
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.logs import get_logger, short
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.worker.stopping import wait_for_stop

__all__ = ["Retention"]

log = get_logger("worker.retention")

INTERVAL_S = 3600.0
DAY_S = 86_400.0


class Retention:
    """The archive's retention in one worker. Any number may run at once. ``clock``: the time [s since 1970]."""

    def __init__(self, store: Store, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._days = settings.archive_days
        self._address = settings.archive_address
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """One pass at start and every INTERVAL_S until ``stop``. ARCHIVE_DAYS=0 keeps everything."""
        while not stop.is_set():
            if self._days > 0:
                try:
                    removed = await self.run_pass()
                except (StoreError, OSError, ValueError, ImportError) as error:
                    log.warning("retention_failed", error=str(error))
                else:
                    if removed:
                        log.info("archive_pruned", sessions=removed)
            await wait_for_stop(stop, INTERVAL_S)

    async def run_pass(self) -> int:
        """Remove what is too old. Returns the number of sessions.

        Raises StoreError, or what the file system raises; the sessions removed so far stay removed.
        """
        removed = 0
        for session in await asyncio.to_thread(self._find_old):
            status = await self._store.call("HGET", self._store.keys.session(session), "status")
            if status is not None and status not in ENDED:
                continue
            await asyncio.to_thread(self._remove, session)
            log.info("archived_session_removed", token=short(session))
            removed += 1
        return removed

    def _find_old(self) -> list[str]:
        """Sessions whose newest file is older than the limit. A file without a known time counts as new."""
        files, root = fsspec.core.url_to_fs(self._address)
        if not files.exists(root):
            return []
        now, old = self._clock(), []
        for folder in files.ls(root, detail=False):
            session = folder.rstrip("/").rsplit("/", 1)[-1]
            if not is_session_token(session):
                continue
            files.invalidate_cache()
            times = [_written_at(entry, now) for entry in files.ls(folder, detail=True)]
            if times and now - max(times) > self._days * DAY_S:
                old.append(session)
        return sorted(old)

    def _remove(self, session: str) -> None:
        files, root = fsspec.core.url_to_fs(self._address)
        with contextlib.suppress(FileNotFoundError):  # another worker removed it
            files.rm(f"{root}/{session}", recursive=True)


def _written_at(entry: Mapping[str, Any], now: float) -> float:
    """When a file was written [s since 1970]; ``now`` if its file system does not say."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = entry.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return now
