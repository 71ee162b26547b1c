"""Bots on demand: one process looks for lobbies that want bots, and fills their seats.

    crew:    POST /api/bots/requests, every LOOK_S -> a bot per wanted seat, at most ``party.serve`` at once
    bot:     POST /api/bots/seat -> play_seat -> idle, until the next request of its skill

Any number of such processes may run: the server seats as many bots as are wanted, in any order. The bots are shared
out over the addresses that ask, and over the lobbies of each: the address with the fewest gets the next one, and the
last quarter is for addresses that have none. A lobby whose seat
could not be filled is left out for a growing time. This module must never take a seat that no request named.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np

from tussle.lobby.backoff import Backoff
from tussle.lobby.bot_requests import BotRequest
from tussle.lobby.errors import AuthError, LobbyError, RateLimited
from tussle.lobby.logs import get_logger, short
from tussle.lobby.wire.http_answers import Join
from tussle.player.bots import (
    LEAVE_S,
    NAMES,
    PAUSE_S,
    Decide,
    Party,
    Tally,
    decide_by_mode,
    looks_ahead,
    play_seat,
    prepare,
)
from tussle.player.client import Client

__all__ = ["serve", "share_out"]

log = get_logger(__name__)

LOOK_S = 0.3
"""How often the requests are read [s]. It bounds how long a person waits for a bot."""


FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Time for which a lobby is left out after a bot could not take its seat: doubled with each failure [s]."""


def share_out(
    requests: Sequence[BotRequest],
    at_work: Mapping[str, int],
    coming: Mapping[str, int],
    free: int,
    most: int,
    groups: Mapping[str, str] = MappingProxyType({}),
) -> list[BotRequest]:
    """The requests that get the next ``free`` of ``most`` bots, one entry for each bot.

    at_work: bots by session that play there or are on their way; coming: those on their way; groups: of the sessions
    at work. A session without a group is one of its own.
    """
    group = {**groups, **{request.session: request.group for request in requests}}
    of_group: Counter[str] = Counter()
    for session, count in at_work.items():
        of_group[group.get(session) or session] += count
    wanted = {request.session: request.wanted - coming.get(request.session, 0) for request in requests}
    has = {request.session: at_work.get(request.session, 0) for request in requests}
    chosen: list[BotRequest] = []
    while len(chosen) < free:
        left = free - len(chosen)
        open_ = [
            one
            for one in requests
            if wanted[one.session] > 0 and (not of_group[one.group or one.session] or left > most // 4)
        ]
        if not open_:
            break
        request = min(open_, key=lambda one: (of_group[one.group or one.session], has[one.session]))
        chosen.append(request)
        wanted[request.session] -= 1
        has[request.session] += 1
        of_group[request.group or request.session] += 1
    return chosen


async def serve(party: Party, tally: Tally) -> None:
    """Fill seats until cancelled; then every bot leaves its seat. A server that does not answer is asked again."""
    crew = _Crew(party, tally)
    try:
        async with asyncio.TaskGroup() as group:
            await crew.run(group)
    finally:
        await crew.close()


class _Requests(msgspec.Struct, frozen=True):
    requests: list[BotRequest]


class _Bot(Client):
    """A client with the calls of a bot process. ``secret``: BOT_SECRET of the server."""

    async def bot_requests(self, secret: str) -> list[BotRequest]:
        """The lobbies that want bots. Raises Forbidden without the secret."""
        return (await self._http.post("/api/bots/requests", _Requests, {"secret": secret})).requests

    async def take_seat(self, session: str, secret: str) -> Join:
        """Take a seat in a lobby that wants bots. Raises Conflict (no_bot_wanted), NotFound, Forbidden."""
        return await self._http.post("/api/bots/seat", Join, {"session": session, "secret": secret})


class _Crew:
    """The bots of one process: those that play, and those that are logged in and idle."""

    def __init__(self, party: Party, tally: Tally) -> None:
        self._party = party
        self._tally = tally
        self._rng = random.Random(party.seed)
        self._names = itertools.cycle(self._rng.sample(NAMES, len(NAMES)))
        self._idle: dict[str, list[_Bot]] = {}
        self._working = 0
        self._coming: Counter[str] = Counter()
        """Bots that are about to take a seat, by session: the next look must not send others for the same seats."""
        self._at_work: Counter[str] = Counter()
        """Bots that play in a session, or are about to."""
        self._groups: dict[str, str] = {}
        """The groups of sessions in which bots play, or are about to."""
        self._failures: dict[str, tuple[float, float]] = {}
        """Sessions whose seats could not be filled -> when to try again, and the pause after another failure [s]."""
        self._bodies: Mapping[str, Mapping[str, Any]] | None = None
        self._preparing = asyncio.Lock()
        self._prepared: set[tuple[str, str]] = set()
        """Modes and skills whose code and data this process has loaded."""

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Look for requests until cancelled."""
        backoff = Backoff(self._rng, cap_s=PAUSE_S)
        async with _Bot(self._party.server_url, rng=self._rng) as steward:
            waiting = False
            while True:
                wait_s = LOOK_S
                try:
                    if steward.token is None:
                        await steward.login("Steward", kind="bot")
                    requests = await steward.bot_requests(self._party.secret)
                except LobbyError as error:
                    if isinstance(error, AuthError):
                        steward.token = None
                    at_least = error.retry_after or 0.0 if isinstance(error, RateLimited) else 0.0
                    wait_s = backoff.next_s(at_least_s=at_least)
                    if not waiting:
                        log.warning("bot_requests_unread", code=error.reason, error=error.message)
                    waiting = True
                else:
                    if waiting:
                        log.info("bot_requests_read")
                    waiting = False
                    backoff.reset()
                    self._send(requests, group)
                await asyncio.sleep(wait_s)

    def _send(self, requests: Sequence[BotRequest], group: asyncio.TaskGroup) -> None:
        """Start bots for seats that are wanted and that no bot is on its way to, as ``share_out`` says."""
        now = asyncio.get_running_loop().time()
        listed = {request.session for request in requests}
        self._failures = {one: kept for one, kept in self._failures.items() if one in listed}
        ready = [one for one in requests if self._failures.get(one.session, (0.0, 0.0))[0] <= now]
        free = self._party.serve - self._working
        for request in share_out(ready, self._at_work, self._coming, free, self._party.serve, self._groups):
            self._groups[request.session] = request.group
            self._working += 1
            self._at_work[request.session] += 1
            self._coming[request.session] += 1
            group.create_task(self._fill(request), name=f"fill-{request.session}")

    def _leave_out(self, session: str) -> None:
        """Send no bot to a session for some time."""
        pause = self._failures.get(session, (0.0, FIRST_PAUSE_S))[1]
        self._failures[session] = (
            asyncio.get_running_loop().time() + pause * self._rng.uniform(0.75, 1.0),
            min(2.0 * pause, LONGEST_PAUSE_S),
        )

    async def _fill(self, request: BotRequest) -> None:
        client: _Bot | None = None
        coming = True
        try:
            decide = await self._decide(request)
            client = await self._bot(request.skill)
            join = await client.take_seat(request.session, self._party.secret)
            self._count_off(self._coming, request.session)
            coming = False
            self._failures.pop(request.session, None)
            log.info("bot_filled_seat", token=short(join.session), seat=join.seat, skill=request.skill)
            party = replace(self._party, mode=request.mode, size=request.size, skill=request.skill)
            try:
                await play_seat(client, join, party, self._tally, decide, fills=True)
            finally:
                with contextlib.suppress(LobbyError, TimeoutError):
                    async with asyncio.timeout(LEAVE_S):
                        await client.leave(join.session)
            self._idle.setdefault(request.skill, []).append(client)
            client = None
        except LobbyError as error:
            log.info(
                "bot_filled_nothing", token=short(request.session), code=error.reason, error=error.message
            )
            if client is not None and error.reason == "no_bot_wanted":
                self._idle.setdefault(request.skill, []).append(client)
                client = None
        except Exception:  # a mode, or a planner whose packages are missing: the other bots play on
            log.exception("bot_failed", token=short(request.session), mode=request.mode, skill=request.skill)
        finally:
            if coming:
                self._count_off(self._coming, request.session)
                self._leave_out(request.session)
            self._count_off(self._at_work, request.session)
            if request.session not in self._at_work:
                self._groups.pop(request.session, None)
            self._working -= 1
            if client is not None:
                await client.aclose()

    @staticmethod
    def _count_off(bots: Counter[str], session: str) -> None:
        bots[session] -= 1
        if not bots[session]:
            del bots[session]

    async def _bot(self, skill: str) -> _Bot:
        """An idle bot of that skill, or a new one."""
        idle = self._idle.get(skill)
        if idle:
            return idle.pop()
        client = _Bot(self._party.server_url, rng=self._rng)
        try:
            try:
                await client.login(next(self._names), kind="bot", skill=skill)
            except AuthError:  # the name belongs to an account
                await client.login(kind="bot", skill=skill)
        except BaseException:
            await client.aclose()
            raise
        return client

    async def _decide(self, request: BotRequest) -> Decide:
        """The program of that mode and skill, with all that it needs loaded. Raises Refused for a mode that this
        process does not have."""
        if looks_ahead(request.mode, request.skill):
            async with self._preparing:
                if self._bodies is None:
                    async with Client(self._party.server_url) as client:
                        self._bodies = (await client.catalogue())["bodies"]
                if (request.mode, request.skill) not in self._prepared:
                    await prepare(request.mode, request.skill, self._bodies)
                    self._prepared.add((request.mode, request.skill))
        rng = np.random.default_rng(self._rng.getrandbits(64))
        return decide_by_mode(request.mode, request.skill, rng, self._bodies)

    async def close(self) -> None:
        """Close the connections of the idle bots."""
        for client in itertools.chain.from_iterable(self._idle.values()):
            await client.aclose()
        self._idle.clear()
