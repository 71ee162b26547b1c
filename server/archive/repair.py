"""Fill what a recording lacks from the archive of its session, after the end: the final group as an undisturbed run
makes it.

    worker -> child process: mark -> recorded frames + ticks simulated again -> T.zarr -> digest | a coded error

A gap is simulated from the checkpoint before it to the first recorded frame after it. A recording whose files are
damaged or missing is simulated from its first tick. Each simulated tick must have the hash that the archive has; if
one does not, nothing is filled. This module must never write to the archive, and never contact the store.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from tussle.lobby.errors import Diverged, LobbyError, NotFound, ProtocolError, Refused
from tussle.lobby.files import Files
from tussle.lobby.recording_marks import RecordingMark
from tussle.lobby.wire.frames import encode_topology
from tussle.server.archive.archive import Archive
from tussle.server.archive.record import Record, load_record
from tussle.server.physics.stored_meshes import use_meshes
from tussle.server.recordings.frame_store import Array
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.live_files import (
    LiveState,
    final_folder,
    finished_chunks,
    live_folder,
    read_state,
)
from tussle.server.recordings.schedule import advance_in_stretches, stride_of
from tussle.server.recordings.stacking import grid_exponents
from tussle.server.recordings.taking import (
    FrameWriter,
    TakenAdvance,
    describe_session,
    take_advance,
    topology_content,
)
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulation import Advance, Simulation

__all__ = ["readable_state", "repair_recording"]

ARCHIVE_BYTES = 512 * 2**20
"""Largest archive that is read [B]."""

TICKS_AT_ONCE = 64
"""Ticks that are simulated before their frames are written."""

NICE = 10

CHANGED = ("gaps", "stopped", "events_omitted")
"""Attributes of a recording that lacks something."""


@dataclass(slots=True)
class _Hole:
    """Ticks to re-simulate. before: number of recorded frames before them. ranges: the first and last of the
    ticks whose events are missing too."""

    before: int
    ranges: list[tuple[int, int]]


def repair_recording(folder: Files, archive: Archive, session: str, mark: RecordingMark) -> str:
    """Write the final group of a session that is over, with what its recording lacks. Returns the SHA-256 of the
    group's metadata, as ``compact`` does.

    Raises NotFound (not_archived), ProtocolError (damaged_archive), Refused (other_physics, too_large_to_repair),
    Diverged, OSError. The group is then not complete, and nothing names it.
    """
    if archive.size(session) > ARCHIVE_BYTES:
        raise Refused("the archive is too large to repair a recording", code="too_large_to_repair")
    record = load_record(archive, session)
    here = physics_id()
    if any(manifest.physics_id != here for manifest in record.manifests):
        raise Refused("another physics recorded the session", code="other_physics")
    final = folder.below(final_folder(session))
    folder.remove(final_folder(session))
    return _Repair(record, folder.below(live_folder(session)), final, mark).run()


class _Repair:
    """One repair. The recorded frames, if they can be read, and the new group beside each other."""

    def __init__(self, record: Record, live: Files, final: Files, mark: RecordingMark) -> None:
        self._record = record
        self._live = live
        self._final = final
        self._stopped = bool(mark.stopped)
        self._old = readable_state(live, mark)
        self._writer = FrameWriter(record.spec)
        self._new: LiveState | None = None
        self._ticks: Array = np.empty(0, np.int64)
        self._events: deque[bytes] = deque()

    def run(self) -> str:
        old = self._old
        if old is not None:
            blocks = old.group.frames(range(old.group.length), ("tick",), self._fetch)
            self._ticks = np.concatenate([np.empty(0, np.int64), *(block.arrays["tick"] for block in blocks)])
            self._events.extend(b"".join(old.group.event_lines(self._fetch)).splitlines())
            kept = {name: value for name, value in old.group.attributes.items() if name not in CHANGED}
            self._begin(RecordingGroup(kept, seats=old.group.seats), float(kept["dt"]))
        at = 0
        for hole in self._holes():
            self._copy(range(at, hole.before))
            self._simulate(hole)
            at = hole.before + 1
        self._copy(range(at, len(self._ticks)))
        self._flush_events()
        assert self._new is not None
        root = b""
        for path, data in self._new.group.files(self._final.read):
            self._final.write(path, data)
            root = data
        return hashlib.sha256(root).hexdigest()

    def _begin(self, group: RecordingGroup, dt: float) -> LiveState:
        self._writer.dt = dt
        self._new = LiveState(group)
        return self._new

    def _fetch(self, path: str) -> bytes:
        assert self._old is not None
        return self._live.read(self._old.place_of(path))

    def _write(self, written: list[tuple[str, bytes]]) -> None:
        for path, data in written:
            self._final.write(path, data)

    def _holes(self) -> list[_Hole]:
        """What is missing, in order. Gaps without a recorded frame between them are one hole."""
        record, old = self._record, self._old
        if old is None:
            return [_Hole(0, [(-1, record.last_tick)])]
        gaps = [(gap["first_tick"], gap["last_tick"]) for gap in old.group.attributes.get("gaps", [])]
        if self._stopped and old.tick < record.last_tick:
            gaps.append((old.tick + 1, record.last_tick))
        holes: list[_Hole] = []
        for first, last in gaps:
            before = int(np.searchsorted(self._ticks, first))
            if before == 0:
                first = -1  # the first state and what led to it are missing too
            if holes and holes[-1].before == before:
                holes[-1].ranges.append((first, last))
            else:
                holes.append(_Hole(before, [(first, last)]))
        return holes

    # recorded frames

    def _copy(self, numbers: range) -> None:
        """Add recorded frames as they are."""
        if not numbers:
            return
        old, new = self._old, self._new
        assert old is not None and new is not None
        names = [name for name in old.group.fields if name != "segment"]
        content, contents = -1, b""
        for block in old.group.frames(numbers, names, self._fetch):
            if block.segment != content:
                topology = old.group.topology(block.segment, self._fetch)
                new.grid = grid_exponents(topology)
                content, contents = block.segment, topology_content(encode_topology(topology))
            if contents == new.topology:
                self._write(new.group.append(block.arrays))
            else:
                bodies = old.group.segments[block.segment].bodies
                rows = [body.rows for body in bodies if body.kind != "static"]
                self._write(new.group.append(block.arrays, topology, rows))
                new.topology = contents

    def _flush_events(self, before: int | None = None) -> None:
        """Add recorded events of ticks before this one; None: all."""
        new = self._new
        assert new is not None
        while self._events:
            event = msgspec.json.decode(self._events[0])
            if before is not None and event["tick"] >= before:
                return
            self._events.popleft()
            self._write(self._writer.log(new, event))

    # simulated frames

    def _simulate(self, hole: _Hole) -> None:
        """Add the frames after the last recorded one before the hole, up to the first one after it."""
        begin = int(self._ticks[hole.before - 1]) if hole.before else -1
        last = hole.ranges[-1][1]
        until = int(self._ticks[hole.before]) if hole.before < len(self._ticks) else last
        for taken in self._taken(begin, until):
            new = self._new
            assert new is not None
            stretches = tuple(one for one in taken.stretches if one[0].tick > begin)
            missing = [
                event for event in taken.events if any(first <= event[0] <= end for first, end in hole.ranges)
            ]
            if missing:
                self._flush_events(missing[0][0])
            self._write(self._writer.add(new, [replace(taken, stretches=stretches, events=missing)]))

    def _taken(self, begin: int, until: int) -> Iterator[TakenAdvance]:
        """Advances from the nearest state at or before ``begin``, -1: from the first state."""
        record = self._record
        simulation, here, first = self._state_before(begin)
        if self._new is None:
            attributes = describe_session(record.spec, physics_id(), here.dt)
            self._begin(RecordingGroup(attributes, seats=len(record.spec.seats)), here.dt)
        if first is not None:
            yield first
        stride = stride_of(here.dt)
        acts = sorted(tick for tick, given in record.inputs.items() if given)
        while here.tick < until and here.phase != "over":
            given = record.inputs.get(here.tick + 1, [])
            if here.phase == "acting" and not given:
                raise ProtocolError(
                    f"at tick {here.tick} the world waits for an input that is not recorded",
                    code="damaged_archive",
                )
            following = next((tick for tick in acts if tick > here.tick + 1), until + 1)
            room = max(1, min(following - 1, until, here.tick + TICKS_AT_ONCE) - here.tick)
            before = here.tick
            here, stretches = advance_in_stretches(simulation.advance, given, room, before, stride)
            self._check(before, here)
            yield take_advance(here, stretches)

    def _state_before(self, begin: int) -> tuple[Simulation, Advance, TakenAdvance | None]:
        """A world at or before a tick, and the advance of the first state if it is that one."""
        record = self._record
        kept = [tick for tick in record.checkpoints if tick <= begin]
        if kept:
            state = record.checkpoints[max(kept)][-1]
            simulation = Simulation.restore(record.spec, state.data)
            here = simulation.look()
            self._check_state(simulation, here.tick)
            return simulation, here, None
        if record.spec.fork is msgspec.UNSET:
            simulation, here = Simulation.start(record.spec)
        else:
            states = record.checkpoints.get(record.spec.fork.tick, [])
            if not states:
                raise ProtocolError("the first state of this fork is missing", code="damaged_archive")
            simulation, here = Simulation.begin(record.spec, states[-1].data)
        self._check(here.tick - here.ticks_run, here)
        return simulation, here, take_advance(here, (), first=True)

    def _check_state(self, simulation: Simulation, tick: int) -> None:
        recorded = self._record.hashes.get(tick)
        if recorded is not None and simulation.hash() != recorded:
            raise Diverged(f"the checkpoint of tick {tick} is another state than was recorded")

    def _check(self, before: int, here: Advance) -> None:
        for tick, digest in enumerate(here.hashes, before + 1):
            recorded = self._record.hashes.get(tick)
            if recorded is None:
                raise ProtocolError(f"the archive has no hash of tick {tick}", code="damaged_archive")
            if recorded != digest:
                raise Diverged(f"the simulation computes another state of tick {tick} than was recorded")


def readable_state(live: Files, mark: RecordingMark) -> LiveState | None:
    """What the holders wrote, if all of it is there and as they wrote it."""
    try:
        state = read_state(live, mark)
        deque(finished_chunks(live, state), maxlen=0)
        for number in range(len(state.group.segments)):
            state.group.topology(number, lambda path: live.read(state.place_of(path)))
    except (NotFound, ProtocolError):
        return None
    return state


class RepairAnswer(msgspec.Struct, frozen=True):
    """What the child process answers: the digest of the group's metadata, or a coded error."""

    sha256: str = ""
    code: str = ""
    message: str = ""


def main() -> None:
    """The child process: session, mark (JSON); RECORDINGS_URL and ARCHIVE_URL in the environment, because they may have
    passwords. It ends when its input ends, and so with the worker that started it."""
    recordings, archive = os.environ["RECORDINGS_URL"], os.environ["ARCHIVE_URL"]
    session, mark = sys.argv[1:]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(NICE)
    try:
        use_meshes(archive)
        stated = msgspec.json.decode(mark, type=RecordingMark)
        outcome = RepairAnswer(repair_recording(Files(recordings), Archive(archive), session, stated))
    except LobbyError as error:
        outcome = RepairAnswer(code=error.reason, message=error.message)
    except OSError as error:
        outcome = RepairAnswer(code="recordings_unreachable", message=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
