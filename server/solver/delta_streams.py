"""The delta frames of the worlds of one solver process.

    advance -> frame of kind 1 -> fast stream, every frame        -> the reply, for all viewers
                               '> slow stream, every SLOW_FRAMES-th
                               '> lossy stream, every frame from a reference -> data channels

The first two are chains, so that a slow viewer needs none of the frames that it does not get. Measured with bench.wire:
frames of one chain in temporal layers, in which a viewer may miss the upper ones, take 20 to 30 % more bytes. A stream
that nobody watches is not encoded, and no frame is encoded more often than three times. This module must never change a
world.
"""

from __future__ import annotations

from tussle.lobby.wire.deltas import DeltaEncoder
from tussle.lobby.wire.frames import Frame, decode_frame, decode_topology
from tussle.lobby.wire.lossy_deltas import LossyEncoder
from tussle.server.simulation.simulation import Advance

__all__ = [
    "CHAINS", "FAST", "FAST_KEY", "LOSSY", "LOSSY_KEEP", "LOSSY_KEY", "LOSSY_REFERENCE", "ONCE", "SLOW", "SLOW_FRAMES",
    "SLOW_KEY", "DeltaStreams", "Deltas",
]  # fmt: skip

FAST, FAST_KEY, SLOW, SLOW_KEY = 1, 2, 4, 8
"""What is asked for: each stream, and that its frame is a keyframe."""

CHAINS = FAST | FAST_KEY | SLOW | SLOW_KEY
"""What goes over sockets."""

LOSSY, LOSSY_KEY, LOSSY_KEEP, LOSSY_REFERENCE = 16, 32, 64, 256
"""The lossy stream, that its frame is a keyframe or becomes a reference, and the factor of the reference's number."""

ONCE = FAST_KEY | SLOW_KEY | LOSSY_KEY | LOSSY_KEEP
"""What is asked of the first of several frames only."""

SLOW_FRAMES = 4
"""Frames of the fast stream for each of the slow one."""

Deltas = tuple[bytes | None, bytes | None, bytes | None]
"""The frames of the fast, the slow and the lossy stream. Empty: it shows nothing new. None: there is none, and viewers
need the frame of kind 1."""


class _World:
    """The streams of one world. topology: the newest; None: the encoders have it."""

    def __init__(self, topology: bytes | None) -> None:
        self.topology = topology
        self.fast: DeltaEncoder | None = None
        self.slow: DeltaEncoder | None = None
        self.lossy: LossyEncoder | None = None
        self.frames = 0


class DeltaStreams:
    """The streams of all worlds of this process."""

    def __init__(self) -> None:
        self._worlds: dict[str, _World] = {}

    def open(self, session: str, here: Advance) -> None:
        """A world was built or restored: its streams begin again."""
        self._worlds[session] = _World(here.topology)

    def forget(self, session: str) -> None:
        """The world is dropped."""
        self._worlds.pop(session, None)

    def encode(self, session: str, advance: Advance, asked: int, error_m: float) -> Deltas:
        """The frames of an advance. error_m: greatest error of a coordinate [m]."""
        world = self._worlds[session]
        if advance.topology is not None:
            world.topology, world.fast, world.slow, world.lossy = advance.topology, None, None, None
        if not asked:
            world.fast = world.slow = world.lossy = None
            return None, None, None
        frame = decode_frame(advance.frame)
        alive = round(1 / advance.dt)
        world.frames += 1
        fast = slow = lossy = None
        if asked & FAST:
            world.fast = world.fast or self._encoder(world, error_m, odd=False)
            fast = _encoded(world.fast, frame, alive, key=bool(asked & FAST_KEY))
        else:
            world.fast = None
        if asked & SLOW:
            world.slow = world.slow or self._encoder(world, error_m, odd=True)
            slow = b""
            if asked & SLOW_KEY or world.frames % SLOW_FRAMES == 0:
                slow = _encoded(world.slow, frame, alive, key=bool(asked & SLOW_KEY))
        else:
            world.slow = None
        if asked & LOSSY:
            world.lossy = world.lossy or self._lossy_encoder(world, error_m)
            lossy = _lossy(world.lossy, frame, alive, asked)
        else:
            world.lossy = None
        return fast, slow, lossy

    @staticmethod
    def _lossy_encoder(world: _World, error_m: float) -> LossyEncoder:
        encoder = LossyEncoder(error_m=error_m, error_deg=500.0 * error_m)
        if world.topology is not None:
            encoder.set_topology(decode_topology(world.topology))
        return encoder

    @staticmethod
    def _encoder(world: _World, error_m: float, *, odd: bool) -> DeltaEncoder:
        encoder = DeltaEncoder(error_m=error_m, error_deg=500.0 * error_m, odd=odd)
        if world.topology is not None:
            encoder.set_topology(decode_topology(world.topology))
        return encoder


def _encoded(encoder: DeltaEncoder, frame: Frame, alive_ticks: int, *, key: bool) -> bytes | None:
    try:
        return encoder.encode(frame, key=key, alive_ticks=alive_ticks) or b""
    except ValueError:
        return None


def _lossy(encoder: LossyEncoder, frame: Frame, alive_ticks: int, asked: int) -> bytes | None:
    reference, key, keep = asked // LOSSY_REFERENCE, bool(asked & LOSSY_KEY), bool(asked & LOSSY_KEEP)
    if not reference and not key:
        encoder.skip(frame)  # no viewer has acknowledged a keyframe yet
        return b""
    try:
        return encoder.encode(frame, reference=reference, key=key, keep=keep, alive_ticks=alive_ticks) or b""
    except ValueError:
        return None
