"""The layout of delta frames, as data: no numbers are decoded here, and numpy is not loaded.

    frame    0  u8   kind = 3
             1  u8   32 * chain + number: chain from 0 to 7; the number of the frame in its chain, modulo 32
             .  payload of the range coder (delta_coder.py)

    keyframe 0  u8   kind = 4
             1  u8   32 * chain; the keyframe has the number 0
             2  u16  version of the topology, which must be known
             4  u32  epoch of the holder; clients drop frames of an older one
             8  u32  tick
            12  u16  n, bodies of the topology that move
            14  u8   s, seats
            15  u8   0
            16  f32  step of a place [m]
            20  f32  step of a rotation: of the tangent of a quarter of its angle
            24  payload

    frame of 0  u8   kind = 5
    a data   1  u8   number of the reference, 1 to 255, that it is the difference from
    channel  2  u8   0, or the number of the reference that it becomes
             3  payload of one frame; with a number, of the bit 24, and of two frames if it is 1

    its      0  u8   kind = 6
    keyframe 1  u8   number of the reference that it becomes
             2  as bytes 2 to 23 of a keyframe; the tick is that of the first frame in the payload
            24  payload of the bit 24, and of one or two frames

lobby/wire/deltas.py and lossy_deltas.py encode and decode them. This module must never import a decoder.
"""

from __future__ import annotations

import hashlib
import struct

from tussle.lobby.wire import delta_coder as coder
from tussle.lobby.wire import delta_pose as pose

__all__ = [
    "CHAINS", "CODEC", "DELTA", "FIRST_CHANCES", "HEAD", "KEYFRAME", "KEYFRAME_HEAD", "KEYFRAME_PAYLOAD", "LOSSY",
    "LOSSY_HEAD", "LOSSY_KEYFRAME", "LOSSY_PAYLOAD", "NUMBERS", "PAYLOAD", "follows", "is_keyframe",
]  # fmt: skip

DELTA, KEYFRAME, LOSSY, LOSSY_KEYFRAME = 3, 4, 5, 6
CHAINS, NUMBERS = 8, 32

FIRST_CHANCES = (
    (184, 136, 90, 80, 75, 85, 90, 110, 150, 170),
    (176, 186, 120, 70, 75, 85, 110, 130, 150, 170),
    (150, 182, 130, 90, 75, 90, 110, 130, 150, 170),
    (129, 182, 170, 85, 80, 95, 110, 130, 150, 170),
    (93, 161, 166, 109, 105, 125, 130, 140, 150, 170),
    (67, 118, 171, 147, 120, 120, 140, 150, 150, 170),
    (49, 83, 134, 150, 135, 150, 160, 150, 150, 170),
    (37, 56, 86, 134, 155, 155, 163, 165, 160, 170),
    (21, 34, 60, 92, 146, 165, 165, 180, 180, 180),
    (15, 24, 41, 69, 99, 139, 175, 189, 190, 190),
    (14, 25, 29, 40, 65, 109, 160, 175, 200, 190),
    (12, 17, 18, 41, 45, 77, 102, 166, 210, 192),
    (40, 7, 12, 12, 14, 26, 38, 46, 62, 64),
)
"""The first probabilities of a zero of a residual of a pose, in 256ths, for each length of the mean residual: of the
bit that says whether it is 0, and of nine bits of its length. Measured on two duels and a sandbox, of other bots than
those of bench.wire."""

LAYOUT = (
    ("frame", (("kind", "B"), ("number", "B"))),
    (
        "keyframe",
        (
            ("version", "H"), ("epoch", "I"), ("tick", "I"), ("bodies", "H"), ("seats", "B"), ("zero", "B"),
            ("step", "f"), ("turn", "f"),
        ),
    ),
    ("lossy", (("kind", "B"), ("reference", "B"), ("number", "B"))),
    (
        "payload",
        (
            ("slots", coder.SLOTS), ("contexts", coder.CONTEXTS), ("limit", coder.LIMIT), ("dead", pose.DEAD),
            ("floats", pose.FLOATS), ("ints", pose.INTS), ("first", FIRST_CHANCES), ("revision", 3),
        ),
    ),
)  # fmt: skip
"""The layout as data: the structs below and the codec's name are made from it. ``revision`` counts changes of
delta_coder.py, delta_pose.py and delta_kernel.py that change a payload; lobby/wire/vectors/deltas.json notices them."""

CODEC = "delta-" + hashlib.sha256(repr(LAYOUT).encode()).hexdigest()[:8]
"""The name under which a client offers this layout in its hello. A changed layout has another name."""

HEAD = struct.Struct("<" + "".join(code for _, code in LAYOUT[0][1]))
KEYFRAME_HEAD = struct.Struct("<" + "".join(code for _, code in LAYOUT[1][1]))
LOSSY_HEAD = struct.Struct("<" + "".join(code for _, code in LAYOUT[2][1]))
PAYLOAD, LOSSY_PAYLOAD, KEYFRAME_PAYLOAD = HEAD.size, LOSSY_HEAD.size, HEAD.size + KEYFRAME_HEAD.size


def is_keyframe(data: bytes) -> bool:
    """Whether a delta frame begins a chain."""
    return data[:1] == bytes([KEYFRAME])


def follows(data: bytes, before: bytes) -> bool:
    """Whether a delta frame is the one after ``before`` in its chain."""
    return len(before) >= PAYLOAD and data[1] == before[1] & -NUMBERS | (before[1] + 1) % NUMBERS
