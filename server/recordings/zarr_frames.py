"""A recording in files: a Zarr group at a URL, on a local disk or an object store.

    create -> append ... -> close        open -> frames, topology        open(write=True) -> append ... -> close

A reader sees what was there when the recording was last closed. One process writes at a time. This module must never
know a session.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from tussle.lobby.errors import NotFound, ProtocolError, Refused
from tussle.lobby.files import Files, ReadsFiles
from tussle.lobby.wire.frames import Topology
from tussle.server.recordings.frame_store import Array
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.group_attributes import check_attributes
from tussle.server.recordings.group_frames import GroupReader
from tussle.server.recordings.packed import pack

__all__ = ["ZarrFrames"]

FILE = re.compile(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*(/zarr\.json)?|zarr\.json")
"""The path of a file of a group: nothing hidden, and nothing above it."""


class ZarrFrames(GroupReader):
    """A recording at a URL. Make one by ``create`` or ``open``."""

    def __init__(self, files: Files | ReadsFiles, group: RecordingGroup, *, write: bool) -> None:
        super().__init__(group)
        self._files = files
        self._write = write

    @classmethod
    def create(cls, url: str, attributes: Mapping[str, Any] | None = None, *, seats: int = 0) -> ZarrFrames:
        """A new recording. Raises Refused (recording_exists, reserved_attribute), or what the file system
        raises."""
        check_attributes(attributes or {})
        files = Files(url)
        if files.exists("zarr.json"):
            raise Refused("there is a recording at this address", code="recording_exists")
        return cls(files, RecordingGroup(attributes, seats=seats), write=True)

    @classmethod
    def open(cls, url: str, *, write: bool = False) -> ZarrFrames:
        """The recording at a URL. Raises NotFound (no_recording), ProtocolError (not_a_recording,
        damaged_recording)."""
        files = Files(url)
        try:
            data = files.read("zarr.json")
        except FileNotFoundError:
            raise NotFound("there is no recording at this address", code="no_recording") from None
        group = RecordingGroup.load(data)
        if write:
            group.resume(files.read)
        return cls(files, group, write=write)

    @property
    def attributes(self) -> dict[str, Any]:
        return self._group.attributes

    @attributes.setter
    def attributes(self, attributes: dict[str, Any]) -> None:
        check_attributes(attributes)
        self._group.attributes = attributes

    def _fetch(self, path: str) -> bytes:
        return self._files.read(path)

    def append(
        self, arrays: Mapping[str, Array], topology: Topology | None = None, rows: Sequence[int] | None = None
    ) -> None:
        if not self._write or not isinstance(self._files, Files):
            raise Refused("the recording was opened to be read", code="read_only")
        for path, data in self._group.append(arrays, topology, rows):
            self._files.write(path, data)

    def close(self) -> None:
        if self._write and isinstance(self._files, Files):
            for path, data in self._group.files(self._files.read):
                self._files.write(path, data)

    def pack(self, file: BinaryIO) -> None:
        """Write the recording into one file, as a server takes it: packed.py."""
        pack(file, self._group, self._files.read)

    def file(self, path: str) -> bytes:
        """A file of the group; ``zarr.json`` has the metadata of all arrays. Raises NotFound (no_recording),
        ProtocolError (damaged_recording)."""
        if not FILE.fullmatch(path):
            raise NotFound("there is no such file in the recording", code="no_recording")
        try:
            data = self._files.read(path)
            return self._group.consolidated(data) if path == "zarr.json" else data
        except OSError as error:
            absent = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
            if not absent and error.errno != errno.ENAMETOOLONG:
                raise
            if self._group.has_file(path):
                raise ProtocolError(f"{path} is missing", code="damaged_recording") from None
            raise NotFound("there is no such file in the recording", code="no_recording") from None
