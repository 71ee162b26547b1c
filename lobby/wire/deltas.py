"""Delta frames: a tick as it is drawn, as the difference from the frame before. A tenth of the bytes of frames.py.

A chain begins with a keyframe; each later frame of the chain needs all frames before it. All numbers are little endian.

lobby/wire/delta_layout.py has the layout.

The greatest error of a coordinate is half a step of a place. Affine bodies are sent as rigid: a frame in which one is
stretched by more than STRETCH cannot be encoded. Distances have eight levels an octave. The decoder needs the topology,
so that a frame cannot make it use more memory than that. This module must never depend on a mode or a solver.
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

__all__ = ["DeltaDecoder", "DeltaEncoder"]

STRETCH = 0.01
"""Largest stretch of an affine body that is sent as rigid."""

NEAR, LEVELS = 1e-7, 8
"""Level 1 of a distance is NEAR [m]; each octave has LEVELS. Level 0: nothing is near."""

META_FRAMES = 4
"""Distance and contacts are sent with every fourth frame, as the least and the most since."""


class _Chain:
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


def _level(distance: float) -> int:
    if not distance < 1e3:
        return 0
    return min(255, max(1, round(LEVELS * math.log2(max(distance, NEAR) / NEAR)) + 1))


def _array(values: Any, kind: str) -> Any:
    return _FRESH_ARRAY.copy() if values is _FRESH else np.array(values, dtype=kind)


def _list(values: Any, _kind: str) -> Any:
    return list(values)


class DeltaEncoder:
    """Encodes the frames of one session for all viewers at once. error_m, error_deg: greatest errors. odd: whether its
    chains have odd numbers, so that two encoders of a session are never mistaken for each other."""

    def __init__(self, *, error_m: float = 1e-4, error_deg: float = 0.05, odd: bool = False) -> None:
        self._step = float(np.float32(error_m / pose.DEAD))
        self._turn = float(np.float32(math.radians(error_deg) / 4 / pose.DEAD))
        self._topology: Topology | None = None
        self._chain: _Chain | None = None
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
        compiled = load_kernel()
        topology = self._topology
        if topology is None or topology.version != frame.version:
            raise ValueError("the topology of the frame is not known")
        chain = self._chain
        if (
            chain is None
            or frame.epoch != self._seen[0]
            or not 0 < frame.tick - int(chain.G[0]) < 1 << 20
            or len(frame.acks) != len(chain.G) - 5
        ):
            key = True
        if key or chain is None:
            chain = self._begin(frame, topology)
        self._chain = None  # until this frame is done
        self._nearest = min(self._nearest, frame.min_distance)
        self._contacts = max(self._contacts, min(frame.contacts, 65535))
        active, bodies = frame.active, len(chain.B) // 2
        if active.shape[0] != bodies:
            raise ValueError("a frame of other bodies")
        T, G = self._T, chain.G
        T[: 3 * bodies : 3] = active
        T[3 * bodies] = frame.tick
        rows = np.ascontiguousarray(frame.rows, dtype=np.float64).reshape(-1)
        worst = compiled.measure(
            rows,
            chain.F,
            chain.J,
            chain.U,
            self._V,
            chain.B,
            T,
            self._A,
            self._W,
            self._step,
            self._turn,
            chain.spare,
        )
        if worst > STRETCH:
            raise ValueError("a body is not rigid")
        T[3 * bodies + 3 :] = frame.acks
        if not key and frame.tick - self._seen[1] < alive_ticks and self._resting(T, chain, bodies):
            self._chain = chain
            return None
        if key or self._number % META_FRAMES == 0:
            T[3 * bodies + 1], T[3 * bodies + 2] = _level(self._nearest), self._contacts
            self._nearest, self._contacts = math.inf, 0
        else:
            T[3 * bodies + 1], T[3 * bodies + 2] = G[2], G[3]
        S, buffer = chain.S, self._buffer
        S[:] = (1, 0, 0xFFFFFFFF, 0, 0, 0, 0)
        compiled.code_frame(
            S,
            buffer,
            chain.M,
            G,
            chain.F,
            chain.J,
            chain.U,
            self._V,
            chain.B,
            T,
            self._step,
            self._turn,
            chain.spare,
        )
        if S[5]:
            raise ValueError("a coordinate is out of range")
        payload = buffer[: compiled.end_of(S, buffer)].tobytes()
        head = HEAD.pack(KEYFRAME if key else DELTA, NUMBERS * self._id + self._number % NUMBERS)
        if key:
            head += KEYFRAME_HEAD.pack(
                frame.version, frame.epoch, frame.tick, bodies, len(frame.acks), 0, self._step, self._turn
            )
        self._number += 1
        self._seen = frame.epoch, frame.tick
        self._chain = chain
        return head + payload

    def _resting(self, T: Any, chain: _Chain, bodies: int) -> bool:
        """Whether the frame would show what the last one shows. The frame in which a body came to rest is sent."""
        same = T[: 3 * bodies : 3] == chain.J[:: pose.INTS]
        return bool(
            (same & ((T[1 : 3 * bodies : 3] == 1) | (T[: 3 * bodies : 3] == 0))).all()
            and chain.G[4]
            and (T[3 * bodies + 3 :] == chain.G[5:]).all()
        )

    def _begin(self, frame: Frame, topology: Topology) -> _Chain:
        bodies = _moving(topology)
        chain = _Chain(bodies, len(frame.acks), _array)
        self._V = np.zeros(6 * chain.vertices)
        rest = [body.vertices for body in topology.bodies if body.kind == "elastic"]
        if rest:
            self._V.reshape(-1, 6)[:, :3] = np.concatenate(rest)
        self._T = np.zeros(3 * len(bodies) + 3 + len(frame.acks), dtype=np.int64)
        self._A, self._W = np.zeros(24), np.zeros(7 * len(bodies))
        self._buffer = np.zeros(
            256 + 64 * len(bodies) + 32 * chain.vertices + 8 * len(frame.acks), dtype=np.uint8
        )
        chain.G[0], chain.G[1] = frame.tick - 1, 1
        self._number = 0
        self._id = (self._id + 2) % CHAINS
        return chain


class DeltaDecoder:
    """Decodes the delta frames of one session. After a ProtocolError, and after a gap, it waits for a keyframe.
    compiled: use numba, which takes a second to load and decodes a hundred times as fast."""

    def __init__(self, *, compiled: bool = False) -> None:
        self._code: Any = kernel.code_frame
        if compiled:
            self._code = load_kernel().code_frame
        self._compiled = compiled
        self._topology: Topology | None = None
        self._chain: _Chain | None = None
        self._id = self._number = 0
        self._step = self._turn = 0.0
        self._epoch = 0
        self._rest: npt.NDArray[np.float64] | None = None

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
            chain = self._begin(data, number_of_chain, number)
            if chain is None:
                return None
        elif chain is None or number_of_chain != self._id or number != (self._number + 1) % NUMBERS:
            # A frame of an older chain, or of one whose keyframe was lost, changes nothing.
            if chain is not None and number_of_chain != self._id:
                self._chain = chain
            return None
        self._number = number
        buffer: Any = bytearray(data[at:])
        if self._compiled:
            buffer = np.array(buffer, dtype=np.uint8)
        S = chain.S
        S[:] = [0, int.from_bytes(data[at : at + 4].ljust(4, b"\0"), "big"), 0xFFFFFFFF, 4, len(buffer), 0, 0]
        if S[1] < 0xFFFFFFFF:
            self._code(
                S, buffer, chain.M, chain.G, chain.F, chain.J, chain.U, self._V, chain.B, self._T, self._step,
                self._turn, chain.spare,
            )  # fmt: skip
        else:
            S[5] = 1
        if S[5]:
            raise ProtocolError("a delta frame has a number that is out of range")
        if S[3] < len(buffer):
            raise ProtocolError("a delta frame is longer than its content")
        self._chain = chain
        return self._frame(chain, keyframe=key)

    def _begin(self, data: bytes, number_of_chain: int, number: int) -> _Chain | None:
        if len(data) < KEYFRAME_PAYLOAD:
            raise ProtocolError("a keyframe is shorter than its header")
        version, epoch, tick, bodies, seats, zero, step, turn = KEYFRAME_HEAD.unpack_from(data, PAYLOAD)
        if number or zero or not (1e-9 < step < 1e3 and 1e-9 < turn < 1.0):
            raise ProtocolError("not a keyframe")
        topology = self._topology
        if topology is None or topology.version != version:
            return None
        moving = _moving(topology)
        if len(moving) != bodies:
            raise ProtocolError("a keyframe of other bodies than its topology")
        make = _array if self._compiled else _list
        chain = _Chain(moving, seats, make)
        self._V, self._T = make([], "f8"), make([], "i8")
        chain.G[0], chain.G[1] = tick - 1, 1
        self._id, self._epoch, self._step, self._turn = number_of_chain, epoch, step, turn
        rest = [body.vertices for body in topology.bodies if body.kind == "elastic"]
        self._rest = np.concatenate(rest).astype(np.float64) if rest else None
        return chain

    def _frame(self, chain: _Chain, *, keyframe: bool) -> Frame:
        assert self._topology is not None
        n = len(chain.B) // 2
        active = np.array(chain.J[:: pose.INTS], dtype=np.bool_)
        poses = np.array(chain.F[: chain.spare]).reshape(n, pose.FLOATS)
        places, turns = poses[:, :3], _matrices(poses[:, 9:13])
        parts = []
        counts = [int(count) for count in chain.B[1::2]]
        shapes = None
        if self._rest is not None:
            shapes = self._rest + np.array(chain.U[::3], dtype=np.float64).reshape(-1, 3) * self._step
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
            epoch=self._epoch,
            min_distance=NEAR * 2.0 ** ((int(chain.G[2]) - 1) / LEVELS) if chain.G[2] else math.inf,
            contacts=int(chain.G[3]),
            acks=tuple(int(ack) for ack in chain.G[5:]),
            version=self._topology.version,
            row_counts=tuple(count or 4 for count in counts) if any(counts) else None,
            keyframe=keyframe,
        )


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
