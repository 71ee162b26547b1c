"""A recording for scripts and notebooks: a sequence of frames that are read when they are used.

    rec = tussle.recording("k7qm2xpv")
    len(rec), rec[10:20].positions, rec[-1].energy, rec.body("halo").centre, rec.events
    for frame in rec.follow(): ...

This module must never repeat what player/recording_client.py does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from tussle.lobby.wire.frames import Topology
from tussle.player.clips import Arrays, RecordedBody, RecordedFrames, SegmentInfo
from tussle.player.recording_client import Recording

if TYPE_CHECKING:
    import xarray

__all__ = ["BlockingRecording"]

T = TypeVar("T")


class _Waiting(Protocol):
    """Runs a coroutine in the client's loop and waits for it."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], what: str) -> T: ...


class BlockingRecording:
    """A recording: a sequence of frames. ``tussle.recording`` and ``BlockingClient.recording`` make it. What a frame
    has is read when it is used, so that a slice of a large recording costs nothing."""

    def __init__(self, run: _Waiting, recording: Recording, close: Callable[[], None] = lambda: None) -> None:
        self._run = run
        self._recording = recording
        self._close = close
        self._run(recording.refresh(), "the recording")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that ``tussle.recording`` opened. Closing twice is allowed."""
        self._close()

    # what there is

    @property
    def attributes(self) -> dict[str, Any]:
        """Everything that is no array: session, mode, seats, spec, dt, physics_id, ..."""
        return self._recording.attributes

    @property
    def live(self) -> bool:
        """Whether frames may still be added, as of the last look."""
        return self._recording.live

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of what each frame has."""
        return self._recording.fields

    @property
    def segments(self) -> tuple[SegmentInfo, ...]:
        """The topologies, each with its frames and bodies."""
        return self._recording.segments

    @property
    def events(self) -> list[dict[str, Any]]:
        """What happened: ``{tick, type, ...}``, in order."""
        return self._run(self._recording.events(), "the events")

    def refresh(self) -> int:
        """Look again at what there is; the number of frames."""
        return self._run(self._recording.refresh(), "the recording")

    # frames

    def __len__(self) -> int:
        return len(self._recording)

    def __getitem__(self, index: int | slice) -> RecordedFrames:
        """A frame, or some. Raises IndexError for a frame that is not there."""
        if isinstance(index, int) and not -len(self) <= index < len(self):
            raise IndexError(f"there is no frame {index} of {len(self)}")
        numbers = self._recording.numbers(index)
        return RecordedFrames(self._recording.info, numbers, self, single=isinstance(index, int))

    def __iter__(self) -> Iterator[RecordedFrames]:
        """Frame by frame, read in blocks of a few megabytes."""
        for clip in self._each(self._recording.blocks()):
            yield from clip

    def blocks(self, *fields: str, frames: slice = slice(None)) -> Iterator[RecordedFrames]:
        """All frames in clips of a few megabytes, for a recording of any size."""
        return self._each(self._recording.blocks(*fields, frames=frames))

    def follow(self, *fields: str, start: int = 0) -> Iterator[RecordedFrames]:
        """Each frame from ``start`` on, as it is recorded, until the session is over."""
        return self._each(self._recording.follow(*fields, start=start))

    def body(self, name: str) -> RecordedBody:
        """One body over the whole recording, by its id or its name in the catalogue."""
        return self[:].body(name)

    def to_xarray(self, *fields: str) -> xarray.Dataset:
        """The whole recording as a Dataset, all fields without any; needs xarray."""
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
    def tick(self) -> Any:
        """The tick of every frame."""
        return self[:].tick

    @property
    def time(self) -> Any:
        """Simulated time of every frame [s]."""
        return self[:].time

    # writing

    def append(self, frame: Mapping[str, Any], topology: Topology | None = None) -> int:
        """Add one frame to a recording of one's own; see ``extend``. The new length."""
        return self._run(self._recording.append(frame, topology), "a frame")

    def extend(self, arrays: Mapping[str, Any], topology: Topology | None = None) -> int:
        """Add frames to a recording of one's own, in files: ``tick``, ``rows``, ``active``, and any other field.

        Raises Refused: bad_frames; read_only for what a session recorded, which never changes.
        """
        return self._run(self._recording.extend(arrays, topology), "frames")

    def derive(self, address: str, frames: slice = slice(None)) -> BlockingRecording:
        """A copy of some frames at a path or URL, which is one's own and may grow; see ``Recording.derive``."""
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
