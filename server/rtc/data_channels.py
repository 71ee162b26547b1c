"""The data channels of one server, as the gateway sees them: it starts the process that has the peer connections.

    gateway -> DataChannels.open -> process -> ChannelOwner.on_answer, on_open ... on_closed, once
    audience -> DataChannels.send, one message for all peers of a session -> process -> UDP

The process is started with the server, where WEBRTC is on and the extra ``webrtc`` is installed. When it dies, the
owners get ``on_closed`` and it is started again. Nothing waits for it: a frame is dropped while too much is unsent, and
an offer of the time in which it is being started is answered when it runs.
This module must never import aiortc.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol, cast

import msgspec

from tussle.lobby.launch import bare_environment, module_command
from tussle.lobby.logs import get_logger
from tussle.server.rtc.rtc_messages import (
    LARGEST_BACKLOG,
    PeerReport,
    PeerRequest,
    RtcConfiguration,
    Splitter,
    pack,
)

__all__ = ["ChannelOwner", "DataChannels", "is_installed"]

log = get_logger("server.rtc")

RESTART_S = 1.0
"""Time between the end of a process and the start of the next one [s]."""

_decode = msgspec.msgpack.Decoder(PeerReport).decode


class ChannelOwner(Protocol):
    """Who has asked for a data channel. Each is called in the event loop and must not block."""

    def on_answer(self, sdp: str) -> None: ...

    def on_refused(self, code: str, message: str) -> None:
        """The offer was refused; nothing follows."""

    def on_open(self) -> None:
        """The channel takes frames."""

    def on_closed(self, reason: str) -> None:
        """The channel is closed; nothing follows. ``reason``: one of CLOSED_REASONS in server/rtc/rtc_messages.py."""


def is_installed() -> bool:
    """Whether the extra ``webrtc`` is installed."""
    return importlib.util.find_spec("aiortc") is not None


class DataChannels:
    """The data channels of one server. ``keep`` runs the process.

    ``count``: called with the number of frames that were sent and that were dropped, for the metrics.
    """

    def __init__(self, configuration: RtcConfiguration, count: Callable[[int, int, int], None]) -> None:
        self._configuration = configuration
        self._count = count
        self._owners: dict[int, ChannelOwner] = {}
        self._numbers = itertools.count(1)
        self._link: _Link | None = None
        self._early: list[PeerRequest] = []
        """Requests of the time without a process; the budget of peers and of candidates bounds them."""

    async def keep(self) -> None:
        """Run the process, and start it again when it ends, until cancelled."""
        while True:
            try:
                await self._run()
            except OSError as error:
                log.error("rtc_not_started", error=str(error))
            self._link = None
            self._close_all()
            await asyncio.sleep(RESTART_S)

    async def _run(self) -> None:
        local, remote = socket.socketpair()
        local.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                *module_command(
                    "server.rtc.rtc_process",
                    str(remote.fileno()),
                    msgspec.json.encode(self._configuration).decode(),
                ),
                pass_fds=[remote.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env=bare_environment(),
            )
        except BaseException:
            local.close()
            raise
        finally:
            remote.close()
        link = _Link(self._handle)
        transport = None
        try:
            transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=local)
            self._link = link
            early, self._early = self._early, []
            for request in early:
                self._send(request)
            await link.lost.wait()
            log.error("rtc_process_died", pid=process.pid)
        finally:
            if transport is not None:
                transport.abort()
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _close_all(self) -> None:
        owners, self._owners, self._early = self._owners, {}, []
        for owner in owners.values():
            owner.on_closed("process_lost")

    def _handle(self, report: PeerReport) -> None:
        if report.op == "ready":
            log.info("rtc_started")
            return
        owner = self._owners.get(report.peer)
        if owner is None:
            return
        match report.op:
            case "answer":
                owner.on_answer(report.text)
            case "open":
                owner.on_open()
            case "refused":
                del self._owners[report.peer]
                owner.on_refused(report.text, report.message)
            case "closed":
                del self._owners[report.peer]
                owner.on_closed(report.text)

    def __len__(self) -> int:
        return len(self._owners)

    # -- what the gateway calls

    def open(self, owner: ChannelOwner, sdp: str, address: str, *, network: str = "", way: str = "") -> int:
        """Begin a peer connection for an offer of a client at ``address``. Returns its number. network: a bad network
        for its packets (lobby/network.py); way: the network's name."""
        number = next(self._numbers)
        self._owners[number] = owner
        self._send(PeerRequest("open", [number], text=sdp, address=address, network=network, way=way))
        return number

    def add_candidate(self, number: int, candidate: str) -> None:
        self._send(PeerRequest("candidate", [number], text=candidate))

    def close(self, number: int) -> None:
        """Close a peer connection. Its owner is not called again."""
        if self._owners.pop(number, None) is not None:
            self._send(PeerRequest("close", [number]))

    def send(self, session: str, numbers: Iterable[int], frame: bytes) -> None:
        """Send a frame over the open channels of one session, or drop it if the process is behind."""
        peers = list(numbers)
        taken = self._link is not None and self._link.unsent() <= LARGEST_BACKLOG
        if taken:
            self._send(PeerRequest("frame", peers, body=frame, session=session))
        self._count(len(peers) if taken else 0, 0 if taken else len(peers), len(frame))

    def _send(self, request: PeerRequest) -> None:
        if self._link is None:
            self._early.append(request)
        else:
            self._link.write(pack(request))


class _Link(asyncio.Protocol):
    """The connection to the process."""

    def __init__(self, handle: Callable[[PeerReport], None]) -> None:
        self.lost = asyncio.Event()
        self._handle = handle
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        for message in self._splitter.split(data):
            self._handle(_decode(message))

    def unsent(self) -> int:
        """Unsent bytes."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
