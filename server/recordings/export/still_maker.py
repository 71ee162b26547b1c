"""A child process that draws one picture: a pickled Still on standard input, a PNG file on standard output.

    python -m tussle.server.recordings.export.still_maker < still > picture.png

Only the server that started it writes its input. Drawing needs the kernels of raster.py, which a server does not load.
The kernel of the operating system bounds its time and memory. This module must never read a file or a store.
"""

from __future__ import annotations

import os
import pickle
import resource
import struct
import sys
import zlib
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from tussle.lobby.machine_code import NotStored, only_loading
from tussle.server.recordings.export.camera_pose import CameraPose
from tussle.server.recordings.export.clip import BodyTrack
from tussle.server.recordings.frame_store import Array

__all__ = ["CPU_S", "Still", "encode_png"]

CPU_S, MEMORY_BYTES, NICENESS = 30, 3 * 2**30, 10


@dataclass(frozen=True, slots=True)
class Still:
    """One frame to draw. size: width and height in pixels. bounds, bench: of PictureMaker. rows, active: with an axis
    of one frame."""

    size: tuple[int, int]
    view: CameraPose
    bounds: tuple[Array, Array]
    bench: float
    tracks: list[BodyTrack]
    rows: Array
    active: Array


def encode_png(picture: Array) -> bytes:
    """A PNG file of (height, width, 3) bytes. Each row is stored as its difference from the row above (filter 2), which
    packs smooth surfaces well. https://www.w3.org/TR/png-3/"""
    height, width, _ = picture.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    flat = picture.reshape(height, 3 * width)
    rows[:, 0] = 2
    rows[0, 1:] = flat[0]
    rows[1:, 1:] = flat[1:] - flat[:-1]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(rows.tobytes(), 7)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def main() -> None:
    """Draw the Still on standard input."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    still: Still = pickle.load(sys.stdin.buffer)
    picture = None
    with suppress(NotStored), only_loading():
        picture = _draw(still)
    sys.stdout.buffer.write(encode_png(_draw(still) if picture is None else picture))


def _draw(still: Still) -> Array:
    from tussle.server.recordings.export.picture_maker import PictureMaker

    maker = PictureMaker(still.size, still.view, still.bounds, still.bench)
    return maker.draw(still.tracks, still.rows, still.active)


if __name__ == "__main__":
    main()
