"""The messages of a connection about its WebRTC data channel, an optional transport for frames.

    client: offer -> candidate ... -> seen ... -> hangup          server: answer, channel (open, closed)

docs/protocol.md is the reference. lobby/wire/client_messages.py and messages.py have the unions that they belong to.
This module must never read a session description.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

__all__ = [
    "AnswerData",
    "AnswerMessage",
    "Candidate",
    "ChannelData",
    "ChannelMessage",
    "Hangup",
    "IceServer",
    "Offer",
    "Seen",
    "WebRtcData",
]


class OfferData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``sdp``: a session description with one section, of a data channel."""

    sdp: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t", tag="offer"):
    """Ask for frames over a WebRTC data channel. Answered with ``answer``, or with an error of field ``offer``. The
    channel has the stream 0, agreed on by both sides, is unordered, and does not retransmit lost packets."""

    d: OfferData


class CandidateData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``candidate``: an ICE candidate that was found after the offer."""

    candidate: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t", tag="candidate"):
    """A further candidate of the client."""

    d: CandidateData


class Hangup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t", tag="hangup"):
    """Close the data channel, or withdraw the offer: frames come over the WebSocket again."""


class SeenData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``number``: of a reference."""

    number: Annotated[int, msgspec.Meta(ge=1, le=255)]


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t", tag="seen"):
    """Acknowledge a frame of the data channel that is kept as a reference. Not answered."""

    d: SeenData


class IceServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A STUN or TURN server, as ``RTCPeerConnection`` of browsers takes it. ``username`` and ``credential`` are for a
    TURN server; they expire."""

    urls: tuple[str, ...]
    username: str | msgspec.UnsetType = msgspec.UNSET
    credential: str | msgspec.UnsetType = msgspec.UNSET


class WebRtcData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The server makes data channels. ``ice_servers``: what a client needs to reach it; none on a LAN."""

    ice_servers: tuple[IceServer, ...] = ()


class AnswerData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``sdp``: the answer to the offer, with all candidates of the server."""

    sdp: str


class AnswerMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t", tag="answer"):
    """The answer to an ``offer``. Not numbered."""

    d: AnswerData


class ChannelData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``state`` open: frames come over the data channel, except those that are larger than 16 KiB. closed: they come
    over the WebSocket. ``reason``: of the end, for a log."""

    state: Literal["open", "closed"]
    reason: str = ""


class ChannelMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t", tag="channel"):
    """The transport of frames from now on. Not numbered."""

    d: ChannelData
