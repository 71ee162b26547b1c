"""Makes the first state of a fork: the state after a tick of an archived session, bit for bit.

    archive -> excerpt (child process) -> restore in a solver process -> inputs, ticks -> hash as recorded? -> release

If another physics recorded the ticks, the state is that of the nearest checkpoint, and the fork is not exact. A fork
costs work for one client, so at most AT_ONCE are made at once, at most WAITING wait, and each has limits of ticks and
time. The world is a copy: the session's own world is never changed. This module must never open a lobby.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from tussle.lobby.errors import ClientError, Conflict, Diverged, RateLimited, Refused, SolverFailed
from tussle.lobby.forks import FirstState, Forks
from tussle.lobby.ids import new_secret
from tussle.lobby.logs import get_logger, short
from tussle.server.archive.excerpt import Excerpt, read_excerpt, require_archived
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulation import Advance, Input, Origin, SessionSpec
from tussle.server.solver.pool import Pool
from tussle.server.solver.solver_calls import Solver

__all__ = ["Forking", "MadeFork"]

log = get_logger("server.forking")

AT_ONCE, WAITING = 2, 8
"""Most forks of one server that are made at once, and most that wait."""

WAIT_S = 25.0
"""Longest wait until a fork is begun [s]."""

BUSY_S = 2.0
"""Time after which a client should ask again when too many wait [s]."""

SIMULATE_S = 30.0
"""Time in which the state must be reached [s]."""

STATE_BYTES = 4 * 2**20
"""Largest state and specification of a fork [B]. They are in the store until the fork runs."""

TRIES = 3
"""Most attempts. Another one follows when the solver process is lost because of another world."""


@dataclass(frozen=True, slots=True)
class MadeFork:
    """The first state of a fork of ``origin.parent``. spec: as in ``first``. private: of the parent, as its archive
    has it; None if it does not say. out: seats that are out in that state. ticks: simulated."""

    spec: SessionSpec
    origin: Origin
    first: FirstState
    private: bool | None
    out: tuple[int, ...]
    ticks: int


class Forking:
    """The forks that one server makes. most_ticks: that are simulated for one fork."""

    def __init__(self, archive_url: str, pool: Pool, forks: Forks, most_ticks: int) -> None:
        self._url = archive_url
        self._pool = pool
        self._forks = forks
        self._most_ticks = most_ticks
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._asked = 0

    async def make(self, session: str, tick: int) -> MadeFork:
        """The first state of a fork. Raises NotFound (not_archived, tick_not_recorded), ProtocolError
        (damaged_archive), Conflict (session_over), Refused (no_fork, too_far, too_slow_to_fork, too_large_to_fork),
        RateLimited (forks_busy), Diverged, SolverFailed, StoreError."""
        async with self._turn():
            began = time.monotonic()
            await require_archived(self._url, session)
            await self._forks.pin(session)
            excerpt = await read_excerpt(self._url, session, tick)
            exact = set(excerpt.physics) == {physics_id()}
            if not exact:
                begin = excerpt.checkpoint[0]
                excerpt = msgspec.structs.replace(excerpt, tick=begin, digest=excerpt.digest_kept, inputs=[])
            missing = excerpt.tick - excerpt.checkpoint[0]
            if missing > self._most_ticks:
                raise Refused(
                    f"the nearest checkpoint is at tick {excerpt.checkpoint[0]}, {missing} ticks before; a fork "
                    f"simulates at most {self._most_ticks}",
                    code="too_far",
                    field="tick",
                )
            try:
                async with asyncio.timeout(SIMULATE_S):
                    made = await self._compute(session, excerpt, exact=exact)
            except TimeoutError:
                raise Refused(
                    f"tick {tick} cannot be reached from tick {excerpt.checkpoint[0]} in time",
                    code="too_slow_to_fork",
                    field="tick",
                ) from None
            log.info(
                "fork_made", token=short(session), tick=made.origin.tick, exact=exact, ticks=made.ticks,
                state=len(made.first.state), seconds=round(time.monotonic() - began, 3),
            )  # fmt: skip
            return made

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until a fork may begin. Raises RateLimited (forks_busy) if too many wait, or after WAIT_S."""
        busy = RateLimited("too many forks are being made", code="forks_busy", retry_after=BUSY_S)
        if self._asked >= AT_ONCE + WAITING:
            raise busy
        self._asked += 1
        try:
            try:
                async with asyncio.timeout(WAIT_S):
                    await self._slots.acquire()
            except TimeoutError:
                raise busy from None
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._asked -= 1

    async def _compute(self, session: str, excerpt: Excerpt, *, exact: bool) -> MadeFork:
        for attempt in range(1, TRIES + 1):
            name = f"fork-{new_secret()[:12]}"
            solver = self._pool.place(name)
            try:
                return await self._compute_in(solver, name, session, excerpt, exact=exact)
            except SolverFailed as error:
                if error.reason != "solver_lost" or attempt == TRIES:
                    raise
            finally:
                await solver.drop_world(name)
        raise AssertionError("the last attempt returns or raises")

    async def _compute_in(
        self, solver: Solver, name: str, session: str, excerpt: Excerpt, *, exact: bool
    ) -> MadeFork:
        begin, checkpoint = excerpt.checkpoint
        try:
            here = await solver.restore_world(excerpt.spec, checkpoint, epoch=0, name=name)
        except ClientError as error:
            if error.reason == "unknown_mode":
                raise
            if exact:
                raise Diverged(
                    f"the checkpoint of tick {begin} cannot be restored: {error.message}"
                ) from error
            raise Refused(
                f"the session was recorded by another version, and its states cannot be read: {error.message}",
                code="no_fork",
                field="tick",
            ) from error
        here = await self._simulate(solver, name, here, excerpt)
        digest, state = await solver.release_world(name)
        recorded = excerpt.digest
        if not recorded and excerpt.spec.fork is not msgspec.UNSET and excerpt.tick == excerpt.spec.fork.tick:
            recorded = bytes.fromhex(excerpt.spec.fork.hash)
        if exact and recorded and digest != recorded:
            raise Diverged(f"the simulation computes another state of tick {excerpt.tick} than was recorded")
        if here.phase == "over":
            raise Conflict(f"the session is over at tick {here.tick}", code="session_over", field="tick")
        origin = Origin(session, here.tick, digest.hex(), hashlib.sha256(state).hexdigest(), exact)
        spec = msgspec.structs.replace(excerpt.spec, fork=origin)
        encoded = msgspec.json.encode(spec)
        if len(state) + len(encoded) > STATE_BYTES:
            raise Refused(
                f"the state has {len(state) + len(encoded)} bytes, a fork at most {STATE_BYTES}",
                code="too_large_to_fork",
                field="tick",
            )
        await solver.begin_world(spec, state, epoch=0, name=name)  # Refused if the fork could not begin
        out = tuple(seat for seat, standing in here.standing.items() if standing.out)
        return MadeFork(spec, origin, FirstState(encoded, state), excerpt.private, out, here.tick - begin)

    async def _simulate(self, solver: Solver, name: str, here: Advance, excerpt: Excerpt) -> Advance:
        """From the checkpoint to the tick. Raises Diverged if the record cannot be followed."""
        inputs: dict[int, list[Input]] = {}
        for tick, given in excerpt.inputs:
            inputs.setdefault(tick, []).append(given)
        stops = sorted(inputs)
        usage = self._pool.usage.get(name, time.monotonic())
        while here.tick < excerpt.tick:
            first = inputs.get(here.tick + 1, [])
            if here.phase == "over" or (here.phase == "acting" and not first):
                raise Diverged(f"at tick {here.tick} the record does not go on")
            following = next((tick for tick in stops if tick > here.tick + 1), excerpt.tick + 1)
            ticks = min(usage.ticks_per_call, following - 1 - here.tick, excerpt.tick - here.tick)
            try:
                here, *_ = await solver.step_world(name, first, ticks)
            except ClientError as error:
                raise Diverged(f"an input of tick {here.tick + 1} does not fit: {error.message}") from error
        return here
