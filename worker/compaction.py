"""Makes the final recording of each session that is over.

    sessions:ended -> mark without "final" -> T.live -> T.zarr -> publish_recording.lua -> T.live is removed

Any number of workers may run: two that make the same recording write equal bytes, and the store takes one of them. A
worker that dies leaves a session for the next pass. This module must never touch a session that is not over.
"""

from __future__ import annotations

import asyncio

from tussle.lobby.errors import NotFound, ProtocolError, StoreError
from tussle.lobby.logs import get_logger, short
from tussle.lobby.recording_marks import RecordingMarks
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.server.recordings.recordings import Recordings
from tussle.worker.cleanup import Cleanup
from tussle.worker.stopping import wait_for_stop

__all__ = ["Compaction"]

log = get_logger("worker.compaction")

POLL_S = 1.0
"""Time between two passes over the sessions that are over [s]."""

PAGE = 1000
"""Sessions that one call reads, the newest first."""


class Compaction:
    """The compaction in one worker."""

    def __init__(self, store: Store, settings: Settings, cleanup: Cleanup) -> None:
        self._store = store
        self._cleanup = cleanup
        self._marks = RecordingMarks(store)
        self._recordings = Recordings(settings.recordings_address)
        self._done: set[str] = set()
        self._failing: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Make a pass every POLL_S until ``stop``."""
        while not stop.is_set():
            try:
                await self.run_pass()
            except StoreError as error:
                log.warning("compaction_waiting", error=error.message)
            await wait_for_stop(stop, POLL_S)

    async def run_pass(self) -> int:
        """Make the recordings that are missing. Returns how many were published. Raises StoreError."""
        published, seen = 0, set[str]()
        while True:
            page = await self._store.call(
                "ZRANGE", self._store.keys.ended, len(seen), len(seen) + PAGE - 1, "REV"
            )
            for session in page:
                if session not in self._done and session not in seen:
                    published += await self._finish(session)
            seen.update(page)
            if len(page) < PAGE:
                break
        self._done &= seen
        self._failing &= seen
        return published

    async def _finish(self, session: str) -> bool:
        mark = await self._marks.load(session)
        if mark is None or mark.final or not mark.state:
            self._done.add(session)
            return False
        try:
            digest = await asyncio.to_thread(self._recordings.compact, session, mark)
            published = await self._marks.publish(session, mark, digest)
            if published:
                await asyncio.to_thread(self._recordings.drop_live, session)
        except (NotFound, ProtocolError) as error:
            self._done.add(session)
            log.error("recording_lost", token=short(session), code=error.reason, error=error.message)
            return False
        except OSError as error:  # a full disk, an unreachable object store: the next pass tries again
            if session not in self._failing:
                log.error("recording_not_finished", token=short(session), error=str(error))
            self._failing.add(session)
            await self._cleanup.expire(session)  # the mark must outlive the failure
            return False
        self._done.add(session)
        await self._cleanup.expire(session)  # nothing waits for it any more
        log.info("recording_finished", token=short(session), frames=mark.length, published=published)
        return published
