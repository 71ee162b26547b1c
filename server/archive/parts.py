"""The documents of an archive, and the bytes that they are: every byte is covered by a hash.

    manifest, end    one JSON document, sealed: its field ``sha256`` is the hash of the file in which it is 64 zeros
    part             b"TSA2", length (u32, little endian), SHA-256 of the body, body: msgpack of ArchivePart

A part names the hash of the part before it, the first part of an epoch the seal of its manifest. A manifest names what
its holder took over: the newest checkpoint and the newest part that were in the store. The end names the last part of
each epoch. So one chain leads from the end to the first byte. ``tussle-archive/1``, which had no hashes, is still read;
its parts are length and body. This module computes on bytes only: it must never read or write a file.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from tussle.lobby.errors import ProtocolError
from tussle.server.simulation.simulation import Input, SessionSpec

__all__ = [
    "HASH_BYTES",
    "OLD_SCHEMA",
    "SCHEMA",
    "ArchiveEnd",
    "ArchivePart",
    "EpochEnd",
    "EpochFiles",
    "Head",
    "Manifest",
    "Remainder",
    "StoredPart",
    "TakenOver",
    "decode_document",
    "describe_epoch",
    "digest_of",
    "encode_part",
    "frame",
    "group_files",
    "is_old",
    "read_parts",
    "seal",
]

SCHEMA = "tussle-archive/2"
OLD_SCHEMA = "tussle-archive/1"

HASH_BYTES = 16
"""Bytes of the hash of a tick."""

MAGIC = b"TSA2"
HEAD = struct.Struct("<4sI32s")
UNSEALED = "0" * 64

GARBAGE_PARTS = 3
"""Undecodable parts in a row after which the rest of an old file is not read."""

CANDIDATES = 1000
"""Places in a damaged file at which the next part is looked for."""

_HEAD_TEXT = re.compile(r"([0-9]{1,12}):([0-9]{1,12}):([0-9a-f]{64})")
_MANIFEST = re.compile(r"manifest-([0-9]{6,12})\.json")
_PARTS = re.compile(r"([0-9]{6,12})(?:-[0-9]{6,12})?\.parts")

S = TypeVar("S", "Manifest", "ArchiveEnd")


class Head(msgspec.Struct, frozen=True):
    """The newest part of an epoch. sha256: of its body, in hexadecimal digits. As text, for the store:
    epoch:part:sha256."""

    epoch: int
    part: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.epoch}:{self.part}:{self.sha256}"

    @classmethod
    def parse(cls, text: str) -> Head | None:
        """The head of a text; None if it is not one."""
        found = _HEAD_TEXT.fullmatch(text)
        return None if found is None else cls(int(found[1]), int(found[2]), found[3])


class TakenOver(msgspec.Struct, frozen=True):
    """What a holder continued: the store's newest checkpoint (its tick, the SHA-256 of its bytes) and the newest part
    that was written before it; None: an older server wrote that checkpoint."""

    tick: int
    checkpoint: str
    head: Head | None = None


class Manifest(msgspec.Struct, frozen=True):
    """The session's specification, and the physics with which one holder ran it. ``versions``: see ``origin``.
    ``taken_over``: None if the holder began the session. private: whether only its token leads to it. An old manifest
    is not sealed."""

    schema: str
    session: str
    epoch: int
    physics_id: str
    versions: dict[str, str]
    spec: SessionSpec
    at: float
    taken_over: TakenOver | None = None
    private: bool | msgspec.UnsetType = msgspec.UNSET
    sha256: str = ""


class ArchivePart(msgspec.Struct, frozen=True):
    """Some ticks of one holder. inputs: (tick, input), in the order applied. hashes: runs of consecutive ticks, each as
    its first tick and 16 bytes per tick. checkpoints: (tick, exact state). previous: the SHA-256 of the part before it,
    or the seal of the manifest. An old part has neither ``session`` nor ``previous``."""

    schema: str
    epoch: int
    number: int
    inputs: list[tuple[int, Input]]
    hashes: list[tuple[int, bytes]]
    checkpoints: list[tuple[int, bytes]]
    session: str = ""
    previous: bytes = b""


class EpochEnd(msgspec.Struct, frozen=True):
    """One epoch as the last holder knew it. manifest: its seal, "" if it had none. parts: their number; sha256: of the
    last one. remainder: bytes after the last part (a holder died while it wrote); remainder_sha256: their hash."""

    epoch: int
    manifest: str
    parts: int
    sha256: str
    remainder: int = 0
    remainder_sha256: str = ""


class ArchiveEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last tick of a session that ended. ``whole``: its last holder wrote everything that it recorded; else
    ``reason`` says what is missing. ``epoch``: of that holder. An old end has tick and whole only."""

    tick: int
    whole: bool = True
    schema: str = OLD_SCHEMA
    session: str = ""
    epoch: int = 0
    reason: str = ""
    epochs: list[EpochEnd] = []
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One part in a file, from byte ``at`` on. part: None if it cannot be decoded. sha256: of its body. stated: the
    hash before the body, another one if the part is damaged; None in an old file. problem: "" for a good part."""

    at: int
    size: int
    part: ArchivePart | None
    sha256: str
    stated: str | None
    problem: str = ""

    @property
    def ids(self) -> set[str]:
        """Hashes by which other parts may name this one."""
        return {self.sha256} if self.stated is None else {self.sha256, self.stated}


@dataclass(frozen=True, slots=True)
class Remainder:
    """Bytes of a file that are no part. ``cut``: they begin like a part whose end is missing, as after a crash."""

    at: int
    size: int
    sha256: str
    cut: bool
    last: bool


@dataclass(slots=True)
class EpochFiles:
    """Names of the files of an epoch. parts: one that is appended to, or one for each part."""

    manifest: str | None = None
    parts: list[str] = field(default_factory=list)


def digest_of(data: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def seal(document: S) -> tuple[bytes, str]:
    """The bytes of a manifest or an end, and their seal, which they contain."""
    stated = digest_of(msgspec.json.encode(msgspec.structs.replace(document, sha256=UNSEALED)))
    return msgspec.json.encode(msgspec.structs.replace(document, sha256=stated)), stated


def decode_document(data: bytes, kind: type[S]) -> tuple[S, str]:
    """A manifest or an end, and what is wrong with it ("" if nothing is). An old document is not sealed.

    Raises ProtocolError (damaged_archive) if it cannot be decoded.
    """
    try:
        document = msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"cannot be decoded: {error}", code="damaged_archive") from None
    if document.schema == OLD_SCHEMA and not document.sha256:
        return document, ""
    if document.schema != SCHEMA:
        return document, f"has the schema {document.schema[:40]!r}, this version reads {SCHEMA}"
    if document.sha256 != _seal_of(data, document.sha256):
        return document, "does not have the bytes that its seal (sha256) was made of"
    return document, ""


def _seal_of(data: bytes, stated: str) -> str:
    value = f'"sha256":"{stated}"}}'.encode()
    return (
        digest_of(data[: -len(value)] + f'"sha256":"{UNSEALED}"}}'.encode()) if data.endswith(value) else ""
    )


def encode_part(part: ArchivePart) -> bytes:
    """The body of a part."""
    return msgspec.msgpack.encode(part)


def frame(body: bytes) -> bytes:
    """The bytes of a part as a file has them."""
    return HEAD.pack(MAGIC, len(body), hashlib.sha256(body).digest()) + body


def is_old(manifest: Manifest | None, files: Iterable[bytes]) -> bool:
    """Whether the parts of an epoch are old ones, without hashes. Without a manifest the bytes decide."""
    if manifest is not None and manifest.schema in (SCHEMA, OLD_SCHEMA):
        return manifest.schema == OLD_SCHEMA
    return not any(MAGIC in data for data in files)


def group_files(names: Iterable[str]) -> tuple[dict[int, EpochFiles], list[str]]:
    """The files of each epoch, by epoch, and the names of all others."""
    epochs: dict[int, EpochFiles] = {}
    others = []
    for name in sorted(names):
        if found := _MANIFEST.fullmatch(name):
            epochs.setdefault(int(found[1]), EpochFiles()).manifest = name
        elif found := _PARTS.fullmatch(name):
            epochs.setdefault(int(found[1]), EpochFiles()).parts.append(name)
        else:
            others.append(name)
    return dict(sorted(epochs.items())), others


def describe_epoch(epoch: int, manifest: bytes | None, files: Sequence[bytes]) -> EpochEnd:
    """What an end says of an epoch with these files."""
    document, seal_of = None, ""
    if manifest is not None:
        seal_of = digest_of(manifest)
        with suppress(ProtocolError):
            document, _ = decode_document(manifest, Manifest)
            seal_of = document.sha256 or seal_of
    old = is_old(document, files)
    read = [read_parts(data, old=old) for data in files]
    stored = {part.part.number: part for parts, _ in read for part in parts if part.part and not part.problem}
    newest = max(stored, default=-1)
    rest = b"".join(
        data[piece.at : piece.at + piece.size]
        for data, (_, rests) in zip(files, read, strict=True)
        for piece in rests
        if piece.last
    )
    return EpochEnd(
        epoch,
        seal_of,
        newest + 1,
        stored[newest].sha256 if stored else "",
        len(rest),
        digest_of(rest) if rest else "",
    )


def read_parts(data: bytes, *, old: bool) -> tuple[list[StoredPart], list[Remainder]]:
    """All parts of a file, and the bytes between and after them."""
    return _read_old(data) if old else _read_framed(data)


def _read_framed(data: bytes) -> tuple[list[StoredPart], list[Remainder]]:
    parts: list[StoredPart] = []
    rest: list[Remainder] = []
    at = 0
    while at < len(data):
        part = _part_at(data, at)
        if part is None or (part.problem and not _ends_at_boundary(data, part)):
            following = _find_part(data, at + 1)
            rest.append(_remainder(data, at, len(data) if following is None else following))
            at += rest[-1].size
        else:
            parts.append(part)
            at += part.size
    return parts, rest


def _part_at(data: bytes, at: int) -> StoredPart | None:
    """The part that begins at a byte; None if none of this length does."""
    if at + HEAD.size > len(data):
        return None
    magic, length, stated = HEAD.unpack_from(data, at)
    body = data[at + HEAD.size : at + HEAD.size + length]
    if len(body) < length:
        return None
    computed = hashlib.sha256(body).digest()
    part, problem = _decode_part(body)
    if computed != stated:
        problem = "does not have the bytes that its hash was made of" + (f" and {problem}" if problem else "")
    elif magic != MAGIC:
        problem = f"begins with {magic!r}"
    return StoredPart(at, HEAD.size + length, part, computed.hex(), stated.hex(), problem)


def _ends_at_boundary(data: bytes, part: StoredPart) -> bool:
    """Whether the end of the file or another part follows, so that the length is right."""
    end = part.at + part.size
    return end == len(data) or data.startswith(MAGIC, end)


def _find_part(data: bytes, start: int) -> int | None:
    """Where the next good part begins."""
    for _ in range(CANDIDATES):
        start = data.find(MAGIC, start)
        if start < 0:
            return None
        part = _part_at(data, start)
        if part is not None and not part.problem:
            return start
        start += 1
    return None


def _remainder(data: bytes, at: int, end: int) -> Remainder:
    head = data[at : at + HEAD.size]
    size = int.from_bytes(head[4:8], "little")
    cut = head.startswith(MAGIC[: len(head)]) and (len(head) < HEAD.size or at + HEAD.size + size > len(data))
    last = end == len(data)
    return Remainder(at, end - at, digest_of(data[at:end]), cut and last, last)


def _read_old(data: bytes) -> tuple[list[StoredPart], list[Remainder]]:
    parts: list[StoredPart] = []
    at, garbage = 0, 0
    while at + 4 <= len(data) and garbage < GARBAGE_PARTS:
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data):
            break
        body = data[at + 4 : at + 4 + size]
        part, problem = _decode_part(body)
        garbage = garbage + 1 if problem else 0
        parts.append(StoredPart(at, 4 + size, part, digest_of(body), None, problem))
        at += 4 + size
    rest = [Remainder(at, len(data) - at, digest_of(data[at:]), garbage < GARBAGE_PARTS, True)]
    return parts, rest if at < len(data) else []


def _decode_part(body: bytes) -> tuple[ArchivePart | None, str]:
    try:
        return msgspec.msgpack.decode(body, type=ArchivePart), ""
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return None, f"cannot be decoded: {error}"
