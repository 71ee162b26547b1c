"""Delta frames for a line that loses and reorders frames: each is the difference from a reference that viewers have.

    frame -> LossyEncoder, from reference r -> frame of kind 5 -> LossyDecoder, which has r -> shown
          '> some frames are kept as reference n by both sides -> the viewer acknowledges n -> the next frames use n

A frame needs nothing but its reference, so a lost one is never missed. The payload of one that is kept has two frames:
the one before it, and its own, so that its velocities are those of now. Frames that are not kept do not change the
model. lobby/wire/delta_layout.py has the layout. This module must never decide who has acknowledged what.
"""

from __future__ import annotations

from tussle.lobby.errors import ProtocolError
from tussle.lobby.wire.delta_compiled import load_kernel
from tussle.lobby.wire.delta_layout import (
    HEAD,
    KEYFRAME_HEAD,
    KEYFRAME_PAYLOAD,
    LOSSY,
    LOSSY_HEAD,
    LOSSY_KEYFRAME,
    LOSSY_PAYLOAD,
)
from tussle.lobby.wire.deltas import ChainDecoder, ChainEncoder, DeltaChain, level_of
from tussle.lobby.wire.frames import Frame, Topology

__all__ = ["KEPT_REFERENCES", "LossyDecoder", "LossyEncoder"]

KEPT_REFERENCES = 6
"""References that an encoder and a decoder keep, at most."""

ASSURED = 3
"""A frame that shows nothing new is sent this often, since each may be lost."""

LONGEST = 1 << 16
"""Most ticks from a reference to a frame."""


def is_older(number: int, other: int) -> bool:
    """Whether a reference was made before another one. Numbers go from 1 to 255 and begin again."""
    return 0 < (other - number) % 255 < 128


class LossyEncoder(ChainEncoder):
    """Encodes the frames of one session for all viewers with data channels at once."""

    def __init__(self, *, error_m: float = 1e-4, error_deg: float = 0.05) -> None:
        super().__init__(error_m, error_deg)
        self._references: dict[int, DeltaChain] = {}
        self._before: Frame | None = None
        self._number = 0
        self._epoch = -1
        self._sent_tick, self._quiet = 0, 0

    def set_topology(self, topology: Topology) -> None:
        """The meshes of the following frames. The next frame is a keyframe."""
        self._topology = topology
        self._references.clear()
        self._before = None

    def skip(self, frame: Frame) -> None:
        """Encode nothing of a frame."""
        self._before = frame

    def encode(
        self, frame: Frame, *, reference: int, keep: bool = False, key: bool = False, alive_ticks: int = 0
    ) -> bytes | None:
        """The frame as the difference from a reference; a keyframe if there is no such reference, or with ``key``.
        keep: keep it as a reference. None if it shows nothing new and was sent often enough. Raises ValueError for a
        frame that cannot be sent this way."""
        topology = self._known(frame)
        before, self._before = self._before, frame
        if frame.epoch != self._epoch:
            self._references.clear()
            self._epoch = frame.epoch
            self._number = frame.tick % 255
        base = self._references.get(reference)
        if (
            base is None
            or not 0 < frame.tick - int(base.G[0]) < LONGEST
            or len(frame.acks) != len(base.G) - 5
        ):
            key = True
        two = False
        if key or base is None:
            key = keep = True
            chain = self._begin(frame, topology)
            if before is not None and self._joins(before, frame):
                two, chain.G[0] = True, before.tick - 1
        else:
            for old in [number for number in self._references if is_older(number, reference)]:
                del self._references[old]
            chain = base.copy(learns=keep)
            self._measure(frame, chain)
            self._quiet = self._quiet + 1 if self._resting(chain) else 0
            if self._quiet > ASSURED and frame.tick - self._sent_tick < alive_ticks:
                return None
            two = keep and before is not None and self._joins(before, frame) and before.tick > int(chain.G[0])
        self._sent_tick = frame.tick
        first_tick = int(chain.G[0]) + 1
        chain.S[:6] = (1, 0, 0xFFFFFFFF, 0, 0, 0)
        if keep:
            load_kernel().code_more(chain.S, self._buffer, chain.M, int(two))
            if before is not None and two:
                self._add(before, chain)
        self._add(frame, chain, whole=keep)
        payload = self._buffer[: load_kernel().end_of(chain.S, self._buffer)].tobytes()
        if keep:
            self._number = self._number % 255 + 1
            self._references[self._number] = chain
            if len(self._references) > KEPT_REFERENCES:
                del self._references[next(one for one in self._references if one != reference)]
        if not key:
            return LOSSY_HEAD.pack(LOSSY, reference, self._number if keep else 0) + payload
        return (
            HEAD.pack(LOSSY_KEYFRAME, self._number)
            + KEYFRAME_HEAD.pack(
                frame.version,
                frame.epoch,
                first_tick,
                len(chain.B) // 2,
                len(frame.acks),
                0,
                self._step,
                self._turn,
            )
            + payload
        )

    @staticmethod
    def _joins(before: Frame, frame: Frame) -> bool:
        """Whether a payload can have both frames."""
        return (
            before.epoch == frame.epoch
            and before.version == frame.version
            and len(before.acks) == len(frame.acks)
            and before.tick < frame.tick
        )

    def _add(self, frame: Frame, chain: DeltaChain, *, whole: bool = False) -> None:
        """Encode one frame. whole: with distance and contacts."""
        self._measure(frame, chain)
        at = 3 * (len(chain.B) // 2)
        self._T[at + 1], self._T[at + 2] = chain.G[2], chain.G[3]
        if whole:
            self._T[at + 1], self._T[at + 2] = level_of(frame.min_distance), min(frame.contacts, 65535)
        self._code(chain)


class LossyDecoder(ChainDecoder):
    """Decodes the frames of a data channel. ``kept``: the number of the reference that the last frame became, to be
    acknowledged; 0: none."""

    def __init__(self, *, compiled: bool = False) -> None:
        super().__init__(compiled=compiled)
        self._references: dict[int, DeltaChain] = {}
        self.kept = 0

    def set_topology(self, topology: Topology) -> None:
        """The meshes of the following frames."""
        self._topology = topology
        self._references.clear()

    def decode(self, data: bytes) -> Frame | None:
        """The frame, which may be older than the last one; None if its reference or its topology is not there. Raises
        ProtocolError for bytes that no encoder sends, which change nothing."""
        self.kept = 0
        if len(data) < LOSSY_PAYLOAD:
            raise ProtocolError("a delta frame is shorter than its header")
        kind, reference, number = LOSSY_HEAD.unpack_from(data)
        key = kind == LOSSY_KEYFRAME
        at = KEYFRAME_PAYLOAD if key else LOSSY_PAYLOAD
        number = reference if key else number
        if kind not in (LOSSY, LOSSY_KEYFRAME) or (data[-1] == 0 and len(data) > at) or (key and not number):
            raise ProtocolError("not a delta frame of a data channel")
        base = self._keyframe(data) if key else self._references.get(reference)
        if base is None:
            return None
        chain = base if key else base.copy(learns=number != 0)
        self._start(chain, data[at:])
        if number and self._kernel.code_more(chain.S, self._buffer, chain.M, 0):
            self._read(chain)
        self._read(chain)
        self._end(chain)
        if not key:
            for old in [one for one in self._references if is_older(one, reference)]:
                del self._references[old]
        if number:
            self._references.pop(number, None)
            self._references[number] = chain
            self.kept = number
            if len(self._references) > KEPT_REFERENCES:
                del self._references[next(iter(self._references))]
        return self._frame(chain, keyframe=key)
