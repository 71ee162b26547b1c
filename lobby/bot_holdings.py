"""The bots that fill seats, or are wanted, for each address and each player of a realm, over all servers.

    hold     -> hold_bots.lua: sums what other sessions hold for both, refuses or writes the entry of the session
    open.lua -> the same for the bots that a new lobby gets by itself, in the script that opens it
    settle   -> counts what each session needs by the store; corrects entries, removes those of sessions that are over

A script reads the sessions of one address and one player only, whatever the number of all. An entry may hold more than
its session needs until the next ``settle``: nothing has to be given back when a server dies. This module must never
seat a bot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tussle.lobby.filling import Filling
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store

__all__ = ["BotHoldings", "Busy", "Held", "bot_share"]

FRESH_MS = 5000
"""An entry of a lobby that waits is not changed for this long: its request is perhaps on its way to the store [ms]."""

PAGE = 200

OWNERS = ("address", "player")


def bot_share(settings: Settings) -> tuple[int, int]:
    """The most bots of an address, and of a player."""
    return 8 * settings.bot_share, settings.bot_share


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
        self._owners_key = store.keys.bot_owners

    async def hold(
        self, session: str, count: int, address: str, player: str, *, most: tuple[int, int]
    ) -> Held | Busy:
        """Hold ``count`` bots for a session, in place of what is held for it. most: bots of the address, of the player.
        Raises StoreError."""
        reply = await self._hold(session, count, address, player, most)
        return Busy(reply[1]) if reply[0] == "BUSY" else Held(session, reply[1], reply[2])

    async def busy(self, count: int, address: str, player: str, *, most: tuple[int, int]) -> Busy | None:
        """Who has no room for ``count`` bots of a session that does not exist yet. Raises StoreError."""
        reply = await self._hold("", count, address, player, most)
        return Busy(reply[1]) if reply[0] == "BUSY" else None

    async def _hold(
        self, session: str, count: int, address: str, player: str, most: tuple[int, int]
    ) -> list[Any]:
        keys = [self._key, self._owners_key]
        return await self._store.run("hold_bots", keys, [session, count, address, player, *most])

    async def restore(self, held: Held) -> None:
        """Undo a ``hold``, unless the entry has changed since."""
        await self._replace(held.session, held.entry, held.before)

    async def _replace(self, session: str, expected: str, entry: str) -> int:
        keys = [self._key, self._owners_key]
        return int((await self._store.run("settle_bots", keys, [session, expected, entry]))[1])

    async def settle(self, owner: str = "", key: str = "") -> int:
        """Count again what the sessions need, only those of an owner if it is given. An entry that holds less is
        raised, even above the share of its owner, who then gets no more. Returns how many entries were changed or
        removed."""
        entries = await (self._of_owner(owner, key) if owner else self._all())
        if not entries:
            return 0
        now, changed = await self._store.now_ms(), 0
        for first in range(0, len(entries), PAGE):
            changed += await self._settle(entries[first : first + PAGE], now)
        return changed

    async def _of_owner(self, owner: str, key: str) -> list[tuple[str, str]]:
        """The sessions that hold bots of an owner, with their entries."""
        prefix = f"{owner} {key} "
        found = await self._store.call("ZRANGEBYLEX", self._owners_key, f"[{prefix}", f"({owner} {key}!")
        sessions = [member.removeprefix(prefix) for member in found]
        entries = await self._store.call("HMGET", self._key, *sessions) if sessions else []
        return [pair for pair in zip(sessions, entries, strict=True) if pair[1] is not None]

    async def _all(self) -> list[tuple[str, str]]:
        """All entries. Owners that are missing, because the set was lost, are added."""
        flat = await self._store.call("HGETALL", self._key)
        entries = list(zip(flat[::2], flat[1::2], strict=True))
        known = set(await self._store.call("ZRANGE", self._owners_key, 0, -1))
        for session, entry in entries:
            fields = _fields(entry)
            if not {f"{owner} {fields[owner]} {session}" for owner in OWNERS} <= known:
                await self._replace(session, entry, entry)
        return entries

    async def _settle(self, entries: Sequence[tuple[str, str]], now: int) -> int:
        changed = 0
        counts = await self._filling.needed([session for session, _ in entries])
        for (session, entry), needed in zip(entries, counts, strict=True):
            fields = _fields(entry)
            fresh = not needed.definite and now - int(fields["at"]) < FRESH_MS
            if needed.count == int(fields["count"]) or fresh:
                continue
            counted = f"{needed.count} {entry.partition(' ')[2]}" if needed.count else ""
            changed += await self._replace(session, entry, counted)
        return changed

    async def addresses(self, sessions: Sequence[str]) -> list[str | None]:
        """For each session the address that its bots are held for; None without bots."""
        if not sessions:
            return []
        entries = await self._store.call("HMGET", self._key, *sessions)
        return [None if entry is None else _fields(entry)["address"] for entry in entries]

    async def counts(self) -> dict[str, Counter[str]]:
        """How many bots are held for each address and player."""
        found: dict[str, Counter[str]] = {owner: Counter() for owner in OWNERS}
        for entry in await self._store.call("HVALS", self._key):
            fields = _fields(entry)
            for owner, counter in found.items():
                counter[fields[owner]] += int(fields["count"])
        return found


def _fields(entry: str) -> dict[str, str]:
    return dict(zip(("count", "at", "address", "player"), entry.split(" "), strict=True))
