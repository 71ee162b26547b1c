"""Sessions that change their holder: found unheld, claimed, handed over, restored.

    holder dies -> (lease ends) -> claim by any server -> resume -> replay -> recovered
    holder drains ------------------> hand_over -> resume ------------> recovered

The server decides what it claims and when. Each change is one fenced script. This module must never read a state or an
input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tussle.lobby.lifecycle import HELD
from tussle.lobby.runs import Fence
from tussle.lobby.servers import HolderAddress, ServerInfo
from tussle.lobby.store.store import Store
from tussle.lobby.wire.messages import Event

__all__ = ["Claims", "Recovered", "Unheld"]

PAGE = 1000
"""Sessions of an index that are read at once."""


@dataclass(frozen=True, slots=True)
class Unheld:
    """A session whose holder has no lease. ``physics_id``: that of the server which ran it last."""

    session: str
    status: str
    holder: HolderAddress
    physics_id: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """A session that runs again. ``turn_ends_at``: ms of the store's clock, 0 without a turn. ``gap_ms``: how long it
    had no holder."""

    event: Event
    turn_ends_at: int
    gap_ms: int


class Claims:
    """The changes of holder in a realm."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys = store.keys

    async def look(
        self, alive: list[ServerInfo], holder: HolderAddress
    ) -> tuple[list[Unheld], list[tuple[str, str]]]:
        """Read the holder of every session.

        Returns the sessions without a live holder, and (token, status) of those that ``holder`` runs or should run.
        """
        keys = self._keys
        fields = ("status", "holder", "holder_nonce", "holder_url", "physics_id")
        tokens: list[str] = []
        replies: list[Any] = []
        for index in (keys.running, keys.lobbies):
            for first in range(0, await self._store.call("ZCARD", index), PAGE):
                page = await self._store.call("ZRANGE", index, first, first + PAGE - 1)
                tokens += page
                replies += await self._store.batch(
                    [("HMGET", keys.session(token), *fields) for token in page]
                )
        living = {(info.id, info.nonce) for info in alive} | {(holder.id, holder.nonce)}
        unheld, ours = [], []
        for token, (status, server, nonce, url, physics) in zip(tokens, replies, strict=True):
            if status is None:
                continue
            if (server, nonce) == (holder.id, holder.nonce):
                if status in HELD:
                    ours.append((token, status))
            elif (server, nonce) not in living:
                unheld.append(
                    Unheld(token, status, HolderAddress(server or "", nonce or "", url or ""), physics or "")
                )
        return unheld, ours

    async def claim(self, unheld: Unheld, holder: HolderAddress) -> bool:
        """Take a session over. False: another server did, or its holder lives. Raises Fenced without a lease."""
        keys = self._keys
        reply = await self._store.run(
            "claim",
            [
                keys.session(unheld.session),
                keys.server(unheld.holder.id),
                keys.server(holder.id),
                keys.servers,
            ],
            [unheld.holder.id, unheld.holder.nonce, holder.id, holder.nonce, holder.url],
        )
        return bool(reply[1] == "1")

    async def rehome(self, session: str, old: HolderAddress, new: HolderAddress) -> bool:
        """Give a waiting lobby whose holder is dead a new one. Returns False if ``old`` lives or is not its holder."""
        reply = await self._store.run(
            "rehome",
            [self._keys.session(session), self._keys.server(old.id)],
            [old.id, old.nonce, new.id, new.nonce, new.url],
        )
        return bool(reply[1] == "1")

    async def hand_over(self, fence: Fence, to: HolderAddress) -> bool:
        """Hand a running session over. False: ``to`` has no lease, and the holder stays the same. Raises Fenced."""
        keys = self._keys
        reply = await self._store.run(
            "hand_over",
            [keys.session(fence.session), keys.server(to.id), keys.lifecycle],
            [fence.server, fence.nonce, fence.epoch, to.id, to.nonce, to.url, fence.session],
        )
        return bool(reply[1] == "1")

    async def recovered(
        self, fence: Fence, tick: int, *, exact: bool, ticks_again: int, inputs_lost: int = 0
    ) -> Recovered:
        """Mark the session as restored at ``tick`` and resume its turn clock.

        If the restore is not ``exact``, journal entries of later ticks are removed and events from this tick on may be
        published again. Repeating the call changes nothing. Raises Fenced.
        """
        keys, session = self._keys, fence.session
        reply = await self._store.run(
            "recovered",
            [*keys.for_scripts(session, fence.mode, fence.size), keys.journal(session)],
            [
                *(session, keys.wake(session), keys.lifecycle),
                *(fence.server, fence.nonce, fence.epoch, tick, int(exact), ticks_again, inputs_lost),
            ],
        )
        v, ends_at, gap = (int(part) for part in reply[1:])
        data = {
            "exact": exact,
            "tick": tick,
            "ticks_again": ticks_again,
            "inputs_lost": inputs_lost,
            "gap_ms": gap,
        }
        event = Event(
            v, "recovered", {**data, "turn_ends_at": ends_at, "holder": fence.server}, tick, fence.epoch
        )
        return Recovered(event, ends_at, gap)
