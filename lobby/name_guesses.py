"""How often the secret of one name may be tried, on all servers together: GUESS_RATE.

    login with a secret -> the server's own budget of the name -> spend.lua: one bucket for each name -> argon2

The server's budget is checked first, so that a flood at one server does not reach the store. This module must never see
a secret.
"""

from __future__ import annotations

import hashlib

from tussle.lobby.errors import RateLimited
from tussle.lobby.store.store import Store

__all__ = ["NameGuesses"]


class NameGuesses:
    """The guesses of a realm's names: ``rate`` per second on average, 1000 at most, ``burst`` at once."""

    def __init__(self, store: Store, rate: float, burst: float) -> None:
        self._store = store
        self._unit_ms = max(1, round(1000.0 / rate))
        self._burst = max(1, int(burst))

    async def spend(self, name: str) -> None:
        """Charge one guess for a name in its canonical form. Raises RateLimited, and charges nothing, if the name was
        tried too often; StoreError."""
        key = self._store.keys.guesses(hashlib.sha256(name.encode()).hexdigest())
        reply = await self._store.run("spend", [key], [self._unit_ms, self._burst])
        if reply[0] == "EMPTY":
            raise RateLimited("too many guesses of this name", retry_after=int(reply[1]) / 1000)
