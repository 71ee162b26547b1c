"""Many frames as the wire has them -> the arrays of a recording, at once.

Frames of equal form are stacked without decoding each one: decoding takes 20 microseconds per frame, stacking takes
one. lobby/wire/frames.py has the layout. This module must never know where frames go.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from tussle.lobby.wire.frames import Frame, Topology, decode_frame
from tussle.server.recordings.frame_store import AFFINE_ROWS, Array

__all__ = [
    "GRID_M",
    "ROUNDING_M",
    "ROUNDING_RELATIVE",
    "grid_exponents",
    "row_counts",
    "significant",
    "stack_frames",
]

ROUNDING_M = 1e-5
"""Largest error of a coordinate of any point of a body by rounding [m]. Small enough to be invisible, large enough that
the lowest bits, which do not compress, are gone."""

_GRID = 17
GRID_M = 2.0**-_GRID
"""Recorded centres and vertices are multiples of this [m]: 7.6 micrometres. It is a power of two, so that the bits
below it are zero."""

ROUNDING_RELATIVE = 2.0**-12
"""Largest error of a recorded energy or distance, relative to its size: 12 significant bits of 24. Half of the bits of
a single-precision number, which do not compress, are zero then."""

_FINEST, _COARSEST = 24, 8

_HEAD, _FLAGS, _ACKS = 24, 1, 18
_HALF, _TABLE = 1, 4


def row_counts(frame: Frame) -> tuple[int, ...]:
    """The rows of each body that moves."""
    return frame.row_counts or (AFFINE_ROWS,) * len(frame.active)


def grid_exponents(topology: Topology) -> list[int]:
    """For each body that moves: e, where all of its rows but the first are multiples of 2^-e [m]; of GRID_M those of an
    elastic body.

    A point X of the body, x = c + X_1 r_1 + X_2 r_2 + X_3 r_3, is off by at most
    (GRID_M + (|X_1| + |X_2| + |X_3|) 2^-e) / 2 in each coordinate. The least e is chosen that keeps this below
    ROUNDING_M for all vertices, and so for all points of the body, which are between them.
    """
    found = []
    for body in topology.bodies:
        if body.kind == "elastic":
            found.append(_GRID)
        elif body.kind != "static":
            reach = float(np.abs(np.asarray(body.vertices, float)).sum(axis=1).max(initial=0.0))
            step = (2 * ROUNDING_M - GRID_M) / max(reach, 1e-9)
            found.append(min(max(math.ceil(-math.log2(step)), _COARSEST), _FINEST))
    return found


def stack_frames(frames: Sequence[bytes], exponents: Sequence[int]) -> tuple[Array, Array]:
    """``rows`` and ``active`` of frames of one topology, rounded. exponents: see ``grid_exponents``. Raises
    ProtocolError for bytes that are no frame."""
    grid: Array | None = None
    rows: list[Array] = []
    active: list[Array] = []
    for table in _tables(frames):
        first = decode_frame(table[0].tobytes())
        if grid is None:
            grid = _grid_of(first, exponents)
        here = np.repeat(first.active, row_counts(first))
        at, half = _rows_begin(table[0]), bool(table[0, _FLAGS] & _HALF)
        end = at + int(here.sum()) * (6 if half else 12)
        values = np.ascontiguousarray(table[:, at:end]).view("<f2" if half else "<f4")
        block = np.full((len(table), len(here), 3), np.nan, np.float32)
        block[:, here] = _rounded(values.reshape(len(table), -1, 3).astype(np.float32), grid[here])
        rows.append(block)
        active.append(np.repeat(first.active[None], len(table), axis=0))
    return np.concatenate(rows), np.concatenate(active)


def _tables(frames: Sequence[bytes]) -> Iterator[Array]:
    """Frames of equal form, one after the other: their bytes, shape (frames, length), uint8. What they have in common:
    flags and count of bodies, count of seats, the bits and the table of the bodies, the length."""
    for length, group in groupby(frames, len):
        alike = np.frombuffer(b"".join(group), np.uint8).reshape(-1, max(1, length))
        while len(alike):
            first = alike[0]
            if length < _HEAD:
                yield alike  # no frame: the caller finds it
                return
            at = _HEAD + 4 * int(first[_ACKS])
            same = (alike[:, :4] == first[:4]).all(axis=1) & (alike[:, _ACKS] == first[_ACKS])
            same &= (alike[:, at : _rows_begin(first)] == first[at : _rows_begin(first)]).all(axis=1)
            count = len(alike) if same.all() else int(same.argmin())
            yield alike[:count]
            alike = alike[count:]


def _rows_begin(frame: Array) -> int:
    """Where the rows begin in the bytes of a frame."""
    bodies = int(frame[2]) | int(frame[3]) << 8
    table = (2 * bodies + 3) & ~3 if frame[_FLAGS] & _TABLE else 0
    return _HEAD + 4 * int(frame[_ACKS]) + 4 * ((bodies + 31) // 32) + table


def _grid_of(frame: Frame, exponents: Sequence[int]) -> Array:
    """What each row is a multiple of [m], shape (rows, 1), float32."""
    parts = []
    for count, exponent in zip(row_counts(frame), exponents, strict=True):
        part = np.full((count, 1), GRID_M, np.float32)
        part[1:] = 2.0**-exponent
        parts.append(part)
    return np.concatenate(parts) if parts else np.empty((0, 1), np.float32)


def _rounded(rows: Array, grid: Array) -> Array:
    return np.asarray(np.rint(rows / grid) * grid, np.float32)


def significant(values: Sequence[Sequence[float]]) -> Array:
    """Energies [J] and distances [m] as float32, rounded to 12 significant bits. Infinite values stay."""
    bits = np.array(values, np.float32).view(np.uint32)
    return np.asarray(((bits + np.uint32(0x800)) & np.uint32(0xFFFFF000)).view(np.float32))
