"""Makes the final recording of each session that is over.

    sessions:ended -> mark without "final" -> T.live -> T.zarr -> lists -> publish_recording.lua -> T.live is removed
                                           '-> it lacks ticks: child process (server/archive/repair.py) -> T.zarr

Any number of workers may run: two that make the same recording write equal bytes, and the store takes one of them. A
recording that lacks ticks is made by one worker, which holds a lease: what it can fill depends on its physics. A worker
that dies leaves a session for the next pass. This module must never touch a session that is not over.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import asdict

import msgspec

from tussle.lobby.errors import NotFound, ProtocolError, StoreError
from tussle.lobby.ids import new_secret
from tussle.lobby.launch import child_environment, module_command
from tussle.lobby.logs import get_logger, short
from tussle.lobby.recording_marks import RecordingMark, RecordingMarks
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.server.recordings.recordings import Recordings
from tussle.worker.cleanup import Cleanup
from tussle.worker.recording_listing import RecordingListing
from tussle.worker.stopping import wait_for_stop

__all__ = ["Compaction", "RepairOutcome"]

log = get_logger("worker.compaction")

POLL_S = 1.0
"""Time between two passes over the sessions that are over [s]."""

PAGE = 1000
"""Sessions that one call reads, the newest first."""

KEEP_S = 60.0
"""Longest time between two postponements of the expiry of the sessions that wait for a repair [s]."""

REPAIR_S = 600.0
"""Time that one repair may take [s]. After that the recording is made without the missing ticks."""

TRIES = 3
"""Repairs that are tried while the archive is not complete: its end is written after that of the session."""

AGAIN = ("not_archived", "damaged_archive", "recordings_unreachable", "died")
"""Failures of a repair after which it is tried again."""


class RepairOutcome(msgspec.Struct, frozen=True):
    """The answer of the child process. code: "" if the group is written."""

    sha256: str = ""
    code: str = ""
    message: str = ""


class Compaction:
    """The compaction in one worker."""

    def __init__(self, store: Store, settings: Settings, cleanup: Cleanup) -> None:
        self._store = store
        self._settings = settings
        self._cleanup = cleanup
        self._marks = RecordingMarks(store)
        self._recordings = Recordings(settings.recordings_address)
        self._listing = RecordingListing(store, settings)
        self._done: set[str] = set()
        self._failing: set[str] = set()
        self._lacking: dict[str, int] = {}
        """Sessions whose recordings lack ticks -> repairs that were tried."""
        self._name = new_secret()[:16]
        self._keep_at = -math.inf

    async def run(self, stop: asyncio.Event) -> None:
        """Make a pass every POLL_S until ``stop``. A repair takes longer than a pass, and delays none."""
        async with asyncio.TaskGroup() as group:
            repairs = group.create_task(self._run_repairs(stop), name="recording-repairs")
            while not stop.is_set():
                try:
                    await self.run_pass()
                except StoreError as error:
                    log.warning("compaction_waiting", error=error.message)
                await wait_for_stop(stop, POLL_S)
            repairs.cancel()

    async def _run_repairs(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.repair_pass()
            except StoreError as error:
                log.warning("repairs_waiting", error=error.message)
            await wait_for_stop(stop, POLL_S)

    async def run_pass(self) -> int:
        """Make the recordings that are missing, but for those that lack ticks. Returns how many were published. Raises
        StoreError."""
        await self._keep_lacking()
        published, seen = 0, set[str]()
        while True:
            page = await self._store.call(
                "ZRANGE", self._store.keys.ended, len(seen), len(seen) + PAGE - 1, "REV"
            )
            for session in page:
                if session not in self._done and session not in seen and session not in self._lacking:
                    published += await self._finish(session)
            seen.update(page)
            if len(page) < PAGE:
                break
        self._done &= seen
        self._failing &= seen
        return published

    async def _keep_lacking(self) -> None:
        """Postpone the expiry of the sessions that wait for a repair: it, and those before it, may take longer."""
        now = time.monotonic()
        if self._lacking and now >= self._keep_at:
            self._keep_at = now + min(KEEP_S, self._settings.expiry_s / 4)
            for session in list(self._lacking):
                await self._cleanup.expire(session)

    async def repair_pass(self) -> int:
        """Make the recordings that lack ticks, as far as the last pass found them. Returns how many were published.
        Raises StoreError."""
        return sum([await self._repair(session) for session in list(self._lacking)])

    async def _finish(self, session: str) -> bool:
        mark = await self._marks.load(session)
        if mark is None or mark.final or not (mark.state or mark.stopped):
            self._done.add(session)
            return False
        try:
            if await asyncio.to_thread(self._recordings.lacks, session, mark):
                self._lacking[session] = 0
                return False
            return await self._compact(session, mark)
        except OSError as error:  # a full disk, an unreachable object store: the next pass tries again
            await self._postpone(session, str(error))
            return False

    async def _compact(self, session: str, mark: RecordingMark) -> bool:
        """Make the recording of what the holders wrote. Raises OSError."""
        try:
            digest = await asyncio.to_thread(self._recordings.compact, session, mark)
        except (NotFound, ProtocolError) as error:
            self._done.add(session)
            log.error("recording_lost", token=short(session), code=error.reason, error=error.message)
            return False
        return await self._publish(session, mark, digest)

    async def _publish(self, session: str, mark: RecordingMark, digest: str) -> bool:
        await self._listing.add(session)  # before: a worker that dies in between must not leave it unlisted
        published = await self._marks.publish(session, mark, digest)
        if published:
            await asyncio.to_thread(self._recordings.drop_live, session)
        self._done.add(session)
        await self._cleanup.expire(session)  # nothing waits for it any more
        log.info("recording_finished", token=short(session), frames=mark.length, published=published)
        return published

    async def _postpone(self, session: str, error: str) -> None:
        if session not in self._failing:
            log.error("recording_not_finished", token=short(session), error=error)
        self._failing.add(session)
        await self._cleanup.expire(session)  # the mark must outlive the failure

    async def _repair(self, session: str) -> bool:
        mark = await self._marks.load(session)
        if mark is None or mark.final:
            self._done.add(session)
            del self._lacking[session]
            return False
        if not await self._lease(session):
            return False  # another worker makes it
        try:
            outcome = await self._run_child(session, mark)
        except OSError as error:  # no process can be started now
            await self._postpone(session, str(error))
            return False
        self._lacking[session] += 1
        again = outcome.code in AGAIN and self._lacking[session] < TRIES
        try:
            if not outcome.code:
                published = await self._publish(session, mark, outcome.sha256)
            elif again or outcome.code == "recordings_unreachable":
                await self._postpone(session, outcome.message)
                return False
            else:
                log.error(
                    "recording_not_repaired", token=short(session), code=outcome.code, error=outcome.message
                )
                published = await self._compact(session, mark)
        except OSError as error:
            await self._postpone(session, str(error))
            return False
        del self._lacking[session]
        return published

    async def _lease(self, session: str) -> bool:
        """Take the lease of a repair, or keep it. It outlives the child process."""
        key, life = self._store.keys.recording_repair(session), int(2000 * REPAIR_S)
        taken = await self._store.call("SET", key, self._name, "NX", "PX", life)
        if taken is None and await self._store.call("GET", key) != self._name:
            return False
        await self._store.call("PEXPIRE", key, life)
        return True

    async def _run_child(self, session: str, mark: RecordingMark) -> RepairOutcome:
        settings = self._settings
        child = await asyncio.create_subprocess_exec(
            *module_command(
                "server.archive.repair", session, msgspec.json.encode(asdict(mark)).decode(),
            ),
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
            env={
                **child_environment(), "RECORDINGS_URL": settings.recordings_address,
                "ARCHIVE_URL": settings.archive_address,
            },
        )  # fmt: skip
        assert child.stdout is not None
        try:
            async with asyncio.timeout(REPAIR_S):
                data = await child.stdout.read()
                await child.wait()
            return msgspec.json.decode(data, type=RepairOutcome)
        except TimeoutError:
            return RepairOutcome(code="too_slow", message=f"it took longer than {REPAIR_S:g} s")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return RepairOutcome(code="died", message=f"the process ended with {child.returncode}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
