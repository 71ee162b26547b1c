"""Which frames and fields of a recording are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from tests.server.recordings.frames import fill, frames, topology
from tussle.lobby.errors import Refused
from tussle.server.recordings.frame_store import MemoryFrames
from tussle.server.recordings.selection import Selection, parts_of, read_parts, select


@pytest.fixture(scope="module")
def store() -> MemoryFrames:
    """2240 frames of three segments, ticks 10, 12, ..."""
    store = MemoryFrames(seats=2)
    fill(store)
    return store


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", range(2240)),
        ("5", range(5, 6)),
        ("-1", range(2239, 2240)),
        ("10:20:2", range(10, 20, 2)),
        ("-5:", range(2235, 2240)),
        (":-2235", range(5)),
        ("2239:99999", range(2239, 2240)),
        ("2240:", range(2240, 2240)),
        ("7:3", range(7, 3)),
    ],
)
def test_frames_are_counted_as_in_python(store: MemoryFrames, text: str, wanted: range) -> None:
    """A number is one frame; a range is cut at the end of the recording."""
    assert select(store, frames=text).numbers == wanted


@pytest.mark.parametrize(
    "asked",
    [
        {"frames": "2240"}, {"frames": "-2241"}, {"frames": "2241:"}, {"frames": "1:2:0"}, {"frames": "5:1:-1"},
        {"frames": "x"}, {"frames": "1:2:3:4"}, {"frames": "9" * 300}, {"frames": "²"}, {"tick": "7"},
        {"tick": "1.5:2"}, {"time": "nan:1"}, {"time": "0:inf"}, {"frames": "1", "tick": "1:2"},
    ],
)  # fmt: skip
def test_a_range_that_is_not_there_is_refused(store: MemoryFrames, asked: dict[str, str]) -> None:
    """Frames before or after the recording, steps that do not go forward, and text that is no range."""
    with pytest.raises(Refused) as refused:
        select(store, **asked)
    assert refused.value.reason == "bad_range"


def test_ticks_and_times_choose_frames(store: MemoryFrames) -> None:
    """From a up to, not including, b; either may be left out."""
    assert select(store, tick="12:16").numbers == range(1, 3)
    assert select(store, tick="13:").numbers == range(2, 2240)
    assert select(store, tick=":9").numbers == range(0)
    assert select(store, time="0.2:0.3").numbers == range(1, 4)


def test_fields_are_named_once_and_known(store: MemoryFrames) -> None:
    """Without names all fields; an unknown one is refused."""
    assert select(store, data="rows,energy,rows").fields == ("rows", "energy")
    assert select(store).fields == store.fields
    with pytest.raises(Refused) as refused:
        select(store, data="rows,colour")
    assert refused.value.reason == "bad_fields"


def test_parts_have_what_the_store_has(store: MemoryFrames) -> None:
    """What depends on the topology is one array for each segment, everything else one array."""
    selection = Selection(("rows", "energy", "active"), range(1499, 2202, 3))
    parts = parts_of(store, selection)
    assert [part.name for part in parts] == [
        "rows.0", "rows.1", "rows.2", "energy", "active.0", "active.1", "active.2",
    ]  # fmt: skip
    found = {part.name: np.concatenate(list(blocks)) for part, blocks in read_parts(store, parts)}
    for part in parts:
        assert found[part.name].shape == part.shape and found[part.name].nbytes == part.size
        numbers = iter(part.numbers)
        for block in store.frames(part.numbers, (part.field,)):
            for row in block.arrays[part.field]:
                assert np.array_equal(
                    found[part.name][part.numbers.index(next(numbers))], row, equal_nan=True
                )


def test_a_recording_of_many_segments_is_read_in_one_pass() -> None:
    """The frames of a field are asked for once, however many segments there are."""
    store, asked = MemoryFrames(seats=0), []
    for number in range(50):
        store.append(frames(2 * number, 1, seats=0), topology("affine", "affine"))
    real = store.frames

    def counted(numbers: range, fields: tuple[str, ...]):  # type: ignore[no-untyped-def]
        asked.append(fields)
        return real(numbers, fields)

    store.frames = counted  # type: ignore[assignment, method-assign]
    parts = parts_of(store, Selection(("rows", "tick"), range(50)))
    assert len([block for _, blocks in read_parts(store, parts) for block in blocks]) == 100
    assert asked == [("rows",), ("tick",)]
