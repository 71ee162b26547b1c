"""Observers and players for tests/whole. They check what every client is guaranteed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from tests.support.http import http_client
from tests.support.stack import POLL_S, Stack
from tests.support.stranger import CEILING_S, Line
from tussle.lobby.store.store import Store
from tussle.lobby.wire.messages import Event
from tussle.player.client import Client
from tussle.player.connection import SessionConnection
from tussle.server.archive.archive import Archive
from tussle.server.archive.verify import Verdict, load_record, verify
from tussle.server.modes.registry import get_mode

LAST = ("ended", "failed", "timed_out")


class Witness:
    """An observer that reconnects and keeps every event. ``final`` is set at the last event of the session."""

    def __init__(self, connection: SessionConnection) -> None:
        self.connection = connection
        self.events: list[Event] = []
        self.views: list[Event] = []
        self._news = asyncio.Condition()
        self._watching = asyncio.create_task(self._watch())

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, url: str, session: str) -> AsyncIterator[Witness]:
        async with Client(url) as client:
            await client.login()
            async with client.connect(await client.observe(session)) as connection:
                witness = cls(connection)
                try:
                    yield witness
                finally:
                    witness._watching.cancel()
                    await asyncio.wait([witness._watching])

    async def _watch(self) -> None:
        async for event in self.connection:
            async with self._news:
                (self.views if event.t == "session" else self.events).append(event)
                self._news.notify_all()

    def count(self, kind: str) -> int:
        return sum(event.t == kind for event in self.events)

    async def until(self, kind: str, count: int = 1, ceiling_s: float = 60.0) -> Event:
        """Wait for the ``count``-th event of a type and return it."""
        try:
            async with asyncio.timeout(ceiling_s), self._news:
                while self.count(kind) < count:
                    assert not self._watching.done(), (
                        f"the connection of the observer ended: {self._watching}"
                    )
                    await self._news.wait()
        except TimeoutError:
            heard = [event.t for event in self.events[-12:]]
            raise AssertionError(f"no {kind} within {ceiling_s} s; heard {heard}") from None
        return [event for event in self.events if event.t == kind][count - 1]

    def assert_whole(self) -> None:
        """Assert that events have no gap, repetition or decreasing tick, each turn occurs once, and one end."""
        vs = [event.v for event in self.events]
        assert vs == list(range(vs[0], vs[0] + len(vs)))
        owned = [event for event in self.events if event.epoch]
        assert [event.epoch for event in owned] == sorted(event.epoch for event in owned)
        ticks = [event.d["tick"] for event in self.events if event.t in ("turn_started", "turn_ended", "out")]
        assert ticks == sorted(ticks)
        turns = [event.d["turn"] for event in self.events if event.t == "turn_started"]
        assert turns == sorted(set(turns))
        assert self.count("ended") == 1
        assert self.events[-1].t == "ended"
        assert all(view.d["missed"] is None for view in self.views)


async def fight(line: Line, seed: int = 0) -> None:
    """Play a seat to the end of its session with the mode's bot."""
    rng, rules = np.random.default_rng(seed), get_mode("duel")
    while True:
        event = await line.until("turn_started", *LAST)
        if event["t"] in LAST:
            return
        if event["d"]["seat"] == line.seat:
            action = rules.bot(event["d"], line.seat, "good", None, rng)
            await line.act(action.kind, **action.d)


async def sessions(url: str, status: str) -> list[dict[str, Any]]:
    async with http_client(url) as http:
        found: list[dict[str, Any]] = (await http.get(f"/api/sessions?status={status}")).json()["sessions"]
    return found


async def running(url: str, count: int = 1, ceiling_s: float = CEILING_S) -> list[dict[str, Any]]:
    """Wait until at least ``count`` sessions run and return their whole views, which a list does not have."""
    async with asyncio.timeout(ceiling_s), http_client(url) as http:
        while len(found := await sessions(url, "running")) < count:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
        return [(await http.get(f"/api/sessions/{row['session']}")).json() for row in found]


async def verified(stack: Stack, session: str) -> Verdict:
    """Re-simulate a session from its archive. Raises AssertionError unless it is whole and was reproduced."""
    archive = Archive(str(stack.data_dir / "archive"))

    async def has_ended() -> bool:  # its last event comes before the last write of the archive
        return (await asyncio.to_thread(load_record, archive, session)).ended

    await asked(has_ended, "the end of the archive")
    record = await asyncio.to_thread(load_record, archive, session)
    verdict = await asyncio.to_thread(verify, record, check_contact=False)
    assert verdict.holds, verdict
    return verdict


@contextlib.asynccontextmanager
async def store_of(stack: Stack) -> AsyncIterator[Store]:
    store = await Store.connect(stack.store_url, stack.realm)
    try:
        yield store
    finally:
        await store.close()


async def keys_of(store: Store, pattern: str = "*") -> set[str]:
    """Return the keys of the realm whose names match the pattern."""
    found: set[str] = set()
    cursor = "0"
    while True:
        cursor, page = await store.call("SCAN", cursor, "MATCH", store.keys.prefix + pattern, "COUNT", 1000)
        found |= set(page)
        if cursor == "0":
            return found


async def asked(there: Any, what: str, ceiling_s: float = CEILING_S) -> Any:
    """Poll ``there`` and return its first true answer."""
    try:
        async with asyncio.timeout(ceiling_s):
            while not (answer := await there()):  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"not within {ceiling_s:g} s: {what}") from None
    return answer


__all__ = ["Witness", "asked", "fight", "keys_of", "running", "sessions", "store_of", "verified"]
