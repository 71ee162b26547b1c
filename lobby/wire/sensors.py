"""Sources of readings: what every live feed looks like, whoever makes it and whoever reads it.

    sensor_info  {source, kind, period_s, sensors: [{name, unit, meaning}], since}
    batch        {n, timestamp, readings: {sensor: number | [number | null, ...] | null}}

``n`` counts a source's batches from 1 without a gap; timestamps are UTC, ISO 8601. A list is one number per seat. A
batch is published once, when it is new: nobody sends the last one again because there is no newer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from tussle.lobby.ids import is_session_token
from tussle.lobby.store.keys import Keys

__all__ = ["ReadingBatch", "Sensor", "SensorInfo", "decode_batch", "now_utc", "source_stream"]

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
    return ReadingBatch(int(fields["n"]), fields["timestamp"], _readings.decode(fields["readings"]))


def now_utc() -> str:
    """The time of this machine, in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def source_stream(keys: Keys, source: str) -> str:
    """The stream of a source: a session's telemetry for a session token, else the source's own."""
    return keys.telemetry(source) if is_session_token(source) else keys.source(source)
