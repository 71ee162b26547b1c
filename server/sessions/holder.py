"""The sessions that this server holds: it starts, restores, claims, hands over and ends them.

    starting (event) ------------.
    claimed from a dead server --+--> Run.drive --> over | handed over | lost (fenced) | failed
    handed over to this server --'

There is one task per session. A failure ends only its own session, and its journal is kept. It must never end another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from tussle.lobby.claims import Claims, Unheld
from tussle.lobby.errors import (
    CloseCode,
    DamagedData,
    Fenced,
    LobbyError,
    ScriptError,
    SolverFailed,
    StoreError,
)
from tussle.lobby.lifecycle import WAITING, LifecycleEvent, Status
from tussle.lobby.logs import get_logger, short
from tussle.lobby.runs import Fence
from tussle.lobby.servers import HolderAddress, ServerInfo, Servers
from tussle.lobby.store.call_lanes import own_task
from tussle.lobby.store.stored_json import read_stored
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import Event
from tussle.server.fanout.audience import Audience
from tussle.server.fanout.audiences import Audiences
from tussle.server.sessions.context import SessionContext
from tussle.server.sessions.neighbours import Neighbours
from tussle.server.sessions.run import OPERATIONS, UNATTENDED, Run
from tussle.server.sessions.specification import make_fork_spec, make_spec
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulation import SessionSpec
from tussle.server.solver.pool import Pool

__all__ = ["Holder"]

log = get_logger("server.holder")

FORGET_S = 60.0
"""Time between two searches for dead servers that can be removed from the store [s]."""


class Holder:
    """All runs of this server."""

    def __init__(
        self,
        context: SessionContext,
        views: Views,
        claims: Claims,
        servers: Servers,
        pool: Pool,
        catalogue: Callable[[], dict[str, dict[str, Any]]],
        audiences: Audiences,
        on_neighbours: Callable[[], None],
    ) -> None:
        """on_neighbours: called when ``neighbours`` has changed."""
        self.runs: dict[str, Run] = {}
        self._context = context
        self._settings = context.settings
        self._views = views
        self._claims = claims
        self._servers = servers
        self._pool = pool
        self._catalogue = catalogue
        self._audiences = audiences
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._unheld_since: dict[str, float] = {}
        self._stopping = False
        self._handover_targets: dict[HolderAddress, int] = {}
        self._forgot = time.monotonic()
        self._look = asyncio.Event()
        self._neighbours = Neighbours(self.address.url)
        self._on_neighbours = on_neighbours
        self.met: set[str] = set()
        """Every server of the realm that was ever seen: pages that it served may still be open after it stopped."""

    # queries

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def tokens(self) -> list[str]:
        """The sessions that this server runs."""
        return list(self._tasks)

    def holds(self, token: str) -> bool:
        return token in self._tasks

    def dt_of(self, token: str) -> float:
        """Length of a tick of a session [s]; 0 if this server does not run it."""
        return self.runs[token].dt if token in self.runs else 0.0

    def bodies(self) -> dict[str, dict[str, Any]]:
        return self._catalogue()

    @property
    def neighbours(self) -> Sequence[str]:
        """Addresses of other servers of the realm, for clients, as of the last ``look_around``."""
        return self._neighbours.urls

    @property
    def address(self) -> HolderAddress:
        return self._context.lease.holder

    # start and restore

    def start_session(self, token: str, v: int) -> None:
        """Run a session whose status is starting; a second call changes nothing."""
        self._spawn(token, lambda: self._start(token, v))

    def restore_session(self, token: str) -> None:
        """Restore a session that the store assigns to this server; a second call changes nothing."""
        self._spawn(token, lambda: self._restore(token))

    def _spawn(self, token: str, work: Callable[[], Any]) -> None:
        if token in self._tasks or self._stopping:
            return
        task = own_task(work(), name=f"run-{token}")
        self._tasks[token] = task
        self._context.telemetry.sessions.set(len(self._tasks))
        task.add_done_callback(lambda _: self._ended(token))

    def _ended(self, token: str) -> None:
        self._tasks.pop(token, None)
        self.runs.pop(token, None)
        self._context.telemetry.sessions.set(len(self._tasks))
        self._audiences.drop_unwatched(token)

    async def _start(self, token: str, v: int) -> None:
        try:
            fence, members = await self._context.runs.begin(token, self.address)
            first = await self._context.lease.retry(lambda: self._context.forks.load_first(token))
            scene = await self._context.lease.retry(lambda: self._context.scenes.for_start(token))
        except LobbyError as error:
            log.warning("session_not_begun", token=short(token), code=error.reason, error=error.message)
            return
        audience = self._audiences.get(token, v)
        try:
            if first is None:
                spec = make_spec(fence, members, self._catalogue(), self._settings, scene)
            else:
                spec = make_fork_spec(fence, members, first)
        except LobbyError as error:
            await self._refuse(fence, error, audience)
            return
        state = b"" if first is None else first.state
        run = Run(fence, members, spec, self._pool, audience, self._context, state)

        async def start() -> None:
            await run.start()
            self._context.telemetry.started.inc()
            log.info("session_started", token=short(token), mode=fence.mode, seats=len(members))

        await self._run_to_end(run, audience, start)

    async def _restore(self, token: str) -> None:
        runs, lease = self._context.runs, self._context.lease
        try:
            resumed = await runs.resume(token, self.address)
            v = (await self._views.view(token)).v
            spec = await lease.retry(lambda: runs.load_spec(token))
        except LobbyError as error:
            log.warning("session_not_resumed", token=short(token), code=error.reason, error=error.message)
            return
        audience = self._audiences.get(token, v)
        if spec is None:
            await self._refuse(resumed.fence, SolverFailed("the session has no specification"), audience)
            return
        try:
            known = read_stored(spec, SessionSpec, "the specification of the session")
        except DamagedData as error:
            await self._refuse(resumed.fence, error, audience)
            return
        run = Run(resumed.fence, resumed.members, known, self._pool, audience, self._context)
        await self._run_to_end(run, audience, lambda: run.restore(resumed.events_tick))

    async def _run_to_end(self, run: Run, audience: Audience, set_up: Callable[[], Awaitable[None]]) -> None:
        """Set a run up and drive it. Every outcome is logged, and a failure ends the session."""
        token, runs, lease = run.token, self._context.runs, self._context.lease
        try:
            await set_up()
            self.runs[token] = run
            # Events that came before the run was in self.runs did not reach it: members who left, operators' orders.
            places = [(member.seat, member.player) for member in run.members]
            for member in await lease.retry(lambda: runs.members(token, places)):
                if member.left:
                    run.leave(member.seat)
            run.apply_orders(await lease.retry(lambda: runs.orders(token)))
            if self._stopping:
                self._hand_over(run)
            await run.drive()
        except Fenced as error:
            log.error("session_lost", token=short(token), error=error.message)
            await self._send_away(token, audience)
        except ScriptError as error:  # a bug: a restored run would fail again
            log.exception("session_failed", token=short(token), code=error.reason, error=error.message)
            await self._fail(run, error.reason)
        except StoreError as error:
            # The store still names this server as holder: the next look_around restores the session.
            log.error("session_interrupted", token=short(token), error=error.message)
        except LobbyError as error:
            log.exception("session_failed", token=short(token), code=error.reason, error=error.message)
            await self._fail(run, error.reason)
        except Exception:
            log.exception("session_failed", token=short(token))
            await self._fail(run, "server_error")
        finally:
            self.runs.pop(token, None)  # before release, so that no input is queued after it
            audience.dismiss()
            await run.release()

    async def _send_away(self, token: str, audience: Audience) -> None:
        """Close the connections with the address of the server that holds the session now."""
        try:
            url = (await self._views.holder_of(token))[0].url
        except LobbyError:
            url = ""
        audience.close(CloseCode.MOVED, url)

    async def _fail(self, run: Run, reason: str) -> None:
        """End a session that cannot continue. If that fails too, the sweep finds it without a holder."""
        try:
            await run.fail(reason)
        except LobbyError as error:
            log.error("session_not_ended", token=short(run.token), error=error.message)

    async def _refuse(self, fence: Fence, error: LobbyError, audience: Audience) -> None:
        """End a session for which no run can be made."""
        log.error("session_failed", token=short(fence.session), code=error.reason, error=error.message)
        try:
            published = await self._context.runs.finish(
                fence, 0, [], None, event=LifecycleEvent.FAILED, reason=error.reason
            )
        except LobbyError as refusal:
            log.error("session_not_ended", token=short(fence.session), error=refusal.message)
        else:
            audience.offer(published.events)
            self._context.telemetry.finished.labels(event="failed").inc()

    # claim and handover

    def look_soon(self) -> None:
        """Call ``look_around`` at once: a session may have been handed to this server."""
        self._look.set()

    async def watch(self) -> None:
        """Call ``look_around`` three times per lease period, and at once when requested, until cancelled."""
        period_s = self._settings.lease_ms / 3000
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(period_s):
                    await self._look.wait()
            self._look.clear()
            try:
                await self.look_around()
            except (
                LobbyError
            ) as error:  # Fenced: the lease must be taken again; otherwise the store is unreachable
                log.warning("store_waiting", work="look_around", error=error.message)

    async def announce_outages(self) -> None:
        """Tell the members of all sessions when the lease has lapsed, until cancelled. A run that waits for the store
        learns of it only when that call has failed."""
        lapsed = False
        while True:
            await asyncio.sleep(self._settings.lease_ms / 6000)
            before, lapsed = lapsed, not self._context.lease.held()
            if before and lapsed:  # seen twice: a process that was stopped for a while renews it first
                for run in self.runs.values():
                    run.announce_outage()

    async def look_around(self) -> None:
        """Claim sessions without a holder; restore those that the store assigns to this server. Raises StoreError."""
        lease = self._context.lease
        if self._stopping or not lease.held():
            return
        alive = await self._servers.alive()
        self.met.update({info.url for info in alive} - {self.address.url})
        if self._neighbours.update((info.url for info in alive), time.monotonic()):
            self._on_neighbours()
        unheld, ours = await self._claims.look(alive, self.address)
        for token, status in ours:
            if status != Status.STARTING:
                self.restore_session(token)
            elif not self.holds(token):
                self.start_session(token, await self._views.newest_v(token))
        now = time.monotonic()
        self._unheld_since = {one.session: self._unheld_since.get(one.session, now) for one in unheld}
        for one in unheld:
            if len(self) >= self._settings.max_sessions or not lease.held():
                return
            if self._may_claim(one, alive, now - self._unheld_since[one.session]):
                await self._claim(one)
        if now - self._forgot > FORGET_S:
            self._forgot = now
            await self._servers.forget_silent({(one.holder.id, one.holder.nonce) for one in unheld})

    def _may_claim(self, one: Unheld, alive: Sequence[ServerInfo], waited_s: float) -> bool:
        """Whether this server may claim a session. An expired lease of another holder counts only while this server's
        own lease is steady. An earlier boot of this server is always dead. A server of the same physics claims at once.
        A server of another physics waits CLAIM_OTHER_S, and claims only if no live server has the same physics."""
        if one.holder.id != self.address.id and not self._context.lease.steady():
            return False
        if one.physics_id in ("", physics_id()):
            return True
        return waited_s >= self._settings.claim_other_s and all(
            info.physics_id != one.physics_id for info in alive
        )

    async def _claim(self, one: Unheld) -> None:
        if one.status in WAITING:
            await self._claims.rehome(one.session, one.holder, self.address)
            return
        if not await self._claims.claim(one, self.address):
            return
        log.info("session_claimed", token=short(one.session), status=one.status, of=one.holder.id)
        if one.status == Status.STARTING:
            self.start_session(one.session, (await self._views.view(one.session)).v)
        else:
            self.restore_session(one.session)

    # shutdown

    async def stop(self) -> None:
        """Hand every session over to another server, at a tick boundary. A session that is being restored is handed
        over once it is restored. Without another server, sessions stay in the store until one starts. Takes at most
        GRACE_S."""
        self._stopping = True
        try:
            targets = [info for info in await self._servers.alive() if info.id != self.address.id]
        except StoreError:
            targets = []
        self._handover_targets = {
            HolderAddress(info.id, info.nonce, info.url): info.sessions for info in targets
        }
        for run in list(self.runs.values()):
            self._hand_over(run)
        if targets and self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=self._settings.grace_s / 2)
        for task in list(self._tasks.values()):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=self._settings.grace_s / 2)

    def _hand_over(self, run: Run) -> None:
        """Hand a run over to the server with the fewest sessions, if there is one."""
        if self._handover_targets:
            target = min(
                self._handover_targets, key=lambda address: (self._handover_targets[address], address.id)
            )
            self._handover_targets[target] += 1
            run.hand_over_to(target)

    def events_seen(self, token: str, event: Event) -> None:
        """Start, change or recheck a run because of an event of its session."""
        if event.t == "starting" and event.d.get("holder") == self.address.id:
            self.start_session(token, event.v)
        elif event.t == "recovered" and token in self.runs and event.epoch > self.runs[token].fence.epoch:
            self.runs[token].recheck_lease()
        elif event.t == "seat_left" and event.epoch > 0 and token in self.runs:
            self.runs[token].leave(int(event.d["seat"]))
        elif event.t in ("seat_connected", "seat_disconnected") and token in self.runs:
            self.runs[token].note_presence(int(event.d["seat"]), here=event.t == "seat_connected")
        elif event.d.get("reason") == UNATTENDED:
            pass  # published by the run itself
        elif event.t in OPERATIONS and token in self.runs:
            self.runs[token].apply_operation(event.t)
