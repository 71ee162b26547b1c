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

The state of a scene with the integrator bdf2 begins with "TSS3", has j too, which may be 0, and at the end:

    24 + 48 n + b + j    24 n      q_past [m], float64, row by row
    24 + 72 n + b + j    24 n      v_past [m/s], float64, row by row
    24 + 96 n + b + j    b         collided, one byte each, 0 or 1
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np

from tussle.lobby.errors import Diverged
from tussle.server.physics.world_state import Bools, Floats, State

__all__ = ["decode_state", "encode_state", "state_hash"]

HEAD = struct.Struct("<4sQII")
MAGIC = b"TSS1"
MAGIC_JOINTS = b"TSS2"
MAGIC_PAST = b"TSS3"


def encode_state(state: State) -> bytes:
    """Return the exact bytes of a state. Equal states give equal bytes."""
    joints, past = len(state.broken), len(state.q_past)
    magic = MAGIC_PAST if past else MAGIC_JOINTS if joints else MAGIC
    parts = [HEAD.pack(magic, state.tick, len(state.q), len(state.active))]
    parts += [_numbers(state.q), _numbers(state.v), _flags(state.active)]
    if joints or past:
        parts += [struct.pack("<I", joints), _flags(state.broken)]
    if past:
        parts += [_numbers(state.q_past), _numbers(state.v_past), _flags(state.collided)]
    return b"".join(parts)


def _numbers(values: Floats) -> bytes:
    return np.ascontiguousarray(values, dtype="<f8").tobytes()


def _flags(values: Bools) -> bytes:
    return values.astype(np.uint8).tobytes()


def decode_state(data: bytes) -> State:
    """Return the state of these bytes. Raises Diverged (bad_checkpoint) if they are not one whole state."""
    if len(data) < HEAD.size:
        raise Diverged("a checkpoint is cut short", code="bad_checkpoint")
    magic, tick, nodes, bodies = HEAD.unpack_from(data)
    if magic not in (MAGIC, MAGIC_JOINTS, MAGIC_PAST):
        raise Diverged(f"a checkpoint begins with {magic!r}, not {MAGIC!r}", code="bad_checkpoint")
    past = nodes if magic == MAGIC_PAST else 0
    end = HEAD.size + 48 * nodes + bodies
    joints = 0
    if magic != MAGIC and len(data) >= end + 4:
        joints = int(struct.unpack_from("<I", data, end)[0])
    more = 0 if magic == MAGIC else 4 + joints
    collided = bodies if magic == MAGIC_PAST else 0
    if len(data) != end + more + 48 * past + collided:
        raise Diverged("a checkpoint has the wrong length", code="bad_checkpoint")

    def numbers(count: int, offset: int) -> Floats:
        return np.frombuffer(data, "<f8", 3 * count, offset).reshape(-1, 3).astype(np.float64)

    def flags(count: int, offset: int) -> Bools:
        return np.frombuffer(data, np.uint8, count, offset).astype(bool)

    start = end + more
    return State(
        q=numbers(nodes, HEAD.size),
        v=numbers(nodes, HEAD.size + 24 * nodes),
        active=flags(bodies, HEAD.size + 48 * nodes),
        tick=tick,
        broken=flags(joints, start - joints),
        q_past=numbers(past, start),
        v_past=numbers(past, start + 24 * past),
        collided=flags(collided, start + 48 * past),
    )


def state_hash(state: State) -> str:
    """Return the SHA-256 of the exact bytes, in hex."""
    return hashlib.sha256(encode_state(state)).hexdigest()
