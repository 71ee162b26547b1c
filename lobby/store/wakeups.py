"""Hints from the store's channels that something may have changed. A hint carries no data; the reader reads the store.

    channel --(pub/sub)--> pump task --> hints that wait, each once --> async for

A lost hint only causes a delay: after every reconnection, and when too many hints wait, the special hint
``(RECONNECTED, "")`` asks the reader to read everything again. This module must never be the only way in which a
change is noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any, Self

from tussle.lobby.backoff import Backoff
from tussle.lobby.errors import StoreError
from tussle.lobby.logs import get_logger
from tussle.lobby.store.store import Store, StoreConnection

__all__ = ["RECONNECTED", "Wakeups"]

log = get_logger("lobby.wakeups")

RECONNECTED = ""
"""The channel of the hint after which the reader must read everything again, because hints may have been lost."""

PING_S = 5.0
SUBSCRIBE_S = 5.0
RETRY_BASE_S = 0.05
RETRY_CAP_S = 1.0
HINTS_KEPT = 10_000


class Wakeups:
    """``async with Wakeups(store) as hints: await hints.add(channel); async for channel, payload in hints: ...``

    One reader. Equal hints that wait are one; more than HINTS_KEPT become one RECONNECTED.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wanted: dict[str, asyncio.Event] = {}
        self._waiting: dict[tuple[str, str], None] = {}
        self._something = asyncio.Event()
        self._link: StoreConnection | None = None
        self._pump: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._pump = asyncio.create_task(self._run(), name="wakeups")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pump is not None:
            while not self._pump.done():  # redis may swallow a cancellation while it connects: repeat it
                self._pump.cancel()
                await asyncio.wait([self._pump], timeout=0.1)

    async def add(self, *channels: str) -> None:
        """Subscribe; it returns after the store has confirmed, so no hint about later changes is missed.

        Raises StoreError when it does not confirm in time; the channels are kept, and a later reconnection
        subscribes to them.
        """
        new = [channel for channel in channels if channel not in self._wanted]
        for channel in new:
            self._wanted[channel] = asyncio.Event()
        if self._link is not None and new:
            with contextlib.suppress(StoreError):  # the pump task fails in the same way and subscribes again
                await self._link.send("SUBSCRIBE", *new)
        try:
            async with asyncio.timeout(SUBSCRIBE_S):
                for channel in channels:
                    await self._wanted[channel].wait()
        except TimeoutError:
            raise StoreError("the store did not confirm a subscription in time") from None

    async def remove(self, *channels: str) -> None:
        """Unsubscribe; a channel that was never added is ignored."""
        known = [channel for channel in channels if self._wanted.pop(channel, None) is not None]
        if self._link is not None and known:
            with contextlib.suppress(StoreError):
                await self._link.send("UNSUBSCRIBE", *known)

    async def __aiter__(self) -> AsyncIterator[tuple[str, str]]:
        while True:
            await self._something.wait()
            hint = next(iter(self._waiting))
            del self._waiting[hint]
            if not self._waiting:
                self._something.clear()
            yield hint

    def _hint(self, channel: str, payload: str) -> None:
        if len(self._waiting) >= HINTS_KEPT:
            self._waiting.clear()
            channel, payload = RECONNECTED, ""
        self._waiting[channel, payload] = None
        self._something.set()

    async def _run(self) -> None:
        backoff = Backoff(random.Random(), base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S)
        first = True
        while True:
            try:
                link = await self._store.link()
                try:
                    self._link = link  # before the subscription: a channel added meanwhile sends its own
                    if self._wanted:
                        await link.send("SUBSCRIBE", *self._wanted)
                    if not first:
                        self._hint(RECONNECTED, "")
                    first = False
                    backoff.reset()
                    await self._listen(link)
                finally:
                    self._link = None
                    for confirmed in self._wanted.values():
                        confirmed.clear()
                    await link.close()
            except StoreError as error:
                if not backoff.attempts:
                    log.warning("hints_interrupted", error=error.message)
                first = False
                await asyncio.sleep(backoff.next_s())

    async def _listen(self, link: StoreConnection) -> None:
        pinged = False
        while True:
            reply: Any = await link.receive(PING_S)
            if reply is None:
                if pinged:
                    raise StoreError("the store sends nothing")
                await link.send("PING")
                pinged = True
                continue
            pinged = False
            if not isinstance(reply, list):
                continue  # the pong of a connection without subscriptions
            match reply:
                case ["message", str(channel), str(payload)]:
                    if channel in self._wanted:
                        self._hint(channel, payload)
                case ["subscribe", str(channel), _] if channel in self._wanted:
                    self._wanted[channel].set()
