"""Removes archives that were not written to for ARCHIVE_DAYS, and recordings that were not for RECORDINGS_DAYS.

The bookmarks and named views of a recording are deleted with it, and so is its row in lists. An uploaded recording is
removed RECORDINGS_DAYS after its last change, and a file of uploads once no upload has it: of versions that were
replaced, and of changes that were refused. A session that the store knows and that has not ended is kept, whatever the
age of its files, and so is one of which a fork is being made. This module must never remove a folder that is not named
like a session.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import fsspec

from tussle.lobby.errors import LobbyError, NotFound
from tussle.lobby.files import Files
from tussle.lobby.forks import Forks
from tussle.lobby.ids import is_session_token
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.logs import get_logger, short
from tussle.lobby.replay_rooms import ReplayRooms
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.uploads import Upload, Uploads
from tussle.server.recordings.uploaded import BLOBS, blobs_of, names_of
from tussle.worker.recording_listing import RecordingListing
from tussle.worker.stopping import wait_for_stop

__all__ = ["Retention"]

log = get_logger("worker.retention")

INTERVAL_S = 3600.0
DAY_S = 86_400.0

UNUSED_S = 7200.0
"""A file that no upload has is removed after this time [s]. One that an upload is about to use is written again."""


class Retention:
    """The retention in one worker. Any number may run at once. ``clock``: the time [s since 1970]."""

    def __init__(self, store: Store, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._forks = Forks(store)
        self._kept = (
            (settings.archive_address, settings.archive_days, ("",)),
            (settings.recordings_address, settings.recordings_days, (".zarr", ".live")),
        )
        self._clock = clock
        self._rooms = ReplayRooms(store, settings)
        self._uploads = Uploads(store, settings)
        self._listing = RecordingListing(store, settings)
        self._uploads_days = settings.recordings_days
        self._blobs = Files(f"{settings.recordings_address.rstrip('/')}/{BLOBS}")

    async def run(self, stop: asyncio.Event) -> None:
        """One pass at start and every INTERVAL_S until ``stop``. 0 days keep everything."""
        while not stop.is_set():
            try:
                removed = await self.run_pass()
            except Exception as error:  # noqa: BLE001 (file systems raise many kinds)
                log.warning("retention_failed", error=str(error))
            else:
                if removed:
                    log.info("archive_pruned", sessions=removed)
            await wait_for_stop(stop, INTERVAL_S)

    async def run_pass(self) -> int:
        """Remove what is too old. Returns the number of archived sessions and recordings.

        Raises StoreError, or what the file system raises; the sessions removed so far stay removed.
        """
        removed = 0
        for address, days, endings in self._kept:
            if days <= 0:
                continue
            for session, folder in await asyncio.to_thread(self._find_old, address, days, endings):
                status = await self._store.call("HGET", self._store.keys.session(session), "status")
                if status is not None and status not in ENDED:
                    continue
                if await self._forks.pinned(session):  # it is being read; the next pass removes it
                    continue
                await asyncio.to_thread(self._remove, address, folder)
                if folder != session:
                    await self._listing.remove(session)
                    await self._rooms.forget_marks(session)
                log.info("archived_session_removed", token=short(session))
                removed += 1
        await self._listing.prune()
        return removed + await self._prune_uploads()

    async def _prune_uploads(self) -> int:
        """Remove the uploads that are too old, and the files that none has. Returns the number of uploads."""
        removed = 0
        limit = round((self._clock() - self._uploads_days * DAY_S) * 1000)
        old = [upload for upload in await self._uploads.all() if upload.changed_at <= limit]
        for upload in old if self._uploads_days > 0 else ():
            with contextlib.suppress(NotFound):
                if await self._uploads.remove(upload.token, "", not_after=limit):
                    await self._rooms.forget_marks(upload.token)
                    removed += 1
        await asyncio.to_thread(self._remove_unused, await self._uploads.all())
        return removed

    def _remove_unused(self, uploads: list[Upload]) -> None:
        used: set[str] = set()
        for upload in uploads:
            try:
                used |= names_of(self._blobs, upload.sha256)
            except LobbyError as error:  # without its table it is not known what it has
                log.warning("upload_damaged", token=short(upload.token), error=str(error))
                return
        for path, name in list(blobs_of(self._blobs)):
            if name not in used and self._clock() - self._blobs.written(path) > UNUSED_S:
                self._blobs.delete(path)

    def _find_old(self, address: str, days: float, endings: tuple[str, ...]) -> list[tuple[str, str]]:
        """Session and folder of what has no file that is newer than the limit. A file without a known time counts as
        new."""
        files, root = fsspec.core.url_to_fs(address)
        if not files.exists(root):
            return []
        now, old = self._clock(), []
        for path in files.ls(root, detail=False):
            folder = path.rstrip("/").rsplit("/", 1)[-1]
            session, dot, ending = folder.partition(".")
            if not is_session_token(session) or dot + ending not in endings:
                continue
            files.invalidate_cache()
            # The metadata of a final recording is written last; what holders wrote is in folders of their own.
            deep = ending == "live"
            entries = files.find(path, detail=True).values() if deep else files.ls(path, detail=True)
            times = [_written_at(entry, now) for entry in entries]
            if times and now - max(times) > days * DAY_S:
                old.append((session, folder))
        return sorted(old)

    def _remove(self, address: str, folder: str) -> None:
        files, root = fsspec.core.url_to_fs(address)
        with contextlib.suppress(FileNotFoundError):  # another worker removed it
            files.rm(f"{root}/{folder}", recursive=True)


def _written_at(entry: Mapping[str, Any], now: float) -> float:
    """When a file was written [s since 1970]; ``now`` if its file system does not say."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = entry.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return now
