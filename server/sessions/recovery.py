"""The world of one session in a solver process, which it outlives.

    build | rebuild --> compute, take_checkpoint, ... --> drop
                         |  SolverFailed
                         '--> newest checkpoint + journal -> the same tick, in another process

A failure of the world itself is counted: the second from one checkpoint ends the session. When the process is lost
because of another world, the world moves to another process; LOSSES bounds that too.
Whatever it computes it records in the session's volume of the archive. It must never journal, publish or send: what
becomes public, and when, is the run's to decide.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import msgspec

from tussle.lobby.errors import Diverged, Refused, SolverFailed
from tussle.lobby.logs import get_logger, short
from tussle.lobby.runs import Fence, Runs, TickEvent
from tussle.server.archive.archive import Volume
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.sessions.core import InputBatch
from tussle.server.sessions.lease import Lease
from tussle.server.simulation.simulation import Advance, Input, SessionSpec
from tussle.server.solver.pool import Pool, Solver, WorldCheckpoint

__all__ = ["DurableWorld", "RebuiltWorld"]

log = get_logger("server.durable")

T = TypeVar("T")

REPLAY_TICKS = 64
"""Ticks per advance while a world is brought back to where it was."""

FAILURES = 2
"""Failures of the solver from one checkpoint after which a session is given up."""

LOSSES = 8
"""Solver processes that may be lost under a session from one checkpoint, through no fault of its world."""


@dataclass(frozen=True, slots=True)
class RebuiltWorld:
    """A world that was restored. ``here`` has the events of every tick that was computed again, ``ticks_again`` of
    them. ``inputs``: all that the journal has, with their ticks, and ``lost`` more, that another physics could not
    take."""

    here: Advance
    ticks_again: int
    inputs: tuple[tuple[int, Input], ...]
    journal_id: str
    lost: int


class DurableWorld:
    """Made for one claim of a session; ``build`` or ``rebuild`` it first."""

    def __init__(
        self,
        fence: Fence,
        spec: SessionSpec,
        pool: Pool,
        volume: Volume,
        *,
        runs: Runs,
        lease: Lease,
        telemetry: Telemetry,
    ) -> None:
        self.spec = spec
        self._fence = fence
        self._token = fence.session
        self._pool = pool
        self._solver: Solver | None = None
        self._volume = volume
        self._runs = runs
        self._lease = lease
        self._telemetry = telemetry
        self._checkpoint_tick = -1
        self._failures = 0
        self._losses = 0

    async def build(self) -> Advance:
        """Set the world up, from its specification to its first turn. Raises Refused, SolverFailed."""

        async def open_there(solver: Solver) -> Advance:
            return await solver.open_world(self.spec, epoch=self._fence.epoch)

        first = await self._run_in_some_solver(open_there)
        self._volume.record(first, [])
        return first

    async def rebuild(self, until: int, *, exact: bool = True) -> RebuiltWorld:
        """The world at tick ``until`` or, when an input is newer, at the input's: from the newest checkpoint and the
        journal behind it. Not ``exact``: of another physics, and there it stops where an input does not fit any more.

        Raises SolverFailed; Diverged when the journal does not fit the checkpoint; Fenced.
        """
        return await self._run_in_some_solver(lambda solver: self._rebuild(solver, until, exact=exact))

    async def _rebuild(self, solver: Solver, until: int, *, exact: bool) -> RebuiltWorld:
        kept = await self._lease.retry(lambda: self._runs.load_checkpoint(self._token))
        if kept is None:
            raise SolverFailed("the session has no checkpoint")
        entries = await self._lease.retry(lambda: self._runs.read_journal(self._token))
        inputs = [(tick, msgspec.json.decode(entry, type=Input)) for tick, _, entry in entries]
        here = await solver.restore_world(self.spec, kept.data, epoch=self._fence.epoch)
        events: list[TickEvent] = []
        lost = 0
        for tick, group in groupby((i for i in inputs if i[0] > kept.tick), key=lambda given: given[0]):
            here = await self._replay(solver, here, tick - 1, events)
            try:
                if here.tick != tick - 1:
                    raise Diverged(f"the journal has an input for tick {tick}, the world is at {here.tick}")
                here = await self._step(solver, [given for _, given in group], 1, events)
            except (Diverged, Refused) as error:
                if exact:
                    raise Diverged(f"an input of tick {tick} does not fit: {error.message}") from error
                lost = sum(at > here.tick for at, _ in inputs)
                log.error("inputs_lost", token=short(self._token), tick=here.tick, inputs=lost)
                break
        if not lost:
            here = await self._replay(solver, here, until, events)
        self._checkpoint_tick = kept.tick
        look = await solver.look_at_world(self._token)
        held = entries[: len(entries) - lost]
        return RebuiltWorld(
            msgspec.structs.replace(look, events=events),
            here.tick - kept.tick,
            tuple(inputs[: len(inputs) - lost]),
            f"{held[-1][0]}-{held[-1][1]}" if held else "",
            lost,
        )

    async def _replay(self, solver: Solver, here: Advance, until: int, events: list[TickEvent]) -> Advance:
        while here.tick < until and here.phase == "moving":
            here = await self._step(solver, [], min(REPLAY_TICKS, until - here.tick), events)
        return here

    async def _step(
        self, solver: Solver, inputs: list[Input], ticks: int, events: list[TickEvent]
    ) -> Advance:
        advance, _ = await solver.step_world(self._token, inputs, ticks)
        events += advance.events
        self._volume.record(advance, inputs)
        return advance

    async def compute(self, batch: InputBatch, ticks: int) -> tuple[Advance, float | None]:
        """Run a journaled batch and up to ``ticks`` ticks; also the seconds that the solver took, or None when it
        failed and the world was rebuilt: then the advance goes only as far as it must, and its events begin at the
        newest checkpoint. Raises SolverFailed at the second failure from one checkpoint, Diverged, Fenced."""
        inputs = list(batch.inputs)
        try:
            advance, seconds = await self._require_solver().step_world(self._token, inputs, ticks)
        except SolverFailed as error:
            self._count_failure(error)
            return (await self.rebuild(batch.tick if inputs else batch.tick - 1)).here, None
        self._volume.record(advance, inputs)
        return advance, seconds

    async def take_checkpoint(self, tick: int, *, prove: bool) -> WorldCheckpoint:
        """The exact state at ``tick``, the present tick of the world. Raises as ``compute``."""
        while True:
            try:
                return await self._require_solver().checkpoint_world(self._token, prove=prove)
            except SolverFailed as error:
                self._count_failure(error)
            if self._checkpoint_tick < 0:
                await self.build()
            else:
                await self.rebuild(tick)

    def checkpoint_saved(self, tick: int) -> None:
        """A checkpoint is in the store: failures before it count no longer."""
        if tick > self._checkpoint_tick:
            self._checkpoint_tick = tick
            self._failures = self._losses = 0

    async def drop(self) -> None:
        """Give the world up; nothing of it is left in any process."""
        if self._solver is not None:
            solver, self._solver = self._solver, None
            await solver.drop_world(self._token)

    def _require_solver(self) -> Solver:
        if self._solver is None:
            raise SolverFailed("the world was given up")
        return self._solver

    async def _run_in_some_solver(self, work: Callable[[Solver], Awaitable[T]]) -> T:
        """Make the world in the process with the most room, and in another one when that fails."""
        while True:
            await self.drop()
            self._solver = self._pool.place()
            try:
                return await work(self._solver)
            except SolverFailed as error:
                self._count_failure(error)

    def _count_failure(self, error: SolverFailed) -> None:
        """Count a failure; raise it when it is one too many."""
        log.error("solver_failed", token=short(self._token), code=error.reason, error=error.message)
        if error.reason == "solver_lost":
            self._losses += 1
        else:
            self._failures += 1
        if self._failures >= FAILURES or self._losses >= LOSSES:
            raise error
        self._telemetry.recoveries.labels(exact="true").inc()
