"""Bans: players who may not log in, call or connect for some time.

    ban -> player:P banned_until, the index of bans, an order to all servers -> their connections are closed

The player's record decides: accounts.py and connect.lua read it. A banned guest can come back as another guest; the
limits of its address apply to both. This module must never close a connection.
"""

from __future__ import annotations

from dataclasses import dataclass

from tussle.lobby.errors import NotFound, Refused
from tussle.lobby.names import name_key
from tussle.lobby.orders import ORDERS_KEPT
from tussle.lobby.store.store import Store

__all__ = ["Ban", "Bans"]

LONGEST_S = 10 * 365 * 86_400.0
"""The length of a ban without a given end: ten years."""

SHOWN = 200
"""Bans in one list, those that end last first."""


@dataclass(frozen=True, slots=True)
class Ban:
    """A ban in force. until: its end [ms of the store's clock]."""

    player: str
    name: str
    until: int


class Bans:
    """The bans of a realm."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def ban(self, player: str, by: str, for_s: float | None = None) -> int:
        """Ban a player; a second ban replaces the first. Returns its end [ms].

        Raises NotFound; Refused ``out_of_range`` for a length that is not between a second and ten years.
        """
        length_s = LONGEST_S if for_s is None else for_s
        if not 1 <= length_s <= LONGEST_S:
            raise Refused("a ban lasts from a second to ten years", code="out_of_range", field="for_s")
        return await self._run(player, round(length_s * 1000), by)

    async def unban(self, player: str, by: str) -> None:
        """Lift a ban; nothing happens without one. Raises NotFound."""
        await self._run(player, 0, by)

    async def find(self, text: str) -> str:
        """The id of a player by its id or by its registered name. Raises NotFound."""
        keys = self._store.keys
        for named in await self._store.call("HMGET", keys.players_by_name, text.casefold(), name_key(text)):
            if named:
                return str(named)
        if await self._store.call("EXISTS", keys.player(text)):
            return text
        raise NotFound(f"there is no player {text[:48]!r}", field="player")

    async def listed(self) -> list[Ban]:
        """The bans in force, at most SHOWN, those that end last first."""
        keys = self._store.keys
        now = await self._store.now_ms()
        flat = await self._store.call("ZRANGE", keys.banned, 0, SHOWN - 1, "REV", "WITHSCORES")
        rows = [
            (player, int(float(until)))
            for player, until in zip(flat[::2], flat[1::2], strict=True)
            if float(until) > now
        ]
        names = await self._store.batch([("HGET", keys.player(player), "name") for player, _ in rows])
        return [Ban(player, name or "", until) for (player, until), name in zip(rows, names, strict=True)]

    async def _run(self, player: str, length_ms: int, by: str) -> int:
        keys = self._store.keys
        reply = await self._store.run(
            "ban", [keys.player(player), keys.banned, keys.orders], [player, length_ms, by, ORDERS_KEPT]
        )
        return int(reply[1])
