"""A short session without a server, recorded in advances of any length and by any number of holders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import msgspec

from tests.golden.record import GOLDEN
from tussle.lobby.recording_marks import RecordingMark
from tussle.server.recordings.recorder import Recorder
from tussle.server.recordings.recordings import Recordings
from tussle.server.recordings.schedule import Stretch, advance_in_stretches, stride_of
from tussle.server.simulation.simulation import Advance, Input, SessionSpec, Simulation

TOKEN = "k7qm2xpv"
PHYSICS = "physics-1"


@cache
def played(name: str, ticks: int) -> tuple[SessionSpec, dict[int, list[Input]], int]:
    """A golden session up to about a tick: its specification, its inputs by tick, and its last tick."""
    spec, play = GOLDEN[name]
    spec = msgspec.structs.replace(spec, session=TOKEN)
    simulation, here = Simulation.start(spec)
    inputs: dict[int, list[Input]] = {}
    brief = {}
    while here.tick < ticks and here.phase != "over":
        for _, kind, data in here.events:
            if kind in ("turn_started", "brief", "set_up"):
                brief = data
        following = play(spec, here, brief)
        if following is None:
            break
        given, count = following
        if given:
            inputs[here.tick + 1] = given
        here = simulation.advance(given, count)
    return spec, inputs, here.tick


class Holder:
    """One holder of a session: a world and a recorder. ``marks`` are those that a store would have."""

    def __init__(
        self, recordings: Recordings, spec: SessionSpec, inputs: dict[int, list[Input]], epoch: int
    ) -> None:
        self.spec = spec
        self.stopped: list[str] = []
        self.recorder: Recorder = recordings.recorder(spec, epoch, PHYSICS, self.stopped.append)
        self._inputs = inputs

    def start(self) -> None:
        self.simulation, self.first = Simulation.start(self.spec)
        self._began(self.first)
        self.recorder.take(self.first)

    def restore(self, checkpoint: bytes, mark: RecordingMark | None) -> None:
        self.recorder.resume(mark)
        self.simulation = Simulation.restore(self.spec, checkpoint)
        look = self.simulation.look()
        self.recorder.rewind(look.tick, look.topology)
        self._began(look)

    def _began(self, here: Advance) -> None:
        self.tick, self.stride = here.tick, stride_of(here.dt)

    def advance(self, ticks: int) -> Advance:
        """Up to so many ticks, and not past the next input."""
        following = [tick for tick in self._inputs if tick > self.tick + 1]
        room = min(following, default=10**9) - 1 - self.tick
        given = self._inputs.get(self.tick + 1, [])
        whole, stretches = advance_in_stretches(
            self.simulation.advance, given, max(1, min(ticks, room)), self.tick, self.stride
        )
        self.tick = whole.tick
        self.take(whole, stretches)
        return whole

    def take(self, whole: Advance, stretches: list[Stretch]) -> None:
        self.recorder.take(whole, stretches)

    async def save(self) -> tuple[bytes, RecordingMark | None]:
        """A checkpoint, and the mark that is stored with it."""
        checkpoint = self.simulation.checkpoint()
        self.recorder.begin_save(self.tick)
        mark = await self.recorder.saved(60.0)
        self.recorder.committed(mark)
        return checkpoint, mark

    async def run(self, until: int, ticks: Iterator[int], save_every: int = 60) -> None:
        saved = self.tick
        while self.tick < until:
            self.advance(min(next(ticks), until - self.tick))
            if self.tick - saved >= save_every:
                saved = self.tick
                await self.save()
                await asyncio.sleep(0)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def undisturbed(
    folder: Path, name: str, ticks: int, lengths: Callable[[], Iterator[int]]
) -> dict[str, bytes]:
    """The final group of a session that one holder runs to its end."""
    spec, inputs, last = played(name, ticks)
    recordings = Recordings(str(folder))
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(last, lengths())
    mark = await holder.recorder.finish(last)
    assert mark is not None and not mark.stopped
    recordings.compact(TOKEN, mark)
    return files_of(folder / f"{TOKEN}.zarr")
