"""The audiences of one server, and the store's hints that wake them.

    channel of session T ----> audience of T reads its events      lifecycle channel ----> holder looks for sessions

An audience exists while this server has a viewer of its session or runs the session. A lost hint delays an event but
never loses it: all audiences read their streams after every reconnection. This module must never read events itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tussle.lobby.errors import StoreError
from tussle.lobby.logs import get_logger, short
from tussle.lobby.store.call_lanes import own_task
from tussle.lobby.store.store import Store
from tussle.lobby.store.wakeups import RECONNECTED, Wakeups
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import Event, NoticeState
from tussle.server.fanout.audience import Audience, Viewer
from tussle.server.fanout.framing import text_frame
from tussle.server.metrics.telemetry import Telemetry

__all__ = ["Audiences"]

log = get_logger("server.audiences")

HOLDER_HINTS = ("starting", "handed_over")
"""Events on the lifecycle channel after which a session may have a new holder."""

OBSERVERS_HINT = "observers"
"""Payload on a session's channel that reports a changed list of observers, not a new event."""

MESSAGE = "{"
"""Begins a payload on a session's channel that is itself a message for its viewers: an edit of the scene, a lock."""


class Audiences:
    """The audiences by session token.

    on_holder_change: called with the token of a session that may have a new holder; "" for any session.
    needed: whether an audience is kept although nobody watches.
    on_dropped: called with the token of a session whose audience was dropped.
    on_reconnected: called after hints, and messages about scenes, may have been lost.
    on_message: called with the token and each message about a scene, which the viewers get.
    """

    def __init__(
        self,
        store: Store,
        views: Views,
        telemetry: Telemetry,
        *,
        on_event: Callable[[str, Event], None],
        on_holder_change: Callable[[str], None],
        on_observers: Callable[[str], None],
        needed: Callable[[str], bool],
        on_dropped: Callable[[str], None],
        on_reconnected: Callable[[], None],
        on_message: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._views = views
        self._telemetry = telemetry
        self._on_event = on_event
        self._on_holder_change = on_holder_change
        self._on_observers = on_observers
        self._needed = needed
        self._on_dropped = on_dropped
        self._on_reconnected = on_reconnected
        self._on_message = on_message
        self._audiences: dict[str, tuple[Audience, asyncio.Task[None]]] = {}
        self._channels: dict[str, str] = {}
        self._changed: asyncio.Queue[str] = asyncio.Queue()

    def get(self, token: str, v: int) -> Audience:
        """The audience of a session, created if there is none; ``v`` is the newest event that it need not read."""
        if token in self._audiences:
            return self._audiences[token][0]
        audience = Audience(
            token,
            self._views,
            self._telemetry,
            v=v,
            on_event=lambda event: self._on_event(token, event),
        )
        reading = own_task(audience.follow_stream(), name=f"audience-{token}")
        reading.add_done_callback(lambda task: self._log_failure(token, task))
        self._audiences[token] = audience, reading
        self._changed.put_nowait(token)
        return audience

    def leave(self, audience: Audience, viewer: Viewer) -> None:
        """Remove a viewer, and the audience if it was the last one."""
        audience.leave(viewer)
        self.drop_unwatched(audience.token)

    def drop_unwatched(self, token: str) -> None:
        """Drop the audience of a session unless somebody watches it or it is needed."""
        if token not in self._audiences or self._needed(token):
            return
        audience, reading = self._audiences[token]
        if audience.watched:
            return
        del self._audiences[token]
        reading.cancel()
        self._on_dropped(token)
        self._changed.put_nowait(token)

    def show_observers(self, token: str, framed: bytes) -> None:
        """Send the list of observers to the viewers of a session on this server."""
        if token in self._audiences:
            self._audiences[token][0].show_observers(framed)

    def tokens(self) -> list[str]:
        """The sessions that have an audience on this server."""
        return list(self._audiences)

    def broadcast(self, token: str, framed: bytes) -> None:
        """Send a framed message to the viewers of a session on this server."""
        if token in self._audiences:
            self._audiences[token][0].broadcast(framed)

    def announce(self, token: str, text: str) -> None:
        """Send an operator's notice to the viewers of a session on this server; of all sessions if the token is ''."""
        for session, (audience, _) in list(self._audiences.items()):
            if token in ("", session):
                audience.announce(text)

    def notify_all(self, state: NoticeState, reason: str) -> None:
        """Send a notice to the viewers of every session on this server. Other servers notify their own."""
        for audience, _ in self._audiences.values():
            audience.notify_viewers(state, reason)

    def close(self) -> None:
        for _, reading in self._audiences.values():
            reading.cancel()

    async def watch(self) -> None:
        """Wake audiences and the holder when hints arrive, until cancelled."""
        lifecycle = self._store.keys.lifecycle
        async with Wakeups(self._store) as hints:
            self._changed.put_nowait("")
            subscribing = asyncio.create_task(self._update_subscriptions(hints), name="subscriptions")
            try:
                async for channel, payload in hints:
                    if channel == RECONNECTED:
                        for audience, _ in self._audiences.values():
                            audience.wake()
                        self._on_holder_change("")
                        self._on_reconnected()
                    elif channel == lifecycle:
                        token, _, word = payload.partition(" ")
                        if word in HOLDER_HINTS:
                            self._on_holder_change(token)
                        elif word == "expired" and token in self._audiences:
                            self._audiences[token][0].wake()
                    elif (token := self._channels.get(channel, "")) in self._audiences:
                        if payload == OBSERVERS_HINT:
                            self._on_observers(token)
                        elif payload.startswith(MESSAGE):
                            self._audiences[token][0].broadcast(text_frame(payload.encode()))
                            self._on_message(token, payload)
                        else:
                            self._audiences[token][0].wake()
            finally:
                subscribing.cancel()

    async def _update_subscriptions(self, hints: Wakeups) -> None:
        """Subscribe to the channels of new audiences and unsubscribe from dropped ones, one at a time.

        The empty token is the lifecycle channel.
        """
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
            except StoreError as error:  # the reconnection subscribes again and wakes every audience
                log.warning("store_waiting", work="subscribe", error=error.message)
            if token in self._audiences:
                self._audiences[token][0].wake()  # events may have been published before the subscription

    def _log_failure(self, token: str, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("audience_failed", token=short(token), exc_info=task.exception())
