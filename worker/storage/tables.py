"""The tables of the storage worker: for each kind of stream, its columns, their types and the rows of an entry.

    stream                       table        partitions      one row is
    lifecycle                    lifecycle    day             a transition of a session
    session:T:events             events       day, session    an event, its data as JSON
    session:T:journal            inputs       day, session    an admitted input
    session:T:telemetry          telemetry    day, session    one reading of one sensor
    source:NAME                  readings     day, source     one reading of one sensor
    positions, velocities        the same     day             a step of a spring-damper, or a trigger

An entry that cannot be read, or has a number that a column cannot have, is logged and has no rows. This module must
never use a store or a file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from tussle.lobby.logs import get_logger
from tussle.lobby.store.consumer_group import Entry, split_id

__all__ = ["TABLES", "Feed", "Row", "Table", "day_of", "read_rows", "time_ns"]

log = get_logger("worker.storage")

LAST_DAY_MS = 253_402_214_400_000
"""9999-12-31. The id of an entry that was written by hand may be later."""

Row = dict[str, Any]
Kind = Literal["text", "int", "float", "time"]


@dataclass(frozen=True, slots=True)
class Feed:
    """One stream to store. ``part``: session token or source name, "" for a stream of the realm. ``began_ms``: when the
    session was opened; its whole feed is filed under that day, because the ids of its entries are not times."""

    key: str
    table: str
    part: str = ""
    began_ms: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """One table. ``part``: the name of the second partition, "" for none. ``tags``: columns that a time-series store
    indexes. ``rows``: of an entry; ``read_rows`` handles what it raises for an entry of another form."""

    name: str
    part: str
    columns: tuple[tuple[str, Kind], ...]
    tags: tuple[str, ...]
    rows: Callable[[Entry], list[Row]]


def day_of(feed: Feed, entry: Entry) -> str:
    """Return the UTC day that an entry is filed under, as 2026-11-20."""
    ms = feed.began_ms or split_id(entry.id)[0]
    return datetime.fromtimestamp(min(ms, LAST_DAY_MS) / 1000, UTC).strftime("%Y-%m-%d")


def time_ns(feed: Feed, entry: Entry) -> int:
    """Return a time [ns] for a store that needs one per row. It is the id's time, where the id is one; else it
    counts up from the opening of the session, so that times are distinct and keep the order of the entries."""
    high, low = split_id(entry.id)
    return high * 1_000_000 + low if not feed.began_ms else (feed.began_ms + high) * 1_000_000 + low


def read_rows(feed: Feed, entry: Entry) -> list[Row]:
    """Return the rows of an entry; none if it has another form, which is logged. No later try could read it."""
    table = TABLES[feed.table]
    try:
        rows = table.rows(entry)
        for row in rows:
            for name, kind in table.columns:
                if not _fits(kind, row[name]):
                    raise ValueError(f"{name} is out of range")
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        log.warning("entry_refused", stream=feed.key, entry=entry.id, error=repr(error)[:300])
        return []
    return rows


def _fits(kind: Kind, value: Any) -> bool:
    """Whether a column of this kind can have the value: an integer or time of 64 bits, a finite number, a text."""
    if kind == "text":
        return isinstance(value, str)
    return math.isfinite(value) if kind == "float" else -(2**63) <= value < 2**63


def _lifecycle(entry: Entry) -> list[Row]:
    f = entry.fields
    return [
        {
            "id": entry.id, "session": f["session"], "event": f["event"], "mode": f.get("mode", ""),
            "size": int(f.get("size") or 0), "happened_at": int(f["at"]) * 1_000_000, "reason": f.get("reason", ""),
            "players": f.get("players", ""),
        }
    ]  # fmt: skip


def _events(entry: Entry) -> list[Row]:
    f = entry.fields
    return [
        {
            "id": entry.id, "v": split_id(entry.id)[0], "type": f["t"], "tick": int(f.get("tick") or 0),
            "epoch": int(f.get("epoch") or 0), "data": f["d"],
        }
    ]  # fmt: skip


def _inputs(entry: Entry) -> list[Row]:
    tick, n = split_id(entry.id)
    value = msgspec.json.decode(entry.fields["d"])
    return [
        {
            "id": entry.id, "tick": tick, "n": n, "seat": int(value["seat"]), "kind": str(value["kind"]),
            "command": int(value.get("id") or 0), "data": msgspec.json.encode(value.get("d", {})).decode(),
        }
    ]  # fmt: skip


def _readings(entry: Entry) -> list[Row]:
    """One row per number. A list of numbers becomes one sensor per element: ``score.0``, ``score.1``."""
    f = entry.fields
    at = _ns(f["timestamp"])
    rows: list[Row] = []
    for sensor, value in msgspec.json.decode(f["readings"]).items():
        many = enumerate(value) if isinstance(value, list) else [(None, value)]
        for place, one in many:
            if one is not None:
                name = sensor if place is None else f"{sensor}.{place}"
                rows.append(
                    {"id": entry.id, "n": int(f["n"]), "timestamp": at, "sensor": name, "value": float(one)}
                )
    return rows


def _ns(timestamp: str) -> int:
    moment = datetime.fromisoformat(timestamp)
    if moment.tzinfo is None:
        raise ValueError("a timestamp without a time zone")
    return round(moment.timestamp() * 1_000_000) * 1000


def _steps(entry: Entry) -> list[Row]:
    before, after = msgspec.json.decode(entry.fields["in"]), msgspec.json.decode(entry.fields["out"])
    return [
        {
            "id": entry.id, "name": entry.fields["name"], "run": str(after.get("run", "")) or entry.id,
            "n": int(after.get("n", 0)), "t": float(after["t"]), "x": float(after["x"]), "v": float(after["v"]),
            "x_in": float(before["x"]), "v_in": float(before["v"]), "t_in": float(before["t"]),
        }
    ]  # fmt: skip


_READING: tuple[tuple[str, Kind], ...] = (
    ("id", "text"), ("n", "int"), ("timestamp", "time"), ("sensor", "text"), ("value", "float"),
)  # fmt: skip
_STEP: tuple[tuple[str, Kind], ...] = (
    ("id", "text"), ("name", "text"), ("run", "text"), ("n", "int"), ("t", "float"), ("x", "float"), ("v", "float"),
    ("x_in", "float"), ("v_in", "float"), ("t_in", "float"),
)  # fmt: skip

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "lifecycle", "",
            (("id", "text"), ("session", "text"), ("event", "text"), ("mode", "text"), ("size", "int"),
             ("happened_at", "time"), ("reason", "text"), ("players", "text")),
            ("event", "mode"), _lifecycle,
        ),
        Table(
            "events", "session",
            (("id", "text"), ("v", "int"), ("type", "text"), ("tick", "int"), ("epoch", "int"), ("data", "text")),
            ("type",), _events,
        ),
        Table(
            "inputs", "session",
            (("id", "text"), ("tick", "int"), ("n", "int"), ("seat", "int"), ("kind", "text"), ("command", "int"),
             ("data", "text")),
            ("kind",), _inputs,
        ),
        Table("telemetry", "session", _READING, ("sensor",), _readings),
        Table("readings", "source", _READING, ("sensor",), _readings),
        Table("positions", "", _STEP, ("name", "run"), _steps),
        Table("velocities", "", _STEP, ("name", "run"), _steps),
    )
}  # fmt: skip
"""Name of a table -> table."""
