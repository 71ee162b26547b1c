"""The bots that fill seats, or are wanted, for each address and each player of a realm, over all servers.

    hold   -> hold_bots.lua: sums what other sessions hold for both, refuses or writes the entry of the session
    settle -> counts what each session needs by the store; corrects entries, removes those of sessions that are over

An entry may hold more than its session needs until the next ``settle``: nothing has to be given back when a server
dies. It holds less after a fault only: if a server dies or loses the store between the opening of a lobby and
``rename``, the bots that this lobby gets by itself are not counted. This module must never seat a bot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tussle.lobby.filling import Filling
from tussle.lobby.store.store import Store

__all__ = ["BotHoldings", "Busy", "Held"]

FRESH_MS = 5000
"""An entry of a lobby that waits is not changed for this long: its request is perhaps on its way to the store [ms]."""

PAGE = 200


@dataclass(frozen=True, slots=True)
class Held:
    """What ``hold`` wrote for a session, and what was there before; '': nothing."""

    session: str
    before: str
    entry: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Who would hold too many bots: "address" or "player"."""

    owner: str


class BotHoldings:
    """The shares of bots of a realm."""

    def __init__(self, store: Store, filling: Filling) -> None:
        self._store = store
        self._filling = filling
        self._key = store.keys.bot_shares

    async def hold(
        self, session: str, count: int, address: str, player: str, *, most: tuple[int, int]
    ) -> Held | Busy:
        """Hold ``count`` bots for a session, in place of what is held for it. most: bots of the address, of the player.
        Raises StoreError."""
        reply = await self._store.run("hold_bots", [self._key], [session, count, address, player, *most])
        return Busy(reply[1]) if reply[0] == "BUSY" else Held(session, reply[1], reply[2])

    async def restore(self, held: Held) -> None:
        """Undo a ``hold``, unless the entry has changed since."""
        await self._store.run("settle_bots", [self._key], [held.session, held.entry, held.before])

    async def rename(self, held: Held, session: str) -> None:
        """Move what is held to a session that has an entry of its own from now on."""
        commands = [("HDEL", self._key, held.session), ("HSET", self._key, session, held.entry)]
        await self._store.batch(commands, atomic=True)

    async def settle(self, owner: str = "", key: str = "") -> int:
        """Count again what the sessions need, only those of an owner if it is given. An entry that holds less is
        raised, even above the share of its owner, who then gets no more. Returns how many entries were changed or
        removed."""
        flat = await self._store.call("HGETALL", self._key)
        entries = [
            (session, entry)
            for session, entry in zip(flat[::2], flat[1::2], strict=True)
            if not owner or _fields(entry)[owner] == key
        ]
        if not entries:
            return 0
        now, changed = await self._store.now_ms(), 0
        for first in range(0, len(entries), PAGE):
            changed += await self._settle(entries[first : first + PAGE], now)
        return changed

    async def _settle(self, entries: Sequence[tuple[str, str]], now: int) -> int:
        changed = 0
        counts = await self._filling.needed([session for session, _ in entries])
        for (session, entry), needed in zip(entries, counts, strict=True):
            fields = _fields(entry)
            fresh = not needed.definite and now - int(fields["at"]) < FRESH_MS
            if needed.count == int(fields["count"]) or fresh:
                continue
            counted = f"{needed.count} {entry.partition(' ')[2]}" if needed.count else ""
            reply = await self._store.run("settle_bots", [self._key], [session, entry, counted])
            changed += int(reply[1])
        return changed

    async def addresses(self, sessions: Sequence[str]) -> list[str | None]:
        """For each session the address that its bots are held for; None without bots."""
        if not sessions:
            return []
        entries = await self._store.call("HMGET", self._key, *sessions)
        return [None if entry is None else _fields(entry)["address"] for entry in entries]

    async def counts(self) -> dict[str, Counter[str]]:
        """How many bots are held for each address and player."""
        found: dict[str, Counter[str]] = {"address": Counter(), "player": Counter()}
        for entry in await self._store.call("HVALS", self._key):
            fields = _fields(entry)
            for owner, counter in found.items():
                counter[fields[owner]] += int(fields["count"])
        return found


def _fields(entry: str) -> dict[str, str]:
    return dict(zip(("count", "at", "address", "player"), entry.split(" "), strict=True))
