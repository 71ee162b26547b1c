"""``python -m worker [cleanup|sweep|all|velocity|...]``: one worker against REDIS_URL, until SIGTERM or SIGINT.

The entry under way is finished, the consumer taken off its group, the exit code is 0. The processes that follow data
streams are started by the same command; worker/processes.py knows them.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from lobby.errors import StoreError
from lobby.logs import configure, get_logger
from lobby.settings import BadSetting, Settings
from lobby.store import Store
from worker.cleanup import Cleanup, Hook, nothing, rest
from worker.processes import PROCESSES, run_process
from worker.sweep import Sweep

__all__ = ["main", "work"]

log = get_logger("worker")

PARTS = ("cleanup", "sweep", "all")
CONNECT_RETRY_S = 0.5


async def work(settings: Settings, part: str = "all", *, stop: asyncio.Event, hook: Hook = nothing) -> None:
    """Run the parts until ``stop`` is set; a store that is away is waited for.

    Raises StoreError for a store that is there and cannot be used.
    """
    store = await _connect(settings, stop)
    if store is None:
        return
    try:
        cleanup = Cleanup(store, settings, hook=hook)
        log.info("worker_started", part=part)
        async with asyncio.TaskGroup() as group:
            if part in ("cleanup", "all"):
                group.create_task(cleanup.run(stop), name="cleanup")
            if part in ("sweep", "all"):
                group.create_task(Sweep(store, settings, cleanup).run(stop), name="sweep")
        log.info("worker_stopped", part=part, handled=cleanup.handled)
    finally:
        await store.close()


async def _connect(settings: Settings, stop: asyncio.Event) -> Store | None:
    waiting = False
    while not stop.is_set():
        try:
            return await Store.connect(settings.redis_url, settings.realm)
        except StoreError as error:
            if error.reason != StoreError.code:
                raise
            if not waiting:
                log.warning("store_waiting", error=error.message)
            waiting = True
            await rest(stop, CONNECT_RETRY_S)
    return None


async def _until_signalled(settings: Settings, part: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await work(settings, part, stop=stop)


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 after a signal, 2 for settings or a store that cannot be used."""
    parser = argparse.ArgumentParser(prog="worker", description="Consume the streams of the store.")
    parser.add_argument("part", nargs="?", choices=[*PARTS, *PROCESSES], default="all")
    part = parser.parse_args(arguments).part
    try:
        settings = Settings.read()
        if part in PROCESSES:
            return run_process(part, settings)
        if not settings.redis_url:
            raise BadSetting("REDIS_URL is not set; `tussle up` starts an embedded store")
        configure(settings, process="worker")
        asyncio.run(_until_signalled(settings, part))
    except (BadSetting, StoreError) as error:
        sys.stderr.write(f"tussle: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
