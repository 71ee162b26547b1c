"""The binary messages of one session as a client keeps them: the newest frame and topology, decoded when they are read.

    receive -> kind 1: kept as bytes, the newest replaces the others
            -> kinds 3, 4: kept in order, since each needs those before it; decoded when read, or when UNREAD wait

This module must never import a socket. It loads numpy when the first frame is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tussle.lobby.wire.deltas import DeltaDecoder
    from tussle.lobby.wire.frames import Frame, Topology

__all__ = ["FrameInbox"]

_FRAME_KIND, _TOPOLOGY_KIND, _DELTA_KINDS = 1, 2, (3, 4)
_EPOCH_TICK = struct.Struct("<II")  # at byte 4 of a frame: see the layout in lobby/wire/frames.py

UNREAD = 64
"""Delta frames that wait to be decoded: two seconds of them."""


class FrameInbox:
    """Frames and topology of a session. ``admit``: whether a frame is newer than all before, by epoch and tick."""

    def __init__(self, admit: Callable[[int, int], bool]) -> None:
        self._admit = admit
        self._whole: bytes | None = None
        self._deltas: list[bytes] = []
        self._frame: Frame | None = None
        self._topology_bytes: bytes | None = None
        self._topology: Topology | None = None
        self._decoder: DeltaDecoder | None = None

    def receive(self, data: bytes) -> bool:
        """Take a binary message; return whether there may be a newer frame. Raises ProtocolError for a delta frame that
        no server sends; the reader then waits for a keyframe. Other kinds are ignored."""
        kind = data[0] if data else 0
        if kind == _TOPOLOGY_KIND:
            self._topology_bytes, self._topology = data, None
            self._deltas.clear()
            self._decoder = None
        elif kind == _FRAME_KIND and len(data) >= 12:
            if self._admit(*_EPOCH_TICK.unpack_from(data, 4)):
                self._whole, self._frame = data, None
                return True
        elif kind in _DELTA_KINDS:
            self._deltas.append(data)
            if len(self._deltas) >= UNREAD:
                self._decode_deltas()
            return True
        return False

    @property
    def frame(self) -> Frame | None:
        """The newest frame; None before the first. Raises ProtocolError as ``receive``."""
        self._decode_deltas()
        if self._frame is None and self._whole is not None:
            from tussle.lobby.wire.frames import decode_frame

            self._frame = decode_frame(self._whole)
        return self._frame

    @property
    def topology(self) -> Topology | None:
        """The meshes that the frames move; None before they have arrived."""
        if self._topology is None and self._topology_bytes is not None:
            from tussle.lobby.wire.frames import decode_topology

            self._topology = decode_topology(self._topology_bytes)
        return self._topology

    def _decode_deltas(self) -> None:
        if not self._deltas:
            return
        if self._decoder is None:
            from tussle.lobby.wire.deltas import DeltaDecoder

            self._decoder = DeltaDecoder()
            if self.topology is not None:
                self._decoder.set_topology(self.topology)
        waiting, self._deltas = self._deltas, []
        for data in waiting:
            frame = self._decoder.decode(data)
            if frame is not None and self._admit(frame.epoch, frame.tick):
                self._frame, self._whole = frame, None
