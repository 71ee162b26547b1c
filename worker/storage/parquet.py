"""The sink for Parquet files, partitioned by day and session. The files record how far each feed is stored.

    ROOT/events/day=2026-11-20/session=k7qm2xpv/17-0.parquet          17-0: the id of the first entry
    ROOT/lifecycle/day=2026-11-20/1795183709051-0.parquet             footer: last id, count of entries so far

A part is written under a hidden name, synced and then linked to its name, which fails if that name exists. So a part is
complete or missing, and two writers cannot store the same entries twice. After kill -9 the next writer continues after
the last id of the newest part. When a folder has many small parts they are merged. A merge first completes its result
under a hidden name; the next ``open`` finishes a merge that was interrupted. A reader must never see a row twice.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from tussle.lobby.store.consumer_group import Entry, split_id
from tussle.worker.storage.sink import Position, SinkUnavailable
from tussle.worker.storage.tables import TABLES, Feed, day_of, read_rows

__all__ = ["ParquetSink"]


PARTS_MERGED = 64
"""Number of small parts in a folder that are merged into one."""

MERGED = ".merged"

NO_FOLDER_SYNC = (errno.EACCES, errno.EINVAL, errno.ENOTSUP)
"""What a system answers that cannot open or sync a folder. Any other error, such as EIO, is one of the disk."""

T = TypeVar("T")

TYPES: dict[str, Any] = {
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "time": pa.timestamp("us", tz="UTC"),
}


class ParquetSink:
    """One folder. All file operations run in a thread, one at a time."""

    name = "parquet"

    def __init__(self, root: Path) -> None:
        self.root = root
        self._small: dict[Path, list[Path]] = {}

    async def open(self) -> None:
        await self._in_thread(self._recover)

    async def position(self, feed: Feed) -> Position:
        return await self._in_thread(lambda: self._position(feed))

    async def write(self, feed: Feed, after: Position, entries: Sequence[Entry]) -> Position:
        def work() -> Position:
            position = after
            for day, of_day in itertools.groupby(entries, key=lambda entry: day_of(feed, entry)):
                position = self._write_part(feed, self._folder(feed, day), position, list(of_day))
            return position

        return await self._in_thread(work)

    async def finish(self, feed: Feed) -> None:
        def work() -> None:
            for folder in self._folders(feed):
                self._merge(folder, self._parts(folder))
                self._small.pop(folder, None)

        await self._in_thread(work)

    async def close(self) -> None:
        """Do nothing: no file is open between writes."""

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise SinkUnavailable(f"{type(error).__name__}: {error}") from error

    # parts

    def _folder(self, feed: Feed, day: str) -> Path:
        folder = self.root / feed.table / f"day={day}"
        part = TABLES[feed.table].part
        return folder / f"{part}={feed.part}" if part else folder

    def _folders(self, feed: Feed) -> list[Path]:
        """The existing folders of a feed, oldest day first."""
        part = TABLES[feed.table].part
        days = sorted((self.root / feed.table).glob("day=*"))
        folders = [day / f"{part}={feed.part}" if part else day for day in days]
        return [folder for folder in folders if folder.is_dir()]

    @staticmethod
    def _parts(folder: Path) -> list[Path]:
        return sorted(folder.glob("*.parquet"), key=lambda path: split_id(path.stem))

    def _position(self, feed: Feed) -> Position:
        for folder in reversed(self._folders(feed)):
            parts = self._parts(folder)
            if parts:
                _sync(folder)  # the part may be one whose folder could not be synced when it was written
                footer = pq.read_metadata(parts[-1]).metadata
                return Position(footer[b"last"].decode(), int(footer[b"count"]))
        return Position()

    def _write_part(self, feed: Feed, folder: Path, after: Position, entries: list[Entry]) -> Position:
        position = Position(entries[-1].id, after.count + len(entries))
        rows = [row for entry in entries for row in read_rows(feed, entry)]
        times = [name for name, kind in TABLES[feed.table].columns if kind == "time"]
        for row in rows:
            for name in times:
                row[name] //= 1000  # microseconds, which every reader of Parquet supports
        schema = self._schema(feed, position)
        self._make_folder(folder)
        table = pa.Table.from_pylist(rows, schema=schema)
        hidden = folder / f".{secrets.token_hex(8)}.tmp"
        final = folder / f"{entries[0].id}.parquet"
        try:
            _write(table, hidden)
            os.link(hidden, final)
        finally:
            hidden.unlink(missing_ok=True)
        _sync(folder)
        small = self._small[folder]
        small.append(final)
        if len(small) >= PARTS_MERGED:
            self._merge(folder, small)
            self._small[folder] = []
        return position

    def _make_folder(self, folder: Path) -> None:
        """Make the folder of a part, and its name and those of its parents durable, once per process."""
        if folder in self._small and folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        for parent in folder.parents:
            _sync(parent)
            if parent == self.root.parent:
                break
        self._small.setdefault(folder, [])

    @staticmethod
    def _schema(feed: Feed, position: Position) -> Any:
        columns = [(name, TYPES[kind]) for name, kind in TABLES[feed.table].columns]
        about = {"last": position.id, "count": str(position.count), "stored_at": str(time.time_ns())}
        return pa.schema(columns, metadata=about)

    # merging; a kill may come between any two steps: write the whole hidden -> delete the parts -> rename the whole

    def _merge(self, folder: Path, parts: list[Path]) -> None:
        parts = [part for part in parts if part.exists()]
        if len(parts) < 2:
            return
        newest = pq.read_metadata(parts[-1]).metadata
        table = pa.concat_tables([pq.ParquetFile(part).read() for part in parts])
        about = {key: newest[key] for key in (b"last", b"count", b"stored_at")}
        table = table.replace_schema_metadata(
            {**about, b"parts": "\n".join(part.name for part in parts).encode()}
        )
        unfinished = folder / f".{secrets.token_hex(8)}.tmp"
        whole = folder / f".{parts[0].stem}{MERGED}"
        _write(table, unfinished)
        unfinished.rename(whole)
        _sync(folder)
        self._exchange(whole)

    @staticmethod
    def _exchange(whole: Path) -> None:
        """Replace parts by their merge. It may be interrupted anywhere and run again."""
        folder = whole.parent
        for name in pq.read_metadata(whole).metadata[b"parts"].decode().split("\n"):
            (folder / name).unlink(missing_ok=True)
        whole.rename(folder / f"{whole.name.removeprefix('.').removesuffix(MERGED)}.parquet")
        _sync(folder)

    def _recover(self) -> None:
        self._small.clear()
        self.root.mkdir(parents=True, exist_ok=True)
        for whole in self.root.rglob(f".*{MERGED}"):
            self._exchange(whole)
        for hidden in self.root.rglob(".*.tmp"):
            hidden.unlink(missing_ok=True)


def _write(table: Any, path: Path) -> None:
    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make the names in a folder durable, where the system supports it. Raises OSError if the disk fails."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
