"""Where stored rows go: one small interface, and the choice of a sink by its address.

A sink knows how far each feed is stored (``position``) and appends what comes after it (``write``). When ``write``
returns the rows are durable; when it raises SinkAway nothing is lost, the same rows come again. Repeating a write that
did happen has no second effect: that is each sink's duty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tussle.lobby.settings import BadSetting, Settings
from tussle.lobby.store.store import Store
from tussle.worker.group import Entry
from tussle.worker.storage.tables import Feed

__all__ = ["Position", "Sink", "SinkAway", "make_sink"]


class SinkAway(Exception):
    """The sink cannot take rows now; nothing was lost."""


@dataclass(frozen=True, slots=True)
class Position:
    """The newest entry that a feed has stored, and how many before and with it."""

    id: str = "0-0"
    count: int = 0


class Sink(Protocol):
    """All methods raise SinkAway. Use from one task."""

    name: str

    async def open(self) -> None:
        """Finish what a killed predecessor left."""

    async def position(self, feed: Feed) -> Position:
        """How far a feed is stored."""

    async def write(self, feed: Feed, after: Position, entries: Sequence[Entry]) -> Position:
        """Store entries that follow ``after``; the new position."""

    async def finish(self, feed: Feed) -> None:
        """Nothing more comes of this feed."""

    async def close(self) -> None: ...


def make_sink(store: Store, settings: Settings) -> Sink:
    """The sink that STORAGE_URL names. Raises BadSetting, also when its library is not installed."""
    url = settings.storage_url
    if url.startswith(("influx+http://", "influx+https://")):
        from tussle.worker.storage.influx import InfluxSink

        return InfluxSink(store, url.removeprefix("influx+"))
    if "://" in url:
        raise BadSetting(f"STORAGE_URL={url}: a folder, or influx+http://host:8086/database")
    try:
        from tussle.worker.storage.parquet import ParquetSink
    except ImportError:
        raise BadSetting("Parquet needs pyarrow: pip install 'tussle[storage]'") from None
    from pathlib import Path

    return ParquetSink(Path(url) if url else settings.data_dir / "lake")
