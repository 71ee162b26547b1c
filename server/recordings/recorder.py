"""The writer of a running session's recording, in one claim of one holder.

    take (every advance) -> begin_save -> [thread: arrays, complete chunks, state] -> saved -> mark -> the store, fenced

``take`` only adds to memory. A save runs in a thread. The run waits at most PATIENCE_S for it, and only once for the
same save; what a checkpoint does not commit, the next one does. Frames that cannot be written stay in memory, at most
WAITING_BYTES; beyond that the recording stops, which is logged, counted and part of the mark. A failure of the
recording must never end its session.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from tussle.lobby.daemon_thread import run_in_daemon_thread
from tussle.lobby.errors import LobbyError, ProtocolError, ServerFault
from tussle.lobby.logs import get_logger, short
from tussle.lobby.recording_marks import RecordingMark
from tussle.lobby.wire.frames import decode_frame, decode_topology
from tussle.server.recordings.files import Files
from tussle.server.recordings.frame_store import Array
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.live_files import LiveState, OpenFrame, live_folder, read_state
from tussle.server.recordings.schedule import Stretch, is_recorded, stride_of
from tussle.server.recordings.stacking import ROUNDING_M, row_counts, stack_frames
from tussle.server.simulation.simulation import Advance, SessionSpec

__all__ = ["Recorder"]

log = get_logger("server.recorder")

PATIENCE_S = 1.0
"""How long a run waits for a save [s]. A slower save continues in its thread; no checkpoint waits for it again."""

END_S = 5.0
"""How long the end of a session waits for the last save [s]."""

WAITING_BYTES = 32 * 2**20
"""Limit of the frames of one session that wait to be written [B]."""

MAX_EVENTS_BYTES = 64 * 2**20
"""Limit of the events of one recording [B]; later ones are counted, not kept."""

NOT_RECORDED = ("actions",)
"""Fields of events that say what a player may do next; half of all bytes of a duel's events. Not recorded."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """One advance: its stretches, with frames where they are recorded, and its events."""

    tick: int
    stretches: tuple[tuple[Stretch, bool], ...]
    events: list[tuple[int, str, dict[str, Any]]]
    size: int


class Recorder:
    """The recorder of one run. ``on_stopped``: called once, with the reason, when the recording stops."""

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
        self._taken: deque[_Taken] = deque()
        self._waiting = 0
        self._drained = -1
        self._first = True
        self._mark: RecordingMark | None = None
        self._committed = 0
        self._failing = False
        self._slow = False
        self._saving: asyncio.Future[Any] | None = None

    def resume(self, mark: RecordingMark | None) -> None:
        """Continue at the mark of the last holder. Reads its state in a thread. If that fails, the recording stops."""
        self._first = False
        self._mark = mark
        if mark is None:
            self._writer.begin_late()
        elif mark.stopped:
            self.stopped = mark.stopped
        else:
            self._drained = mark.tick
            self._saving = run_in_daemon_thread(self._writer.resume, mark)

    def take(self, advance: Advance, stretches: Sequence[Stretch] = ()) -> None:
        """Add an advance. One that was taken before is ignored: after a failure ticks are computed again."""
        if self.stopped or (advance.tick <= self._drained and not self._first):
            return
        if advance.tick - advance.ticks_run < self._drained:
            self._stop(
                "server_error"
            )  # some of these ticks are recorded, with numbers that cannot be separated
            return
        stride = stride_of(advance.dt)
        kept: list[tuple[Stretch, bool]] = []
        for one in stretches or (Stretch.of(advance),):
            recorded = self._first or is_recorded(one.tick, one.phase, stride)
            kept.append((one if recorded else msgspec.structs.replace(one, frame=b""), recorded))
        self._first = False
        self._writer.dt = advance.dt
        size = sum(len(one.frame) + len(one.topology or b"") for one, _ in kept) + 1000 * len(advance.events)
        self._taken.append(_Taken(advance.tick, tuple(kept), advance.events, size))
        self._waiting += size
        if self._waiting + self._writer.waiting > WAITING_BYTES:
            self._stop("not_written")

    def rewind(self, tick: int, topology: bytes | None = None) -> None:
        """The world is at ``tick`` again, -1: before its start. What came later will be computed and taken again.
        topology: of the world there."""
        while self._taken and self._taken[-1].tick > tick:
            self._waiting -= self._taken.pop().size
        if tick < 0 and self._drained < 0:
            self._first = True
        self._writer.topology = topology

    def begin_save(self, tick: int) -> None:
        """Begin to write everything up to ``tick``, unless a save is in progress."""
        if self.stopped or not self._settle():
            return
        batch: list[_Taken] = []
        while self._taken and self._taken[0].tick <= tick:
            batch.append(self._taken.popleft())
        self._waiting -= sum(taken.size for taken in batch)
        if batch or self._failing:
            self._drained = max(self._drained, tick)
            self._saving = run_in_daemon_thread(self._writer.save, batch, self._drained, self._committed)

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
        """The mark of a session that ends at ``tick``. What is not written within END_S is lost; the mark says so."""
        if self.stopped:
            return self._mark
        if self._saving is not None:
            await asyncio.wait([self._saving], timeout=END_S)
        self.begin_save(tick)
        mark = await self.saved(END_S)
        if self._drained >= 0 and (mark is None or mark.tick < tick):
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

    def _stop(self, reason: str) -> None:
        if self.stopped:
            return
        self.stopped = reason
        self._taken.clear()
        self._waiting = 0
        self._mark = replace(self._mark or RecordingMark(self._epoch, -1, 0, "", ""), stopped=reason)
        log.error("recording_stopped", token=short(self._session), tick=self._mark.tick, reason=reason)
        self._on_stopped(reason)


class _Writer:
    """The thread's side of a recorder: one call at a time."""

    def __init__(self, files: Files, spec: SessionSpec, epoch: int, physics: str) -> None:
        self.dt = 0.0
        self.topology: bytes | None = None
        self.waiting = 0
        """Size of the chunks that could not be written yet [B]."""
        self._files = files
        self._spec = spec
        self._epoch = epoch
        self._physics = physics
        self._number = 0
        self._oldest = 1
        self._late = False
        self._state: LiveState | None = None
        self._unwritten: deque[tuple[str, bytes]] = deque()

    def begin_late(self) -> None:
        """The recording begins in the middle of the session."""
        self._late = True

    def resume(self, mark: RecordingMark) -> RecordingMark:
        """Read the last holder's state. Raises LobbyError if it cannot be used."""
        try:
            state = read_state(self._files, mark)
        except LobbyError:
            raise
        except Exception as error:  # without the state nothing may be written
            raise ProtocolError(f"the state cannot be read: {error}", code="damaged_recording") from error
        attributes = state.group.attributes
        changes = attributes.get("physics_changes", [])
        if (changes[-1]["physics_id"] if changes else attributes["physics_id"]) != self._physics:
            change = {"after_tick": mark.tick, "physics_id": self._physics}
            attributes["physics_changes"] = [*changes, change]
        state.begin_epoch(self._epoch)
        self._state = state
        return mark

    def save(self, batch: list[_Taken], tick: int, committed: int) -> RecordingMark:
        """Add these advances, write what is complete and the state. Raises what the file system raises; then the next
        call writes the rest. Raises LobbyError when frames cannot be recorded."""
        state = self._state = self._state or self._new_state()
        try:
            written = self._add(state, batch)
        except LobbyError:
            raise
        except Exception as error:  # some frames may be added, but not written
            raise ServerFault(f"frames cannot be recorded: {error!r}") from error
        self._unwritten += written
        self.waiting += sum(len(data) for _, data in written)
        state.tick = tick
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
        return RecordingMark(self._epoch, tick, state.group.length, name, hashlib.sha256(data).hexdigest())

    def _new_state(self) -> LiveState:
        spec = self._spec
        stride = stride_of(self.dt)
        attributes = {
            "session": spec.session,
            "mode": spec.mode,
            "seats": msgspec.to_builtins(spec.seats),
            "spec": msgspec.to_builtins(spec),
            "physics_id": self._physics,
            "dt": self.dt,
            "stride": stride,
            "rounding_m": ROUNDING_M,
            "frame_precision": spec.frame_precision,
        }
        state = LiveState(RecordingGroup(attributes, seats=len(spec.seats)))
        state.begin_epoch(self._epoch)
        return state

    def _note_gap(self, state: LiveState, first: _Taken) -> None:
        """Note the ticks that no holder recorded: a holder died after a checkpoint that was ahead of its save."""
        begins = first.stretches[0][0].tick - first.stretches[0][0].ticks_run + 1
        if begins > state.tick + 1 if state.tick >= 0 else self._late:
            gaps = state.group.attributes.setdefault("gaps", [])
            gaps.append({"first_tick": state.tick + 1, "last_tick": begins - 1})
            state.open = OpenFrame(topology=self.topology or state.open.topology)
            log.warning("recording_gap", token=short(self._spec.session), tick=begins)
        self._late = False

    def _add(self, state: LiveState, batch: list[_Taken]) -> list[tuple[str, bytes]]:
        """Add advances to the group. Returns the files that are complete."""
        written: list[tuple[str, bytes]] = []
        frames: list[tuple[Stretch, OpenFrame]] = []
        if batch:
            self._note_gap(state, batch[0])
        known = state.topology
        for taken in batch:
            for stretch, recorded in taken.stretches:
                _join(state.open, stretch)
                if not recorded:
                    continue
                topology = state.open.topology
                if topology is not None and _content(topology) != known:
                    written += self._append(state, frames)
                    frames, known = [], _content(topology)
                else:
                    state.open.topology = None
                frames.append((stretch, state.open))
                state.open = OpenFrame()
            for tick, kind, data in taken.events:
                kept = {name: value for name, value in data.items() if name not in NOT_RECORDED}
                written += self._log(state, {"tick": tick, "type": kind, **kept})
        return written + self._append(state, frames)

    def _append(self, state: LiveState, frames: list[tuple[Stretch, OpenFrame]]) -> list[tuple[str, bytes]]:
        """Add frames of one topology. Only the first of them may bring one."""
        if not frames:
            return []
        rows, active = stack_frames([stretch.frame for stretch, _ in frames])
        ticks = np.array([stretch.tick for stretch, _ in frames])
        arrays: dict[str, Array] = {
            "tick": ticks,
            "time": ticks * self.dt,
            "min_distance": np.array([opened.min_distance for _, opened in frames]),
            "contacts": np.array([opened.contacts for _, opened in frames]),
            "iterations": np.array([opened.iterations for _, opened in frames]),
            "energy": np.array([stretch.energy for stretch, _ in frames]),
            "rows": rows,
            "active": active,
        }
        if self._spec.seats:
            standings = [[stretch.standing[seat.seat] for seat in self._spec.seats] for stretch, _ in frames]
            arrays["health"] = np.array([[one.health for one in each] for each in standings])
            arrays["score"] = np.array([[one.points for one in each] for each in standings])
            arrays["out"] = np.array([[one.out for one in each] for each in standings])
        encoded = frames[0][1].topology
        if encoded is None:
            return state.group.append(arrays)
        counts = row_counts(decode_frame(frames[0][0].frame))
        written = state.group.append(arrays, decode_topology(encoded), counts)
        state.topology = _content(encoded)
        return written

    def _log(self, state: LiveState, event: dict[str, Any]) -> list[tuple[str, bytes]]:
        if state.group.events_bytes > MAX_EVENTS_BYTES:
            attributes = state.group.attributes
            attributes["events_omitted"] = attributes.get("events_omitted", 0) + 1
            return []
        return state.group.log(event)


def _join(opened: OpenFrame, stretch: Stretch) -> None:
    opened.min_distance = min(opened.min_distance, stretch.min_distance)
    opened.contacts = max(opened.contacts, stretch.contacts)
    opened.iterations += stretch.iterations
    if stretch.topology is not None:
        opened.topology = stretch.topology


def _content(topology: bytes) -> bytes:
    """A hash of a topology without its version: the first four bytes."""
    return hashlib.sha256(topology[4:]).digest()
