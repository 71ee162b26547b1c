"""Bots on demand: one process looks for lobbies that want bots, and fills their seats.

    crew:    POST /api/bots/requests, every LOOK_S -> a bot per wanted seat, at most ``party.serve`` at once
    bot:     POST /api/bots/seat -> play_seat -> idle, until the next request of its skill

Any number of such processes may run: the server seats as many bots as are wanted, in any order. This module must
never take a seat that no request named.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from tussle.lobby.backoff import Backoff
from tussle.lobby.bot_requests import BotRequest
from tussle.lobby.errors import AuthError, LobbyError, RateLimited
from tussle.lobby.logs import get_logger, short
from tussle.player.bots import LEAVE_S, NAMES, PAUSE_S, Decide, Party, Tally, decide_by_mode, play_seat
from tussle.player.client import Client, Join

__all__ = ["serve"]

log = get_logger(__name__)

LOOK_S = 0.3
"""How often the requests are read [s]. It bounds how long a person waits for a bot."""


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
        return (await self._post("/api/bots/requests", _Requests, {"secret": secret})).requests

    async def take_seat(self, session: str, secret: str) -> Join:
        """Take a seat in a lobby that wants bots. Raises Conflict (no_bot_wanted), NotFound, Forbidden."""
        return await self._post("/api/bots/seat", Join, {"session": session, "secret": secret})


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
        self._bodies: Mapping[str, Mapping[str, Any]] | None = None

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
                    for request in requests:
                        self._send(request, group)
                await asyncio.sleep(wait_s)

    def _send(self, request: BotRequest, group: asyncio.TaskGroup) -> None:
        """Start a bot for each seat that is wanted and that no bot is on its way to."""
        for _ in range(request.wanted - self._coming[request.session]):
            if self._working >= self._party.serve:
                return
            self._working += 1
            self._coming[request.session] += 1
            group.create_task(self._fill(request), name=f"fill-{request.session}")

    async def _fill(self, request: BotRequest) -> None:
        client: _Bot | None = None
        coming = True
        try:
            decide = await self._decide(request)
            client = await self._bot(request.skill)
            join = await client.take_seat(request.session, self._party.secret)
            self._arrived(request.session)
            coming = False
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
                self._arrived(request.session)
            self._working -= 1
            if client is not None:
                await client.aclose()

    def _arrived(self, session: str) -> None:
        self._coming[session] -= 1
        if not self._coming[session]:
            del self._coming[session]

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
        """The program of that mode and skill. Raises Refused for a mode that this process does not have."""
        if request.skill == "planner" and self._bodies is None:
            async with Client(self._party.server_url) as client:
                self._bodies = (await client.catalogue())["bodies"]
        rng = np.random.default_rng(self._rng.getrandbits(64))
        return decide_by_mode(request.mode, request.skill, rng, self._bodies)

    async def close(self) -> None:
        """Close the connections of the idle bots."""
        for client in itertools.chain.from_iterable(self._idle.values()):
            await client.aclose()
        self._idle.clear()
