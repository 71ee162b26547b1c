"""A stream read by a group of workers: each entry is handled by one of them, at least once.

    entry -> read by one -> handled -> acknowledged
                  `-> (its worker died) -> claimed by another after idle_ms

This module must never decide what an entry means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tussle.lobby.errors import StoreError
from tussle.lobby.store.store import Store

__all__ = ["Entry", "StreamGroup", "trim_acknowledged"]

EMPTY = "0-0"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream."""

    id: str
    fields: Mapping[str, str]


class StreamGroup:
    """One consumer of one group of one stream. The group begins at the stream's first entry."""

    def __init__(self, store: Store, stream: str, group: str, consumer: str) -> None:
        self._store = store
        self._stream = stream
        self._group = group
        self._consumer = consumer

    async def ensure(self) -> None:
        """Make the group if there is none. Raises StoreError."""
        try:
            await self._store.call("XGROUP", "CREATE", self._stream, self._group, "0", "MKSTREAM")
        except StoreError as error:
            if "BUSYGROUP" not in error.message:
                raise

    async def read(self, count: int = 64) -> list[Entry]:
        """Entries that nobody has read yet; they are ours until they are acknowledged or claimed."""
        reply = await self._store.call(
            "XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", count, "STREAMS", self._stream, ">"
        )
        return _entries(reply[0][1]) if reply else []

    async def claim(self, idle_ms: int, count: int = 64) -> list[Entry]:
        """Entries that a consumer, perhaps a dead one, has had for that long: ours now."""
        claimed: list[Entry] = []
        start = EMPTY
        while True:
            start, entries, *_ = await self._store.call(
                "XAUTOCLAIM", self._stream, self._group, self._consumer, idle_ms, start, "COUNT", count
            )
            claimed += _entries(entries)
            if start == EMPTY or len(claimed) >= count:
                return claimed

    async def acknowledge(self, entry: Entry) -> None:
        await self._store.call("XACK", self._stream, self._group, entry.id)

    async def consumers(self) -> dict[str, tuple[int, int]]:
        """(pending entries, idle ms) of every consumer of the group."""
        reply = await self._store.call("XINFO", "CONSUMERS", self._stream, self._group)
        found = {}
        for flat in reply:
            about = dict(zip(flat[::2], flat[1::2], strict=True))
            found[about["name"]] = (int(about["pending"]), int(about["idle"]))
        return found

    async def forget_consumers(self, idle_ms: int) -> int:
        """Delete other consumers that hold nothing and have not read for that long; how many."""
        gone = [
            name
            for name, (pending, idle) in (await self.consumers()).items()
            if name != self._consumer and not pending and idle > idle_ms
        ]
        for name in gone:
            await self._store.call("XGROUP", "DELCONSUMER", self._stream, self._group, name)
        return len(gone)

    async def leave(self) -> None:
        """Delete this consumer if it holds nothing; else its entries wait to be claimed."""
        if (await self.consumers()).get(self._consumer, (1, 0))[0] == 0:
            await self._store.call("XGROUP", "DELCONSUMER", self._stream, self._group, self._consumer)


async def trim_acknowledged(store: Store, stream: str) -> int:
    """Drop the entries that every group of the stream has acknowledged, and no others; how many.

    Without a group nothing is dropped: the first one begins at the first entry.
    """
    try:
        groups = await store.call("XINFO", "GROUPS", stream)
    except StoreError as error:
        if "no such key" in error.message.lower():
            return 0
        raise
    keep = None
    for flat in groups:
        about = dict(zip(flat[::2], flat[1::2], strict=True))
        oldest = (await store.call("XPENDING", stream, about["name"]))[1] or _after(
            about["last-delivered-id"]
        )
        if keep is None or _order(oldest) < _order(keep):
            keep = oldest
    return 0 if keep is None else int(await store.call("XTRIM", stream, "MINID", keep))


def _entries(reply: list[list[list[str]]]) -> list[Entry]:
    # an entry that was trimmed while it was pending has no fields
    return [
        Entry(str(name), dict(zip(flat[::2], flat[1::2], strict=True)))
        for name, flat in (part for part in reply if part and part[1])
    ]


def _order(id: str) -> tuple[int, int]:
    ms, _, n = id.partition("-")
    return int(ms), int(n or 0)


def _after(id: str) -> str:
    ms, n = _order(id)
    return f"{ms}-{n + 1}"
