"""Bans of addresses: all servers refuse every request and socket of an address for some time.

    ban -> the index of banned addresses, an order to all servers -> each reads the index, and closes open sockets

An address is an IPv4 address or an IPv6 /64 network, as for budgets. Everybody behind it is refused, so a ban has an
end. This module must never close a connection.
"""

from __future__ import annotations

from dataclasses import dataclass

from tussle.lobby.errors import Refused
from tussle.lobby.orders import ORDERS_KEPT
from tussle.lobby.store.store import Store

__all__ = ["AddressBan", "AddressBans"]

DEFAULT_S = 86_400.0
"""The default length of a ban: a day. Another person may have the address tomorrow."""

LONGEST_S = 366 * 86_400.0

MOST = 1000
"""Addresses that are banned at once."""


@dataclass(frozen=True, slots=True)
class AddressBan:
    """A ban in force. until: its end [ms of the store's clock]."""

    address: str
    until: int


class AddressBans:
    """The banned addresses of a realm."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def ban(self, address: str, by: str, for_s: float | None = None) -> int:
        """Ban an address; a second ban replaces the first. Returns its end [ms].

        Raises Refused ``out_of_range`` for a length that is not between a second and a year; Conflict
        ``too_many_bans``.
        """
        length_s = DEFAULT_S if for_s is None else for_s
        if not 1 <= length_s <= LONGEST_S:
            raise Refused(
                "a ban of an address lasts from a second to a year", code="out_of_range", field="for_s"
            )
        return await self._run(address, round(length_s * 1000), by)

    async def unban(self, address: str, by: str) -> None:
        """Lift a ban; nothing happens without one."""
        await self._run(address, 0, by)

    async def listed(self) -> list[AddressBan]:
        """The bans in force, those that end last first."""
        now = await self._store.now_ms()
        flat = await self._store.call(
            "ZRANGE", self._store.keys.banned_addresses, 0, MOST - 1, "REV", "WITHSCORES"
        )
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return [AddressBan(address, int(float(until))) for address, until in pairs if float(until) > now]

    async def remaining(self) -> dict[str, float]:
        """The banned addresses, and for how long [s]."""
        now = await self._store.now_ms()
        return {ban.address: (ban.until - now) / 1000 for ban in await self.listed()}

    async def _run(self, address: str, length_ms: int, by: str) -> int:
        keys = self._store.keys
        reply = await self._store.run(
            "ban_address", [keys.banned_addresses, keys.orders], [address, length_ms, by, ORDERS_KEPT, MOST]
        )
        return int(reply[1])
