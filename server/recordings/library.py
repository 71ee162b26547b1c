"""Recordings that a server has open for readers: opened once for many requests, read in separate threads.

    open -> mark (the store) -> the recording as of the mark, kept while it is used -> run: work in a thread

Any server reads any recording, of a session that runs and of a player's own too. This module must never know HTTP.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from tussle.lobby.errors import NotFound, StoreError
from tussle.lobby.ids import is_session_token
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.recording_marks import RecordingMark, RecordingMarks
from tussle.lobby.uploads import Upload, Uploads
from tussle.lobby.views import Views
from tussle.server.recordings.frame_store import FIELDS
from tussle.server.recordings.group_frames import GroupFrames
from tussle.server.recordings.recordings import Recordings
from tussle.server.recordings.uploaded import UploadedFrames
from tussle.server.recordings.zarr_frames import ZarrFrames

__all__ = ["Library", "OpenRecording", "describe_upload"]

T = TypeVar("T")

KEPT = 16
KEPT_BYTES = 2**23
"""A recording whose metadata is longer is read again for each request [B]."""

FORGOTTEN_S = 5.0
"""How long a recording without a mark in the store is kept open: its files may have been removed [s]."""

THREADS = 2

TRIES = 3


@dataclass(frozen=True, slots=True)
class OpenRecording:
    """A recording as of one moment. live: whether its session may still add frames. version: changes with its length.
    identity: stays the same while frames are added. upload: of a player's own recording, whose frames may change."""

    session: str
    store: ZarrFrames | GroupFrames
    live: bool
    version: str
    identity: str
    root: bytes = b""
    upload: Upload | None = None

    def file(self, path: str) -> bytes:
        """A file of the Zarr group. Raises NotFound (no_recording), ProtocolError (damaged_recording)."""
        return self.store.file(path)

    def describe(self) -> dict[str, Any]:
        """What there is, without the events and the frames."""
        store = self.store
        attributes = {key: value for key, value in store.attributes.items() if key != "events"}
        ends = range(store.length)[:1], range(store.length)[-1:]
        ticks = [int(b.arrays["tick"][0]) for numbers in ends for b in store.frames(numbers, ("tick",))]
        first, last = ticks or (None, None)
        upload = {} if self.upload is None else {"upload": describe_upload(self.upload)}
        return {
            **attributes,
            **upload,
            "session": self.session,
            "live": self.live,
            "length": store.length,
            "first_tick": first,
            "last_tick": last,
            "fields": {name: FIELDS[name] for name in store.fields},
            "segments": store.segments,
        }


def describe_upload(upload: Upload) -> dict[str, Any]:
    """An upload as clients see it."""
    return {
        "recording": upload.token, "player": upload.player, "name": upload.name, "title": upload.title,
        "mode": upload.mode, "version": upload.version, "length": upload.length, "bytes": upload.bytes,
        "made_at": upload.made_at, "changed_at": upload.changed_at,
    }  # fmt: skip


class Library:
    """The recordings of one server."""

    def __init__(self, recordings: Recordings, marks: RecordingMarks, views: Views, uploads: Uploads) -> None:
        self._recordings = recordings
        self._uploads = uploads
        self._marks = marks
        self._views = views
        self._threads = ThreadPoolExecutor(THREADS, "recordings")
        self._kept: OrderedDict[tuple[str, str], tuple[OpenRecording, float]] = OrderedDict()
        self._opening: dict[tuple[str, str], asyncio.Task[OpenRecording]] = {}

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Work in a thread. Raises what ``work`` raises; for an error of the file system StoreError
        (recordings_unreachable)."""
        try:
            context = contextvars.copy_context()
            return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, work, *args)
        except OSError as error:
            raise StoreError(
                f"recordings cannot be read now: {error.strerror or type(error).__name__}",
                code="recordings_unreachable",
            ) from error

    async def open(self, session: str) -> OpenRecording:
        """Raises NotFound (no_recording), ProtocolError (not_a_recording, damaged_recording), StoreError."""
        if not is_session_token(session):
            raise NotFound(
                f"{session[:16]!r} is not a session token", code="no_such_session", field="session"
            )
        for again in reversed(range(TRIES)):
            mark = await self._marks.load(session)
            upload = None if mark else await self._uploads.find(session)
            if upload is not None:
                return await self._open_upload(upload)
            try:
                return await self._open_at(session, mark)
            except NotFound:  # a holder or worker may have removed what an older mark named
                if mark is None or mark.final or not again:
                    raise
        raise AssertionError

    async def _open_at(self, session: str, mark: RecordingMark | None) -> OpenRecording:
        live = mark is not None and not mark.final and await self._runs(session)
        version = "" if mark is None else mark.final or f"{mark.sha256}{mark.stopped}"
        key = session, f"{version} {live}"
        return await self._shared(key, lambda: self._open(session, mark, live), keeps=mark is not None)

    async def _open_upload(self, upload: Upload) -> OpenRecording:
        def read() -> OpenRecording:
            store = UploadedFrames(self._recordings.blobs, upload.sha256)
            version = f"{upload.sha256}{upload.version}"
            return OpenRecording(upload.token, store, False, version, version, upload=upload)

        return await self._shared(
            (upload.token, f"upload {upload.sha256} {upload.version}"), read, keeps=True
        )

    async def _shared(
        self, key: tuple[str, str], read: Callable[[], OpenRecording], *, keeps: bool
    ) -> OpenRecording:
        """What ``read`` gives, read once for many requests."""
        now = asyncio.get_running_loop().time()
        kept = self._kept.get(key)
        if kept is not None and now < kept[1]:
            self._kept.move_to_end(key)
            return kept[0]
        opening = self._opening.get(key)
        if opening is None:
            opening = asyncio.create_task(self.run(read))
            self._opening[key] = opening
            opening.add_done_callback(lambda done: self._opened(key, done, keeps=keeps))
        return await asyncio.shield(opening)

    async def _runs(self, session: str) -> bool:
        try:
            _, status = await self._views.holder_of(session)
        except NotFound:
            return False
        return status not in ENDED

    def _open(self, session: str, mark: RecordingMark | None, live: bool) -> OpenRecording:
        root = b""
        store: ZarrFrames | GroupFrames
        if mark is None or mark.final:
            store, root = self._recordings.open_final(session, mark.final if mark else "")
            version = hashlib.sha256(root).hexdigest()
        else:
            store, version = self._recordings.open_live(session, mark), f"{mark.sha256}{mark.stopped}"
        kept = {name: store.attributes.get(name) for name in ("session", "seats", "spec", "physics_id", "dt")}
        identity = hashlib.sha256(orjson.dumps(kept)).hexdigest()
        return OpenRecording(session, store, live, version, identity, root)

    def _opened(self, key: tuple[str, str], done: asyncio.Task[OpenRecording], *, keeps: bool) -> None:
        self._opening.pop(key, None)
        if done.cancelled() or done.exception() is not None or len(done.result().root) > KEPT_BYTES:
            return
        now = asyncio.get_running_loop().time()
        for older in [k for k in self._kept if k[0] == key[0]]:
            del self._kept[older]
        self._kept[key] = done.result(), float("inf") if keeps else now + FORGOTTEN_S
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
