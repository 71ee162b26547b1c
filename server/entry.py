"""The server as a process: its arguments, its settings, its signals and its exit code.

    arguments, settings -> main -> serve: store, listener -> Server.run until a signal

This module must never know what a server consists of.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from tussle.lobby.cpu_baseline import below_baseline
from tussle.lobby.errors import LobbyError
from tussle.lobby.log_transport import published
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.server.app import Server
from tussle.server.gateway.acceptor import raise_file_limit
from tussle.server.limits import Proxies
from tussle.server.listening import listen, resolve_proxies
from tussle.server.modes.registry import all_modes
from tussle.server.solver.packages import missing_packages

__all__ = ["main", "serve"]


async def serve(settings: Settings) -> None:
    """Run one server until SIGTERM or SIGINT."""
    store = await Store.connect(settings.redis_url, settings.realm)
    try:
        await store.check_channels()
        server = Server(settings, store, listen(settings.host, settings.port))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, server.stop)
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
    from tussle.lobby import logs
    from tussle.lobby.environment import BadSetting

    try:
        settings = Settings.read()
        settings = replace(settings, trusted_proxies=resolve_proxies(settings.trusted_proxies))
        Proxies(settings.trusted_proxies)
        all_modes()
    except BadSetting as error:
        sys.stderr.write(f"tussle: {error}\n")
        return 2
    logs.configure(settings, process="server")
    if not settings.redis_url:
        sys.stderr.write("tussle: REDIS_URL is not set; `tussle up` starts an embedded store\n")
        return 2
    raise_file_limit()
    # Until the event loop has its own handlers: the child of the check is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    missing = missing_packages()
    if missing:
        sys.stderr.write(f"tussle: the server cannot run: {missing}\n")
        return 1
    if below := below_baseline():
        logs.get_logger(__name__).warning("cpu_below_baseline", meaning=below)
    import uvloop

    code = 0
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except* (OSError, LobbyError) as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        sys.stderr.write(f"tussle: the server cannot run: {first}\n")
        code = 1
    return code
