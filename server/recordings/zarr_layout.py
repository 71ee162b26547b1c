"""The layout of one array of a recording as Zarr version 3: its metadata, and its chunks to and from bytes.

    array (frames, ...) -> chunks of a fixed number of frames -> transposed, so that the frames run fastest
                        -> little endian -> blosc (zstd, shuffle)

Only codecs of the Zarr 3 core are used, so that any reader reads a recording without this program. Everything that
decides the bytes of a chunk is fixed here. This module must never open a file.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import orjson

from tussle.lobby.errors import ProtocolError
from tussle.server.physics.world_state import ENERGIES
from tussle.server.recordings.frame_store import FIELDS, OPTIONAL, Array

__all__ = [
    "JOINED",
    "MESH_ARRAYS",
    "Column",
    "Layout",
    "encode_document",
    "extend_digest",
    "group_document",
    "join_digest",
    "joined_layout",
    "layout_of",
    "metadata_path",
    "zstd",
]

CHUNK_FRAMES = 1024
"""Frames in a chunk, at most."""

CHUNK_BYTES = 2**20
"""Size of a chunk before compression, at most, unless one frame is larger [B]."""

CHUNK_VERTICES = 4096
"""Vertices, or faces, in a chunk of the meshes."""

LEVEL = 5
"""Level of zstd within blosc."""

_DIMENSIONS = {"": (), "seat": ("seat",), "body": ("body",), "row": ("row", "axis")}
_NAMES = {"<u4": "uint32", "<f4": "float32", "<f8": "float64", "|b1": "bool", "|u1": "uint8"}


def _blosc() -> ModuleType:
    """The codec, imported when it is first used: clients and bots never need it. One thread, because several write the
    blocks of a chunk in the order in which they finish."""
    from numcodecs import blosc

    blosc.use_threads = False
    module: ModuleType = blosc
    return module


def zstd(data: bytes | memoryview) -> bytes:
    """One frame of zstd, quickly made: for the network, not for files."""
    from numcodecs import zstd as codec

    return bytes(codec.compress(data, 1))


@dataclass(frozen=True, slots=True)
class Layout:
    """One array. item: the shape of one entry, which is a frame or a vertex. chunk: entries in a chunk."""

    path: str
    dtype: str
    item: tuple[int, ...]
    chunk: int
    dimensions: tuple[str, ...]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def fill(self) -> Any:
        return "NaN" if self.dtype[1] == "f" else False if self.dtype == "|b1" else 0

    @property
    def _order(self) -> tuple[int, ...]:
        return (*range(1, len(self.item) + 1), 0)

    @property
    def item_bytes(self) -> int:
        """The size of one entry [B]."""
        return math.prod(self.item) * np.dtype(self.dtype).itemsize

    def chunk_path(self, number: int) -> str:
        return "/".join([self.path, "c", str(number), *("0" for _ in self.item)])

    def chunks(self, length: int) -> int:
        """The number of chunks of so many entries."""
        return -(-length // self.chunk)

    def encode(self, block: Array) -> bytes:
        """One chunk. A block that is shorter than a chunk is filled up."""
        if len(block) < self.chunk:
            fill = np.nan if self.fill == "NaN" else self.fill
            rest = np.full((self.chunk - len(block), *self.item), fill, self.dtype)
            block = np.concatenate([block, rest])
        data = np.ascontiguousarray(block.transpose(self._order), self.dtype)
        blosc = _blosc()
        size = data.dtype.itemsize
        return bytes(blosc.compress(data.reshape(-1), b"zstd", LEVEL, blosc.SHUFFLE, 0, size))

    def decode(self, data: bytes) -> Array:
        """A whole chunk, filled up. Raises ProtocolError (damaged_recording)."""
        size = self.chunk * self.item_bytes
        # The head of blosc: version, flags, size before and size after. A foreign chunk must not choose the memory.
        plain, packed = int.from_bytes(data[4:8], "little"), int.from_bytes(data[12:16], "little")
        if len(data) < 16 or plain != size or packed != len(data):
            raise ProtocolError(f"{self.path}: a chunk has another size", code="damaged_recording")
        try:
            raw = _blosc().decompress(data)
        except (RuntimeError, ValueError) as error:
            raise ProtocolError(f"{self.path}: {error}", code="damaged_recording") from None
        turned = np.frombuffer(raw, self.dtype).reshape(*self.item, self.chunk)
        return np.moveaxis(turned, -1, 0)

    def document(self, length: int) -> dict[str, Any]:
        """The metadata of this array with so many entries."""
        size = np.dtype(self.dtype).itemsize
        codecs: list[dict[str, Any]] = [
            {"name": "bytes", "configuration": {"endian": "little"}} if size > 1 else {"name": "bytes"},
            {
                "name": "blosc",
                "configuration": {
                    "typesize": size,
                    "cname": "zstd",
                    "clevel": LEVEL,
                    "shuffle": "shuffle",
                    "blocksize": 0,
                },
            },
        ]
        if self.item:
            codecs.insert(0, {"name": "transpose", "configuration": {"order": list(self._order)}})
        about = {"attributes": dict(self.about)} if self.about else {}
        return {
            **about,
            "zarr_format": 3,
            "node_type": "array",
            "shape": [length, *self.item],
            "data_type": _NAMES[self.dtype],
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [self.chunk, *self.item]},
            },
            "chunk_key_encoding": {"name": "default"},
            "fill_value": self.fill,
            "codecs": codecs,
            "dimension_names": list(self.dimensions),
        }


def layout_of(name: str, folder: str, item: tuple[int, ...]) -> Layout:
    """The layout of a field; ``folder``: "" or that of its segment."""
    of = FIELDS[name]
    size = max(1, np.dtype(of.dtype).itemsize * math.prod(item))
    fits = max(1, CHUNK_BYTES // size)
    chunk = min(CHUNK_FRAMES, 1 << (fits.bit_length() - 1))
    about = {"units": of.unit} if of.unit != "1" else {}
    return Layout(folder + name, of.dtype, item, chunk, ("frame", *_DIMENSIONS[of.per]), about)


JOINED: dict[str, tuple[str, ...]] = {
    "counts": ("contacts", "iterations"),
    "energies": ("energy", *OPTIONAL),
    "standings": ("health", "score", "out"),
}
"""Array -> the fields that it has, one after the other on its second axis: the metadata of an array of its own for each
would take more bytes than the field in a short session."""

_JOINED_ABOUT: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "counts": ("<u4", ("frame", "count"), {"kinds": ["contacts", "iterations"]}),
    "energies": ("<f4", ("frame", "kind"), {"units": "J", "kinds": ["mechanical", *ENERGIES]}),
    "standings": ("<f4", ("frame", "standing", "seat"), {"kinds": ["health", "score", "out"]}),
}


def joined_layout(name: str, seats: int) -> Layout:
    """The layout of one of the JOINED arrays, in a recording with so many seats."""
    dtype, dimensions, about = _JOINED_ABOUT[name]
    item = (len(JOINED[name]), seats)[: len(dimensions) - 1]
    return Layout(name, dtype, item, CHUNK_FRAMES, dimensions, about)


MESH_ARRAYS = (
    Layout("meshes/vertices", "<f4", (3,), CHUNK_VERTICES, ("vertex", "axis"), {"units": "m"}),
    Layout("meshes/faces", "<u4", (3,), CHUNK_VERTICES, ("face", "corner")),
)
"""The vertices of all meshes, one mesh after the other, and their faces: each array once, because an array of its own
for every mesh takes more bytes of metadata than a small mesh has."""


def metadata_path(path: str) -> str:
    """The metadata file of the group or array at ``path``; "": of the whole recording."""
    return f"{path}/zarr.json" if path else "zarr.json"


def group_document(attributes: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a Zarr 3 group."""
    about = {"attributes": attributes} if attributes else {}
    return {**about, "zarr_format": 3, "node_type": "group"}


def encode_document(document: dict[str, Any]) -> bytes:
    """Metadata as bytes; equal metadata gives equal bytes."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)


class Column:
    """One array that grows: ``full`` chunks that are complete, and entries that wait for theirs to fill.

    digest: SHA-256 over the complete chunks: of (the digest before + SHA-256 of the chunk), from 32 zero bytes.
    stored: entries of the chunk that is not complete that are in a file only, in a recording that is only read.
    """

    __slots__ = ("_count", "_waiting", "digest", "full", "layout", "stored")

    def __init__(self, layout: Layout, full: int = 0, digest: bytes = bytes(32), *, stored: int = 0) -> None:
        self.layout = layout
        self.full = full
        self.digest = digest
        self.stored = stored
        self._waiting: list[Array] = []
        self._count = 0

    @property
    def length(self) -> int:
        return self.full * self.layout.chunk + self.stored + self._count

    @property
    def waiting(self) -> Array:
        """The entries after the complete chunks."""
        if len(self._waiting) != 1:
            empty = np.empty((0, *self.layout.item), self.layout.dtype)
            self._waiting = [np.concatenate(self._waiting) if self._waiting else empty]
        return self._waiting[0]

    def push(self, block: Array) -> list[tuple[str, bytes]]:
        """Add entries. Returns the chunks that are complete now: path and bytes."""
        if len(block):
            self._waiting.append(block)
            self._count += len(block)
        if self._count < self.layout.chunk:
            return []
        whole, size, written = self.waiting, self.layout.chunk, []
        while len(whole) >= size:
            data = self.layout.encode(whole[:size])
            written.append((self.layout.chunk_path(self.full), data))
            self.digest = extend_digest(self.digest, data)
            self.full += 1
            whole = whole[size:]
        self._waiting, self._count = [whole.copy()], len(whole)
        return written

    def patch(
        self, values: Mapping[int, Array], fetch: Callable[[str], bytes]
    ) -> Iterator[tuple[str, bytes]]:
        """Replace entries: number -> entry. Yields the complete chunks that change; the caller then sets ``digest``.
        Raises ProtocolError."""
        size = self.layout.chunk
        for number in sorted({at // size for at in values}):
            here = {at - number * size: value for at, value in values.items() if at // size == number}
            path = self.layout.chunk_path(number)
            block = (self.waiting if number == self.full else self.layout.decode(fetch(path))).copy()
            block[list(here)] = np.stack(list(here.values()))
            if number == self.full:
                self._waiting = [block]
            else:
                yield path, self.layout.encode(block)

    def last(self) -> tuple[str, bytes] | None:
        """The chunk that is not complete: path and bytes; None if there is none."""
        if not self._count:
            return None
        return self.layout.chunk_path(self.full), self.layout.encode(self.waiting)

    def total(self, last: bytes | None) -> str:
        """The digest with the last chunk, in hexadecimal digits."""
        return (self.digest if last is None else extend_digest(self.digest, last)).hex()


def extend_digest(digest: bytes, data: bytes) -> bytes:
    """The digest of a column with one more chunk."""
    return join_digest(digest, hashlib.sha256(data).digest())


def join_digest(digest: bytes, sha256: bytes) -> bytes:
    """The digest of a column with one more chunk, which has this SHA-256."""
    return hashlib.sha256(digest + sha256).digest()
