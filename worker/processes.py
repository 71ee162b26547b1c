"""The worker processes: how each is made, started and stopped, and where its logs go. Decides nothing else.

python -m worker [all | cleanup | sweep | velocity | position | storage | bridge | source]
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Protocol

from tussle.lobby import logs
from tussle.lobby.errors import LobbyError, StoreError
from tussle.lobby.log_transport import published
from tussle.lobby.logs import get_logger
from tussle.lobby.settings import BadSetting, Settings
from tussle.lobby.store.store import Store

__all__ = ["PROCESSES", "Process", "run_process"]

log = get_logger("worker")

CONNECT_RETRY_S = 0.5


class Process(Protocol):
    """What ``run_process`` runs: ``run`` returns soon after ``stop``."""

    def stop(self) -> None: ...
    async def run(self) -> None: ...


def _housekeeping(part: str, store: Store, settings: Settings) -> Process:
    from tussle.worker.housekeeping import Housekeeping

    return Housekeeping(store, settings, part)


def _velocity(store: Store, settings: Settings) -> Process:
    from tussle.worker.spring.velocity import velocity_solver

    return velocity_solver(store, settings)


def _position(store: Store, settings: Settings) -> Process:
    from tussle.worker.spring.position import position_solver

    return position_solver(store, settings)


def _storage(store: Store, settings: Settings) -> Process:
    from tussle.worker.storage.storage import Storage

    return Storage(store, settings)


def _source(store: Store, settings: Settings) -> Process:
    from tussle.worker.sources import SourceProcess

    return SourceProcess(store, settings)


def _bridge(store: Store, settings: Settings) -> Process:
    from tussle.worker.bridge import Bridge

    return Bridge(store, settings)


PROCESSES: dict[str, Callable[[Store, Settings], Process]] = {
    "all": partial(_housekeeping, "all"),
    "cleanup": partial(_housekeeping, "cleanup"),
    "sweep": partial(_housekeeping, "sweep"),
    "velocity": _velocity,
    "position": _position,
    "storage": _storage,
    "source": _source,
    "bridge": _bridge,
}
"""By the name on the command line. A process imports what it needs when it is made: a solver needs no pyarrow."""


def run_process(name: str, settings: Settings) -> int:
    """Run one until it ends or SIGTERM or SIGINT; its exit code: 2 for settings or a store that cannot be used, 1
    for another failure of ours."""
    logs.configure(settings, process="worker" if name == "all" else f"worker-{name}")
    if not settings.redis_url:
        sys.stderr.write("tussle: REDIS_URL is not set; `tussle up` starts an embedded store\n")
        return 2
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(name, settings))
    except (LobbyError, BadSetting) as error:
        sys.stderr.write(f"tussle: the worker {name} cannot run: {error}\n")
        return 2 if isinstance(error, StoreError | BadSetting) else 1


async def _serve(name: str, settings: Settings) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    store = await _connect(settings, stopped)
    if store is None:
        return 0
    try:
        process = PROCESSES[name](store, settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, process.stop)
        async with published(store, settings):
            if not stopped.is_set():
                await process.run()
    finally:
        await store.close()
    return 0


async def _connect(settings: Settings, stopped: asyncio.Event) -> Store | None:
    """The store, waited for: start order does not matter. None when stopped first. Raises StoreError for a store
    that is there and cannot be used."""
    waiting = False
    while not stopped.is_set():
        try:
            return await Store.connect(settings.redis_url, settings.realm)
        except StoreError as error:
            if error.reason != "store_unavailable":
                raise
            if not waiting:
                log.warning("store_waiting", error=error.message)
                waiting = True
        try:
            async with asyncio.timeout(CONNECT_RETRY_S):
                await stopped.wait()
        except TimeoutError:
            continue
    return None
