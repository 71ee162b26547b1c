"""The control messages of the WebSocket. The decoder and the TypeScript types are made from these definitions.

Client to server: ``{"t": type, "id": n, "d": {...}}``. ``id`` counts up per seat, from 1; a command that is repeated
with its id has its effect once and gets the same acknowledgement again. Server to client: ``{"t": type, "v": n,
"d": {...}}``; ``v`` counts the session's events without a gap and is absent on messages that concern one connection
only. docs/protocol.md is the reference; this module must never import a socket.
"""

from __future__ import annotations

import contextlib
import re
from typing import Annotated, Any, Literal

import msgspec

from tussle.lobby.errors import ProtocolError
from tussle.lobby.network import NETWORK_LENGTH
from tussle.lobby.text import Credential, Line
from tussle.lobby.wire.negotiation import PROTOCOL, OfferedVersions
from tussle.lobby.wire.signalling import AnswerMessage, Candidate, ChannelMessage, Hangup, Offer, WebRtcData

__all__ = [
    "Ack",
    "Act",
    "Announcement",
    "AnnouncementData",
    "BodyVersion",
    "Chat",
    "Choose",
    "ClientMessage",
    "EditItem",
    "EditScene",
    "ErrorMessage",
    "Event",
    "Hello",
    "Leave",
    "Lock",
    "MeshData",
    "MeshMessage",
    "Notice",
    "NoticeData",
    "NoticeState",
    "ObserversData",
    "ObserversMessage",
    "Ping",
    "Pong",
    "Ready",
    "Redo",
    "Resync",
    "SceneCommand",
    "SceneData",
    "SceneMessage",
    "SeatView",
    "ServerMessage",
    "SessionMessage",
    "SessionView",
    "Skip",
    "Undo",
    "Unlock",
    "Welcome",
    "decode_client",
    "encode",
    "refused_command",
]

Id = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
BodyId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,47}$", max_length=48)]
Finite = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
Fields = Annotated[dict[Annotated[str, msgspec.Meta(max_length=32)], Any], msgspec.Meta(max_length=32)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


# -- client to server ------------------------------------------------------------------------------


class HelloData(_Part, frozen=True, forbid_unknown_fields=False):
    """Either a ``ticket`` (from find, open or join) or a ``resume`` token (from an earlier welcome). ``protocols``: the
    versions that the client speaks; without it, ``protocol`` is the only one. ``codecs``: the codecs of
    frames that it decodes, best first, besides frames of kind 1. ``frame_hz``: the most frames per simulated second
    that it needs. ``transports``: ``webrtc`` if it may make a data channel. ``network``: a bad network for this
    connection only, such as 120ms 40ms 3%. Fields that the server does not know are ignored."""

    protocol: int | None = None
    protocols: OfferedVersions = ()
    ticket: Credential | None = None
    resume: Credential | None = None
    last_v: Count | None = None
    last_tick: Count | None = None
    codecs: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=32)], ...], msgspec.Meta(max_length=16)
    ] = ()
    frame_hz: Annotated[float, msgspec.Meta(gt=0, le=1000)] | None = None
    transports: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=32)], ...], msgspec.Meta(max_length=8)
    ] = ()
    network: Annotated[str, msgspec.Meta(max_length=NETWORK_LENGTH)] | None = None


class ActData(_Part, frozen=True):
    """An input of the mode. ``legal`` in ``turn_started`` lists the kinds and numbers that are allowed."""

    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=24)]
    d: Annotated[
        dict[
            Annotated[str, msgspec.Meta(max_length=24)],
            Finite
            | Annotated[str, msgspec.Meta(max_length=64)]
            | bool
            | Annotated[list[Finite], msgspec.Meta(max_length=16)],
        ],
        msgspec.Meta(max_length=24),
    ] = msgspec.field(default_factory=dict)


class ChatData(_Part, frozen=True):
    text: Line


class ReadyData(_Part, frozen=True):
    ready: bool = True


class ChooseData(_Part, frozen=True):
    body: Annotated[str, msgspec.Meta(min_length=1, max_length=48)]


class PingData(_Part, frozen=True):
    """``at`` is returned unchanged in the pong: the client's clock, in its own units."""

    at: float = 0.0


class _Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t"):
    pass


class Hello(_Command, frozen=True, tag="hello"):
    """First message of every connection, within five seconds."""

    d: HelloData


class Act(_Command, frozen=True, tag="act"):
    """An input to the world. With ``ack`` false the server answers only if it refuses the input; frames carry the id of
    the last applied input. Meant for streams of inputs, such as a drag."""

    id: Id
    d: ActData
    ack: bool = True


class Chat(_Command, frozen=True, tag="chat"):
    id: Id
    d: ChatData


class Ready(_Command, frozen=True, tag="ready"):
    id: Id
    d: ReadyData = ReadyData()


class Choose(_Command, frozen=True, tag="choose"):
    """Choose a body while the lobby waits."""

    id: Id
    d: ChooseData


class EditItem(_Part, frozen=True):
    """One change of one document of the scene. ``base``: the version that it was made on, 0 for a new body. ``lock``:
    the token of the body's lock. One of ``document`` (the whole one), ``delta`` (the fields to replace; null: the
    default) and ``remove``. ``copy``: the new body begins as that one, and may have a delta."""

    body: BodyId
    base: Count
    lock: Count | None = None
    document: Fields | None = None
    delta: Fields | None = None
    remove: bool = False
    copy: BodyId | None = None


class EditData(_Part, frozen=True):
    """Changes that are committed together, as one version and one step of undo."""

    edits: Annotated[list[EditItem], msgspec.Meta(min_length=1, max_length=64)]


class LockData(_Part, frozen=True):
    body: BodyId


class UnlockData(_Part, frozen=True):
    body: BodyId
    lock: Count


class Lock(_Command, frozen=True, tag="lock"):
    """Lock a body of the scene, or ``world``, to edit it. Acknowledged with the lock's token."""

    id: Id
    d: LockData


class Unlock(_Command, frozen=True, tag="unlock"):
    """Give a lock back."""

    id: Id
    d: UnlockData


class EditScene(_Command, frozen=True, tag="edit"):
    """Edit the scene while the lobby waits."""

    id: Id
    d: EditData


class Undo(_Command, frozen=True, tag="undo"):
    """Undo the newest edit of the caller."""

    id: Id


class Redo(_Command, frozen=True, tag="redo"):
    """Redo the edit that was undone last."""

    id: Id


class SkipData(_Part, frozen=True):
    step: Count


class Skip(_Command, frozen=True, tag="skip"):
    """Drop a step of the caller, which the detail of ``undo_conflict`` names. No body changes."""

    id: Id
    d: SkipData


class Leave(_Command, frozen=True, tag="leave"):
    """Give up the seat; the connection is closed with 4000."""

    id: Id


class Ping(_Command, frozen=True, tag="ping"):
    d: PingData = PingData()


class Resync(_Command, frozen=True, tag="resync"):
    """Ask for the whole session again: ``session``, the topology and the newest frame."""


SceneCommand = Lock | Unlock | EditScene | Undo | Redo | Skip

ClientMessage = (
    Hello
    | Act
    | Chat
    | Ready
    | Choose
    | Leave
    | Lock
    | Unlock
    | EditScene
    | Undo
    | Redo
    | Skip
    | Ping
    | Resync
    | Offer
    | Candidate
    | Hangup
)


# -- server to client ------------------------------------------------------------------------------


class SeatView(_Part, frozen=True):
    """One seat of a session: who has it, the body, and whether the player is ready and connected. ``fills``: a bot that
    gives the seat to a person who comes before the start."""

    seat: int
    player: str
    name: str
    kind: Literal["person", "bot"]
    body: str
    ready: bool
    connected: bool
    health: float | None = None
    score: float | None = None
    out: bool = False
    fills: bool = False


class ObserversData(_Part, frozen=True):
    """The observers of a session: their number, and the names of the first ones."""

    count: int = 0
    names: tuple[str, ...] = ()


class SessionView(_Part, frozen=True):
    """A session as every player may see it. Times are ms of the store's clock; ``brief`` is the newest turn_started;
    ``closes_at`` is when a waiting lobby times out; ``params`` are the mode's, as the host chose them;
    ``min_distance`` [m] is the smallest distance so far, as of the newest readings. Of a fork: ``parent``, and
    ``parent_tick``, its first tick; ``exact`` is false if that is not the very state that was asked for."""

    session: str
    status: str
    mode: str
    size: int
    host: str
    seats: tuple[SeatView, ...]
    opened_at: int
    started_at: int = 0
    ended_at: int = 0
    epoch: int = 0
    v: int = 0
    tick: int = 0
    round: int = 0
    turn: int = 0
    turn_seat: int | None = None
    turn_ends_at: int = 0
    brief: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    reason: str = ""
    ws_url: str = ""
    closes_at: int = 0
    params: dict[str, Any] = {}
    min_distance: float | None = None
    observers: ObserversData = ObserversData()
    parent: str | None = None
    parent_tick: int | None = None
    exact: bool | None = None


class WelcomeData(_Part, frozen=True):
    """``role`` is player or observer; ``resume`` is the token for the next connection; it changes at every welcome;
    ``servers`` are addresses to reconnect to when this server does not answer. ``codec``: the one of the offered codecs
    that the server uses; absent if it knows none of them. ``webrtc``: absent if the client has not asked for this
    transport in its hello, or the server does not offer it. ``network``: the bad network of this connection, if any."""

    session: str
    player: str
    role: Literal["player", "observer"]
    seat: int | None
    resume: str | None
    v: int
    tick: int
    dt: float
    frame_hz: float
    epoch: int
    schema_hash: str
    protocol: int
    build: str
    server_time: int
    last_id: int
    servers: tuple[str, ...] = ()
    codec: str | msgspec.UnsetType = msgspec.UNSET
    webrtc: WebRtcData | msgspec.UnsetType = msgspec.UNSET
    network: str | msgspec.UnsetType = msgspec.UNSET


class Welcome(_Command, frozen=True, tag="welcome"):
    d: WelcomeData


class SessionMessage(_Command, frozen=True, tag="session"):
    """The whole view: after a welcome that cannot replay the missed events, and on resync. ``v`` is current."""

    v: int
    d: SessionView


class BodyVersion(_Part, frozen=True):
    """The present version of a document of the scene; 0 and an empty ``sha256`` if it was removed."""

    body: str
    version: int
    sha256: str


class AckData(_Part, frozen=True):
    """``tick`` is the first tick that the input acts in; absent for commands that are not inputs. ``superseded``: the
    input had no effect, because a newer one of its kind and seat replaced it at that tick. ``lock``: the token of a
    lock. ``version``, ``bodies``: the version that an edit, undo or redo of the scene has made, and what it changed."""

    tick: int | None = None
    superseded: bool | msgspec.UnsetType = msgspec.UNSET
    lock: int | msgspec.UnsetType = msgspec.UNSET
    version: int | msgspec.UnsetType = msgspec.UNSET
    bodies: tuple[BodyVersion, ...] | msgspec.UnsetType = msgspec.UNSET


class Ack(_Command, frozen=True, tag="ack"):
    id: int
    d: AckData = AckData()


class ErrorData(_Part, frozen=True):
    """``retry_after``: the time [s] after which the same command may succeed, if it is known. ``detail``: of
    ``stale_version``, the present ``{body, version, sha256, document}``; of ``undo_conflict``, ``{step, body, version,
    seat, name}``, or ``{step}`` if the step is too old."""

    code: str
    message: str
    field: str | None = None
    retry_after: float | msgspec.UnsetType = msgspec.UNSET
    detail: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class ErrorMessage(_Command, frozen=True, tag="error"):
    """The command with ``id`` (absent: the message could not be read) was refused and changed nothing."""

    d: ErrorData
    id: int | None = None


class PongData(_Part, frozen=True):
    at: float
    server_time: int


class Pong(_Command, frozen=True, tag="pong"):
    d: PongData


NoticeState = Literal["paused", "resumed", "store_full", "store_ok", "recording_stopped"]


class NoticeData(_Part, frozen=True):
    """The session was paused (no ticks, the turn clock stops) or resumed; ``turn_ends_at`` is then the new time.
    ``store_full``: the server takes no new lobbies until ``store_ok``; this session continues. ``recording_stopped``:
    frames of the session are not recorded at present; it continues, and they are computed again after its end."""

    state: NoticeState
    reason: str
    turn_ends_at: int = 0


class Notice(_Command, frozen=True, tag="notice"):
    """A notice about the service, not an event of the session: not numbered and not repeated."""

    d: NoticeData


class PaceData(_Part, frozen=True):
    """``dilation``: wall time per simulated time; 1 is real time, 2 half as fast."""

    dilation: float


class PaceMessage(_Command, frozen=True, tag="pace"):
    """How fast the world runs. Sent when a session becomes slow, when that changes, and when it runs in real time
    again; also after connecting to a slow session. Not numbered."""

    d: PaceData


class AnnouncementData(_Part, frozen=True):
    """``text``: one line of at most 300 printable characters."""

    text: str


class Announcement(_Command, frozen=True, tag="announcement"):
    """A notice from an operator, to show to people. Not numbered and not repeated."""

    d: AnnouncementData


class MeshData(_Part, frozen=True):
    """``mesh``: SHA-256 of the upload; ``state``: queued, working, ready or refused, with ``reason`` and maybe the
    ``place`` [m] in the coordinates of the file. ``GET /api/meshes/<mesh>`` has the rest."""

    mesh: str
    state: str
    percent: int
    reason: str | msgspec.UnsetType = msgspec.UNSET
    place: tuple[float, float, float] | msgspec.UnsetType = msgspec.UNSET


class MeshMessage(_Command, frozen=True, tag="mesh"):
    """The state or percentage of a mesh that was sent for this session has changed. Not numbered and not repeated."""

    d: MeshData


class ObserversMessage(_Command, frozen=True, tag="observers"):
    """The observers now. Not numbered; sent again when they change."""

    d: ObserversData


class ChangedBody(_Part, frozen=True):
    """``version`` 0: the body was removed."""

    body: str
    version: int


class SceneData(_Part, frozen=True):
    """``version`` is that of the scene; a gap means that the list must be read again."""

    version: int
    changed: tuple[ChangedBody, ...]


class SceneMessage(_Command, frozen=True, tag="scene"):
    """The scene of the waiting lobby was edited. Not numbered; the documents are read over HTTP."""

    d: SceneData


class LockChange(_Part, frozen=True):
    """``seat``: who has the lock now, null if nobody has."""

    body: str
    seat: int | None


class LockMessage(_Command, frozen=True, tag="lock"):
    """A body of the scene, or ``world``, was locked or freed. Not numbered."""

    d: LockChange


ServerMessage = (
    SceneMessage
    | LockMessage
    | Notice
    | Announcement
    | PaceMessage
    | ObserversMessage
    | MeshMessage
    | Welcome
    | SessionMessage
    | Ack
    | ErrorMessage
    | Pong
    | AnswerMessage
    | ChannelMessage
)


class Event(msgspec.Struct, frozen=True):
    """One entry of ``session:T:events`` and, under its type as ``t``, one message to every member."""

    v: int
    t: str
    d: dict[str, Any]
    tick: int = 0
    epoch: int = 0


_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_encoder = msgspec.json.Encoder()


def decode_client(data: bytes | str) -> ClientMessage:
    """Parse and validate one message. Raises ProtocolError with code ``bad_json`` or ``bad_message``."""
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise refused_command(data, f"not a message of protocol {PROTOCOL}: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProtocolError("not JSON", code="bad_json") from None


class _Identified(msgspec.Struct):
    """What is read of a message that is refused."""

    id: Id


_identified = msgspec.json.Decoder(_Identified)
_FIELD = re.compile(r" - at `\$\.(?:d\.)?([a-z_]+)[^`]*`$")


def refused_command(data: bytes | str, message: str) -> ProtocolError:
    """The error for a message that has valid JSON but not the form of a command. It names the command's id, so that
    its sender gets the error as the answer, and the field, if they can be read."""
    field = _FIELD.search(message)
    error = ProtocolError(message, field=field[1] if field else None)
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        error.command = _identified.decode(data).id
    return error


def encode(message: ServerMessage | Event | ClientMessage) -> bytes:
    return _encoder.encode(message)
