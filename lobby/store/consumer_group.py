"""A consumer group on a Redis stream: each entry is handled by one consumer, at least once.

    ensure -> read -> handle -> acknowledge -> read -> ... -> leave
               `-> the consumer dies -> another one claims the entry after claim_idle_s

An entry stays pending until it is acknowledged. A handler must therefore make a repeated entry harmless. This module
must never interpret the fields of an entry, and it must never acknowledge an entry by itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tussle.lobby.errors import StoreError
from tussle.lobby.store.store import Store

__all__ = ["ConsumerGroup", "Entry", "decode_entries", "split_id", "trim_acknowledged"]

START = "0-0"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream."""

    id: str
    fields: Mapping[str, str]


class ConsumerGroup:
    """One consumer of one group of one stream. Use it from one task.

    The group begins at the first entry of the stream. ``claim_idle_s``: an entry that has been pending for this long
    may be claimed. ``dead_s``: a consumer that has not called the store for this long counts as dead; by default ten
    reads, at least five seconds. ``block_s``: the longest time that a read waits for entries; 0 means that a read
    returns at once. ``count``: entries per read.
    """

    def __init__(
        self,
        store: Store,
        stream: str,
        name: str,
        consumer: str,
        *,
        claim_idle_s: float,
        dead_s: float | None = None,
        block_s: float = 0.0,
        count: int = 64,
    ) -> None:
        self.stream = stream
        self.name = name
        self._store = store
        self._consumer = consumer
        self._claim_ms = max(1, round(claim_idle_s * 1000))
        self._dead_ms = round(1000 * (max(5.0, 10 * block_s) if dead_s is None else dead_s))
        self._block_ms = round(block_s * 1000)
        self._count = count
        self._claim_due = 0.0

    async def ensure(self) -> None:
        """Create the group, and the stream, if they do not exist. Raises StoreError."""
        try:
            await self._store.call("XGROUP", "CREATE", self.stream, self.name, "0", "MKSTREAM")
        except StoreError as error:
            if "BUSYGROUP" not in error.message:
                raise

    async def read(self) -> list[Entry]:
        """Return entries that no consumer has read yet; [] after ``block_s`` without any. Raises StoreError."""
        try:
            return self.decode_reply(await self._store.call(*self.read_command))
        except StoreError as error:
            return await self.recover(error)

    @property
    def read_command(self) -> tuple[str | int, ...]:
        """The command of ``read``, for a caller that sends it in one round trip with other commands."""
        block = ("BLOCK", self._block_ms) if self._block_ms else ()
        return (
            "XREADGROUP", "GROUP", self.name, self._consumer, "COUNT", self._count, *block, "STREAMS", self.stream, ">",
        )  # fmt: skip

    @staticmethod
    def decode_reply(reply: Any) -> list[Entry]:
        """Return the entries in the store's reply to ``read_command``."""
        return decode_entries(reply[0][1]) if reply else []

    async def recover(self, error: Exception) -> list[Entry]:
        """Create the group again after a read that failed because the group is gone, and return []. Raises ``error``
        if it has another cause."""
        if not isinstance(error, StoreError) or not (
            "NOGROUP" in error.message or "UNBLOCKED" in error.message
        ):
            raise error
        await self.ensure()
        return []

    def claim_due(self) -> bool:
        """Whether to claim before the next read: twice per ``claim_idle_s``, and after a full batch."""
        return time.monotonic() >= self._claim_due

    async def claim(self, idle_s: float | None = None) -> list[Entry]:
        """Take over entries that another consumer has held for ``idle_s`` (default ``claim_idle_s``), and return them.

        Returns at least ``count`` entries if there are as many. Raises StoreError.
        """
        self._claim_due = time.monotonic() + self._claim_ms / 2000
        idle_ms = self._claim_ms if idle_s is None else round(idle_s * 1000)
        claimed: list[Entry] = []
        start = START
        try:
            while True:
                start, rows, *_ = await self._store.call(
                    "XAUTOCLAIM", self.stream, self.name, self._consumer, idle_ms, start, "COUNT", self._count
                )
                claimed += decode_entries(rows)
                if len(claimed) >= self._count:
                    self._claim_due = 0.0
                    return claimed
                if start == START:
                    return claimed
        except StoreError as error:
            return claimed or await self.recover(error)

    async def keep(self, entry: Entry) -> None:
        """Keep an entry that takes long from being claimed for another ``claim_idle_s``. Raises StoreError."""
        await self._store.call("XCLAIM", self.stream, self.name, self._consumer, 0, entry.id, "JUSTID")

    async def acknowledge(self, *entries: Entry) -> None:
        """Mark entries as handled. Raises StoreError; then they stay pending."""
        if entries:
            await self._store.call("XACK", self.stream, self.name, *(entry.id for entry in entries))

    async def remove_dead_consumers(self) -> int:
        """Delete the consumers that hold no entry and are idle for ``dead_s``; return how many."""
        reply = await self._store.run("leave_group", [self.stream], [self.name, "", self._dead_ms, 0])
        return int(reply[2])

    async def leave(self, *, remove_last: bool = False) -> bool:
        """Delete this consumer if it holds no entry; entries that it holds wait for a claim.

        ``remove_last``: delete the group too if no live consumer is left in it. Returns whether the group is gone.
        """
        reply = await self._store.run(
            "leave_group", [self.stream], [self.name, self._consumer, self._dead_ms, int(remove_last)]
        )
        return bool(reply[1] == "1")


async def trim_acknowledged(store: Store, stream: str) -> int:
    """Delete the entries that every group of the stream has acknowledged; return how many.

    Deletes nothing if the stream has no group, because the first group begins at the first entry. Raises StoreError.
    """
    try:
        groups = await store.call("XINFO", "GROUPS", stream)
    except StoreError as error:
        if "no such key" in error.message.lower():
            return 0
        raise
    oldest: list[tuple[int, int]] = []
    for group in map(_named, groups):
        pending = (await store.call("XPENDING", stream, group["name"]))[1]
        delivered, n = split_id(group["last-delivered-id"])
        oldest.append(split_id(pending) if pending else (delivered, n + 1))
    if not oldest:
        return 0
    first, n = min(oldest)
    return int(await store.call("XTRIM", stream, "MINID", f"{first}-{n}"))


def decode_entries(rows: list[Any]) -> list[Entry]:
    """Return the entries of a reply, without those that were trimmed while they were pending (they have no fields)."""
    return [Entry(str(row[0]), _named(row[1])) for row in rows if row and row[1]]


def split_id(id: str) -> tuple[int, int]:
    """Return the two numbers of an entry's id. Entries are ordered by them."""
    first, _, second = id.partition("-")
    return int(first), int(second or 0)


def _named(flat: list[str]) -> dict[str, str]:
    """A flat list of names and values as a dict."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
