"""Frames as npy, npz, msgpack, Arrow and JSON: read by numpy, msgspec, pyarrow and json."""

from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from tests.server.recordings.frames import fill
from tussle.lobby.errors import Refused
from tussle.server.recordings import answers
from tussle.server.recordings.answers import FORMATS, answer, gathered
from tussle.server.recordings.frame_store import Array, MemoryFrames
from tussle.server.recordings.selection import Selection, parts_of, read_parts

ABOUT = {"session": "k7qm2xpv"}


@pytest.fixture(scope="module")
def store() -> MemoryFrames:
    store = MemoryFrames(seats=2)
    fill(store)
    return store


def wanted(store: MemoryFrames, selection: Selection) -> dict[str, Array]:
    return {
        part.name: np.concatenate([np.empty((0, *part.item), part.dtype), *blocks])
        for part, blocks in read_parts(store, parts_of(store, selection))
    }


def body(store: MemoryFrames, selection: Selection, form: str) -> bytes:
    made = answer(store, selection, form, ABOUT)
    data = b"".join(gathered(made.pieces()))
    assert made.length is None or made.length == len(data)
    return data


def same(found: dict[str, Array], right: dict[str, Array]) -> None:
    assert list(found) == list(right)
    for name, array in right.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array, equal_nan=True), name


def test_npz_is_what_numpy_reads(store: MemoryFrames) -> None:
    """Every field of frames of three segments, of one frame, and of none."""
    for numbers in (range(1400, 2205, 5), range(-1 % 2240, 2240), range(2240, 2240)):
        selection = Selection(store.fields, numbers)
        with np.load(io.BytesIO(body(store, selection, "npz"))) as found:
            same(dict(found), wanted(store, selection))


def test_npy_is_one_array_and_begins_at_any_byte(store: MemoryFrames) -> None:
    """numpy reads it; from any byte on the pieces are the rest of it; two arrays are refused."""
    selection = Selection(("rows",), range(100, 1300, 7))
    data = body(store, selection, "npy")
    assert np.array_equal(np.load(io.BytesIO(data)), wanted(store, selection)["rows"], equal_nan=True)
    part = answer(store, selection, "npy", ABOUT).part
    assert part is not None
    for start in (0, 5, 128, 129, 3000, len(data) - 1, len(data)):
        assert b"".join(part(start)) == data[start:]
    for bad in (Selection(("rows", "tick"), range(3)), Selection(("rows",), range(1400, 1600))):
        with pytest.raises(Refused) as refused:
            answer(store, bad, "npy", ABOUT)
        assert refused.value.reason == "bad_format"


def test_msgpack_has_the_bytes_of_each_array(store: MemoryFrames) -> None:
    """A map with the session, the frames, and of each array its type, its shape and its numbers."""
    selection = Selection(store.fields, range(1490, 1510))
    document = msgspec.msgpack.decode(body(store, selection, "msgpack"))
    assert document["session"] == ABOUT["session"] and document["frames"] == [1490, 1510, 1]
    arrays = {
        name: np.frombuffer(one["data"], one["dtype"]).reshape(one["shape"])
        for name, one in document["arrays"].items()
    }
    same(arrays, wanted(store, selection))


def test_json_has_lists_and_null_for_what_is_no_number(store: MemoryFrames) -> None:
    """NaN and infinity, which JSON does not have, are null."""
    selection = Selection(store.fields, range(1490, 1510))
    document = json.loads(body(store, selection, "json"))
    assert document["frames"] == [1490, 1510, 1]
    right = wanted(store, selection)
    assert set(document["arrays"]) == set(right)
    for name, array in right.items():
        found = np.array(document["arrays"][name], float if array.dtype.kind == "f" else None)
        array = np.where(np.isfinite(array), array, np.nan) if array.dtype.kind == "f" else array
        assert np.allclose(found, array, rtol=1e-6, equal_nan=True), name


def test_arrow_is_a_table_with_a_row_for_each_frame(store: MemoryFrames) -> None:
    """A field with several numbers is a list; a selection of two segments is refused."""
    selection = Selection(store.fields, range(10, 1490, 2))
    table = pa.ipc.open_stream(body(store, selection, "arrow")).read_all()
    for name, array in wanted(store, selection).items():
        found: Any = table.column(name).combine_chunks()
        if array.ndim > 1:
            found = found.flatten()
        numbers = found.to_numpy(zero_copy_only=False)
        assert np.array_equal(numbers, array.reshape(-1), equal_nan=array.dtype.kind == "f"), name
    with pytest.raises(Refused) as refused:
        answer(store, Selection(("rows",), range(1400, 1600)), "arrow", ABOUT)
    assert refused.value.reason == "bad_format"


@pytest.mark.parametrize("form", FORMATS)
def test_more_than_an_answer_may_have_is_refused(
    store: MemoryFrames, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size is known before a frame is read."""
    monkeypatch.setattr(answers, "MOST_BYTES", 1000)
    with pytest.raises(Refused) as refused:
        answer(store, Selection(("rows",), range(100)), form, ABOUT)
    assert refused.value.reason == "too_many_frames"


def test_small_pieces_are_joined(store: MemoryFrames) -> None:
    """The bytes are the same in fewer pieces."""
    pieces = [b"x" * 1000] * 1000 + [b"y" * 2**20]
    joined = list(gathered(iter(pieces)))
    assert b"".join(joined) == b"".join(pieces) and len(joined) < 10
