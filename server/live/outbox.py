"""The bounded queue of one live client: replies in order, and the newest batches of each source. Sans-I/O.

    offer(batches) ->  queue of BATCHES_WAIT  -> take() -> messages, with the gap of the dropped batches

A slow client gets fewer, larger messages. When a queue is full the oldest batches are dropped, and the next message
reports their numbers. This module must never deliver a batch twice.
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
"""Queued batches per source: one minute at 10 Hz. On overflow the oldest are dropped and reported as a gap."""

REPLIES_WAIT = 256
MESSAGE_BATCHES = 50


class Outbox:
    """``ready`` is set while the queue is not empty."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self._replies: deque[LiveReply] = deque()
        self._waiting: dict[str, deque[ReadingBatch]] = {}
        self._taken: dict[str, int] = {}

    def reply(self, message: LiveReply) -> None:
        """Queue a reply. Raises RateLimited, and queues nothing, if REPLIES_WAIT replies are unsent."""
        if len(self._replies) >= REPLIES_WAIT:
            raise RateLimited("too many replies are unread")
        self._replies.append(message)
        self.ready.set()

    def follow(self, source: str, after: int) -> None:
        """Accept batches of a source, beginning with number after + 1."""
        self._waiting[source] = deque(maxlen=BATCHES_WAIT)
        self._taken[source] = after

    def unfollow(self, source: str) -> None:
        """Drop a source and its queued batches; a source that is not followed is ignored."""
        self._waiting.pop(source, None)
        self._taken.pop(source, None)

    def offer(self, source: str, batches: Sequence[ReadingBatch]) -> None:
        """Queue new batches, in order of n. Batches that were queued or taken before are left out."""
        waiting = self._waiting.get(source)
        if waiting is None:
            return
        newest = waiting[-1].n if waiting else self._taken[source]
        for batch in batches:
            if batch.n > newest:
                waiting.append(batch)
                newest = batch.n
                self.ready.set()

    def take(self) -> list[LiveReply]:
        """Remove and return all queued messages, replies first."""
        messages: list[LiveReply] = list(self._replies)
        self._replies.clear()
        for source, waiting in self._waiting.items():
            while waiting:
                due = self._taken[source] + 1
                first = waiting[0].n
                some = tuple(waiting.popleft() for _ in range(min(MESSAGE_BATCHES, len(waiting))))
                self._taken[source] = some[-1].n
                messages.append(
                    Batches(BatchesData(source, some, Gap(due, first - 1) if first > due else None))
                )
        self.ready.clear()
        return messages
