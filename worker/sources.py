"""Sources of readings other than sessions. ``python -m worker source`` publishes one.

    SOURCE=mock        a sine, a ramp and a seeded random walk, for clients that need some data
    SOURCE=host        load, memory and CPU share of this machine (Linux, from /proc)
    SOURCE=csv:PATH    the rows of a CSV file that grows; each numeric column is a sensor
    SOURCE=log:PATH    a log that grows: lines, bytes and lines with an error since the last batch

A source lists its sensors and returns the readings that are new since the last call. This module must never publish a
reading twice.
"""

from __future__ import annotations

import asyncio
import csv
import math
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from tussle.lobby.environment import BadSetting
from tussle.lobby.errors import StoreError
from tussle.lobby.ids import is_session_token
from tussle.lobby.logs import get_logger
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.lobby.wire.sensors import Reading, Sensor, SensorInfo, now_utc
from tussle.worker.stopping import wait_for_stop

__all__ = ["CsvTail", "HostMetrics", "LogTail", "MockSource", "Source", "SourceProcess", "make_source"]

log = get_logger("worker.source")

ROWS_AT_ONCE = 1000
"""Most rows that one call reads from a file. It bounds the memory when the file has grown a lot."""


class Source(Protocol):
    """A source of readings. When ``sensors`` changes, the next batch publishes the new list."""

    kind: str

    @property
    def sensors(self) -> tuple[Sensor, ...]: ...

    def read_new(self) -> list[dict[str, Reading]]:
        """Return the readings since the last call, oldest first. Raises OSError if the source is unavailable; the
        caller may retry."""


class MockSource:
    """Three sensors. The same seed gives the same numbers."""

    kind = "mock"
    sensors = (
        Sensor("sine", "1", "sin(2 pi n / 60)"),
        Sensor("ramp", "1", "n modulo 100"),
        Sensor("walk", "1", "a random walk with steps of variance 1"),
    )

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._n = 0
        self._walk = 0.0

    def read_new(self) -> list[dict[str, Reading]]:
        self._n += 1
        self._walk += self._random.gauss(0.0, 1.0)
        return [
            {"sine": math.sin(2 * math.pi * self._n / 60), "ramp": float(self._n % 100), "walk": self._walk}
        ]


class HostMetrics:
    """Load, memory and CPU share of this machine; only the load where /proc is missing."""

    kind = "host"
    sensors = (
        Sensor("load", "1", "runnable processes, mean of one minute"),
        Sensor("cpu", "1", "share of all cores that was busy since the last batch; null in the first"),
        Sensor("memory_used", "B", "memory in use"),
        Sensor("memory_total", "B", "memory of the machine"),
    )

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._before: tuple[int, int] | None = None

    def read_new(self) -> list[dict[str, Reading]]:
        readings: dict[str, Reading] = {"load": os.getloadavg()[0]}
        if (self._proc / "meminfo").exists():
            total, available = self._memory()
            readings |= {"cpu": self._share(), "memory_used": total - available, "memory_total": total}
        return [readings]

    def _memory(self) -> tuple[float, float]:
        text = (self._proc / "meminfo").read_text()
        found = {
            name: float(kib) * 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
        }
        return found["MemTotal"], found["MemAvailable"]

    def _share(self) -> float | None:
        times = [int(part) for part in (self._proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
        total, idle = sum(times), times[3] + times[4]
        before, self._before = self._before, (total, idle)
        if before is None or total == before[0]:
            return None
        return 1.0 - (idle - before[1]) / (total - before[0])


class _Tail:
    """The complete new lines of a file that grows. A file that was replaced or truncated is read from its beginning."""

    def __init__(self, path: Path, *, from_end: bool) -> None:
        self._path = path
        self._place: tuple[int, int] | None = None
        self._from_end = from_end

    def lines(self) -> list[str]:
        with self._path.open("rb") as file:
            status = os.fstat(file.fileno())
            if self._place is None:
                self._place = (status.st_ino, status.st_size if self._from_end else 0)
            inode, offset = self._place
            if inode != status.st_ino or status.st_size < offset:
                inode, offset = status.st_ino, 0
            file.seek(offset)
            lines: list[str] = []
            while len(lines) < ROWS_AT_ONCE:
                line = file.readline()
                if not line.endswith(b"\n"):
                    break  # the line is still being written
                offset += len(line)
                lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
            self._place = (inode, offset)
        return lines


class CsvTail:
    """The rows of a CSV file from its beginning. The first line names the columns."""

    kind = "csv"

    def __init__(self, path: Path) -> None:
        self._tail = _Tail(path, from_end=False)
        self._columns: list[str] | None = None

    @property
    def sensors(self) -> tuple[Sensor, ...]:
        return tuple(Sensor(name, "", f"column {name}") for name in self._columns or ())

    def read_new(self) -> list[dict[str, Reading]]:
        rows = list(csv.reader(self._tail.lines()))
        if rows and self._columns is None:
            self._columns = [name.strip() for name in rows.pop(0)]
        found = []
        for row in rows:
            if row == self._columns:
                continue  # the header of a replaced file
            numbers = {name: _number(text) for name, text in zip(self._columns or (), row, strict=False)}
            readings: dict[str, Reading] = {
                name: value for name, value in numbers.items() if value is not None
            }
            if readings:
                found.append(readings)
        return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class LogTail:
    """The growth of a log from the start of this process."""

    kind = "log"
    sensors = (
        Sensor("lines", "1", "lines since the last batch"),
        Sensor("bytes", "B", "size of the lines"),
        Sensor("errors", "1", "lines with error, critical or Traceback"),
    )
    ERROR = re.compile(r"\b(error|critical|traceback)\b", re.IGNORECASE)

    def __init__(self, path: Path) -> None:
        self._tail = _Tail(path, from_end=True)

    def read_new(self) -> list[dict[str, Reading]]:
        lines = self._tail.lines()
        if not lines:
            return []
        size = sum(len(line.encode()) + 1 for line in lines)
        errors = sum(self.ERROR.search(line) is not None for line in lines)
        return [{"lines": float(len(lines)), "bytes": float(size), "errors": float(errors)}]


KINDS: dict[str, Callable[[str], Source]] = {
    "mock": lambda _: MockSource(),
    "host": lambda _: HostMetrics(),
    "csv": lambda path: CsvTail(Path(path)),
    "log": lambda path: LogTail(Path(path)),
}


def make_source(settings: Settings) -> tuple[str, Source]:
    """Return the name and the source of the settings SOURCE and SOURCE_NAME. Raises BadSetting."""
    kind, _, path = settings.source.partition(":")
    if kind not in KINDS or (kind in ("csv", "log")) != bool(path):
        raise BadSetting(f"SOURCE={settings.source}: must be host, mock, csv:PATH or log:PATH")
    name = settings.source_name or (Path(path).name if path else kind)
    if is_session_token(name) or not re.fullmatch(r"[\w.-]{1,64}", name):
        raise BadSetting(
            f"SOURCE_NAME={name}: letters, digits, dots and dashes, and not like a session token"
        )
    return name, KINDS[kind](path)


class SourceProcess:
    """Publishes one source at SOURCE_HZ. At the end it removes the source from the list of sources and keeps
    its stream."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.published = 0
        self._store = store
        self._settings = settings
        self._name, self._source = make_source(settings)
        self._since = now_utc()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Make ``run`` return."""
        self._stopping.set()

    async def run(self) -> None:
        """Publish until ``stop``. Retries when the source or the store is unavailable."""
        log.info("source_started", source=self._name, kind=self._source.kind)
        failing = False
        while not self._stopping.is_set():
            try:
                for readings in await asyncio.to_thread(self._source.read_new):
                    await self._publish(readings)
                failing = False
            except (OSError, StoreError) as error:
                if not failing:
                    log.warning("source_waiting", source=self._name, error=str(error))
                failing = True
            await wait_for_stop(self._stopping, 1 / self._settings.source_hz)
        await self._store.call("HDEL", self._store.keys.sources, self._name)
        log.info("source_stopped", source=self._name, published=self.published)

    async def _publish(self, readings: dict[str, Reading]) -> None:
        keys, settings = self._store.keys, self._settings
        stream = keys.source(self._name)
        info = SensorInfo(
            self._name, self._source.kind, 1 / settings.source_hz, self._source.sensors, self._since
        )
        await self._store.run(
            "source",
            [keys.sources, stream],
            [
                self._name, keys.live(stream), keys.sources, settings.telemetry_kept, now_utc(),
                msgspec.json.encode(readings), msgspec.json.encode(info),
            ],
        )  # fmt: skip
        self.published += 1
