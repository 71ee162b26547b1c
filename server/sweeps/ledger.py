"""The folder of a sweep: what is done is on the disk, so that a sweep can be stopped at any time and continued.

    sweep.json          the plan
    rows.jsonl          the row of each finished run, in the order in which they finished
    results.parquet     the same as a table in the order of the runs, written at the end of each start
    recordings/         a folder for each run that was recorded (record_run)

A last line that was cut by a crash is dropped; its run is done again. This module must never simulate.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tussle.lobby.errors import Refused
from tussle.server.sweeps.plan import SweepPlan
from tussle.server.sweeps.single_run import Row

__all__ = ["SweepLedger", "read_plan", "read_rows"]

PLAN, ROWS, TABLE = "sweep.json", "rows.jsonl", "results.parquet"


class SweepLedger:
    """The rows of a sweep that is open for writing; a context manager. One process at a time has it."""

    def __init__(self, folder: Path, plan: SweepPlan) -> None:
        """Begin or continue a sweep. Raises Refused (bad_sweep) if the folder has another one, or is in use; nothing is
        changed then."""
        self.folder = folder
        self.plan = plan
        if (folder / PLAN).exists() and read_plan(folder) != plan:
            message = f"{folder} has another sweep: choose another folder, or remove {folder / PLAN}"
            raise Refused(message, code="bad_sweep", field="out")
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / ROWS).open("a+b")
        try:
            _lock(self._file.fileno(), folder)
            if not (folder / PLAN).exists():
                _replace(folder / PLAN, msgspec.json.format(msgspec.json.encode(plan), indent=1))
            rows, whole = _scan(folder / ROWS)
            self._file.truncate(whole)
        except BaseException:
            self._file.close()
            raise
        self.rows: dict[int, Row] = {row["run"]: row for row in rows}

    def __enter__(self) -> SweepLedger:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def waiting(self) -> Iterator[int]:
        """The runs that are not done."""
        return (run for run in range(self.plan.count) if run not in self.rows)

    def keep(self, row: Row) -> None:
        """Write the row of a run."""
        self._file.write(msgspec.json.encode(row) + b"\n")
        self._file.flush()
        self.rows[row["run"]] = row

    def write_table(self) -> Path | None:
        """Write results.parquet with all rows so far, instead of an older one. None: there is no row."""
        if not self.rows:
            return None
        import pyarrow as pa
        import pyarrow.parquet as pq

        os.fsync(self._file.fileno())
        rows = [self.rows[run] for run in sorted(self.rows)]
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {name: _column([row.get(name) for row in rows]) for name in names}
        path = self.folder / TABLE
        beside = path.with_suffix(".part")
        pq.write_table(pa.table(columns), beside)
        beside.replace(path)
        return path


def read_plan(folder: Path) -> SweepPlan:
    """The plan of a folder. Raises Refused (bad_sweep) if it has none."""
    try:
        return msgspec.json.decode((folder / PLAN).read_bytes(), type=SweepPlan)
    except (OSError, msgspec.MsgspecError) as error:
        raise Refused(f"no sweep in {folder}: {error}", code="bad_sweep", field="out") from None


def read_rows(folder: Path) -> list[Row]:
    """The rows of a folder, in the order of the runs."""
    return sorted(_scan(folder / ROWS)[0], key=lambda row: int(row["run"]))


def _scan(path: Path) -> tuple[list[Row], int]:
    """The whole rows of a file, and the bytes that they take."""
    rows: list[Row] = []
    whole = 0
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                rows.append(msgspec.json.decode(line, type=dict[str, Any]))
            except msgspec.MsgspecError:
                break
            whole += len(line)
    return rows, whole


def _column(values: list[Any]) -> list[Any]:
    """A column of one type: numbers that are mixed become floats, everything else that is mixed becomes JSON."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    if len(kinds) > 1 or kinds & {dict}:
        return [None if value is None else msgspec.json.encode(value).decode() for value in values]
    return values


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(data)
    beside.replace(path)


def _lock(file: int, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no such locks
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(f"another process runs the sweep in {folder}", code="bad_sweep", field="out") from None
