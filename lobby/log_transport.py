"""Publishes log lines on the store, one channel for each logger name.

    logging -> emit (bounded, never waits) -> run (a task) -> PUBLISH {main}:logs:server.run '{"event": ...}'

Every long-running process with a store runs inside ``published``, which has an effect with LOG_PUBLISH=1. Logging must
not slow a process down: while the store is away or slow the oldest waiting lines are dropped, and their number is
published when the store is back. This module must never log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from contextlib import AbstractAsyncContextManager
from typing import Self

import orjson

from tussle.lobby.errors import StoreError
from tussle.lobby.logs import json_formatter
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store

__all__ = ["LogTransport", "published"]

LINES_WAIT = 2_000
"""Limit of the lines that wait for the store. The oldest are dropped first."""

AT_ONCE = 100
RETRY_S = 0.5
END_S = 1.0


def published(store: Store, settings: Settings) -> AbstractAsyncContextManager[object]:
    """``async with published(store, settings):`` what is logged meanwhile is published too, if LOG_PUBLISH says so."""
    return LogTransport(store) if settings.log_publish else contextlib.nullcontext()


class LogTransport(logging.Handler):
    """``async with LogTransport(store):`` publishes everything that is logged meanwhile."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.dropped = 0
        self._store = store
        self._waiting: deque[tuple[str, str]] = deque()
        self._something = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self.setFormatter(json_formatter())

    async def __aenter__(self) -> Self:
        logging.getLogger().addHandler(self)
        self._task = asyncio.create_task(self._run(), name="log-transport")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening; lines that wait are published if the store takes them within a second."""
        logging.getLogger().removeHandler(self)
        try:
            async with asyncio.timeout(END_S):
                while self._waiting:
                    await self._publish()
        except (StoreError, TimeoutError):
            self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def emit(self, record: logging.LogRecord) -> None:
        """From any thread; never waits for anything but the formatting."""
        if len(self._waiting) >= LINES_WAIT:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append((record.name, self.format(record)))
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._something.set)

    async def _run(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            try:
                while self._waiting:
                    await self._publish()
            except StoreError:
                await asyncio.sleep(RETRY_S)
                self._something.set()

    async def _publish(self) -> None:
        """One round trip's worth. Raises StoreError; the lines then wait on."""
        some = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        dropped = self.dropped
        lines = [(name, line) for name, line in some]
        if dropped:
            lines.insert(
                0,
                ("lobby.log_transport", orjson.dumps({"event": "lines_dropped", "count": dropped}).decode()),
            )
        prefix = self._store.keys.logs
        try:
            await self._store.batch([("PUBLISH", f"{prefix}:{name}", line) for name, line in lines])
        except StoreError:
            self._waiting.extendleft(reversed(some))
            raise
        self.dropped -= dropped
