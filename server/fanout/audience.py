"""Everyone on this server who watches one session: members and observers, what they missed and what is new.

    events stream --(hint)--> feed -> deliver, in order of v, once per viewer
    holder -> frame, made once -> every viewer whose socket is empty enough

Events are reliable: a viewer who cannot keep up is closed with TOO_SLOW. Frames are not: they are skipped for a slow
viewer, and every frame stands alone. The audience must never hold the session up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol

from tussle.lobby.errors import CloseCode, Conflict, LobbyError, NotFound
from tussle.lobby.lobbies import Lobbies
from tussle.lobby.logs import get_logger, short
from tussle.lobby.wire.messages import Event, Notice, NoticeData, SessionMessage, encode
from tussle.server.fanout.framing import binary_frame, text_frame
from tussle.server.metrics.telemetry import Telemetry

__all__ = ["Audience", "Sink", "Viewer"]

log = get_logger("server.audience")

RETRY_S = 0.25


class Viewer(Protocol):
    """A live connection's sending side. ``v``: newest event that it was sent."""

    v: int
    topology_sent: bool
    frames: Callable[[bytes], object] | None
    """Sends it a frame; None: too much waits, or it is going. ``Audience.heed`` must be told of each change."""

    def write(self, framed: bytes) -> None:
        """Send or, if too much waits, close with TOO_SLOW. Never blocks."""

    def close(self, code: CloseCode, reason: str = "") -> bool:
        """Begin the closing handshake. Never blocks."""


class Sink(Protocol):
    """Another server, whose members watch this session through a relay."""

    def frame(self, frame: bytes) -> bool:
        """False: left out, too much waits."""

    def topology(self, topology: bytes) -> None: ...

    def notify(self, state: str, reason: str, turn_ends_at: int) -> None: ...

    def gone(self) -> None:
        """The session is not held here any more."""


class Audience:
    """The viewers of one session on this server. ``on_event`` sees each event once, in order."""

    def __init__(
        self, token: str, lobbies: Lobbies, telemetry: Telemetry, *, v: int, on_event: Callable[[Event], None]
    ) -> None:
        self.token = token
        self.v = v
        self.viewers: set[Viewer] = set()
        self._frames: dict[Viewer, Callable[[bytes], object]] = {}
        self._fan_out: tuple[Callable[[bytes], object], ...] = ()
        self.sinks: set[Sink] = set()
        self.arriving = 0
        """Viewers on their way in: as long as there are any, the audience is kept."""
        self._lobbies = lobbies
        self._telemetry = telemetry
        self._on_event = on_event
        self._hint = asyncio.Event()
        self._topology: bytes | None = None
        self._frame: bytes | None = None
        self.observers: bytes | None = None
        """What was last told of who only watches."""

    @property
    def watched(self) -> bool:
        return bool(self.viewers or self.sinks or self.arriving)

    # events

    def wake(self) -> None:
        """Something may be new in the stream."""
        self._hint.set()

    def offer(self, events: Sequence[Event]) -> None:
        """Events that this server has just published: delivered at once if they are next, else read in order."""
        if events and events[0].v == self.v + 1:
            self._deliver(events)
        elif events and events[-1].v > self.v:
            self._hint.set()

    async def feed(self) -> None:
        """Read the stream whenever a hint came; runs as long as the audience. A store that is away is asked again."""
        while True:
            await self._hint.wait()
            self._hint.clear()
            try:
                try:
                    self._deliver(await self._lobbies.events(self.token, self.v))
                except Conflict:
                    await self._skip_gap()
            except NotFound:
                return  # its keys have expired: nothing more will come
            except LobbyError as error:
                log.warning("feed_waiting", token=short(self.token), error=error.message)
                await asyncio.sleep(RETRY_S)
                self._hint.set()

    async def _skip_gap(self) -> None:
        """Events were trimmed before we read them: everyone gets the whole view instead."""
        view = await self._lobbies.view(self.token)
        self.v = view.v
        framed = text_frame(encode(SessionMessage(view.v, view)))
        for viewer in list(self.viewers):
            viewer.v = view.v
            viewer.write(framed)

    def _deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.v <= self.v:
                continue
            self.v = event.v
            framed = text_frame(encode(event))
            for viewer in list(self.viewers):
                if viewer.v < event.v:
                    viewer.v = event.v
                    viewer.write(framed)
            self._on_event(event)

    async def catch_up(self, viewer: Viewer, last_v: int | None) -> None:
        """Bring a viewer from ``last_v`` (None: from nothing) to now, and keep it there.

        Raises NotFound when the session is gone.
        """
        self.arriving += 1
        try:
            await self._catch_up(viewer, last_v)
        finally:
            self.arriving -= 1

    async def _catch_up(self, viewer: Viewer, last_v: int | None) -> None:
        if last_v is not None:
            viewer.v = last_v
            try:
                missed = await self._lobbies.events(self.token, last_v)
            except Conflict:
                last_v = None
            else:
                self._send_missed(viewer, missed)
        if last_v is None:
            view = await self._lobbies.view(self.token)
            viewer.v = view.v
            viewer.write(text_frame(encode(SessionMessage(view.v, view))))
        while viewer.v < self.v:
            self._send_missed(viewer, await self._lobbies.events(self.token, viewer.v))
        # No await between here and the comparison above: nothing can be delivered in between.
        self.viewers.add(viewer)
        self.heed(viewer)
        if viewer.v > self.v:
            self._hint.set()
        self._show(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Send the viewer nothing more."""
        self.viewers.discard(viewer)
        self.heed(viewer)

    def heed(self, viewer: Viewer) -> None:
        """Whether a viewer can be sent frames has changed. Asked then and not for each frame: that is the hot path."""
        if viewer.frames is not None and viewer in self.viewers:
            self._frames[viewer] = viewer.frames
        elif self._frames.pop(viewer, None) is None:
            return
        self._fan_out = tuple(self._frames.values())

    def show_newest(self, viewer: Viewer) -> None:
        """The viewer has room again: what it missed stands in the newest frame."""
        if viewer in self._frames and self._frame is not None:
            self._frames[viewer](binary_frame(self._frame))

    @staticmethod
    def _send_missed(viewer: Viewer, missed: Iterable[Event]) -> None:
        for event in missed:
            if event.v > viewer.v:
                viewer.v = event.v
                viewer.write(text_frame(encode(event)))

    def notify(self, state: Literal["paused", "resumed"], reason: str, turn_ends_at: int = 0) -> None:
        """Tell everyone how the service fares."""
        framed = text_frame(encode(Notice(NoticeData(state, reason, turn_ends_at))))
        for viewer in list(self.viewers):
            viewer.write(framed)
        for sink in list(self.sinks):
            sink.notify(state, reason, turn_ends_at)

    def show_observers(self, framed: bytes) -> None:
        """Who only watches has changed."""
        self.observers = framed
        for viewer in list(self.viewers):
            viewer.write(framed)

    # the picture

    def set_topology(self, topology: bytes) -> None:
        """The shapes of the bodies changed (or the session began): everyone gets them once."""
        if topology == self._topology:
            return
        self._topology = topology
        framed = binary_frame(topology)
        for viewer in list(self.viewers):
            viewer.topology_sent = True
            viewer.write(framed)
        for sink in list(self.sinks):
            sink.topology(topology)

    def show(self, frame: bytes) -> None:
        """Send a frame to every viewer that has room for it."""
        self._frame = frame
        framed = binary_frame(frame)
        fan_out = self._fan_out
        for send in fan_out:
            send(framed)
        self._telemetry.frames(sent=len(fan_out), skipped=len(self.viewers) - len(fan_out), size=len(frame))
        for sink in list(self.sinks):
            sink.frame(frame)

    def join(self, sink: Sink) -> None:
        """Another server watches from here on, beginning with how things stand."""
        self.sinks.add(sink)
        if self._topology is not None:
            sink.topology(self._topology)
        if self._frame is not None:
            sink.frame(self._frame)

    def _show(self, viewer: Viewer) -> None:
        if self.observers is not None:
            viewer.write(self.observers)
        if self._topology is not None and not viewer.topology_sent:
            viewer.topology_sent = True
            viewer.write(binary_frame(self._topology))
        if self._frame is not None:
            viewer.write(binary_frame(self._frame))

    def resync(self, viewer: Viewer) -> None:
        """Forget what the viewer was shown; ``catch_up`` sends it all again."""
        viewer.topology_sent = False
        self.leave(viewer)

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Send everyone away; the session is not held here any more."""
        for viewer in list(self.viewers):
            viewer.close(code, reason)
        self.dismiss()

    def dismiss(self) -> None:
        """Tell other servers that the session is not held here any more."""
        for sink in list(self.sinks):
            sink.gone()
        self.sinks.clear()
