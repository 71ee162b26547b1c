"""Experience, ratings and leaderboards of players.

worker/awards.py writes them when a session ends. This module must never write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tussle.lobby.errors import NotFound
from tussle.lobby.wire.http_answers import Me

if TYPE_CHECKING:
    from tussle.lobby.store.store import Store

__all__ = ["LeaderboardRow", "Standings"]

PROVISIONAL_SIGMA = 4.0
"""A rating whose sigma is greater than this is provisional."""


class LeaderboardRow(msgspec.Struct, frozen=True):
    """One player of a leaderboard. ``value``: the rating [points]."""

    player: str
    name: str
    value: float
    provisional: bool
    played: int


class Standings:
    """The profiles and leaderboards of a realm."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def profile(self, player: str) -> Me:
        """The profile of a player. Raises NotFound."""
        flat = await self._store.call("HGETALL", self._store.keys.player(player))
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        if "name" not in fields:
            raise NotFound("no such player")
        rating = {
            name.removeprefix("rating."): float(value)
            for name, value in fields.items()
            if name.startswith("rating.")
        }
        return Me(
            player=player,
            name=fields["name"],
            kind=fields.get("kind", "person"),
            session=fields.get("session") or None,
            xp=int(fields.get("xp", 0)),
            played=int(fields.get("played", 0)),
            won=int(fields.get("won", 0)),
            rating=rating,
        )

    async def leaderboard(self, mode: str, limit: int = 50) -> list[LeaderboardRow]:
        """The best players of a mode, at most ``limit``, the greatest value first."""
        keys = self._store.keys
        flat = await self._store.call("ZREVRANGE", keys.leaderboard(mode), 0, limit - 1, "WITHSCORES")
        players = list(zip(flat[::2], (float(score) for score in flat[1::2]), strict=True))
        fields = ("name", f"sigma.{mode}", f"played.{mode}")
        replies = await self._store.batch([("HMGET", keys.player(player), *fields) for player, _ in players])
        return [
            LeaderboardRow(
                player, name or "?", value, float(sigma or 25 / 3) > PROVISIONAL_SIGMA, int(played or 0)
            )
            for (player, value), (name, sigma, played) in zip(players, replies, strict=True)
        ]
