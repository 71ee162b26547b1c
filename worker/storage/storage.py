"""``python -m worker storage``: keeps every stream that Tussle has, in Parquet files or a time-series store.

    every STORAGE_FLUSH_S:  find feeds -> XREAD after each feed's position -> sink.write -> next position

It keeps nothing in memory between two beats: what is not stored yet waits in the streams, so the backlog while the
sink is away is bounded by their retention (docs/streams.md), and what was trimmed before it could be stored is counted
and said. One worker writes; others stand by and take over STORAGE_LEASE_S after it falls silent. Effect once: a sink
goes on from its own position. This module must never write to a stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from tussle.lobby.errors import LobbyError, StoreError
from tussle.lobby.ids import new_secret
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.logs import get_logger, short
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.worker.group import entries_of
from tussle.worker.storage.sinks import Position, Sink, SinkAway, make_sink
from tussle.worker.storage.tables import Feed, id_parts

__all__ = ["Storage"]

log = get_logger("worker.storage")

GROUP = "storage"
"""A group without consumers on the lifecycle stream: the mark of how far it is stored."""

READ_COUNT = 5_000
"""Entries of one stream that one beat takes: what bounds the memory."""

RETRY_S = 1.0
FORGOTTEN = 10_000
"""Finished sessions that are remembered, so that none is begun again."""


class Storage:
    """One storage worker. ``run`` returns soon after ``stop``."""

    def __init__(self, store: Store, settings: Settings, sink: Sink | None = None) -> None:
        self.stored = 0
        self.lost = 0
        self._store = store
        self._settings = settings
        self._sink = sink or make_sink(store, settings)
        self._id = new_secret()[:12]
        self._stopping = asyncio.Event()
        self._feeds: dict[str, Feed] = {}
        self._positions: dict[str, Position] = {}
        self._finished: dict[str, None] = {}

    def stop(self) -> None:
        """Store what is there and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Store until ``stop``. A store or a sink that is away is waited for."""
        log.info("storage_started", sink=self._sink.name)
        ready = failing = False
        while True:
            began = time.monotonic()
            stopping = self._stopping.is_set()
            try:
                if not await self._hold():
                    ready = False
                    if stopping:
                        break
                else:
                    if not ready:
                        await self._begin()
                        ready = True
                    more = await self._beat()
                    failing = False
                    if stopping and not more:
                        break
                    if more:
                        continue
            except (SinkAway, StoreError) as error:
                if not failing:
                    log.warning("storage_waiting", sink=self._sink.name, error=str(error))
                failing, ready = True, False
                await self._say("waiting", backlog=-1)
                if stopping:
                    break
                began = time.monotonic() + RETRY_S
            await self._pause(self._settings.storage_flush_s - (time.monotonic() - began))
        await self._end()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _hold(self) -> bool:
        time_ms = round(self._settings.storage_lease_s * 1000)
        return bool(
            (await self._store.run("hold", [self._store.keys.storage_lease], [self._id, time_ms]))[1] == "1"
        )

    async def _begin(self) -> None:
        """With the lease just taken, or after a failure: read the positions again."""
        await self._sink.open()
        self._feeds.clear()
        self._positions.clear()
        self._finished.clear()

    async def _end(self) -> None:
        await self._say("stopped")
        try:
            await self._store.run("hold", [self._store.keys.storage_lease], [self._id, 0])
        except LobbyError as error:
            log.warning("lease_not_given_up", error=error.message)
        await self._sink.close()
        log.info("storage_stopped", stored=self.stored, lost=self.lost)

    async def _say(self, state: str, **more: int) -> None:
        """What redis-cli shows: HGETALL {main}:storage."""
        about: dict[str, str | int] = {
            "state": state, "sink": self._sink.name, "stored": self.stored, "lost": self.lost,
            "at": round(time.time() * 1000), **more,
        }  # fmt: skip
        flat = [part for item in about.items() for part in item]
        try:
            await self._store.call("HSET", self._store.keys.storage, *flat)
        except StoreError as error:
            log.debug("state_not_said", error=error.message)

    # one beat

    async def _beat(self) -> bool:
        """Store what came since the last one; whether more is waiting already."""
        ended = await self._find()
        feeds = list(self._feeds.values())
        reply = await self._store.call(
            "XREAD", "COUNT", READ_COUNT, "STREAMS", *(feed.key for feed in feeds),
            *(self._positions[feed.key].id for feed in feeds),
        )  # fmt: skip
        more = False
        grown: set[str] = set()
        for key, rows in reply or []:
            grown.add(key)
            more = more or len(rows) == READ_COUNT
            await self._keep(self._feeds[key], rows)
        for session in ended:
            await self._finish(session, grown)
        await self._say("storing", backlog=0 if not more else READ_COUNT)
        return more

    async def _keep(self, feed: Feed, rows: list[Any]) -> None:
        entries = entries_of(rows)
        if entries:
            self._positions[feed.key] = await self._sink.write(feed, self._positions[feed.key], entries)
            self.stored += len(entries)
            if feed.table == "lifecycle":
                await self._mark(feed)

    async def _finish(self, session: str, grown: set[str]) -> None:
        """A session has ended; once a beat brings nothing more of it, its feeds are closed."""
        feeds = [feed for feed in self._feeds.values() if feed.part == session and feed.began_ms]
        if any(feed.key in grown for feed in feeds):
            return
        for feed in feeds:
            await self._sink.finish(feed)
            del self._feeds[feed.key], self._positions[feed.key]
        self._finished[session] = None
        while len(self._finished) > FORGOTTEN:
            del self._finished[next(iter(self._finished))]
        log.info("session_stored", token=short(session))

    # feeds

    async def _find(self) -> list[str]:
        """Follow what is new; returns the sessions that have ended and are still followed."""
        keys = self._store.keys
        waiting, running, ended, sources = await self._store.batch(
            [("ZRANGE", index, 0, -1) for index in (keys.lobbies, keys.running, keys.ended)]
            + [("HKEYS", keys.sources)]
        )
        new = [
            Feed(keys.lifecycle, "lifecycle"),
            Feed(keys.positions, "positions"),
            Feed(keys.velocities, "velocities"),
        ]
        new += [Feed(keys.source(name), "readings", name) for name in sources]
        new = [feed for feed in new if feed.key not in self._feeds]
        for session in (*waiting, *running, *ended):
            if keys.events(session) not in self._feeds and session not in self._finished:
                new += await self._feeds_of(session)
        for feed in new:
            self._positions[feed.key] = await self._sink.position(feed)
            self._feeds[feed.key] = feed
            await self._count_lost(feed)
            if feed.table == "lifecycle":
                await self._mark(feed)
        return [session for session in ended if keys.events(session) in self._feeds]

    async def _mark(self, feed: Feed) -> None:
        """Tell the sweep how far we are: it trims the lifecycle only behind every group's position."""
        position = self._positions[feed.key].id
        try:
            await self._store.call("XGROUP", "CREATE", feed.key, GROUP, position, "MKSTREAM")
        except StoreError as error:
            if "BUSYGROUP" not in error.message:
                raise
            await self._store.call("XGROUP", "SETID", feed.key, GROUP, position)

    async def _feeds_of(self, session: str) -> Sequence[Feed]:
        keys = self._store.keys
        opened, status = await self._store.call("HMGET", keys.session(session), "opened_at", "status")
        if opened is None:
            self._finished[session] = None  # expired already
            return ()
        if status in ENDED and not await self._store.call("EXISTS", keys.events(session)):
            self._finished[session] = None
            return ()
        began = int(opened)
        return (
            Feed(keys.events(session), "events", session, began),
            Feed(keys.journal(session), "inputs", session, began),
            Feed(keys.telemetry(session), "telemetry", session, began),
        )

    async def _count_lost(self, feed: Feed) -> None:
        """Say how many entries were trimmed before they were stored: all that ever were, less what is there, less
        what we have stored."""
        position = self._positions[feed.key]
        if not await self._store.call("EXISTS", feed.key):
            return
        flat = await self._store.call("XINFO", "STREAM", feed.key)
        about = dict(zip(flat[::2], flat[1::2], strict=True))
        first = about.get("first-entry")
        added = about.get("entries-added")
        if added is None or (first and id_parts(first[0]) <= id_parts(position.id)):
            return
        lost = int(added) - int(about["length"]) - position.count
        if lost > 0:
            self.lost += lost
            self._positions[feed.key] = Position(position.id, position.count + lost)
            log.error("entries_lost", stream=feed.key, count=lost, after=position.id)
