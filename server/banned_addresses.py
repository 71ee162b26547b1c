"""The banned addresses that one server knows, and the answer to a request or socket of one.

    the store --load--> banned address -> end [monotonic s] --check--> Forbidden "banned"
                                                            '-- cut_off: responses that are being sent, such as streams

A server loads the bans when it starts, when an operator changes them, and every LOAD_S. While the store does not answer
the loaded ones stay in force. This module must never decide who is banned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tussle.lobby.address_bans import AddressBans
from tussle.lobby.errors import Forbidden

__all__ = ["LOAD_S", "BannedAddresses"]

LOAD_S = 30.0
"""Time between two readings of the bans [s], for an order that a server did not get."""


class BannedAddresses:
    """The banned addresses that one server knows. Addresses are keys of budgets: ``owner_of_address``."""

    def __init__(self, bans: AddressBans) -> None:
        self._bans = bans
        self._banned: dict[str, float] = {}
        self._inside: dict[object, tuple[str, Callable[[], None]]] = {}

    async def load(self) -> None:
        """Read the bans. Raises StoreError."""
        remaining, now = await self._bans.remaining(), time.monotonic()
        self._banned = {address: now + left_s for address, left_s in remaining.items()}

    def contains(self, address: str) -> bool:
        """Whether an address is banned now."""
        ends = self._banned.get(address)
        return ends is not None and time.monotonic() < ends

    def check(self, address: str) -> None:
        """Raises Forbidden ``banned`` while an address is banned."""
        if self.contains(address):
            raise Forbidden("an operator has banned this address for some time", code="banned")

    @contextmanager
    def passing(self, address: str, abort: Callable[[], None]) -> Iterator[None]:
        """While a request of an address is answered. ``abort`` closes its connection."""
        key = object()
        self._inside[key] = address, abort
        try:
            yield
        finally:
            del self._inside[key]

    def cut_off(self) -> None:
        """Close the connections on which requests of banned addresses are being answered."""
        for address, abort in list(self._inside.values()):
            if self.contains(address):
                abort()
