"""A clip as one .npz file for numpy.load: the arrays have the paths that they have in the recording.

    tick, time, energy, ...              one entry per frame
    segments/<n>/rows, active            the frames of one topology
    segments/<n>/<body>/vertices, faces  the mesh of each body
    attributes                           JSON

Each array is written block by block, so that the file may be larger than the memory.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from tussle.server.recordings.export.clip import Clip
from tussle.server.recordings.export.exporting import Film, Progress
from tussle.server.recordings.frame_store import FIELDS, PER_SEGMENT, Array

__all__ = ["write_npz"]


def write_npz(clip: Clip, place: Path, film: Film, progress: Progress) -> None:
    """Write the file."""
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in clip.fields:
            if name in PER_SEGMENT:
                _write_segments(archive, clip, name, progress if name == "rows" else lambda frames: None)
            else:
                item = (clip.seats,) if FIELDS[name].per == "seat" else ()
                blocks = (block.arrays[name] for block in clip.blocks((name,)))
                _write_array(archive, name, (clip.length, *item), FIELDS[name].dtype, blocks)
        for number in range(len(clip.segments)):
            for body in clip.topology(number).bodies:
                folder = f"segments/{number}/{body.id}"
                for title, array in (("vertices", body.vertices), ("faces", body.faces)):
                    _write_array(archive, f"{folder}/{title}", array.shape, array.dtype.str, iter([array]))
        described = {
            name: value for name, value in clip.attributes.items() if name not in ("segments", "events")
        }
        described |= {
            "frames": [clip.numbers.start, clip.numbers.stop, clip.numbers.step],
            "segments": msgspec.to_builtins(clip.segments),
            "events": list(clip.events()),
        }
        text = np.array(msgspec.json.encode(described).decode())
        _write_array(archive, "attributes", text.shape, text.dtype.str, iter([text]))


def _write_segments(archive: zipfile.ZipFile, clip: Clip, name: str, progress: Progress) -> None:
    """One array for each segment, in one pass."""
    stream: IO[bytes] | None = None
    segment = -1
    try:
        for block in clip.blocks((name,)):
            array = block.arrays[name]
            if block.segment != segment:
                segment = block.segment
                if stream is not None:
                    stream.close()
                shape = (clip.segments[segment].frames, *array.shape[1:])
                stream = _begin_array(archive, f"segments/{segment}/{name}", shape, FIELDS[name].dtype)
            assert stream is not None
            stream.write(np.ascontiguousarray(array, FIELDS[name].dtype).tobytes())
            progress(len(block.numbers))
    finally:
        if stream is not None:
            stream.close()


def _write_array(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: str, blocks: Iterator[Array]
) -> None:
    with _begin_array(archive, name, shape, dtype) as stream:
        for block in blocks:
            stream.write(np.ascontiguousarray(block, dtype).tobytes())


def _begin_array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: str) -> IO[bytes]:
    """A member of the archive with the header of an array."""
    stream = archive.open(f"{name}.npy", "w", force_zip64=True)
    header = {"descr": dtype, "fortran_order": False, "shape": tuple(map(int, shape))}
    np.lib.format.write_array_header_2_0(stream, header)
    return stream
