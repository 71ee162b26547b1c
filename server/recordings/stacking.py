"""Many frames as the wire has them -> the arrays of a recording, at once.

Frames of equal form are stacked without decoding each one: decoding takes 20 microseconds per frame, stacking takes
one. lobby/wire/frames.py has the layout. This module must never know where frames go.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from tussle.lobby.wire.frames import Frame, decode_frame
from tussle.server.recordings.frame_store import AFFINE_ROWS, Array

__all__ = ["ROUNDING_M", "ROUNDING_RELATIVE", "row_counts", "significant", "stack_frames"]

ROUNDING_M = 2.0**-17
"""Recorded positions are multiples of this [m]: 7.6 micrometres. Small enough to be invisible, large enough that the
lowest bits, which do not compress, are gone."""

ROUNDING_RELATIVE = 2.0**-16
"""Largest error of a recorded energy or distance, relative to its size: 16 significant bits of 24. The lowest byte of
a single-precision number, which does not compress, is zero then."""

_HEAD, _FLAGS, _ACKS = 24, 1, 18
_HALF = 1


def row_counts(frame: Frame) -> tuple[int, ...]:
    """The rows of each body that moves."""
    return frame.row_counts or (AFFINE_ROWS,) * len(frame.active)


def stack_frames(frames: Sequence[bytes]) -> tuple[Array, Array]:
    """``rows`` and ``active`` of frames of one topology. Raises ProtocolError for bytes that are no frame."""
    rows: list[Array] = []
    active: list[Array] = []
    for _, group in groupby(frames, _pattern):
        alike = list(group)
        first = decode_frame(alike[0])
        here = np.repeat(first.active, row_counts(first))
        table = 0 if first.row_counts is None else (2 * len(first.active) + 3) & ~3
        at = _HEAD + 4 * len(first.acks) + 4 * ((len(first.active) + 31) // 32) + table
        half = bool(alike[0][_FLAGS] & _HALF)
        end = at + int(here.sum()) * (6 if half else 12)
        values = np.frombuffer(b"".join(data[at:end] for data in alike), "<f2" if half else "<f4")
        block = np.full((len(alike), len(here), 3), np.nan, np.float32)
        block[:, here] = _rounded(values.reshape(len(alike), -1, 3).astype(np.float32))
        rows.append(block)
        active.append(np.repeat(first.active[None], len(alike), axis=0))
    return np.concatenate(rows), np.concatenate(active)


def _pattern(data: bytes) -> tuple[bytes, bytes, int]:
    """What frames of the same form have in common: flags and count of bodies, their bits and table, the length."""
    bodies = int.from_bytes(data[2:4], "little")
    at = _HEAD + 4 * data[_ACKS]
    table = (2 * bodies + 3) & ~3 if data[_FLAGS] & 4 else 0
    return data[:4], data[at : at + 4 * ((bodies + 31) // 32) + table], len(data)


def significant(values: Sequence[Sequence[float]]) -> Array:
    """Energies [J] and distances [m] as float32, rounded to 16 significant bits. Infinite values stay."""
    bits = np.array(values, np.float32).view(np.uint32)
    return np.asarray(((bits + np.uint32(0x80)) & np.uint32(0xFFFFFF00)).view(np.float32))


def _rounded(rows: Array) -> Array:
    return np.asarray(np.rint(rows / np.float32(ROUNDING_M)) * np.float32(ROUNDING_M), np.float32)
