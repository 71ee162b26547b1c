"""The process that has the peer connections of one server.

    server/rtc/data_channels.py == socket pair, server/rtc/rtc_messages.py == this process -- UDP -- clients
    arguments: the number of the inherited socket, the configuration as JSON

ICE, DTLS and SCTP in Python take several times the CPU time of a WebSocket, so they must never run in the event loop
that acknowledges inputs. This process ends when the server closes the socket. It opens no store and listens on no TCP
port. While it cannot keep up, it sends the newest frame of each session and drops older ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
from aiortc import RTCCertificate

from tussle.lobby.errors import LobbyError
from tussle.server.rtc.peer import KEEP_ALIVE_S, Peer
from tussle.server.rtc.rtc_messages import PeerReport, PeerRequest, RtcConfiguration, Splitter, pack
from tussle.server.rtc.sdp import PeerOffer, read_candidate, read_offer

__all__ = ["RtcProcess"]

RELAYS_KEPT_S = 300.0
"""How long the resolved addresses of TURN servers are used [s]."""

RESOLVE_S = 1.0

_decode = msgspec.msgpack.Decoder(PeerRequest).decode


class RtcProcess(asyncio.Protocol):
    """The peers of this process, and the connection to the server."""

    def __init__(self, configuration: RtcConfiguration, stop: Callable[[], None]) -> None:
        self._configuration = configuration
        self._stop = stop
        self._certificate = RTCCertificate.generateCertificate()
        self._peers: dict[int, Peer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None
        self._relays: list[str] = []
        self._resolved_at = float("-inf")

    # -- the server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._report(PeerReport("ready"))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._stop()

    def data_received(self, data: bytes) -> None:
        frames: dict[str, PeerRequest] = {}
        for message in self._splitter.split(data):
            request = _decode(message)
            if request.op == "frame":
                frames[request.session] = request
            else:
                self._handle(request)
        for request in frames.values():
            for number in request.peers:
                peer = self._peers.get(number)
                if peer is not None:
                    peer.send(request.body)

    def _report(self, report: PeerReport) -> None:
        if self._transport is not None:
            self._transport.write(pack(report))

    def _handle(self, request: PeerRequest) -> None:
        number = request.peers[0]
        match request.op:
            case "open":
                self._open(number, request)
            case "candidate":
                self._spawn(self._add_candidate(number, request.text))
            case "close":
                peer = self._peers.pop(number, None)
                if peer is not None:
                    self._spawn(peer.close())

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _open(self, number: int, request: PeerRequest) -> None:
        """Have the peer at once: a close may be the next request."""
        try:
            offer = read_offer(request.text)
        except LobbyError as error:
            self._report(PeerReport("refused", number, error.reason, error.message))
            return
        peer = self._peers[number] = Peer(
            self._configuration,
            self._certificate,
            request.address,
            self.relays,
            lambda: self._report(PeerReport("open", number)),
            lambda reason: self._closed(number, reason),
            network=request.network,
            way=request.way,
        )
        self._spawn(self._answer(number, peer, offer))

    async def _answer(self, number: int, peer: Peer, offer: PeerOffer) -> None:
        try:
            answer = await peer.answer(offer)
        except LobbyError as error:
            self._report(PeerReport("refused", number, error.reason, error.message))
            await self._drop(number)
            return
        if number in self._peers:
            self._report(PeerReport("answer", number, answer))

    async def _add_candidate(self, number: int, text: str) -> None:
        peer = self._peers.get(number)
        if peer is None:
            return
        with contextlib.suppress(LobbyError):  # the server has checked it; too many are dropped
            candidate = read_candidate(text)
            if candidate is not None:
                await peer.add_candidate(candidate)

    def _closed(self, number: int, reason: str) -> None:
        self._report(PeerReport("closed", number, reason))
        self._spawn(self._drop(number))

    async def _drop(self, number: int) -> None:
        peer = self._peers.pop(number, None)
        if peer is not None:
            await peer.close()

    async def relays(self) -> Sequence[str]:
        """The addresses of the TURN servers of the settings."""
        now = time.monotonic()
        if now - self._resolved_at > RELAYS_KEPT_S:
            self._resolved_at = now
            loop = asyncio.get_running_loop()
            self._relays = []
            for host in self._configuration.relays:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(RESOLVE_S):
                        self._relays += [
                            str(found[4][0])
                            for found in await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
                        ]
        return self._relays

    # -- time

    async def keep(self) -> None:
        """Look at every peer, until cancelled."""
        period_s = KEEP_ALIVE_S / 2
        due = time.monotonic() + period_s
        while True:
            await asyncio.sleep(period_s)
            now = time.monotonic()
            for peer in list(self._peers.values()):
                peer.look(now, late=now - due > period_s)
            due = now + period_s


def use_ports(loop: asyncio.AbstractEventLoop, first: int, last: int) -> None:
    """Bind UDP sockets that ask for any port, as aioice does, to a port from ``first`` to ``last``."""
    bind = loop.create_datagram_endpoint

    async def bind_in_range(factory: Any, local_addr: Any = None, **options: Any) -> Any:
        if local_addr is None or local_addr[1] != 0:
            return await bind(factory, local_addr=local_addr, **options)
        ports = list(range(first, last + 1))
        start = random.randrange(len(ports))
        for port in [*ports[start:], *ports[:start]]:
            try:
                return await bind(factory, local_addr=(local_addr[0], port), **options)
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise  # such as no free descriptor: no other port would do
        raise OSError(f"no free UDP port from {first} to {last}")

    setattr(loop, "create_datagram_endpoint", bind_in_range)  # noqa: B010


async def serve(connection: socket.socket, configuration: RtcConfiguration) -> None:
    """Serve until the other end of ``connection`` closes."""
    loop = asyncio.get_running_loop()
    if configuration.ports[0]:
        use_ports(loop, *configuration.ports)
    stopped = asyncio.Event()
    process = RtcProcess(configuration, stopped.set)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    await loop.create_unix_connection(lambda: process, sock=connection)
    keeping = asyncio.create_task(process.keep())
    await stopped.wait()
    keeping.cancel()


def main() -> None:
    # These reach the whole process group, such as Ctrl-C in a terminal. The server ends this process itself.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.setblocking(False)
    import uvloop

    uvloop.run(serve(connection, msgspec.json.decode(sys.argv[2], type=RtcConfiguration)))


if __name__ == "__main__":
    main()
