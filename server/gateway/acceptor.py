"""Accepts the connections of a server, and computes how many clients its file descriptors allow.

    listener -> Acceptor -> admit the address -> the HTTP protocol (server/gateway/http_guard.py), which holds a
                                    |            descriptor or is closed
                                    '- no: closed, before anything is made for it

A share of the descriptors is kept for the store, the archive, the solvers and the relays: a process without a free
descriptor can neither reconnect nor write. The event loop's own accept loop accepts every waiting connection before any
of them can be refused, and would use up the share. This module must never wait for a client.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tussle.lobby.logs import get_logger
from tussle.lobby.settings import Settings

__all__ = ["Acceptor", "connection_limit", "raise_file_limit", "with_connection_limit"]

log = get_logger("server.gateway")

ACCEPTED_AT_ONCE = 8
"""Connections that are accepted before the loop does other work. The kept share is larger."""

REFUSED_AT_ONCE = 64
"""Connections that are accepted and closed at once, before the loop does other work: their address has too many."""

PAUSE_S = 0.5
"""Pause of accepting when the machine has no descriptor or buffer left."""

LEAST_CONNECTIONS = 16
KEPT_LEAST, KEPT_MOST = 64, 1024
"""Bounds of the kept share: a quarter of the limit of open files."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard limit, where the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connection_limit(wanted: int, files: int, used: int) -> int:
    """The connections that a process with a limit of ``files`` open files may have, of which ``used`` are open.

    ``wanted``: MAX_CONNECTIONS; 0 means as many as possible.
    """
    kept = min(max(KEPT_LEAST, files // 4), KEPT_MOST)
    possible = max(LEAST_CONNECTIONS, files - kept - used)
    return min(wanted, possible) if wanted else possible


def with_connection_limit(settings: Settings) -> Settings:
    """The settings with the connections that this process can have. One address has at most three quarters of them."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = connection_limit(settings.max_connections, files, sum(1 for _ in Path("/dev/fd").iterdir()))
    address = min(settings.address_connections, max(1, limit * 3 // 4))
    return replace(settings, max_connections=limit, address_connections=address)


class Acceptor:
    """Accepts from one listening socket, which it does not close.

    ``connections``: the number of connections that are open or being closed. While it is ACCEPTED_AT_ONCE above
    ``most``, nothing is accepted; this lasts until those that were refused are closed. ``admit``: whether the address
    of a new connection may have one more.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        connections: Callable[[], int],
        most: int,
        admit: Callable[[str], bool],
    ) -> None:
        self._admit = admit
        self._connections = connections
        self._most = most
        self._listener = listener
        self._make_protocol = make_protocol
        self._tasks: set[asyncio.Task[None]] = set()
        self._paused: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._paused = None
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    async def close(self) -> None:
        """Accept no more. Connections that are being set up are finished."""
        asyncio.get_running_loop().remove_reader(self._listener)
        if self._paused is not None:
            self._paused.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        open_now = self._connections() + len(self._tasks)
        room, refused = min(ACCEPTED_AT_ONCE, self._most + ACCEPTED_AT_ONCE - open_now), 0
        while room > 0 and refused < REFUSED_AT_ONCE:
            try:
                connection, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                log.error("accepting_paused", error=str(error), pause_s=PAUSE_S)
                loop.remove_reader(self._listener)
                self._paused = loop.call_later(PAUSE_S, self.start)
                return
            if not self._admit(str(peer[0]) if peer else ""):
                refused += 1
                connection.close()
                continue
            room -= 1
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._set_up(connection), name="accept")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _set_up(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._make_protocol, connection)
        except OSError:
            connection.close()
