"""Cleaning up after sessions: give the awards, set an expiry on every key, acknowledge.

    lifecycle stream -> group "cleanup" -> award.lua -> expire.lua -> XACK
            ^-- read when the channel wakes the worker, else after claim_idle_s; entries of dead workers are claimed

Each entry is handled at least once and has its effect once: both scripts detect that they ran before. Any number of
workers may run, start late or die at any point. A replay room that has ended gets its expiry here too. This module must
never touch a session that is not over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tussle.lobby.errors import NotFound, StoreError
from tussle.lobby.ids import new_secret
from tussle.lobby.lifecycle import ENDED, LifecycleEvent, ReplayRoomEvent
from tussle.lobby.logs import get_logger, short
from tussle.lobby.replay_rooms import ReplayRooms
from tussle.lobby.rules.scene_edits import WORLD
from tussle.lobby.settings import Settings
from tussle.lobby.standings import MATCHES_KEPT
from tussle.lobby.store.consumer_group import ConsumerGroup, Entry
from tussle.lobby.store.store import Store
from tussle.lobby.store.wakeups import Wakeups
from tussle.lobby.wire.http_answers import PastMatch
from tussle.worker.awards import Award, Rating, award_places, pairs_of, read_ending
from tussle.worker.stopping import wait_for_stop

__all__ = ["GROUP", "Cleanup", "Hook", "no_hook"]

log = get_logger("worker.cleanup")

GROUP = "cleanup"
TRIES = 16
UNPLAYED_S = 10
"""Life of the keys of a lobby that never ran [s], from its end: its members can still read why it ended."""

UNFINISHED_MS = 86_400_000
"""How long after its end a session is kept at most because its recording is not finished [ms]."""

RETRY_S = 0.5
DAY_MS = 86_400_000

Hook = Callable[[str, str], Awaitable[None]]
"""A test's hook, called with (point, session). The points are before_award, before_expire, before_acknowledge and
acknowledged."""

_ENDS = {status.value for status in ENDED}
assert {event.value for event in LifecycleEvent} >= _ENDS, "an end status has the name of its event"


async def no_hook(point: str, session: str) -> None:
    """Do nothing."""


class Cleanup:
    """One worker of the group."""

    def __init__(
        self, store: Store, settings: Settings, *, consumer: str | None = None, hook: Hook = no_hook
    ) -> None:
        self.group = ConsumerGroup(
            store,
            store.keys.lifecycle,
            GROUP,
            consumer or f"w-{new_secret()[:8]}",
            claim_idle_s=settings.claim_idle_s,
            dead_s=max(60.0, 20 * settings.claim_idle_s, 4 * settings.sweep_s),
        )
        self.handled = 0
        self._store = store
        self._keys = store.keys
        self._rooms = ReplayRooms(store, settings)
        self._expiry_ms = settings.expiry_s * 1000
        self._unplayed_ms = min(settings.expiry_s, UNPLAYED_S) * 1000
        self._idle_s = settings.claim_idle_s
        self._hook = hook
        self._woken = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Handle entries until ``stop``, finish the current one and leave the group. Retries when the store is
        unreachable."""
        async with asyncio.TaskGroup() as group:
            listener = group.create_task(self._listen(), name="cleanup-hints")
            stopper = group.create_task(self._wake_at(stop), name="cleanup-stop")
            while not stop.is_set():
                try:
                    await self.group.ensure()
                    await self._drain_until(stop)
                except StoreError as error:
                    log.warning("cleanup_waiting", error=error.message)
                    await wait_for_stop(stop, RETRY_S)
            listener.cancel()
            stopper.cancel()
        try:
            await self.group.leave()
        except StoreError as error:
            log.warning("consumer_not_left", error=error.message)

    async def drain(self) -> int:
        """Handle the entries that can be claimed or read now. Returns how many."""
        entries = await self.group.claim() + await self.group.read()
        for entry in entries:
            await self._handle_entry(entry)
        return len(entries)

    async def handle(self, session: str) -> bool:
        """Award and expire one session. Returns False, and changes nothing, if it is gone or not over."""
        await self._hook("before_award", session)
        await self._award(session)
        await self._hook("before_expire", session)
        return await self.expire(session)

    async def _listen(self) -> None:
        async with Wakeups(self._store) as hints:
            try:
                await hints.add(self._keys.lifecycle)
            except StoreError as error:  # the hints subscribe again by themselves
                log.warning("cleanup_not_woken", error=error.message)
            async for _ in hints:
                self._woken.set()

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._woken.set()

    async def _drain_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._woken.clear()
            while await self.drain():
                if stop.is_set():
                    return
            try:
                async with asyncio.timeout(self._idle_s):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _handle_entry(self, entry: Entry) -> None:
        session = entry.fields.get("session", "")
        if entry.fields.get("event") in _ENDS and session:
            if await self.handle(session):
                log.info("session_cleaned", token=short(session), ended_as=entry.fields["event"])
            self.handled += 1
            await self._hook("before_acknowledge", session)
        elif entry.fields.get("event") == ReplayRoomEvent.ENDED:
            await self._rooms.expire(session, self._expiry_ms)
        await self.group.acknowledge(entry)
        await self._hook("acknowledged", session)

    async def _award(self, session: str) -> None:
        keys = self._keys
        for _ in range(TRIES):
            mode, result, awarded, parent, ended_at, private = await self._store.call(
                "HMGET", keys.session(session), "mode", "result", "awarded", "parent", "ended_at", "private"
            )
            if not result or awarded or parent:  # who forks a session may choose a state that is won
                return
            try:
                ending = read_ending(result)
            except ValueError as error:
                log.error("session_not_awarded", token=short(session), error=str(error))
                return
            if not ending.places:
                return
            players = [place.player for place in ending.places]
            pairs = pairs_of(ending)
            meetings = keys.meetings(mode, int(ended_at or 0) // DAY_MS)
            stored = await self._store.batch(
                [
                    *(("HMGET", keys.player(player), f"mu.{mode}", f"sigma.{mode}") for player in players),
                    *(("HGET", keys.session_player(session, player), "body") for player in players),
                    *(("HGET", meetings, " ".join(pair)) for pair in pairs),
                ]
            )
            here = len(players)
            read, bodies = stored[:here], stored[here : 2 * here]
            counts = [int(count or 0) for count in stored[2 * here :]]
            ratings = [Rating(float(mu), float(sigma)) if mu else Rating() for mu, sigma in read]
            args: list[Any] = [mode, 2 * DAY_MS, MATCHES_KEPT - 1, len(pairs)]
            for pair, count in zip(pairs, counts, strict=True):
                args += (" ".join(pair), count)
            awards = award_places(ending, ratings, dict(zip(pairs, counts, strict=True)))
            for award, place, body, (mu, sigma) in zip(awards, ending.places, bodies, read, strict=True):
                match = PastMatch(
                    "" if private == "1" else session, mode, int(ended_at or 0), place.place, here, body or "",
                    award.rating.value if award.rating else None,
                )  # fmt: skip
                args += (*_award_args(award, mu, sigma), msgspec.json.encode(match).decode())
            reply = await self._store.run(
                "award",
                [
                    keys.session(session),
                    keys.leaderboard(mode),
                    meetings,
                    *(keys.player(player) for player in players),
                    *(keys.matches(player) for player in players),
                ],
                args,
            )
            if reply[0] == "OK":
                return
        raise StoreError(f"the ratings of the players of {session} keep changing")

    async def expire(self, session: str) -> bool:
        """Set the expiry of a session that is over. While its recording waits to be finished the keys that lead to it
        get EXPIRY_S from now on, not from its end. Returns False, and changes nothing, if it is gone or not over."""
        keys = self._keys
        for _ in range(TRIES):
            mode, size, started_at, starting_at, scene, ended_at = await self._store.call(
                "HMGET",
                keys.session(session),
                "mode",
                "size",
                "started_at",
                "starting_at",
                "scene",
                "ended_at",
            )
            if mode is None:
                return False
            bodies = await self._store.call("ZRANGE", keys.scene_bodies(session), 0, -1)
            made = starting_at and bodies  # a scene that could not run is not lost at once
            life = self._expiry_ms if started_at or made else self._unplayed_ms
            recorded = await self._store.call("HMGET", keys.recording(session), "state", "stopped", "final")
            if (recorded[0] or recorded[1]) and not recorded[2]:
                over_ms = await self._store.now_ms() - int(ended_at or 0)
                life = max(life, min(over_ms, UNFINISHED_MS) + life)
            if scene:
                await self._store.run("release_scene", [keys.scene(scene), keys.session(session)], [session])
            players = sorted(await self._store.call("SMEMBERS", keys.session_players(session)))
            documents = [WORLD, *bodies]
            await self._store.run(
                "scene_drop", [keys.session(session), *keys.of_scene(session, documents)], []
            )
            try:
                reply = await self._store.run(
                    "expire",
                    [
                        *keys.for_scripts(session, mode, int(size)),
                        *keys.of_session(session, players, documents),
                    ],
                    [
                        session,
                        keys.wake(session),
                        keys.lifecycle,
                        life,
                        *players,
                    ],
                )
            except NotFound:
                return False
            if reply[0] == "OK":
                return bool(reply[1] == "1")
        raise StoreError(f"the members of the ended session {session} keep changing")


def _award_args(award: Award, mu: str | None, sigma: str | None) -> list[Any]:
    """The arguments of award.lua for one player, without its match."""
    rating = award.rating
    new = ("", "", "") if rating is None else (repr(rating.mu), repr(rating.sigma), rating.value)
    return [award.player, mu or "", sigma or "", *new, award.xp, int(award.won)]
