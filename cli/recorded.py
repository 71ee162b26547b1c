"""Finds a recording for a command: in files, by the mark in the store, or through a server.

    path or URL of a Zarr group          -> that group
    token, --server                      -> the server's copy, over HTTP
    token                                -> RECORDINGS_URL, as far as the store's mark says; else the server's

This module must never change a recording.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec

from tussle.cli.running import find_running, server_of
from tussle.lobby.errors import NotFound, StoreError
from tussle.lobby.ids import is_session_token
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.recording_marks import RecordingMark, RecordingMarks
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.uploads import Upload, Uploads
from tussle.lobby.wire.replay import CameraView, NamedView
from tussle.server.recordings.export.clip import Readable
from tussle.server.recordings.group import RecordingGroup
from tussle.server.recordings.recordings import Recordings
from tussle.server.recordings.zarr_frames import ZarrFrames
from tussle.worker.recording_listing import Rebuilt, RecordingListing

__all__ = [
    "HttpFiles",
    "is_place",
    "marks_of_sessions",
    "mode_of_running",
    "named_views",
    "open_recording",
    "rebuild_lists",
    "uploads_of",
]

TIMEOUT_S = 30.0

ATTEMPTS = 20
LONGEST_WAIT_S = 10.0
"""Most requests to a busy server, and the longest wait between two of them [s]."""


class HttpFiles:
    """The files of a Zarr group at an HTTP address, to be read."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.Client(timeout=TIMEOUT_S, follow_redirects=True)

    def read(self, path: str) -> bytes:
        """Repeats a request that is answered with 429 or 503. Raises FileNotFoundError, or ConnectionError with the
        reason."""
        for _ in range(ATTEMPTS):
            try:
                answer = self._client.get(f"{self._url}/{path}")
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise ConnectionError(f"{self._url}: {error}") from None
            if answer.status_code not in (429, 503):
                break
            wait = answer.headers.get("retry-after", "1")
            time.sleep(min(LONGEST_WAIT_S, float(wait) if wait.isdecimal() else 1.0))
        if answer.status_code == 404:
            raise FileNotFoundError(2, "there is no such file", f"{self._url}/{path}")
        if answer.status_code != 200:
            raise ConnectionError(f"{self._url}/{path}: the server answers {answer.status_code}")
        return answer.content

    def close(self) -> None:
        self._client.close()


def is_place(source: str) -> bool:
    """Whether this is the path or URL of a Zarr group, and not a session's token."""
    return "/" in source or "\\" in source or source.endswith(".zarr") or not is_session_token(source)


@contextmanager
def open_recording(settings: Settings, source: str, *, server: str | None = None) -> Iterator[Readable]:
    """The recording of a session, or at a path or URL. Raises NotFound (no_recording), ProtocolError
    (not_a_recording, damaged_recording), OSError."""
    with ExitStack() as held:
        yield _find(settings, source, server, held)


def _find(settings: Settings, source: str, server: str | None, held: ExitStack) -> Readable:
    if is_place(source):
        return _at(source, held)
    if server:
        return _at(_address(settings, server, source), held)
    try:
        return Recordings(settings.recordings_address).open(source, _mark_of(settings, source))
    except NotFound:
        if not _knows_server(settings):
            raise NotFound(
                f"no recording {source} in {settings.recordings_address}, and no server is known",
                code="no_recording",
            ) from None
        return _at(_address(settings, None, source), held)


def _mark_of(settings: Settings, session: str) -> RecordingMark | None:
    """The mark of a session; None without one, and without a store that answers."""
    return asyncio.run(marks_of_sessions(settings, [session])).get(session)


async def marks_of_sessions(settings: Settings, sessions: Sequence[str]) -> dict[str, RecordingMark]:
    """The marks of those sessions that have one; none without a store that answers."""
    settings, found = _stored(settings), dict[str, RecordingMark]()
    if not settings.redis_url:
        return found
    with suppress(StoreError):
        store = await Store.connect(settings.redis_url, settings.realm)
        try:
            marks = RecordingMarks(store)
            for session in sessions:
                mark = await marks.load(session)
                if mark is not None:
                    found[session] = mark
        finally:
            await store.close()
    return found


async def mode_of_running(settings: Settings, session: str) -> str:
    """The mode of a session that has not ended; "" for any other, and without a store that answers."""
    settings = _stored(settings)
    if not settings.redis_url:
        return ""
    with suppress(StoreError):
        store = await Store.connect(settings.redis_url, settings.realm)
        try:
            status, mode = await store.call("HMGET", store.keys.session(session), "status", "mode")
            return str(mode or "") if status is not None and status not in ENDED else ""
        finally:
            await store.close()
    return ""


async def uploads_of(settings: Settings) -> list[Upload]:
    """The recordings that players uploaded; none without a store that answers."""
    settings = _stored(settings)
    if not settings.redis_url:
        return []
    with suppress(StoreError):
        store = await Store.connect(settings.redis_url, settings.realm)
        try:
            return await Uploads(store, settings).all()
        finally:
            await store.close()
    return []


async def rebuild_lists(settings: Settings) -> Rebuilt | None:
    """Make the lists of recorded sessions again; None without a store. Raises StoreError, OSError."""
    settings = _stored(settings)
    if not settings.redis_url:
        return None
    store = await Store.connect(settings.redis_url, settings.realm)
    try:
        return await RecordingListing(store, settings).rebuild()
    finally:
        await store.close()


def named_views(settings: Settings, source: str, *, server: str | None = None) -> dict[str, CameraView]:
    """The cameras that are kept with a session's recording, by name: from the server, or from the store. Empty for a
    group at a path, and without a store that answers. Raises OSError."""
    if is_place(source):
        return {}
    if not server:
        views = asyncio.run(_views(_stored(settings), source))
        if views or not _knows_server(settings):
            return {view.name: view.camera for view in views}
    with closing(HttpFiles(f"{server_of(settings, server)}/api/recordings/{source}")) as files:
        try:
            found = msgspec.json.decode(files.read("marks"), type=_Marks)
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            raise ConnectionError(f"{server_of(settings, server)}: {error}") from None
    return {view.name: view.camera for view in found.views}


class _Marks(msgspec.Struct, frozen=True):
    views: tuple[NamedView, ...] = ()


async def _views(settings: Settings, session: str) -> list[NamedView]:
    if not settings.redis_url:
        return []
    with suppress(StoreError):
        store = await Store.connect(settings.redis_url, settings.realm)
        try:
            kept = await store.call("HVALS", store.keys.replay_views(session))
            return [msgspec.json.decode(text, type=NamedView) for text in kept]
        finally:
            await store.close()
    return []


def _stored(settings: Settings) -> Settings:
    """The settings with the store of the running ``tussle up``, if none is set."""
    running = None if settings.redis_url else find_running(settings.data_dir)
    return replace(settings, redis_url=running.redis_url, realm=running.realm) if running else settings


def _knows_server(settings: Settings) -> bool:
    return bool(find_running(settings.data_dir)) or settings.server_url != Settings().server_url


def _address(settings: Settings, server: str | None, session: str) -> str:
    return f"{server_of(settings, server)}/api/recordings/{session}.zarr"


def _at(place: str, held: ExitStack) -> ZarrFrames:
    if not place.startswith(("http://", "https://")):
        if "://" not in place and not Path(place).is_dir():
            raise NotFound(f"there is no recording {place}", code="no_recording")
        try:
            return ZarrFrames.open(place)
        except (ImportError, ValueError) as error:  # a URL whose file system is unknown or not installed
            raise NotFound(f"{place}: {error}", code="no_recording") from None
    files = held.enter_context(closing(HttpFiles(place)))
    try:
        return ZarrFrames(files, RecordingGroup.load(files.read("zarr.json")), write=False)
    except FileNotFoundError:
        raise NotFound(f"there is no recording {place}", code="no_recording") from None
