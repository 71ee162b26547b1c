"""Cleans up after sessions: awards, then an end of life for every key, then the acknowledgement.

    lifecycle stream -> group "cleanup" -> award.lua -> expire.lua -> XACK
            ^-- woken by the channel, else by time; entries of dead workers are claimed

Handled at least once, effect once: both scripts find their own traces. Any number of workers may run, start late or
die at any point. This module must never touch a session that is not over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tussle.lobby.errors import NotFound, StoreError
from tussle.lobby.ids import new_secret
from tussle.lobby.lifecycle import ENDED, LifecycleEvent
from tussle.lobby.logs import get_logger, short
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.store.streams import Entry, StreamGroup
from tussle.worker.awards import Award, Rating, awards, places_of

__all__ = ["GROUP", "Cleanup", "Hook", "nothing", "rest"]

log = get_logger("worker.cleanup")

GROUP = "cleanup"
TRIES = 16
RETRY_S = 0.5

Hook = Callable[[str, str], Awaitable[None]]
"""Called with (point, session) at "before_award", "before_expire", "before_acknowledge", "acknowledged"."""

_ENDS = {status.value for status in ENDED}
assert {event.value for event in LifecycleEvent} >= _ENDS, (
    "a session ends with the event named like its status"
)


async def nothing(point: str, session: str) -> None:
    """The hook of a worker that nobody watches."""


class Cleanup:
    """One worker of the group. ``run`` until ``stop`` is set; ``handle`` one session directly."""

    def __init__(
        self, store: Store, settings: Settings, *, consumer: str | None = None, hook: Hook = nothing
    ) -> None:
        self.group = StreamGroup(store, store.keys.lifecycle, GROUP, consumer or f"w-{new_secret()[:8]}")
        self.handled = 0
        self._store = store
        self._keys = store.keys
        self._expiry_ms = settings.expiry_s * 1000
        self._idle_s = settings.claim_idle_s
        self._hook = hook
        self._something = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Handle entries until ``stop``; the one under way is finished. A store that is away is asked again."""
        async with asyncio.TaskGroup() as group:
            listener = group.create_task(self._listen(), name="cleanup-hints")
            stopper = group.create_task(self._wake_at(stop), name="cleanup-stop")
            while not stop.is_set():
                try:
                    await self.group.ensure()
                    await self._work(stop)
                except StoreError as error:
                    log.warning("cleanup_waiting", error=error.message)
                    await rest(stop, RETRY_S)
            listener.cancel()
            stopper.cancel()
        try:
            await self.group.leave()
        except StoreError as error:
            log.warning("consumer_not_left", error=error.message)

    async def drain(self) -> int:
        """Handle what is there now, read or to be claimed; how many entries."""
        done = 0
        for entries in (await self.group.claim(round(self._idle_s * 1000)), await self.group.read()):
            for entry in entries:
                await self._take(entry)
                done += 1
        return done

    async def handle(self, session: str) -> bool:
        """Award and expire one session that is over. False: it is gone, or not over."""
        await self._hook("before_award", session)
        await self._award(session)
        await self._hook("before_expire", session)
        return await self._expire(session)

    async def _listen(self) -> None:
        async with self._store.wakeups() as hints:
            try:
                await hints.add(self._keys.lifecycle)
            except StoreError as error:  # it stays wanted
                log.warning("cleanup_not_woken", error=error.message)
            async for _ in hints:
                self._something.set()

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._something.set()

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._something.clear()
            while await self.drain():
                if stop.is_set():
                    return
            try:
                async with asyncio.timeout(self._idle_s):
                    await self._something.wait()
            except TimeoutError:
                continue

    async def _take(self, entry: Entry) -> None:
        session = entry.fields.get("session", "")
        if entry.fields.get("event") in _ENDS and session:
            if await self.handle(session):
                log.info("session_cleaned", token=short(session), ended_as=entry.fields["event"])
            self.handled += 1
            await self._hook("before_acknowledge", session)
        await self.group.acknowledge(entry)
        await self._hook("acknowledged", session)

    async def _award(self, session: str) -> None:
        keys = self._keys
        for _ in range(TRIES):
            mode, result, awarded = await self._store.call(
                "HMGET", keys.session(session), "mode", "result", "awarded"
            )
            if not result or awarded:
                return
            try:
                places = places_of(result)
            except ValueError as error:
                log.error("session_not_awarded", token=short(session), error=str(error))
                return
            if not places:
                return
            players = [place.player for place in places]
            stored = await self._store.batch(
                [("HMGET", keys.player(player), f"mu.{mode}", f"sigma.{mode}") for player in players]
            )
            ratings = [Rating(float(mu), float(sigma)) if mu else Rating() for mu, sigma in stored]
            args: list[Any] = [mode]
            for award, (mu, sigma) in zip(awards(places, ratings), stored, strict=True):
                args += _award_args(award, mu, sigma)
            reply = await self._store.run(
                "award",
                [keys.session(session), keys.leaderboard(mode), *(keys.player(player) for player in players)],
                args,
            )
            if reply[0] == "OK":
                return
        raise StoreError(f"the ratings of {session} change faster than they can be written")

    async def _expire(self, session: str) -> bool:
        keys = self._keys
        for _ in range(TRIES):
            mode, size = await self._store.call("HMGET", keys.session(session), "mode", "size")
            if mode is None:
                return False
            players = sorted(await self._store.call("SMEMBERS", keys.session_players(session)))
            try:
                reply = await self._store.run(
                    "expire",
                    [*keys.for_scripts(session, mode, int(size)), *keys.of_session(session, players)],
                    [session, keys.wake(session), keys.lifecycle, self._expiry_ms, *players],
                )
            except NotFound:
                return False
            if reply[0] == "OK":
                return bool(reply[1] == "1")
        raise StoreError(f"the members of {session} change though it is over")


def _award_args(award: Award, mu: str | None, sigma: str | None) -> list[Any]:
    """The eight arguments that award.lua takes for a player."""
    rating = award.rating
    new = ("", "", "") if rating is None else (repr(rating.mu), repr(rating.sigma), rating.value)
    return [award.player, mu or "", sigma or "", *new, award.xp, int(award.won)]


async def rest(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but not past ``stop``."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
