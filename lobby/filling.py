"""Bots that fill the free seats of a waiting lobby: who asks for them, and how a bot process finds the requests.

    the host: request --------------.                            .-> a bot is seated (Seating.fill)
    one person waits alone ----------> bots:requests -> offers --'     '-> a person comes: the bot gives its seat up
      (deadline bots:T, timers.py)

A request expires after REQUEST_MS. A bot process that reads the requests counts as running for PROCESS_MS. Each
change is one script, so that two processes never fill one seat twice. This module must never seat a player.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from tussle.lobby.bot_requests import BotRequest, BotsAsked
from tussle.lobby.lifecycle import HELD, WAITING
from tussle.lobby.session_scripts import SessionScripts

__all__ = ["ALONE_SKILL", "PRACTICE_SKILL", "BotsNeeded", "Filling"]

REQUEST_MS = 60_000
PROCESS_MS = 5_000
"""A bot process that has not read the requests for this long counts as gone. Each reads them at least every
two seconds."""

ALONE_SKILL: Final = "fair"
"""The skill of bots when a request names none."""

PRACTICE_SKILL: Final = "dummy"
"""The skill of a bot that never moves, to practise against. Sessions with one are not rated."""

OFFERED = 32
"""Most requests that one look returns."""


FILL_FIELDS = tuple(f"fill.{seat}" for seat in range(64))
"""The fields of the bots that fill seats; a lobby has at most 64."""


@dataclass(frozen=True, slots=True)
class _Bots:
    """The bots of one session. ``wanted`` counts until ``until`` [ms]."""

    FIELDS: ClassVar = ("status", "size", "bots.wanted", "bots.until", "bots.alone_ms")

    status: str
    size: int
    filled: int
    free: int
    wanted: int
    until: int
    alone: bool

    @classmethod
    def read(cls, fields: Sequence[str | None], taken: int) -> Self:
        """The fields FIELDS and FILL_FIELDS, and the number of taken seats."""
        status, size, wanted, until, alone_ms, *fills = fields
        filled = len(fills) - fills.count(None)
        seats = int(size or 0)
        free = max(0, seats - int(taken))
        return cls(status or "", seats, filled, free, int(wanted or 0), int(until or 0), alone_ms is not None)

    def by_itself(self) -> int:
        """The most bots that the lobby gets without a request of its host: people who are in it may leave."""
        return self.size - 1 if self.alone and self.status in WAITING else 0

    def needed(self, now: int) -> int:
        """The most bots that may fill seats without another request of the host, even if members leave."""
        if self.status not in WAITING:
            return self.filled if self.status in HELD else 0
        wanted = self.wanted if self.until > now else 0
        return max(self.filled + wanted, self.by_itself())


@dataclass(frozen=True, slots=True)
class BotsNeeded:
    """How many bots a session needs. definite: it can only need fewer from now on, because it has begun or is over."""

    count: int
    definite: bool


class Filling:
    """The requests for bots of a realm."""

    def __init__(self, scripts: SessionScripts) -> None:
        self._scripts = scripts
        self._store = scripts.store
        self._keys = scripts.keys

    async def request(self, player: str, session: str, count: int | None, skill: str) -> BotsAsked:
        """Ask for ``count`` bots in a lobby, as its host; None: one for every free seat; 0: no more bots.

        Raises NotFound, Refused ``not_host``, LobbyFull, Conflict ``not_open`` or ``no_bots``: no bot process runs.
        """
        reply = await self._request(session, player, "" if count is None else count, skill, "")
        return BotsAsked(session, int(reply[1]), skill, int(reply[2]))

    async def request_alone(self, session: str, *, due_at: int) -> int:
        """Ask for bots in a lobby in which one person waits alone, if its deadline was before ``due_at`` [ms].

        Returns 1, or 0 if there was nothing to do. Without a bot process the lobby asks again later.
        """
        reply = await self._request(session, "", "", ALONE_SKILL, due_at)
        return int(int(reply[1]) > 0)

    async def offers(self, process: str) -> list[BotRequest]:
        """The lobbies that want bots, at most OFFERED, the oldest request first. ``process``: the player as which the
        bot process is logged in; it counts as running from now on for PROCESS_MS."""
        keys = [self._keys.bot_requests, self._keys.bot_processes]
        _, *tokens = await self._store.run("bot_requests", keys, [process, PROCESS_MS, OFFERED])
        if not tokens:
            return []
        rows = await self._store.batch(
            [
                ("HMGET", self._keys.session(token), "mode", "size", "bots.wanted", "bots.skill")
                for token in tokens
            ]
        )
        return [
            BotRequest(token, mode, int(size), int(wanted), skill)
            for token, (mode, size, wanted, skill) in zip(tokens, rows, strict=True)
            if wanted is not None and int(wanted) > 0
        ]

    async def seats(self, sessions: Sequence[str]) -> list[tuple[int, int, int]]:
        """For each session the bots that fill seats, the free seats, and the most bots that it gets by itself;
        (0, 0, 0) if it does not wait."""
        found = await self._read(sessions)
        return [
            (one.filled, one.free, one.by_itself()) if one.status in WAITING else (0, 0, 0) for one in found
        ]

    async def needed(self, sessions: Sequence[str]) -> list[BotsNeeded]:
        """For each session the bots that fill seats and those that are wanted. While it waits: also those that it may
        want by itself, and those whose seats people have now. 0 once it is over."""
        now = await self._store.now_ms() if sessions else 0
        found = await self._read(sessions)
        return [BotsNeeded(one.needed(now), one.status != "" and one.status not in WAITING) for one in found]

    async def _read(self, sessions: Sequence[str]) -> list[_Bots]:
        keys = self._keys
        rows = await self._store.batch(
            [
                command
                for session in sessions
                for command in (
                    ("HMGET", keys.session(session), *_Bots.FIELDS, *FILL_FIELDS),
                    ("HLEN", keys.seats(session)),
                )
            ]
        )
        return [_Bots.read(fields, taken) for fields, taken in zip(rows[::2], rows[1::2], strict=True)]

    async def _request(
        self, session: str, player: str, count: int | str, skill: str, due_at: int | str
    ) -> list[Any]:
        keys = [self._keys.bot_requests, self._keys.bot_processes]
        args = [player, count, skill, REQUEST_MS, PROCESS_MS, due_at]
        return await self._scripts.run("request_bots", session, keys, args)
