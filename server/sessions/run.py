"""One running session, from its first tick to its last, on this server.

    core.batch -> journal (fenced) -> acknowledge -> world.compute -> show the frame, publish the events (fenced)
         ^                                                |
         '------------------ core.took <------------------'

An empty batch and a tick without events cost no store call. A slow solver delays the simulation; no tick is skipped,
and the dilation is measured and reported to the members. While the store is unreachable or the lease has lapsed, it
must never step or send.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from tussle.lobby.errors import CloseCode, Conflict
from tussle.lobby.logs import get_logger, short
from tussle.lobby.runs import Fence, Member, Orders, TurnClock
from tussle.lobby.servers import HolderAddress
from tussle.server.archive.archive import Volume
from tussle.server.fanout.audience import Audience
from tussle.server.recordings.schedule import ticks_to_record
from tussle.server.sessions.admissions import Admissions
from tussle.server.sessions.attendance import Attendance
from tussle.server.sessions.context import SessionContext
from tussle.server.sessions.core import Answer, InputBatch, SessionCore
from tussle.server.sessions.dilation import DilationWatch
from tussle.server.sessions.pace import Pace
from tussle.server.sessions.publication import Publication
from tussle.server.sessions.recovery import DurableWorld
from tussle.server.sessions.specification import fork_joins
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulation import Advance, Input, SessionSpec
from tussle.server.solver.delta_streams import Deltas
from tussle.server.solver.pool import Pool

__all__ = ["OPERATIONS", "UNATTENDED", "Run"]

log = get_logger("server.run")

FLAT_OUT_TICKS = 8
"""Ticks per advance when SIM_SPEED is 0: fewer frames, since no viewer needs every one."""

UNATTENDED = "unattended"
"""The reason of a pause and of an end because nobody is connected."""

OPERATIONS = ("session_paused", "session_resumed", "end_asked")
"""Events that carry an operator's order to the holder."""

LOOK_S = 1.0
"""A paused run asks the store this often whether it is still paused [s], in case an event is lost."""


class Run:
    """One session that this server holds. ``start`` or ``restore`` it, then ``drive`` runs it to its end. Always
    ``release`` it."""

    def __init__(
        self,
        fence: Fence,
        members: Sequence[Member],
        spec: SessionSpec,
        pool: Pool,
        audience: Audience,
        context: SessionContext,
        first_state: bytes = b"",
    ) -> None:
        """``first_state``: of a fork that begins."""
        self.token = fence.session
        self.fence = fence
        self.members = tuple(members)
        self.spec = spec
        self.core = SessionCore(member.seat for member in members)
        self.dt = 0.0
        self._audience = audience
        self._context = context
        self._lease = context.lease
        self._settings = context.settings
        self._volume: Volume = context.archive.volume(self.token, fence.epoch)
        self._recorder = context.recordings.recorder(spec, fence.epoch, physics_id(), self._recording_stopped)
        self._world = DurableWorld(
            fence, spec, pool, self._volume, self._recorder,
            runs=context.runs, lease=context.lease, telemetry=context.telemetry, first_state=first_state,
        )  # fmt: skip
        self._publication = Publication(fence, self.members, audience, self._volume, self._recorder, context)
        self._wake = asyncio.Event()
        self.admissions = Admissions(self.core, self._wake.set, context.ledger, self.token, self.members)
        self._lapses_seen = context.lease.lapses
        self._away_s = context.lease.away_s
        self._away: set[int] = set()
        self._graced = {member.seat for member in self.members if member.kind == "bot"}
        """Seats whose turns get no more time for an absence: persons get it once."""
        self._dilation = DilationWatch()
        self._handover_target: HolderAddress | None = None
        self._paused = False
        self._clock_stopped = False
        self._outage = -1
        """The lapse of the lease that the members were notified of."""
        self._unattended = False
        self._attendance = Attendance(self._settings.idle_s, self._settings.unattended_s)
        self._ending = False
        self._end_reason = "ended_by_operator"
        audience.on_attended = self._wake.set

    # calls by the gateway and the holder

    def accept_input(
        self, seat: int, command: int, kind: str, d: dict[str, Any], at: float, answer: Answer, again: bool
    ) -> None:
        """Queue a player's input. Raises as Admissions.queue."""
        self.admissions.queue(seat, command, kind, d, at, answer, again)

    def note_presence(self, seat: int, *, here: bool) -> None:
        """A member's connection was lost, or is back."""
        self._away.discard(seat) if here else self._away.add(seat)
        self._wake.set()

    def leave(self, seat: int) -> None:
        """Give the seat up: its forfeit joins the coming batch."""
        self.core.leave(seat)
        self._wake.set()

    def recheck_lease(self) -> None:
        """Ask the store before the next step whether this server still holds the session."""
        self._lapses_seen = -1
        self._wake.set()

    def announce_outage(self) -> None:
        """The lease has lapsed: tell the members, once, that the session is paused."""
        if self._outage != self._lease.lapses and not self.core.over:
            self._outage = self._lease.lapses
            self._audience.notify("paused", "the store does not answer")

    def hand_over_to(self, target: HolderAddress) -> None:
        """Hand the session over to ``target`` at the next tick boundary."""
        self._handover_target = target
        self._wake.set()

    def apply_operation(self, operation: str) -> None:
        """Apply an operator's order (OPERATIONS) at the next tick boundary. Repeating it changes nothing."""
        if operation == "end_asked":
            self._ending = True
        else:
            self._paused = operation == "session_paused"
            self._unattended = False
            self._attendance.restart()
            self._clock_stopped = True
        self._wake.set()

    def apply_orders(self, orders: Orders) -> None:
        """Apply the operators' orders as the store has them."""
        self._ending = self._ending or orders.end
        self._clock_stopped = self._clock_stopped or orders.paused
        self._paused = orders.paused
        self._unattended = orders.paused and orders.unattended
        self._wake.set()

    # beginning

    async def start(self) -> None:
        """Set up the world of a session that is starting. Raises Refused, SolverFailed, Fenced."""
        first = await self._world.build()
        self.dt = first.dt
        spec = msgspec.json.encode(self.spec)
        private = await self._lease.retry(lambda: self._context.forks.privacy(self.token))
        await self._volume.write_manifest(self.spec, physics_id(), private=private)
        await self._save_checkpoint(first.tick)
        started = await self._lease.retry(
            lambda: self._context.runs.running(self.fence, first.tick, spec, self.dt)
        )
        self._audience.offer(started.events)
        await self._show(first, [])
        self._admit_members(first)

    async def restore(self, events_tick: int) -> None:
        """Restore a claimed session: checkpoint, then the journal, to the tick that was last made public. With
        another physics than its last holder's, inputs that no longer fit are lost; ``recovered`` reports how many.

        Raises SolverFailed, Diverged when the journal does not fit the checkpoint, Fenced.
        """
        runs, retry = self._context.runs, self._lease.retry
        exact = (await retry(lambda: runs.physics_of(self.token))) == physics_id()
        self._recorder.resume(await retry(lambda: runs.marks.load(self.token)))
        private = await retry(lambda: self._context.forks.privacy(self.token))
        await self._volume.write_manifest(
            self.spec, physics_id(), await self._world.taken_over(), private=private
        )
        rebuilt = await self._world.rebuild(events_tick, exact=exact)
        here, again = rebuilt.here, rebuilt.ticks_again
        self._publication.resume(events_tick, rebuilt.journal_id)
        for tick, entry in rebuilt.inputs:
            self._publication.count(entry)
            self.admissions.restored(entry.given, tick, entry.superseded or ())
        recovered = await retry(
            lambda: self._context.claims.recovered(
                self.fence, here.tick, exact=exact, ticks_again=again, inputs_lost=rebuilt.lost
            )
        )
        self._audience.offer([recovered.event])
        self.dt = here.dt
        clock = TurnClock(recovered.turn_ends_at, await retry(runs.now_ms))
        left_s = clock.left_s if clock.ends_at and here.phase == "acting" else None
        self.core.restore(here, time.monotonic(), left_s)
        public = self._publication
        await self._show(public.new_events(here) if exact else await public.diverged_events(here), [])
        if not exact:
            public.diverged_at(here.tick)
            await self._save_checkpoint(here.tick)  # the newest checkpoint is of this physics from now on
        self._admit_members(here)
        self._context.telemetry.recoveries.labels(exact=str(exact).lower()).inc()
        self._context.telemetry.recovery_seconds.observe(recovered.gap_ms / 1000)
        log.info(
            "session_recovered", token=short(self.token), tick=here.tick, exact=exact, ticks_again=again,
            inputs_lost=rebuilt.lost, gap_ms=recovered.gap_ms, epoch=self.fence.epoch,
        )  # fmt: skip

    def _admit_members(self, here: Advance) -> None:
        """Forfeit the seats whose members have left. In a fork, let new members join at seats that others had left."""
        joins = fork_joins(self.spec)
        for member in self.members:
            if member.left and not here.standing[member.seat].out:
                self.core.leave(member.seat)
            elif joins and not member.left:
                self.core.join(member.seat)

    # the loop

    async def drive(self) -> None:
        """Run until the session is over or has been handed over. Raises SolverFailed, Diverged, Fenced."""
        settings, core = self._settings, self.core
        ticks, interval = FLAT_OUT_TICKS, 0.0
        if settings.sim_speed > 0:
            ticks = max(1, round(1 / (self.dt * settings.frame_hz)))
            interval = ticks * self.dt / settings.sim_speed
        checkpointed = time.monotonic()
        pace = Pace(interval, checkpointed)
        while not core.over:
            if self._handover_target is not None and await self._hand_over(self._handover_target):
                return
            if self._ending:
                await self._end_early()
                return
            if not self._paused:
                await self._check_attendance()
            if self._paused:
                await self._require_lease()
                await self._wait_while_paused()
                pace.restart(time.monotonic())
                continue
            if self._clock_stopped:
                self._clock_stopped = False
                await self._start_clock()
            await self._require_lease()
            await self._grant_grace()
            core.expire(time.monotonic())
            if core.waits():
                await self._wait()
                pace.restart(time.monotonic())
                continue
            batch = core.batch()
            # A frame that viewers get is at a tick that is recorded, where both are equally many.
            await self._run_batch(batch, ticks_to_record(core.tick, ticks))
            now = time.monotonic()
            if core.over:
                return
            if core.phase == "acting" or now - checkpointed > settings.checkpoint_s:
                await self._save_checkpoint(core.tick)
                checkpointed = now = time.monotonic()
            if core.phase == "moving" and await self._world.move():
                now = time.monotonic()
            rest = pace.stepped(now)
            if core.phase != "moving":
                continue  # there is no pace to keep: the next input is applied at once
            if interval:
                self._watch_dilation(pace)
            if rest > 0.0:
                await asyncio.sleep(rest)

    async def _check_attendance(self) -> None:
        """Pause, resume or end the run, as its attendance requires. An operator's pause is kept."""
        if self._paused and not self._unattended:
            return
        attended = self._audience.watched
        verdict = self._attendance.look(attended, time.monotonic())
        runs, retry = self._context.runs, self._lease.retry
        if verdict == "end":
            self._end_reason, self._ending = UNATTENDED, True
        elif attended if self._paused else verdict == "pause":  # the last holder may have paused it
            attend = runs.resume_attended if self._paused else runs.pause_unattended
            await retry(lambda: attend(self.fence))
            self.apply_orders(await retry(lambda: runs.orders(self.token)))

    async def _grant_grace(self) -> None:
        """Give the turn of a person who lost the connection RECONNECT_GRACE_S more, once in a session: a telephone
        that sleeps loses no turn before its owner can come back, and nobody gains time by repeating it."""
        seat = self.core.seat
        if self.core.deadline is None or seat not in self._away - self._graced:
            return
        self._graced.add(seat)
        self.core.extend(self._settings.reconnect_grace_s)
        await self._start_clock(use_local=True)

    def _watch_dilation(self, pace: Pace) -> None:
        """Measure how slow the session is, and report it to its members when it changes."""
        telemetry = self._context.telemetry
        telemetry.dilation.value = pace.dilation
        before = self._dilation.announced
        announced = self._dilation.step(pace.dilation, pace.period)
        if announced is None:
            return
        telemetry.dilated.value += (announced > 1.0) - (before > 1.0)
        self._audience.show_pace(announced)
        log.info("session_dilated", token=short(self.token), tick=self.core.tick, dilation=announced)

    async def _run_batch(self, batch: InputBatch, ticks: int) -> None:
        """Journal a batch, run it and publish the result."""
        inputs = list(batch.inputs)
        if inputs:
            for item, older in await self._publication.journal(batch):
                self.admissions.journaled(item, batch.tick, older)
        await self._require_lease()
        advance, seconds, deltas = await self._world.compute(
            batch, ticks, self._audience.wanted_deltas(time.monotonic()), self._settings.frame_error_mm / 1000
        )
        if seconds is None:
            advance = self._publication.new_events(advance)
        else:
            self._measure(advance, seconds)
            self._context.telemetry.readings.record(self.fence, advance, seconds, len(inputs))
        await self._show(advance, inputs, deltas)

    async def _wait(self) -> None:
        """Wait for an input, the turn's deadline or a request to hand over."""
        deadline = self.core.deadline
        look_s = self._settings.lease_ms / 3000  # check the lease at least this often
        try:
            async with asyncio.timeout(
                look_s if deadline is None else min(look_s, max(0.0, deadline - time.monotonic()))
            ):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _wait_while_paused(self) -> None:
        """Wait while the session is paused, by an operator or because nobody is connected: nothing steps, the turn
        clock is stopped, inputs wait. Also returns when the session must end, be handed over or check its lease."""
        began = time.monotonic()
        self._clock_stopped = True
        reason = UNATTENDED if self._unattended else "an operator has paused the session"
        self._audience.notify("paused", reason)
        log.info("session_paused", token=short(self.token), tick=self.core.tick, reason=reason)
        while (
            self._paused
            and not self._ending
            and self._handover_target is None
            and self._lease.lapses == self._lapses_seen
        ):
            self._wake.clear()
            await self._check_attendance()
            if not self._paused or self._ending:
                break
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                self.apply_orders(await self._lease.retry(lambda: self._context.runs.orders(self.token)))
        if not self._paused:
            log.info("session_resumed", token=short(self.token), after_s=round(time.monotonic() - began, 3))

    async def _end_early(self) -> None:
        """End the session without a result, because an operator asked for it or nobody is connected."""
        tick, reason = self.core.tick, self._end_reason
        await self._publication.end_early(tick, reason)
        log.info("session_ended", token=short(self.token), tick=tick, reason=reason)

    async def fail(self, reason: str) -> None:
        """End a session that cannot continue. Raises Fenced when another server holds it."""
        await self._publication.fail(self.core.tick, reason)

    async def _require_lease(self) -> None:
        """Continue only while the lease is held. While it has lapsed the session is paused and its turn clock is
        stopped. After every lapse the store is asked whether this server still holds the session. Raises Fenced."""
        lease = self._lease
        if lease.held() and lease.lapses == self._lapses_seen:
            return
        if not lease.held():
            self.announce_outage()
            log.warning("session_paused", token=short(self.token), tick=self.core.tick)
            await lease.ready()
        lapses, away_s = lease.lapses, lease.away_s - self._away_s
        self.core.extend(away_s)
        # No checkpoint here: the world may be ahead of what is public.
        await self._start_clock(use_local=away_s > 0 and not self._clock_stopped)
        self._lapses_seen = lapses
        log.info("session_resumed", token=short(self.token), after_s=round(away_s, 3))

    async def _start_clock(self, *, use_local: bool = False) -> None:
        """Resume the turn clock and notify clients. The time left is the local one (``use_local``) or the stored one.
        Raises Fenced when another server holds the session."""
        core, left_ms = self.core, None
        self._away_s = self._lease.away_s
        if use_local and core.deadline is not None:
            left_ms = round((core.deadline - time.monotonic()) * 1000)
        clock = await self._lease.retry(lambda: self._context.runs.start_clock(self.fence, left_ms))
        core.arm(time.monotonic() + clock.left_s)
        if not self._paused:
            self._audience.notify("resumed", "", 0 if core.deadline is None else clock.ends_at)

    async def _show(self, advance: Advance, inputs: list[Input], deltas: Sequence[Deltas] = ()) -> None:
        """Publish an advance: its frame directly to the audience, its events through the store."""
        await self._require_lease()
        if advance.topology is not None:
            self._audience.set_topology(advance.topology)
        self._audience.show(advance.frame, deltas)
        for item in inputs:
            came = self.admissions.shown(item)
            if came is not None:
                self._context.telemetry.input_seconds.observe(time.monotonic() - came)
        core, before = self.core, self.core.deadline
        core.took(advance, time.monotonic())  # first: an input may answer an event as soon as it is public
        if advance.phase == "over":
            result = await self._publication.finish(advance)
            log.info("session_ended", token=short(self.token), tick=advance.tick, winner=result.winner)
        elif advance.events:
            await self._publication.publish(advance)
            if core.deadline_s is not None and core.deadline != before:
                core.arm(time.monotonic() + core.deadline_s)  # the time that clients get begins now

    async def _save_checkpoint(self, tick: int) -> None:
        """Save the exact state to the archive and the store. Raises SolverFailed if its contact check fails."""
        await self._publication.save_checkpoint(tick, self._world, self.dt)

    def _recording_stopped(self, reason: str) -> None:
        self._context.telemetry.recordings_stopped.labels(reason=reason).inc()
        self._audience.notify("recording_stopped", reason)

    async def _hand_over(self, target: HolderAddress) -> bool:
        """Hand the session over between two ticks. Returns False if the target is gone; the run then continues."""
        self._handover_target = None
        await self._save_checkpoint(self.core.tick)
        await self._volume.flush()
        if not await self._lease.retry(lambda: self._context.claims.hand_over(self.fence, target)):
            return False
        log.info("session_handed_over", token=short(self.token), tick=self.core.tick, to=target.id)
        self._audience.close(CloseCode.MOVED, target.url)
        return True

    async def release(self) -> None:
        """Drop the world and answer the inputs that still wait. They are refused when the session is over; else
        they get None, and clients send them again."""
        self.admissions.release(
            Conflict("the session is over", code="not_running") if self._publication.over else None
        )
        self._context.telemetry.dilated.value -= self._dilation.announced > 1.0
        self._dilation = DilationWatch()
        await self._world.drop()

    def _measure(self, advance: Advance, seconds: float) -> None:
        telemetry = self._context.telemetry
        telemetry.ticks.inc(advance.ticks_run)
        telemetry.unconverged.inc(advance.unconverged)
        if advance.ticks_run:
            telemetry.tick_seconds.observe(seconds / advance.ticks_run)
        if advance.min_distance < float("inf"):
            telemetry.min_distance.observe(advance.min_distance)
