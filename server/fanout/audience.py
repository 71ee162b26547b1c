"""The viewers of one session on this server: delivery of its events and broadcast of its frames.

    events stream --(hint)--> follow_stream -> every viewer, in order of v, once each
    holder -> frame, encoded once -> every viewer whose write buffer has room
           -> delta frames, encoded once -> the viewers that decode them (server/fanout/lanes.py)
           -> one message -> the viewers with data channels (server/fanout/channel_group.py)

Events are reliable: a viewer that cannot keep up is closed with TOO_SLOW. Frames are not reliable: a slow viewer misses
some, and each frame can be shown without the frames before it. The audience must never block the session.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import suppress
from typing import Protocol

from tussle.lobby.errors import CloseCode, Conflict, LobbyError, NotFound
from tussle.lobby.logs import get_logger, short
from tussle.lobby.views import Views
from tussle.lobby.wire.messages import (
    Announcement,
    AnnouncementData,
    Event,
    Notice,
    NoticeData,
    NoticeState,
    PaceData,
    PaceMessage,
    SessionMessage,
    encode,
)
from tussle.server.fanout.channel_group import ChannelGroup
from tussle.server.fanout.framing import binary_frame, text_frame
from tussle.server.fanout.lanes import BACKLOG_BYTES, Lanes
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.solver.delta_streams import FAST, FAST_KEY, SLOW, SLOW_KEY, Deltas

__all__ = ["Audience", "FrameSink", "Viewer"]

log = get_logger("server.audience")

RETRY_S = 0.25

MERGE_S = 0.01
"""How long a message that many editors cause waits for others. Most of its cost is one write(2) for each viewer."""


FLOWS_S = 0.2
"""The time after a frame in which the next one is expected [s]: frames come more often, or once a second."""

REST_S = 0.3
"""A session that has shown no frame for this long [s] waits for an input, or is paused: no later frame replaces one
that a viewer has missed."""


class Viewer(Protocol):
    """The sending side of one connection. ``v`` is the newest event that it has, or does not need."""

    v: int
    without: Set[str]
    """The types of events that it does not need."""
    topology_sent: bool
    deltas: bool
    """Whether it decodes delta frames."""
    slow: bool
    """Whether few frames are enough for it."""
    frames: Callable[[bytes], object] | None
    """Writes a frame; None while the write buffer is full or the connection closes.

    Call ``Audience.update_frames`` after each change.
    """

    @property
    def unsent(self) -> Callable[[], int]:
        """Returns the unsent bytes."""

    def write(self, framed: bytes) -> None:
        """Send, or close with TOO_SLOW if too much is unsent. Never blocks."""

    def close(self, code: CloseCode, reason: str = "") -> bool:
        """Begin the closing handshake. Never blocks."""


class FrameSink(Protocol):
    """Another server that relays this session to its own members."""

    wanted: int
    """The streams of delta frames that the other server's viewers need."""

    def send_frame(self, frame: bytes, deltas: Sequence[Deltas]) -> bool:
        """Send a frame; False if it was skipped because too much is unsent."""

    def send_topology(self, topology: bytes) -> None: ...

    def send_notice(self, state: str, reason: str, turn_ends_at: int) -> None: ...

    def send_pace(self, dilation: float) -> None: ...

    def send_gone(self) -> None:
        """Report that this server no longer holds the session."""


class Audience:
    """The viewers of one session on this server. ``on_event`` is called once for each event, in order."""

    def __init__(
        self, token: str, views: Views, telemetry: Telemetry, *, v: int, on_event: Callable[[Event], None]
    ) -> None:
        self.token = token
        self.v = v
        self.viewers: set[Viewer] = set()
        self._frames: dict[Viewer, Callable[[bytes], object]] = {}
        self._fan_out: tuple[Callable[[bytes], object], ...] = ()
        self._lanes = Lanes()
        self.channels: ChannelGroup | None = None
        """The viewers that get frames over data channels, if there were any."""
        self.sinks: set[FrameSink] = set()
        self.arriving = 0
        """Number of viewers that are connecting; the audience is kept while there are any."""
        self.on_attended: Callable[[], None] = _nothing
        """Called when the first viewer of a session without viewers joins."""
        self._views = views
        self._telemetry = telemetry
        self._on_event = on_event
        self._hint = asyncio.Event()
        self._topology: bytes | None = None
        self._frame: bytes | None = None
        self.observers: bytes | None = None
        """The newest list of observers, as a WebSocket frame."""
        self._dilation = 1.0
        self._unsent: list[bytes] = []
        self._shown_at = float("-inf")
        self._skipped: set[FrameSink] = set()
        """The relays that could not be sent the newest frame."""
        self._behind: set[Viewer] | None = None
        """The viewers that may lack the newest frame, once the session rests."""
        self._settling = False

    @property
    def flows(self) -> bool:
        """Whether the next frame will come at once."""
        return time.monotonic() - self._shown_at < FLOWS_S

    @property
    def watched(self) -> bool:
        return bool(self.viewers or self.sinks or self.arriving)

    # events

    def wake(self) -> None:
        """Have ``follow_stream`` read the stream: it may have new events."""
        self._hint.set()

    def offer(self, events: Sequence[Event]) -> None:
        """Deliver events that this server has just published; after a gap, read the stream instead."""
        if events and events[0].v == self.v + 1:
            self._deliver(events)
        elif events and events[-1].v > self.v:
            self._hint.set()

    async def follow_stream(self) -> None:
        """Read the stream after each ``wake``, until cancelled. Retries every RETRY_S while the store is
        unreachable."""
        while True:
            await self._hint.wait()
            self._hint.clear()
            try:
                try:
                    self._deliver(await self._views.events(self.token, self.v))
                except Conflict:
                    await self._skip_gap()
            except NotFound:
                self.close(CloseCode.NORMAL, "the session has expired")  # no event can follow
                return
            except LobbyError as error:
                log.warning("events_retried", token=short(self.token), error=error.message)
                await asyncio.sleep(RETRY_S)
                self._hint.set()

    async def _skip_gap(self) -> None:
        """Send the whole view to every viewer: events were trimmed before this server read them."""
        view = await self._views.view(self.token)
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
                    if event.t not in viewer.without:
                        viewer.write(framed)
            self._on_event(event)

    async def catch_up(self, viewer: Viewer, last_v: int | None) -> None:
        """Send a viewer everything after ``last_v`` (None: the whole view), then add it to the audience.

        Raises NotFound if the session does not exist; the viewer is then not in the audience.
        """
        self._attend()
        self.arriving += 1
        try:
            await self._send_missed(viewer, last_v)
        finally:
            self.arriving -= 1

    async def _send_missed(self, viewer: Viewer, last_v: int | None) -> None:
        if last_v is not None:
            viewer.v = last_v
            try:
                missed = await self._views.events(self.token, last_v)
            except Conflict:
                last_v = None
            else:
                self._send_events(viewer, missed)
        if last_v is None:
            view = await self._views.view(self.token)
            # A viewer that asks for the view again also gets the events that are on their way.
            if 0 < viewer.v < view.v:
                with suppress(Conflict):
                    events = await self._views.events(self.token, viewer.v)
                    self._send_events(viewer, (event for event in events if event.v <= view.v))
            viewer.v = view.v
            viewer.write(text_frame(encode(SessionMessage(view.v, view))))
        while viewer.v < self.v:
            self._send_events(viewer, await self._views.events(self.token, viewer.v))
        # No await after the comparison above: no event can be delivered before the viewer is added.
        self.viewers.add(viewer)
        self.update_frames(viewer)
        if viewer.v > self.v:
            self._hint.set()
        self._send_current(viewer)

    def _attend(self) -> None:
        if not self.watched:
            self.on_attended()

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer: it is sent nothing more."""
        self.viewers.discard(viewer)
        self.update_frames(viewer)

    def update_frames(self, viewer: Viewer) -> None:
        """Read ``viewer.frames`` again. The broadcast of a frame, which is the hot path, does not check it."""
        if viewer.deltas:
            if viewer.frames is not None and viewer in self.viewers:
                self._lanes.add(viewer)
            else:
                self._lanes.discard(viewer)
            return
        if viewer.frames is not None and viewer in self.viewers:
            self._frames[viewer] = viewer.frames
        elif self._frames.pop(viewer, None) is None:
            return
        self._fan_out = tuple(self._frames.values())

    def show_newest(self, viewer: Viewer) -> None:
        """Send the newest frame to a viewer whose write buffer has room again."""
        if viewer in self.viewers and viewer.frames is not None and self._frame is not None:
            viewer.frames(binary_frame(self._frame))

    @staticmethod
    def _send_events(viewer: Viewer, missed: Iterable[Event]) -> None:
        for event in missed:
            if event.v > viewer.v:
                viewer.v = event.v
                if event.t not in viewer.without:
                    viewer.write(text_frame(encode(event)))

    def notify(self, state: NoticeState, reason: str, turn_ends_at: int = 0) -> None:
        """Send every viewer and every relay a notice of the session."""
        self.notify_viewers(state, reason, turn_ends_at)
        for sink in list(self.sinks):
            sink.send_notice(state, reason, turn_ends_at)

    def notify_viewers(self, state: NoticeState, reason: str, turn_ends_at: int = 0) -> None:
        """Send a notice to the viewers on this server."""
        framed = text_frame(encode(Notice(NoticeData(state, reason, turn_ends_at))))
        for viewer in list(self.viewers):
            viewer.write(framed)

    def show_pace(self, dilation: float) -> None:
        """Send every viewer and every relay how slow the session is; 1 is real time."""
        if dilation == self._dilation:
            return
        self._dilation = dilation
        framed = self._pace()
        for viewer in list(self.viewers):
            viewer.write(framed)
        for sink in list(self.sinks):
            sink.send_pace(dilation)

    def _pace(self) -> bytes:
        return text_frame(encode(PaceMessage(PaceData(self._dilation))))

    def announce(self, text: str) -> None:
        """Send every viewer of this server an operator's notice. Other servers send it to theirs."""
        framed = text_frame(encode(Announcement(AnnouncementData(text))))
        for viewer in list(self.viewers):
            viewer.write(framed)

    def broadcast(self, framed: bytes) -> None:
        """Send every viewer of this server a message that is framed already, with those of the next MERGE_S in one
        write."""
        if not self._unsent:
            asyncio.get_running_loop().call_later(MERGE_S, self._send_unsent)
        self._unsent.append(framed)

    def _send_unsent(self) -> None:
        framed = b"".join(self._unsent)
        self._unsent.clear()
        for viewer in list(self.viewers):
            viewer.write(framed)

    def show_observers(self, framed: bytes) -> None:
        """Send every viewer the new list of observers."""
        self.observers = framed
        for viewer in list(self.viewers):
            viewer.write(framed)

    # frames

    def set_topology(self, topology: bytes) -> None:
        """Send every viewer the topology of the bodies, unless it has not changed."""
        if topology == self._topology:
            return
        self._topology = topology
        framed = binary_frame(topology)
        for viewer in list(self.viewers):
            viewer.topology_sent = True
            viewer.write(framed)
        for sink in list(self.sinks):
            sink.send_topology(topology)

    def wanted_deltas(self, now: float) -> int:
        """The streams of delta frames that viewers need, here and behind relays, for ``Solver.step_world``."""
        wanted = self.wanted_chains(now)
        for sink in self.sinks:
            wanted |= sink.wanted
        return wanted | (self.channels.wanted(now) if self.channels else 0)

    def wanted_chains(self, now: float) -> int:
        """Those of them that go over the sockets of this server."""
        fast, slow = self._lanes.fast, self._lanes.slow
        wanted = (FAST if fast else 0) | (SLOW if slow else 0)
        return wanted | (FAST_KEY if fast.wants_key(now) else 0) | (SLOW_KEY if slow.wants_key(now) else 0)

    def show(self, frame: bytes, deltas: Sequence[Deltas] = ()) -> None:
        """Send a frame to every viewer whose write buffer has room. deltas: the same as delta frames, for the viewers
        that decode them; where there is none, they get the frame."""
        self._frame = frame
        self._shown_at = now = time.monotonic()
        framed = binary_frame(frame)
        fan_out = self._fan_out
        for send in fan_out:
            send(framed)
        in_lanes = len(self._lanes)
        self._telemetry.frames(
            sent=len(fan_out),
            skipped=len(self.viewers) - len(fan_out) - in_lanes - len(self.channels or ()),
            size=len(frame),
        )
        for sink in tuple(self.sinks):
            if sink.send_frame(frame, deltas):
                self._skipped.discard(sink)
            else:
                self._skipped.add(sink)
        if self.channels:
            self.channels.show(frame, framed, [lossy for _, _, lossy in deltas], now)
        if in_lanes:
            self._show_lanes(framed, deltas, now)
        self._behind = None
        if not self._settling and (in_lanes or self.channels or self._skipped):
            self._settle_after(REST_S)

    def _show_lanes(self, framed: bytes, deltas: Sequence[Deltas], now: float) -> None:
        for fast, slow, _ in deltas:
            sent = self._lanes.show(fast, slow, now)
            if sent:
                self._telemetry.frames(sent=sent, skipped=0, size=len(fast or slow or b""))
        last = deltas[-1][:2] if deltas else (None, None)
        if not deltas:
            self._lanes.show(None, None, now)
        for lane, frame in zip((self._lanes.fast, self._lanes.slow), last, strict=True):
            if frame is None:
                for viewer in lane.waiting:
                    if viewer.frames is not None and viewer.unsent() <= BACKLOG_BYTES:
                        viewer.frames(framed)

    def _settle_after(self, seconds: float) -> None:
        self._settling = True
        asyncio.get_running_loop().call_later(seconds, self._settle)

    def _settle(self) -> None:
        """When the session rests, send its newest frame, whole and over the sockets, to all that may lack it: the slow
        lane leaves frames out, channels lose them, and a full buffer skips them. One with a backlog gets it later."""
        self._settling = False
        flowing_s = self._shown_at + REST_S - time.monotonic()
        if flowing_s > 0.0:
            self._settle_after(flowing_s)
            return
        assert self._frame is not None, "the timer is set by a frame"
        self._skipped = {sink for sink in self._skipped & self.sinks if not sink.send_frame(self._frame, ())}
        if self._behind is None:
            self._behind = {viewer for viewer in self.viewers if self._may_lack(viewer)}
        framed = binary_frame(self._frame)
        for viewer in self._behind & self.viewers:
            if viewer.unsent() <= BACKLOG_BYTES:
                viewer.write(framed)
                self._behind.discard(viewer)
        self._behind &= self.viewers
        if self._behind or self._skipped:
            self._settle_after(REST_S)

    def _may_lack(self, viewer: Viewer) -> bool:
        return self._lanes.may_lack(viewer) or (self.channels is not None and viewer in self.channels)

    def add_sink(self, sink: FrameSink) -> None:
        """Relay the session to another server, beginning with the current topology and frame."""
        self._attend()
        self.sinks.add(sink)
        if self._topology is not None:
            sink.send_topology(self._topology)
        sink.send_pace(self._dilation)
        if self._frame is not None:
            sink.send_frame(self._frame, ())

    def _send_current(self, viewer: Viewer) -> None:
        if self.observers is not None:
            viewer.write(self.observers)
        if self._dilation != 1.0:
            viewer.write(self._pace())
        if self._topology is not None and not viewer.topology_sent:
            viewer.topology_sent = True
            viewer.write(binary_frame(self._topology))
        if self._frame is not None:
            viewer.write(binary_frame(self._frame))

    def resync(self, viewer: Viewer) -> None:
        """Remove a viewer, so that ``catch_up`` sends it everything again."""
        viewer.topology_sent = False
        self.leave(viewer)

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Close every viewer's connection and release the relays: this server no longer holds the session."""
        for viewer in list(self.viewers):
            viewer.close(code, reason)
        self.dismiss()

    def dismiss(self) -> None:
        """Report to the relays that this server no longer holds the session, and remove them."""
        for sink in list(self.sinks):
            sink.send_gone()
        self.sinks.clear()


def _nothing() -> None:
    """Nobody waits for viewers."""
