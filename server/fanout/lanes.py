"""The viewers that get delta frames: two lanes, each with the frames of one stream, encoded once for all of them.

    joins, or missed a frame -> waits -> keyframe -> gets every frame of its lane
    fast lane, more than BACKLOG_BYTES unsent -> slow lane -> after CALM_S with CALM_BYTES at most -> fast lane

A viewer that waits has been sent a whole frame, of kind 1. A keyframe begins the chain again for all viewers of a lane,
so there is at most one in KEY_S. A lane must never wait for a viewer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tussle.lobby.wire.delta_layout import follows, is_keyframe
from tussle.server.fanout.framing import binary_frame

__all__ = ["BACKLOG_BYTES", "KEY_S", "Lane", "LaneViewer", "Lanes"]

BACKLOG_BYTES = 4096
"""Unsent bytes of a viewer above which it gets the slow lane: some seconds of its frames."""

CALM_S = 5.0
CALM_BYTES = 1024
"""Unsent bytes of a viewer that keeps up: about the newest frame."""

KEY_S = 0.25
"""The least time between two keyframes of a lane [s]."""


class LaneViewer(Protocol):
    """What a lane needs of a viewer. slow: it has asked for few frames."""

    slow: bool
    frames: Callable[[bytes], object] | None
    """Writes a frame, and never blocks. A viewer without it leaves the lane."""

    @property
    def unsent(self) -> Callable[[], int]:
        """Returns the unsent bytes."""


class Lane:
    """The viewers of one stream. ``ready``: they have every frame of the chain; ``waiting``: for a keyframe."""

    def __init__(self) -> None:
        self.ready: set[LaneViewer] = set()
        self.waiting: set[LaneViewer] = set()
        self._newest = b""
        self._keyed_at = float("-inf")

    def __len__(self) -> int:
        return len(self.ready) + len(self.waiting)

    def __contains__(self, viewer: object) -> bool:
        return viewer in self.ready or viewer in self.waiting

    def add(self, viewer: LaneViewer) -> None:
        """Give a viewer the frames from the next keyframe on."""
        self.ready.discard(viewer)
        self.waiting.add(viewer)

    def discard(self, viewer: LaneViewer) -> None:
        """Send a viewer nothing more."""
        self.ready.discard(viewer)
        self.waiting.discard(viewer)

    def break_chain(self) -> None:
        """Make all viewers wait for a keyframe."""
        self.waiting |= self.ready
        self.ready.clear()

    def wants_key(self, now: float) -> bool:
        """Whether the next frame shall be a keyframe: one viewer at least can be sent it."""
        return now - self._keyed_at >= KEY_S and any(
            viewer.unsent() <= BACKLOG_BYTES for viewer in self.waiting
        )

    def send(self, frame: bytes, now: float) -> tuple[int, list[LaneViewer]]:
        """Send a frame; return the number of viewers that got it, and those that missed it: they have a backlog."""
        if is_keyframe(frame):
            self._keyed_at = now
            self.ready |= self.waiting
            self.waiting.clear()
        elif not follows(frame, self._newest):
            self.break_chain()
        self._newest = frame
        framed = binary_frame(frame)
        late = []
        for viewer in self.ready:
            if viewer.unsent() > BACKLOG_BYTES:
                late.append(viewer)
            elif viewer.frames is not None:
                viewer.frames(framed)
        for viewer in late:
            self.add(viewer)
        return len(self.ready), late


class Lanes:
    """The fast and the slow lane of one session, and which viewer has which."""

    def __init__(self) -> None:
        self.fast = Lane()
        self.slow = Lane()
        self._late_at: dict[LaneViewer, float] = {}

    def __len__(self) -> int:
        fast, slow = self.fast, self.slow
        return len(fast.ready) + len(fast.waiting) + len(slow.ready) + len(slow.waiting)

    def add(self, viewer: LaneViewer) -> None:
        """Give a viewer the lane that it has, or its first one."""
        if viewer in self.slow or viewer.slow:
            self.slow.add(viewer)
        else:
            self.fast.add(viewer)

    def discard(self, viewer: LaneViewer) -> None:
        """Remove a viewer."""
        self.fast.discard(viewer)
        self.slow.discard(viewer)
        self._late_at.pop(viewer, None)

    def may_lack(self, viewer: LaneViewer) -> bool:
        """Whether a viewer may lack the newest frame: it waits for a keyframe, or gets few frames."""
        return viewer in self.fast.waiting or viewer in self.slow

    def show(self, fast: bytes | None, slow: bytes | None, now: float) -> int:
        """Send the frames of the two streams; return the number of viewers that got one. None: there is no frame, and
        the viewers of the lane wait for a keyframe."""
        sent = 0
        if fast:
            sent, late = self.fast.send(fast, now)
            for viewer in late:
                self.fast.discard(viewer)
                self.slow.add(viewer)
                self._late_at[viewer] = now
        elif fast is None:
            self.fast.break_chain()
        if slow:
            count, late = self.slow.send(slow, now)
            sent += count
            for viewer in late:
                self._late_at[viewer] = now
            self._promote(now)
        elif slow is None:
            self.slow.break_chain()
        return sent

    def _promote(self, now: float) -> None:
        """Give the fast lane back to viewers that had no backlog for CALM_S."""
        for viewer, late_at in list(self._late_at.items()):
            if viewer.unsent() > CALM_BYTES:
                self._late_at[viewer] = now
            elif now - late_at >= CALM_S and not viewer.slow:
                self.discard(viewer)
                self.fast.add(viewer)
