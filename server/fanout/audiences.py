"""The audiences of one server, and the store's hints that wake them.

    channel of T (v) ----> audience of T reads its events        lifecycle channel ----> the holder looks around

An audience lives while somebody here watches its session or it runs here. A lost hint costs time, never an event:
after every reconnection all audiences read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tussle.lobby.errors import StoreError
from tussle.lobby.lobbies import Lobbies
from tussle.lobby.logs import get_logger, short
from tussle.lobby.store.store import Store
from tussle.lobby.store.wakeups import RECONNECTED, Wakeups
from tussle.lobby.wire.messages import Event
from tussle.server.fanout.audience import Audience, Viewer
from tussle.server.metrics.telemetry import Telemetry

__all__ = ["Audiences"]

log = get_logger("server.audiences")

HOLDER_HINTS = ("starting", "handed_over")
"""Words on the lifecycle channel that may concern the holder of a session."""


OBSERVERS_HINT = "observers"
"""Payload of a session's channel when not its events but those who watch it have changed."""


class Audiences:
    """``get`` makes an audience when it is first asked for; ``dropped`` is told when one is not needed any more."""

    def __init__(
        self,
        store: Store,
        lobbies: Lobbies,
        telemetry: Telemetry,
        *,
        on_event: Callable[[str, Event], None],
        on_change_of_hands: Callable[[str], None],
        on_observers: Callable[[str], None],
        needed: Callable[[str], bool],
        dropped: Callable[[str], None],
    ) -> None:
        self._store = store
        self._lobbies = lobbies
        self._telemetry = telemetry
        self._on_event = on_event
        self._on_change_of_hands = on_change_of_hands
        self._on_observers = on_observers
        self._needed = needed
        self._dropped = dropped
        self._audiences: dict[str, tuple[Audience, asyncio.Task[None]]] = {}
        self._channels: dict[str, str] = {}
        self._changed: asyncio.Queue[str] = asyncio.Queue()

    def get(self, token: str, v: int) -> Audience:
        """The audience of a session; ``v``: what has happened when it is new."""
        if token in self._audiences:
            return self._audiences[token][0]
        audience = Audience(
            token,
            self._lobbies,
            self._telemetry,
            v=v,
            on_event=lambda event: self._on_event(token, event),
        )
        feeding = asyncio.create_task(audience.feed(), name=f"feed-{token}")
        feeding.add_done_callback(lambda task: self._feed_ended(token, task))
        self._audiences[token] = audience, feeding
        self._changed.put_nowait(token)
        return audience

    def leave(self, audience: Audience, viewer: Viewer) -> None:
        audience.leave(viewer)
        self.drop_unwatched(audience.token)

    def drop_unwatched(self, token: str) -> None:
        """Forget the audience if nobody watches and nobody needs it."""
        if token not in self._audiences or self._needed(token):
            return
        audience, feeding = self._audiences[token]
        if audience.watched:
            return
        del self._audiences[token]
        feeding.cancel()
        self._dropped(token)
        self._changed.put_nowait(token)

    def show_observers(self, token: str, framed: bytes) -> None:
        """Tell everyone who watches a session here who else does."""
        if token in self._audiences:
            self._audiences[token][0].show_observers(framed)

    def close(self) -> None:
        for _, feeding in self._audiences.values():
            feeding.cancel()

    async def watch(self) -> None:
        """Turn hints into wakes, as long as the server lives."""
        lifecycle = self._store.keys.lifecycle
        async with self._store.wakeups() as hints:
            self._changed.put_nowait("")
            changing = asyncio.create_task(self._follow(hints), name="audiences-follow")
            try:
                async for channel, payload in hints:
                    if channel == RECONNECTED:
                        for audience, _ in self._audiences.values():
                            audience.wake()
                        self._on_change_of_hands("")
                    elif channel == lifecycle:
                        token, _, word = payload.partition(" ")
                        if word in HOLDER_HINTS:
                            self._on_change_of_hands(token)
                    elif (token := self._channels.get(channel, "")) in self._audiences:
                        if payload == OBSERVERS_HINT:
                            self._on_observers(token)
                        else:
                            self._audiences[token][0].wake()
            finally:
                changing.cancel()

    async def _follow(self, hints: Wakeups) -> None:
        """Follow the audiences with subscriptions, one change at a time; the empty token is the lifecycle."""
        while True:
            token = await self._changed.get()
            channel = self._store.keys.wake(token) if token else self._store.keys.lifecycle
            if token and token not in self._audiences:
                self._channels.pop(channel, None)
                await hints.remove(channel)
                continue
            self._channels[channel] = token
            try:
                await hints.add(channel)
            except StoreError as error:  # it stays wanted; the reconnection wakes everyone
                log.warning("store_waiting", work="subscribe", error=error.message)
            if token in self._audiences:
                self._audiences[token][0].wake()  # what was published before we listened

    def _feed_ended(self, token: str, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("feed_failed", token=short(token), exc_info=task.exception())
