"""The messages of a replay room, the WebSocket ``/replay/T``: watch a recording together, one person presents.

    client: hello (first), then present, release, scrub, bookmark, remove_bookmark, view, remove_view, chat, ping
    server: welcome, presenter, scrub, bookmark, bookmark_removed, view, view_removed, presence, chat, recording,
            servers, pong, error

JSON ``{"t": type, "id": n, "d": {...}}`` as on the other sockets; ``id`` is returned with an error. Nothing here has a
``v``: a room is a state, not a stream. A scrub leaves its defaults out, because it is sent thirty times a second.
docs/protocol.md describes the room. This module must never import a socket.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tussle.lobby.errors import ProtocolError
from tussle.lobby.text import Credential, Line
from tussle.lobby.wire.client_messages import PingData, refused_command
from tussle.lobby.wire.negotiation import PROTOCOL, OfferedVersions

__all__ = [
    "AddBookmark",
    "Bookmark",
    "BookmarkAdded",
    "BookmarkRemoved",
    "CameraView",
    "NamedView",
    "PresenceData",
    "PresenceNow",
    "Present",
    "Presenter",
    "PresenterData",
    "RecordingData",
    "RecordingGrew",
    "Release",
    "RemoveBookmark",
    "RemoveView",
    "ReplayChat",
    "ReplayChatLine",
    "ReplayError",
    "ReplayErrorData",
    "ReplayHello",
    "ReplayLine",
    "ReplayMessage",
    "ReplayPing",
    "ReplayPong",
    "ReplayReply",
    "ReplayRoomMember",
    "ReplayServers",
    "ReplayServersData",
    "ReplayWelcome",
    "ReplayWelcomeData",
    "ReplayYou",
    "Scrub",
    "Scrubbed",
    "ScrubbedData",
    "SetView",
    "ViewRemoved",
    "ViewSet",
    "decode_replay",
    "decode_reply",
    "encode_replay",
]

Id = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Frame = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
Speed = Annotated[float, msgspec.Meta(ge=-16.0, le=16.0)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
Length = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
Place = tuple[Length, Length, Length]


class _ReplayPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _ReplayMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t"):
    pass


class ReplayNothing(_ReplayPart, frozen=True):
    pass


class CameraView(_ReplayPart, frozen=True):
    """A camera: where it is and what it looks at [m]; ``follow``: id of the body that it moves with, or empty."""

    position: Place
    target: Place
    follow: Annotated[str, msgspec.Meta(max_length=48)] = ""


# -- client to server


class ReplayHelloData(_ReplayPart, frozen=True, forbid_unknown_fields=False):
    """``token``: the login token. ``protocols``: the versions that the client speaks; without it, ``protocol`` is the
    only one. Fields that the server does not know are ignored."""

    token: Credential
    protocol: int = PROTOCOL
    protocols: OfferedVersions = ()


class ReplayHello(_ReplayMessage, frozen=True, tag="hello"):
    """First message of every connection, within five seconds."""

    d: ReplayHelloData


class Present(_ReplayMessage, frozen=True, tag="present"):
    """Ask for the presenter's token, or renew it: it lasts five seconds after the last scrub or present."""

    d: ReplayNothing = ReplayNothing()
    id: Id = 0


class Release(_ReplayMessage, frozen=True, tag="release"):
    """Give the presenter's token back."""

    d: ReplayNothing = ReplayNothing()
    id: Id = 0


class ScrubData(_ReplayPart, frozen=True):
    frame: Frame
    playing: bool = False
    speed: Speed = 1.0


class Scrub(_ReplayMessage, frozen=True, tag="scrub"):
    """Move everybody to a frame. Only the presenter may, and it keeps the token by it."""

    d: ScrubData
    id: Id = 0


class AddBookmarkData(_ReplayPart, frozen=True):
    name: Name
    frame: Frame


class AddBookmark(_ReplayMessage, frozen=True, tag="bookmark"):
    d: AddBookmarkData
    id: Id = 0


class RemoveData(_ReplayPart, frozen=True):
    id: Token


class RemoveBookmark(_ReplayMessage, frozen=True, tag="remove_bookmark"):
    """Remove a bookmark. Only its author or an operator may."""

    d: RemoveData
    id: Id = 0


class SetViewData(_ReplayPart, frozen=True):
    name: Name
    camera: CameraView


class SetView(_ReplayMessage, frozen=True, tag="view"):
    """Keep a camera under a name. The one with the name `default` is everybody's first camera."""

    d: SetViewData
    id: Id = 0


class RemoveViewData(_ReplayPart, frozen=True):
    name: Name


class RemoveView(_ReplayMessage, frozen=True, tag="remove_view"):
    """Remove a named view. Only its author or an operator may."""

    d: RemoveViewData
    id: Id = 0


class ReplayChatData(_ReplayPart, frozen=True):
    text: Line


class ReplayChat(_ReplayMessage, frozen=True, tag="chat"):
    d: ReplayChatData
    id: Id = 0


class ReplayPing(_ReplayMessage, frozen=True, tag="ping"):
    d: PingData = PingData()


ReplayMessage = (
    ReplayHello
    | Present
    | Release
    | Scrub
    | AddBookmark
    | RemoveBookmark
    | SetView
    | RemoveView
    | ReplayChat
    | ReplayPing
)


# -- server to client


class ReplayRoomMember(_ReplayPart, frozen=True):
    player: str
    name: str


class ReplayYou(_ReplayPart, frozen=True):
    """``connection``: names this connection, as `presenter` does."""

    player: str
    name: str
    role: Literal["observer", "operator"]
    connection: str


class Bookmark(_ReplayPart, frozen=True):
    """``by``: id of the player who made it, ``by_name``: its name then."""

    id: str
    name: str
    frame: int
    by: str
    by_name: str


class NamedView(_ReplayPart, frozen=True):
    """``by``: id of the player who made it."""

    name: str
    camera: CameraView
    by: str


class ReplayLine(_ReplayPart, frozen=True):
    """A line of chat. ``n`` counts up in the room; ``at`` is ms of the store's clock."""

    n: int
    player: str
    name: str
    text: str
    at: int


class ReplayWelcomeData(_ReplayPart, frozen=True):
    """The room as it is. ``presenter``: id of the player who presents, or null; ``frame``, ``playing`` and ``speed``
    are of the newest scrub (``grant``, ``n``); ``length``: frames of the recording so far; ``live``: it still grows;
    ``members``: the first of ``member_count``; ``chat``: the newest lines; ``servers``: addresses at which the room is
    joined when this server does not answer."""

    session: str
    you: ReplayYou
    members: tuple[ReplayRoomMember, ...]
    member_count: int
    presenter: str | None
    presenter_connection: str | None
    grant: int
    n: int
    frame: int
    playing: bool
    speed: float
    bookmarks: tuple[Bookmark, ...]
    views: tuple[NamedView, ...]
    chat: tuple[ReplayLine, ...]
    length: int
    live: bool
    protocol: int
    servers: tuple[str, ...] = ()


class ReplayWelcome(_ReplayMessage, frozen=True, tag="welcome"):
    d: ReplayWelcomeData


class PresenterData(_ReplayPart, frozen=True):
    """``player`` and ``connection`` are null when nobody presents. ``grant`` is the number of the newest grant: scrubs
    with a smaller one are old."""

    player: str | None
    grant: int
    connection: str | None = None


class Presenter(_ReplayMessage, frozen=True, tag="presenter"):
    """Who presents now. Sent when that changes."""

    d: PresenterData


class ScrubbedData(_ReplayPart, frozen=True, omit_defaults=True):
    """``n`` counts the scrubs of a room. A scrub whose (grant, n) is not greater than the newest one is old."""

    grant: int
    n: int
    frame: int
    playing: bool = False
    speed: float = 1.0


class Scrubbed(_ReplayMessage, frozen=True, tag="scrub"):
    """Where the presenter is. A slow connection is sent only the newest one."""

    d: ScrubbedData


class BookmarkAdded(_ReplayMessage, frozen=True, tag="bookmark"):
    d: Bookmark


class BookmarkGone(_ReplayPart, frozen=True):
    id: str


class BookmarkRemoved(_ReplayMessage, frozen=True, tag="bookmark_removed"):
    d: BookmarkGone


class ViewSet(_ReplayMessage, frozen=True, tag="view"):
    """A view that is new, or replaces the one with its name."""

    d: NamedView


class ViewGone(_ReplayPart, frozen=True):
    name: str


class ViewRemoved(_ReplayMessage, frozen=True, tag="view_removed"):
    d: ViewGone


class PresenceData(_ReplayPart, frozen=True):
    """The members of the room on all servers: the first of ``member_count``."""

    members: tuple[ReplayRoomMember, ...]
    member_count: int


class PresenceNow(_ReplayMessage, frozen=True, tag="presence"):
    """The members now. Sent when they change."""

    d: PresenceData


class ReplayChatLine(_ReplayMessage, frozen=True, tag="chat"):
    d: ReplayLine


class RecordingData(_ReplayPart, frozen=True):
    length: int
    live: bool


class RecordingGrew(_ReplayMessage, frozen=True, tag="recording"):
    """The recording has more frames, or its session is over (``live`` is false)."""

    d: RecordingData


class ReplayServersData(_ReplayPart, frozen=True):
    """``servers``: as in ``ReplayWelcomeData``, from now on."""

    servers: tuple[str, ...]


class ReplayServers(_ReplayMessage, frozen=True, tag="servers"):
    """The other servers now. Sent when they change."""

    d: ReplayServersData


class ReplayPong(_ReplayMessage, frozen=True, tag="pong"):
    d: PingData


class ReplayErrorData(_ReplayPart, frozen=True):
    """``retry_after``: the time [s] after which the same message may succeed, if it is known."""

    code: str
    message: str
    field: str | None = None
    retry_after: float | msgspec.UnsetType = msgspec.UNSET


class ReplayError(_ReplayMessage, frozen=True, tag="error"):
    """The message with ``id`` (0: it could not be read, or had none) was refused and changed nothing."""

    d: ReplayErrorData
    id: int = 0


ReplayReply = (
    ReplayWelcome
    | Presenter
    | Scrubbed
    | BookmarkAdded
    | BookmarkRemoved
    | ViewSet
    | ViewRemoved
    | PresenceNow
    | ReplayChatLine
    | RecordingGrew
    | ReplayServers
    | ReplayPong
    | ReplayError
)

_decoder: msgspec.json.Decoder[ReplayMessage] = msgspec.json.Decoder(ReplayMessage)
_reply_decoder: msgspec.json.Decoder[ReplayReply] = msgspec.json.Decoder(ReplayReply)
_encoder = msgspec.json.Encoder()


def decode_replay(data: bytes | str) -> ReplayMessage:
    """Parse and validate one message of a client. Raises ProtocolError: bad_json, bad_message."""
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise refused_command(data, f"not a message of a replay room: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProtocolError("not JSON", code="bad_json") from None


def decode_reply(data: bytes | str) -> ReplayReply:
    """Parse one message of a server. Raises msgspec.MsgspecError."""
    return _reply_decoder.decode(data)


def encode_replay(message: ReplayMessage | ReplayReply) -> bytes:
    """The message as JSON text."""
    return _encoder.encode(message)
