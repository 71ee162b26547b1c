"""The two solvers of the spring-damper: each reads a state from one stream and writes its step to the other.

    positions --> velocity solver --> velocities --> position solver --> positions --> ...

    read from the group -> step -> spring_step.lua (write and acknowledge, both or neither) -> next stream
                                     `-- in the same round trip: the next blocking read

Each step is written exactly once: the script compares the step's n with the newest n of its run, so that a repeated
delivery changes nothing. Deliveries repeat when a replica dies or when the group is created again. The equations are in
lobby/rules/spring.py; this module must never change a number.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable

import msgspec

from tussle.lobby.backoff import Backoff
from tussle.lobby.errors import LobbyError, StoreError
from tussle.lobby.ids import new_secret
from tussle.lobby.logs import get_logger
from tussle.lobby.rules.spring import Spring, SpringState, decode_state, encode_state
from tussle.lobby.settings import Settings
from tussle.lobby.spring_runs import spring_of
from tussle.lobby.store.consumer_group import ConsumerGroup, Entry
from tussle.lobby.store.store import Store
from tussle.worker.stopping import wait_for_stop

__all__ = ["StreamSolver", "make_position_solver", "make_velocity_solver"]

log = get_logger("worker.spring")

RUN_TTL_S = 604_800
"""A run without a step for a week is forgotten. Its entries should be trimmed by then."""

RETRY_BASE_S = 0.05
RETRY_CAP_S = 1.0

UP_MS = 3000
"""Lifetime of the key that says that a solver is up; the solver renews it three times in this time."""

BLOCK_S = 0.5
"""Longest wait of a read, and so the longest time that a stop takes."""


class StreamSolver:
    """One replica of one solver. ``run`` returns after ``stop`` or after SPRING_IDLE_S without an entry."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        name: str,
        source: str,
        sink: str,
        spring: Spring,
        step: Callable[[SpringState], SpringState | None],
    ) -> None:
        self.steps = 0
        self._store = store
        self._settings = settings
        self._name = name
        self._sink = sink
        self._field = sink.rsplit(":", 1)[-1]
        self._step = step
        self._spring = msgspec.json.encode(spring).decode()
        self._group = ConsumerGroup(
            store,
            source,
            name,
            f"{name}-{new_secret()[:8]}",
            claim_idle_s=settings.claim_idle_s,
            block_s=BLOCK_S,
        )
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Make ``run`` return after the current entries."""
        self._stopping.set()

    async def run(self) -> None:
        """Solve until ``stop`` or the idle time, then leave the group. Waits for a store that is unreachable."""
        log.info("solver_started", solver=self._name, stream=self._group.stream)
        announcing = asyncio.create_task(self._announce(), name=f"{self._name}-up")
        try:
            await self._solve()
        finally:
            announcing.cancel()
            await asyncio.wait([announcing])
        await self._leave()

    async def _announce(self) -> None:
        """Keep the key that says that a solver of this name is up. ``_solve`` logs an unreachable store."""
        while True:
            with contextlib.suppress(StoreError):
                await self._store.call("SET", self._store.keys.spring_solver(self._name), "1", "PX", UP_MS)
            await asyncio.sleep(UP_MS / 3000)

    async def _solve(self) -> None:
        backoff = Backoff(random.Random(), base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S)
        ensured = False
        worked = time.monotonic()
        while not self._stopping.is_set() and not self._idle(worked):
            try:
                if not ensured:
                    await self._group.ensure()
                    ensured = True
                entries = await self._read()
                while entries:
                    worked = time.monotonic()
                    entries = await self._step_all(entries)
                backoff.reset()
            except StoreError as error:
                if not backoff.attempts:
                    log.warning("store_waiting", solver=self._name, error=error.message)
                await wait_for_stop(self._stopping, backoff.next_s())

    async def _read(self) -> list[Entry]:
        """Return claimed entries if a claim is due and finds some, else new entries."""
        if self._group.claim_due():
            claimed = await self._group.claim()
            if claimed:
                return claimed
            await self._group.remove_dead_consumers()
        return await self._group.read()

    def _idle(self, worked: float) -> bool:
        return 0 < self._settings.spring_idle_s < time.monotonic() - worked

    async def _leave(self) -> None:
        try:
            last = await self._group.leave(remove_last=True)
        except LobbyError as error:
            log.warning("group_not_left", solver=self._name, error=error.message)
        else:
            log.info("solver_stopped", solver=self._name, steps=self.steps, group_removed=last)

    async def _step_all(self, entries: list[Entry]) -> list[Entry]:
        """Step and acknowledge the entries, and return the next ones, read in the same round trip."""
        calls: list[tuple[list[str], list[str | int]]] = []
        done: list[str] = []
        for entry in entries:
            stepped = self._step_call(entry)
            if stepped is None:
                done.append(entry.id)
            else:
                calls.append(stepped)
        then: list[tuple[str | int, ...]] = []
        if done:
            then.append(("XACK", self._group.stream, self._group.name, *done))
        reads = not self._stopping.is_set() and not self._group.claim_due()
        if reads:
            then.append(self._group.read_command)
        answers, replies = await self._store.chain("spring_step", calls, *then)
        for answer in answers:
            if isinstance(answer, StoreError):
                raise answer  # the entry stays pending and is delivered again
            self.steps += int(answer[1])
        if not reads:
            return []
        if isinstance(replies[-1], StoreError):
            return await self._group.recover(replies[-1])
        return self._group.decode_reply(replies[-1])

    def _step_call(self, entry: Entry) -> tuple[list[str], list[str | int]] | None:
        """Return the KEYS and ARGV of spring_step.lua for one entry; None if there is nothing to write."""
        try:
            name = entry.fields["name"]
            state = decode_state(entry.fields["out"])
        except (KeyError, ValueError) as error:
            log.warning("entry_refused", solver=self._name, entry=entry.id, error=repr(error))
            return None
        if not state.run:
            state = SpringState(x=state.x, v=state.v, t=state.t, n=state.n, run=entry.id)
        after = self._step(state)
        if after is None:
            return None
        keys = [self._group.stream, self._sink, self._store.keys.spring_run(state.run)]
        return keys, [
            self._group.name, entry.id, self._field, after.n, self._settings.spring_kept, RUN_TTL_S,
            name, encode_state(state), encode_state(after), self._spring,
        ]  # fmt: skip


def make_velocity_solver(store: Store, settings: Settings) -> StreamSolver:
    """Return a solver that reads positions and writes the next velocities, until the cycles of a run are done."""
    spring = spring_of(settings)
    return StreamSolver(
        store,
        settings,
        name="velocity",
        source=store.keys.positions,
        sink=store.keys.velocities,
        spring=spring,
        step=spring.step_velocity,
    )


def make_position_solver(store: Store, settings: Settings) -> StreamSolver:
    """Return a solver that reads velocities and writes the next positions."""
    spring = spring_of(settings)
    return StreamSolver(
        store,
        settings,
        name="position",
        source=store.keys.velocities,
        sink=store.keys.positions,
        spring=spring,
        step=spring.step_position,
    )
