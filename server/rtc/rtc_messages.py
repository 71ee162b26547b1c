"""The messages between a server and its process of peer connections, over a socket pair.

    message = length (u32, little endian) + msgpack of PeerRequest or PeerReport

Frames are requests without a reply. Of the frames of one session that wait, the process sends the newest only.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

__all__ = [
    "CLOSED_REASONS",
    "KEEP_ALIVE",
    "LARGEST_BACKLOG",
    "MAX_FRAME",
    "PeerReport",
    "PeerRequest",
    "RtcConfiguration",
    "Splitter",
    "pack",
]

MAX_FRAME = 16_384
"""Largest frame that is sent over a data channel [B]: about 14 packets, of which none may be lost. A larger one is sent
over the WebSocket."""

KEEP_ALIVE = b"\x00"
"""Sent over a channel that had no frame for KEEP_ALIVE_S: the client sees that the channel works."""

LARGEST_BACKLOG = 65_536
"""Unsent bytes to the process above which a frame is dropped."""

LARGEST = 1_048_576
"""Largest message between the two processes [B]."""

CLOSED_REASONS = ("no_connection", "silent", "closed_by_peer", "flood", "process_lost")
"""Why the process has closed a peer connection."""


class PeerRequest(msgspec.Struct, frozen=True, array_like=True):
    """``op``: open (``text`` is the offer, ``address`` the client's, ``network`` a bad network for it and ``way`` the
    network's name), candidate (``text``), close, or frame (``body``, to every one of ``peers``; ``session`` names the
    session and the kind of frame: of those that wait, the newest of each is sent)."""

    op: str
    peers: list[int]
    text: str = ""
    body: bytes = b""
    address: str = ""
    session: str = ""
    network: str = ""
    way: str = ""


class PeerReport(msgspec.Struct, frozen=True, array_like=True):
    """``op``: ready, answer (``text``), refused (``text`` is the code, ``message`` the sentence), open, or closed
    (``text`` is one of CLOSED_REASONS)."""

    op: str
    peer: int = 0
    text: str = ""
    message: str = ""


class RtcConfiguration(msgspec.Struct, frozen=True):
    """What the process must know. ``hosts``: addresses to bind; empty: those of the interfaces. ``announced``: those
    at which clients reach the ports, instead of those that are bound. ``ports``: first and last port; (0, 0): any.
    ``stun``: a STUN server for the server's own address, or "". ``relays``: hosts of TURN servers."""

    hosts: list[str]
    announced: list[str]
    ports: tuple[int, int]
    stun: str
    relays: list[str]


def pack(message: PeerRequest | PeerReport) -> bytes:
    """A message with its length before it."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(4, "little") + data


class Splitter:
    """Splits a stream of bytes into messages."""

    def __init__(self) -> None:
        self._rest = b""

    def split(self, data: bytes) -> Iterator[bytes]:
        """The messages that are complete. Raises ValueError for one that is too long."""
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        try:
            while end - at >= 4:
                length = int.from_bytes(data[at : at + 4], "little")
                if length > LARGEST:
                    raise ValueError("a message is too long")
                if end - at - 4 < length:
                    break
                at += 4 + length
                yield data[at - length : at]
        finally:
            self._rest = data[at:]
