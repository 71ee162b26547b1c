"""A client of a data channel, by aiortc and docs/protocol.md: offers over a Line, and keeps what the channel brings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcconfiguration import RTCIceTransportPolicy

from tests.support.stranger import CEILING_S, Line, Message
from tussle.lobby.wire.delta_layout import LOSSY, LOSSY_KEYFRAME
from tussle.lobby.wire.frames import Frame
from tussle.lobby.wire.lossy_deltas import LossyDecoder

__all__ = ["ChannelClient", "offer_text"]


class ChannelClient:
    """One peer connection beside a Line. ``frames``: the messages of the channel that are no keep-alive."""

    def __init__(self, line: Line, *, servers: list[Message] | None = None, relay: bool = False) -> None:
        """relay: use nothing but TURN."""
        self.line = line
        policy = RTCIceTransportPolicy.RELAY if relay else RTCIceTransportPolicy.ALL
        made = [RTCIceServer(**server) for server in servers or []]
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=made, iceTransportPolicy=policy))
        self.channel = self.peer.createDataChannel(
            "frames", negotiated=True, id=0, ordered=False, maxRetransmits=0
        )
        self.frames: list[bytes] = []
        self.decoder: LossyDecoder | None = None
        """Decodes delta frames; what it keeps is acknowledged."""
        self.shown: list[Frame] = []
        self._news = asyncio.Condition()
        self.channel.on("message", self._received)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, line: Line, **options: Any) -> AsyncIterator[Self]:
        """Make the channel, up to the server's word that frames come over it."""
        client = cls(line, **options)
        try:
            await client.offer()
            await client.accept()
            await line.until("channel", state="open")
            yield client
        finally:
            await client.peer.close()

    async def offer(self, change: Callable[[str], str] = str) -> None:
        """Send an offer, after ``change``."""
        await self.peer.setLocalDescription(await self.peer.createOffer())
        await self.line.say("offer", {"sdp": change(self.peer.localDescription.sdp)})

    async def accept(self) -> str:
        """Wait for the answer and use it."""
        sdp = str((await self.line.until("answer"))["d"]["sdp"])
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        return sdp

    async def _received(self, data: bytes) -> None:
        if data[0] != 0:
            self.frames.append(data)
            if self.decoder is not None and data[0] in (LOSSY, LOSSY_KEYFRAME):
                shown = self.decoder.decode(data)
                if shown is not None:
                    self.shown.append(shown)
                if self.decoder.kept:
                    await self.line.say("seen", {"number": self.decoder.kept})
            async with self._news:
                self._news.notify_all()

    async def more_frames(self, count: int) -> None:
        """Wait for that many further frames over the channel."""
        enough = len(self.frames) + count
        async with asyncio.timeout(CEILING_S), self._news:
            await self._news.wait_for(lambda: len(self.frames) >= enough)

    def cut(self) -> None:
        """Lose the network below the channel, without a word: nothing is sent or received any more."""
        ice: Any = self.peer.sctp.transport.transport  # type: ignore[union-attr]
        for protocol in ice._connection._protocols:
            protocol.transport.close()


async def offer_text() -> str:
    """The text of a good offer, whose peer is closed."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.createDataChannel("frames", negotiated=True, id=0)
    await peer.setLocalDescription(await peer.createOffer())
    text = str(peer.localDescription.sdp)
    await peer.close()
    return text
