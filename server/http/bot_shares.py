"""How many bots fill seats, or are wanted, for one address and one player: BOT_SHARE.

    ask for bots       -> asking  -> held, or RateLimited bots_busy
    open or find alone -> waiting -> held, or the lobby gets no bots by itself
                                       '-> settle, once a second: what the session still needs, by the store

Bots that are held for a session are given back as they leave, when the request expires, and when the session ends. This
module must never seat or unseat a bot.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from tussle.lobby.errors import RateLimited
from tussle.lobby.filling import Filling
from tussle.lobby.seating import SeatReservation
from tussle.server.costs import Ledger, Owner, Resource

__all__ = ["BotShares", "WaitingAlone"]

BUSY_S = 10.0
"""When a refused client should ask again [s]: a bot is free when its session ends, which nobody knows."""

KEPT = 10_000
"""Sessions that are remembered. Beyond it the bots of the oldest are not counted any more."""


@dataclass(slots=True)
class _Share:
    address: str
    player: str
    count: int


@dataclass(slots=True)
class WaitingAlone:
    """A lobby that is about to open. ``alone_ms``: time after which it gets bots by itself; 0: never."""

    alone_ms: int
    seat: SeatReservation | None = None

    def record(self, seat: SeatReservation) -> None:
        """The seat that was reserved."""
        self.seat = seat

    @property
    def opened(self) -> str:
        """The session, or '' if the player has joined the lobby of another: who opens a lobby has seat 0."""
        return self.seat.session if self.seat is not None and self.seat.seat == 0 else ""


class BotShares:
    """The bots of one server's clients, by session. The last one who asked for bots in a session holds them."""

    def __init__(self, filling: Filling, ledger: Ledger) -> None:
        self._filling = filling
        self._ledger = ledger
        self._shares: dict[str, _Share] = {}
        self._secret = secrets.token_bytes(32)
        self._asking: Counter[str] = Counter()
        """Sessions whose requests are on their way to the store: it does not know yet what they need."""

    def group(self, session: str) -> str:
        """A name for the address that holds the bots of a session: it tells addresses apart, and no more than that; ''
        if another server knows it."""
        share = self._shares.get(session)
        if share is None:
            return ""
        return hashlib.blake2b(share.address.encode(), key=self._secret, digest_size=8).hexdigest()

    @contextlib.asynccontextmanager
    async def asking(self, session: str, address: str, player: str, count: int | None) -> AsyncIterator[None]:
        """Hold the bots of a session and ``count`` more, at most one for each free seat; None: for each. They are given
        back if the block raises. Raises RateLimited ``bots_busy`` and changes nothing."""
        [(there, free)] = await self._filling.seats([session])
        before = self._shares.get(session)
        more = free if count is None else min(count, free)
        share = _Share(address, player, there + more)
        if more:
            self._hold(session, share, checked=True)
        self._asking[session] += 1
        try:
            yield
        except BaseException:
            if self._shares.get(session) is share:
                self._drop(session)
                if before is not None:
                    self._hold(session, before, checked=False)
            raise
        finally:
            self._asking[session] -= 1
            if not self._asking[session]:
                del self._asking[session]

    @contextlib.contextmanager
    def waiting(self, address: str, player: str, size: int, alone_ms: int) -> Iterator[WaitingAlone]:
        """Hold a bot for each other seat of a lobby that is about to open, if it is to get bots by itself. Without room
        in a share it opens all the same, with an ``alone_ms`` of 0."""
        share = _Share(address, player, size - 1)
        held = alone_ms > 0 and self._refusing(share) is None
        if held:
            self._take(share)
        lobby = WaitingAlone(alone_ms if held else 0)
        try:
            yield lobby
        finally:
            if held and lobby.opened and lobby.opened not in self._shares:
                self._keep(lobby.opened, share)
            elif held:
                self._give_back(share)

    async def settle(self) -> None:
        """Count again what each session needs; forget those that need no bot. Raises StoreError."""
        shares = [one for one in self._shares.items() if one[0] not in self._asking]
        needed = await self._filling.needed([session for session, _ in shares])
        for (session, share), count in zip(shares, needed, strict=True):
            if self._shares.get(session) is not share:
                continue  # somebody has asked meanwhile
            self._drop(session)
            if count:
                self._hold(session, _Share(share.address, share.player, count), checked=False)

    def _hold(self, session: str, share: _Share, *, checked: bool) -> None:
        """Hold for a session, in place of what is held for it. Raises RateLimited, with nothing changed."""
        before = self._shares.get(session)
        self._drop(session)
        refusing = self._refusing(share) if checked else None
        if refusing is not None:
            if before is not None:
                self._hold(session, before, checked=False)
            most = self._ledger.most(Resource.BOTS, refusing)
            raise RateLimited(
                f"at most {most:g} bots fill seats for one {refusing}", code="bots_busy", retry_after=BUSY_S
            )
        self._take(share)
        self._keep(session, share)

    def _refusing(self, share: _Share) -> Owner | None:
        """The owner whose share has no room for these bots; the refusal is counted."""
        for owner, key in ((Owner.PLAYER, share.player), (Owner.ADDRESS, share.address)):
            held = self._ledger.held(Resource.BOTS, owner, key)
            if held + share.count > self._ledger.most(Resource.BOTS, owner):
                self._ledger.count_refusal(Resource.BOTS, owner, key)
                return owner
        return None

    def _take(self, share: _Share) -> None:
        for owner, key in ((Owner.PLAYER, share.player), (Owner.ADDRESS, share.address)):
            self._ledger.hold(Resource.BOTS, owner, key, count=share.count, beyond=True)

    def _give_back(self, share: _Share) -> None:
        for owner, key in ((Owner.PLAYER, share.player), (Owner.ADDRESS, share.address)):
            self._ledger.release(Resource.BOTS, owner, key, count=share.count)

    def _keep(self, session: str, share: _Share) -> None:
        self._shares[session] = share
        if len(self._shares) > KEPT:
            self._drop(next(iter(self._shares)))

    def _drop(self, session: str) -> None:
        share = self._shares.pop(session, None)
        if share is not None:
            self._give_back(share)
