"""A clip as tables in Parquet files, one row for each fact, as pandas, Polars and DuckDB read them.

    frames.parquet      a row per frame: energy, contacts, smallest distance (null: none are near), ...
    seats.parquet       a row per frame and seat: health, score, out
    bodies.parquet      a row per frame and moving body: whether it is active, its centre, the images of its axes
    vertices.parquet    a row per frame and vertex of an elastic body; missing without elastic bodies
    events.parquet      a row per event, with its data as JSON

Every table has ``frame`` and ``tick``, to join them. Row groups are written while the recording is read.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tussle.server.recordings.export.clip import BodyTrack, Clip
from tussle.server.recordings.export.exporting import Film, Progress
from tussle.server.recordings.frame_store import OPTIONAL, Array

__all__ = ["write_parquet"]

GROUP_ROWS = 100_000
"""Approximate rows of a row group."""

KEYS = {"frame": pa.uint32(), "tick": pa.uint32(), "time": pa.float64()}
AXES = [f"r{axis}_{along}" for axis in (1, 2, 3) for along in "xyz"]
NUMBERS = ("min_distance", "contacts", "iterations", "energy", *OPTIONAL)

FRAMES = KEYS | {
    "segment": pa.uint32(), "min_distance": pa.float32(), "contacts": pa.uint32(), "iterations": pa.uint32(),
    "energy": pa.float32(), **{name: pa.float32() for name in OPTIONAL},
}  # fmt: skip
SEATS = KEYS | {
    "seat": pa.uint16(), "player": pa.string(), "name": pa.string(), "health": pa.float32(),
    "score": pa.float32(), "out": pa.bool_(),
}  # fmt: skip
BODIES = KEYS | {
    "body": pa.dictionary(pa.int32(), pa.string()), "catalogue": pa.dictionary(pa.int32(), pa.string()),
    "kind": pa.dictionary(pa.int32(), pa.string()), "seat": pa.uint16(), "active": pa.bool_(),
    **{name: pa.float32() for name in ("x", "y", "z", *AXES)},
}  # fmt: skip
VERTICES = KEYS | {
    "body": pa.dictionary(pa.int32(), pa.string()), "vertex": pa.uint32(),
    **{name: pa.float32() for name in "xyz"},
}  # fmt: skip
EVENTS = {"tick": pa.uint32(), "type": pa.string(), "seat": pa.int32(), "data": pa.string()}


class _Table:
    """A Parquet file that is written in row groups."""

    def __init__(self, path: Path, columns: Mapping[str, pa.DataType]) -> None:
        self._schema = pa.schema(list(columns.items()))
        self._texts = [field.name for field in self._schema if pa.types.is_dictionary(field.type)]
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, columns: Mapping[str, Any]) -> None:
        """Add rows. A float that is no number is null; a single value is that of all rows."""
        arrays = []
        count = max(len(values) for values in columns.values() if isinstance(values, np.ndarray | list))
        for field in self._schema:
            values = columns[field.name]
            if not isinstance(values, np.ndarray | list):
                arrays.append(_repeated(values, field.type, count))
                continue
            is_array = isinstance(values, np.ndarray)
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            made = pa.array(values, kind, from_pandas=is_array)
            arrays.append(made.dictionary_encode() if kind is not field.type else made)
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        self._waiting.append(table)
        self._rows += len(table)
        if self._rows >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path, self._schema, compression="zstd", use_dictionary=self._texts
            )
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting).unify_dictionaries())
        self._waiting, self._rows = [], 0
        _release_memory()

    def close(self) -> None:
        """Write the rest, and the end of the file."""
        self.flush()
        self.abandon()

    def abandon(self) -> None:
        """Close the file, complete or not."""
        if self._writer is not None:
            self._writer.close()


def _release_memory() -> None:
    """Give freed memory back to the system. What the writer keeps of each row group lies between freed blocks, which
    are then too small for the next group: the memory would grow with the file, by 87 MB for half a gigabyte."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _repeated(value: Any, kind: Any, count: int) -> Any:
    """One value for so many rows. A list of so many would be freed in pieces that the next blocks cannot use."""
    if value is None:
        return pa.nulls(count, kind)
    if pa.types.is_dictionary(kind):
        places = np.zeros(count, kind.index_type.to_pandas_dtype())
        return pa.DictionaryArray.from_arrays(pa.array(places), pa.array([value], kind.value_type))
    return pa.repeat(pa.scalar(value, kind), count)


def write_parquet(clip: Clip, place: Path, film: Film, progress: Progress) -> None:
    """Write the tables into a folder."""
    named = {"frames": FRAMES, "bodies": BODIES, "events": EVENTS}
    named |= {"seats": SEATS} if clip.seats else {}
    if any(body.kind == "elastic" for segment in clip.segments for body in segment.bodies):
        named["vertices"] = VERTICES
    tables = {name: _Table(place / f"{name}.parquet", columns) for name, columns in named.items()}
    fields = [name for name in clip.fields if name not in ("out", "health", "score") or clip.seats]
    try:
        segment, tracks = -1, list[BodyTrack]()
        for block in clip.blocks(fields):
            if block.segment != segment:
                segment, tracks = block.segment, clip.tracks(block.segment)
            numbers = np.array([clip.numbers[at] for at in block.numbers], np.uint32)
            keys = {"frame": numbers, "tick": block.arrays["tick"], "time": block.arrays["time"]}
            tables["frames"].add(keys | _numbers(block.arrays))
            if clip.seats:
                _add_seats(tables["seats"], keys, block.arrays, clip.attributes.get("seats", []))
            for track in tracks:
                if track.number is not None:
                    _add_body(tables["bodies"], keys, block.arrays, track)
                if track.about.kind == "elastic":
                    _add_vertices(tables["vertices"], keys, block.arrays, track)
            progress(len(block.numbers))
        _add_events(tables["events"], clip)
        for table in tables.values():
            table.close()
    except BaseException:
        for table in tables.values():
            table.abandon()
        raise


def _numbers(arrays: Mapping[str, Array]) -> dict[str, Array]:
    none = np.full(len(arrays["segment"]), np.nan, np.float32)
    found = {name: arrays.get(name, none) for name in ("segment", *NUMBERS)}
    near = found["min_distance"].astype(np.float32)
    return found | {"min_distance": np.where(np.isinf(near), np.float32(np.nan), near)}


def _add_seats(
    table: _Table, keys: Mapping[str, Array], arrays: Mapping[str, Array], seats: Sequence[Mapping[str, Any]]
) -> None:
    count = len(keys["frame"])
    for number in range(arrays["health"].shape[1]):
        about = seats[number] if number < len(seats) else {}
        own = {name: arrays[name][:, number] for name in ("health", "score", "out")}
        texts = {name: about.get(name) for name in ("player", "name")}
        seat = np.full(count, about.get("seat", number), np.uint16)
        table.add({**keys, **own, **texts, "seat": seat})


def _add_body(
    table: _Table, keys: Mapping[str, Array], arrays: Mapping[str, Array], track: BodyTrack
) -> None:
    about, rows = track.about, arrays["rows"][:, track.rows]
    count, elastic = len(rows), track.about.kind == "elastic"
    centre = rows.mean(axis=1) if elastic else rows[:, 0]
    axes = np.full((count, 9), np.nan, np.float32) if elastic else rows[:, 1:4].reshape(count, 9)
    table.add(
        {
            **keys,
            "body": about.id,
            "catalogue": about.body or None,
            "kind": about.kind,
            "seat": about.seat,
            "active": arrays["active"][:, track.number],
            **dict(zip("xyz", centre.T.copy(), strict=True)),
            **dict(zip(AXES, axes.T.copy(), strict=True)),
        }
    )


def _add_vertices(
    table: _Table, keys: Mapping[str, Array], arrays: Mapping[str, Array], track: BodyTrack
) -> None:
    rows = arrays["rows"][:, track.rows]
    frames, vertices, _ = rows.shape
    places = rows.reshape(-1, 3).T.copy()
    table.add(
        {
            **{name: np.repeat(values, vertices) for name, values in keys.items()},
            "body": track.about.id,
            "vertex": np.tile(np.arange(vertices, dtype=np.uint32), frames),
            **dict(zip("xyz", places, strict=True)),
        }
    )


def _add_events(table: _Table, clip: Clip) -> None:
    rows: dict[str, list[Any]] = {name: [] for name in EVENTS}
    for event in clip.events():
        seat = event.pop("seat", None)
        rows["tick"].append(event.pop("tick", 0))
        rows["type"].append(event.pop("type", ""))
        rows["seat"].append(seat if isinstance(seat, int) else None)
        rows["data"].append(msgspec.json.encode(event).decode())
        if len(rows["tick"]) >= GROUP_ROWS:
            table.add(rows)
            rows = {name: [] for name in EVENTS}
    table.add(rows)
