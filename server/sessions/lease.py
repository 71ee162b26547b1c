"""The server's lease: the one heartbeat that covers all of its sessions, and the check before every effect.

    sent ........ 2/3 period ........ period
     |   held        |   lapsed: stop     |  expired in the store: other servers may claim

The age counts from when a renewal was sent, on the monotonic clock of this process. A process that was stopped and
woken therefore finds its lease lapsed before it acts. The simulation must never use it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tussle.lobby.errors import Fenced, ScriptError, StoreError
from tussle.lobby.logs import get_logger
from tussle.lobby.servers import HolderAddress, Servers
from tussle.lobby.store.call_lanes import for_lease
from tussle.server.metrics.telemetry import Telemetry

__all__ = ["Lease"]

log = get_logger("server.lease")

T = TypeVar("T")

RETRY_S = 0.1
"""Pause between two attempts of a store call that must not be skipped [s]."""

SCRIPT_TRIES = 3
"""Consecutive failures of a script after which its call is given up: the script has a bug."""


class Lease:
    """Renewed by one task. Check ``held`` before every step and send. ``lost``: another boot took the id."""

    def __init__(
        self,
        servers: Servers,
        holder: HolderAddress,
        *,
        physics_id: str,
        internal_url: str,
        period_ms: int,
        load: Callable[[], Sequence[str]],
        telemetry: Telemetry,
        max_sessions: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.holder = holder
        self.lost = asyncio.Event()
        self._servers = servers
        self._physics_id = physics_id
        self._internal_url = internal_url
        self._period_ms = period_ms
        self._load = load
        self._max_sessions = max_sessions
        self._telemetry = telemetry
        self._clock = clock
        self._sent = float("-inf")
        self._steady_since = float("inf")
        self._counted = float("-inf")
        self.lapses = 0
        """How often a renewal came too late. After each, every run asks the store if this server still holds it."""
        self.away_s = 0.0
        """Total time of all lapses [s]. Every turn clock is stopped for that time."""

    def age(self) -> float:
        """Seconds since the last acknowledged renewal was sent."""
        return self._clock() - self._sent

    def held(self) -> bool:
        return not self.lost.is_set() and self.age() < self._period_ms / 1000 * 2 / 3

    async def ready(self) -> None:
        """Wait until the lease is held. Raises Fenced when it is lost for good."""
        while not self.held():
            if self.lost.is_set():
                raise Fenced("the lease of this server is lost")
            await asyncio.sleep(self._period_ms / 12_000)

    async def retry(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a store call until the store answers, and return the answer. The call must be idempotent.

        Raises Fenced when the session or the lease is lost, and ScriptError when the script failed SCRIPT_TRIES times
        in a row. It is then certain that the call was not applied: a repeat of an applied call succeeds.
        """
        faults = 0
        while True:
            try:
                return await call()
            except ScriptError as error:
                faults += 1
                log.error("script_failed", attempt=faults, code=error.reason, error=error.message)
                if faults >= SCRIPT_TRIES:
                    raise
                await asyncio.sleep(RETRY_S)
            except StoreError as error:
                faults = 0
                log.warning("store_waiting", error=error.message)
                await asyncio.sleep(RETRY_S)
                if self.lost.is_set():
                    raise Fenced("the lease of this server is lost") from error

    def steady(self) -> bool:
        """Whether the store has answered for a whole period. Only then does an expired lease of another server mean
        that the server is gone: after an outage of the store every lease has expired."""
        return self.held() and self._clock() - self._steady_since >= self._period_ms / 1000

    async def acquire(self) -> None:
        """Take the lease. If an earlier boot has the same server id, wait until its lease has ended. Raises StoreError;
        Fenced when that boot still renews."""
        deadline = self._clock() + self._period_ms / 1000 * 4 / 3
        while True:
            sent = self._clock()
            try:
                with for_lease():
                    await self._register()
                break
            except Fenced:
                if self._clock() > deadline:
                    raise
                log.warning("server_id_taken", server=self.holder.id)
            await asyncio.sleep(self._period_ms / 6000)
        self._sent = self._steady_since = sent

    async def _register(self) -> None:
        await self._servers.register(
            self.holder.id,
            self.holder.nonce,
            self.holder.url,
            self._physics_id,
            self._period_ms,
            internal_url=self._internal_url,
            max_sessions=self._max_sessions,
        )

    async def keep(self) -> None:
        """Renew three times a period until cancelled or lost. Retries while the store is unreachable."""
        while not self.lost.is_set():
            await asyncio.sleep(self._period_ms / 3000)
            sent = self._clock()
            try:
                with for_lease():
                    await self._renew(sent)
            except StoreError as error:
                self._steady_since = float("inf")
                log.warning("lease_not_renewed", age_s=round(self.age(), 3), error=error.message)
            self._telemetry.lease_age.set(min(self.age(), 1e6))

    async def _renew(self, sent: float) -> None:
        if not self.held():
            self._steady_since = float("inf")
        if not await self._servers.renew(self.holder.id, self.holder.nonce, self._period_ms, self._load()):
            # The lease ended while this process was stopped or the store was unreachable. A server that claimed a
            # session fences it.
            try:
                await self._register()
            except Fenced:
                log.error("lease_lost", server=self.holder.id)
                self.lost.set()
                return
            log.warning("lease_taken_again", server=self.holder.id)
        now = self._clock()
        lapsed_from = max(self._sent + self._period_ms / 1000 * 2 / 3, self._counted)
        if now >= lapsed_from:
            self.lapses += 1
            self.away_s += now - lapsed_from
            self._counted = now
        self._sent = sent
        self._steady_since = min(self._steady_since, sent)

    async def release(self) -> None:
        await self._servers.release(self.holder.id, self.holder.nonce)
