"""A clip as a film: MP4 (H.264) or GIF, in simulated time, drawn without a display.

A picture shows the newest frame at its time. Pictures are drawn and encoded one by one. A GIF has a palette for each
picture, so that it need not be read twice. This module must never know how a picture is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from tussle.server.recordings.export.camera_pose import bounds_of, find_pose
from tussle.server.recordings.export.clip import BodyTrack, Clip
from tussle.server.recordings.export.exporting import Film, Progress
from tussle.server.recordings.export.picture_maker import PictureMaker
from tussle.server.recordings.frame_store import Array

__all__ = ["write_film"]

LATE_S = 1e-6
"""A frame that is this much later than a picture is in it [s]: times are rounded."""


def write_film(clip: Clip, place: Path, film: Film, progress: Progress) -> None:
    """Write the file; its ending says which kind. Raises OSError."""
    try:
        options = {"movflags": "+faststart"} if place.suffix == ".mp4" else {}
        with av.open(str(place), "w", options=options) as container:
            encoder = _encoder(container, film, place.suffix)
            for picture in _pictures(clip, film, progress):
                encoder.add(picture)
            encoder.finish()
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror or str(error), str(place)) from None


def _pictures(clip: Clip, film: Film, progress: Progress) -> Iterator[Array]:
    """The pictures, one after the other. One that shows the frame of the one before is the same array."""
    low, high, bench = bounds_of(clip)
    width, height = film.size
    view = find_pose(clip.attributes, film.camera, (low, high), width / height)
    maker = PictureMaker(film.size, view, (low, high), bench)
    picture, shown, start, number = None, None, None, 0
    segment, tracks = -1, list[BodyTrack]()
    for block in clip.blocks(("time", "active", "rows")):
        if block.segment != segment:
            segment, tracks = block.segment, clip.tracks(block.segment)
        for at, time in enumerate(block.arrays["time"].tolist()):
            start = time if start is None else start
            while shown is not None and start + number / film.fps < time - LATE_S:
                picture = maker.draw(*shown) if picture is None else picture
                yield picture
                number += 1
            shown = tracks, block.arrays["rows"][at : at + 1], block.arrays["active"][at : at + 1]
            picture = None
            progress(1)
    if shown is not None:
        yield maker.draw(*shown)


class _Encoder:
    """Encodes pictures of one film."""

    def __init__(self, container: Any, film: Film, codec: str, pixels: str, options: dict[str, str]) -> None:
        self._container = container
        self._stream = container.add_stream(codec, rate=film.fps, options=options)
        self._stream.width, self._stream.height = film.size
        self._stream.pix_fmt = pixels

    def add(self, picture: Array) -> None:
        """Add a picture, (height, width, 3) bytes."""
        self._mux(av.VideoFrame.from_ndarray(picture, format="rgb24"))

    def finish(self) -> None:
        """Write what the codec still holds."""
        self._mux(None)

    def _mux(self, frame: Any) -> None:
        self._container.mux(self._stream.encode(frame))


class _GifEncoder(_Encoder):
    """Gives each picture a palette of its own before it is encoded."""

    def __init__(self, container: Any, film: Film) -> None:
        super().__init__(container, film, "gif", "pal8", {})
        self._count, self._base = 0, Fraction(1, film.fps)
        # The graph owns its parts: without it they are freed while they are used.
        self._graph = graph = av.filter.Graph()
        self._source = graph.add_buffer(
            width=film.size[0],
            height=film.size[1],
            format=av.VideoFormat("rgb24", *film.size),
            time_base=self._base,
        )
        split, palette = graph.add("split"), graph.add("palettegen", "stats_mode=single")
        use = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
        self._sink = graph.add("buffersink")
        self._source.link_to(split)
        split.link_to(palette, 0, 0)
        split.link_to(use, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(self._sink)
        graph.configure()

    def add(self, picture: Array) -> None:
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = self._count, self._base
        self._count += 1
        self._source.push(frame)
        self._mux(self._sink.pull())


def _encoder(container: Any, film: Film, ending: str) -> _Encoder:
    if ending == ".gif":
        return _GifEncoder(container, film)
    return _Encoder(container, film, "libx264", "yuv420p", {"crf": "19", "preset": "fast"})
