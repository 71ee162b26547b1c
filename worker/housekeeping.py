"""``python -m worker [cleanup | sweep | all]``: the parts that keep the store in order, as one process.

This module only joins them; what they do is in worker/cleanup.py and worker/sweep.py.
"""

from __future__ import annotations

import asyncio

from tussle.lobby.logs import get_logger
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.worker.cleanup import Cleanup, Hook, nothing
from tussle.worker.sweep import Sweep

__all__ = ["PARTS", "Housekeeping"]

log = get_logger("worker")

PARTS = ("cleanup", "sweep", "all")


class Housekeeping:
    """One part, or all of them. ``run`` finishes the entry under way after ``stop``, and leaves its group."""

    def __init__(self, store: Store, settings: Settings, part: str = "all", *, hook: Hook = nothing) -> None:
        self._part = part
        self._cleanup = Cleanup(store, settings, hook=hook)
        self._sweep = Sweep(store, settings, self._cleanup)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        log.info("worker_started", part=self._part)
        async with asyncio.TaskGroup() as group:
            if self._part in ("cleanup", "all"):
                group.create_task(self._cleanup.run(self._stopping), name="cleanup")
            if self._part in ("sweep", "all"):
                group.create_task(self._sweep.run(self._stopping), name="sweep")
        log.info("worker_stopped", part=self._part, handled=self._cleanup.handled)
