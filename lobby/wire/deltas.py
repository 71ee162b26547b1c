"""Delta frames: a tick as it is drawn, as the difference from the frame before. A tenth of the bytes of frames.py.

A chain begins with a keyframe; each later frame of the chain needs all frames before it. All numbers are little endian.

lobby/wire/delta_layout.py has the layout.

The greatest error of a coordinate is half a step of a place, of a rotation half a step about each axis. Affine bodies
are sent as rigid: a frame in which one is stretched by more than STRETCH cannot be encoded. Distances have eight levels
an octave. The decoder needs the topology, so that a frame cannot make it use more memory than that. This module must
never depend on a mode or a solver.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tussle.lobby.errors import ProtocolError
from tussle.lobby.wire import delta_coder as coder
from tussle.lobby.wire import delta_kernel as kernel
from tussle.lobby.wire import delta_pose as pose
from tussle.lobby.wire.delta_compiled import load_kernel
from tussle.lobby.wire.delta_layout import (
    CHAINS,
    DELTA,
    FIRST_CHANCES,
    HEAD,
    KEYFRAME,
    KEYFRAME_HEAD,
    KEYFRAME_PAYLOAD,
    NUMBERS,
    PAYLOAD,
)
from tussle.lobby.wire.frames import Frame, Topology

__all__ = ["ChainDecoder", "ChainEncoder", "DeltaChain", "DeltaDecoder", "DeltaEncoder", "level_of"]

STRETCH = 0.01
"""Largest stretch of an affine body that is sent as rigid."""

NEAR, LEVELS = 1e-7, 8
"""Level 1 of a distance is NEAR [m]; each octave has LEVELS. Level 0: nothing is near."""

META_FRAMES = 4
"""Distance and contacts are sent with every fourth frame, as the least and the most since."""


class DeltaChain:
    """The state that encoder and decoder have in common. ``make``: makes an array from a list."""

    def __init__(self, bodies: list[int], seats: int, make: Any) -> None:
        """bodies: vertices of each body, 0 for an affine one."""
        n = len(bodies)
        first, places = 0, []
        for count in bodies:
            places += [first, count]
            first += count
        self.vertices = first
        self.B = make(places, "i8")
        self.spare = pose.FLOATS * n
        floats = [0.0] * (self.spare + pose.SPARE + 7 * n)
        ints = [0] * (pose.INTS * n)
        for body in range(n):
            floats[pose.FLOATS * body + 9] = floats[pose.FLOATS * body + 19] = 1.0
        self.F, self.J = make(floats, "f8"), make(ints, "i8")
        self.U = make([0, 0, 256] * (3 * first), "i8")
        self.G = make([0] * (5 + seats), "i8")
        self.M = make(_FRESH, "i8")
        self.S = make([0] * 7, "i8")
        self.epoch = 0
        self.step = self.turn = 0.0
        """Of a decoder."""

    def copy(self, *, learns: bool) -> DeltaChain:
        """A chain that goes on from here. Without ``learns`` it shares the model, and does not change it."""
        other = object.__new__(DeltaChain)
        other.vertices, other.B, other.spare = self.vertices, self.B, self.spare
        other.epoch, other.step, other.turn = self.epoch, self.step, self.turn
        other.F, other.J, other.U, other.G = self.F.copy(), self.J.copy(), self.U.copy(), self.G.copy()
        other.M = self.M.copy() if learns else self.M
        other.S = self.S.copy()
        other.S[6] = 0 if learns else 1
        return other


_FRESH = [
    *[32768, 0] * coder.CONTEXTS,
    *(65536 * 5 // (5 * n + 8) for n in range(coder.LIMIT + 1)),
    *(256 * chance for row in FIRST_CHANCES for chance in row),
]
"""All contexts before their first bit, the rates at which they learn, and first probabilities."""


_FRESH_ARRAY = np.array(_FRESH, dtype=np.int64)


def _moving(topology: Topology) -> list[int]:
    """The vertices of each body of a frame, 0 for four rows."""
    return [
        len(body.vertices) if body.kind == "elastic" else 0
        for body in topology.bodies
        if body.kind != "static"
    ]


def level_of(distance: float) -> int:
    if not distance < 1e3:
        return 0
    return min(255, max(1, round(LEVELS * math.log2(max(distance, NEAR) / NEAR)) + 1))


def _array(values: Any, kind: str) -> Any:
    return _FRESH_ARRAY.copy() if values is _FRESH else np.array(values, dtype=kind)


def _list(values: Any, _kind: str) -> Any:
    return list(values)


class ChainEncoder:
    """What encoders of delta frames have in common. error_m, error_deg: greatest errors."""

    def __init__(self, error_m: float, error_deg: float) -> None:
        self._step = float(np.float32(error_m / pose.DEAD))
        self._turn = float(np.float32(math.radians(error_deg) / 4 / pose.DEAD))
        self._topology: Topology | None = None

    def _known(self, frame: Frame) -> Topology:
        """The topology of a frame. Raises ValueError if it is not known."""
        topology = self._topology
        if topology is None or topology.version != frame.version:
            raise ValueError("the topology of the frame is not known")
        return topology

    def _begin(self, frame: Frame, topology: Topology) -> DeltaChain:
        bodies = _moving(topology)
        if len(frame.active) != len(bodies):
            raise ValueError("a frame of other bodies")
        chain = DeltaChain(bodies, len(frame.acks), _array)
        self._V = np.zeros(6 * chain.vertices)
        rest = [body.vertices for body in topology.bodies if body.kind == "elastic"]
        if rest:
            self._V.reshape(-1, 6)[:, :3] = np.concatenate(rest)
        self._T = np.zeros(3 * len(bodies) + 3 + len(frame.acks), dtype=np.int64)
        self._A, self._W = np.zeros(24), np.zeros(7 * len(bodies))
        self._buffer = np.zeros(
            256 + 128 * len(bodies) + 64 * chain.vertices + 16 * len(frame.acks), dtype=np.uint8
        )
        chain.G[0], chain.G[1] = frame.tick - 1, 1
        return chain

    def _measure(self, frame: Frame, chain: DeltaChain) -> None:
        """Write what ``_code`` encodes, but for distance and contacts. Raises ValueError for a frame that cannot be
        sent this way."""
        active, bodies = frame.active, len(chain.B) // 2
        if active.shape[0] != bodies:
            raise ValueError("a frame of other bodies")
        T = self._T
        T[: 3 * bodies : 3] = active
        T[3 * bodies] = frame.tick
        T[3 * bodies + 3 :] = frame.acks
        rows = np.ascontiguousarray(frame.rows, dtype=np.float64).reshape(-1)
        worst = load_kernel().measure(
            rows, chain.F, chain.J, chain.U, self._V, chain.B, T, self._A, self._W, self._step, self._turn,
            chain.spare,
        )  # fmt: skip
        if worst > STRETCH:
            raise ValueError("a body is not rigid")

    def _resting(self, chain: DeltaChain) -> bool:
        """Whether the frame that was measured would show what the chain shows."""
        T, bodies = self._T, len(chain.B) // 2
        same = T[: 3 * bodies : 3] == chain.J[:: pose.INTS]
        return bool(
            (same & ((T[1 : 3 * bodies : 3] == 1) | (T[: 3 * bodies : 3] == 0))).all()
            and (T[3 * bodies + 3 :] == chain.G[5:]).all()
        )

    def _code(self, chain: DeltaChain) -> None:
        """Encode what was measured. Raises ValueError."""
        load_kernel().code_frame(
            chain.S, self._buffer, chain.M, chain.G, chain.F, chain.J, chain.U, self._V, chain.B, self._T,
            self._step, self._turn, chain.spare,
        )  # fmt: skip
        if chain.S[5]:
            raise ValueError("a coordinate is out of range")


class DeltaEncoder(ChainEncoder):
    """Encodes the frames of one session for all viewers at once. error_m, error_deg: greatest errors. odd: whether its
    chains have odd numbers, so that two encoders of a session are never mistaken for each other."""

    def __init__(self, *, error_m: float = 1e-4, error_deg: float = 0.05, odd: bool = False) -> None:
        super().__init__(error_m, error_deg)
        self._chain: DeltaChain | None = None
        self._number = 0
        self._id = int(odd)
        self._seen: tuple[int, int] = (0, 0)
        self._nearest, self._contacts = math.inf, 0

    def set_topology(self, topology: Topology) -> None:
        """The meshes of the following frames. The next frame is a keyframe."""
        self._topology = topology
        self._chain = None

    def encode(self, frame: Frame, *, key: bool = False, alive_ticks: int = 0) -> bytes | None:
        """The next frame of the chain; None if it shows nothing new, and the last was sent less than ``alive_ticks``
        ago. key: begin a new chain. Raises ValueError for a frame that cannot be sent this way, with the chain ended.
        """
        topology = self._known(frame)
        chain = self._chain
        self._chain = None  # until this frame is done
        if (
            chain is None
            or frame.epoch != self._seen[0]
            or not 0 < frame.tick - int(chain.G[0]) < 1 << 20
            or len(frame.acks) != len(chain.G) - 5
        ):
            key = True
        if key or chain is None:
            chain = self._begin(frame, topology)
            self._number = 0
            self._id = (self._id + 2) % CHAINS
        self._nearest = min(self._nearest, frame.min_distance)
        self._contacts = max(self._contacts, min(frame.contacts, 65535))
        self._measure(frame, chain)
        # The frame in which a body came to rest is sent.
        if not key and frame.tick - self._seen[1] < alive_ticks and chain.G[4] and self._resting(chain):
            self._chain = chain
            return None
        T, G, bodies = self._T, chain.G, len(chain.B) // 2
        if key or self._number % META_FRAMES == 0:
            T[3 * bodies + 1], T[3 * bodies + 2] = level_of(self._nearest), self._contacts
            self._nearest, self._contacts = math.inf, 0
        else:
            T[3 * bodies + 1], T[3 * bodies + 2] = G[2], G[3]
        chain.S[:] = (1, 0, 0xFFFFFFFF, 0, 0, 0, 0)
        self._code(chain)
        payload = self._buffer[: load_kernel().end_of(chain.S, self._buffer)].tobytes()
        head = HEAD.pack(KEYFRAME if key else DELTA, NUMBERS * self._id + self._number % NUMBERS)
        if key:
            head += KEYFRAME_HEAD.pack(
                frame.version, frame.epoch, frame.tick, bodies, len(frame.acks), 0, self._step, self._turn
            )
        self._number += 1
        self._seen = frame.epoch, frame.tick
        self._chain = chain
        return head + payload


class ChainDecoder:
    """What decoders of delta frames have in common. compiled: use numba, which takes a second to load and decodes ten
    times as fast."""

    def __init__(self, *, compiled: bool = False) -> None:
        self._kernel: Any = load_kernel() if compiled else kernel
        self._compiled = compiled
        self._topology: Topology | None = None

    def _keyframe(self, data: bytes) -> DeltaChain | None:
        """The chain that a keyframe begins; None if its topology is not known. Raises ProtocolError."""
        if len(data) < KEYFRAME_PAYLOAD:
            raise ProtocolError("a keyframe is shorter than its header")
        version, epoch, tick, bodies, seats, zero, step, turn = KEYFRAME_HEAD.unpack_from(data, PAYLOAD)
        if zero or not (1e-9 < step < 1e3 and 1e-9 < turn < 1.0):
            raise ProtocolError("not a keyframe")
        topology = self._topology
        if topology is None or topology.version != version:
            return None
        moving = _moving(topology)
        if len(moving) != bodies:
            raise ProtocolError("a keyframe of other bodies than its topology")
        chain = DeltaChain(moving, seats, _array if self._compiled else _list)
        chain.G[0], chain.G[1] = tick - 1, 1
        chain.epoch, chain.step, chain.turn = epoch, step, turn
        return chain

    def _start(self, chain: DeltaChain, payload: bytes) -> None:
        """Begin to read a payload."""
        self._buffer: Any = np.frombuffer(bytearray(payload), np.uint8) if self._compiled else payload
        code = int.from_bytes(payload[:4].ljust(4, b"\0"), "big")
        for place, value in enumerate((0, code, 0xFFFFFFFF, 4, len(payload), 0)):
            chain.S[place] = value
        if code == 0xFFFFFFFF:
            raise ProtocolError("a delta frame has a number that is out of range")

    def _read(self, chain: DeltaChain) -> None:
        """Take the chain to the next frame. Raises ProtocolError."""
        make = _array if self._compiled else _list
        self._kernel.code_frame(
            chain.S, self._buffer, chain.M, chain.G, chain.F, chain.J, chain.U, make([], "f8"), chain.B,
            make([], "i8"), chain.step, chain.turn, chain.spare,
        )  # fmt: skip
        if chain.S[5]:
            raise ProtocolError("a delta frame has a number that is out of range")

    @staticmethod
    def _end(chain: DeltaChain) -> None:
        """The payload must have been read. Raises ProtocolError."""
        if chain.S[3] < chain.S[4]:
            raise ProtocolError("a delta frame is longer than its content")

    def _frame(self, chain: DeltaChain, *, keyframe: bool) -> Frame:
        assert self._topology is not None
        n = len(chain.B) // 2
        active = np.array(chain.J[:: pose.INTS], dtype=np.bool_)
        poses = np.array(chain.F[: chain.spare]).reshape(n, pose.FLOATS)
        places, turns = poses[:, :3], _matrices(poses[:, 9:13])
        parts = []
        counts = [int(count) for count in chain.B[1::2]]
        shapes = None
        rest = [body.vertices for body in self._topology.bodies if body.kind == "elastic"]
        if rest:
            moved = np.array(chain.U[::3], dtype=np.float64).reshape(-1, 3) * chain.step
            shapes = np.concatenate(rest).astype(np.float64) + moved
        for body in range(n):
            first, count = chain.B[2 * body], counts[body]
            if count and shapes is not None:
                rows = places[body] + shapes[first : first + count] @ turns[body].T
            else:
                rows = np.vstack((places[body], turns[body].T))
            parts.append(rows if active[body] else np.full_like(rows, np.nan))
        return Frame(
            tick=int(chain.G[0]),
            rows=np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, 3), np.float32),
            active=active,
            epoch=chain.epoch,
            min_distance=NEAR * 2.0 ** ((int(chain.G[2]) - 1) / LEVELS) if chain.G[2] else math.inf,
            contacts=int(chain.G[3]),
            acks=tuple(int(ack) for ack in chain.G[5:]),
            version=self._topology.version,
            row_counts=tuple(count or 4 for count in counts) if any(counts) else None,
            keyframe=keyframe,
        )


class DeltaDecoder(ChainDecoder):
    """Decodes the delta frames of one session. After a ProtocolError, and after a gap, it waits for a keyframe."""

    def __init__(self, *, compiled: bool = False) -> None:
        super().__init__(compiled=compiled)
        self._chain: DeltaChain | None = None
        self._id = self._number = 0

    @property
    def waiting(self) -> bool:
        """Whether no frame but a keyframe can be decoded."""
        return self._chain is None

    def set_topology(self, topology: Topology) -> None:
        """The meshes of the following frames."""
        self._topology = topology
        self._chain = None

    def decode(self, data: bytes) -> Frame | None:
        """The frame; None if it is of a chain of which frames are missing. Raises ProtocolError for bytes that no
        encoder sends."""
        if len(data) < PAYLOAD:
            raise ProtocolError("a delta frame is shorter than its header")
        kind, numbers = HEAD.unpack_from(data)
        number_of_chain, number = divmod(numbers, NUMBERS)
        key = kind == KEYFRAME
        at = KEYFRAME_PAYLOAD if key else PAYLOAD
        if kind not in (DELTA, KEYFRAME) or (data[-1] == 0 and len(data) > at):
            raise ProtocolError("not a delta frame")
        chain, self._chain = self._chain, None
        if key:
            chain = self._keyframe(data)
            if number:
                raise ProtocolError("not a keyframe")
            if chain is None:
                return None
            self._id = number_of_chain
        elif chain is None or number_of_chain != self._id or number != (self._number + 1) % NUMBERS:
            # A frame of an older chain, or of one whose keyframe was lost, changes nothing.
            if chain is not None and number_of_chain != self._id:
                self._chain = chain
            return None
        self._number = number
        self._start(chain, data[at:])
        self._read(chain)
        self._end(chain)
        self._chain = chain
        return self._frame(chain, keyframe=key)


def _matrices(q: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rotation matrices of unit quaternions (w, x, y, z), shape (n, 3, 3)."""
    w, x, y, z = q.T
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)
