"""The binary messages that a client draws: frames (one tick, as it is drawn) and the topology (meshes, sent once).

All numbers are little endian; every array begins at a multiple of 4 bytes from the start of its message.

    frame    0  u8   kind = 1
             1  u8   flags: 1 half precision, 2 keyframe (needs no earlier frame; every frame is one today), 4 row table
             2  u16  n, bodies of the topology that move
             4  u32  epoch of the holder; clients drop frames of an older one
             8  u32  tick
            12  f32  smallest distance between two surfaces in this tick [m], inf when none are near
            16  u16  contacts, at most 65535
            18  u8   s, seats
            19  u8   0
            20  u16  version of the topology that the numbers belong to
            22  u16  0
            24  u32  s times: the last input id applied, per seat (0: none)
             .  u32  ceil(n / 32) times: active bits, body b is bit b % 32 of word b // 32
             .  u16  n times, only with flag 4: rows of each body (4 affine, else vertices); zero-padded to 4
             .  f32 or f16, 3 per row of the active bodies, in order; zero-padded to 4
                affine rows: centre, then images of the local axes: x = c + X_1 r_1 + X_2 r_2 + X_3 r_3

    topology 0  u8   kind = 2
             1  u8   0
             2  u16  version
             4  u32  h, bytes of the header
             8  header: JSON {"schema", "bodies": [{"id", "seat", "kind", "vertices", "faces", "wide", "body"}]}
             .  zeros up to a multiple of 4, then per body in order: rest vertices f32 (v, 3), faces (f, 3)
                as u16, or u32 when "wide", zero-padded to 4

Moving bodies come first, in the order of the frames. The vertices of a static body are world positions. A change of
either layout changes SCHEMA_HASH. This module must never depend on a mode or a solver.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from tussle.lobby.errors import ProtocolError

__all__ = [
    "FRAME",
    "TOPOLOGY",
    "BodyKind",
    "Frame",
    "Topology",
    "TopologyBody",
    "decode_frame",
    "decode_topology",
    "encode_frame",
    "encode_topology",
    "schema_hash",
]

FRAME = 1
TOPOLOGY = 2

SCHEMA_HASH = "ae84e3f76023fc05"
"""Identifies the two layouts. A client that has another value must not decode these messages. The value is arbitrary:
choose a new one whenever a layout changes, and run player/web/generate.py."""

_HALF, _KEYFRAME, _TABLE = 1, 2, 4
_HEAD = struct.Struct("<BBHIIfHBBHH")
_TOPOLOGY_HEAD = struct.Struct("<BBHI")
_AFFINE_ROWS = 4
_MAX_MESH = 1 << 24  # vertices or faces of one body; a larger count is refused

BodyKind = Literal["affine", "elastic", "static", "rail"]

Floats32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.float32] | npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Frame:
    """One tick as a client draws it.

    rows: all moving bodies, shape (sum of row counts, 3); rows of inactive bodies are NaN after decoding.
    active: shape (n,), bool. row_counts: rows of each body; None when all bodies are affine (4 rows). acks: the id of
    the last applied input of each seat, up to the last seat that is taken. min_distance [m].
    """

    tick: int
    rows: Rows
    active: npt.NDArray[np.bool_]
    epoch: int = 0
    min_distance: float = float("inf")
    contacts: int = 0
    acks: tuple[int, ...] = ()
    version: int = 0
    row_counts: tuple[int, ...] | None = None
    keyframe: bool = True


@dataclass(frozen=True, slots=True)
class TopologyBody:
    """One body's mesh. vertices: rest positions [m] (world positions if static), shape (v, 3), float32.
    faces: shape (f, 3), outward by the right-hand rule. seat: the owner, or None. body: its catalogue
    id."""

    id: str
    kind: BodyKind
    vertices: Floats32
    faces: npt.NDArray[np.uint32]
    seat: int | None = None
    body: str = ""


@dataclass(frozen=True, slots=True)
class Topology:
    """All meshes of a scene; ``version`` grows when bodies are added or removed."""

    bodies: tuple[TopologyBody, ...] = field(default_factory=tuple)
    version: int = 0


class _BodyHead(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    kind: BodyKind
    vertices: int
    faces: int
    seat: int | None = None
    wide: bool = False
    body: str = ""


class _Head(msgspec.Struct, frozen=True):
    schema: str
    bodies: list[_BodyHead]


_decode_head = msgspec.json.Decoder(_Head).decode


def schema_hash() -> str:
    """The identifier of the two layouts, as the welcome and each topology carry it."""
    return SCHEMA_HASH


def encode_frame(frame: Frame, *, half: bool = False) -> bytes:
    """Encode a frame, without the rows of inactive bodies. About 10 microseconds for six affine bodies."""
    active = frame.active
    count = active.shape[0]
    flags = (_HALF if half else 0) | (_KEYFRAME if frame.keyframe else 0)
    rows: npt.NDArray[Any] = frame.rows
    table = b""
    if frame.row_counts is not None:
        flags |= _TABLE
        table = _padded(np.array(frame.row_counts, dtype="<u2").tobytes())
    if not active.all():
        rows = rows[np.repeat(active, _AFFINE_ROWS if frame.row_counts is None else frame.row_counts)]
    seats = len(frame.acks)
    words = (count + 31) // 32
    bits = int.from_bytes(np.packbits(active, bitorder="little").tobytes(), "little").to_bytes(
        4 * words, "little"
    )
    head = _HEAD.pack(
        FRAME,
        flags,
        count,
        frame.epoch,
        frame.tick,
        frame.min_distance,
        min(frame.contacts, 65535),
        seats,
        0,
        frame.version,
        0,
    )
    body = rows.astype("<f2" if half else "<f4").tobytes()
    return b"".join((head, struct.pack(f"<{seats}I", *frame.acks), bits, table, _padded(body)))


def decode_frame(data: bytes) -> Frame:
    """Decode a frame. Raises ProtocolError for bytes that ``encode_frame`` does not produce."""
    if len(data) < _HEAD.size:
        raise ProtocolError("a frame is shorter than its header")
    kind, flags, count, epoch, tick, distance, contacts, seats, zero, version, zeros = _HEAD.unpack_from(data)
    if kind != FRAME or flags & ~(_HALF | _KEYFRAME | _TABLE) or zero or zeros:
        raise ProtocolError("not a frame of this schema")
    words = (count + 31) // 32
    at = _HEAD.size + 4 * seats
    bits_end = at + 4 * words
    table_end = bits_end + (_ceil4(2 * count) if flags & _TABLE else 0)
    if len(data) < table_end:
        raise ProtocolError("a frame ends within its tables")
    acks = struct.unpack_from(f"<{seats}I", data, _HEAD.size)
    bits = np.unpackbits(np.frombuffer(data, np.uint8, 4 * words, at), bitorder="little")
    if bits[count:].any():
        raise ProtocolError("a frame marks bodies beyond its count as active")
    active = bits[:count].astype(np.bool_)
    counts: npt.NDArray[np.int64]
    if flags & _TABLE:
        counts = np.frombuffer(data, "<u2", count, bits_end).astype(np.int64)
        if data[bits_end + 2 * count : table_end].strip(b"\0"):
            raise ProtocolError("a frame's padding is not zero")
    else:
        counts = np.full(count, _AFFINE_ROWS, dtype=np.int64)
    numbers = 3 * int(counts[active].sum())
    size = 2 if flags & _HALF else 4
    if len(data) != table_end + _ceil4(size * numbers) or data[table_end + size * numbers :].strip(b"\0"):
        raise ProtocolError("a frame's length does not fit its header")
    values = np.frombuffer(data, "<f2" if flags & _HALF else "<f4", numbers, table_end)
    if not np.isfinite(values).all() or not (distance >= 0):
        raise ProtocolError("a frame has numbers that are not valid")
    rows = np.full((int(counts.sum()), 3), np.nan, dtype=np.float32)
    rows[np.repeat(active, counts)] = values.reshape(-1, 3)
    return Frame(
        tick=tick,
        rows=rows,
        active=active,
        epoch=epoch,
        min_distance=distance,
        contacts=contacts,
        acks=acks,
        version=version,
        row_counts=tuple(counts.tolist()) if flags & _TABLE else None,
        keyframe=bool(flags & _KEYFRAME),
    )


def encode_topology(topology: Topology) -> bytes:
    """Encode a topology. It is sent once to each client, and again when ``version`` changes."""
    heads: list[_BodyHead] = []
    arrays: list[bytes] = []
    for body in topology.bodies:
        wide = len(body.vertices) > 65536
        heads.append(
            _BodyHead(
                id=body.id,
                kind=body.kind,
                vertices=len(body.vertices),
                faces=len(body.faces),
                seat=body.seat,
                wide=wide,
                body=body.body,
            )
        )
        arrays.append(body.vertices.astype("<f4").tobytes())
        arrays.append(_padded(body.faces.astype("<u4" if wide else "<u2").tobytes()))
    head = msgspec.json.encode(_Head(schema=schema_hash(), bodies=heads))
    return b"".join((_TOPOLOGY_HEAD.pack(TOPOLOGY, 0, topology.version, len(head)), _padded(head), *arrays))


def decode_topology(data: bytes) -> Topology:
    """Decode a topology. Raises ProtocolError for bytes that ``encode_topology`` does not produce, and with code
    ``schema_mismatch`` for another schema."""
    if len(data) < _TOPOLOGY_HEAD.size:
        raise ProtocolError("a topology is shorter than its header")
    kind, zero, version, length = _TOPOLOGY_HEAD.unpack_from(data)
    at = _TOPOLOGY_HEAD.size + _ceil4(length)
    if kind != TOPOLOGY or zero or len(data) < at:
        raise ProtocolError("not a topology")
    try:
        head = _decode_head(data[_TOPOLOGY_HEAD.size : _TOPOLOGY_HEAD.size + length])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a topology's header is not valid: {error}") from None
    if head.schema != schema_hash():
        raise ProtocolError("a topology of another schema", code="schema_mismatch")
    bodies = []
    for body in head.bodies:
        width = 4 if body.wide else 2
        if not (0 <= body.vertices <= _MAX_MESH and 0 <= body.faces <= _MAX_MESH):
            raise ProtocolError("a topology's header has a count that is out of range")
        faces_at = at + 12 * body.vertices
        end = faces_at + _ceil4(3 * width * body.faces)
        if end > len(data):
            raise ProtocolError("a topology ends within a body")
        vertices = np.frombuffer(data, "<f4", 3 * body.vertices, at).reshape(-1, 3).astype(np.float32)
        faces = np.frombuffer(data, "<u4" if body.wide else "<u2", 3 * body.faces, faces_at)
        if faces.size and int(faces.max()) >= body.vertices:
            raise ProtocolError("a face names a vertex that does not exist")
        if not np.isfinite(vertices).all():
            raise ProtocolError("a topology has numbers that are not finite")
        bodies.append(
            TopologyBody(
                id=body.id,
                kind=body.kind,
                vertices=vertices,
                faces=faces.reshape(-1, 3).astype(np.uint32),
                seat=body.seat,
                body=body.body,
            )
        )
        at = end
    if at != len(data):
        raise ProtocolError("a topology is longer than its bodies")
    return Topology(bodies=tuple(bodies), version=version)


def _ceil4(size: int) -> int:
    return (size + 3) & ~3


def _padded(data: bytes) -> bytes:
    rest = len(data) & 3
    return data + b"\0\0\0\0"[rest:] if rest else data
