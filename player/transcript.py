"""The client's protocol state for one session, without I/O.

    socket -> receive() -> outcomes, in order          opened(), command() -> data_to_send() -> socket

It guarantees, across reconnections: events are delivered once, in the order of ``v``; lost events are reported
(``Synced.missed``); events and frames of a replaced owner are dropped; a command is repeated under its id until it is
answered, and takes effect once; a frame is never older than the one before. This module must never import a socket,
read a clock or sleep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from tussle.lobby.error_codes import error_of
from tussle.lobby.errors import ClientError, CloseCode, LobbyError, ProtocolError
from tussle.lobby.wire.client_messages import Hello, HelloData, Ping, PingData, Resync
from tussle.lobby.wire.messages import (
    AckData,
    AnnouncementData,
    BodyVersion,
    ErrorData,
    Event,
    NoticeData,
    ObserversData,
    PaceData,
    PongData,
    ServersData,
    SessionView,
    WelcomeData,
    encode,
)
from tussle.lobby.wire.negotiation import PROTOCOL, PROTOCOLS

__all__ = [
    "AFTER_CLOSE",
    "Acknowledged",
    "Announced",
    "Delivered",
    "Disconnected",
    "Next",
    "Noticed",
    "Outcome",
    "Paced",
    "Ponged",
    "Rejected",
    "SceneAck",
    "ServersChanged",
    "Synced",
    "Transcript",
    "Welcomed",
    "after_close",
    "sentence_of_close",
]

HELD_EVENTS = 256
"""Events kept behind a gap until the whole view arrives; more are dropped, since the view covers them."""


class Disconnected(LobbyError):
    """There is no connection, and the client has given up. ``close`` is the close code, 1006 without one."""

    code = "disconnected"

    def __init__(self, message: str, *, close: int = 1006) -> None:
        super().__init__(message)
        self.close = close


class Next(Enum):
    """What a client does after a connection has closed."""

    STOP = "stop"
    GIVE_UP = "give up"
    RECONNECT = "reconnect"
    BACK_OFF = "back off"
    RESYNC = "resync"
    MOVE = "move"


AFTER_CLOSE: dict[int, Next] = {
    CloseCode.NORMAL: Next.STOP,
    CloseCode.LEFT: Next.STOP,
    CloseCode.SHUTTING_DOWN: Next.RECONNECT,
    CloseCode.ERROR: Next.RECONNECT,
    CloseCode.RESUME_REFUSED: Next.GIVE_UP,
    CloseCode.BAD_MESSAGE: Next.GIVE_UP,
    CloseCode.REPLACED: Next.GIVE_UP,
    CloseCode.MOVED: Next.MOVE,
    CloseCode.VERSION_MISMATCH: Next.GIVE_UP,
    CloseCode.RATE_LIMITED: Next.BACK_OFF,
    CloseCode.TOO_SLOW: Next.RESYNC,
}
"""The table of docs/protocol.md. Any other code means a lost connection: reconnect."""


def after_close(code: int) -> Next:
    """What a client does after a close with this code: the table of close codes in docs/protocol.md."""
    return AFTER_CLOSE.get(code, Next.RECONNECT)


@dataclass(frozen=True, slots=True)
class Welcomed:
    """A welcome. ``again``: it is not the first."""

    welcome: WelcomeData
    again: bool


@dataclass(frozen=True, slots=True)
class Delivered:
    """The next event of the session."""

    event: Event


@dataclass(frozen=True, slots=True)
class Synced:
    """The whole view, as of ``v``. ``missed``: the first and last v that were never delivered, if any."""

    v: int
    view: SessionView
    missed: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class SceneAck:
    """What a command on the scene has done. ``lock``: the token of a lock. ``version``: of the scene now. ``bodies``:
    what changed; version 0: removed."""

    lock: int | None = None
    version: int = 0
    bodies: tuple[BodyVersion, ...] = ()


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A command was executed. ``superseded``: it is an input that had no effect, because a newer one of its kind
    superseded it at ``tick``."""

    id: int
    tick: int | None
    superseded: bool = False
    scene: SceneAck = SceneAck()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command was refused and changed nothing. ``id`` None: the server could not decode a message."""

    id: int | None
    error: LobbyError


@dataclass(frozen=True, slots=True)
class Ponged:
    """The answer to a ping: the client's time in the ping [s], and the server's clock [ms]."""

    at: float
    server_time: int


@dataclass(frozen=True, slots=True)
class Announced:
    """An operator's notice, to show to people."""

    text: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """The session is paused because the store does not answer, or it is resumed."""

    notice: NoticeData


@dataclass(frozen=True, slots=True)
class Paced:
    """The world runs at another speed: wall time per simulated time; 1 is real time."""

    dilation: float


@dataclass(frozen=True, slots=True)
class ServersChanged:
    """The servers at which the seat can be taken too, instead of those of the welcome."""

    servers: tuple[str, ...]


Outcome = (
    Welcomed
    | Delivered
    | Synced
    | Acknowledged
    | Rejected
    | Ponged
    | Noticed
    | Paced
    | Announced
    | ServersChanged
)


class _Envelope(msgspec.Struct, frozen=True):
    t: str
    d: msgspec.Raw = msgspec.Raw(b"{}")
    v: int | None = None
    id: int | None = None
    tick: int = 0
    epoch: int = 0


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_welcome = msgspec.json.Decoder(WelcomeData).decode
_decode_view = msgspec.json.Decoder(SessionView).decode
_decode_ack = msgspec.json.Decoder(AckData).decode
_decode_error = msgspec.json.Decoder(ErrorData).decode
_decode_observers = msgspec.json.Decoder(ObserversData).decode
_decode_pong = msgspec.json.Decoder(PongData).decode
_decode_notice = msgspec.json.Decoder(NoticeData).decode
_decode_pace = msgspec.json.Decoder(PaceData).decode
_decode_announcement = msgspec.json.Decoder(AnnouncementData).decode
_decode_servers = msgspec.json.Decoder(ServersData).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


class Transcript:
    """One client's record of one session, across any number of connections.

    v: number of the newest event that was delivered or is covered by a view; 0 before the first.
    epoch: that of the newest holder seen.
    observers: the session's observers.
    history: request every event that is kept, from the first, instead of the whole view.
    """

    def __init__(
        self,
        ticket: str | None = None,
        resume: str | None = None,
        *,
        history: bool = False,
        codecs: tuple[str, ...] = (),
        network: str | None = None,
        frame_hz: float | None = None,
        without: Sequence[str] = (),
    ) -> None:
        """codecs, frame_hz, without, network: see HelloData."""
        self._network = network
        self._codecs, self._frame_hz, self._without = codecs, frame_hz, tuple(without)
        self._history = history
        self.ticket = ticket
        self.resume = resume
        self.welcome: WelcomeData | None = None
        self.view: SessionView | None = None
        self.observers = ObserversData()
        self.v = 0
        self.epoch = 0
        self.tick = 0
        self.live = False
        self._event_epoch = 0
        self._next_id = 1
        self._pending: dict[int, bytes] = {}
        self._held: dict[int, Event] = {}
        self._resyncing = False
        self._ask_whole = False
        self._outgoing: list[bytes] = []

    # -- sending -------------------------------------------------------------------------------

    def opened(self) -> None:
        """Queue the hello for a socket that is open; the caller sends ``data_to_send``. Raises ClientError without a
        ticket and a resume token."""
        if self.resume is None and self.ticket is None:
            raise ClientError("the hello needs a ticket or a resume token")
        known = (self._history or self.view is not None or self.v > 0) and not self._ask_whole
        hello = HelloData(
            protocol=PROTOCOL,
            protocols=PROTOCOLS,
            ticket=self.ticket if self.resume is None else None,
            resume=self.resume,
            last_v=self.v if known else None,
            last_tick=self.tick if known else None,
            codecs=self._codecs,
            network=self._network,
            frame_hz=self._frame_hz,
            without=self._without,
        )
        self.live = False
        self._resyncing = False
        self._held.clear()
        self._outgoing = [encode(Hello(d=hello))]

    def command(self, kind: str, d: dict[str, Any] | None = None) -> int:
        """Queue a command and return its new id. It is repeated on every new connection until ``receive`` returns an
        ``Acknowledged`` or ``Rejected`` with that id, or ``forget`` is called."""
        number = self._next_id
        self._next_id += 1
        message: dict[str, Any] = {"t": kind, "id": number}
        if d is not None:
            message["d"] = d
        data = msgspec.json.encode(message)
        self._pending[number] = data
        if self.live:
            self._outgoing.append(data)
        return number

    def forget(self, number: int) -> None:
        """Stop repeating that command. It may still take effect."""
        self._pending.pop(number, None)

    def ping(self, at: float) -> None:
        """Queue a ping; its pong returns ``at``."""
        if self.live:
            self._outgoing.append(encode(Ping(d=PingData(at=at))))

    def request_resync(self) -> None:
        """Request the whole view, unless a request is pending."""
        if self.live and not self._resyncing:
            self._resyncing = True
            self._outgoing.append(encode(Resync()))

    def data_to_send(self) -> list[bytes]:
        """Return the messages to send now, in order, and clear the queue."""
        data, self._outgoing = self._outgoing, []
        return data

    @property
    def last_id(self) -> int:
        """Id of the newest command of this seat; 0 before the first."""
        return self._next_id - 1

    @property
    def pending(self) -> tuple[int, ...]:
        """Ids of the commands without an answer, oldest first."""
        return tuple(self._pending)

    # -- receiving -----------------------------------------------------------------------------

    def receive(self, data: str | bytes) -> list[Outcome]:
        """Process one text message; returns its outcomes in order. Raises ProtocolError for an invalid message; the
        transcript is unchanged.

        An unknown type is an event if it has a ``v``; else it is ignored.
        """
        try:
            message = _decode_envelope(data)
            match message.t:
                case "welcome":
                    return self._welcomed(_decode_welcome(message.d))
                case "session":
                    if message.v is None:
                        raise ProtocolError("a session message without v")
                    return self._synced(message.v, _decode_view(message.d))
                case "ack":
                    ack = _decode_ack(message.d)
                    scene = SceneAck(ack.lock or None, ack.version or 0, ack.bodies or ())
                    acknowledged = Acknowledged(message.id or 0, ack.tick, ack.superseded is True, scene)
                    return self._answered(message.id, acknowledged)
                case "error":
                    reported = _decode_error(message.d)
                    error = error_of(
                        reported.code,
                        reported.message,
                        field=reported.field,
                        retry_after=reported.retry_after or None,
                    )
                    error.detail = reported.detail or None
                    return self._answered(message.id, Rejected(message.id, error))
                case "observers":
                    self.observers = _decode_observers(message.d)
                    return []
                case "pong":
                    pong = _decode_pong(message.d)
                    return [Ponged(pong.at, pong.server_time)]
                case "notice":
                    return [Noticed(_decode_notice(message.d))]
                case "pace":
                    return [Paced(_decode_pace(message.d).dilation)]
                case "announcement":
                    return [Announced(_decode_announcement(message.d).text)]
                case "servers":
                    return [ServersChanged(_decode_servers(message.d).servers)]
                case _ if message.v is not None:
                    d = _decode_object(message.d)
                    return self._event(Event(message.v, message.t, d, message.tick, message.epoch))
                case _:
                    return []
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(f"not a message of protocol {PROTOCOL}: {error}") from None

    def admit_frame(self, epoch: int, tick: int) -> bool:
        """Whether a frame is newer than all before. A newer epoch may have an older tick."""
        if epoch < self.epoch or (epoch == self.epoch and tick < self.tick):
            return False
        self.epoch = epoch
        self.tick = tick
        return True

    def closed(self, code: int) -> Next:
        """Record that the socket closed with that code; returns what to do. Pending commands are kept and repeated."""
        self.live = False
        self._resyncing = False
        self._held.clear()
        self._outgoing = []
        following = after_close(code)
        self._ask_whole = following is Next.RESYNC
        return following

    # -- internals -----------------------------------------------------------------------------

    def _welcomed(self, welcome: WelcomeData) -> list[Outcome]:
        again = self.welcome is not None
        self.welcome = welcome
        self.live = True
        if welcome.resume is not None:
            self.resume = welcome.resume
        self.epoch = max(self.epoch, welcome.epoch)
        self._next_id = max(self._next_id, welcome.last_id + 1)
        self._outgoing.extend(self._pending.values())
        return [Welcomed(welcome, again)]

    def _synced(self, v: int, view: SessionView) -> list[Outcome]:
        joined = self.view is None and self.v == 0
        missed = (self.v + 1, v) if v > self.v and not joined else None
        self.v, self.view, self.observers = v, view, view.observers
        self.epoch = max(self.epoch, view.epoch)
        self._event_epoch = view.epoch
        self._resyncing = self._ask_whole = False
        held, self._held = self._held, {}
        outcomes: list[Outcome] = [Synced(v, view, missed)]
        for number in sorted(held):
            outcomes += self._event(held[number])
        return outcomes

    def _event(self, event: Event) -> list[Outcome]:
        if event.v <= self.v or self._stale(event):
            return []
        if event.v > self.v + 1 and not self._without:
            held = self._held.get(event.v)
            if len(self._held) < HELD_EVENTS and (held is None or held.epoch < event.epoch):
                self._held[event.v] = event
            self.request_resync()
            return []
        outcomes: list[Outcome] = []
        following: Event | None = event
        while following is not None and not self._stale(following):
            self.v = following.v
            self._event_epoch = max(self._event_epoch, following.epoch)
            self.epoch = max(self.epoch, following.epoch)
            outcomes.append(Delivered(following))
            following = self._held.pop(self.v + 1, None)
        return outcomes

    def _stale(self, event: Event) -> bool:
        """Whether the event is from an owner that a newer one has replaced. Any server may write epoch 0."""
        return 0 < event.epoch < self._event_epoch

    def _answered(self, number: int | None, outcome: Acknowledged | Rejected) -> list[Outcome]:
        if number is None:
            return [outcome] if isinstance(outcome, Rejected) else []
        if self._pending.pop(number, None) is None:
            return []
        return [outcome]


def sentence_of_close(code: int, reason: str) -> str:
    """A close code and its reason, for people."""
    try:
        name = CloseCode(code).name.lower().replace("_", " ")
    except ValueError:
        name = "connection lost"
    return f"{name} ({code}): {reason}" if reason else f"{name} ({code})"
