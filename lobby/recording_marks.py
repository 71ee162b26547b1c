"""The mark of each session's recording: how far it goes, as its holder has committed it to the store.

    holder writes files -> checkpoint.lua or finish.lua, fenced -> session:T:recording -> readers trust only that
    after the end: a worker writes the final group -> publish_recording.lua, once -> readers use the final group

This module must never open a file of a recording.
"""

from __future__ import annotations

from dataclasses import dataclass

from tussle.lobby.store.store import Argument, Store

__all__ = ["RecordingMark", "RecordingMarks"]


@dataclass(frozen=True, slots=True)
class RecordingMark:
    """The frames of ticks up to ``tick``: ``length`` frames. ``state``: the file that has what is in no complete chunk,
    written by the holder of ``epoch``; sha256: of its bytes. stopped: why the recording stopped, or "". final: SHA-256
    of the final group's metadata, or "" before it is published."""

    epoch: int
    tick: int
    length: int
    state: str
    sha256: str
    stopped: str = ""
    final: str = ""

    def arguments(self) -> list[Argument]:
        """The fields that a holder writes, as names and values."""
        return [
            "epoch", self.epoch, "tick", self.tick, "length", self.length, "state", self.state,
            "sha256", self.sha256, "stopped", self.stopped,
        ]  # fmt: skip


class RecordingMarks:
    """The marks of a realm."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def load(self, session: str) -> RecordingMark | None:
        """The mark of a session; None before its first frame, and after its keys expired."""
        names = ("epoch", "tick", "length", "state", "sha256", "stopped", "final")
        found = await self._store.call("HMGET", self._store.keys.recording(session), *names)
        if found[0] is None:
            return None
        epoch, tick, length, *texts = found
        return RecordingMark(int(epoch), int(tick), int(length), *(text or "" for text in texts))

    async def publish(self, session: str, mark: RecordingMark, sha256: str) -> bool:
        """Make the final group the recording of a session that is over. Returns False, and changes nothing, if it is
        not over, is gone, has another mark, or another final group."""
        keys = self._store.keys
        reply = await self._store.run(
            "publish_recording", [keys.session(session), keys.recording(session)], [mark.sha256, sha256]
        )
        return bool(reply[1] == "1")
