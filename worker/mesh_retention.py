"""Removes meshes that were not used for MESH_DAYS and that nothing names.

    last use is long ago -> is its hash in a scene, a session, the catalogue, an archive, a recording, an upload?
                            yes: that is a use, now      no: the store forgets it -> its file is removed

A hash is looked for as text, so that a document in any form keeps its meshes. Everything is read only when a mesh is a
candidate. Files and entries of dead processes are removed too: uploads that no job needs, reservations whose file never
came, ready meshes that the store does not know. Realms that share an ARCHIVE_URL cannot see what the others need: their
files are kept, and removed by hand. This module must never remove a mesh that it could not look for everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import fsspec

from tussle.lobby.files import READ_BYTES, Files, read_whole
from tussle.lobby.ids import is_session_token
from tussle.lobby.logs import get_logger
from tussle.lobby.mesh_files import READY, UPLOAD, MeshFiles
from tussle.lobby.mesh_store import Meshes
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.uploads import Uploads
from tussle.server.recordings.uploaded import BLOBS, place_of
from tussle.worker.stopping import wait_for_stop

__all__ = ["MeshRetention"]

log = get_logger("worker.meshes")

INTERVAL_S = 3600.0
DAY_MS = 86_400_000

LEFT_S = 3600.0
"""Age at which a file counts as left behind by a dead process [s]. No upload of a mesh and no job takes as long."""

RECORDING_LEFT_S = 86_400.0
"""The same of the upload of a recording, which may take hours."""

WORKING = ("storing", "queued", "working")

PAGE = 500


class MeshRetention:
    """The retention of meshes in one worker. Any number may run at once. ``clock``: the time [s since 1970]."""

    def __init__(self, store: Store, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._meshes = Meshes(store)
        self._files = MeshFiles(settings.archive_address, store.keys.realm)
        self._places = (settings.archive_address, settings.recordings_address)
        self._uploads = Uploads(store, settings)
        self._blobs = Files(f"{settings.recordings_address.rstrip('/')}/{BLOBS}")
        self._days = settings.mesh_days
        self._left = (
            (settings.data_dir / "meshing", LEFT_S),
            (settings.data_dir / "uploads", RECORDING_LEFT_S),
        )
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """One pass at start and every INTERVAL_S until ``stop``."""
        while not stop.is_set():
            try:
                removed = await self.run_pass()
            except Exception as error:  # noqa: BLE001 (file systems raise many kinds)
                log.warning("mesh_retention_failed", error=str(error))
            else:
                if removed:
                    log.info("meshes_removed", count=removed)
            await wait_for_stop(stop, INTERVAL_S)

    async def run_pass(self) -> int:
        """Remove what is too old. Returns the number of meshes that were forgotten.

        Raises StoreError, or what the file system raises; the meshes removed so far stay removed.
        """
        for folder, age_s in self._left:
            await asyncio.to_thread(_clear, folder, self._clock() - age_s)
        await asyncio.to_thread(self._files.note_realm)
        shared = await asyncio.to_thread(self._files.shared)
        removed = 0
        if self._days > 0:
            before = await self._store.now_ms() - round(self._days * DAY_MS)
            candidates = set(await self._meshes.unused(before))
            used = await self._used(candidates) if candidates else set()
            await self._meshes.touch(*used)
            for sha256 in candidates - used:
                if await self._meshes.forget(sha256, before):
                    if not shared:
                        await asyncio.to_thread(self._files.delete, sha256, READY)
                    removed += 1
        await self._forget_reservations()
        if not shared:
            await self._remove_orphans()
        return removed

    async def _forget_reservations(self) -> None:
        """Forget the uploads whose server died before their file was stored, and give their bytes back."""
        before = await self._store.now_ms() - round(LEFT_S * 1000)
        for sha256 in await self._meshes.unused(before):
            if await self._meshes.state(sha256) == "storing":
                await self._meshes.forget(sha256, before)

    async def _remove_orphans(self) -> None:
        """Remove the uploads that no job needs, and the ready meshes that neither the store nor anything else names."""
        orphans = set()
        for sha256, kind in await asyncio.to_thread(self._files.list):
            state = await self._meshes.state(sha256)
            if kind == UPLOAD and state not in WORKING:
                await asyncio.to_thread(self._files.delete, sha256, UPLOAD)
            elif kind == READY and not state:
                written = await asyncio.to_thread(self._files.written, sha256, READY)
                if written < self._clock() - LEFT_S:  # a worker stores the file before it ends the job
                    orphans.add(sha256)
        used = await self._used(orphans) if orphans else set()
        for sha256 in orphans - used:
            if not await self._meshes.state(sha256):
                await asyncio.to_thread(self._files.delete, sha256, READY)

    async def _used(self, candidates: set[str]) -> set[str]:
        """The candidates that something names."""
        names = {sha256.encode(): sha256 for sha256 in candidates}
        used: set[str] = set()

        def look(data: bytes) -> None:
            used.update(text for name, text in names.items() if text not in used and name in data)

        async for data in self._documents():
            look(data)
        for place in self._places:
            await asyncio.to_thread(_look_below, place, look)
        await self._look_in_tables(look)
        return used

    async def _look_in_tables(self, look: Callable[[bytes], None]) -> None:
        """The tables of uploaded recordings. One that is lost while others are there cannot be used by anybody. Raises
        FileNotFoundError if all are lost: the place itself may be out of reach."""
        read, lost = 0, None
        for upload in await self._uploads.all():
            try:
                look(await asyncio.to_thread(self._blobs.read, place_of(upload.sha256)))
                read += 1
            except FileNotFoundError as error:
                lost = error
                log.warning("recording_table_lost", recording=upload.token)
        if lost is not None and not read:
            raise lost

    async def _documents(self) -> AsyncIterator[bytes]:
        """The values of sessions, their scenes, and the catalogue."""
        keys = self._store.keys
        realm = re.sub(r"([*?\[\]\\^-])", r"\\\1", keys.prefix)
        for pattern in (keys.session("*"), keys.scene("*"), keys.catalogue("*")):
            cursor = "0"
            while True:
                cursor, page = await self._store.call(
                    "SCAN", cursor, "MATCH", realm + pattern.removeprefix(keys.prefix), "COUNT", PAGE
                )
                for key in page:
                    yield await self._value(key)
                if cursor == "0":
                    break

    async def _value(self, key: str) -> bytes:
        kind = await self._store.call("TYPE", key)
        if kind == "hash":
            return b"\n".join(await self._store.call("HVALS", key, raw=True))
        if kind == "string":
            return await self._store.call("GET", key, raw=True) or b""
        if kind == "stream" and ":scene" in key:
            entries = await self._store.call("XRANGE", key, "-", "+", raw=True)
            return b"\n".join(part for _, fields in entries for part in fields)
        return b""


def _described(address: str) -> Iterator[bytes]:
    """What describes each session below an address: manifests of an archive, metadata of a recording."""
    files, root = fsspec.core.url_to_fs(address)
    files.invalidate_cache()
    if not files.exists(root):
        return
    for folder in files.ls(root, detail=False):
        if not is_session_token(folder.rstrip("/").rsplit("/", 1)[-1].partition(".")[0]):
            continue
        for path in files.ls(folder, detail=False):
            name = path.rstrip("/").rsplit("/", 1)[-1]
            if name.startswith("manifest-") or name == "zarr.json":
                with contextlib.suppress(FileNotFoundError):  # the other retention removed it
                    yield read_whole(files, path, READ_BYTES)


def _look_below(address: str, look: Callable[[bytes], None]) -> None:
    """Look at one document after the other: there may be any number of sessions."""
    for data in _described(address):
        look(data)


def _clear(folder: Path, before: float) -> None:
    """Remove what is in a folder and was written before a time [s since 1970]."""
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            if path.stat().st_mtime < before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except FileNotFoundError:
            pass  # its process has removed it
        except OSError as error:
            log.warning("not_removed", path=str(path), error=str(error))
