"""A recording for scripts and notebooks: a sequence of frames that are read when they are used.

    rec = tussle.recording("k7qm2xpv")
    len(rec), rec[10:20].positions, rec[-1].energy, rec.body("halo").centre, rec.events
    for frame in rec.follow(): ...

This module must never repeat what player/recording_client.py does.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tussle.lobby.wire.frames import Topology
from tussle.player.clips import Arrays, RecordedBody, RecordedFrames, SegmentInfo
from tussle.player.loop_thread import ClosesAtExit
from tussle.player.recording_client import Recording

if TYPE_CHECKING:
    import xarray

    from tussle.player.blocking import BlockingClient

__all__ = ["BlockingRecording"]

T = TypeVar("T")


class _Waiting(Protocol):
    """Runs a coroutine in the client's loop and waits for it."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], what: str) -> T: ...


class BlockingRecording(ClosesAtExit):
    """A recording: a sequence of frames. ``tussle.recording`` and ``BlockingClient.recording`` make it. The data of a
    frame is read when it is used, so that taking a slice of a large recording reads nothing."""

    def __init__(self, run: _Waiting, recording: Recording, close: Callable[[], None] = lambda: None) -> None:
        self._run = run
        self._recording = recording
        self._close = close
        self._run(recording.refresh(), "the recording")

    def close(self) -> None:
        """Close the connections that ``tussle.recording`` opened. Closing twice is allowed."""
        self._close()

    # the description

    @property
    def attributes(self) -> dict[str, Any]:
        """The description without the arrays: session, mode, seats, spec, dt, physics_id, ..."""
        return self._recording.attributes

    @property
    def live(self) -> bool:
        """Whether frames may still be added, as of the last ``refresh``."""
        return self._recording.live

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields of each frame."""
        return self._recording.fields

    @property
    def segments(self) -> tuple[SegmentInfo, ...]:
        """The segments: consecutive frames with the same topology, and their bodies."""
        return self._recording.segments

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of the session, in order: ``{tick, type, ...}``."""
        return self._run(self._recording.events(), "the events")

    def refresh(self) -> int:
        """Read the description again; return the number of frames."""
        return self._run(self._recording.refresh(), "the recording")

    # frames

    def __len__(self) -> int:
        return len(self._recording)

    def __getitem__(self, index: int | slice) -> RecordedFrames:
        """Return one frame, or a slice of them. Raises IndexError for a frame that does not exist."""
        if isinstance(index, int) and not -len(self) <= index < len(self):
            raise IndexError(f"there is no frame {index} of {len(self)}")
        numbers = self._recording.numbers(index)
        return RecordedFrames(self._recording.info, numbers, self, single=isinstance(index, int))

    def __iter__(self) -> Iterator[RecordedFrames]:
        """Iterate over the frames, read in blocks of a few megabytes."""
        for clip in self._each(self._recording.blocks()):
            yield from clip

    def blocks(self, *fields: str, frames: slice = slice(None)) -> Iterator[RecordedFrames]:
        """Yield all frames as clips of a few megabytes, for a recording of any size."""
        return self._each(self._recording.blocks(*fields, frames=frames))

    def follow(self, *fields: str, start: int = 0) -> Iterator[RecordedFrames]:
        """Yield each frame from ``start`` on, as it is recorded, until the session is over."""
        return self._each(self._recording.follow(*fields, start=start))

    def body(self, name: str) -> RecordedBody:
        """Return one body over the whole recording, by its id or its name in the catalogue."""
        return self[:].body(name)

    def to_xarray(self, *fields: str) -> xarray.Dataset:
        """Return the whole recording as a Dataset with these fields, by default all. Needs xarray."""
        return self[:].to_xarray(*fields)

    @property
    def positions(self) -> Any:
        """Every vertex of every moving body: (frames, vertices, 3) [m]."""
        return self[:].positions

    @property
    def energy(self) -> Any:
        """Kinetic, gravity and elastic energy together [J], of every frame."""
        return self[:].energy

    @property
    def energies(self) -> dict[str, Any]:
        """Each kind of energy of every frame [J]; see ``RecordedFrames.energies``."""
        return self[:].energies

    @property
    def tick(self) -> Any:
        """The tick of every frame."""
        return self[:].tick

    @property
    def time(self) -> Any:
        """Simulated time of every frame [s]."""
        return self[:].time

    # writing

    def append(self, frame: Mapping[str, Any], topology: Topology | None = None) -> int:
        """Add one frame to a recording that no session made; see ``extend``. Returns the new length."""
        return self._run(self._recording.append(frame, topology), "a frame")

    def extend(self, arrays: Mapping[str, Any], topology: Topology | None = None) -> int:
        """Add frames to a recording that no session made: in files, such as one by ``derive``, or uploaded by this
        player to a server. See ``Recording.extend``.

        arrays: ``tick``, ``rows``, ``active``, and any other field.

        Raises Refused: bad_frames; read_only for what a session recorded, which never changes.
        """
        return self._run(self._recording.extend(arrays, topology), "frames")

    def edit(self, frame: int, values: Mapping[str, Any]) -> None:
        """Replace fields of a frame of an uploaded recording; see ``Recording.edit``."""
        self._run(self._recording.edit(frame, values), "an edit")

    @contextlib.contextmanager
    def lock(self, frame: int) -> Iterator[None]:
        """Lock a frame of an uploaded recording for several edits; see ``Recording.lock``."""
        lock = self._recording.lock(frame)
        self._run(lock.__aenter__(), "the lock of a frame")
        try:
            yield
        except BaseException as error:
            self._run(lock.__aexit__(type(error), error, error.__traceback__), "the release of a frame")
            raise
        self._run(lock.__aexit__(None, None, None), "the release of a frame")

    def versions(self) -> dict[int, int]:
        """The version of each edited frame of an uploaded recording: tick -> version."""
        return self._run(self._recording.versions(), "the versions")

    def upload(self, client: BlockingClient, *, title: str = "", listed: bool = True) -> BlockingRecording:
        """Upload this recording in files to a server, and open it there; see ``Client.upload_recording``."""
        return client.upload_recording(self._recording.address, title=title, listed=listed)

    def derive(self, address: str, frames: slice = slice(None)) -> BlockingRecording:
        """Write a copy of some frames to a path or URL. Frames may be added to the copy; see ``Recording.derive``."""
        return BlockingRecording(self._run, self._run(self._recording.derive(address, frames), "the copy"))

    # what clips ask for

    def frames(self, numbers: range, fields: Sequence[str]) -> Arrays:
        """The arrays of some frames, by name."""
        return self._run(self._recording.arrays(numbers, fields), "frames")

    def topology(self, segment: int) -> Topology:
        """The meshes of a segment."""
        return self._run(self._recording.topology(segment), "meshes")

    def _each(self, clips: AsyncIterator[RecordedFrames]) -> Iterator[RecordedFrames]:
        async def following() -> RecordedFrames | None:
            return await anext(clips, None)

        while (clip := self._run(following(), "the next frames")) is not None:
            clip.loader = self
            yield clip
