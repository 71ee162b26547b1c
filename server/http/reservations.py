"""Seats that were reserved through this server and are not connected yet, charged to their addresses and players.

    charge -> seat (Seating) -> record -> settle, once a second: the player has connected -> given back
         '-> RateLimited             '-> the seat fails: cancel   '-> not in time: stays charged

A player who connects to any server is not limited. A player who reserves seats and does not connect is limited. This
module must never free a seat.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tussle.lobby.errors import RateLimited
from tussle.lobby.store.store import Store
from tussle.server.costs import Ledger, Owner, Resource

__all__ = ["Reservations"]

PENDING = 10_000
"""Reservations that are remembered. Beyond it the oldest stay charged."""


@dataclass(frozen=True, slots=True)
class _Pending:
    address: str
    at: float


class Reservations:
    """The reservations of one server. ``ttl_s``: the time in which a player must connect."""

    def __init__(self, store: Store, ledger: Ledger, ttl_s: float) -> None:
        self._store = store
        self._ledger = ledger
        self._ttl_s = ttl_s
        self._pending: dict[tuple[str, str], _Pending] = {}

    async def charge(self, address: str, player: str) -> None:
        """Charge one reservation to the address and the player. Raises RateLimited, and charges nothing."""
        try:
            self._charge(address, player)
        except RateLimited:
            await self.settle()
            self._charge(address, player)

    def _charge(self, address: str, player: str) -> None:
        now = time.monotonic()
        self._ledger.charge(Resource.RESERVATIONS, Owner.PLAYER, player, now)
        try:
            self._ledger.charge(Resource.RESERVATIONS, Owner.ADDRESS, address, now)
        except RateLimited:
            self._ledger.give_back(Resource.RESERVATIONS, Owner.PLAYER, player)
            raise

    def record(self, session: str, player: str, address: str) -> None:
        """Remember a reservation that was charged. Another one for the same seat is given back at once."""
        if (session, player) in self._pending:
            self.cancel(address, player)
            return
        self._pending[session, player] = _Pending(address, time.monotonic())
        if len(self._pending) > PENDING:
            del self._pending[next(iter(self._pending))]

    def cancel(self, address: str, player: str) -> None:
        """Give a charge back, because no seat was reserved."""
        self._ledger.give_back(Resource.RESERVATIONS, Owner.ADDRESS, address)
        self._ledger.give_back(Resource.RESERVATIONS, Owner.PLAYER, player)

    async def settle(self) -> None:
        """Give back the charges of players who have connected; forget those whose time is up. Raises StoreError."""
        pending = list(self._pending.items())
        keys = self._store.keys
        found = await self._store.batch(
            [("HGET", keys.session_player(session, player), "conn") for (session, player), _ in pending]
        )
        now = time.monotonic()
        for (place, one), conn in zip(pending, found, strict=True):
            if conn is not None:
                if self._pending.pop(place, None) is not None:
                    self.cancel(one.address, place[1])
            elif now - one.at > self._ttl_s:
                self._pending.pop(place, None)
