"""The interface of a sink: a place where the storage worker keeps rows.

A sink knows how far each feed is stored (``position``) and appends the entries that follow (``write``). When ``write``
returns, the rows are durable. When it raises SinkUnavailable, nothing is lost, and the worker writes the same entries
again. A sink must make a repeated write harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tussle.lobby.store.consumer_group import Entry
from tussle.worker.storage.tables import Feed

__all__ = ["Position", "Sink", "SinkUnavailable"]


class SinkUnavailable(Exception):
    """The sink cannot take rows now. Nothing was lost."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a feed is stored. ``id``: its newest stored entry. ``count``: entries stored, this one included."""

    id: str = "0-0"
    count: int = 0


class Sink(Protocol):
    """All methods raise SinkUnavailable. Use a sink from one task."""

    name: str

    async def open(self) -> None:
        """Finish what a killed worker left unfinished."""

    async def position(self, feed: Feed) -> Position:
        """Return how far a feed is stored."""

    async def write(self, feed: Feed, after: Position, entries: Sequence[Entry]) -> Position:
        """Store the entries that follow ``after`` and return the new position."""

    async def finish(self, feed: Feed) -> None:
        """Close a feed that gets no more entries."""

    async def close(self) -> None:
        """Release what the sink holds."""
