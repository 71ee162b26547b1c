"""How many bots fill seats, or are wanted, for one address and one player, on all servers together: BOT_SHARE.

    ask for bots       -> asking    -> held, or RateLimited bots_busy
    open or find alone -> make_room -> open.lua holds them, or the lobby gets no bots by itself: count_refusal
                                         '-> lobby/bot_holdings.py: the store counts, and the sweep settles

Before a refusal the bots of its owner are counted again: some have left, or their sessions are over. This module must
never seat or unseat a bot.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence

from tussle.lobby.bot_holdings import BotHoldings, Busy, Held
from tussle.lobby.errors import LobbyError, RateLimited, StoreError
from tussle.lobby.filling import Filling
from tussle.lobby.logs import get_logger, short
from tussle.server.costs import Ledger, Owner, Resource

__all__ = ["BotShares"]

log = get_logger("server.http")

BUSY_S = 10.0
"""When a refused client should ask again [s]: a bot is free when its session ends, which nobody knows."""

SETTLE_S = 1.0
"""Shortest time between two counts of one owner's bots, each of which reads its sessions [s]."""

KEPT = 1000
"""Owners of whom the time of the last count is remembered."""


class BotShares:
    """The bots of clients, by session. The last one who asked for bots in a session holds them."""

    def __init__(self, filling: Filling, holdings: BotHoldings, ledger: Ledger) -> None:
        self._filling = filling
        self._holdings = holdings
        self._ledger = ledger
        self._most = (
            int(ledger.most(Resource.BOTS, Owner.ADDRESS)),
            int(ledger.most(Resource.BOTS, Owner.PLAYER)),
        )
        self._settled: OrderedDict[tuple[Owner, str], float] = OrderedDict()
        self._secret = secrets.token_bytes(32)

    async def groups(self, sessions: Sequence[str]) -> list[str]:
        """For each session a name for the address that holds its bots: it tells addresses apart, and no more than that;
        '' without bots. Each server has names of its own."""
        return [
            ""
            if address is None
            else hashlib.blake2b(address.encode(), key=self._secret, digest_size=8).hexdigest()
            for address in await self._holdings.addresses(sessions)
        ]

    @contextlib.asynccontextmanager
    async def asking(self, session: str, address: str, player: str, count: int | None) -> AsyncIterator[None]:
        """Hold the bots of a session and ``count`` more, at most one for each free seat; None: for each. They are given
        back if the block raises a refusal; after other errors the next settle counts them. What the lobby may ask for
        by itself stays held. Raises RateLimited ``bots_busy`` and changes nothing."""
        [(there, free, by_itself)] = await self._filling.seats([session])
        more = free if count is None else min(count, free)
        if not more:
            yield
            return
        held = await self._hold(session, max(there + more, by_itself), address, player)
        if isinstance(held, Busy):
            owner = Owner(held.owner)
            most = self._ledger.most(Resource.BOTS, owner)
            raise RateLimited(
                f"at most {most:g} bots fill seats for one {owner}", code="bots_busy", retry_after=BUSY_S
            )
        try:
            yield
        except StoreError:
            raise  # the request has perhaps been stored
        except LobbyError:
            with self._store_may_fail(session):
                await self._holdings.restore(held)
            raise

    async def make_room(self, address: str, player: str, count: int) -> None:
        """Count the bots of an owner again that has no room for those which a lobby that is about to open would get by
        itself. The script that opens it holds them, or opens it without bots."""
        busy = await self._holdings.busy(count, address, player, most=self._most)
        if busy is not None:
            await self._settle(Owner(busy.owner), address, player)

    def count_refusal(self, owner: Owner, address: str, player: str) -> None:
        """Count that a lobby was opened without bots, because an owner holds as many as it may."""
        self._ledger.count_refusal(Resource.BOTS, owner, player if owner is Owner.PLAYER else address)

    @contextlib.contextmanager
    def _store_may_fail(self, session: str) -> Iterator[None]:
        """Log a StoreError: the seat is reserved, or the error of the block is the one to answer with."""
        try:
            yield
        except StoreError as error:
            log.warning("store_waiting", work="bot_shares", token=short(session), error=error.message)

    async def _hold(self, session: str, count: int, address: str, player: str) -> Held | Busy:
        """Hold for a session, in place of what is held for it. A refusal is counted."""
        held = await self._holdings.hold(session, count, address, player, most=self._most)
        if isinstance(held, Busy) and await self._settle(Owner(held.owner), address, player):
            held = await self._holdings.hold(session, count, address, player, most=self._most)
        if isinstance(held, Busy):
            self.count_refusal(Owner(held.owner), address, player)
        return held

    async def _settle(self, owner: Owner, address: str, player: str) -> bool:
        """Count the bots of an owner again, at most once in SETTLE_S. Returns whether anything has changed."""
        key = player if owner is Owner.PLAYER else address
        now = asyncio.get_running_loop().time()
        if now - self._settled.get((owner, key), -math.inf) < SETTLE_S:
            return False
        self._settled[owner, key] = now
        self._settled.move_to_end((owner, key))
        if len(self._settled) > KEPT:
            self._settled.popitem(last=False)
        return await self._holdings.settle(owner, key) > 0
