"""The contract of a frame store. Every kind keeps it: in memory, on a local disk, on an object store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.server.recordings.frames import DTYPES, Kept, fill, frames, read, topology
from tussle.lobby.errors import Refused
from tussle.server.recordings.frame_store import OPTIONAL, Array, FrameStore

CHUNK_BYTES = 2**20


def same(found: list[Array], wanted: list[Array]) -> bool:
    """Whether the arrays are equal to the bit, in type too."""
    pairs = list(zip(found, wanted, strict=True))
    return all(a.dtype == b.dtype and a.tobytes() == np.ascontiguousarray(b).tobytes() for a, b in pairs)


@pytest.mark.parametrize("reopened", [False, True])
def test_frames_come_back_to_the_bit(kept: Kept, reopened: bool) -> None:
    """Every field, whole and in any forward range, over borders of chunks and segments, before and after closing."""
    store = kept.create()
    wanted = fill(store)
    if reopened:
        store.close()
        store = kept.reopen()
    assert store.length == 2240
    assert set(store.fields) == set(DTYPES)
    everything = read(store, range(2240), store.fields)
    for name in DTYPES:
        assert same(everything[name], wanted[name]), name
    for numbers in (
        range(0),
        range(5, 6),
        range(1020, 1030),
        range(1490, 1510),
        range(3, 2240, 7),
        range(2239, 2240),
    ):
        found = read(store, numbers, ("rows", "tick", "out"))
        for name in found:
            assert same(found[name], [wanted[name][i] for i in numbers]), (name, numbers)


def test_a_block_has_one_segment_and_a_bounded_size(kept: Kept) -> None:
    """A reader holds little of a long recording: no block of rows is larger than a chunk, or of two topologies."""
    store = kept.create()
    store.append(frames(0, 300, rows=2004, bodies=2), topology("elastic", "affine"), rows=(2000, 4))
    store.append(frames(600, 5), topology("affine", "affine"))
    blocks = list(store.frames(range(store.length), ("rows", "time")))
    assert sum(len(block.numbers) for block in blocks) == 305
    if type(store).__name__ != "MemoryFrames":
        assert max(block.arrays["rows"].nbytes for block in blocks) <= CHUNK_BYTES
    assert [block.segment for block in blocks] == sorted(block.segment for block in blocks)
    assert {block.arrays["rows"].shape[1:] for block in blocks} == {(2004, 3), (8, 3)}


def test_segments_and_their_meshes(kept: Kept) -> None:
    """Each topology is a segment with its first frame, its bodies and its meshes."""
    store = kept.create()
    fill(store)
    store.close()
    store = kept.reopen()
    assert [(s.first, s.frames, s.rows, s.moving) for s in store.segments] == [
        (0, 1500, 8, 2), (1500, 700, 12, 3), (2200, 40, 8, 2),
    ]  # fmt: skip
    for number, scene in enumerate(
        (topology("affine", "affine"), topology("elastic", "affine", "affine"), topology("affine", "affine"))
    ):
        found = store.topology(number)
        assert found.version == number
        for body, wanted in zip(found.bodies, scene.bodies, strict=True):
            assert (body.id, body.kind, body.seat, body.body) == (
                wanted.id, wanted.kind, wanted.seat, wanted.body,
            )  # fmt: skip
            assert np.array_equal(body.vertices, wanted.vertices)
            assert np.array_equal(body.faces, wanted.faces)
    with pytest.raises(Refused, match="segment 3") as refused:
        store.topology(3)
    assert refused.value.reason == "bad_range"


def test_attributes_are_kept(kept: Kept) -> None:
    """What the creator says, and what a writer changes before it closes."""
    store = kept.create({"mode": "duel", "dt": 1 / 60})
    store.append(frames(0, 3), topology("affine", "affine"))
    store.attributes["physics_id"] = "abc"
    store.close()
    attributes = kept.reopen().attributes
    assert (attributes["mode"], attributes["dt"], attributes["physics_id"]) == ("duel", 1 / 60, "abc")


def test_a_closed_recording_grows_on(kept: Kept) -> None:
    """Opened again to write, it goes on after its last frame; the frames before are unchanged."""
    store = kept.create()
    first, second = frames(0, 1300), frames(2600, 900)
    store.append(first, topology("affine", "affine"))
    store.close()
    store = kept.reopen(write=True)
    store.append(second)
    store.close()
    store = kept.reopen()
    found = read(store, range(store.length), ("rows",))["rows"]
    assert same(found, [*first["rows"], *second["rows"]])
    assert len(store.segments) == 1


def test_a_recording_without_seats(kept: Kept) -> None:
    """A trajectory of one's own has no seats, and no arrays of them."""
    store = kept.create(seats=0)
    store.append(frames(0, 4, seats=0), topology("affine", "affine"))
    assert not set(store.fields) & {"health", "score", "out"}
    assert read(store, range(4), ("tick",))["tick"] == [0, 2, 4, 6]


def test_an_empty_recording(kept: Kept) -> None:
    """Before its first frame a recording has length 0, can be read and closed."""
    store = kept.create({"mode": "duel"})
    assert (store.length, store.segments, list(store.frames(range(0), ("tick",)))) == (0, (), [])
    store.close()
    assert kept.reopen().length == 0


@pytest.mark.parametrize("numbers", [range(-1, 2), range(6), range(5, 7), range(4, 0, -1)])
def test_frames_that_do_not_exist_are_refused(kept: Kept, numbers: range) -> None:
    """A range outside of the recording, or backward, is refused as bad_range."""
    store = kept.create()
    store.append(frames(0, 5), topology("affine", "affine"))
    with pytest.raises(Refused) as refused:
        list(store.frames(numbers, ("tick",)))
    assert refused.value.reason == "bad_range"


def test_an_unknown_field_is_refused(kept: Kept) -> None:
    """A field that a recording does not have is refused as bad_fields, and named."""
    store = kept.create()
    with pytest.raises(Refused, match="no field colour") as refused:
        list(store.frames(range(0), ("tick", "colour")))
    assert refused.value.reason == "bad_fields"


def changed(name: str, value: Any) -> Callable[[dict[str, Array]], dict[str, Array]]:
    return lambda arrays: {**arrays, name: value}


def one(name: str, value: float) -> Callable[[dict[str, Array]], dict[str, Array]]:
    def change(arrays: dict[str, Array]) -> dict[str, Array]:
        array = arrays[name].astype(np.float64)
        array.flat[-1] = value
        return {**arrays, name: array}

    return change


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("data", lambda arrays: {name: array for name, array in arrays.items() if name != "energy"}),
        ("data", changed("colour", np.zeros(3))),
        ("tick", changed("tick", np.array([10, 10, 11]))),
        ("tick", changed("tick", np.array([-1, 1, 2]))),
        ("tick", changed("tick", np.array([1, 2, 2**32]))),
        ("tick", changed("tick", np.array([0.0, 1.0, 2.0]))),
        ("time", changed("time", np.zeros(2))),
        ("time", one("time", np.nan)),
        ("energy", one("energy", np.inf)),
        ("energy", one("energy", 1e300)),
        ("health", one("health", np.nan)),
        ("min_distance", one("min_distance", np.nan)),
        ("min_distance", one("min_distance", -1.0)),
        ("contacts", changed("contacts", np.array(["a", "b", "c"]))),
        ("out", changed("out", np.zeros((3, 3), np.bool_))),
        ("active", changed("active", np.ones((3, 1), np.bool_))),
        ("rows", changed("rows", np.zeros((3, 4, 3)))),
        ("rows", one("rows", np.nan)),
        ("rows", one("rows", np.inf)),
        ("rows", changed("rows", np.zeros((3, 8, 3)))),
    ],
)
def test_frames_that_are_no_state_are_refused(
    kept: Kept, field: str, change: Callable[[dict[str, Array]], dict[str, Array]]
) -> None:
    """Missing and foreign fields, wrong shapes and types, NaN, ticks that go back: refused whole, with the field."""
    store = kept.create()
    store.append(frames(0, 3), topology("affine", "affine"))
    with pytest.raises(Refused) as refused:
        store.append(change(frames(6, 3)))
    assert (refused.value.reason, refused.value.field) == ("bad_frames", field)
    assert store.length == 3
    store.append(frames(6, 3))
    assert store.length == 6


def test_frames_without_kinds_of_energy_have_zeros(kept: Kept) -> None:
    """A client of before there were kinds of energy sends frames without them."""
    store = kept.create()
    arrays = {name: array for name, array in frames(0, 3).items() if name not in OPTIONAL}
    store.append(arrays, topology("affine", "affine"))
    [block] = store.frames(range(3), ("energy", *OPTIONAL))
    assert block.arrays["energy"].any() and not any(block.arrays[name].any() for name in OPTIONAL)


def test_the_ticks_grow_from_one_append_to_the_next(kept: Kept) -> None:
    """A frame that is not after the last one is refused."""
    store = kept.create()
    store.append(frames(10, 3), topology("affine", "affine"))
    with pytest.raises(Refused) as refused:
        store.append(frames(14, 3))
    assert refused.value.field == "tick"


def test_the_first_frames_need_a_topology(kept: Kept) -> None:
    """Without one nothing says what the rows are."""
    store = kept.create()
    with pytest.raises(Refused) as refused:
        store.append(frames(0, 3))
    assert (refused.value.reason, refused.value.field, store.length) == ("bad_frames", "topology", 0)


def test_refused_frames_begin_no_segment(kept: Kept) -> None:
    """A new topology with frames that do not fit it changes nothing."""
    store: FrameStore = kept.create()
    store.append(frames(0, 3), topology("affine", "affine"))
    with pytest.raises(Refused):
        store.append(frames(6, 3), topology("affine", "affine", "affine"))
    assert len(store.segments) == 1
    store.append(frames(6, 3))
    assert store.length == 6
