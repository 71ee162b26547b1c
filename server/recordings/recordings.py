"""All recordings of a realm, at one fsspec URL: where that of a session is, while it runs and afterwards.

    recorder (the holder) -> T.live      finish (a worker) -> T.zarr      open -> a FrameStore to read
    uploads of players -> blobs          rows of the lists of recorded sessions -> index

This module must never contact the store: a caller brings the session's mark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from tussle.lobby.errors import NotFound, ProtocolError
from tussle.lobby.files import Files
from tussle.lobby.ids import is_session_token
from tussle.lobby.recording_marks import RecordingMark
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.live_files import LiveFrames, compact, final_folder, live_folder, read_state
from tussle.server.recordings.recorder import Recorder
from tussle.server.recordings.uploaded import BLOBS
from tussle.server.recordings.zarr_frames import ZarrFrames
from tussle.server.simulation.simulation import SessionSpec

__all__ = ["Recordings"]

INDEX = "index"
"""The folder of the rows of lists. No session has such a name."""


class Recordings:
    """The recordings at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._files = Files(url)

    def recorder(
        self,
        spec: SessionSpec,
        epoch: int,
        physics: str,
        on_stopped: Callable[[str], None] = lambda reason: None,
    ) -> Recorder:
        """The writer of one holder for one session."""
        return Recorder(self._files, spec, epoch, physics, on_stopped)

    def open(self, session: str, mark: RecordingMark | None) -> ZarrFrames | LiveFrames:
        """A session's recording, to be read. mark: as the store has it; None once its keys have expired. Raises
        NotFound (no_recording), ProtocolError (not_a_recording, damaged_recording)."""
        if not is_session_token(session):
            raise NotFound("there is no recording of this name", code="no_recording")
        if mark is None or mark.final:
            return ZarrFrames.open(f"{self.url.rstrip('/')}/{final_folder(session)}")
        return self.open_live(session, mark)

    def open_live(self, session: str, mark: RecordingMark) -> LiveFrames:
        """The recording of a session that has no final one, as far as a mark goes. Raises as ``open``."""
        final = self._files.below(final_folder(session))
        return LiveFrames(self._files.below(live_folder(session)), mark, final)

    def open_final(self, session: str, sha256: str = "") -> tuple[ZarrFrames, bytes]:
        """The final recording of a session, and its group's metadata. sha256: of the metadata, if it is known. Raises
        NotFound (no_recording), ProtocolError (not_a_recording, damaged_recording)."""
        files = self._files.below(final_folder(session))
        try:
            root = files.read("zarr.json")
        except FileNotFoundError:
            raise NotFound("there is no recording of this name", code="no_recording") from None
        if sha256 and hashlib.sha256(root).hexdigest() != sha256:
            raise ProtocolError("the recording is another one than was published", code="damaged_recording")
        return ZarrFrames(files, RecordingGroup.load(root), write=False), root

    @property
    def blobs(self) -> Files:
        """The files of uploads; see server/recordings/uploaded.py."""
        return self._files.below(BLOBS)

    @property
    def rows(self) -> Files:
        """The rows of the lists of recorded sessions, a file for each; see lobby/recording_index.py."""
        return self._files.below(INDEX)

    def folders(self) -> set[str]:
        """The sessions that have files of a recording. Raises OSError."""
        names = (name.rpartition(".") for name in self._files.list())
        return {
            session
            for session, _, ending in names
            if ending in ("zarr", "live") and is_session_token(session)
        }

    def has_files(self, session: str) -> bool:
        """Whether there are files of a session's recording. Raises OSError."""
        return self._files.exists(final_folder(session)) or self._files.exists(live_folder(session))

    def lacks(self, session: str, mark: RecordingMark) -> bool:
        """Whether the recording of a session that is over lacks ticks, or cannot be read. Raises OSError."""
        try:
            state = read_state(self._files.below(live_folder(session)), mark)
        except (NotFound, ProtocolError):
            return True
        return bool(mark.stopped or state.group.attributes.get("gaps"))

    def compact(self, session: str, mark: RecordingMark) -> str:
        """Write the final group of a session that is over. See live.compact."""
        return compact(self._files, session, mark)

    def drop_live(self, session: str) -> None:
        """Remove what the holders wrote, once the final group is published."""
        self._files.remove(live_folder(session))
