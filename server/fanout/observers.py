"""Who only watches a session, on whichever server: kept true in the store for those who are here, told to all who are.

    watching --.                                        .--> the store: a list with a life, renewed
               +--> keep: one task, in bounded rounds --+
    hint ------'    (it says that the list changed)     '--> audience: the names, for everyone here

No event is numbered for it: of presence only the present counts. A server that dies renews nothing, and its observers
lapse. This module must never hold a connection up.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from tussle.lobby.errors import LobbyError, NotFound, StoreError
from tussle.lobby.lobbies import Lobbies
from tussle.lobby.logs import get_logger, short
from tussle.lobby.wire.messages import ObserversMessage, encode
from tussle.server.fanout.audiences import Audiences
from tussle.server.fanout.framing import text_frame

__all__ = ["Observers"]

log = get_logger("server.observers")

ROUND_S = 0.5
"""Between two rounds: a crowd that arrives costs one message, not one each."""

RENEW_S = 10.0
LIFE_MS = 30_000
"""How long an observer is believed in whose server has not renewed it."""


class Observers:
    """A member is a player's id and name with a blank between, as the store has it."""

    def __init__(self, lobbies: Lobbies, audiences: Audiences) -> None:
        self._lobbies = lobbies
        self._audiences = audiences
        self._here: dict[str, Counter[str]] = {}
        self._gone: dict[str, set[str]] = {}
        self._changed: set[str] = set()
        self._look: set[str] = set()
        self._shown: set[str] = set()
        self._wake = asyncio.Event()

    @contextmanager
    def watching(self, session: str, player: str, name: str) -> Iterator[None]:
        """As long as it lasts, an observer's connection is up here."""
        member = f"{player} {name}"
        here = self._here.setdefault(session, Counter())
        here[member] += 1
        self._change(session)
        try:
            yield
        finally:
            here = self._here.setdefault(session, Counter())
            here[member] -= 1
            if here[member] <= 0:
                del here[member]
                self._gone.setdefault(session, set()).add(member)
                self._change(session)

    def _change(self, session: str) -> None:
        self._changed.add(session)
        self._wake.set()

    def hint(self, session: str) -> None:
        """The list may have changed, or somebody here does not know it yet."""
        self._look.add(session)
        self._wake.set()

    def forget(self, session: str) -> None:
        """Nobody here has to do with that session any more; who went from here is still written."""
        self._shown.discard(session)
        self._look.discard(session)

    async def keep(self) -> None:
        """Write and read what changed, and renew what stands, as long as the server lives."""
        renewed = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(max(0.0, renewed + RENEW_S - time.monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                renewed = time.monotonic()
                self._changed |= self._here.keys()
                self._look |= self._shown
            self._wake.clear()
            for session in list(self._changed):
                await self._try(session, self._write)
            for session in list(self._look):
                await self._try(session, self._tell)
            await asyncio.sleep(ROUND_S)

    async def _try(self, session: str, work: Callable[[str], Awaitable[None]]) -> None:
        try:
            await work(session)
        except NotFound:  # its keys have expired
            for known in (self._changed, self._look):
                known.discard(session)
            self._gone.pop(session, None)
            self._shown.discard(session)
            if not self._here.get(session):
                self._here.pop(session, None)
        except LobbyError as error:  # it stays to be done
            log.warning("store_waiting", work="observers", token=short(session), error=error.message)
            self._wake.set()

    async def _write(self, session: str) -> None:
        here, gone = list(self._here.get(session, ())), self._gone.pop(session, set())
        self._changed.discard(session)
        try:
            await self._lobbies.keep_observers(session, here, sorted(gone.difference(here)), life_ms=LIFE_MS)
        except StoreError:
            self._gone.setdefault(session, set()).update(gone)
            self._changed.add(session)
            raise
        if not self._here.get(session):
            self._here.pop(session, None)

    async def _tell(self, session: str) -> None:
        self._look.discard(session)
        try:
            now = await self._lobbies.observers(session)
        except StoreError:
            self._look.add(session)
            raise
        if now.count:
            self._shown.add(session)
        else:
            self._shown.discard(session)
        self._audiences.show_observers(session, text_frame(encode(ObserversMessage(now))))
