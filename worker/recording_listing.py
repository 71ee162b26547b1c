"""Puts recorded sessions on the lists, and takes those off that are removed; makes the lists again from their files.

    add -> RECORDINGS_URL/index/T.json -> the store      rebuild: every file of the index -> the store

The file is written first: what the store lists can always be listed again. The session's keys say whether it is
private; the file of a private session is never written. This module must never read the frames of a recording.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import msgspec

from tussle.lobby.errors import LobbyError, NotFound
from tussle.lobby.ids import is_session_token
from tussle.lobby.recorded_sessions import RecordedSession
from tussle.lobby.recording_index import RecordingIndex
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.views import Views
from tussle.server.recordings.recordings import Recordings

__all__ = ["Rebuilt", "RecordingListing"]

ROW_BYTES = 2**16
"""A longer file of the index is not one of ours [B]."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """listed: rows that the lists have now. unreadable: files of the index that are no rows. unlisted: recordings
    without a file: of private sessions, or made by an older version."""

    listed: int
    unreadable: int
    unlisted: int


class RecordingListing:
    """The lists of recorded sessions and their files, for a worker or a command."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._views = Views(store)
        self._index = RecordingIndex(store, settings.recordings_listed)
        self._recordings = Recordings(settings.recordings_address)
        self._most = settings.recordings_listed

    async def add(self, session: str) -> None:
        """List a session that is over and whose final group is written, unless it is private. A repeated call changes
        nothing. Raises StoreError, OSError."""
        try:
            view, private = await self._views.view_and_privacy(session)
            store, _ = await asyncio.to_thread(self._recordings.open_final, session)
        except LobbyError as error:
            if isinstance(error, NotFound) or error.reason in ("not_a_recording", "damaged_recording"):
                return  # its keys have expired, or there is nothing that a list could lead to
            raise
        if private:
            return
        row = RecordedSession.of(view, length=store.length, dt=await self._views.dt_of(session))
        await asyncio.to_thread(self._recordings.rows.write, _name(session), msgspec.json.encode(row))
        await self._index.add(row)

    async def remove(self, session: str) -> None:
        """Take a session off the lists, and delete its file. Raises StoreError, OSError."""
        await asyncio.to_thread(self._recordings.rows.delete, _name(session))
        await self._index.remove(session)

    async def prune(self) -> int:
        """Take the sessions off the lists whose recordings were removed by somebody else. Returns their number. An
        empty place changes nothing: it may be a disk that is not mounted. Raises StoreError, OSError."""
        listed = await self._index.sessions()
        there = await asyncio.to_thread(self._recordings.folders) if listed else set()
        gone = [session for session in listed if session not in there] if there else []
        for session in gone:
            await self.remove(session)
        return len(gone)

    async def rebuild(self) -> Rebuilt:
        """Make the lists again from the files of the index, for those recordings that are there. Rows without a file
        are taken off. Raises StoreError, OSError."""
        there = await asyncio.to_thread(self._recordings.folders)
        rows, unreadable = await asyncio.to_thread(self._read, there)
        newest = sorted(rows, key=lambda row: (row.ended_at, row.session))[-self._most :]
        kept = {row.session for row in newest}
        for session in await self._index.sessions():
            if session not in kept:
                await self._index.remove(session)
        for row in newest:
            await self._index.add(row)
        return Rebuilt(len(newest), unreadable, len(there - {row.session for row in rows}))

    def _read(self, there: set[str]) -> tuple[list[RecordedSession], int]:
        """The rows of the files of the index, and how many files are no rows. Raises OSError."""
        files, rows, unreadable = self._recordings.rows, list[RecordedSession](), 0
        for name in files.list():
            session, _, ending = name.partition(".")
            if ending != "json" or session not in there:
                continue
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                data = files.read(name)
                row = msgspec.json.decode(data, type=RecordedSession)
                if len(data) <= ROW_BYTES and row.session == session and is_session_token(session):
                    rows.append(row)
                    continue
            unreadable += 1
        return rows, unreadable


def _name(session: str) -> str:
    return f"{session}.json"
