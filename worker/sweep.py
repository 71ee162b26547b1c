"""The sweep: a pass over the store that repairs what a lost event or a dead process left behind.

    timer is due                                     -> executed (checked twice a second too)
    lobby waits, its holder is dead                  -> moved to another holder
    session runs, unclaimed for ABANDON_S            -> failed, with reason holder_lost
    session is over, not cleaned up                  -> awarded and expired
    session is on an index, its keys are gone        -> removed, with the event "expired"
    session is over, counts in a share               -> removed from the share
    session needs fewer bots than are held for it    -> the others are given back
    session has keys, is on no index                 -> indexed, or expired
    player on a leaderboard is gone                  -> removed
    scene has a session that is over or gone         -> removed; deleted with the last one
    replay room has no member, its servers are dead  -> ended
    replay room is on the index, its keys are gone   -> removed, with the event "replay_expired"
    lifecycle entry is acknowledged by every group   -> deleted
    consumer of the cleanup group is dead            -> deleted

A pass runs at start and every SWEEP_S. Each repair is a script that checks the condition again, so any number of sweeps
may run at once. Each pass is bounded; the next one continues. This module must never treat a holder as dead when its
lease is missing for the first time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from tussle.lobby.bot_holdings import BotHoldings
from tussle.lobby.claims import Claims
from tussle.lobby.errors import StoreError
from tussle.lobby.filling import Filling
from tussle.lobby.ids import is_session_token
from tussle.lobby.lifecycle import ENDED, WAITING
from tussle.lobby.logs import get_logger, short
from tussle.lobby.replay_rooms import ReplayRooms
from tussle.lobby.seating import Seating
from tussle.lobby.servers import HolderAddress, ServerInfo, Servers
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.session_shares import SessionShares
from tussle.lobby.settings import Settings
from tussle.lobby.store.consumer_group import trim_acknowledged
from tussle.lobby.store.store import Store
from tussle.lobby.timers import Timers
from tussle.worker.cleanup import Cleanup, Hook, no_hook
from tussle.worker.compaction import Compaction
from tussle.worker.mesh_retention import MeshRetention
from tussle.worker.retention import Retention
from tussle.worker.stopping import wait_for_stop

__all__ = ["Maintenance", "Sweep"]

log = get_logger("worker.sweep")
worker_log = get_logger("worker")

PAGE = 200
KEYS_PER_PASS = 5000
"""Keys that one pass scans for orphans. The next pass continues the scan."""

TIMERS_S = 0.5
"""Longest time between two checks of the timers."""

TRIES = 16


class Sweep:
    """The sweep of one worker. ``clock``: monotonic time [s]; it measures how long a lease has been missing."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        cleanup: Cleanup,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._keys = store.keys
        self._settings = settings
        self._cleanup = cleanup
        self._rooms = ReplayRooms(store, settings)
        scripts = SessionScripts(store)
        self._timers = Timers(scripts, Seating(scripts, settings))
        self._claims = Claims(store)
        self._servers = Servers(store)
        self._shares = SessionShares(store, settings)
        self._bots = BotHoldings(store, Filling(scripts))
        self._clock = clock
        self._missing: dict[tuple[str, str], float] = {}
        self._cursor = "0"

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until ``stop``. A pass that finds the store unreachable is skipped."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_timers(stop), name="sweep-timers")
            while not stop.is_set():
                try:
                    repaired = await self.run_pass()
                except StoreError as error:
                    log.warning("sweep_waiting", error=error.message)
                else:
                    if repaired:
                        log.info("store_swept", **repaired)
                await wait_for_stop(stop, self._settings.sweep_s)

    async def run_pass(self) -> Counter[str]:
        """Run one pass. Returns the number of repairs of each kind, without zeros. Raises StoreError."""
        repaired: Counter[str] = Counter()
        repaired["timers"] += await self._timers.run_due()
        repaired.update(await self._repair_holders())
        repaired.update(await self._clean_up_ended())
        repaired.update(await self._forget_expired())
        await self._shares.prune()
        await self._bots.settle()
        repaired.update(await self._end_rooms())
        repaired.update(await self._adopt_orphans())
        repaired["lifecycle_trimmed"] += await trim_acknowledged(self._store, self._keys.lifecycle)
        repaired["lifecycle_trimmed"] += int(
            await self._store.call(
                "XTRIM", self._keys.lifecycle, "MAXLEN", "~", self._settings.lifecycle_kept
            )
        )
        await self._cleanup.group.ensure()
        repaired["consumers"] += await self._cleanup.group.remove_dead_consumers()
        return +repaired

    async def _keep_timers(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._timers.run_due()
                due = await self._timers.next_due()
                wait = TIMERS_S if due is None else (due - await self._store.now_ms()) / 1000
            except StoreError as error:
                log.warning("timers_waiting", error=error.message)
                wait = TIMERS_S
            await wait_for_stop(stop, min(TIMERS_S, max(0.02, wait)))

    # holders

    async def _repair_holders(self) -> Counter[str]:
        repaired: Counter[str] = Counter()
        alive = await self._servers.alive()
        held = {(server.id, server.nonce) for server in alive}
        seen: set[tuple[str, str]] = set()
        for index in (self._keys.lobbies, self._keys.running):
            async for page in self._pages(index):
                fields = ("status", "holder", "holder_nonce", "holder_url")
                replies = await self._store.batch(
                    [("HMGET", self._keys.session(token), *fields) for token in page]
                )
                for token, (status, server, nonce, url) in zip(page, replies, strict=True):
                    if status is None or status in ENDED or (server, nonce) in held:
                        continue
                    seen.add((server, nonce))
                    if self._is_dead((server, nonce)):
                        kind = await self._unhold(token, status, HolderAddress(server, nonce, url), alive)
                        repaired[kind] += kind != ""
        self._missing = {holder: since for holder, since in self._missing.items() if holder in seen}
        return repaired

    def _is_dead(self, holder: tuple[str, str]) -> bool:
        """Whether the lease has been missing for a whole lease time. A store that was restarted has no leases at
        first."""
        since = self._missing.setdefault(holder, self._clock())
        return self._clock() - since >= self._settings.lease_ms / 1000

    async def _unhold(
        self, token: str, status: str, holder: HolderAddress, alive: Sequence[ServerInfo]
    ) -> str:
        if status in WAITING:
            if not alive:
                return ""
            least = min(alive, key=lambda server: (server.sessions, server.id))
            moved = await self._claims.rehome(token, holder, HolderAddress(least.id, least.nonce, least.url))
            return "rehomed" if moved else ""
        missing_s = self._clock() - self._missing[holder.id, holder.nonce]
        if missing_s < self._settings.abandon_s:
            return ""  # another server may still claim the session, perhaps one that is starting
        if await self._fail(token, holder):
            log.warning("session_failed", token=short(token), reason="holder_lost", server=holder.id)
            return "holder_lost"
        return ""

    async def _fail(self, token: str, holder: HolderAddress) -> bool:
        keys = self._keys
        for _ in range(TRIES):
            mode, size = await self._store.call("HMGET", keys.session(token), "mode", "size")
            if mode is None:
                return False
            members = sorted(await self._store.call("SMEMBERS", keys.session_players(token)))
            reply = await self._store.run(
                "fail",
                [
                    *keys.for_scripts(token, mode, int(size)),
                    keys.server(holder.id),
                    *(keys.player(member) for member in members),
                ],
                [
                    token,
                    keys.wake(token),
                    keys.lifecycle,
                    holder.id,
                    holder.nonce,
                    "holder_lost",
                    *members,
                ],
            )
            if reply[0] == "OK":
                return bool(reply[1] == "1")
        raise StoreError(f"the members of {token} keep changing")

    # sessions that are over

    async def _clean_up_ended(self) -> Counter[str]:
        """Clean up the sessions that ended ``claim_idle_s`` ago and have no expiry yet."""
        repaired: Counter[str] = Counter()
        before = await self._store.now_ms() - round(self._settings.claim_idle_s * 1000)
        async for page in self._pages(self._keys.ended, before):
            lives = await self._store.batch([("PTTL", self._keys.session(token)) for token in page])
            for token, life in zip(page, lives, strict=True):
                if life == -1 and await self._cleanup.handle(token):
                    repaired["cleaned"] += 1
        return repaired

    async def _forget_expired(self) -> Counter[str]:
        """Remove sessions whose keys are gone from the indexes."""
        repaired: Counter[str] = Counter()
        keys = self._keys
        for index in (keys.ended, keys.lobbies, keys.running):
            async for page in self._pages(index):
                exist = await self._store.batch([("EXISTS", keys.session(token)) for token in page])
                for token in (token for token, exists in zip(page, exist, strict=True) if not exists):
                    reply = await self._store.run(
                        "forget",
                        [
                            keys.session(token),
                            keys.ended,
                            keys.lobbies,
                            keys.running,
                            keys.deadlines,
                            keys.lifecycle,
                        ],
                        [token, keys.lifecycle],
                    )
                    repaired["expired"] += reply[1] == "1"
        return repaired

    async def _end_rooms(self) -> Counter[str]:
        """End replay rooms without a member, and remove those from the index whose keys have expired."""
        repaired: Counter[str] = Counter()
        async for page in self._pages(self._keys.replays):
            for event in await self._rooms.end_lapsed(page):
                repaired[event] += event != ""
        return repaired

    # keys on no index

    async def _adopt_orphans(self) -> Counter[str]:
        repaired: Counter[str] = Counter()
        sessions: dict[str, set[str]] = defaultdict(set)
        prefix = self._keys.prefix
        looked_at = 0
        while looked_at < KEYS_PER_PASS:
            self._cursor, found = await self._store.call(
                "SCAN", self._cursor, "MATCH", f"{_literal(prefix)}*", "COUNT", PAGE
            )
            looked_at += PAGE
            for key in found:
                kind, _, rest = key.removeprefix(prefix).partition(":")
                if kind == "session":
                    sessions[rest.partition(":")[0]].add(key)
                elif kind == "leaderboard":
                    repaired["unranked"] += await self._unrank(key)
                elif kind == "scene":
                    repaired["scenes"] += await self._release_scene(key)
            if self._cursor == "0":
                break
        for token, found in sessions.items():
            if is_session_token(token):
                repaired[await self._adopt(token, found)] += 1
        del repaired["known"]
        return repaired

    async def _adopt(self, token: str, found: Iterable[str]) -> str:
        keys = self._keys
        reply = await self._store.run(
            "adopt",
            [keys.session(token), keys.lobbies, keys.running, keys.ended, *sorted(found)],
            [token, self._settings.expiry_s * 1000],
        )
        return str(reply[1])

    async def _release_scene(self, scene: str) -> int:
        """Remove sessions that are over or gone from a scene. Returns 1 if that deleted the scene."""
        tokens = [field for field in await self._store.call("HKEYS", scene) if is_session_token(field)]
        statuses = await self._store.batch(
            [("HGET", self._keys.session(token), "status") for token in tokens]
        )
        for token, status in zip(tokens, statuses, strict=True):
            if status is None or status in ENDED:
                reply = await self._store.run("release_scene", [scene, self._keys.session(token)], [token])
                if reply[1] == "1":
                    return 1
        return 0

    async def _unrank(self, leaderboard: str) -> int:
        """Remove players that no longer exist from a leaderboard. Returns how many."""
        gone = 0
        async for page in self._pages(leaderboard):
            exist = await self._store.batch([("EXISTS", self._keys.player(player)) for player in page])
            missing = [player for player, exists in zip(page, exist, strict=True) if not exists]
            if missing:
                gone += await self._store.call("ZREM", leaderboard, *missing)
        return gone

    async def _pages(self, index: str, until: int | str = "+inf") -> AsyncIterator[list[str]]:
        """The members of an index with scores up to ``until``, in pages. A member that is removed meanwhile may hide
        another one until the next pass."""
        start = 0
        while True:
            page: list[str] = await self._store.call(
                "ZRANGEBYSCORE", index, "-inf", until, "LIMIT", start, PAGE
            )
            if page:
                yield page
            if len(page) < PAGE:
                return
            start += PAGE


class Maintenance:
    """The process of ``python -m worker [cleanup | sweep | all]``: the cleanup with the compaction of recordings, the
    sweep with the retention, or both."""

    def __init__(self, store: Store, settings: Settings, part: str = "all", *, hook: Hook = no_hook) -> None:
        self._part = part
        self._cleanup = Cleanup(store, settings, hook=hook)
        self._sweep = Sweep(store, settings, self._cleanup)
        self._retention = Retention(store, settings)
        self._mesh_retention = MeshRetention(store, settings)
        self._compaction = Compaction(store, settings, self._cleanup)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Make ``run`` return after the current entry."""
        self._stopping.set()

    async def run(self) -> None:
        """Run the parts until ``stop``."""
        worker_log.info("worker_started", part=self._part)
        async with asyncio.TaskGroup() as group:
            if self._part in ("cleanup", "all"):
                group.create_task(self._cleanup.run(self._stopping), name="cleanup")
                group.create_task(self._compaction.run(self._stopping), name="compaction")
            if self._part in ("sweep", "all"):
                group.create_task(self._sweep.run(self._stopping), name="sweep")
                group.create_task(self._retention.run(self._stopping), name="retention")
                group.create_task(self._mesh_retention.run(self._stopping), name="mesh-retention")
        worker_log.info("worker_stopped", part=self._part, handled=self._cleanup.handled)


def _literal(text: str) -> str:
    """Return a SCAN pattern that matches the text only."""
    return "".join(f"\\{character}" if character in "*?[]\\^-" else character for character in text)
