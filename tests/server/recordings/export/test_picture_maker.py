"""Pictures that are drawn one after the other equal those that are drawn alone."""

from __future__ import annotations

import itertools

import numpy as np

from tests.server.recordings.export.test_exporting import clip_of
from tussle.server.recordings.export.camera_pose import bounds_of, find_pose
from tussle.server.recordings.export.clip import Clip
from tussle.server.recordings.export.picture_maker import PictureMaker
from tussle.server.recordings.frame_store import Array

SIZE = (160, 120)


def maker_of(clip: Clip) -> PictureMaker:
    low, high, bench = bounds_of(clip)
    return PictureMaker(
        SIZE, find_pose(clip.attributes, None, (low, high), SIZE[0] / SIZE[1]), (low, high), bench
    )


def pictures_of(clip: Clip, *, alone: bool) -> list[Array]:
    """The picture of each frame: by one maker, or each by a maker of its own."""
    maker, pictures = maker_of(clip), list[Array]()
    for block in clip.blocks(("active", "rows")):
        tracks = clip.tracks(block.segment)
        for at in range(len(block.arrays["rows"])):
            maker = maker_of(clip) if alone else maker
            frame = block.arrays["rows"][at : at + 1], block.arrays["active"][at : at + 1]
            pictures.append(maker.draw(tracks, *frame).copy())
    return pictures


def test_what_is_kept_of_the_picture_before_is_what_would_be_drawn(recording: str) -> None:
    """While bodies move, cast shadows, rest and are removed, and when the meshes change: the same bytes."""
    clip = clip_of(recording)
    together, alone = pictures_of(clip, alone=False), pictures_of(clip, alone=True)
    assert len(together) == clip.length > 10
    for number, (one, other) in enumerate(zip(together, alone, strict=True)):
        assert np.array_equal(one, other), number
    assert any(not np.array_equal(one, other) for one, other in itertools.pairwise(alone))
