"""What waits for one live client: replies in order, and the newest batches of each source. Sans-I/O.

    offer(batches) ->  waiting, bounded  -> take() -> messages, with the gap that dropping left

A client that is slow gets fewer, larger messages; one that is slower still loses the oldest batches and is told which.
Nothing is given twice, and nothing is given again because it is the newest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from tussle.lobby.errors import RateLimited
from tussle.lobby.wire.live import Batches, BatchesData, Gap, LiveReply
from tussle.lobby.wire.sensors import ReadingBatch

__all__ = ["Outbox"]

BATCHES_WAIT = 600
"""Batches of one source that wait for a slow client; at 10 Hz a minute's. The oldest are dropped, and that is said."""

REPLIES_WAIT = 256
MESSAGE_BATCHES = 50


class Outbox:
    """``ready`` is set while there is something to take."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self._replies: deque[LiveReply] = deque()
        self._waiting: dict[str, deque[ReadingBatch]] = {}
        self._given: dict[str, int] = {}

    def reply(self, message: LiveReply) -> None:
        """Raises RateLimited when too many replies wait: such a client asks and never reads."""
        if len(self._replies) >= REPLIES_WAIT:
            raise RateLimited("answers are not being read")
        self._replies.append(message)
        self.ready.set()

    def begin(self, source: str, after: int) -> None:
        """Follow a source; the first batch that is due is after + 1."""
        self._waiting[source] = deque(maxlen=BATCHES_WAIT)
        self._given[source] = after

    def end(self, source: str) -> None:
        """Forget a source and what waits of it; one that is not followed is ignored."""
        self._waiting.pop(source, None)
        self._given.pop(source, None)

    def offer(self, source: str, batches: Sequence[ReadingBatch]) -> None:
        """New batches, in order of n; those that were given already are left out."""
        waiting = self._waiting.get(source)
        if waiting is None:
            return
        newest = waiting[-1].n if waiting else self._given[source]
        for batch in batches:
            if batch.n > newest:
                waiting.append(batch)
                newest = batch.n
                self.ready.set()

    def take(self) -> list[LiveReply]:
        """Everything that is to be sent now, in order; replies come before batches."""
        messages: list[LiveReply] = list(self._replies)
        self._replies.clear()
        for source, waiting in self._waiting.items():
            while waiting:
                due = self._given[source] + 1
                first = waiting[0].n
                some = tuple(waiting.popleft() for _ in range(min(MESSAGE_BATCHES, len(waiting))))
                self._given[source] = some[-1].n
                messages.append(
                    Batches(BatchesData(source, some, Gap(due, first - 1) if first > due else None))
                )
        self.ready.clear()
        return messages
