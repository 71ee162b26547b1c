"""Frames that a client sends: how many one call may have."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from tussle.lobby.errors import Refused, StoreError
from tussle.server.recordings.uploading import MOST_EDITS, MOST_FRAMES, SentFrames, reachable

FULL = Path("/dev/full")


def sent(count: int, edits: int = 0) -> bytes:
    ticks = np.arange(count, dtype="<u4")
    array = {"dtype": "<u4", "shape": [count], "data": ticks.tobytes()}
    return msgspec.msgpack.encode({"arrays": {"tick": array}, "base": dict.fromkeys(range(edits), 1)})


def test_the_frames_of_one_call_are_bounded() -> None:
    """More frames than an answer names are refused, and more edits than the store compares are not even decoded."""
    arrays, _ = msgspec.msgpack.decode(sent(MOST_FRAMES, MOST_EDITS), type=SentFrames).decoded()
    assert len(arrays["tick"]) == MOST_FRAMES
    with pytest.raises(Refused) as many:
        msgspec.msgpack.decode(sent(MOST_FRAMES + 1), type=SentFrames).decoded()
    assert many.value.reason == "bad_frames"
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(sent(1, MOST_EDITS + 1), type=SentFrames)


def test_a_full_disk_is_no_fault_of_the_server() -> None:
    """A file that cannot be written is reported as a store that is out of reach, which a client may ask again."""
    with pytest.raises(StoreError) as full, reachable(), FULL.open("wb", buffering=0) as file:
        file.write(b"PK")
    assert full.value.reason == "recordings_unreachable"
