"""Sessions that change hands: found unheld, claimed, handed over, stood up again.

    holder dies -> (lease ends) -> claim by any server -> resume -> replay -> recovered
    holder drains ------------------> hand_over -> resume ------------> recovered

Who may claim what, and when, is the server's to decide; here each change is one fenced script. This module must
never look into a state or an input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tussle.lobby.lifecycle import Status
from tussle.lobby.runs import Fence
from tussle.lobby.servers import HolderAddress, ServerInfo
from tussle.lobby.session_scripts import status_argument
from tussle.lobby.store.store import Store
from tussle.lobby.wire.messages import Event

__all__ = ["Claims", "Recovered", "Unheld"]

CLAIMABLE = status_argument((Status.STARTING, Status.RUNNING, Status.PAUSED))
PAGE = 1000
"""Sessions of an index that are asked about at once."""


@dataclass(frozen=True, slots=True)
class Unheld:
    """A session whose holder has no lease. ``physics_id``: of the server that ran it last."""

    session: str
    status: str
    holder: HolderAddress
    physics_id: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """``turn_ends_at``: ms of the store's clock, 0 without a turn. ``gap_ms``: how long nobody held the session."""

    event: Event
    turn_ends_at: int
    gap_ms: int


class Claims:
    """The changes of hands of a realm."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys = store.keys

    async def look(
        self, alive: list[ServerInfo], holder: HolderAddress
    ) -> tuple[list[Unheld], list[tuple[str, str]]]:
        """Sessions that nobody holds; and (token, status) of those past their lobby that are ``holder``'s by the
        store's word."""
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
                if status in (Status.STARTING, Status.RUNNING, Status.PAUSED):
                    ours.append((token, status))
            elif (server, nonce) not in living:
                unheld.append(
                    Unheld(token, status, HolderAddress(server or "", nonce or "", url or ""), physics or "")
                )
        return unheld, ours

    async def claim(self, unheld: Unheld, holder: HolderAddress) -> bool:
        """Take a session over. False: somebody else has, or its holder lives. Raises Fenced without a lease."""
        keys = self._keys
        reply = await self._store.run(
            "claim",
            [
                keys.session(unheld.session),
                keys.server(unheld.holder.id),
                keys.server(holder.id),
                keys.servers,
            ],
            [unheld.holder.id, unheld.holder.nonce, holder.id, holder.nonce, holder.url, CLAIMABLE],
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
        """Give a running session away. False: ``to`` has no lease, and we still hold it. Raises Fenced."""
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
        """The world stands at ``tick``: the turn clock goes on. When that is not ``exact``, what the journal has of
        later ticks is forgotten, and what happens from this tick on is public again. Repeating it changes nothing.
        Raises Fenced."""
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
