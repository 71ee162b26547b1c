"""The world of one session, restored in another solver process when its process fails.

    build | rebuild --> compute, take_checkpoint, move, ... --> drop
                         |  SolverFailed
                         '--> newest checkpoint + journal -> the same tick, in another process

A failure of the world itself is counted: the second one from the same checkpoint ends the session. When its process is
lost because of another world, the world moves to another process, at most LOSSES times. One call of the solver takes a
bounded time: it runs the ticks that fit in it. Every computed tick goes to the session's archive volume and to its
recording. It must never journal, publish or send; server/sessions/publication.py does that.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import msgspec

from tussle.lobby.errors import Diverged, Refused, SolverFailed
from tussle.lobby.logs import get_logger, short
from tussle.lobby.runs import Fence, Runs, TickEvent
from tussle.lobby.store.stored_json import read_stored
from tussle.server.archive.archive import Volume
from tussle.server.archive.parts import Head, TakenOver, digest_of
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.recordings.recorder import Recorder
from tussle.server.recordings.schedule import join_advances
from tussle.server.sessions.core import InputBatch
from tussle.server.sessions.lease import Lease
from tussle.server.simulation.simulation import Advance, Input, SessionSpec
from tussle.server.solver.delta_streams import ONCE, Deltas
from tussle.server.solver.pool import Pool
from tussle.server.solver.solver_calls import Solver, WorldCheckpoint

__all__ = ["DurableWorld", "JournalEntry", "RebuiltWorld"]

log = get_logger("server.durable")

T = TypeVar("T")

FAILURES = 2
"""Failures of the solver from one checkpoint after which a session is given up."""

LOSSES = 8
"""Solver processes that a session may lose from one checkpoint because of other worlds."""


class JournalEntry(msgspec.Struct, frozen=True):
    """An input as it is journaled. ``superseded``: ids of the inputs of its seat that it superseded, so that the
    next holder does not apply one of them when it is sent again."""

    seat: int
    kind: str
    id: int = 0
    d: dict[str, Any] = {}
    superseded: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, given: Input, superseded: tuple[int, ...]) -> JournalEntry:
        return cls(given.seat, given.kind, given.id, given.d, superseded or msgspec.UNSET)

    @property
    def given(self) -> Input:
        return Input(self.seat, self.kind, self.id, self.d)

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


@dataclass(frozen=True, slots=True)
class RebuiltWorld:
    """A restored world. here: its state, with the events of all ``ticks_again`` ticks that were computed again.
    inputs: the journaled inputs that were kept, with their ticks. lost: number of inputs that did not fit a world of
    another physics."""

    here: Advance
    ticks_again: int
    inputs: tuple[tuple[int, JournalEntry], ...]
    journal_id: str
    lost: int


class DurableWorld:
    """The world of one claim of a session. Call ``build`` or ``rebuild`` first."""

    def __init__(
        self,
        fence: Fence,
        spec: SessionSpec,
        pool: Pool,
        volume: Volume,
        recorder: Recorder,
        *,
        runs: Runs,
        lease: Lease,
        telemetry: Telemetry,
        first_state: bytes = b"",
    ) -> None:
        """``first_state``: of a fork."""
        self.spec = spec
        self._first_state = first_state
        self._fence = fence
        self._token = fence.session
        self._pool = pool
        self._solver: Solver | None = None
        self._moving_to: Solver | None = None
        self._volume = volume
        self._recorder = recorder
        self._runs = runs
        self._lease = lease
        self._telemetry = telemetry
        self._checkpoint_tick = -1
        self._failures = 0
        self._losses = 0

    async def build(self) -> Advance:
        """Build the world from its specification and run it to its first turn; the world of a fork from its first
        state. Raises Refused, SolverFailed."""
        epoch, owner = self._fence.epoch, self._fence.owner

        async def open_there(solver: Solver) -> Advance:
            if self._first_state:
                return await solver.begin_world(self.spec, self._first_state, epoch=epoch, owner=owner)
            return await solver.open_world(self.spec, epoch=epoch, owner=owner)

        first = await self._run_in_some_solver(open_there)
        self._volume.record(first, [])
        self._recorder.rewind(-1)
        self._recorder.take(first)
        return first

    async def taken_over(self) -> TakenOver | None:
        """What this claim continues, for the archive; None without a checkpoint. Raises Fenced."""
        kept = await self._lease.retry(lambda: self._runs.load_checkpoint(self._token))
        if kept is None:
            return None
        head = await self._lease.retry(lambda: self._runs.archive_head(self._token))
        return TakenOver(kept.tick, digest_of(kept.data), Head.parse(head))

    async def rebuild(self, until: int, *, exact: bool = True) -> RebuiltWorld:
        """Restore the world from the newest checkpoint and the journal after it, to tick ``until`` or to the newest
        input, whichever is later. With ``exact`` False the checkpoint is of another physics; the replay then stops at
        the first input that does not fit.

        Raises SolverFailed, Fenced, DamagedData; Diverged when ``exact`` and the journal does not fit the checkpoint.
        """
        return await self._run_in_some_solver(lambda solver: self._rebuild(solver, until, exact=exact))

    async def _rebuild(self, solver: Solver, until: int, *, exact: bool) -> RebuiltWorld:
        kept = await self._lease.retry(lambda: self._runs.load_checkpoint(self._token))
        if kept is None:
            raise SolverFailed("the session has no checkpoint")
        entries = await self._lease.retry(lambda: self._runs.read_journal(self._token))
        inputs = [
            (tick, read_stored(entry, JournalEntry, f"entry {tick}-{n} of the journal"))
            for tick, n, entry in entries
        ]
        here = await self._restore_there(solver, kept.data)
        self._recorder.rewind(kept.tick, here.topology)
        events: list[TickEvent] = []
        lost = 0
        for tick, group in groupby((i for i in inputs if i[0] > kept.tick), key=lambda given: given[0]):
            here = await self._replay(solver, here, tick - 1, events)
            try:
                if here.tick != tick - 1:
                    raise Diverged(f"the journal has an input for tick {tick}, the world is at {here.tick}")
                here = await self._step(solver, [entry.given for _, entry in group], 1, events)
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
            ticks = min(self._ticks_per_call(), until - here.tick)
            here = await self._step(solver, [], ticks, events)
        return here

    def _ticks_per_call(self) -> int:
        return self._pool.usage.get(self._token, time.monotonic()).ticks_per_call

    async def _step(
        self, solver: Solver, inputs: list[Input], ticks: int, events: list[TickEvent]
    ) -> Advance:
        advance, _, stretches, _ = await solver.step_world(self._token, inputs, ticks)
        events += advance.events
        self._volume.record(advance, inputs)
        self._recorder.take(advance, stretches)
        return advance

    async def compute(
        self, batch: InputBatch, ticks: int, deltas: int = 0, error_m: float = 1e-4
    ) -> tuple[Advance, float | None, list[Deltas]]:
        """Run a journaled batch and up to ``ticks`` ticks. Also returns the time that the solver took [s], and
        the delta frames of the streams ``deltas``, in order.

        The time is None when the solver failed and the world was rebuilt. The advance then goes no further than the
        batch, and its events begin at the newest checkpoint. Raises SolverFailed at the second failure from
        one checkpoint, Diverged, Fenced.
        """
        inputs = list(batch.inputs)
        whole, spent_s = None, 0.0
        shown: list[Deltas] = []
        while True:
            left = ticks - (0 if whole is None else whole.ticks_run)
            asked = min(left, self._ticks_per_call())
            given = inputs if whole is None else []
            try:
                advance, seconds, stretches, frames = await self._require_solver().step_world(
                    self._token, given, asked, deltas=deltas, error_m=error_m
                )
            except SolverFailed as error:
                self._count_failure(error)
                return (await self.rebuild(batch.tick if inputs else batch.tick - 1)).here, None, []
            self._volume.record(advance, given)
            self._recorder.take(advance, stretches)
            whole = advance if whole is None else join_advances(whole, advance)
            spent_s += seconds
            shown.append(frames)
            deltas &= ~ONCE
            if whole.ticks_run >= ticks or advance.ticks_run < asked or advance.phase != "moving":
                return whole, spent_s, shown

    async def move(self) -> bool:
        """Move the world to a better solver process, if there is one. The caller must be between two ticks. Returns
        whether it moved. If either process fails, the world stays; ``compute`` detects whether it was lost."""
        here = self._require_solver()
        there = self._pool.find_better(self._token, here)
        if there is None:
            return False
        try:
            taken = await here.checkpoint_world(self._token, check_contact=False)
            self._moving_to = there
            await self._restore_there(there, taken.data)
        except SolverFailed as error:
            log.warning("session_not_moved", token=short(self._token), to=there.index, error=error.message)
            self._moving_to = None
            await there.drop_world(self._token)
            return False
        self._solver, self._moving_to = there, None
        await here.drop_world(self._token)
        self._pool.moved(self._token, there)
        log.info(
            "session_moved", token=short(self._token), tick=taken.tick, to=there.index, heavy=there.heavy
        )
        return True

    async def _restore_there(self, solver: Solver, checkpoint: bytes) -> Advance:
        fence = self._fence
        return await solver.restore_world(self.spec, checkpoint, epoch=fence.epoch, owner=fence.owner)

    async def take_checkpoint(self, tick: int, *, check_contact: bool) -> WorldCheckpoint:
        """The exact state at ``tick``, which must be the world's present tick. Raises as ``compute``."""
        while True:
            try:
                return await self._require_solver().checkpoint_world(self._token, check_contact=check_contact)
            except SolverFailed as error:
                self._count_failure(error)
            if self._checkpoint_tick < 0:
                await self.build()
            else:
                await self.rebuild(tick)

    def checkpoint_saved(self, tick: int) -> None:
        """Record that the store has a checkpoint. Failures before it no longer count."""
        if tick > self._checkpoint_tick:
            self._checkpoint_tick = tick
            self._failures = self._losses = 0

    async def drop(self) -> None:
        """Drop the world from its solver process, and from one to which it was being moved."""
        solvers, self._solver, self._moving_to = (self._solver, self._moving_to), None, None
        for solver in solvers:
            if solver is not None:
                await solver.drop_world(self._token)

    def _require_solver(self) -> Solver:
        if self._solver is None:
            raise SolverFailed("the world was given up")
        return self._solver

    async def _run_in_some_solver(self, work: Callable[[Solver], Awaitable[T]]) -> T:
        """Run ``work`` with the solver that the pool chooses. Retry with another one when it fails."""
        while True:
            await self.drop()
            self._solver = self._pool.place(self._token)
            try:
                return await work(self._solver)
            except SolverFailed as error:
                self._count_failure(error)

    def _count_failure(self, error: SolverFailed) -> None:
        """Count a failure. Raises it at the limit."""
        log.error("solver_failed", token=short(self._token), code=error.reason, error=error.message)
        if error.reason == "solver_lost":
            self._losses += 1
        else:
            self._failures += 1
        if self._failures >= FAILURES or self._losses >= LOSSES:
            raise error
        self._telemetry.recoveries.labels(exact="true").inc()
