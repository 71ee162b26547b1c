"""What the process that draws a picture gets and gives: the frame of the last blow and a camera at it; a PNG file."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.server.recordings.export.moving import FIRST, HIDDEN
from tussle.lobby.errors import NotFound, ProtocolError
from tussle.lobby.launch import bare_environment, module_command
from tussle.server.recordings.export.clip import Readable
from tussle.server.recordings.pictures import make_still
from tussle.server.recordings.zarr_frames import ZarrFrames

SIZE = (160, 84)


class WithEvents:
    """A recording with other events, which come in pieces of a few bytes."""

    def __init__(self, store: Readable, *events: dict[str, Any] | bytes) -> None:
        self._store = store
        self._text = b"".join(
            one if isinstance(one, bytes) else msgspec.json.encode(one) + b"\n" for one in events
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def events(self) -> Iterator[bytes]:
        for at in range(0, len(self._text), 7):
            yield self._text[at : at + 7]


def blow(store: Readable, number: int, point: Any) -> dict[str, Any]:
    """A blow in the frame of that number."""
    [frame] = store.frames(range(number, number + 1), ("tick",))
    return {"type": "blow", "tick": 0, "first_tick": int(frame.arrays["tick"][0]), "point": point}


def test_the_last_blow_is_shown(recording: str) -> None:
    """The frame of its first tick, with a camera that looks at its place; an earlier blow, one without a place and
    other events do not count. Without a blow: the last frame."""
    store = ZarrFrames.open(recording)
    [wanted] = store.frames(range(20, 21), ("rows",))
    [last] = store.frames(range(store.length - 1, store.length), ("rows",))
    shown = WithEvents(
        store,
        blow(store, 4, [9.0, 0.0, 9.0]),
        blow(store, 20, [1.0, 0.1, -0.5]),
        {"type": "turn_ended", "note": '"blow"'},
        blow(store, 30, [1.0, "x"]),
    )
    still = make_still(shown, SIZE)
    assert np.array_equal(still.rows, wanted.arrays["rows"])
    place = (np.array([1.0, still.bounds[0][1], -0.5]) - still.view.eye) @ still.view.axes.T
    assert abs(place[:2] / place[2]).max() < 0.3 * still.view.scale
    plain = make_still(WithEvents(store), SIZE)
    assert np.array_equal(plain.rows, last.arrays["rows"])


def test_a_body_that_the_blow_broke_is_shown(recording: str) -> None:
    """In the frame of the blow the world no longer has it: the frame before it is shown. A body that was gone before,
    and one of another segment, change nothing."""
    store = ZarrFrames.open(recording)
    for number, wanted in (
        (HIDDEN.start, HIDDEN.start - 1),
        (HIDDEN.start + 1, HIDDEN.start + 1),
        (FIRST, FIRST),
        (0, 0),
    ):
        still = make_still(WithEvents(store, blow(store, number, [1.0, 0.1, -0.5])), SIZE)
        [frame] = store.frames(range(wanted, wanted + 1), ("rows",))
        assert np.array_equal(still.rows, frame.arrays["rows"], equal_nan=True)


def test_what_cannot_be_shown_is_refused(recording: str) -> None:
    """A recording without a frame, and one with a damaged event."""
    store = ZarrFrames.open(recording)
    empty = WithEvents(store)
    empty.length = 0  # type: ignore[misc]
    with pytest.raises(NotFound) as refused:
        make_still(empty, SIZE)
    assert refused.value.reason == "no_frames"
    with pytest.raises(ProtocolError):
        make_still(WithEvents(store, b'{"type": "blow", \n'), SIZE)


def test_the_process_draws_what_it_gets(recording: str) -> None:
    """A Still in, a PNG file out, in a process that has no setting of ours; nothing comes out for other bytes."""
    still = make_still(ZarrFrames.open(recording), SIZE)
    command = module_command("server.recordings.export.still_maker")
    made = subprocess.run(
        command, input=pickle.dumps(still), capture_output=True, env=bare_environment(), check=True
    ).stdout
    assert made[:8] == b"\x89PNG\r\n\x1a\n"
    assert made[-8:-4] == b"IEND"
    assert int.from_bytes(made[16:20], "big") == SIZE[0]
    bad = subprocess.run(command, input=b"", capture_output=True, env=bare_environment(), check=False)
    assert (bad.returncode, bad.stdout) == (1, b"")
