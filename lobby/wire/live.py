"""The messages of live mode, the WebSocket ``/live``: list sources, subscribe, receive their batches.

    client: live (first), then sources, sensor_info, subscribe, unsubscribe, ping
    server: live, sources, sensor_info, subscribed, unsubscribed, batches, source_added, source_gone, pong, error

JSON ``{"t": type, "id": n, "d": {...}}`` as on the session's socket; ``id`` is returned with the answer.
docs/protocol.md describes live mode. This module must never import a socket.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from tussle.lobby.errors import ProtocolError
from tussle.lobby.text import Credential
from tussle.lobby.wire.negotiation import OfferedVersions
from tussle.lobby.wire.sensors import ReadingBatch, SensorInfo

__all__ = [
    "Batches",
    "Failure",
    "Gap",
    "ListSources",
    "LiveHello",
    "LiveMessage",
    "LivePing",
    "LivePong",
    "LiveReply",
    "LiveWelcome",
    "ReadInfo",
    "SensorInfoReply",
    "SourceAdded",
    "SourceGone",
    "Sources",
    "Subscribe",
    "Subscribed",
    "Unsubscribe",
    "Unsubscribed",
    "decode_live",
    "encode_live",
]

Id = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _LivePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t"):
    pass


# -- client to server


class LiveHelloData(_LivePart, frozen=True, forbid_unknown_fields=False):
    """``login``: the login token. ``protocol``, ``protocols``: as in the hello of a session. Fields that the server
    does not know are ignored."""

    login: Credential
    protocol: int | None = None
    protocols: OfferedVersions = ()


class LiveHello(_Message, frozen=True, tag="live"):
    """First message of every connection, within five seconds: log in."""

    d: LiveHelloData


class SourceData(_LivePart, frozen=True):
    source: Name


class SubscribeData(_LivePart, frozen=True):
    """``after``: the n of the newest batch that the client has; the batches that it missed are sent first. Absent: only
    new batches are sent."""

    source: Name
    after: Count | None = None


class ListSources(_Message, frozen=True, tag="sources"):
    id: Id = 0


class ReadInfo(_Message, frozen=True, tag="sensor_info"):
    d: SourceData
    id: Id = 0


class Subscribe(_Message, frozen=True, tag="subscribe"):
    d: SubscribeData
    id: Id = 0


class Unsubscribe(_Message, frozen=True, tag="unsubscribe"):
    d: SourceData
    id: Id = 0


class LivePingData(_LivePart, frozen=True):
    at: float = 0.0


class LivePing(_Message, frozen=True, tag="ping"):
    d: LivePingData = LivePingData()


LiveMessage = LiveHello | ListSources | ReadInfo | Subscribe | Unsubscribe | LivePing


# -- server to client


class LiveWelcomeData(_LivePart, frozen=True):
    player: str
    name: str
    role: str
    protocol: int


class LiveWelcome(_Message, frozen=True, tag="live"):
    d: LiveWelcomeData


class SourcesData(_LivePart, frozen=True):
    sources: tuple[str, ...]


class Sources(_Message, frozen=True, tag="sources"):
    d: SourcesData
    id: int


class SensorInfoReply(_Message, frozen=True, tag="sensor_info"):
    d: SensorInfo
    id: int


class SubscribedData(_LivePart, frozen=True):
    """``n``: the number of the newest batch when the subscription began; 0 if there was none."""

    source: str
    n: int


class Subscribed(_Message, frozen=True, tag="subscribed"):
    d: SubscribedData
    id: int


class Unsubscribed(_Message, frozen=True, tag="unsubscribed"):
    d: SourceData
    id: int


class Gap(_LivePart, frozen=True):
    """Batches ``first`` to ``last`` are not sent: the stream no longer has them, or the client was too slow."""

    first: int
    last: int


class BatchesData(_LivePart, frozen=True, omit_defaults=True):
    source: str
    batches: tuple[ReadingBatch, ...]
    gap: Gap | None = None


class Batches(_Message, frozen=True, tag="batches"):
    """Batches in order of n, each once. ``gap`` is the range that is missing before the first of them."""

    d: BatchesData


class SourceAdded(_Message, frozen=True, tag="source_added"):
    """A source that is new or whose sensors changed. The client asks for its sensor_info."""

    d: SourceData


class SourceGone(_Message, frozen=True, tag="source_gone"):
    """A session that ended. It publishes no more batches."""

    d: SourceData


class LivePong(_Message, frozen=True, tag="pong"):
    d: LivePingData


class FailureData(_LivePart, frozen=True):
    code: str
    message: str
    field: str | None = None


class Failure(_Message, frozen=True, tag="error"):
    d: FailureData
    id: int = 0


LiveReply = (
    LiveWelcome
    | Sources
    | SensorInfoReply
    | Subscribed
    | Unsubscribed
    | Batches
    | SourceAdded
    | SourceGone
    | LivePong
    | Failure
)

_decoder: msgspec.json.Decoder[LiveMessage] = msgspec.json.Decoder(LiveMessage)
_encoder = msgspec.json.Encoder()


def decode_live(data: bytes | str) -> LiveMessage:
    """Parse and validate one message of a client. Raises ProtocolError: bad_json, bad_message."""
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"not a message of live mode: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProtocolError("not JSON", code="bad_json") from None


def encode_live(message: LiveReply) -> str:
    """The message as JSON text."""
    return _encoder.encode(message).decode()
