"""Frames as bytes for remote readers: npy, npz, msgpack, Arrow, JSON, piece by piece.

    store, Selection -> Answer(media type, length if known, pieces) -> pieces, at most a chunk of the recording each

npz and msgpack have one array for each part (server/recordings/selection.py); npy has one only. Numbers are little
endian; JSON has null for NaN and for infinity. A recording of any size is encoded with little memory. This module must
never know who asks.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import orjson

from tussle.lobby.errors import Refused
from tussle.server.recordings.frame_store import Array, FrameReader
from tussle.server.recordings.selection import AnswerPart, Selection, parts_of, read_parts

__all__ = ["FORMATS", "MOST_BYTES", "Answer", "Piece", "answer", "gathered", "table_answer"]

MOST_BYTES = 2**31
"""Most bytes of the arrays of one answer [B]. A longer recording is read in several ranges."""

PIECE_BYTES = 2**18
"""Smaller pieces are joined up to this size [B]."""

Piece = bytes | memoryview

FORMATS = {
    "npz": "application/x-npz",
    "npy": "application/x-npy",
    "msgpack": "application/msgpack",
    "arrow": "application/vnd.apache.arrow.stream",
    "json": "application/json",
}
"""Name -> media type; the first is the default."""

JSON_NUMBER_BYTES = 12
"""What a number takes in JSON, about [B]."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. size: approximate bytes, which are its price. length: the exact number, if it is known in advance.
    part: makes the pieces from a byte on, for a format that can begin anywhere."""

    media_type: str
    size: int
    length: int | None
    pieces: Callable[[], Iterator[Piece]]
    part: Callable[[int], Iterator[Piece]] | None = field(default=None)


def answer(store: FrameReader, selection: Selection, form: str, about: dict[str, Any]) -> Answer:
    """The answer with a selection in one of FORMATS. about: what JSON and msgpack say of it. Raises Refused
    (too_many_frames, bad_format, bad_range)."""
    parts = parts_of(store, selection)
    size = sum(part.size for part in parts)
    if size > MOST_BYTES:
        raise Refused(
            f"these frames are {size} bytes, more than the {MOST_BYTES} of one answer: ask for fewer",
            code="too_many_frames", field="frames",
        )  # fmt: skip
    media_type = FORMATS[form]
    if form == "npy":
        return _npy(store, _only(parts), media_type)
    if form == "npz":
        return Answer(media_type, size, _npz_length(parts), lambda: _npz(store, parts))
    about = {**about, "frames": [selection.numbers.start, selection.numbers.stop, selection.numbers.step]}
    if form == "msgpack":
        heads = _msgpack_heads(parts, about)
        length = sum(map(len, heads)) + size
        return Answer(media_type, size, length, lambda: _msgpack(store, parts, heads))
    if form == "json":
        numbers = sum(part.size // np.dtype(part.dtype).itemsize for part in parts)
        return Answer(media_type, JSON_NUMBER_BYTES * numbers, None, lambda: _json(store, parts, about))
    return table_answer(store, selection, parts, media_type, about)


def _only(parts: Sequence[AnswerPart]) -> AnswerPart:
    if len(parts) != 1:
        raise Refused(
            f"npy has one array, not {', '.join(part.name for part in parts[:20])}", code="bad_format", field="data"
        )  # fmt: skip
    return parts[0]


def gathered(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The same bytes in pieces of about PIECE_BYTES or more."""
    waiting: list[Piece] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield piece if len(waiting) == 1 else b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _view(block: Array) -> memoryview:
    """The bytes of an array, not copied."""
    return np.ascontiguousarray(block).reshape(-1).view(np.uint8).data


# npy and npz


def _npy_head(part: AnswerPart) -> bytes:
    head = io.BytesIO()
    about = {"descr": part.dtype, "fortran_order": False, "shape": part.shape}
    np.lib.format.write_array_header_1_0(head, about)
    return head.getvalue()


def _npy(store: FrameReader, part: AnswerPart, media_type: str) -> Answer:
    head = _npy_head(part)

    def pieces(start: int = 0) -> Iterator[Piece]:
        """The pieces from a byte on: chunks of frames before it are not read."""
        if start < len(head):
            yield head[start:]
        skipped = max(0, start - len(head))
        first, into = divmod(skipped, part.frame_bytes) if part.frame_bytes else (len(part.numbers), 0)
        rest = AnswerPart(part.name, part.field, part.segment, part.numbers[first:], part.item)
        if not rest.numbers:
            return
        for _, blocks in read_parts(store, [rest]):
            for block in blocks:
                yield _view(block)[into:]
                into = 0

    return Answer(media_type, part.size, len(head) + part.size, pieces, pieces)


_ENTRY = struct.Struct("<IHHHHHIIIHH")
_DESCRIPTOR = struct.Struct("<IIII")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_VERSION, _SIZES_FOLLOW, _DATE = 20, 8, 33


def _npz_names(parts: Sequence[AnswerPart]) -> list[bytes]:
    return [f"{part.name}.npy".encode() for part in parts]


def _npz_length(parts: Sequence[AnswerPart]) -> int:
    names = sum(map(len, _npz_names(parts)))
    arrays = sum(len(_npy_head(part)) + part.size for part in parts)
    each = _ENTRY.size + _DESCRIPTOR.size + _CENTRAL.size
    return arrays + len(parts) * each + 2 * names + _END.size


def _npz(store: FrameReader, parts: Sequence[AnswerPart]) -> Iterator[Piece]:
    """A zip archive whose members are stored, each followed by its CRC: it can be written in one pass."""
    at, central = 0, []
    for name, (part, blocks) in zip(_npz_names(parts), read_parts(store, parts), strict=True):
        entry = _ENTRY.pack(0x04034B50, _VERSION, _SIZES_FOLLOW, 0, 0, _DATE, 0, 0, 0, len(name), 0)
        head = _npy_head(part)
        yield entry + name + head
        sum_ = zlib.crc32(head)
        for block in blocks:
            view = _view(block)
            sum_ = zlib.crc32(view, sum_)
            yield view
        size = len(head) + part.size
        yield _DESCRIPTOR.pack(0x08074B50, sum_, size, size)
        central.append(
            _CENTRAL.pack(
                0x02014B50, _VERSION, _VERSION, _SIZES_FOLLOW, 0, 0, _DATE, sum_, size, size, len(name), 0, 0, 0, 0,
                0, at,
            )
            + name
        )  # fmt: skip
        at += len(entry) + len(name) + size + _DESCRIPTOR.size
    listed = b"".join(central)
    yield listed + _END.pack(0x06054B50, 0, 0, len(central), len(central), len(listed), at, 0)


# msgpack and JSON


def _msgpack_heads(parts: Sequence[AnswerPart], about: dict[str, Any]) -> list[bytes]:
    """What comes before the bytes of each part: {..., "arrays": {name: {"dtype", "shape", "data": bytes}}}."""
    encode = msgspec.msgpack.encode
    heads = []
    for part in parts:
        described = (
            encode("dtype") + encode(part.dtype) + encode("shape") + encode(part.shape) + encode("data")
        )
        heads.append(encode(part.name) + b"\x83" + described + b"\xc6" + part.size.to_bytes(4, "big"))
    first = b"".join(encode(name) + encode(value) for name, value in about.items())
    first = (
        bytes([0x80 | (len(about) + 1)]) + first + encode("arrays") + b"\xdf" + len(parts).to_bytes(4, "big")
    )
    heads[0] = first + heads[0]
    return heads


def _msgpack(store: FrameReader, parts: Sequence[AnswerPart], heads: Sequence[bytes]) -> Iterator[Piece]:
    for head, (_, blocks) in zip(heads, read_parts(store, parts), strict=True):
        yield head
        for block in blocks:
            yield _view(block)


def _json(store: FrameReader, parts: Sequence[AnswerPart], about: dict[str, Any]) -> Iterator[Piece]:
    yield orjson.dumps(about)[:-1] + b',"arrays":{'
    for number, (part, blocks) in enumerate(read_parts(store, parts)):
        yield b"%s%s:[" % (b"," if number else b"", orjson.dumps(part.name))
        between = b""
        for block in blocks:
            text = orjson.dumps(np.ascontiguousarray(block), option=orjson.OPT_SERIALIZE_NUMPY)
            yield between + text[1:-1]
            between = b","
        yield b"]"
    yield b"}}"


# Arrow


def table_answer(
    store: FrameReader,
    selection: Selection,
    parts: Sequence[AnswerPart],
    media_type: str,
    about: dict[str, Any],
) -> Answer:
    """A stream of record batches; a column has a list of numbers for each frame where a field has several. Raises
    Refused (bad_format)."""
    if len(parts) != len(selection.fields):
        raise Refused("a table has frames of one segment only", code="bad_format", field="frames")
    try:
        import pyarrow as pa
    except ImportError:
        raise Refused(
            "this server has no Arrow: install pyarrow", code="bad_format", field="format"
        ) from None
    columns = []
    for part in parts:
        kind = pa.from_numpy_dtype(np.dtype(part.dtype))
        width = int(np.prod(part.item)) if part.item else 0
        columns.append(pa.field(part.name, pa.list_(kind, width) if part.item else kind))
    schema = pa.schema(columns, {"tussle": orjson.dumps(about)})

    def pieces() -> Iterator[Piece]:
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, schema) as writer:
            for block in store.frames(selection.numbers, selection.fields):
                arrays = [
                    _column(pa, schema.field(name).type, block.arrays[name]) for name in selection.fields
                ]
                writer.write_batch(pa.record_batch(arrays, schema=schema))
                yield sink.getvalue()
                sink.seek(0)
                sink.truncate()
        yield sink.getvalue()

    return Answer(media_type, sum(part.size for part in parts), None, pieces)


def _column(pa: Any, kind: Any, block: Array) -> Any:
    if block.ndim == 1:
        return pa.array(block, kind)
    return pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1), kind.value_type), kind.list_size)
