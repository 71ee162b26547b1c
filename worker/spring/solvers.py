"""The loop that both spring-damper solvers share: read a state, step it, write the step and acknowledge, once.

    source stream -> group -> step -> spring_step.lua (write + acknowledge, both or neither) -> sink stream
                                        `-- in the same round trip: the next blocking read

Exactly-once in effect: the script compares the step's n with the newest n of its run, so that a repeated delivery (a
dead replica's, or a group made anew) changes nothing. This module knows no equation.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import msgspec

from tussle.lobby.errors import LobbyError, StoreError
from tussle.lobby.ids import new_secret
from tussle.lobby.logs import get_logger
from tussle.lobby.rules.spring import Spring, SpringState, decode_state, encode_state
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.worker.group import Entry, Group

__all__ = ["StreamSolver"]

log = get_logger("worker.spring")

RUN_TTL_S = 604_800
"""A run that rests for a week is forgotten; its entries should be trimmed by then."""

RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)

UP_MS = 3000
"""How long a solver that no longer says that it is up counts as up."""


class StreamSolver:
    """One replica of one solver. ``run`` returns after ``stop`` or the idle time, out of its group."""

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
        self._group = Group(
            store, source, name, f"{name}-{new_secret()[:8]}", claim_idle_s=settings.claim_idle_s
        )
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Finish what is under way and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Solve until ``stop`` or the idle time. A store that is away is waited for."""
        log.info("solver_started", solver=self._name, stream=self._group.stream)
        told = asyncio.create_task(self._tell(), name=f"{self._name}-up")
        try:
            await self._solve()
        finally:
            told.cancel()
            await asyncio.wait([told])
        await self._leave()

    async def _tell(self) -> None:
        """Keep saying that a solver of this name is up, for those who begin runs. While the store is away, say nothing:
        the loop beside does."""
        while True:
            with contextlib.suppress(StoreError):
                await self._store.call("SET", self._store.keys.spring_solver(self._name), "1", "PX", UP_MS)
            await asyncio.sleep(UP_MS / 3000)

    async def _solve(self) -> None:
        failures = 0
        opened = False
        worked = time.monotonic()
        while not self._stopping.is_set() and not self._idle(worked):
            try:
                if not opened:
                    await self._group.open()
                    opened = True
                entries = await self._group.read()
                while entries:
                    worked = time.monotonic()
                    entries = await self._work(entries)
                failures = 0
            except StoreError as error:
                if not failures:
                    log.warning("store_waiting", solver=self._name, error=error.message)
                pause = RETRY_S[min(failures, len(RETRY_S) - 1)]
                failures += 1
                try:
                    async with asyncio.timeout(pause):
                        await self._stopping.wait()
                except TimeoutError:
                    continue

    def _idle(self, worked: float) -> bool:
        return 0 < self._settings.spring_idle_s < time.monotonic() - worked

    async def _leave(self) -> None:
        try:
            last = await self._group.leave()
        except LobbyError as error:
            log.warning("group_not_left", solver=self._name, error=error.message)
        else:
            log.info("solver_stopped", solver=self._name, steps=self.steps, group_removed=last)

    async def _work(self, entries: list[Entry]) -> list[Entry]:
        """Step every entry and read on in the same round trip; returns what came next."""
        calls: list[tuple[list[str], list[str | int]]] = []
        done: list[str] = []
        for entry in entries:
            stepped = self._stepped(entry)
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
                raise answer  # its entry stays pending and comes again
            self.steps += int(answer[1])
        if not reads:
            return []
        if isinstance(replies[-1], StoreError):
            return await self._group.recover(replies[-1])
        return self._group.taken(replies[-1])

    def _stepped(self, entry: Entry) -> tuple[list[str], list[str | int]] | None:
        """The script's KEYS and ARGV for one entry; None when there is nothing to write."""
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
