"""The archive of sessions: specification, every input, a hash of every tick, some checkpoints.

    ARCHIVE_URL/T/manifest-<epoch>.json      written when a server takes the session
    ARCHIVE_URL/T/<epoch>.parts              many parts, one after the other
    ARCHIVE_URL/T/end.json                   written when the session has ended: the last tick, whether all was written,
                                             the last part of each epoch

It outlives the session's keys in the store, on any file system that fsspec supports. A file system that cannot append
gets one file per part, ``<epoch>-<number>.parts``. The bytes of each file, and how they are chained, are in parts.py.
The next holder records the ticks of a part that a crash cut off again, because a part is written before the checkpoint
that follows it. Two holders may record the same tick. The simulation is deterministic, so their hashes agree;
``tussle verify`` checks that (record.py, verify.py).

Writes run in threads, one at a time for each session. A session waits at most PATIENCE_S for a write. Records that
cannot be written stay in memory, at most WAITING_BYTES; a part that was written in part is overwritten. Beyond that the
rest is dropped, and ``end.json`` marks the archive as not whole. A failure of it must never end a session.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import msgspec

from tussle.lobby.daemon_thread import run_in_daemon_thread
from tussle.lobby.files import read_whole
from tussle.lobby.logs import get_logger, short
from tussle.server.archive.parts import (
    HASH_BYTES,
    SCHEMA,
    ArchiveEnd,
    ArchivePart,
    EpochEnd,
    Head,
    Manifest,
    TakenOver,
    describe_epoch,
    digest_of,
    encode_part,
    frame,
    group_files,
    seal,
)
from tussle.server.simulation.identity import origin
from tussle.server.simulation.simulation import Advance, Input, SessionSpec

__all__ = ["Archive", "Volume"]

log = get_logger("server.archive")

WAITING_BYTES = 64 * 2**20
"""Limit of the records of one session that wait for a slow archive; beyond it they are dropped, with an error."""

CHECKPOINT_TICKS = 600
"""Ticks between two checkpoints in the archive; a verification may start at any of them."""

FILE_BYTES = 2**31
"""A larger file is not read: its reader holds the whole file [B]."""

PATIENCE_S = 5.0
"""How long a session waits for a write [s]. A slower write continues in its thread; no later flush waits for it."""


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

    def files(self, session: str) -> list[str]:
        """Names of all files of a session; none if the archive does not have it."""
        if not session or "/" in session or "\0" in session or session in (".", ".."):
            return []
        folder = f"{self._root}/{session}"
        self._fs.invalidate_cache()
        if not self._fs.isdir(folder):
            return []
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in self._fs.ls(folder, detail=False))

    def size(self, session: str) -> int:
        """The bytes of all files of a session; 0 if the archive does not have it. Raises OSError."""
        if not self.files(session):
            return 0
        entries = self._fs.ls(f"{self._root}/{session}", detail=True)
        return sum(int(entry.get("size") or 0) for entry in entries)

    def read(self, session: str, name: str) -> bytes:
        """The bytes of one file. Raises OSError."""
        return read_whole(self._fs, f"{self._root}/{session}/{name}", FILE_BYTES)

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
        """Write one more part of a holder at byte ``at`` of its file. ``data``: its body. Returns the new size. Bytes
        after ``at``, of a write that failed half way, are cut off."""
        framed = frame(data)
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

    def write_end(self, end: ArchiveEnd) -> str:
        """Write the end of a session. ``end`` has the epoch of its writer; the others are read from their files.
        Returns its seal."""
        session = end.session
        own = {one.epoch for one in end.epochs}
        others = [
            describe_epoch(
                epoch,
                self.read(session, files.manifest) if files.manifest else None,
                [self.read(session, name) for name in files.parts],
            )
            for epoch, files in group_files(self.files(session))[0].items()
            if epoch not in own
        ]
        epochs = sorted([*end.epochs, *others], key=lambda one: one.epoch)
        data, stated = seal(msgspec.structs.replace(end, epochs=epochs))
        self.write(session, "end.json", data)
        return stated


@dataclass(slots=True)
class _Write:
    """A write in progress: a part and the hash of its body, or a file. ``done``: an exception, or the result."""

    part: ArchivePart | None
    sha256: str
    tick: int
    done: asyncio.Future[Any]
    slow: bool = False


class Volume:
    """The writer of one holder for one session. ``record`` and ``keep`` only add to memory. ``flush`` and ``end``
    write, and wait at most PATIENCE_S for each write. ``head``: the newest part that was written, None before it.
    ``fields``: the same for the store, beside the checkpoint that follows."""

    def __init__(self, archive: Archive, session: str, epoch: int) -> None:
        self.archived_tick = -1
        self.head: Head | None = None
        self._archive = archive
        self._session = session
        self._epoch = epoch
        self._manifest = ""
        self._number = 0
        self._size = 0
        self._files: deque[Callable[[], str | None]] = deque()
        self._inputs: list[tuple[int, Input]] = []
        self._hashes: list[tuple[int, bytes]] = []
        self._checkpoints: list[tuple[int, bytes]] = []
        self._waiting = 0
        self._tick = -1
        self._last_tick = 0
        self._kept_tick = -CHECKPOINT_TICKS
        self._given_up = False
        self._write: _Write | None = None
        self._flushing = asyncio.Lock()

    async def write_manifest(
        self,
        spec: SessionSpec,
        physics: str,
        taken_over: TakenOver | None = None,
        *,
        private: bool | None = None,
    ) -> None:
        """Write the manifest of this holder, before its first part. ``taken_over``: what it continues, if it did not
        begin the session. ``private``: whether the session is, if it is known."""
        stated = msgspec.UNSET if private is None else private
        data, self._manifest = seal(
            Manifest(
                SCHEMA, self._session, self._epoch, physics, origin(), spec, time.time(), taken_over, stated
            )
        )
        self._last_tick = max(self._last_tick, taken_over.tick if taken_over else 0)
        name = f"manifest-{self._epoch:06d}.json"
        self._files.append(partial(self._archive.write, self._session, name, data))
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
        self._last_tick = max(self._last_tick, advance.tick)  # a world that is restored records ticks again
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

    async def end(self, tick: int | None = None) -> None:
        """Write everything that waits, then the end of the session at ``tick``; None: at the last recorded tick. Does
        nothing for a session that has no manifest, because its world could not be built."""
        if not self._manifest:
            return
        await self.flush()
        tick = self._last_tick if tick is None else tick
        reason, archived = "", max(0, self.archived_tick)
        if self._given_up:
            reason = f"records after tick {archived} were dropped: too many waited to be written"
        elif self._lacking:
            reason = f"records after tick {archived} could not be written"
        if reason:
            log.error("archive_not_whole", token=short(self._session), tick=tick)
        last = "" if self.head is None else self.head.sha256
        own = EpochEnd(self._epoch, self._manifest, self._number, last)
        end = ArchiveEnd(tick, not reason, SCHEMA, self._session, self._epoch, reason, [own])
        self._files.append(partial(self._archive.write_end, end))
        await self.flush()

    @property
    def fields(self) -> dict[str, str]:
        return {} if self.head is None else {"archive_head": str(self.head)}

    @property
    def _lacking(self) -> bool:
        """Whether a record waits or a write is in progress."""
        return bool(self._write or self._files or self._inputs or self._hashes or self._checkpoints)

    def _begin_next(self) -> bool:
        """Begin the next write. Returns False if nothing waits."""
        if self._files:
            self._write = _Write(None, "", self.archived_tick, run_in_daemon_thread(self._files[0]))
            return True
        if not (self._inputs or self._hashes or self._checkpoints):
            return False
        previous = self._manifest if self.head is None else self.head.sha256
        part = ArchivePart(
            SCHEMA, self._epoch, self._number, self._inputs, self._hashes, self._checkpoints,
            session=self._session, previous=bytes.fromhex(previous),
        )  # fmt: skip
        self._inputs, self._hashes, self._checkpoints = [], [], []
        data = encode_part(part)
        done = run_in_daemon_thread(
            self._archive.append, self._session, self._epoch, self._number, self._size, data
        )
        self._write = _Write(part, digest_of(data), self._tick, done)
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
            if answer:
                log.info("archive_sealed", token=short(self._session), seal=answer)
        else:
            self.archived_tick, self._size = write.tick, answer
            self.head = Head(self._epoch, self._number, write.sha256)
            self._number += 1
            self._waiting = _size(self._inputs, self._hashes, self._checkpoints)
        return True


def _size(
    inputs: list[tuple[int, Input]], hashes: list[tuple[int, bytes]], checkpoints: list[tuple[int, bytes]]
) -> int:
    """The approximate size of these records [bytes]."""
    return 200 * len(inputs) + sum(len(data) for _, data in (*hashes, *checkpoints))
