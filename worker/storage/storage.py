"""``python -m worker storage``: stores all streams in Parquet files or a time-series store.

    every STORAGE_FLUSH_S:  find feeds -> XREAD after each feed's position -> sink.write -> next position

The worker keeps no rows in memory between two passes. What is not stored yet waits in the streams, so their retention
bounds the backlog while the sink is unavailable (docs/streams.md). Entries that were trimmed before they were stored
are counted in ``lost`` and logged. One worker writes, under a lease; another one takes over STORAGE_LEASE_S after
its last renewal. Each entry is stored once, because the sink continues from its position. This module must never
write to a stream that it stores.
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
from tussle.lobby.store.consumer_group import decode_entries, split_id
from tussle.lobby.store.store import Store
from tussle.worker.stopping import wait_for_stop
from tussle.worker.storage.sink import Position, Sink, SinkUnavailable
from tussle.worker.storage.sink_choice import make_sink
from tussle.worker.storage.tables import Feed

__all__ = ["Storage"]

log = get_logger("worker.storage")

GROUP = "storage"
"""A group without consumers on the lifecycle stream. Its position says how far the stream is stored."""

READ_COUNT = 5_000
"""Most entries of one stream that one pass takes. It bounds the memory."""

RETRY_S = 1.0
FINISHED_KEPT = 10_000
"""Number of finished sessions that are remembered, so that none of them is followed again."""


class Storage:
    """One storage worker. ``stored``, ``lost``: entries."""

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
        self._known: set[str] = set()  # feeds that this worker has seen
        self._finished: dict[str, None] = {}

    def stop(self) -> None:
        """Make ``run`` return after it has stored the present entries."""
        self._stopping.set()

    async def run(self) -> None:
        """Store until ``stop``. Retries when the store or the sink is unavailable."""
        log.info("storage_started", sink=self._sink.name)
        ready = failing = False
        while True:
            began = time.monotonic()
            stopping = self._stopping.is_set()
            try:
                if not await self._renew_lease():
                    ready = False
                    if stopping:
                        break
                else:
                    if not ready:
                        await self._read_positions()
                        ready = True
                    more = await self._store_new()
                    failing = False
                    if stopping and not more:
                        break
                    if more:
                        continue
            except (SinkUnavailable, StoreError) as error:
                if not failing:
                    log.warning("storage_waiting", sink=self._sink.name, error=str(error))
                failing, ready = True, False
                await self._report("waiting", backlog=-1)
                if stopping:
                    break
                began = time.monotonic() + RETRY_S
            await wait_for_stop(self._stopping, self._settings.storage_flush_s - (time.monotonic() - began))
        await self._release()

    async def _renew_lease(self) -> bool:
        time_ms = round(self._settings.storage_lease_s * 1000)
        return bool(
            (await self._store.run("hold", [self._store.keys.storage_lease], [self._id, time_ms]))[1] == "1"
        )

    async def _read_positions(self) -> None:
        """Forget all feeds, so that their positions are read from the sink again."""
        await self._sink.open()
        self._feeds.clear()
        self._positions.clear()
        self._finished.clear()

    async def _release(self) -> None:
        await self._report("stopped")
        try:
            await self._store.run("hold", [self._store.keys.storage_lease], [self._id, 0])
        except LobbyError as error:
            log.warning("lease_not_given_up", error=error.message)
        await self._sink.close()
        log.info("storage_stopped", stored=self.stored, lost=self.lost)

    async def _report(self, state: str, **more: int) -> None:
        """Write the worker's state to the hash {main}:storage, for redis-cli."""
        about: dict[str, str | int] = {
            "state": state, "sink": self._sink.name, "stored": self.stored, "lost": self.lost,
            "at": round(time.time() * 1000), **more,
        }  # fmt: skip
        flat = [part for item in about.items() for part in item]
        try:
            await self._store.call("HSET", self._store.keys.storage, *flat)
        except StoreError as error:
            log.debug("state_not_written", error=error.message)

    # one pass

    async def _store_new(self) -> bool:
        """Store the new entries of all feeds. Returns whether more entries are waiting already."""
        ended = await self._find_feeds()
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
            await self._write(self._feeds[key], rows)
        for session in ended:
            await self._finish(session, grown)
        await self._report("storing", backlog=0 if not more else READ_COUNT)
        return more

    async def _write(self, feed: Feed, rows: list[Any]) -> None:
        entries = decode_entries(rows)
        if entries:
            self._positions[feed.key] = await self._sink.write(feed, self._positions[feed.key], entries)
            self.stored += len(entries)
            if feed.table == "lifecycle":
                await self._mark_stored(feed)

    async def _finish(self, session: str, grown: set[str]) -> None:
        """Close the feeds of an ended session, once a pass brings no more entries of it."""
        feeds = [feed for feed in self._feeds.values() if feed.part == session and feed.began_ms]
        if any(feed.key in grown for feed in feeds):
            return
        for feed in feeds:
            await self._sink.finish(feed)
            del self._feeds[feed.key], self._positions[feed.key]
            self._known.discard(feed.key)
        self._finished[session] = None
        while len(self._finished) > FINISHED_KEPT:
            del self._finished[next(iter(self._finished))]
        log.info("session_stored", token=short(session))

    # feeds

    async def _find_feeds(self) -> list[str]:
        """Follow new feeds. Returns the ended sessions that are still followed."""
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
            await self._count_lost(feed, new=feed.key not in self._known)
            self._known.add(feed.key)
            if feed.table == "lifecycle":
                await self._mark_stored(feed)
        return [session for session in ended if keys.events(session) in self._feeds]

    async def _mark_stored(self, feed: Feed) -> None:
        """Move the group to the stored position: the sweep trims the lifecycle stream only behind every group."""
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
            self._finished[session] = None  # the session has expired
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

    async def _count_lost(self, feed: Feed, *, new: bool = False) -> None:
        """Count and log the entries that were trimmed before they were stored: entries added, less entries in the
        stream, less entries stored. Those that were trimmed before this worker first saw a feed of which nothing is
        stored are not lost: storage begins there."""
        position = self._positions[feed.key]
        if not await self._store.call("EXISTS", feed.key):
            return
        flat = await self._store.call("XINFO", "STREAM", feed.key)
        about = dict(zip(flat[::2], flat[1::2], strict=True))
        first = about.get("first-entry")
        added = about.get("entries-added")
        if added is None or (first and split_id(first[0]) <= split_id(position.id)):
            return
        lost = int(added) - int(about["length"]) - position.count
        if lost > 0:
            self._positions[feed.key] = Position(position.id, position.count + lost)
            if new and position.count == 0:
                log.info("storage_began", stream=feed.key, earlier=lost)
                return
            self.lost += lost
            log.error("entries_lost", stream=feed.key, count=lost, after=position.id)
