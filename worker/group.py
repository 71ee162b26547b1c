"""One consumer of one stream's consumer group: read from the beginning, claim from the dead, leave cleanly.

    open -> read -> (claimed entries first, else new ones) -> work -> acknowledge -> ... -> leave

Delivery is at least once: an entry stays pending until it is acknowledged, and another consumer claims it
after ``claim_idle_s``. When the last consumer leaves, the group goes too and a later one begins at the beginning
again; whoever reads must therefore make a repeated entry harmless. It never acknowledges by itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from tussle.lobby.errors import StoreError
from tussle.lobby.store.store import Store

__all__ = ["Entry", "Group"]

DEAD_S = 30.0
"""A consumer that has not asked for this long is dead; every live one asks each ``block_s``."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream, with its fields."""

    id: str
    fields: dict[str, str]


def entries_of(rows: list[Any]) -> list[Entry]:
    """Entries of a reply; those that were trimmed meanwhile (no fields) are left out."""
    return [
        Entry(row[0], dict(zip(row[1][::2], row[1][1::2], strict=True))) for row in rows if row and row[1]
    ]


class Group:
    """Use from one task. ``block_s`` bounds how long a read waits, and so how long a stop takes."""

    def __init__(
        self,
        store: Store,
        stream: str,
        group: str,
        consumer: str,
        *,
        claim_idle_s: float,
        block_s: float = 0.5,
        count: int = 64,
    ) -> None:
        self.stream = stream
        self.name = group
        self._store = store
        self._consumer = consumer
        self._claim_ms = max(1, round(claim_idle_s * 1000))
        self._block_ms = max(1, round(block_s * 1000))
        self._count = count
        self._claim_due = 0.0

    async def open(self) -> None:
        """Make the group, from the beginning of the stream, and the stream if need be; both may exist."""
        try:
            await self._store.call("XGROUP", "CREATE", self.stream, self.name, "0", "MKSTREAM")
        except StoreError as error:
            if "BUSYGROUP" not in error.message:
                raise

    @property
    def read_command(self) -> tuple[str | int, ...]:
        """The blocking read, for whoever sends it together with the end of the work before."""
        return (
            "XREADGROUP", "GROUP", self.name, self._consumer, "COUNT", self._count, "BLOCK", self._block_ms,
            "STREAMS", self.stream, ">",
        )  # fmt: skip

    async def read(self) -> list[Entry]:
        """Entries to work on; [] after ``block_s`` without any. Raises StoreError."""
        if self.claim_due():
            claimed = await self.claim()
            if claimed:
                return claimed
        try:
            return self.taken(await self._store.call(*self.read_command))
        except StoreError as error:
            return await self.recover(error)

    def taken(self, reply: Any) -> list[Entry]:
        """The entries in a reply to ``read_command``."""
        return entries_of(reply[0][1]) if reply else []

    async def recover(self, error: Exception) -> list[Entry]:
        """After a refused read: make the group again if somebody removed it, else raise."""
        if not isinstance(error, StoreError) or not (
            "NOGROUP" in error.message or "UNBLOCKED" in error.message
        ):
            raise error
        await self.open()
        return []

    def claim_due(self) -> bool:
        """Whether it is time to look for the entries of dead consumers; at most twice per claim time."""
        return time.monotonic() >= self._claim_due

    async def claim(self) -> list[Entry]:
        """Take over entries that others have held for too long, and remove dead consumers."""
        self._claim_due = time.monotonic() + self._claim_ms / 2000
        try:
            reply = await self._store.call(
                "XAUTOCLAIM",
                self.stream,
                self.name,
                self._consumer,
                self._claim_ms,
                "0-0",
                "COUNT",
                self._count,
            )
        except StoreError as error:
            return await self.recover(error)
        claimed = entries_of(reply[1])
        if len(claimed) == self._count:
            self._claim_due = 0.0  # there may be more
        elif not claimed:
            await self._store.run("leave_group", [self.stream], [self.name, "", round(DEAD_S * 1000)])
        return claimed

    async def acknowledge(self, entries: list[Entry]) -> None:
        if entries:
            await self._store.call("XACK", self.stream, self.name, *(entry.id for entry in entries))

    async def leave(self) -> bool:
        """Leave; True when the group went with us, as the last. Entries still pending go to whoever is left."""
        reply = await self._store.run(
            "leave_group", [self.stream], [self.name, self._consumer, round(DEAD_S * 1000)]
        )
        return bool(reply[1] == "1")
