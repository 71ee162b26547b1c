"""Archives of recordings that somebody else packed: what they say of themselves chooses no memory."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib

import pytest

from tests.server.recordings.frames import frames, topology
from tussle.lobby.errors import ProtocolError
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.packed import open_packed


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_file_that_lies_about_its_size_takes_no_memory(method: int) -> None:
    """Of a file in an archive no more is unpacked than its directory says. Ways of compression that unpack all at once
    are refused."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("zarr.json", bytes(2**23))
    data = bytearray(out.getvalue())
    entry = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, entry + 16, zlib.crc32(bytes(100)))
    struct.pack_into("<I", data, entry + 24, 100)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            open_packed(io.BytesIO(data), 10**6)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("depth", [260, 100_000])
def test_attributes_that_no_reader_can_get_are_refused(depth: int) -> None:
    """Lists within lists are refused when the archive is read, not by a fault in each later answer."""
    files: dict[str, bytes] = {}
    group = RecordingGroup({"more": "deep"}, seats=0)
    files.update(group.append(frames(10, 4, seats=0), topology("affine", "affine")))
    files.update(group.files(files.__getitem__))
    assert b'"deep"' in files["zarr.json"]
    files["zarr.json"] = files["zarr.json"].replace(b'"deep"', b"[" * depth + b"]" * depth)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with pytest.raises(ProtocolError):
        open_packed(out, 10**8)
