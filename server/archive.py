"""What outlives a session's keys: its specification, every input, a hash of every tick, some checkpoints.

    ARCHIVE_URL/T/manifest-<epoch>.json      written when a server takes the session
    ARCHIVE_URL/T/<epoch>.parts              length (u32, little endian) + msgpack of Part, again and again
    ARCHIVE_URL/T/end.json                   written at the end: the last tick

Any file system that fsspec knows will do; one that cannot append has one file per part, ``<epoch>-<number>.parts``.
A part that was cut off by a crash is not there: the next holder records its ticks again, since parts are written before
the checkpoint behind them. Two holders may both record a tick; the simulation is deterministic, so their hashes agree,
and ``tussle verify`` checks that they do. Writing happens in threads; what cannot be written waits, within a bound,
and is reported.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import msgspec
import orjson

from lobby.errors import NotFound, ProtocolError
from lobby.logs import get_logger, short
from server.physics_id import origin
from server.simulation import Advance, Input, SessionSpec

__all__ = ["Archive", "Manifest", "Part", "Volume"]

log = get_logger("server.archive")

SCHEMA = "tussle-archive/1"
WAITING_BYTES = 64 * 2**20
"""Records of one session that wait for a slow archive; beyond it the session's archive is given up, loudly."""

CHECKPOINT_TICKS = 600
"""Ticks between two checkpoints in the archive; a verification may start at any of them."""

HASH_BYTES = 16


class Manifest(msgspec.Struct, frozen=True):
    """Under which physics a server ran the session, where that came from (``versions``), and what the session is."""

    schema: str
    session: str
    epoch: int
    physics_id: str
    versions: dict[str, str]
    spec: SessionSpec
    at: float


class Part(msgspec.Struct, frozen=True):
    """Some ticks of one holder. inputs: (tick, input) in the order applied. hashes: first tick and 16 bytes for
    each tick from there on, in runs. checkpoints: (tick, exact state)."""

    schema: str
    epoch: int
    number: int
    inputs: list[tuple[int, Input]]
    hashes: list[tuple[int, bytes]]
    checkpoints: list[tuple[int, bytes]]


class _End(msgspec.Struct, frozen=True):
    tick: int


class Archive:
    """The archive of a realm at a URL; an empty one means a folder in the data folder."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, self._root = fsspec.core.url_to_fs(url)
        self._local = "file" in self._fs.protocol

    def volume(self, session: str, epoch: int) -> Volume:
        """The place where one holder writes one session."""
        return Volume(self, session, epoch)

    def sessions(self) -> list[str]:
        """Tokens of all archived sessions."""
        if not self._fs.exists(self._root):
            return []
        return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in self._fs.ls(self._root, detail=False))

    def manifests(self, session: str) -> list[Manifest]:
        """By epoch. Raises NotFound."""
        names = [name for name in self._names(session) if name.rsplit("/", 1)[-1].startswith("manifest-")]
        if not names:
            raise NotFound(f"the archive has no session {session}", code="not_archived")
        return [self._read_json(name, Manifest) for name in names]

    def parts(self, session: str) -> Iterator[Part]:
        """In the order of epochs and numbers. Raises ProtocolError for a damaged one."""
        for name in self._names(session):
            if not name.endswith(".parts"):
                continue
            data, at = self._fs.cat_file(name), 0
            while at + 4 <= len(data):
                size = int.from_bytes(data[at : at + 4], "little")
                if at + 4 + size > len(data):
                    break  # cut off by a crash
                yield _decode(name, data[at + 4 : at + 4 + size], Part, json=False)
                at += 4 + size

    def end(self, session: str) -> int | None:
        """The last tick of a session that ended; None for one that did not."""
        path = f"{self._root}/{session}/end.json"
        return self._read_json(path, _End).tick if self._fs.exists(path) else None

    def write(self, session: str, name: str, data: bytes) -> None:
        """One file, whole or not at all."""
        path = f"{self._root}/{session}/{name}"
        self._fs.makedirs(f"{self._root}/{session}", exist_ok=True)
        if self._local:
            self._fs.pipe_file(path + ".tmp", data)
            self._fs.mv(path + ".tmp", path)
        else:
            self._fs.pipe_file(path, data)

    def append(self, session: str, epoch: int, number: int, data: bytes) -> None:
        """One more part of a holder's."""
        framed = len(data).to_bytes(4, "little") + data
        if not self._local:
            self.write(session, f"{epoch:06d}-{number:06d}.parts", framed)
            return
        with self._fs.open(f"{self._root}/{session}/{epoch:06d}.parts", "ab") as file:
            file.write(framed)

    def prune(self, days: float, now: float) -> int:
        """Remove sessions whose newest file is older than ``days``; how many."""
        removed = 0
        for session in self.sessions():
            files = self._fs.ls(f"{self._root}/{session}", detail=True)
            newest = max(
                (float(file.get("mtime") or file.get("created") or now) for file in files), default=now
            )
            if now - newest > days * 86400:
                self._fs.rm(f"{self._root}/{session}", recursive=True)
                removed += 1
        return removed

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


class Volume:
    """What one holder writes of one session. ``record`` and ``keep`` never block; ``flush`` writes."""

    def __init__(self, archive: Archive, session: str, epoch: int) -> None:
        self.archived_tick = -1
        self._archive = archive
        self._session = session
        self._epoch = epoch
        self._number = 0
        self._inputs: list[tuple[int, Input]] = []
        self._hashes: list[tuple[int, bytes]] = []
        self._checkpoints: list[tuple[int, bytes]] = []
        self._waiting = 0
        self._tick = -1
        self._kept_tick = -CHECKPOINT_TICKS
        self._given_up = False
        self._writing = asyncio.Lock()

    async def begin(self, spec: SessionSpec, physics: str) -> None:
        """Write the manifest of this claim."""
        manifest = Manifest(SCHEMA, self._session, self._epoch, physics, origin(), spec, time.time())
        name = f"manifest-{self._epoch:06d}.json"
        await self._try(self._archive.write, self._session, name, msgspec.json.encode(manifest))

    def record(self, advance: Advance, inputs: list[Input]) -> None:
        """Remember what an advance did."""
        if self._given_up:
            return
        first = advance.tick - advance.ticks_run + 1
        self._inputs += [(first, given) for given in inputs]
        if advance.hashes:
            self._hashes.append((first, b"".join(advance.hashes)))
        self._tick = advance.tick
        self._grow(HASH_BYTES * advance.ticks_run + 200 * len(inputs))

    def keep(self, tick: int, data: bytes) -> None:
        """Remember a checkpoint, if the last one is long enough ago."""
        if not self._given_up and tick - self._kept_tick >= CHECKPOINT_TICKS:
            self._kept_tick = tick
            self._checkpoints.append((tick, data))
            self._grow(len(data))

    def _grow(self, size: int) -> None:
        self._waiting += size
        if self._waiting > WAITING_BYTES:
            self._given_up = True
            self._inputs, self._hashes, self._checkpoints = [], [], []
            log.error("archive_given_up", token=short(self._session), tick=self._tick)

    async def flush(self) -> int:
        """Write what waits; the tick up to which everything is archived."""
        async with self._writing:
            if self._inputs or self._hashes or self._checkpoints:
                part = Part(SCHEMA, self._epoch, self._number, self._inputs, self._hashes, self._checkpoints)
                tick = self._tick
                self._inputs, self._hashes, self._checkpoints = [], [], []
                self._waiting = 0
                data = msgspec.msgpack.encode(part)
                if await self._try(self._archive.append, self._session, self._epoch, self._number, data):
                    self.archived_tick = tick
                    self._number += 1
                else:  # try again with what comes next
                    self._inputs[:0] = part.inputs
                    self._hashes[:0] = part.hashes
                    self._checkpoints[:0] = part.checkpoints
                    self._grow(sum(len(hashes) for _, hashes in part.hashes))
        return self.archived_tick

    async def end(self, tick: int) -> None:
        """Write everything, then that it is all."""
        await self.flush()
        await self._try(self._archive.write, self._session, "end.json", orjson.dumps({"tick": tick}))

    async def _try(self, work: Callable[..., None], *args: Any) -> bool:
        try:
            await asyncio.to_thread(work, *args)
        except Exception as error:  # noqa: BLE001 every file system has errors of its own; none ends a session
            log.error("archive_not_written", token=short(self._session), error=str(error))
            return False
        return True
