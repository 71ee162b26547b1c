"""One peer connection of a client: ICE, DTLS, SCTP and one data channel, by aiortc.

    PeerOffer -> Peer.answer -> answer, and the connection is made -> on_open -> Peer.send ... -> on_closed, once

The server only sends. It sends UDP packets only to the address from which the client's WebSocket comes, and to TURN
servers of the settings: the addresses in a candidate are not trusted, so that nobody can have a server send packets to
others. A client behind another address is found by its own checks (a peer-reflexive candidate). What a client sends
is bounded before it is decrypted. aiortc is used by its parts and not by its RTCPeerConnection, which would parse
descriptions of media. This module runs in server/rtc/rtc_process.py only.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

from aioice import Candidate, Connection
from aiortc import (
    RTCCertificate,
    RTCDataChannel,
    RTCDataChannelParameters,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceTransport,
    RTCSctpCapabilities,
    RTCSctpTransport,
)

from tussle.lobby.errors import Refused
from tussle.lobby.network import Network, NetworkLine, parse_network
from tussle.server.limits import TokenBucket
from tussle.server.rtc.rtc_messages import KEEP_ALIVE, MAX_FRAME, RtcConfiguration
from tussle.server.rtc.sdp import (
    CANDIDATES,
    LocalCandidate,
    PeerOffer,
    RemoteCandidate,
    write_answer,
)

__all__ = ["CHANNEL_ID", "Peer"]

CHANNEL_ID = 0
"""Stream of the data channel. Both sides make it, so that it needs no message to be opened."""

CONNECT_S = 10.0
"""Time to connect [s]. A client that waits for it uses its WebSocket meanwhile."""

SILENT_S = 3.0
"""A client that does not acknowledge for this long is gone [s]."""

KEEP_ALIVE_S = 0.5

GATHER_S = 1
"""Time in which a STUN server must answer [s]."""

UNSENT_BYTES = MAX_FRAME
"""Unsent bytes of a channel above which it gets no frame."""

HOSTS = 8
"""Most addresses that are bound for one peer."""

WAITING_PACKETS = 64
PACKET_BYTES = 600
"""Longest packet that a connected client has to send [B]: acknowledgements, with gaps."""

RECEIVED_RATE, RECEIVED_BURST = 32_768.0, 131_072.0
"""Bytes per second, and at once, that a client may send. To acknowledge 240 frames per second it needs a third."""

REASSEMBLED_CHUNKS = 16
"""Most chunks of a client that wait until the rest of their message arrives. The protocol has no such messages."""


class _BoundConnection(Connection):
    """ICE with bounds on what arrives, and with the addresses of the settings. network: a bad one, for the packets of
    DTLS in both directions; the checks of ICE are not part of it."""

    def __init__(
        self, hosts: Sequence[str], stun: tuple[str, int] | None, network: Network, way: str
    ) -> None:
        super().__init__(ice_controlling=False, stun_server=stun)
        self._hosts = hosts
        self._lines: tuple[NetworkLine, NetworkLine] | None = None
        if network != Network():
            self._lines = (
                NetworkLine(network, f"{way} packets from client", reliable=False),
                NetworkLine(network, f"{way} packets to client", reliable=False),
            )
        self._bucket = TokenBucket(RECEIVED_RATE, RECEIVED_BURST)
        self.heard_at = 0.0
        self.connected = False

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = GATHER_S
    ) -> list[Candidate]:
        return await super().get_component_candidates(
            component, list(self._hosts) or addresses[:HOSTS], timeout=GATHER_S
        )

    def data_received(self, data: bytes, component: int) -> None:
        now = time.monotonic()
        if (
            not data
            or (self.connected and len(data) > PACKET_BYTES)
            or self._queue.qsize() >= WAITING_PACKETS
            or not self._bucket.take(now, len(data))
        ):
            return
        self.heard_at = now
        if self._lines is None:
            super().data_received(data, component)
        else:
            self._later(
                self._lines[0],
                len(data),
                lambda: super(_BoundConnection, self).data_received(data, component),
            )

    async def sendto(self, data: bytes, component: int) -> None:
        if self._lines is None:
            await super().sendto(data, component)
        else:
            self._later(self._lines[1], len(data), lambda: self._send(data, component))

    def _send(self, data: bytes, component: int) -> None:
        pair = self._nominated.get(component)
        if pair is not None:
            pair.protocol.transport.sendto(data, pair.remote_addr)

    @staticmethod
    def _later(line: NetworkLine, size: int, arrive: Callable[[], None]) -> None:
        """Call ``arrive`` when a packet that is sent now arrives, or never."""
        loop = asyncio.get_running_loop()
        due = line.send(loop.time(), size)
        if due is not None:
            loop.call_at(due, arrive)


class Peer:
    """One client's peer connection. ``closed`` is awaited by nobody: the owner gets ``on_closed`` once."""

    def __init__(
        self,
        configuration: RtcConfiguration,
        certificate: RTCCertificate,
        address: str,
        relays: Callable[[], Awaitable[Sequence[str]]],
        on_open: Callable[[], None],
        on_closed: Callable[[str], None],
        *,
        network: str = "",
        way: str = "",
    ) -> None:
        """network: a bad one between this peer and the server (lobby/network.py), "" for none; way: its name."""
        self._configuration = configuration
        self._address = address
        self._relays = relays
        self._on_open, self._on_closed = on_open, on_closed
        self._connection = _BoundConnection(
            configuration.hosts, _stun_server(configuration.stun), parse_network(network), way
        )
        gatherer = RTCIceGatherer(iceServers=[])
        gatherer._connection = self._connection
        self._gatherer = gatherer
        self._ice = RTCIceTransport(gatherer)
        self._dtls = RTCDtlsTransport(self._ice, [certificate])
        self._sctp = RTCSctpTransport(self._dtls)
        self._channel = RTCDataChannel(
            self._sctp,
            RTCDataChannelParameters(
                label="frames", negotiated=True, id=CHANNEL_ID, ordered=False, maxRetransmits=0
            ),
        )
        self._fingerprint = certificate.getFingerprints()[0]
        self._candidates = 0
        self._connecting: asyncio.Task[None] | None = None
        self._began = time.monotonic()
        self._sent_at = 0.0
        self._reason = ""
        self._channel.on("open", self._opened)
        self._channel.on("close", lambda: self.end("closed_by_peer"))
        self._sctp.on("datachannel", lambda _: self.end("flood"))
        self._dtls.on("statechange", self._dtls_changed)

    # -- the connection

    async def answer(self, offer: PeerOffer) -> str:
        """Gather the server's candidates and return the answer. The connection is made in the background. Returns "" if
        the peer was closed meanwhile."""
        if not self._reason:
            await self._gatherer.gather()
        for candidate in offer.candidates:
            await self.add_candidate(candidate)
        if not self._candidates:
            # So that the first packet to the client's address is ours, should it be behind a NAT with this port.
            await self.add_candidate(RemoteCandidate("1", 1, self._address, 9, "host"))
        if self._reason:
            await self._connection.close()  # what was bound after close() ran
            return ""
        local = self._gatherer.getLocalParameters()
        assert local.usernameFragment is not None and local.password is not None
        text = write_answer(
            offer,
            ufrag=local.usernameFragment,
            password=local.password,
            fingerprint=(self._fingerprint.algorithm, self._fingerprint.value),
            sctp_port=self._sctp.port,
            candidates=self._local_candidates(),
        )
        self._connecting = asyncio.create_task(self._connect(offer))
        return text

    def _local_candidates(self) -> list[LocalCandidate]:
        found = []
        announced = self._configuration.announced
        for one in self._gatherer.getLocalCandidates():
            hosts = [one.ip]
            if announced and one.type == "host":
                version = ip_address(one.ip).version
                hosts = [host for host in announced if ip_address(host).version == version]
            found += [
                LocalCandidate(one.foundation, one.priority, host, one.port, one.type) for host in hosts
            ]
        return found

    async def add_candidate(self, candidate: RemoteCandidate) -> None:
        """Use a candidate of the client. Raises Refused with code ``bad_candidate`` if there are too many."""
        self._candidates += 1
        if self._candidates > CANDIDATES:
            raise Refused(
                f"an offer has at most {CANDIDATES} candidates", code="bad_candidate", field="candidate"
            )
        host = self._address
        if candidate.kind == "relay" and candidate.host in await self._relays():
            host = candidate.host
        if self._reason or (candidate.port < 1024 and candidate.port != 9):
            return
        await self._ice.addRemoteCandidate(
            RTCIceCandidate(
                component=1,
                foundation=candidate.foundation,
                ip=host,
                port=candidate.port,
                priority=candidate.priority,
                protocol="udp",
                type="relay" if candidate.kind == "relay" else "host",
            )
        )

    async def _connect(self, offer: PeerOffer) -> None:
        try:
            await self._ice.start(RTCIceParameters(usernameFragment=offer.ufrag, password=offer.password))
            if self._ice.state != "completed":
                self.end("no_connection")
                return
            await self._dtls.start(
                RTCDtlsParameters(
                    fingerprints=[
                        RTCDtlsFingerprint(algorithm=name, value=value) for name, value in offer.fingerprints
                    ]
                )
            )
            if self._dtls.state != "connected":
                self.end("no_connection")
                return
            self._connection.connected = True
            await self._sctp.start(
                RTCSctpCapabilities(maxMessageSize=offer.max_message), remotePort=offer.sctp_port
            )
        except (ConnectionError, ValueError, AssertionError):
            self.end("no_connection")

    def _opened(self) -> None:
        self._connection.heard_at = time.monotonic()
        self._on_open()

    def _dtls_changed(self) -> None:
        if self._dtls.state in ("closed", "failed"):
            self.end("closed_by_peer")

    # -- frames

    @property
    def open(self) -> bool:
        return self._channel.readyState == "open" and not self._reason

    def send(self, frame: bytes) -> bool:
        """Send a frame; False if the channel has too much unsent, or is not open."""
        if not self.open or self._channel.bufferedAmount > UNSENT_BYTES:
            return False
        self._sent_at = time.monotonic()
        try:
            self._channel.send(frame)
        except ValueError:  # larger than the client takes
            return False
        return True

    def look(self, now: float, *, late: bool) -> None:
        """Called every KEEP_ALIVE_S / 2. ``late``: this process itself was late."""
        if self._reason:
            return
        if late:
            self._connection.heard_at = max(self._connection.heard_at, now - SILENT_S / 2)
        if not self.open:
            if now - self._began > CONNECT_S:
                self.end("no_connection")
            return
        waiting = sum(len(stream.reassembly) for stream in self._sctp._inbound_streams.values())
        if waiting > REASSEMBLED_CHUNKS or len(self._sctp._inbound_streams) > REASSEMBLED_CHUNKS:
            self.end("flood")
        elif now - self._connection.heard_at > SILENT_S:
            self.end("silent")
        elif now - self._sent_at >= KEEP_ALIVE_S:
            self.send(KEEP_ALIVE)

    # -- the end

    def end(self, reason: str) -> None:
        """Report that the connection is closed. Does nothing the second time."""
        if not self._reason:
            self._reason = reason
            self._on_closed(reason)

    async def close(self) -> None:
        """Close everything. Raises nothing but CancelledError."""
        self._reason = self._reason or "closed"
        if self._connecting is not None:
            self._connecting.cancel()
        with contextlib.suppress(ConnectionError, AssertionError):
            await self._sctp.stop()
        with contextlib.suppress(ConnectionError):
            await self._dtls.stop()
        await self._ice.stop()


def _stun_server(url: str) -> tuple[str, int] | None:
    """The host and port of ``stun:host:port``; None for no URL."""
    if not url:
        return None
    host, _, port = url.removeprefix("stun:").partition(":")
    return host, int(port or 3478)
