"""Experience, ratings and leaderboards of players.

A worker writes them when a session ends (worker/cleanup.py). This module must never write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from tussle.lobby.errors import NotFound
from tussle.lobby.wire.http_answers import Me, ModeStanding, PastMatch, PlayerProfile

if TYPE_CHECKING:
    from tussle.lobby.store.store import Store

__all__ = ["MATCHES_KEPT", "LeaderboardRow", "Standings"]

PROVISIONAL_SIGMA = 4.0
"""A rating whose sigma is greater than this is provisional."""

MATCHES_KEPT = 100
"""Matches of a player that are kept, the newest: about 12 kB."""


class LeaderboardRow(msgspec.Struct, frozen=True):
    """One player of a leaderboard. ``value``: the rating [points]."""

    player: str
    name: str
    value: float
    provisional: bool
    played: int
    kind: str = "person"


class Standings:
    """The profiles and leaderboards of a realm."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def profile(self, player: str) -> Me:
        """The profile of a player. Raises NotFound."""
        fields = _fields(await self._store.call("HGETALL", self._store.keys.player(player)))
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

    async def public_profile(self, player: str) -> PlayerProfile:
        """What anybody may see of a player. Raises NotFound."""
        keys = self._store.keys
        flat, rows = await self._store.batch(
            [("HGETALL", keys.player(player)), ("LRANGE", keys.matches(player), 0, MATCHES_KEPT - 1)]
        )
        fields = _fields(flat)
        modes = sorted(name.removeprefix("rating.") for name in fields if name.startswith("rating."))
        ranks = await self._store.batch([("ZREVRANK", keys.leaderboard(mode), player) for mode in modes])
        return PlayerProfile(
            player=player,
            name=fields["name"],
            kind="bot" if fields.get("kind") == "bot" else "person",
            xp=int(fields.get("xp", 0)),
            played=int(fields.get("played", 0)),
            won=int(fields.get("won", 0)),
            standings=tuple(
                ModeStanding(
                    mode=mode,
                    value=float(fields[f"rating.{mode}"]),
                    provisional=_is_provisional(fields.get(f"sigma.{mode}")),
                    played=int(fields.get(f"played.{mode}", 0)),
                    place=None if rank is None else int(rank) + 1,
                )
                for mode, rank in zip(modes, ranks, strict=True)
            ),
            matches=tuple(msgspec.json.decode(row, type=PastMatch) for row in rows),
        )

    async def leaderboard(self, mode: str, limit: int = 50) -> list[LeaderboardRow]:
        """The best players of a mode, at most ``limit``, the greatest value first."""
        keys = self._store.keys
        flat = await self._store.call("ZREVRANGE", keys.leaderboard(mode), 0, limit - 1, "WITHSCORES")
        players = list(zip(flat[::2], (float(score) for score in flat[1::2]), strict=True))
        fields = ("name", f"sigma.{mode}", f"played.{mode}", "kind")
        replies = await self._store.batch([("HMGET", keys.player(player), *fields) for player, _ in players])
        return [
            LeaderboardRow(
                player, name or "?", value, _is_provisional(sigma), int(played or 0), kind or "person"
            )
            for (player, value), (name, sigma, played, kind) in zip(players, replies, strict=True)
        ]


def _fields(flat: Sequence[str]) -> dict[str, str]:
    """The fields of a player. Raises NotFound if there are none."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    if "name" not in fields:
        raise NotFound("no such player")
    return fields


def _is_provisional(sigma: str | None) -> bool:
    return float(sigma or 25 / 3) > PROVISIONAL_SIGMA
