"""What the recordings that are read from a Zarr group have in common, wherever their chunks are.

    GroupReader   frames, topology, events: from the group, whose chunks a subclass fetches
    GroupFrames   the same, read-only; metadata and last chunks are made from the group, as files

This module must never open a file itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tussle.lobby.errors import NotFound, ProtocolError, Refused
from tussle.lobby.wire.frames import Topology
from tussle.server.recordings.frame_store import Array, Frames, Segment
from tussle.server.recordings.group import RecordingGroup

__all__ = ["GroupFrames", "GroupReader"]


class GroupReader(ABC):
    """The reading side of a FrameStore over a group."""

    def __init__(self, group: RecordingGroup) -> None:
        self._group = group

    @abstractmethod
    def _fetch(self, path: str) -> bytes:
        """A complete chunk. Raises FileNotFoundError."""

    @property
    def attributes(self) -> dict[str, Any]:
        return self._group.attributes

    @property
    def length(self) -> int:
        return self._group.length

    @property
    def fields(self) -> tuple[str, ...]:
        return self._group.fields

    @property
    def seats(self) -> int:
        return self._group.seats

    @property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(self._group.segments)

    def frames(self, numbers: range, fields: Sequence[str]) -> Iterator[Frames]:
        return self._group.frames(numbers, fields, self._fetch)

    def topology(self, segment: int) -> Topology:
        return self._group.topology(segment, self._fetch)

    @property
    def events_bytes(self) -> int:
        """The size of all events [B]."""
        return self._group.events_bytes

    def events(self) -> Iterator[bytes]:
        """The events, as lines of JSON, in pieces."""
        return self._group.event_lines(self._fetch)


class GroupFrames(GroupReader):
    """A recording that is only read, whose complete chunks are in files and whose metadata and last chunks are made."""

    def __init__(self, group: RecordingGroup) -> None:
        super().__init__(group)
        self._made: dict[str, bytes] | None = None

    def append(
        self, arrays: Mapping[str, Array], topology: Topology | None = None, rows: Sequence[int] | None = None
    ) -> None:
        raise Refused("the recording was opened to be read", code="read_only")

    def close(self) -> None:
        """Nothing is saved."""

    def file(self, path: str) -> bytes:
        """A file of the Zarr group as it is now: metadata and last chunks are made, complete chunks are read. The bytes
        are those of the final group if no frame were added; ``zarr.json`` has the metadata of all arrays. Raises
        NotFound (no_recording)."""
        if self._made is None:
            self._made = dict(self._group.files(self._fetch))
            self._made["zarr.json"] = self._group.consolidated(self._made["zarr.json"])
        made = self._made.get(path)
        if made is not None:
            return made
        if not self._group.has_chunk(path):
            raise NotFound("there is no such file in the recording", code="no_recording")
        try:
            return self._fetch(path)
        except FileNotFoundError:
            raise ProtocolError(f"{path} is missing", code="damaged_recording") from None
