"""The world of one session in a solver process, which it outlives.

    open | restore --> advance, checkpoint, ... --> forget
                         |  SolverFailed
                         '--> newest checkpoint + journal -> the same tick, in another process

Whatever it computes it records in the session's volume of the archive. It must never journal, publish or send: what
becomes public, and when, is the run's to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import msgspec

from lobby.errors import Diverged, SolverFailed
from lobby.logs import get_logger, short
from lobby.runs import Fence, Runs, TickEvent
from server.archive import Volume
from server.lease import Lease
from server.pool import Checkpoint, Solver
from server.session import Batch
from server.simulation import Advance, Input, SessionSpec
from server.telemetry import Telemetry

__all__ = ["DurableWorld", "Rebuilt"]

log = get_logger("server.durable")

REPLAY_TICKS = 64
"""Ticks per advance while a world is brought back to where it was."""

FAILURES = 2
"""Failures of the solver from one checkpoint after which a session is given up."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Where a world stands again. ``here`` has the events of every tick that was computed again, ``ticks_again`` of
    them; ``inputs``: all that the journal has, with their ticks."""

    here: Advance
    ticks_again: int
    inputs: tuple[tuple[int, Input], ...]
    journal_id: str


class DurableWorld:
    """Made for one claim of a session; ``open`` or ``restore`` it first."""

    def __init__(
        self,
        fence: Fence,
        spec: SessionSpec,
        solver: Solver,
        volume: Volume,
        *,
        runs: Runs,
        lease: Lease,
        telemetry: Telemetry,
    ) -> None:
        self.spec = spec
        self._fence = fence
        self._token = fence.session
        self._solver = solver
        self._volume = volume
        self._runs = runs
        self._lease = lease
        self._telemetry = telemetry
        self._checkpoint_tick = -1
        self._failures = 0

    async def open(self) -> Advance:
        """Set the world up, from its specification to its first turn. Raises Refused, SolverFailed."""
        first = await self._solver.open(self.spec, epoch=self._fence.epoch)
        self._volume.record(first, [])
        return first

    async def restore(self, until: int) -> Rebuilt:
        """The world at tick ``until`` or, when an input is newer, at the input's: from the newest checkpoint and the
        journal behind it. Raises SolverFailed; Diverged when the journal does not fit the checkpoint; Fenced."""
        kept = await self._lease.insist(lambda: self._runs.load_checkpoint(self._token))
        if kept is None:
            raise SolverFailed("the session has no checkpoint")
        entries = await self._lease.insist(lambda: self._runs.read_journal(self._token))
        inputs = [(tick, msgspec.json.decode(entry, type=Input)) for tick, _, entry in entries]
        here = await self._solver.restore(self.spec, kept.data, epoch=self._fence.epoch)
        events: list[TickEvent] = []
        for tick, group in groupby((i for i in inputs if i[0] > kept.tick), key=lambda given: given[0]):
            here = await self._replay(here, tick - 1, events)
            if here.tick != tick - 1:
                raise Diverged(f"the journal has an input for tick {tick}, the world stands at {here.tick}")
            here = await self._step([given for _, given in group], 1, events)
        here = await self._replay(here, until, events)
        self._checkpoint_tick = kept.tick
        look = await self._solver.look(self._token)
        return Rebuilt(
            msgspec.structs.replace(look, events=events),
            here.tick - kept.tick,
            tuple(inputs),
            f"{entries[-1][0]}-{entries[-1][1]}" if entries else "",
        )

    async def _replay(self, here: Advance, until: int, events: list[TickEvent]) -> Advance:
        while here.tick < until and here.phase == "moving":
            here = await self._step([], min(REPLAY_TICKS, until - here.tick), events)
        return here

    async def _step(self, inputs: list[Input], ticks: int, events: list[TickEvent]) -> Advance:
        advance, _ = await self._solver.advance(self._token, inputs, ticks)
        events += advance.events
        self._volume.record(advance, inputs)
        return advance

    async def advance(self, batch: Batch, ticks: int) -> tuple[Advance, float | None]:
        """Run a journaled batch and up to ``ticks`` ticks; also the seconds that the solver took, or None when it
        failed and the world was rebuilt: then the advance goes only as far as it must, and its events begin at the
        newest checkpoint. Raises SolverFailed at the second failure from one checkpoint, Diverged, Fenced."""
        inputs = list(batch.inputs)
        try:
            advance, seconds = await self._solver.advance(self._token, inputs, ticks)
        except SolverFailed as error:
            until = batch.tick if inputs else batch.tick - 1
            return (await self._rebuild(error, until)).here, None
        self._volume.record(advance, inputs)
        return advance, seconds

    async def checkpoint(self, tick: int, *, prove: bool) -> Checkpoint:
        """The exact state at ``tick``, where the world stands. Raises as ``advance``."""
        try:
            return await self._solver.checkpoint(self._token, prove=prove)
        except SolverFailed as error:
            if self._checkpoint_tick < 0:
                raise
            await self._rebuild(error, tick)
            return await self._solver.checkpoint(self._token, prove=prove)

    def kept(self, tick: int) -> None:
        """A checkpoint is in the store: failures before it count no longer."""
        if tick > self._checkpoint_tick:
            self._checkpoint_tick = tick
            self._failures = 0

    async def _rebuild(self, error: SolverFailed, until: int) -> Rebuilt:
        """The solver process died, hung or failed: the same world again in a new one."""
        self._failures += 1
        log.error("solver_failed", token=short(self._token), tick=until, error=error.message)
        if self._failures >= FAILURES:
            raise error
        self._telemetry.recoveries.labels(exact="true").inc()
        return await self.restore(until)
