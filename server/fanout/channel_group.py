"""The viewers of one session that get their frames over data channels: one message to another process for all of them.

    frame, at most MAX_FRAME -> ``send`` -> server/rtc/ -> UDP
    larger -> WebSocket of each viewer that has room

Frames of a channel may be lost or late. A viewer that decodes delta frames gets them as the difference from a reference
that every such viewer has acknowledged (lobby/wire/lossy_deltas.py): one encoding for all of them.

    joins, or has acknowledged nothing for LATE_S -> waits, with whole frames -> keyframe -> acknowledges it -> ready
    every KEEP_S a frame becomes a candidate -> all that are ready have acknowledged it -> it is the reference

All other viewers get whole frames (kind 1), numbered by their epoch and tick. A group must never wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tussle.lobby.wire.delta_layout import LOSSY_KEYFRAME
from tussle.server.rtc.rtc_messages import MAX_FRAME
from tussle.server.solver.delta_streams import LOSSY, LOSSY_KEEP, LOSSY_KEY, LOSSY_REFERENCE

__all__ = ["KEEP_S", "LATE_S", "ChannelGroup", "ChannelViewer"]

UNSENT_BYTES = 4096
"""Unsent bytes of a WebSocket above which it gets no large frame."""

KEEP_S = 0.25
LATE_S = 1.0
CANDIDATES = 3
"""Most candidates at a time: encoder and viewers keep the state of each."""


class ChannelViewer(Protocol):
    """What a group needs of a viewer. deltas: whether it decodes delta frames; the rest is for frames that are too
    large."""

    deltas: bool

    def unsent(self) -> int:
        """Unsent bytes of its WebSocket."""

    def write(self, framed: bytes) -> None:
        """Send over the WebSocket. Never blocks."""


@dataclass(slots=True)
class _Candidate:
    """A frame that viewers keep, and which of them have acknowledged it."""

    number: int
    sent_at: float
    seen: set[ChannelViewer] = field(default_factory=set)


class ChannelGroup:
    """The open data channels of one session. ``send(session, numbers, frame)`` sends over those with the numbers."""

    def __init__(self, session: str, send: Callable[[str, Iterable[int], bytes], object]) -> None:
        self._session = session
        self._send = send
        self._numbers: dict[ChannelViewer, int] = {}
        self.ready: set[ChannelViewer] = set()
        """The viewers that have the reference."""
        self.waiting: set[ChannelViewer] = set()
        """The viewers that decode delta frames, and do not have it."""
        self.reference = 0
        self._candidates: list[_Candidate] = []
        self._kept_at = self._keyed_at = float("-inf")

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, viewer: object) -> bool:
        return viewer in self._numbers

    def add(self, viewer: ChannelViewer, number: int) -> None:
        """Send the frames of a viewer over the channel with that number."""
        self._numbers[viewer] = number
        if viewer.deltas:
            self.waiting.add(viewer)

    def discard(self, viewer: ChannelViewer) -> None:
        """Send a viewer nothing more."""
        self._numbers.pop(viewer, None)
        self.ready.discard(viewer)
        self.waiting.discard(viewer)
        for candidate in self._candidates:
            candidate.seen.discard(viewer)
        self._advance()

    def wanted(self, now: float) -> int:
        """The frame that viewers need next, for ``Solver.step_world``."""
        if not self.ready and not self.waiting:
            return 0
        for candidate in self._candidates:
            if now - candidate.sent_at > LATE_S:
                late = self.ready - candidate.seen
                self.ready -= late
                self.waiting |= late
        self._advance()
        self._candidates = [one for one in self._candidates if now - one.sent_at <= LATE_S]
        if not self.ready:
            self.reference = 0
        if self.waiting and now - self._keyed_at >= KEEP_S and len(self._candidates) < CANDIDATES:
            self._keyed_at = self._kept_at = now
            return LOSSY | LOSSY_KEY | LOSSY_REFERENCE * self.reference
        if not self.reference:
            return LOSSY
        keep = now - self._kept_at >= KEEP_S and len(self._candidates) < CANDIDATES
        if keep:
            self._kept_at = now
        return LOSSY | (LOSSY_KEEP if keep else 0) | LOSSY_REFERENCE * self.reference

    def seen(self, viewer: ChannelViewer, number: int) -> None:
        """A viewer has acknowledged a reference. One that is no candidate changes nothing."""
        if viewer not in self.ready and viewer not in self.waiting:
            return
        if number == self.reference:
            self.waiting.discard(viewer)
            self.ready.add(viewer)
        for candidate in self._candidates:
            if candidate.number == number:
                candidate.seen.add(viewer)
        self._advance()

    def _advance(self) -> None:
        """Make the newest candidate that all ready viewers have the reference. Viewers that wait and have it are
        ready."""
        for place in range(len(self._candidates) - 1, -1, -1):
            candidate = self._candidates[place]
            if candidate.seen and self.ready <= candidate.seen:
                self.reference = candidate.number
                self.ready |= candidate.seen
                self.waiting -= candidate.seen
                del self._candidates[: place + 1]
                return

    def show(self, frame: bytes, framed: bytes, deltas: Sequence[bytes | None], now: float) -> None:
        """Send a frame to all. ``framed``: the same as a WebSocket frame. deltas: the same for those that decode them;
        empty: it shows nothing new; None: there is none."""
        whole = set(self._numbers) - self.ready
        if not deltas or any(delta is None or len(delta) > MAX_FRAME for delta in deltas):
            self._break()
            whole = set(self._numbers)
        for delta in deltas:
            if delta and len(delta) <= MAX_FRAME:
                self._show_delta(delta, whole, now)
        if not whole:
            return
        if len(frame) <= MAX_FRAME:
            self._send(f"{self._session} whole", sorted(self._numbers[viewer] for viewer in whole), frame)
            return
        for viewer in whole:
            if viewer.unsent() <= UNSENT_BYTES:
                viewer.write(framed)

    def _show_delta(self, delta: bytes, whole: set[ChannelViewer], now: float) -> None:
        """Send a delta frame to the viewers that may decode it. A keyframe takes those that wait out of ``whole``."""
        number = delta[1] if delta[0] == LOSSY_KEYFRAME else delta[2]
        if delta[0] == LOSSY_KEYFRAME:
            if self.reference and now - self._keyed_at > KEEP_S:
                self._break()  # the encoder has begun again: it has no reference any more
            viewers = self.ready | self.waiting
            whole -= self.waiting
        else:
            viewers = self.ready
        if number:
            self._candidates = [*self._candidates[1 - CANDIDATES :], _Candidate(number, now)]
        if viewers:
            self._send(self._session, sorted(self._numbers[viewer] for viewer in viewers), delta)

    def _break(self) -> None:
        """No viewer has a reference."""
        self.waiting |= self.ready
        self.ready.clear()
        self.reference = 0
        self._candidates.clear()
