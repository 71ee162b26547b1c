"""The archive of sessions: specification, every input, a hash of every tick, some checkpoints.

    ARCHIVE_URL/T/manifest-<epoch>.json      written when a server takes the session
    ARCHIVE_URL/T/<epoch>.parts              many of: length (u32, little endian) + msgpack of ArchivePart
    ARCHIVE_URL/T/end.json                   written when the session has ended: the last tick, whether all was written

It outlives the session's keys in the store, on any file system that fsspec supports. A file system that cannot append
gets one file per part, ``<epoch>-<number>.parts``. A reader ignores a part that a crash cut off. The next holder
records its ticks again, because a part is written before the checkpoint that follows it. Two holders may record the
same tick. The simulation is deterministic, so their hashes agree; ``tussle verify`` checks that.

Writes run in threads, one at a time for each session. A session waits at most PATIENCE_S for a write. Records that
cannot be written stay in memory, at most WAITING_BYTES; a part that was written in part is overwritten. Beyond that the
rest is dropped, and ``end.json`` marks the archive as not whole. A failure of it must never end a session.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import msgspec

from tussle.lobby.errors import NotFound, ProtocolError
from tussle.lobby.logs import get_logger, short
from tussle.server.simulation.identity import origin
from tussle.server.simulation.simulation import Advance, Input, SessionSpec

__all__ = ["Archive", "ArchiveEnd", "ArchivePart", "Manifest", "Volume"]

log = get_logger("server.archive")

SCHEMA = "tussle-archive/1"
WAITING_BYTES = 64 * 2**20
"""Limit of the records of one session that wait for a slow archive; beyond it they are dropped, with an error."""

CHECKPOINT_TICKS = 600
"""Ticks between two checkpoints in the archive; a verification may start at any of them."""

HASH_BYTES = 16

PATIENCE_S = 5.0
"""How long a session waits for a write [s]. A slower write continues in its thread; no later flush waits for it."""


class Manifest(msgspec.Struct, frozen=True):
    """The session's specification, and the physics with which one holder ran it. ``versions``: see ``origin``."""

    schema: str
    session: str
    epoch: int
    physics_id: str
    versions: dict[str, str]
    spec: SessionSpec
    at: float


class ArchivePart(msgspec.Struct, frozen=True):
    """Some ticks of one holder. inputs: (tick, input), in the order applied. hashes: runs of consecutive ticks, each as
    its first tick and 16 bytes per tick. checkpoints: (tick, exact state)."""

    schema: str
    epoch: int
    number: int
    inputs: list[tuple[int, Input]]
    hashes: list[tuple[int, bytes]]
    checkpoints: list[tuple[int, bytes]]


class ArchiveEnd(msgspec.Struct, frozen=True):
    """The last tick of a session that ended. ``whole``: its last holder wrote everything that it recorded."""

    tick: int
    whole: bool = True


class Archive:
    """The archive of a realm, at a URL that fsspec accepts."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, self._root = fsspec.core.url_to_fs(url)
        self._local = "file" in self._fs.protocol

    def volume(self, session: str, epoch: int) -> Volume:
        """The writer of one holder for one session."""
        return Volume(self, session, epoch)

    def sessions(self) -> list[str]:
        """Tokens of all archived sessions."""
        if not self._fs.exists(self._root):
            return []
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in self._fs.ls(self._root, detail=False))

    def manifests(self, session: str) -> list[Manifest]:
        """All manifests of a session, by epoch. Raises NotFound."""
        names = [name for name in self._names(session) if name.rsplit("/", 1)[-1].startswith("manifest-")]
        if not names:
            raise NotFound(f"the archive has no session {session}", code="not_archived")
        return [self._read_json(name, Manifest) for name in names]

    def parts(self, session: str) -> Iterator[ArchivePart]:
        """All parts of a session, by epoch and number. Raises ProtocolError for a damaged part."""
        for name in self._names(session):
            if not name.endswith(".parts"):
                continue
            data, at = self._fs.cat_file(name), 0
            while at + 4 <= len(data):
                size = int.from_bytes(data[at : at + 4], "little")
                if at + 4 + size > len(data):
                    break  # cut off by a crash
                yield _decode(name, data[at + 4 : at + 4 + size], ArchivePart, json=False)
                at += 4 + size

    def end(self, session: str) -> ArchiveEnd | None:
        """The end of a session; None if it has not ended, or its end could not be written."""
        path = f"{self._root}/{session}/end.json"
        end: ArchiveEnd | None = self._read_json(path, ArchiveEnd) if self._fs.exists(path) else None
        return end

    def write(self, session: str, name: str, data: bytes) -> None:
        """Write one file, atomically."""
        path = f"{self._root}/{session}/{name}"
        self._fs.makedirs(f"{self._root}/{session}", exist_ok=True)
        if self._local:
            self._fs.pipe_file(path + ".tmp", data)
            self._fs.mv(path + ".tmp", path)
        else:
            self._fs.pipe_file(path, data)

    def append(self, session: str, epoch: int, number: int, at: int, data: bytes) -> int:
        """Write one more part of a holder at byte ``at`` of its file. Returns the new size. Bytes after ``at``, of a
        write that failed half way, are cut off."""
        framed = len(data).to_bytes(4, "little") + data
        if not self._local:
            self.write(session, f"{epoch:06d}-{number:06d}.parts", framed)
            return at + len(framed)
        self._fs.makedirs(f"{self._root}/{session}", exist_ok=True)
        path = Path(f"{self._root}/{session}/{epoch:06d}.parts")
        path.touch()
        with path.open("r+b") as file:
            file.truncate(at)
            file.seek(at)
            file.write(framed)
        return at + len(framed)

    def _names(self, session: str) -> list[str]:
        folder = f"{self._root}/{session}"
        return sorted(self._fs.ls(folder, detail=False)) if self._fs.exists(folder) else []

    def _read_json(self, path: str, kind: Any) -> Any:
        return _decode(path, self._fs.cat_file(path), kind, json=True)


def _decode(path: str, data: bytes, kind: Any, *, json: bool) -> Any:
    try:
        return msgspec.json.decode(data, type=kind) if json else msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        name = path.rsplit("/", 1)[-1]
        raise ProtocolError(f"{name} is damaged: {error}", code="damaged_archive") from None


@dataclass(slots=True)
class _Write:
    """A write in progress. ``done``: an exception, or the result of the write."""

    part: ArchivePart | None
    tick: int
    done: asyncio.Future[Any]
    slow: bool = False


class Volume:
    """The writer of one holder for one session. ``record`` and ``keep`` only add to memory. ``flush`` and ``end``
    write, and wait at most PATIENCE_S for each write."""

    def __init__(self, archive: Archive, session: str, epoch: int) -> None:
        self.archived_tick = -1
        self._archive = archive
        self._session = session
        self._epoch = epoch
        self._number = 0
        self._size = 0
        self._files: deque[tuple[str, bytes]] = deque()
        self._inputs: list[tuple[int, Input]] = []
        self._hashes: list[tuple[int, bytes]] = []
        self._checkpoints: list[tuple[int, bytes]] = []
        self._waiting = 0
        self._tick = -1
        self._kept_tick = -CHECKPOINT_TICKS
        self._given_up = False
        self._write: _Write | None = None
        self._flushing = asyncio.Lock()

    async def write_manifest(self, spec: SessionSpec, physics: str) -> None:
        """Write the manifest of this holder."""
        manifest = Manifest(SCHEMA, self._session, self._epoch, physics, origin(), spec, time.time())
        self._files.append((f"manifest-{self._epoch:06d}.json", msgspec.json.encode(manifest)))
        await self.flush()

    def record(self, advance: Advance, inputs: list[Input]) -> None:
        """Add the inputs and hashes of an advance."""
        if self._given_up:
            return
        first = advance.tick - advance.ticks_run + 1
        self._inputs += [(first, given) for given in inputs]
        if advance.hashes:
            self._hashes.append((first, b"".join(advance.hashes)))
        self._tick = advance.tick
        self._grow(HASH_BYTES * advance.ticks_run + 200 * len(inputs))

    def keep(self, tick: int, data: bytes) -> None:
        """Add a checkpoint, if the previous one is at least CHECKPOINT_TICKS old."""
        if not self._given_up and tick - self._kept_tick >= CHECKPOINT_TICKS:
            self._kept_tick = tick
            self._checkpoints.append((tick, data))
            self._grow(len(data))

    def _grow(self, size: int) -> None:
        self._waiting += size
        if self._waiting > WAITING_BYTES and not self._given_up:
            self._given_up = True
            self._inputs, self._hashes, self._checkpoints = [], [], []
            log.error("archive_given_up", token=short(self._session), tick=self._tick)

    async def flush(self) -> int:
        """Write everything that waits. Returns the tick up to which everything is archived."""
        async with self._flushing:
            while await self._settled() and self._begin_next():
                pass
        return self.archived_tick

    async def end(self, tick: int) -> None:
        """Write everything that waits, then the end of the session at ``tick``."""
        await self.flush()
        whole = not self._given_up and not self._lacking
        if not whole:
            log.error("archive_not_whole", token=short(self._session), tick=tick)
        self._files.append(("end.json", msgspec.json.encode(ArchiveEnd(tick, whole))))
        await self.flush()

    @property
    def _lacking(self) -> bool:
        """Whether a record waits or a write is in progress."""
        return bool(self._write or self._files or self._inputs or self._hashes or self._checkpoints)

    def _begin_next(self) -> bool:
        """Begin the next write. Returns False if nothing waits."""
        archive, session = self._archive, self._session
        if self._files:
            name, data = self._files[0]
            self._write = _Write(None, self.archived_tick, _in_thread(archive.write, session, name, data))
            return True
        if not (self._inputs or self._hashes or self._checkpoints):
            return False
        part = ArchivePart(SCHEMA, self._epoch, self._number, self._inputs, self._hashes, self._checkpoints)
        self._inputs, self._hashes, self._checkpoints = [], [], []
        data = msgspec.msgpack.encode(part)
        done = _in_thread(archive.append, session, self._epoch, self._number, self._size, data)
        self._write = _Write(part, self._tick, done)
        return True

    async def _settled(self) -> bool:
        """Wait for the write in progress. Returns whether the next one may begin: False if it is slow or has failed."""
        write = self._write
        if write is None:
            return True
        await asyncio.wait([write.done], timeout=0 if write.slow else PATIENCE_S)
        if not write.done.done():
            if not write.slow:
                log.error("archive_slow", token=short(self._session), patience_s=PATIENCE_S)
            write.slow = True
            return False
        self._write, answer, part = None, write.done.result(), write.part
        if isinstance(answer, Exception):
            log.error("archive_not_written", token=short(self._session), error=str(answer))
            if part is not None and not self._given_up:  # write it again with the next part
                self._inputs[:0] = part.inputs
                self._hashes[:0] = part.hashes
                self._checkpoints[:0] = part.checkpoints
            return False
        if part is None:
            self._files.popleft()
        else:
            self.archived_tick, self._size = write.tick, answer
            self._number += 1
            self._waiting = _size(self._inputs, self._hashes, self._checkpoints)
        return True


def _size(
    inputs: list[tuple[int, Input]], hashes: list[tuple[int, bytes]], checkpoints: list[tuple[int, bytes]]
) -> int:
    """The approximate size of these records [bytes]."""
    return 200 * len(inputs) + sum(len(data) for _, data in (*hashes, *checkpoints))


def _in_thread(work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """Call ``work`` in a daemon thread. The future gets its result, or the exception that it raised as a value. A file
    system that hangs delays neither other work of this process nor its end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(answer: Any) -> None:
        if not done.done():
            done.set_result(answer)

    def run() -> None:
        try:
            answer = work(*args)
        except Exception as error:  # noqa: BLE001 file systems raise many kinds of errors; none may end a session
            answer = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, answer)

    threading.Thread(target=run, name="archive", daemon=True).start()
    return done
