"""The writer of a running session's recording, in one claim of one holder.

    take (every advance) -> begin_save -> [thread: arrays, complete chunks, state] -> saved -> mark -> the store, fenced

``take`` only adds to memory. A save runs in a thread. The run waits at most PATIENCE_S for it, and only once for the
same save; what a checkpoint does not commit, the next one does. Frames that cannot be written stay in memory, at most
WAITING_BYTES. Beyond that they are dropped, which is logged, counted and reported once; when the files can be written
again, the recording continues after a gap that its attributes name. After the end a worker fills the gaps from the
archive (server/archive/repair.py). A failure of the recording must never end its session.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tussle.lobby.daemon_thread import run_in_daemon_thread
from tussle.lobby.errors import LobbyError, ServerFault
from tussle.lobby.files import Files
from tussle.lobby.logs import get_logger, short
from tussle.lobby.recording_marks import RecordingMark
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.live_files import LiveState, OpenFrame, live_folder, read_state
from tussle.server.recordings.schedule import Stretch
from tussle.server.recordings.taking import FrameWriter, TakenAdvance, describe_session, take_advance
from tussle.server.simulation.simulation import Advance, SessionSpec

__all__ = ["Recorder"]

log = get_logger("server.recorder")

PATIENCE_S = 1.0
"""How long a run waits for a save [s]. A slower save continues in its thread; no checkpoint waits for it again."""

END_S = 5.0
"""How long the end of a session waits for the last save [s]."""

WAITING_BYTES = 32 * 2**20
"""Limit of the frames of one session that wait to be written [B]."""


class Recorder:
    """The recorder of one run. ``on_stopped``: called once, with the reason, when frames are not recorded."""

    def __init__(
        self,
        files: Files,
        spec: SessionSpec,
        epoch: int,
        physics: str,
        on_stopped: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.stopped = ""
        self._session = spec.session
        self._epoch = epoch
        self._writer = _Writer(files.below(live_folder(spec.session)), spec, epoch, physics)
        self._on_stopped = on_stopped
        self._reported = False
        self._taken: deque[TakenAdvance] = deque()
        self._waiting = 0
        self._drained = -1
        self._first = True
        self._topology: bytes | None = None
        self._mark: RecordingMark | None = None
        self._committed = 0
        self._failing = False
        self._slow = False
        self._saving: asyncio.Future[Any] | None = None

    def resume(self, mark: RecordingMark | None) -> None:
        """Continue at the mark of the last holder. Reads its state in a thread, again with each save until it can be
        read. If there is no such state, the recording stops."""
        self._first = False
        self._mark = mark
        if mark is None:
            self._writer.late = True
        elif mark.stopped:
            self.stopped = mark.stopped
        else:
            self._drained = mark.tick
            self._writer.resumed = mark
            self._saving = run_in_daemon_thread(self._writer.resume)

    def take(self, advance: Advance, stretches: Sequence[Stretch] = ()) -> None:
        """Add an advance. One that was taken before is ignored: after a failure ticks are computed again."""
        known = self._topology
        for one in stretches or (advance,):
            if one.topology:
                self._topology = one.topology
        if self.stopped or (advance.tick <= self._drained and not self._first):
            return
        if advance.tick - advance.ticks_run < self._drained:
            log.warning("recording_overlap", token=short(self._session), tick=advance.tick)
            return  # some of these ticks are recorded, with numbers that cannot be separated: the rest is a gap
        taken = take_advance(advance, stretches, first=self._first, topology=known)
        self._first = False
        self._writer.frames.dt = advance.dt
        self._taken.append(taken)
        self._waiting += taken.size
        if self._waiting + self._writer.waiting > WAITING_BYTES:
            self._drop()

    def rewind(self, tick: int, topology: bytes | None = None) -> None:
        """The world is at ``tick`` again, -1: before its start. What came later will be computed and taken again.
        topology: of the world there."""
        while self._taken and self._taken[-1].tick > tick:
            self._waiting -= self._taken.pop().size
        if tick < 0 and self._drained < 0:
            self._first = True
        self._topology = topology

    def begin_save(self, tick: int) -> None:
        """Begin to write everything up to ``tick``, unless a save is in progress. After a failure only what could not
        be written is tried again."""
        if self.stopped or not self._settle():
            return
        batch: list[TakenAdvance] = []
        while not self._failing and self._taken and self._taken[0].tick <= tick:
            batch.append(self._taken.popleft())
        self._waiting -= sum(taken.size for taken in batch)
        if batch:
            self._drained = batch[-1].tick
        if batch or self._failing:
            self._saving = run_in_daemon_thread(self._writer.save, batch, self._committed)

    async def saved(self, patience_s: float = PATIENCE_S) -> RecordingMark | None:
        """The mark to commit now; None if there is no other than before. Waits for the save in progress, at most
        ``patience_s``."""
        if self._saving is not None and not self._slow:
            await asyncio.wait([self._saving], timeout=patience_s)
        if not self._settle() and not self._slow:
            self._slow = True
            log.error("recording_slow", token=short(self._session), patience_s=patience_s)
        return self._mark

    def committed(self, mark: RecordingMark | None) -> None:
        """The store has this mark. Older states may be removed."""
        if mark is not None and mark.epoch == self._epoch and mark.state:
            self._committed = int(mark.state.rpartition("-")[2])

    async def finish(self, tick: int) -> RecordingMark | None:
        """The mark of a session that ends at ``tick``. What is not written within END_S is missing; the mark says
        so."""
        if self.stopped:
            return self._mark
        if self._saving is not None:
            await asyncio.wait([self._saving], timeout=END_S)
        self.begin_save(tick)
        mark = await self.saved(END_S)
        if self._taken and not self._failing:  # the first one wrote what had failed
            self.begin_save(tick)
            mark = await self.saved(END_S)
        begun = self._drained >= 0 or self._reported
        if begun and (mark is None or mark.tick < tick):
            self._stop("not_written")
        return self._mark

    def _settle(self) -> bool:
        """Take the result of a save that has ended. Returns whether the next one may begin."""
        saving = self._saving
        if saving is None:
            return True
        if not saving.done():
            return False
        self._saving, self._slow = None, False
        answer = saving.result()
        if isinstance(answer, RecordingMark):
            if self._failing:
                log.info("recording_written_again", token=short(self._session), tick=answer.tick)
            self._mark, self._failing = answer, False
        elif isinstance(answer, LobbyError):
            log.error("recording_not_possible", token=short(self._session), error=answer.message)
            self._stop(answer.reason)
        elif isinstance(answer, Exception):
            if not self._failing:
                log.error("recording_not_written", token=short(self._session), error=repr(answer))
            self._failing = True
        return True

    def _drop(self) -> None:
        """Drop the frames that wait: a gap. The recording continues once files can be written."""
        if self._drained < 0:
            self._writer.late = True
        self._taken.clear()
        self._waiting = 0
        self._report_stop("not_written")

    def _stop(self, reason: str) -> None:
        if self.stopped:
            return
        self.stopped = reason
        self._taken.clear()
        self._waiting = 0
        self._mark = replace(self._mark or RecordingMark(self._epoch, -1, 0, "", ""), stopped=reason)
        self._report_stop(reason)

    def _report_stop(self, reason: str) -> None:
        if not self._reported:
            tick = -1 if self._mark is None else self._mark.tick
            log.error("recording_stopped", token=short(self._session), tick=tick, reason=reason)
            self._on_stopped(reason)
        self._reported = True


class _Writer:
    """The thread's side of a recorder: one call at a time.

    waiting: size of the chunks that could not be written yet [B]. late: the recording begins in the middle of the
    session. resumed: the mark of the last holder, until its state has been read.
    """

    def __init__(self, files: Files, spec: SessionSpec, epoch: int, physics: str) -> None:
        self.frames = FrameWriter(spec)
        self.waiting = 0
        self.late = False
        self.resumed: RecordingMark | None = None
        self._files = files
        self._spec = spec
        self._epoch = epoch
        self._physics = physics
        self._number = 0
        self._oldest = 1
        self._state: LiveState | None = None
        self._unwritten: deque[tuple[str, bytes]] = deque()

    def resume(self) -> RecordingMark:
        """Read the last holder's state. Raises LobbyError if there is none, and what the file system raises."""
        mark = self.resumed
        assert mark is not None
        state = read_state(self._files, mark)
        attributes = state.group.attributes
        changes = attributes.get("physics_changes", [])
        if (changes[-1]["physics_id"] if changes else attributes["physics_id"]) != self._physics:
            change = {"after_tick": mark.tick, "physics_id": self._physics}
            attributes["physics_changes"] = [*changes, change]
        state.begin_epoch(self._epoch)
        self._state, self.resumed = state, None
        return mark

    def save(self, batch: list[TakenAdvance], committed: int) -> RecordingMark:
        """Add these advances, write what is complete and the state. Raises what the file system raises; then the next
        call writes the rest. Raises LobbyError when frames cannot be recorded."""
        if self.resumed is not None:
            assert not batch  # it is only called with a batch after a call that succeeded
            return self.resume()
        state = self._state = self._state or self._new_state()
        try:
            written = self._add(state, batch)
        except LobbyError:
            raise
        except Exception as error:  # some frames may be added, but not written
            raise ServerFault(f"frames cannot be recorded: {error!r}") from error
        self._unwritten += written
        self.waiting += sum(len(data) for _, data in written)
        while self._unwritten:
            path, data = self._unwritten[0]
            self._files.write(f"{self._epoch:06d}/{path}", data)
            self._unwritten.popleft()
            self.waiting -= len(data)
        number = self._number + 1
        name, data = f"state-{number}", state.encode()
        self._files.write(f"{self._epoch:06d}/{name}", data)
        self._number = number
        while self._oldest < committed - 1:  # a reader may have read the mark before this one
            self._files.delete(f"{self._epoch:06d}/state-{self._oldest}")
            self._oldest += 1
        return RecordingMark(
            self._epoch, state.tick, state.group.length, name, hashlib.sha256(data).hexdigest()
        )

    def _new_state(self) -> LiveState:
        attributes = describe_session(self._spec, self._physics, self.frames.dt)
        state = LiveState(RecordingGroup(attributes, seats=len(self._spec.seats)))
        state.begin_epoch(self._epoch)
        return state

    def _add(self, state: LiveState, batch: list[TakenAdvance]) -> list[tuple[str, bytes]]:
        """Add advances to the group, gaps between them too. Returns the files that are complete."""
        written: list[tuple[str, bytes]] = []
        run: list[TakenAdvance] = []
        end = state.tick
        for taken in batch:
            if taken.begins > end + 1 if end >= 0 else self.late:
                written += self.frames.add(state, run)
                run = []
                self._note_gap(state, end, taken)
            run.append(taken)
            end, self.late = taken.tick, False
        written += self.frames.add(state, run)
        state.tick = end
        return written

    def _note_gap(self, state: LiveState, end: int, following: TakenAdvance) -> None:
        """Note the ticks that are not recorded: a holder died after a checkpoint that was ahead of its save, or the
        files could not be written for so long that frames were dropped."""
        gaps = state.group.attributes.setdefault("gaps", [])
        gaps.append({"first_tick": end + 1, "last_tick": following.begins - 1})
        state.open = OpenFrame(topology=following.topology or state.open.topology)
        log.warning("recording_gap", token=short(self._spec.session), tick=following.begins)
