"""The worker processes: how each one is made, started and stopped, and where its logs go.

    python -m worker [all | cleanup | sweep | velocity | position | storage | bridge | source | meshes]

A process imports its modules only when it is made: a solver needs no pyarrow. This module must never handle an entry.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Protocol

from tussle.lobby import logs
from tussle.lobby.environment import BadSetting
from tussle.lobby.errors import LobbyError, StoreError
from tussle.lobby.log_transport import published
from tussle.lobby.logs import get_logger
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.worker.stopping import wait_for_stop

__all__ = ["PROCESSES", "Process", "run_process"]

log = get_logger("worker")

CONNECT_RETRY_S = 0.5


class Process(Protocol):
    """A worker process: ``run`` returns soon after ``stop``."""

    def stop(self) -> None: ...
    async def run(self) -> None: ...


def _maintenance(part: str, store: Store, settings: Settings) -> Process:
    from tussle.worker.sweep import Maintenance

    return Maintenance(store, settings, part)


def _velocity(store: Store, settings: Settings) -> Process:
    from tussle.worker.spring.solvers import make_velocity_solver

    return make_velocity_solver(store, settings)


def _position(store: Store, settings: Settings) -> Process:
    from tussle.worker.spring.solvers import make_position_solver

    return make_position_solver(store, settings)


def _storage(store: Store, settings: Settings) -> Process:
    from tussle.worker.storage.storage import Storage

    return Storage(store, settings)


def _source(store: Store, settings: Settings) -> Process:
    from tussle.worker.sources import SourceProcess

    return SourceProcess(store, settings)


def _meshes(store: Store, settings: Settings) -> Process:
    from tussle.worker.mesh_jobs import MeshJobs

    return MeshJobs(store, settings)


def _bridge(store: Store, settings: Settings) -> Process:
    from tussle.worker.bridge import Bridge

    return Bridge(store, settings)


PROCESSES: dict[str, Callable[[Store, Settings], Process]] = {
    "all": partial(_maintenance, "all"),
    "cleanup": partial(_maintenance, "cleanup"),
    "sweep": partial(_maintenance, "sweep"),
    "velocity": _velocity,
    "position": _position,
    "storage": _storage,
    "source": _source,
    "meshes": _meshes,
    "bridge": _bridge,
}
"""Name on the command line -> what makes the process."""


def run_process(name: str, settings: Settings) -> int:
    """Run a process until it ends, or until SIGTERM or SIGINT. Returns its exit code: 0, 2 for settings or a store that
    cannot be used, 1 for another failure."""
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
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    store = await _connect(settings, stopped, wakes=name in ("all", "cleanup"))
    if store is None:
        return 0
    try:
        process = PROCESSES[name](store, settings)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, process.stop)
        async with published(store, settings):
            if not stopped.is_set():
                await process.run()
    finally:
        await store.close()
    return 0


async def _connect(settings: Settings, stopped: asyncio.Event, *, wakes: bool) -> Store | None:
    """Connect to the store, and wait for it while it is unreachable. Returns None when stopped first. Raises StoreError
    for a store that is reachable and cannot be used. ``wakes``: the worker is woken by channels."""
    waiting = False
    while not stopped.is_set():
        try:
            store = await Store.connect(settings.redis_url, settings.realm)
            try:
                if wakes:
                    await store.check_channels()
            except StoreError:
                await store.close()
                raise
            return store
        except StoreError as error:
            if error.reason != "store_unavailable":
                raise
            if not waiting:
                log.warning("store_waiting", error=error.message)
                waiting = True
        await wait_for_stop(stopped, CONNECT_RETRY_S)
    return None
