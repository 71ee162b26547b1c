"""The recording of a running session, in files of several holders, and how it becomes one final group.

    RECORDINGS_URL/T.live/<epoch>/<path>         complete chunks, as the final group will have them
    RECORDINGS_URL/T.live/<epoch>/state-<n>      what is in no complete chunk, and which epoch wrote which chunks
    RECORDINGS_URL/T.zarr/<path>                 the final group

Each holder writes below its own epoch and never changes a complete file, so that a holder that lost its lease cannot
damage the recording. The store says which state is valid (lobby/recording_marks.py). The final group is a function of
the frames: two workers that make it at once write equal bytes. This module must never contact the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from tussle.lobby.errors import NotFound, ProtocolError
from tussle.lobby.files import Files
from tussle.lobby.recording_marks import RecordingMark
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.group_frames import GroupFrames
from tussle.server.recordings.zarr_layout import extend_digest

__all__ = [
    "LiveFrames",
    "LiveState",
    "OpenFrame",
    "compact",
    "final_folder",
    "finished_chunks",
    "live_folder",
    "read_state",
]


class OpenFrame(msgspec.Struct):
    """What is known of the next frame: the numbers of the ticks since the last one, and a topology that came with
    them."""

    min_distance: float = float("inf")
    contacts: int = 0
    iterations: int = 0
    topology: bytes | None = None


class _Saved(msgspec.Struct, frozen=True):
    tick: int
    epochs: list[tuple[int, dict[str, int]]]
    open: OpenFrame
    topology: bytes
    group: bytes
    grid: list[int]


@dataclass(slots=True)
class LiveState:
    """A recording in the making. tick: everything up to it is in. topology: hash of the last segment's. grid: how its
    rows are rounded, see stacking.grid_exponents.

    epochs: for each holder its epoch, and of each array that was there the number of chunks that were complete before.
    """

    group: RecordingGroup
    tick: int = -1
    epochs: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    open: OpenFrame = field(default_factory=OpenFrame)
    topology: bytes = b""
    grid: list[int] = field(default_factory=list)

    def begin_epoch(self, epoch: int) -> None:
        """What is written from now on is below another epoch."""
        known = {path: column.full for path, column in self.group.columns.items() if column.full}
        self.epochs.append((epoch, known))

    def place_of(self, path: str) -> str:
        """Where the chunk with a path of the final group is, below the session's folder."""
        folder, _, rest = path.partition("/c/")
        number = int(rest.split("/")[0])
        for epoch, known in reversed(self.epochs):
            if number >= known.get(folder, 0):
                return f"{epoch:06d}/{path}"
        raise FileNotFoundError(path)

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(
            _Saved(self.tick, self.epochs, self.open, self.topology, self.group.save(), self.grid)
        )

    @classmethod
    def decode(cls, data: bytes) -> LiveState:
        """Raises ProtocolError (damaged_recording)."""
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ProtocolError(f"the state of a recording: {error}", code="damaged_recording") from None
        group = RecordingGroup.restore(saved.group)
        return cls(group, saved.tick, saved.epochs, saved.open, saved.topology, saved.grid)


def live_folder(session: str) -> str:
    """The folder that holders write while the session runs."""
    return f"{session}.live"


def final_folder(session: str) -> str:
    """The folder of the final group, which a worker makes after the end."""
    return f"{session}.zarr"


def read_state(files: Files, mark: RecordingMark) -> LiveState:
    """The state that a mark names. files: of the session's live folder. Raises NotFound (no_recording),
    ProtocolError (damaged_recording)."""
    if not mark.state:
        raise NotFound("nothing was recorded", code="no_recording")
    try:
        data = files.read(f"{mark.epoch:06d}/{mark.state}")
    except FileNotFoundError:
        raise NotFound("the recording is not here", code="no_recording") from None
    if hashlib.sha256(data).hexdigest() != mark.sha256:
        raise ProtocolError("the state of a recording is another one", code="damaged_recording")
    state = LiveState.decode(data)
    if mark.stopped:
        state.group.attributes["stopped"] = {"after_tick": mark.tick, "reason": mark.stopped}
    return state


class LiveFrames(GroupFrames):
    """The frames of a session that still runs, as far as the mark goes."""

    def __init__(self, files: Files, mark: RecordingMark, final: Files | None = None) -> None:
        """files: below RECORDINGS_URL/T.live; final: below T.zarr, where a chunk is once a worker has removed the live
        folder. Raises as read_state."""
        self._files = files
        self._final = final
        self._state = read_state(files, mark)
        super().__init__(self._state.group)

    def _fetch(self, path: str) -> bytes:
        try:
            return self._files.read(self._state.place_of(path))
        except FileNotFoundError:
            if self._final is None:
                raise
            return self._final.read(path)


def compact(folder: Files, session: str, mark: RecordingMark) -> str:
    """Write the final group of a session that is over, from what its holders wrote up to a mark. Every complete chunk
    is compared with its digest. Returns the SHA-256 of the group's metadata, which is written last.

    Raises NotFound (no_recording), ProtocolError (damaged_recording), or what the file system raises.
    """
    live, final = folder.below(live_folder(session)), folder.below(final_folder(session))
    state = read_state(live, mark)
    for path, data in finished_chunks(live, state):
        final.write(path, data)
    for number in range(len(state.group.segments)):
        state.group.topology(number, final.read)  # compares the meshes with their hashes
    root = b""
    for path, data in state.group.files(final.read):
        final.write(path, data)
        root = data
    return hashlib.sha256(root).hexdigest()


def finished_chunks(live: Files, state: LiveState) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of every complete chunk, which are compared with their digests. Raises ProtocolError
    (damaged_recording), OSError."""
    digest, before = bytes(32), None
    for column, path in state.group.chunks():
        try:
            data = live.read(state.place_of(path))
        except FileNotFoundError:
            raise ProtocolError(f"{path} is missing", code="damaged_recording") from None
        digest = extend_digest(bytes(32) if column is not before else digest, data)
        before = column
        if path == column.layout.chunk_path(column.full - 1) and digest != column.digest:
            raise ProtocolError(f"{column.layout.path} has other chunks", code="damaged_recording")
        yield path, data
