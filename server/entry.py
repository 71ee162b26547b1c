"""The server as a process: its arguments, its settings, its signals and its exit code.

    arguments, settings -> main -> serve: a solver process, store, listener -> Server.run until a signal

The first solver process starts before the server's own modules are imported: they take a second each, at the same time.
What this module imports at its head must therefore be light. It must never know what a server consists of.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from tussle.lobby.cpu_baseline import below_baseline
from tussle.lobby.environment import BadSetting
from tussle.lobby.errors import LobbyError
from tussle.lobby.settings import Settings
from tussle.server.limits import Proxies
from tussle.server.listening import listen, resolve_proxies
from tussle.server.solver.packages import missing_packages
from tussle.server.solver.spawning import Spawned, spawn

__all__ = ["main", "serve"]


async def serve(settings: Settings, stopped: Callable[[], bool] = lambda: False) -> None:
    """Run one server until SIGTERM or SIGINT. Raises BadSetting for a file of MODES that cannot be used. ``stopped``:
    whether such a signal came before the handlers of the event loop were set."""
    solver = await spawn(0, settings.archive_address)
    try:
        await _serve(settings, solver, stopped)
    finally:
        await solver.end()


async def _serve(settings: Settings, solver: Spawned, stopped: Callable[[], bool]) -> None:
    from tussle.lobby import logs
    from tussle.lobby.log_transport import published
    from tussle.lobby.store.store import Store
    from tussle.server.app import Server
    from tussle.server.gateway.acceptor import raise_file_limit
    from tussle.server.modes.registry import all_modes

    all_modes()
    logs.configure(settings, process="server")
    raise_file_limit()
    if below := below_baseline():
        logs.get_logger(__name__).warning("cpu_below_baseline", meaning=below)
    store = await Store.connect(settings.redis_url, settings.realm)
    try:
        await store.check_channels()
        server = Server(settings, store, listen(settings.host, settings.port), solver)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, server.stop)
        if stopped():
            server.stop()
        async with published(store, settings):
            await server.run()
    finally:
        await store.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point of ``python -m server``, which takes no arguments but --help."""
    parser = argparse.ArgumentParser(
        prog="server",
        description="Run one server against REDIS_URL until SIGTERM, SIGINT or SIGHUP. Settings are environment"
        " variables; .env.example lists them.",
    )
    parser.parse_args(arguments)
    try:
        settings = Settings.read()
        settings = replace(settings, trusted_proxies=resolve_proxies(settings.trusted_proxies))
        Proxies(settings.trusted_proxies)
    except BadSetting as error:
        return _refuse(str(error), 2)
    if not settings.redis_url:
        return _refuse("REDIS_URL is not set; `tussle up` starts an embedded store", 2)
    signals: list[int] = []

    def end(number: int, _: object) -> None:
        """Until the event loop has its own handlers: the child of the check is ended too. Where Python is just in a
        destructor or a callback of an import, it ignores the exception, and the list is read later."""
        signals.append(number)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    if missing := missing_packages():
        return _refuse(f"the server cannot run: {missing}", 1)
    import uvloop

    code = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, lambda: bool(signals)))
    except* BadSetting as errors:
        code = _refuse(str(_first(errors)), 2)
    except* (OSError, LobbyError) as errors:
        code = _refuse(f"the server cannot run: {_first(errors)}", 1)
    return code


def _refuse(why: str, code: int) -> int:
    sys.stderr.write(f"tussle: {why}\n")
    return code


def _first(error: BaseException) -> BaseException:
    """The first error in nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
