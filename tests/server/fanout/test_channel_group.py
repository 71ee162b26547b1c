"""The viewers of data channels, with loss, late frames and late acknowledgements: real frames, no network."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from tests.vectors import deltas as vectors
from tussle.lobby.wire.delta_layout import LOSSY_KEYFRAME
from tussle.lobby.wire.frames import FRAME, Frame, decode_frame, encode_frame, encode_topology
from tussle.lobby.wire.lossy_deltas import LossyDecoder
from tussle.server.fanout.channel_group import CANDIDATES, KEEP_S, LATE_S, ChannelGroup
from tussle.server.fanout.framing import binary_frame
from tussle.server.rtc.rtc_messages import MAX_FRAME
from tussle.server.simulation.simulation import Advance
from tussle.server.solver.delta_streams import LOSSY, LOSSY_KEY, DeltaStreams

pytestmark = pytest.mark.timeout(600)  # a cold start compiles the encoder

FRAME_S = 1 / 30
FRAMES = [replace(frame, tick=100 + 2 * n) for n, frame in enumerate(list(vectors.scripted())[:30] * 8)]


@dataclass(eq=False)
class Viewer:
    """A client with a channel. mute: it acknowledges nothing. loss: of its line."""

    deltas: bool = True
    loss: float = 0.0
    mute: bool = False
    decoder: LossyDecoder = field(default_factory=lambda: LossyDecoder(compiled=True))
    kinds: list[int] = field(default_factory=list)
    shown: list[Frame] = field(default_factory=list)
    framed: list[bytes] = field(default_factory=list)
    on_way: list[tuple[float, bytes]] = field(default_factory=list)
    acks: list[tuple[float, int]] = field(default_factory=list)

    def unsent(self) -> int:
        return 0

    def write(self, framed: bytes) -> None:
        self.framed.append(framed)


class Room:
    """A group, the encoder of its session, and the lines of its viewers: 60 to 150 ms each way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.group = ChannelGroup("s", self._send)
        self.viewers: list[Viewer] = []
        self.sent: list[tuple[str, list[int], int]] = []
        self._chance = random.Random(3)
        self.streams = DeltaStreams()
        topology = encode_topology(vectors.scene())
        self.streams.open("s", advance(FRAMES[0], topology))
        self._frames = iter(FRAMES)

    def join(self, **options: object) -> Viewer:
        viewer = Viewer(**options)  # type: ignore[arg-type]
        viewer.decoder.set_topology(vectors.scene())
        self.viewers.append(viewer)
        self.group.add(viewer, len(self.viewers) - 1)
        return viewer

    def _send(self, session: str, numbers: Iterable[int], frame: bytes) -> None:
        self.sent.append((session, list(numbers), frame[0]))
        for number in self.sent[-1][1]:
            viewer = self.viewers[number]
            if self._chance.random() >= viewer.loss:
                viewer.on_way.append((self.now + self._chance.uniform(0.06, 0.15), frame))

    def run(self, count: int) -> None:
        """That many frames, and all that arrives meanwhile."""
        for _ in range(count):
            self.now += FRAME_S
            frame = next(self._frames)
            asked = self.group.wanted(self.now)
            *_, lossy = self.streams.encode("s", advance(frame), asked, 1e-4)
            whole = encode_frame(frame)
            self.group.show(whole, binary_frame(whole), [lossy], self.now)
            for viewer in self.viewers:
                self._deliver(viewer)
            assert len(self.group._candidates) <= CANDIDATES

    def _deliver(self, viewer: Viewer) -> None:
        for one in sorted(one for one in viewer.on_way if one[0] <= self.now):
            viewer.on_way.remove(one)
            viewer.kinds.append(one[1][0])
            shown = decode_frame(one[1]) if one[1][0] == FRAME else viewer.decoder.decode(one[1])
            if shown is not None:
                viewer.shown.append(shown)
                true = FRAMES[(shown.tick - 100) // 2]
                assert np.abs(shown.rows[0] - true.rows[0]).max() < 1.01e-4
            if one[1][0] != FRAME and viewer.decoder.kept and not viewer.mute:
                viewer.acks.append((self.now + self._chance.uniform(0.06, 0.3), viewer.decoder.kept))
        for ack in [ack for ack in viewer.acks if ack[0] <= self.now]:
            viewer.acks.remove(ack)
            self.group.seen(viewer, ack[1])


def advance(frame: Frame, topology: bytes | None = None) -> Advance:
    """What the solver gives for a frame."""
    return Advance(
        tick=frame.tick, ticks_run=2, frame=encode_frame(frame), topology=topology, events=[], phase="moving",
        seat=None, actions=None, deadline_s=None, round=1, turn=1, hashes=[], min_distance=frame.min_distance,
        contacts=0, iterations=0, unconverged=0, result=None, dt=1 / 60, standing={},
    )  # fmt: skip


def test_viewers_get_deltas_from_what_all_of_them_have() -> None:
    """With losses and late acknowledgements, two viewers get nearly all frames as the difference from a reference that
    both have; each frame is encoded once for both. A client without the codec gets whole frames."""
    room = Room()
    one, other, old = room.join(loss=0.03), room.join(loss=0.1), room.join(deltas=False)
    room.run(200)
    for viewer, least in ((one, 150), (other, 135)):
        assert viewer.kinds.count(5) > least
        assert len(viewer.shown) > 0.95 * len(viewer.kinds)
        assert viewer.kinds.index(5) < 25
    assert set(old.kinds) == {FRAME}
    assert len(old.kinds) > 190
    shared = [numbers for session, numbers, kind in room.sent if kind == 5]
    assert all(set(numbers) <= {0, 1} for numbers in shared)
    assert sum(len(numbers) == 2 for numbers in shared) > 0.9 * len(shared)


def test_a_viewer_that_joins_does_not_disturb_the_others() -> None:
    """It has whole frames and keyframes until it has acknowledged one; the others go on with references."""
    room = Room()
    first = room.join()
    room.run(60)
    before = first.kinds.count(FRAME)
    late = room.join()
    room.run(60)
    assert first.kinds.count(FRAME) == before
    assert late.kinds[0] in (FRAME, LOSSY_KEYFRAME)
    assert late.kinds[-1] == 5
    assert room.group.ready == {first, late}
    assert all(first.shown[n].tick < first.shown[-1].tick for n in range(len(first.shown) - 8))


def test_a_viewer_that_acknowledges_nothing_gets_whole_frames() -> None:
    """After LATE_S it holds up nobody; the others keep their references all the time."""
    room = Room()
    good, mute = room.join(), room.join()
    room.run(40)
    assert room.group.ready == {good, mute}
    mute.mute = True
    whole = good.kinds.count(FRAME)
    room.run(round((LATE_S + 2 * KEEP_S) / FRAME_S) + 20)
    assert room.group.ready == {good}
    assert mute.kinds[-2:] in ([FRAME, FRAME], [FRAME, LOSSY_KEYFRAME], [LOSSY_KEYFRAME, FRAME])
    assert good.kinds[-1] in (5, LOSSY_KEYFRAME)
    assert good.kinds.count(FRAME) == whole
    mute.mute = False
    room.run(60)
    assert room.group.ready == {good, mute}
    room.group.discard(mute)
    room.group.seen(mute, room.group.reference)
    assert room.group.ready == {good}


def test_a_lost_encoder_is_noticed() -> None:
    """When the solver has been built again, it has no reference: nobody is sent a difference from one that it does not
    have, and the viewers begin again by themselves."""
    room = Room()
    viewer = room.join()
    room.run(60)
    room.streams.open("s", advance(FRAMES[60], encode_topology(vectors.scene())))
    kinds = len(viewer.kinds)
    room.run(60)
    assert LOSSY_KEYFRAME in viewer.kinds[kinds:]
    assert viewer.kinds[-1] == 5
    room.group.show(b"\1whole", binary_frame(b"\1whole"), [], room.now)
    assert not room.group.ready


def test_what_is_too_large_or_not_known() -> None:
    """A frame that is too large for the channel goes over the WebSocket, whole. Numbers that are no candidates change
    nothing. Without viewers that decode deltas no stream is asked for."""
    room = Room()
    assert room.group.wanted(0.0) == 0
    room.join(deltas=False)
    assert room.group.wanted(0.0) == 0
    viewer = room.join()
    assert room.group.wanted(0.0) == LOSSY | LOSSY_KEY
    room.group.seen(viewer, 77)
    assert not room.group.ready
    large = bytes((FRAME,)) * (MAX_FRAME + 1)
    room.group.show(large, binary_frame(large), [b"\5" * (MAX_FRAME + 1)], 0.0)
    assert [one.framed for one in room.viewers] == [[binary_frame(large)]] * 2
    assert room.sent == []
