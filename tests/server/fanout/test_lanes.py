"""The lanes of viewers that decode delta frames."""

from __future__ import annotations

from collections.abc import Callable

from tussle.server.fanout.framing import binary_frame
from tussle.server.fanout.lanes import BACKLOG_BYTES, CALM_S, KEY_S, Lanes


def key(chain: int) -> bytes:
    return bytes((4, 32 * chain, 0, 9))


def delta(chain: int, number: int) -> bytes:
    return bytes((3, 32 * chain + number, 9))


class Viewer:
    """Records what it is sent; ``backlog``: its unsent bytes."""

    def __init__(self, *, slow: bool = False) -> None:
        self.slow = slow
        self.backlog = 0
        self.sent: list[bytes] = []
        self.frames: Callable[[bytes], object] | None = self.sent.append

    def unsent(self) -> int:
        return self.backlog


def test_a_viewer_that_joins_gets_the_chain_from_a_keyframe_on() -> None:
    """It gets no frame of a chain that it has not from the start; a keyframe is asked for, and begins it for all."""
    lanes, early, late = Lanes(), Viewer(), Viewer()
    lanes.add(early)
    assert lanes.fast.wants_key(0.0)
    lanes.show(key(2), b"", 0.0)
    lanes.add(late)
    lanes.show(delta(2, 1), b"", 0.1)
    assert late.sent == []
    assert not lanes.fast.wants_key(KEY_S / 2)
    assert lanes.fast.wants_key(KEY_S)
    assert lanes.show(key(4), b"", KEY_S) == 2
    assert late.sent == [binary_frame(key(4))]
    assert early.sent == [binary_frame(one) for one in (key(2), delta(2, 1), key(4))]
    assert not lanes.fast.wants_key(9.0)


def test_an_encoded_frame_that_was_not_sent_breaks_the_chain() -> None:
    """When a frame between two is missing, no viewer gets the second; all wait for a keyframe."""
    lanes, viewer = Lanes(), Viewer()
    lanes.add(viewer)
    lanes.show(key(2), b"", 0.0)
    assert lanes.show(delta(2, 2), b"", 1.0) == 0
    assert lanes.fast.wants_key(1.0)
    lanes.show(key(4), b"", 1.0)
    assert len(viewer.sent) == 2


def test_without_a_frame_the_viewers_wait() -> None:
    """A frame that could not be encoded ends the chain; an empty one, of a world at rest, does not."""
    lanes, viewer = Lanes(), Viewer()
    lanes.add(viewer)
    lanes.show(key(2), b"", 0.0)
    lanes.show(b"", b"", 1.0)
    assert not lanes.fast.waiting
    lanes.show(None, b"", 1.0)
    assert lanes.fast.waiting == {viewer}


def test_a_slow_viewer_gets_the_slow_lane_and_returns() -> None:
    """With a backlog it misses a frame of the fast lane and gets the slow one, without a broken chain; after CALM_S
    without a backlog it gets the fast lane again."""
    lanes, viewer, other = Lanes(), Viewer(), Viewer()
    lanes.add(viewer)
    lanes.add(other)
    lanes.show(key(2), b"", 0.0)
    viewer.backlog = BACKLOG_BYTES + 1
    assert lanes.show(delta(2, 1), b"", 1.0) == 1
    assert viewer in lanes.slow and viewer not in lanes.fast
    viewer.backlog = 0
    lanes.show(delta(2, 2), key(3), 2.0)
    lanes.show(delta(2, 3), delta(3, 1), 2.0 + CALM_S / 2)
    assert viewer.sent[1:] == [binary_frame(key(3)), binary_frame(delta(3, 1))]
    lanes.show(delta(2, 4), delta(3, 2), 2.0 + CALM_S)
    assert viewer in lanes.fast
    lanes.show(key(4), b"", 2.0 + CALM_S)
    assert viewer.sent[-1] == binary_frame(key(4))
    assert len(other.sent) == 6


def test_a_keyframe_is_asked_for_when_a_viewer_can_be_sent_it() -> None:
    """One with a backlog waits: keyframes cost the other viewers of its lane."""
    lanes, viewer, other = Lanes(), Viewer(), Viewer()
    lanes.add(viewer)
    viewer.backlog = BACKLOG_BYTES + 1
    assert not lanes.fast.wants_key(1.0)
    lanes.add(other)
    assert lanes.fast.wants_key(1.0)
    lanes.show(key(2), b"", 1.0)
    assert other.sent == [binary_frame(key(2))] and viewer.sent == []
    assert viewer in lanes.slow
    assert not lanes.slow.wants_key(2.0)
    viewer.backlog = BACKLOG_BYTES
    assert lanes.slow.wants_key(2.0)


def test_a_viewer_that_needs_few_frames_stays_in_the_slow_lane() -> None:
    """It never gets the frames of the fast one."""
    lanes, viewer = Lanes(), Viewer(slow=True)
    lanes.add(viewer)
    lanes.show(key(2), key(3), 0.0)
    lanes.show(delta(2, 1), delta(3, 1), 2 * CALM_S)
    assert viewer.sent == [binary_frame(key(3)), binary_frame(delta(3, 1))]
    lanes.discard(viewer)
    assert not lanes
