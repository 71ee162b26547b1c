"""A recording in one file for the way to a server: a ZIP archive of its Zarr group.

    group -> pack -> file -> PUT -> open_packed -> RecordingGroup and its chunks

The archive has ``zarr.json`` and the chunks; other files are ignored. zarr.storage.ZipStore reads and writes such
archives. What somebody else packed is checked before it is read: numbers in it must not choose the memory or the time.
This module must never write a recording.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from tussle.lobby.errors import ProtocolError, Refused
from tussle.server.recordings.group import Fetch, RecordingGroup
from tussle.server.recordings.zarr_layout import encode_document

__all__ = ["check_group", "open_packed", "pack"]

ROOT_BYTES = 2**21
"""Largest metadata of a group [B]."""

DIRECTORY_BYTES = 2**22
"""Largest directory of an archive [B]: a file takes about 70 bytes of it."""

FRAME_BYTES = 2**22
"""Largest rows of a frame [B]."""

MESHES_BYTES = 2**23
"""Largest meshes of a segment, together [B]."""

WAITING_BYTES = 2**24
"""Largest sum of what is in no complete chunk [B]: every array of every segment has up to a chunk of it."""

MOST_SEATS = 64

MODE_LENGTH = 48

UNREADABLE = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, struct.error, NotImplementedError, RuntimeError,
)  # fmt: skip
"""What ``zipfile`` raises for an archive that somebody else made."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How files may be compressed. ``zipfile`` bounds what it unpacks of these only."""

END = struct.Struct("<4s4H2LH")
"""The end of an archive: signature, disks, files, size and place of the directory, length of a comment."""


class _Seat(msgspec.Struct, frozen=True):
    seat: int
    name: str = ""
    kind: str = ""
    body: str = ""
    player: str = ""


class _Known(msgspec.Struct, frozen=True):
    """The attributes that clients use. Others may be there."""

    session: str = ""
    mode: str = ""
    dt: float = 0.0
    stride: int = 1
    physics_id: str = ""
    seats: list[_Seat] = []


def pack(file: BinaryIO, group: RecordingGroup, fetch: Fetch) -> None:
    """Write a recording that was opened to be read as an archive, without compression: its chunks are compressed. Equal
    recordings give equal bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("zarr.json"), group.consolidated(fetch("zarr.json")))
        for path in _stored_paths(group):
            archive.writestr(zipfile.ZipInfo(path), fetch(path))


def _stored_paths(group: RecordingGroup) -> Iterator[str]:
    for _, path in group.chunks():
        yield path
    for column in group.columns.values():
        if column.stored:
            yield column.layout.chunk_path(column.full)


def open_packed(file: BinaryIO, most: int) -> tuple[RecordingGroup, Fetch]:
    """The recording in an archive, and the function that reads its chunks. most: bytes of all arrays [B].

    Raises ProtocolError (bad_upload, not_a_recording, damaged_recording), Refused (upload_too_large, read_only,
    bad_upload).
    """
    _check_directory(file)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError) as error:
        raise _bad(f"it is not a ZIP archive: {error}") from None

    def fetch(path: str) -> bytes:
        try:
            entry = archive.getinfo(path)
        except KeyError:
            raise FileNotFoundError(path) from None
        if entry.file_size > (ROOT_BYTES if path == "zarr.json" else 2 * max(FRAME_BYTES, MESHES_BYTES)):
            raise _too_large(f"{path[:80]} is too large")
        if entry.compress_type not in METHODS:
            raise _bad(f"{path[:80]} is compressed in a way that is not read")
        try:
            with archive.open(entry) as packed:
                return packed.read(
                    entry.file_size + 1
                )  # without a number all that is packed would be unpacked
        except UNREADABLE as error:
            raise _bad(f"{path[:80]} cannot be read: {error}") from None

    try:
        root = fetch("zarr.json")
    except FileNotFoundError:
        raise _bad("it has no zarr.json") from None
    group = RecordingGroup.load(root)
    check_group(group, most)
    return group, fetch


def _check_directory(file: BinaryIO) -> None:
    """Refuse an archive whose directory is larger than one of a recording. ``zipfile`` reads all of it."""
    size = file.seek(0, 2)
    if size < END.size:
        raise _bad("it is not a ZIP archive")
    at = max(0, size - END.size - 20)
    file.seek(at)
    end = file.read()
    signature, _, _, _, _, directory, place, comment = END.unpack(end[-END.size :])
    if signature != b"PK\x05\x06" or comment or b"PK\x06\x07" in end[: -END.size]:
        raise _bad("it is not a plain ZIP archive: without a comment, without zip64, less than 4 GiB")
    if directory > DIRECTORY_BYTES or place + directory > size:
        raise _too_large("the directory of the archive is too large")


def check_group(group: RecordingGroup, most: int) -> None:
    """Refuse a recording that is not a player's own, or that takes too much memory or time to read. most: bytes of all
    arrays [B]."""
    try:
        known = msgspec.convert(group.attributes, _Known)
    except msgspec.ValidationError as error:
        raise _bad(f"an attribute: {error}") from None
    try:
        encode_document({"answer": {"metadata": {"group": {"attributes": group.attributes}}}})
    except (TypeError, RecursionError) as error:  # readers get them as JSON, within other objects
        raise _bad(f"the attributes are no JSON that is read: {error}") from None
    if known.session:
        raise Refused("what a session recorded is on its server: derive a copy of it", code="read_only")
    if group.events_bytes:
        raise _bad("a recording that no session made has no events")
    if not 0 <= group.seats <= MOST_SEATS or len(known.seats) > MOST_SEATS:
        raise _bad(f"a recording has at most {MOST_SEATS} seats")
    if not 0 <= known.dt < 1e6 or not 1 <= known.stride < 2**31 or len(known.mode) > MODE_LENGTH:
        raise _bad("dt, stride or mode is not valid")
    total = waiting = 0
    for column in group.columns.values():
        item = column.layout.item_bytes
        if item > FRAME_BYTES:
            raise _too_large(f"a frame has more than {FRAME_BYTES} bytes in {column.layout.path}")
        total += column.length * item
        waiting += column.length % column.layout.chunk * item
    for segment in group.segments:
        meshes = 0
        for digest in {body.mesh for body in segment.bodies}:
            meshes += 12 * sum(group.meshes.get(digest, (0, 0)))
        if meshes > MESHES_BYTES:
            raise _too_large(f"the meshes of a segment have more than {MESHES_BYTES} bytes")
    if total > most:
        raise _too_large(f"the arrays have {total} bytes, and at most {most}")
    if waiting > WAITING_BYTES:
        raise Refused("the topology changes too often for an upload", code="too_many_segments")


def _bad(message: str) -> ProtocolError:
    return ProtocolError(message, code="bad_upload")


def _too_large(message: str) -> ProtocolError:
    return ProtocolError(message, code="upload_too_large")
