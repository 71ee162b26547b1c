"""How many sessions the players of one address, and one player, may have opened that are not over: ADDRESS_SESSIONS.
And how many they may open in a time: OPEN_RATE. Each opened lobby may begin a session, which builds a world.

    open.lua    -> counts the sessions of both that wait or run, on all servers; refuses, or adds the new one
                   one token bucket for each of both, on all servers; refuses, or takes a unit
    prune       -> the sweep removes the sessions that are over

A session counts exactly while it is on the index of those that wait or run, so that nothing has to be given back when
it ends, when its server dies, or when its keys expire. This module must never end a session.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from tussle.lobby.errors import RateLimited
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Argument, Store

__all__ = ["SessionOwner", "SessionShares", "opening_rates", "session_share"]

SessionOwner = Literal["address", "player"]

RETRY_S = 10.0
"""When a refused client should ask again [s]: there is room when a session ends, which nobody knows."""


def session_share(settings: Settings) -> tuple[int, int]:
    """The most sessions of an address, and of a player."""
    address = settings.address_sessions or max(1, settings.max_sessions // 2)
    return address, max(1, address // 2)


def opening_rates(settings: Settings) -> tuple[tuple[float, float], tuple[float, float]]:
    """The lobbies that an address, and a player, may open: per second on average, and at once."""
    rate = settings.open_rate
    return (rate, max(1.0, 60 * rate)), (rate / 4, max(1.0, 15 * rate))


class SessionShares:
    """The shares of all addresses and players of a realm."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._most = session_share(settings)
        self._openings: list[Argument] = []
        for rate, burst in opening_rates(settings):
            self._openings += [max(1, round(1000.0 / rate)), int(burst)]

    def keys(self, address: str, player: str) -> list[str]:
        """The keys of open.lua that count what an address and a player have opened lately."""
        keys = self._store.keys
        return [keys.player_openings(player), keys.address_openings(address)]

    def arguments(self, address: str) -> list[Argument]:
        """The arguments of open.lua for a host at an address; '': the address is not counted."""
        return [address, *self._most, *self._openings]

    @staticmethod
    def too_fast(owner: SessionOwner, wait_ms: int) -> RateLimited:
        """The error that refuses to open a lobby so soon after others."""
        who = "players of your address open" if owner == "address" else "you open"
        return RateLimited(
            f"{who} lobbies too fast; join one, or try again later",
            code="address_openings" if owner == "address" else "player_openings",
            retry_after=wait_ms / 1000,
        )

    def refusal(self, owner: SessionOwner) -> RateLimited:
        """The error that refuses to open one more session."""
        of_address = owner == "address"
        most = self._most[0] if of_address else self._most[1]
        who = "players of your address have" if of_address else "you have"
        return RateLimited(
            f"{who} opened {most} sessions that are not over; join one, or end one first",
            code="address_sessions" if of_address else "player_sessions",
            retry_after=RETRY_S,
        )

    async def counts(self) -> dict[str, Counter[str]]:
        """How many sessions each address and player has opened, with a few that are over."""
        found: dict[str, Counter[str]] = {"address": Counter(), "player": Counter()}
        for entry in await self._store.call("ZRANGE", self._store.keys.session_shares, 0, -1):
            owner, key, _ = entry.split(" ")
            found[owner][key] += 1
        return found

    async def prune(self) -> int:
        """Remove sessions that are over. Returns how many entries were removed."""
        keys = self._store.keys
        reply = await self._store.run("prune_shares", [keys.session_shares, keys.lobbies, keys.running], [])
        return int(reply[1])
