"""Archives of recordings that somebody else packed: what they say of themselves chooses no memory."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import zarr
import zarr.storage

from tests.server.recordings.frames import frames, topology
from tussle.lobby.errors import ProtocolError
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.packed import open_packed
from tussle.server.recordings.zarr_frames import ZarrFrames


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


def test_zarr_reads_an_archive_without_our_code(tmp_path: Path) -> None:
    """An archive has the metadata of all arrays in one file, as zarr's own store of ZIP files reads it."""
    store = ZarrFrames.create(str(tmp_path / "one.zarr"), seats=0)
    store.append(frames(10, 40, seats=0), topology("affine", "affine"))
    store.close()
    with (tmp_path / "one.zip").open("wb") as file:
        ZarrFrames.open(str(tmp_path / "one.zarr")).pack(file)
    with zarr.storage.ZipStore(tmp_path / "one.zip", mode="r") as archive:
        group = zarr.open_group(archive, mode="r")
        assert np.array_equal(np.asarray(group["tick"]), 10 + 2 * np.arange(40))
        assert np.asarray(group["segments/0/rows"]).shape == (40, 8, 3)
