"""Publishes log lines in the store, one channel per logger name.

    logging -> emit (bounded, never waits) -> run (a task) -> PUBLISH {main}:logs:server.run '{"event": ...}'

Every long-running process with a store runs inside ``published``, which has an effect with LOG_PUBLISH=1. Logging does
not slow a process down: while the store is unreachable or slow, the oldest waiting lines are dropped, and their number
is published when the store answers again. This module must never log.
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
"""Lines that may wait for the store. Beyond it the oldest are dropped."""

AT_ONCE = 100
RETRY_S = 0.5
END_S = 1.0


def published(store: Store, settings: Settings) -> AbstractAsyncContextManager[object]:
    """A context that publishes the lines logged inside it if LOG_PUBLISH is set, and does nothing otherwise."""
    return LogTransport(store) if settings.log_publish else contextlib.nullcontext()


class LogTransport(logging.Handler):
    """Publishes the lines that are logged inside ``async with``. ``dropped``: lines lost and not yet reported."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.dropped = 0
        self._store = store
        self._waiting: deque[tuple[str, str]] = deque()
        self._has_lines = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self.setFormatter(json_formatter())

    async def __aenter__(self) -> Self:
        logging.getLogger().addHandler(self)
        self._task = asyncio.create_task(self._run(), name="log-transport")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Remove the handler. Waiting lines are published if the store accepts them within END_S."""
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
        """Format and queue a record. Callable from any thread; does not wait for the store."""
        if len(self._waiting) >= LINES_WAIT:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append((record.name, self.format(record)))
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._has_lines.set)

    async def _run(self) -> None:
        while True:
            await self._has_lines.wait()
            self._has_lines.clear()
            try:
                while self._waiting:
                    await self._publish()
            except StoreError:
                await asyncio.sleep(RETRY_S)
                self._has_lines.set()

    async def _publish(self) -> None:
        """Publish up to AT_ONCE lines in one round trip. Raises StoreError; then the lines wait again."""
        lines = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        dropped = self.dropped
        report = orjson.dumps({"event": "lines_dropped", "count": dropped}).decode()
        reports = [("lobby.log_transport", report)] if dropped else []
        prefix = self._store.keys.logs
        try:
            await self._store.batch([("PUBLISH", f"{prefix}:{name}", line) for name, line in reports + lines])
        except StoreError:
            self._waiting.extendleft(reversed(lines))
            raise
        self.dropped -= dropped
