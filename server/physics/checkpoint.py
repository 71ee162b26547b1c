"""The exact bytes of a state and their hash. Checkpoints store the bytes, replays compare the hash.

Little-endian, without padding; n nodes, b bodies:

    offset          size      field
    0               4         magic "TSS1" (the digit is the version)
    4               8         tick, unsigned
    12              4         n, unsigned
    16              4         b, unsigned
    20              24 n      q [m], float64, row by row
    20 + 24 n       24 n      v [m/s], float64, row by row
    20 + 48 n       b         active, one byte each, 0 or 1

The state of a scene with j joints begins with "TSS2" and has more at the end:

    20 + 48 n + b   4         j, unsigned
    24 + 48 n + b   j         broken, one byte each, 0 or 1
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np

from tussle.lobby.errors import Diverged
from tussle.server.physics.world_state import State

__all__ = ["decode_state", "encode_state", "state_hash"]

HEAD = struct.Struct("<4sQII")
MAGIC = b"TSS1"
MAGIC_JOINTS = b"TSS2"


def encode_state(state: State) -> bytes:
    """Return the exact bytes of a state. Equal states give equal bytes."""
    joints = len(state.broken)
    head = HEAD.pack(MAGIC_JOINTS if joints else MAGIC, state.tick, len(state.q), len(state.active))
    q, v = (np.ascontiguousarray(a, dtype="<f8").tobytes() for a in (state.q, state.v))
    tail = struct.pack("<I", joints) + state.broken.astype(np.uint8).tobytes() if joints else b""
    return head + q + v + state.active.astype(np.uint8).tobytes() + tail


def decode_state(data: bytes) -> State:
    """Return the state of these bytes. Raises Diverged (bad_checkpoint) if they are not one whole state."""
    if len(data) < HEAD.size:
        raise Diverged("a checkpoint is cut short", code="bad_checkpoint")
    magic, tick, nodes, bodies = HEAD.unpack_from(data)
    if magic not in (MAGIC, MAGIC_JOINTS):
        raise Diverged(f"a checkpoint begins with {magic!r}, not {MAGIC!r}", code="bad_checkpoint")
    end = HEAD.size + 48 * nodes + bodies
    joints = 0
    if magic == MAGIC_JOINTS and len(data) >= end + 4:
        joints = int(struct.unpack_from("<I", data, end)[0])
    if len(data) != end + (4 + joints if magic == MAGIC_JOINTS else 0):
        raise Diverged("a checkpoint has the wrong length", code="bad_checkpoint")
    q = np.frombuffer(data, "<f8", 3 * nodes, HEAD.size).reshape(-1, 3).astype(np.float64)
    v = np.frombuffer(data, "<f8", 3 * nodes, HEAD.size + 24 * nodes).reshape(-1, 3).astype(np.float64)
    active = np.frombuffer(data, np.uint8, bodies, HEAD.size + 48 * nodes).astype(bool)
    broken = np.frombuffer(data, np.uint8, joints, len(data) - joints).astype(bool)
    return State(q=q, v=v, active=active, tick=tick, broken=broken)


def state_hash(state: State) -> str:
    """Return the SHA-256 of the exact bytes, in hex."""
    return hashlib.sha256(encode_state(state)).hexdigest()
