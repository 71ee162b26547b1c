"""What a run makes durable and public: its journal, its events, its checkpoints and its end.

    inputs  -> journal ------.
    advance -> publish -------+--> the store, each write fenced and retried while the lease is held
    world   -> checkpoint ----+--> archive volume and recording first, so that no tick is in neither
    result  -> finish, close -'

Events are offered to the audience once the store has them. No event is published twice: the store refuses it, and a
rebuilt world's events are compared with the tick that was last made public. This module must never step a world.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from tussle.lobby.errors import SolverFailed
from tussle.lobby.filling import PRACTICE_SKILL
from tussle.lobby.lifecycle import LifecycleEvent
from tussle.lobby.runs import Fence, Member, TickEvent
from tussle.lobby.wire.numbers import as_sent, events_as_sent
from tussle.server.archive.archive import Volume
from tussle.server.fanout.audience import Audience
from tussle.server.modes.mode import Result
from tussle.server.modes.registry import get_mode
from tussle.server.recordings.recorder import Recorder
from tussle.server.sessions.context import SessionContext
from tussle.server.sessions.core import InputBatch
from tussle.server.sessions.recovery import DurableWorld, JournalEntry
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulation import Advance, Input

__all__ = ["Publication", "is_rated"]


def is_rated(mode: str, members: Sequence[Member]) -> bool:
    """Whether a session changes ratings: one of a rated mode, unless somebody practises against a bot that never
    moves."""
    return get_mode(mode).rated and not any(member.skill == PRACTICE_SKILL for member in members)


class Publication:
    """The durable and public side of one claim of a session. Every call raises Fenced when another server holds the
    session, and StoreError when the store did not answer while the lease was held."""

    def __init__(
        self,
        fence: Fence,
        members: Sequence[Member],
        audience: Audience,
        volume: Volume,
        recorder: Recorder,
        context: SessionContext,
    ) -> None:
        self.over = False
        """Whether the end of the session is in the store."""
        self._fence = fence
        self._members = members
        self._audience = audience
        self._volume = volume
        self._recorder = recorder
        self._context = context
        self._retry = context.lease.retry
        self._journal_id = ""
        self._last_ids: dict[int, int] = {}
        self._published_tick = -1

    # a session that continues

    def resume(self, events_tick: int, journal_id: str) -> None:
        """Continue a session: its events are public up to ``events_tick``, its newest input has this id."""
        self._published_tick, self._journal_id = events_tick, journal_id

    def diverged_at(self, tick: int) -> None:
        """The world differs from the published one after ``tick``: later events are published again."""
        self._published_tick = min(self._published_tick, tick)

    def count(self, given: Input | JournalEntry) -> None:
        """Count an input that is journaled: the newest id of each seat is shown in the store."""
        self._last_ids[given.seat] = max(self._last_ids.get(given.seat, 0), given.id)

    def new_events(self, rebuilt: Advance) -> Advance:
        """The same state with only the events that are not public yet."""
        events = [event for event in rebuilt.events if event[0] > self._published_tick]
        return msgspec.structs.replace(rebuilt, events=events)

    async def diverged_events(self, rebuilt: Advance) -> Advance:
        """The same state with the events to publish when the world differs from the published one. Events that are
        public stay public. The turn that waits now is published again, since it may differ."""
        events = [event for event in rebuilt.events if event[0] > self._published_tick]
        if rebuilt.phase == "acting" and not any(kind == "turn_started" for _, kind, _ in events):
            turns: list[TickEvent | None] = [event for event in rebuilt.events if event[1] == "turn_started"]
            if not turns:
                runs, tick = self._context.runs, rebuilt.tick
                turns = [await self._retry(lambda: runs.last_turn(self._fence.session, tick))]
            if turns[-1] is not None:
                events.append((turns[-1][0], turns[-1][1], dict(turns[-1][2])))
        return msgspec.structs.replace(rebuilt, events=events)

    # one advance

    async def journal(self, batch: InputBatch) -> list[tuple[Input, tuple[int, ...]]]:
        """Write the batch to the journal. Returns its inputs, each with the ids of those that it superseded: they may
        be acknowledged now, since a journaled input is never lost."""
        began = time.monotonic()
        inputs = [(item, tuple(batch.superseded.get((item.seat, item.id), ()))) for item in batch.inputs]
        entries = [JournalEntry.of(item, older).encode() for item, older in inputs]
        await self._retry(lambda: self._context.runs.journal(self._fence, batch.tick, entries))
        self._context.telemetry.journal_seconds.observe(time.monotonic() - began)
        self._journal_id = f"{batch.tick}-{len(entries)}"
        for item, _ in inputs:
            self.count(item)
        return inputs

    async def publish(self, advance: Advance) -> None:
        """Publish the events of an advance, and what it changed."""
        fields: dict[str, Any] = {
            "tick": advance.tick, "round": advance.round, "turn": advance.turn,
            "turn_seat": "" if advance.seat is None else advance.seat,
        }  # fmt: skip
        events = events_as_sent(advance.events)
        brief = next((d for _, kind, d in reversed(events) if kind == "turn_started"), None)
        if brief is not None:
            fields["brief"] = orjson.dumps(brief).decode()
        deadline_ms = (
            None if brief is None or advance.deadline_s is None else round(advance.deadline_s * 1000)
        )
        published = await self._retry(
            lambda: self._context.runs.publish(
                self._fence, advance.tick, events, fields, self._seat_fields(advance), deadline_ms
            )
        )
        self._published_tick = advance.tick
        self._audience.offer(published.events)

    def _seat_fields(self, advance: Advance) -> dict[str, dict[str, Any]]:
        """The fields of each player in the store."""
        return {
            member.player: {
                "health": round(standing.health, 3),
                "score": round(standing.points, 3),
                "out": int(standing.out),
                "last_id": self._last_ids.get(member.seat, 0),
            }
            for member in self._members
            if (standing := advance.standing.get(member.seat)) is not None
        }

    async def save_checkpoint(self, tick: int, world: DurableWorld, dt: float) -> None:
        """Save the exact state of ``world`` to the archive and the store, with the length of a tick [s]. Raises
        SolverFailed if its contact check fails."""
        began = time.monotonic()
        taken = await world.take_checkpoint(tick, check_contact=self._context.settings.prove)
        if taken.contact_ok is not None:
            self._context.telemetry.contact_checks.labels(holds=str(taken.contact_ok).lower()).inc()
            if not taken.contact_ok:
                raise SolverFailed(f"the contact check fails at tick {taken.tick}: {taken.contact_report}")
        self._recorder.begin_save(taken.tick)
        self._volume.keep(taken.tick, taken.data)
        archived = await self._volume.flush()  # before the checkpoint, so that no tick is in neither
        mark = await self._recorder.saved()
        await self._retry(
            lambda: self._context.runs.checkpoint(
                self._fence,
                taken.tick,
                taken.data,
                self._journal_id,
                {**self._volume.fields, "physics_id": physics_id(), "dt": dt},
                recording=mark,
            )
        )
        self._recorder.committed(mark)
        if archived >= taken.tick:
            await self._retry(lambda: self._context.runs.trim_journal(self._fence, taken.tick))
        world.checkpoint_saved(taken.tick)
        self._context.telemetry.checkpoint_seconds.observe(time.monotonic() - began)

    # the end

    async def finish(self, advance: Advance) -> Result:
        """End the session with the result of its last advance, and return it. Raises SolverFailed if there is none."""
        result = advance.result
        if result is None:
            raise SolverFailed("the session is over without a result")
        document = as_sent(msgspec.to_builtins(result, str_keys=True))
        document["rated"] = is_rated(self._fence.mode, self._members)
        document["players"] = {str(member.seat): member.player for member in self._members}
        await self._volume.flush()
        fields = {"tick": advance.tick, "round": advance.round, "turn": advance.turn}
        await self._end(
            advance.tick,
            events_as_sent(advance.events),
            document,
            LifecycleEvent.ENDED,
            result.cause,
            fields=fields,
            seats=self._seat_fields(advance),
        )
        await self._volume.end(advance.tick)
        return result

    async def end_early(self, tick: int, reason: str) -> None:
        """End the session at ``tick`` without a result."""
        await self._volume.flush()
        await self._end(tick, [], None, LifecycleEvent.ENDED, reason)
        await self._volume.end(tick)

    async def fail(self, tick: int, reason: str) -> None:
        """End a session that cannot continue."""
        await self._end(tick, [], None, LifecycleEvent.FAILED, reason)
        await self._volume.end()

    async def _end(
        self,
        tick: int,
        events: Sequence[TickEvent],
        document: dict[str, Any] | None,
        event: LifecycleEvent,
        reason: str,
        **more: Any,
    ) -> None:
        mark = await self._recorder.finish(tick)
        published = await self._retry(
            lambda: self._context.runs.finish(
                self._fence, tick, events, document, event=event, reason=reason, recording=mark, **more
            )
        )
        self.over = True
        self._audience.offer(published.events)
        self._context.telemetry.finished.labels(event=event.value).inc()
