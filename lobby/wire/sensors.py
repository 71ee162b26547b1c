"""Sources of readings: the form of every stream of sensor values.

    sensor_info  {source, kind, period_s, sensors: [{name, unit, meaning}], since}
    batch        {n, timestamp, readings: {sensor: number | [number | null, ...] | null}}

``n`` counts a source's batches from 1 without a gap; timestamps are UTC, ISO 8601. A list holds one number for each
seat. A batch is published once, when it is new. It is not sent again when no newer one exists.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from tussle.lobby.ids import is_session_token
from tussle.lobby.store.keys import Keys

__all__ = ["ReadingBatch", "Sensor", "SensorInfo", "decode_batch", "now_utc", "source_stream"]

MOST_BATCHES = 2**53
"""A larger number of a batch is unreadable: clients in JavaScript would round it, and no encoder takes 2^64."""

Reading = float | list[float | None] | None


class Sensor(msgspec.Struct, frozen=True):
    """One quantity. ``unit`` in SI, "1" for a count; ``per_seat``: its readings are lists."""

    name: str
    unit: str
    meaning: str
    per_seat: bool = False


class SensorInfo(msgspec.Struct, frozen=True):
    """What a source measures. ``period_s``: the shortest time between two batches."""

    source: str
    kind: str
    period_s: float
    sensors: tuple[Sensor, ...]
    since: str = ""


class ReadingBatch(msgspec.Struct, frozen=True):
    """The readings of one moment."""

    n: int
    timestamp: str
    readings: dict[str, Reading]


_readings = msgspec.json.Decoder(dict[str, Reading])


def decode_batch(fields: dict[str, Any]) -> ReadingBatch:
    """A batch from an entry of its stream. Raises KeyError, ValueError."""
    n = int(fields["n"])
    if not 0 < n < MOST_BATCHES:
        raise ValueError(f"n is {fields['n'][:40]}")
    return ReadingBatch(n, fields["timestamp"], _readings.decode(fields["readings"]))


def now_utc() -> str:
    """The time of this machine, in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def source_stream(keys: Keys, source: str) -> str:
    """The key of a source's stream: the telemetry of a session for a session token, else a stream of that name."""
    return keys.telemetry(source) if is_session_token(source) else keys.source(source)
