"""The viewers of one session that get their frames over data channels: one message to another process for all of them.

    frame, at most MAX_FRAME -> ``send`` -> server/rtc/ -> UDP
    larger -> WebSocket of each viewer that has room

Frames of a channel may be lost or late. Each of them is a whole frame (kind 1), numbered by its epoch and tick. A group
must never wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from tussle.server.rtc.rtc_messages import MAX_FRAME

__all__ = ["ChannelGroup", "ChannelViewer"]

UNSENT_BYTES = 4096
"""Unsent bytes of a WebSocket above which it gets no large frame."""


class ChannelViewer(Protocol):
    """What a group needs of a viewer, for frames that are too large."""

    def unsent(self) -> int:
        """Unsent bytes of its WebSocket."""

    def write(self, framed: bytes) -> None:
        """Send over the WebSocket. Never blocks."""


class ChannelGroup:
    """The open data channels of one session. ``send(session, numbers, frame)`` sends over those with the numbers."""

    def __init__(self, session: str, send: Callable[[str, Iterable[int], bytes], object]) -> None:
        self._session = session
        self._send = send
        self._numbers: dict[ChannelViewer, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, viewer: ChannelViewer, number: int) -> None:
        """Send the frames of a viewer over the channel with that number."""
        self._numbers[viewer] = number

    def discard(self, viewer: ChannelViewer) -> None:
        self._numbers.pop(viewer, None)

    def show(self, frame: bytes, framed: bytes) -> None:
        """Send a frame to all. ``framed``: the same as a WebSocket frame."""
        if len(frame) <= MAX_FRAME:
            self._send(self._session, self._numbers.values(), frame)
            return
        for viewer in self._numbers:
            if viewer.unsent() <= UNSENT_BYTES:
                viewer.write(framed)
