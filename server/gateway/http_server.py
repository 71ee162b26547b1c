"""HTTP and WebSocket on one listener: uvicorn without its signal handlers and its accepting.

    listener -> Acceptor -> the protocol of http_guard.py -> the application, or the gateway's upgrade

The caller stops it with ``should_exit``. This module must never decide who is admitted.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn

from tussle.server.gateway.acceptor import Acceptor

__all__ = ["HttpServer"]

CLOSING_S = 2
"""Time that open connections have when the server stops [s]."""


class HttpServer(uvicorn.Server):
    """One listener with its application."""

    def __init__(
        self,
        application: Callable[..., Any],
        upgrade: Callable[..., Any],
        listener: socket.socket,
        *,
        protocol: type[asyncio.Protocol] | str,
        connections: Callable[[], int],
        most: int,
        admit: Callable[[str], bool],
        proxies: Sequence[str] = (),
    ) -> None:
        """``upgrade``: the protocol of a WebSocket. ``connections``, ``most``, ``admit``: see Acceptor. ``proxies``:
        addresses and networks whose X-Forwarded headers count."""
        super().__init__(
            uvicorn.Config(
                application,
                ws=upgrade,  # type: ignore[arg-type]
                http=protocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=CLOSING_S,
                server_header=False,
                forwarded_allow_ips=list(proxies),
            )
        )
        self._acceptor = Acceptor(listener, self._make_protocol, connections, most, admit)

    def _make_protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self._acceptor.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._acceptor.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
