"""The layout of delta frames, as data: no numbers are decoded here, and numpy is not loaded.

    delta    0  u8   kind = 3
             1  u8   flags: 1 keyframe
             2  u8   chain: changes with each keyframe
             3  u8   number of the frame in its chain, modulo 256; the keyframe has 0
             .  payload of the range coder (delta_coder.py)

    keyframe 4  u32  epoch of the holder; clients drop frames of an older one
             8  u32  tick
            12  u16  version of the topology, which must be known
            14  u16  n, bodies of the topology that move
            16  u8   s, seats
            17  u8   0
            18  u16  0
            20  f32  step of a place [m]
            24  f32  step of a rotation: of the tangent of a quarter of its angle
            28  payload

lobby/wire/deltas.py encodes and decodes them. This module must never import a decoder.
"""

from __future__ import annotations

import hashlib
import struct

from tussle.lobby.wire import delta_coder as coder
from tussle.lobby.wire import delta_kernel as kernel

__all__ = [
    "CODEC", "DELTA", "HEAD", "KEYFRAME", "KEYFRAME_HEAD", "KEYFRAME_PAYLOAD", "PAYLOAD", "follows", "is_keyframe",
]  # fmt: skip

DELTA = 3

LAYOUT = (
    ("delta", (("kind", "B"), ("flags", "B"), ("chain", "B"), ("number", "B"))),
    (
        "keyframe",
        (
            ("epoch", "I"), ("tick", "I"), ("version", "H"), ("bodies", "H"), ("seats", "B"), ("zero", "B"),
            ("zeros", "H"), ("step", "f"), ("turn", "f"),
        ),
    ),
    (
        "payload",
        (
            ("slots", coder.SLOTS), ("contexts", coder.CONTEXTS), ("limit", coder.LIMIT), ("dead", kernel.DEAD),
            ("floats", kernel.FLOATS), ("ints", kernel.INTS), ("revision", 1),
        ),
    ),
)  # fmt: skip
"""The layout as data: the structs below and the codec's name are made from it. ``revision`` counts changes of
delta_coder.py and delta_kernel.py that change a payload; tests/vectors/deltas.json notices them."""

CODEC = "delta-" + hashlib.sha256(repr(LAYOUT).encode()).hexdigest()[:8]
"""The name under which a client offers this layout in its hello. A changed layout has another name."""

HEAD = struct.Struct("<" + "".join(code for _, code in LAYOUT[0][1]))
KEYFRAME_HEAD = struct.Struct("<" + "".join(code for _, code in LAYOUT[1][1]))
PAYLOAD, KEYFRAME_PAYLOAD = HEAD.size, HEAD.size + KEYFRAME_HEAD.size

KEYFRAME = 1


def is_keyframe(data: bytes) -> bool:
    """Whether a delta frame begins a chain."""
    return len(data) > 1 and bool(data[1] & KEYFRAME)


def follows(data: bytes, before: bytes) -> bool:
    """Whether a delta frame is the one after ``before`` in its chain."""
    return len(before) >= PAYLOAD and data[2] == before[2] and data[3] == (before[3] + 1) & 255
