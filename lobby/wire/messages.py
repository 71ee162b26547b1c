"""The messages of the WebSocket: what a server sends. The TypeScript types are made from these structs.

``{"t": type, "v": n, "d": {...}}``; ``v`` counts the session's events without a gap and is absent on messages that
concern one connection only. lobby/wire/client_messages.py has what a client sends; docs/protocol.md is the reference.
This module must never import a socket.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tussle.lobby.wire.client_messages import ClientMessage, Message, MessagePart
from tussle.lobby.wire.signalling import AnswerMessage, ChannelMessage, WebRtcData

__all__ = [
    "Ack",
    "Announcement",
    "AnnouncementData",
    "BodyVersion",
    "ErrorMessage",
    "Event",
    "HeldSeat",
    "MeshData",
    "MeshMessage",
    "Notice",
    "NoticeData",
    "NoticeState",
    "ObserversData",
    "ObserversMessage",
    "Pong",
    "RatingChange",
    "SceneData",
    "SceneMessage",
    "SeatView",
    "Series",
    "SeriesWins",
    "ServerMessage",
    "ServersData",
    "ServersMessage",
    "SessionMessage",
    "SessionView",
    "Welcome",
    "encode",
]


class SeatView(MessagePart, frozen=True):
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


class HeldSeat(MessagePart, frozen=True):
    """A free seat of a rematch that only this player may take, until a time [ms]."""

    seat: int
    player: str
    name: str
    until: int


class SeriesWins(MessagePart, frozen=True):
    """The matches of a series that one person has won."""

    player: str
    name: str
    won: int


class Series(MessagePart, frozen=True):
    """The score of a series of rematches before this match, which has the number ``match``; the first is 1. ``bots``:
    the matches that bots won; ``drawn``: that nobody won. ``before``: the match before, or ''."""

    match: int
    wins: tuple[SeriesWins, ...] = ()
    bots: int = 0
    drawn: int = 0
    before: str = ""


class RatingChange(MessagePart, frozen=True):
    """What a session has changed of a player's rating [points]. ``before``: absent if it was the first."""

    player: str
    after: float
    before: float | None = None


class ObserversData(MessagePart, frozen=True):
    """The observers of a session: their number, the names of the first ones, and which of these are bots."""

    count: int = 0
    names: tuple[str, ...] = ()
    bots: tuple[str, ...] = ()


class SessionView(MessagePart, frozen=True):
    """A session as every player may see it. ``status``: open, filled, starting, running, paused, ended, timed_out or
    failed. Times are ms of the store's clock; ``brief`` is the newest turn_started;
    ``closes_at`` is when a waiting lobby times out; ``params`` are the mode's, as the host chose them;
    ``min_distance`` [m] is the smallest distance so far, as of the newest readings. Of a fork: ``parent``, and
    ``parent_tick``, its first tick; ``exact`` is false if that is not the very state that was asked for. Of a
    rematch: ``series``, and ``held`` while seats are held. Of a session that is over: ``rematch``, its token, and
    ``ratings`` once they are changed."""

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
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    min_distance: float | None = None
    observers: ObserversData = ObserversData()
    parent: str | None = None
    parent_tick: int | None = None
    exact: bool | None = None
    series: Series | None = None
    held: tuple[HeldSeat, ...] = ()
    rematch: str | None = None
    ratings: tuple[RatingChange, ...] = ()


class WelcomeData(MessagePart, frozen=True):
    """``role`` is player or observer; ``resume`` is the token for the next connection; it changes at every welcome;
    ``servers`` are addresses to reconnect to when this server does not answer. ``codec``: the one of the offered codecs
    that the server uses; absent if it knows none of them. ``webrtc``: absent if the client has not asked for this
    transport in its hello, or the server does not offer it. ``network``: the bad network of this connection, if any.
    ``seat_kept_s``: how long a waiting lobby keeps the seat of a lost connection [s]."""

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
    seat_kept_s: float = 15.0


class Welcome(Message, frozen=True, tag="welcome"):
    d: WelcomeData


class SessionMessage(Message, frozen=True, tag="session"):
    """The whole view: after a welcome that cannot replay the missed events, and on resync. ``v`` is current."""

    v: int
    d: SessionView


class BodyVersion(MessagePart, frozen=True):
    """The present version of a document of the scene; 0 and an empty ``sha256`` if it was removed."""

    body: str
    version: int
    sha256: str


class AckData(MessagePart, frozen=True):
    """``tick`` is the first tick that the input acts in; null for commands that are not inputs. ``superseded``: the
    input had no effect, because a newer one of its kind and seat replaced it at that tick. ``lock``: the token of a
    lock. ``version``, ``bodies``: the version that an edit, undo or redo of the scene has made, and what it changed."""

    tick: int | None = None
    superseded: bool | msgspec.UnsetType = msgspec.UNSET
    lock: int | msgspec.UnsetType = msgspec.UNSET
    version: int | msgspec.UnsetType = msgspec.UNSET
    bodies: tuple[BodyVersion, ...] | msgspec.UnsetType = msgspec.UNSET


class Ack(Message, frozen=True, tag="ack"):
    id: int
    d: AckData = AckData()


class ErrorData(MessagePart, frozen=True):
    """``retry_after``: the time [s] after which the same command may succeed, if it is known. ``detail``: of
    ``stale_version``, the present ``{body, version, sha256, document}``; of ``undo_conflict``, ``{step, body, version,
    seat, name}``, or ``{step}`` if the step is too old."""

    code: str
    message: str
    field: str | None = None
    retry_after: float | msgspec.UnsetType = msgspec.UNSET
    detail: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class ErrorMessage(Message, frozen=True, tag="error"):
    """The command with ``id`` (absent: the message could not be read) was refused and changed nothing."""

    d: ErrorData
    id: int | None = None


class PongData(MessagePart, frozen=True):
    at: float
    server_time: int


class Pong(Message, frozen=True, tag="pong"):
    d: PongData


NoticeState = Literal["paused", "resumed", "store_full", "store_ok", "recording_stopped"]


class NoticeData(MessagePart, frozen=True):
    """The session was paused (no ticks, the turn clock stops) or resumed; ``turn_ends_at`` is then the new time.
    ``store_full``: the server takes no new lobbies until ``store_ok``; this session continues. ``recording_stopped``:
    frames of the session are not recorded at present; it continues, and they are computed again after its end."""

    state: NoticeState
    reason: str
    turn_ends_at: int = 0


class Notice(Message, frozen=True, tag="notice"):
    """A notice about the service, not an event of the session: not numbered and not repeated."""

    d: NoticeData


class PaceData(MessagePart, frozen=True):
    """``dilation``: wall time per simulated time; 1 is real time, 2 half as fast."""

    dilation: float


class PaceMessage(Message, frozen=True, tag="pace"):
    """How fast the world runs. Sent when a session becomes slow, when that changes, and when it runs in real time
    again; also after connecting to a slow session. Not numbered."""

    d: PaceData


class AnnouncementData(MessagePart, frozen=True):
    """``text``: one line of at most 300 printable characters."""

    text: str


class Announcement(Message, frozen=True, tag="announcement"):
    """A notice from an operator, to show to people. Not numbered and not repeated."""

    d: AnnouncementData


class MeshData(MessagePart, frozen=True):
    """``mesh``: SHA-256 of the upload; ``state``: queued, working, ready or refused, with ``reason`` and maybe the
    ``place`` [m] in the coordinates of the file. ``GET /api/meshes/<mesh>`` has the rest."""

    mesh: str
    state: str
    percent: int
    reason: str | msgspec.UnsetType = msgspec.UNSET
    place: tuple[float, float, float] | msgspec.UnsetType = msgspec.UNSET


class MeshMessage(Message, frozen=True, tag="mesh"):
    """The state or percentage of a mesh that was sent for this session has changed. Not numbered and not repeated."""

    d: MeshData


class ObserversMessage(Message, frozen=True, tag="observers"):
    """The observers now. Not numbered; sent again when they change."""

    d: ObserversData


class ServersData(MessagePart, frozen=True):
    """``servers``: as in ``WelcomeData``, from now on."""

    servers: tuple[str, ...]


class ServersMessage(Message, frozen=True, tag="servers"):
    """A server of the realm has started or is gone. Not numbered; sent again when the list changes."""

    d: ServersData


class ChangedBody(MessagePart, frozen=True):
    """``version`` 0: the body was removed."""

    body: str
    version: int


class SceneData(MessagePart, frozen=True):
    """``version`` is that of the scene; a gap means that the list must be read again."""

    version: int
    changed: tuple[ChangedBody, ...]


class SceneMessage(Message, frozen=True, tag="scene"):
    """The scene of the waiting lobby was edited. Not numbered; the documents are read over HTTP."""

    d: SceneData


class LockChange(MessagePart, frozen=True):
    """``seat``: who has the lock now, null if nobody has."""

    body: str
    seat: int | None


class LockMessage(Message, frozen=True, tag="lock"):
    """A body of the scene, or ``world``, was locked or freed. Not numbered."""

    d: LockChange


ServerMessage = (
    SceneMessage
    | LockMessage
    | Notice
    | Announcement
    | PaceMessage
    | ObserversMessage
    | ServersMessage
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


_encoder = msgspec.json.Encoder()


def encode(message: ServerMessage | Event | ClientMessage) -> bytes:
    return _encoder.encode(message)
