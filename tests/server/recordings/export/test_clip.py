"""Which frames and bodies an export has."""

from __future__ import annotations

import numpy as np
import pytest

from tests.server.recordings.export.moving import FIRST, LENGTH
from tussle.lobby.errors import Refused
from tussle.server.recordings.export.clip import Clip, frames_of
from tussle.server.recordings.zarr_frames import ZarrFrames


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", range(80)), ("7", range(7, 8)), ("-1", range(79, 80)), ("10:20:2", range(10, 19, 2)), ("-5:", range(75, 80)),
     ("70:80", range(70, 80)), ("::40", range(0, 41, 40))],
)  # fmt: skip
def test_frames_are_chosen_as_in_python(text: str, expected: range) -> None:
    """A number, a slice, a step, and numbers from the end."""
    assert frames_of(text, 80) == expected


@pytest.mark.parametrize(
    "text", ["80", "-81", "10:81", "81:", "a", "1:2:3:4", "::0", "::-1", "5:5", "9:3", "1.5", ":99", "1:-99"]
)
def test_frames_that_are_not_there_are_refused(text: str) -> None:
    """A range outside of the recording is an error, not fewer frames than one asked for."""
    with pytest.raises(Refused) as refused:
        frames_of(text, 80)
    assert refused.value.reason == "bad_range"


def test_a_clip_has_the_rows_of_its_bodies_in_its_frames(recording: str) -> None:
    """Bodies by id or by catalogue name, over a change of the topology, with frames counted from 0."""
    store = ZarrFrames.open(recording)
    clip = Clip(store, frames="30:60:3", bodies=["jelly", "late-3"])
    blocks = list(clip.blocks(("tick", "rows", "active")))
    assert [tick for block in blocks for tick in block.arrays["tick"]] == [2 * n for n in range(30, 60, 3)]
    assert [number for block in blocks for number in block.numbers] == list(range(10))
    assert [[body.id for body in segment.bodies] for segment in clip.segments] == [
        ["jelly-2"], ["jelly-2", "late-3"],
    ]  # fmt: skip
    (whole,) = store.frames(range(33, 34), ("rows",))
    assert (blocks[0].arrays["rows"][1] == whole.arrays["rows"][0, 8:]).all()
    (whole,) = store.frames(range(42, 43), ("rows",))
    assert (blocks[1].arrays["rows"][0] == whole.arrays["rows"][0, 4:]).all()
    assert [track.rows for track in clip.tracks(1)] == [slice(0, 4), slice(4, 8)]


def test_a_step_keeps_what_happened_in_the_frames_between(recording: str) -> None:
    """The smallest distance, the most contacts and the iterations since the frame before, over all frames between."""
    clip = Clip(ZarrFrames.open(recording), frames="2:22:10")
    found = next(clip.blocks(("min_distance", "contacts", "iterations", "energy"))).arrays
    assert found["min_distance"].tolist() == [np.inf, pytest.approx(0.006)]
    assert found["contacts"].tolist() == [2, 6] and found["iterations"].tolist() == [3, 30]
    assert found["energy"].tolist() == pytest.approx([4.9, 4.4])


def test_an_unknown_body_is_named_with_those_that_exist(recording: str) -> None:
    """A name that no segment has, and one that is not in these frames."""
    store = ZarrFrames.open(recording)
    with pytest.raises(Refused, match="no body halo; there are turner-0, shearer-1, jelly-2, floor, late-3"):
        Clip(store, bodies=["halo"])
    with pytest.raises(Refused, match="in these frames"):
        Clip(store, frames=f":{FIRST}", bodies=["late"])


def test_a_clip_has_the_events_of_its_frames(recording: str) -> None:
    """Events before and after the frames are left out."""
    store = ZarrFrames.open(recording)
    assert [event["tick"] for event in Clip(store, frames="10:20").events()] == [30]
    assert [event["tick"] for event in Clip(store).events()] == [0, 30, 2 * LENGTH - 2]
