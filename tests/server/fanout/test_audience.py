"""The audience of one session: reliable events in order, frames that may be skipped. A list replaces the store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence, Set
from typing import Any

import msgspec

from tussle.lobby.errors import CloseCode, Conflict, NotFound, StoreError
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.views import Views
from tussle.lobby.wire.delta_layout import DELTA, KEYFRAME
from tussle.lobby.wire.messages import Event, SessionView
from tussle.server.fanout.audience import REST_S, Audience
from tussle.server.fanout.channel_group import ChannelGroup
from tussle.server.fanout.lanes import BACKLOG_BYTES
from tussle.server.metrics.telemetry import Telemetry
from tussle.server.solver.delta_streams import Deltas


class Stream:
    """The lobby methods that an audience calls, on a list; the first ``kept_from`` - 1 events are trimmed."""

    def __init__(self, count: int = 0, kept_from: int = 1) -> None:
        self.all = [Event(v, "chat", {"n": v}) for v in range(1, count + 1)]
        self.kept_from = kept_from
        self.away = 0
        self.asked = asyncio.Event()

    def grow(self, count: int) -> list[Event]:
        new = [Event(len(self.all) + 1 + i, "chat", {"n": len(self.all) + 1 + i}) for i in range(count)]
        self.all += new
        return new

    async def events(self, _: str, after_v: int) -> list[Event]:
        self.asked.set()
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise StoreError("away")
        if after_v > len(self.all) or after_v + 1 < self.kept_from:
            raise Conflict("gap", code="gap")
        return self.all[after_v:]

    async def view(self, _: str) -> SessionView:
        return SessionView(
            session="k7qm2xpv", status="running", mode="duel", size=2, host="p", seats=(), opened_at=1,
            v=len(self.all),
        )  # fmt: skip


class Seen:
    """A viewer that records what it is sent."""

    def __init__(self, *, slow: bool = False, deltas: bool = False, few: bool = False) -> None:
        self.v = 0
        self.without: Set[str] = frozenset()
        self.topology_sent = False
        self.deltas, self.slow = deltas, few
        self.backlog = 0
        self.texts: list[dict[str, Any]] = []
        self.binary: list[bytes] = []
        self.frames: Callable[[bytes], object] | None = None if slow else self.write
        self.closed: CloseCode | None = None

    def unsent(self) -> int:
        return self.backlog

    def write(self, framed: bytes) -> None:
        start = 2 if framed[1] < 126 else 4 if framed[1] == 126 else 10
        if framed[0] & 0xF == 1:
            self.texts.append(msgspec.json.decode(framed[start:]))
        else:
            self.binary.append(framed[start:])

    def close(self, code: CloseCode, reason: str = "") -> bool:
        self.closed = code
        return True

    @property
    def vs(self) -> list[int]:
        return [text["v"] for text in self.texts]


def audience(stream: Stream, on_event: Any = lambda event: None) -> Audience:
    views: Any = stream
    return Audience("k7qm2xpv", views, Telemetry(), v=len(stream.all), on_event=on_event)


async def settled(watched: Audience, v: int) -> None:
    """Wait until the audience has delivered event ``v``; only its viewers are notified, so this polls."""
    async with asyncio.timeout(5):
        while watched.v < v:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_the_connections_of_an_expired_session_are_closed() -> None:
    """Its keys are gone, so no event can follow: clients get 1000, after which they do not reconnect."""

    class Gone(Stream):
        async def events(self, _: str, after_v: int) -> list[Event]:
            raise NotFound("there is no such session", code="not_found")

    watched, seen = audience(Gone()), Seen()
    watched.viewers.add(seen)
    watched.wake()
    await asyncio.wait_for(watched.follow_stream(), 5)
    assert seen.closed is CloseCode.NORMAL


async def test_events_that_a_viewer_does_not_need_are_left_out() -> None:
    """Of those that it missed, and of those that happen; other viewers get all, and ``v`` counts all."""
    stream = Stream(2)
    stream.all[0] = Event(1, "turn_started", {})
    watched, few, every = audience(stream), Seen(), Seen()
    few.without = {"turn_started"}
    for seen in (few, every):
        await watched.catch_up(seen, 0)
    new = stream.grow(3)
    new[1] = Event(4, "turn_started", {})
    watched.offer(new)
    assert (few.vs, every.vs) == ([2, 3, 5], [1, 2, 3, 4, 5])
    assert few.v == every.v == 5


async def test_each_event_is_delivered_once() -> None:
    """Each viewer and the callback see each v once, whether it is offered, read from the stream, or both."""
    stream, noticed = Stream(), []
    watched = audience(stream, noticed.append)
    seen = Seen()
    await watched.catch_up(seen, 0)
    reading = asyncio.create_task(watched.follow_stream())
    first = stream.grow(3)
    watched.offer(first)
    watched.wake()
    watched.offer(first)
    later = stream.grow(2)
    watched.offer(later[1:])  # not the next event: the stream is read instead
    await settled(watched, 5)
    reading.cancel()
    await asyncio.wait([reading])
    assert seen.vs == [1, 2, 3, 4, 5]
    assert [event.v for event in noticed] == [1, 2, 3, 4, 5]


async def test_random_offers_hints_and_arrivals_leave_no_gap() -> None:
    """In seeded random orders, every viewer gets every v after its last_v, in order."""
    for seed in range(40):
        rng = random.Random(seed)
        stream = Stream(rng.randrange(4))
        watched = audience(stream)
        reading = asyncio.create_task(watched.follow_stream())
        viewers: list[tuple[Seen, int]] = []
        coming: list[asyncio.Task[None]] = []
        for _ in range(30):
            match rng.randrange(4):
                case 0:
                    new: Sequence[Event] = stream.grow(rng.randrange(1, 4))
                    if rng.random() < 0.5:
                        watched.offer(new)
                    else:
                        watched.wake()
                case 1:
                    seen, last_v = Seen(), rng.randrange(len(stream.all) + 1)
                    viewers.append((seen, last_v))
                    coming.append(asyncio.create_task(watched.catch_up(seen, last_v)))
                case 2:
                    watched.wake()
                case _:
                    await asyncio.sleep(0)
        await asyncio.gather(*coming)
        watched.wake()
        await settled(watched, len(stream.all))
        reading.cancel()
        await asyncio.wait([reading])
        for seen, last_v in viewers:
            assert seen.vs == list(range(last_v + 1, len(stream.all) + 1)), seed


async def test_a_viewer_with_a_gap_gets_the_whole_view() -> None:
    """A viewer whose last_v was trimmed, or is newer than the store's, gets the view and the events after it."""
    stream = Stream(9, kept_from=5)
    watched = audience(stream)
    for last_v in (2, 50):
        seen = Seen()
        await watched.catch_up(seen, last_v)
        watched.offer(stream.grow(1))
        assert [text["t"] for text in seen.texts] == ["session", "chat"]
        assert seen.vs == [len(stream.all) - 1, len(stream.all)]


async def test_reading_survives_a_gap_and_a_store_failure() -> None:
    """After a store failure the read is retried; after a gap every viewer gets the view."""
    stream = Stream(2)
    watched = audience(stream)
    seen = Seen()
    await watched.catch_up(seen, 2)
    reading = asyncio.create_task(watched.follow_stream())
    stream.grow(4)
    stream.kept_from = 6
    stream.away = 1
    watched.wake()
    async with asyncio.timeout(5):
        while not seen.texts:
            await stream.asked.wait()
            stream.asked.clear()
            await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.wait([reading])
    assert [(text["t"], text["v"]) for text in seen.texts] == [("session", 6)]


async def test_frames_are_skipped_for_a_slow_viewer_only() -> None:
    """A viewer without room gets no frame, and the newest one when it has room again. Events go to all viewers."""
    stream = Stream()
    watched = audience(stream)
    quick, slow = Seen(), Seen(slow=True)
    for viewer in (quick, slow):
        await watched.catch_up(viewer, 0)
    watched.set_topology(b"\2shape")
    watched.show(b"\1zeroth")
    watched.show(b"\1first")
    slow.frames = slow.write
    watched.update_frames(slow)
    watched.show_newest(slow)
    watched.show(b"\1second")
    watched.offer(stream.grow(1))
    assert quick.binary == [b"\2shape", b"\1zeroth", b"\1first", b"\1second"]
    assert slow.binary == [b"\2shape", b"\1first", b"\1second"]
    assert quick.vs == slow.vs == [1]


async def arrived(frames: list[bytes], frame: bytes) -> None:
    """Wait until ``frame`` is the newest of the frames that somebody has."""
    async with asyncio.timeout(100 * REST_S):
        while frames[-1:] != [frame]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_session_that_rests_leaves_nobody_behind() -> None:
    """The newest frame reaches, whole and once: a viewer that gets few frames, one that waits for a keyframe, one whose
    channel may have lost it, and one with a backlog when that is gone. Those that have it get nothing."""
    watched = audience(Stream())
    quick, few, channel, busy = (
        Seen(deltas=True),
        Seen(deltas=True, few=True),
        Seen(deltas=True),
        Seen(deltas=True),
    )
    for viewer in (quick, few, busy):
        await watched.catch_up(viewer, 0)
    watched.viewers.add(channel)
    lost: list[bytes] = []
    watched.channels = ChannelGroup("k7qm2xpv", lambda session, numbers, frame: lost.append(frame))
    watched.channels.add(channel, 1)
    first, last = bytes((KEYFRAME, 32, 0, 9)), bytes((DELTA, 33, 9))
    watched.show(b"\1first", [(first, first, b"")])
    busy.backlog = BACKLOG_BYTES + 1
    watched.show(b"\1last", [(last, b"", b"")])
    assert quick.binary == [first, last]
    assert few.binary == busy.binary == [first]
    for viewer in (few, channel):
        await arrived(viewer.binary, b"\1last")
    assert busy.binary == [first]
    busy.backlog = 0
    await arrived(busy.binary, b"\1last")
    await asyncio.sleep(1.5 * REST_S)
    assert quick.binary == [first, last]
    assert few.binary == busy.binary == [first, b"\1last"]
    assert channel.binary == [b"\1last"]
    assert lost


async def test_a_relay_that_was_skipped_gets_the_newest_frame() -> None:
    """Once, when the session rests and the relay has room again."""

    class Sink:
        wanted = 0

        def __init__(self) -> None:
            self.room = True
            self.frames: list[bytes] = []

        def send_frame(self, frame: bytes, deltas: Sequence[Deltas]) -> bool:
            if self.room:
                self.frames.append(frame)
            return self.room

    watched, sink = audience(Stream()), Sink()
    relay: Any = sink
    watched.sinks.add(relay)
    watched.show(b"\1first")
    sink.room = False
    watched.show(b"\1last")
    await asyncio.sleep(1.5 * REST_S)
    assert sink.frames == [b"\1first"]
    sink.room = True
    await arrived(sink.frames, b"\1last")
    await asyncio.sleep(1.5 * REST_S)
    assert sink.frames == [b"\1first", b"\1last"]


async def test_a_late_viewer_gets_the_topology_once_and_the_newest_frame() -> None:
    """It gets both again after a resync."""
    watched = audience(Stream(3))
    watched.set_topology(b"\2shape")
    watched.show(b"\1old")
    watched.show(b"\1new")
    seen = Seen()
    await watched.catch_up(seen, None)
    assert seen.binary == [b"\2shape", b"\1new"]
    watched.resync(seen)
    await watched.catch_up(seen, None)
    assert seen.binary == [b"\2shape", b"\1new"] * 2
    assert [text["t"] for text in seen.texts] == ["session", "session"]


async def test_a_resync_leaves_out_no_event() -> None:
    """A view that is newer than what the viewer was sent follows the events in between. After a gap it comes alone."""
    stream = Stream(3)
    watched, seen = audience(stream), Seen()
    await watched.catch_up(seen, 0)
    stream.grow(2)
    watched.resync(seen)
    await watched.catch_up(seen, None)
    assert [(text["t"], text["v"]) for text in seen.texts[3:]] == [("chat", 4), ("chat", 5), ("session", 5)]
    stream.grow(3)
    stream.kept_from = 8
    watched.resync(seen)
    await watched.catch_up(seen, None)
    assert [(text["t"], text["v"]) for text in seen.texts[6:]] == [("session", 8)]


async def test_cancelled_reading_ends(store: Store, settings: Settings) -> None:
    """Cancellation ends the task at every point of a store call, also where the client library could swallow it."""
    rng = random.Random(1)
    views = Views(store)
    await store.call("HSET", store.keys.session("k7qm2xpv"), "v", 0)
    for _ in range(300):
        watched = Audience("k7qm2xpv", views, Telemetry(), v=0, on_event=lambda event: None)
        watched.wake()
        reading = asyncio.create_task(watched.follow_stream())
        for _ in range(rng.randrange(14)):
            await asyncio.sleep(0)
        reading.cancel()
        _, pending = await asyncio.wait([reading], timeout=2.0)
        assert not pending
