"""One client's side of a session as a value: what was heard, what is pending, what to say next. Sans-I/O.

    socket -> receive() -> outcomes, in order          opened(), command() -> data_to_send() -> socket

It keeps five promises, whatever the connection does: events come out once and in the order of ``v``; a hole
is never papered over (``Synced.missed`` states it); what an old owner of the session says after a newer one
spoke is dropped; a command is repeated under its id until it is answered, so that its effect happens once;
and a frame never takes the world back. It must never import a socket, read a clock or sleep.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from tussle.lobby.errors import (
    AuthError,
    ClientError,
    CloseCode,
    Conflict,
    Fenced,
    LobbyError,
    LobbyFull,
    NotFound,
    NotYourTurn,
    ProtocolError,
    RateLimited,
    Refused,
    ServerFault,
    SolverFailed,
    StoreError,
)
from tussle.lobby.wire.messages import (
    PROTOCOL,
    AckData,
    ErrorData,
    Event,
    Hello,
    HelloData,
    NoticeData,
    ObserversData,
    Ping,
    PingData,
    PongData,
    Resync,
    SessionView,
    WelcomeData,
    encode,
)

__all__ = [
    "AFTER_CLOSE",
    "Acknowledged",
    "Delivered",
    "Disconnected",
    "Next",
    "Noticed",
    "Outcome",
    "Ponged",
    "Rejected",
    "Synced",
    "Transcript",
    "Welcomed",
    "after_close",
    "error_of",
]

HELD_EVENTS = 256
"""Events kept behind a hole until the whole view comes; more are dropped, which the view makes good."""


class Disconnected(LobbyError):
    """No connection, and no hope of one. ``close_code`` is the server's last word where there was one."""

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
"""The table of docs/protocol.md. A code that is not in it means a lost line: reconnect."""


def after_close(code: int) -> Next:
    return AFTER_CLOSE.get(code, Next.RECONNECT)


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The server knows this connection. ``again``: it is not the first."""

    welcome: WelcomeData
    again: bool


@dataclass(frozen=True, slots=True)
class Delivered:
    """The next event of the session."""

    event: Event


@dataclass(frozen=True, slots=True)
class Synced:
    """The whole view, current at ``v``. ``missed``: first and last v that were never delivered, if any."""

    v: int
    view: SessionView
    missed: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    id: int
    tick: int | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command was refused and changed nothing; ``id`` None: the server could not read a message."""

    id: int | None
    error: LobbyError


@dataclass(frozen=True, slots=True)
class Ponged:
    at: float
    server_time: int


@dataclass(frozen=True, slots=True)
class Noticed:
    """How the service fares: the session stands because the store is away, or goes on."""

    notice: NoticeData


Outcome = Welcomed | Delivered | Synced | Acknowledged | Rejected | Ponged | Noticed


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
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


class Transcript:
    """All that one client knows of one session, over any number of connections.

    v: the newest event that was delivered or covered by a view; 0 before the first.
    epoch: the newest owner of the session that was heard of.
    observers: who only watches.
    history: ask for every event from the first, as far as they are kept, instead of the whole view.
    """

    def __init__(
        self, ticket: str | None = None, resume: str | None = None, *, history: bool = False
    ) -> None:
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

    # -- what to say ---------------------------------------------------------------------------

    def opened(self) -> None:
        """A socket is open: say hello. Obliges the caller to send ``data_to_send``. Raises ClientError for a
        client that has neither a ticket nor a resume token."""
        if self.resume is None and self.ticket is None:
            raise ClientError("neither a ticket nor a resume token to say hello with")
        known = (self._history or self.view is not None or self.v > 0) and not self._ask_whole
        hello = HelloData(
            protocol=PROTOCOL,
            ticket=self.ticket if self.resume is None else None,
            resume=self.resume,
            last_v=self.v if known else None,
            last_tick=self.tick if known else None,
        )
        self.live = False
        self._resyncing = False
        self._held.clear()
        self._outgoing = [encode(Hello(d=hello))]

    def command(self, kind: str, d: dict[str, Any] | None = None) -> int:
        """Queue a command under a new id, which is returned. It is repeated on every new connection until an
        ``Acknowledged`` or ``Rejected`` of that id comes out, or ``forget`` is called."""
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
        """Nobody waits for that command any more: do not repeat it. It may still have its effect."""
        self._pending.pop(number, None)

    def ping(self, at: float) -> None:
        if self.live:
            self._outgoing.append(encode(Ping(d=PingData(at=at))))

    def request_resync(self) -> None:
        """Ask for the whole view, once until it comes."""
        if self.live and not self._resyncing:
            self._resyncing = True
            self._outgoing.append(encode(Resync()))

    def data_to_send(self) -> list[bytes]:
        """The messages to send now, in order; they are handed out once."""
        data, self._outgoing = self._outgoing, []
        return data

    @property
    def last_id(self) -> int:
        """Number of the newest command of this seat, 0 before the first."""
        return self._next_id - 1

    @property
    def pending(self) -> tuple[int, ...]:
        """Ids of the commands that are not answered yet, oldest first."""
        return tuple(self._pending)

    # -- what was heard ------------------------------------------------------------------------

    def receive(self, data: str | bytes) -> list[Outcome]:
        """What one text message means, in order. Raises ProtocolError for what no server sends; nothing
        changed.

        A type that this client does not know is an event if it has a ``v`` and is passed over if it has none.
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
                    return self._answered(
                        message.id, Acknowledged(message.id or 0, _decode_ack(message.d).tick)
                    )
                case "error":
                    told = _decode_error(message.d)
                    error = error_of(told.code, told.message, field=told.field)
                    return self._answered(message.id, Rejected(message.id, error))
                case "observers":
                    self.observers = _decode_observers(message.d)
                    return []
                case "pong":
                    pong = _decode_pong(message.d)
                    return [Ponged(pong.at, pong.server_time)]
                case "notice":
                    return [Noticed(_decode_notice(message.d))]
                case _ if message.v is not None:
                    d = _decode_object(message.d)
                    return self._event(Event(message.v, message.t, d, message.tick, message.epoch))
                case _:
                    return []
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(f"not a message of protocol {PROTOCOL}: {error}") from None

    def admit_frame(self, epoch: int, tick: int) -> bool:
        """Whether a frame is newer than all that were admitted. A newer epoch may take the tick back."""
        if epoch < self.epoch or (epoch == self.epoch and tick < self.tick):
            return False
        self.epoch = epoch
        self.tick = tick
        return True

    def closed(self, code: int) -> Next:
        """The socket closed with that code. Pending commands stay, to be repeated."""
        self.live = False
        self._resyncing = False
        self._held.clear()
        self._outgoing = []
        following = after_close(code)
        self._ask_whole = following is Next.RESYNC
        return following

    # -- inside --------------------------------------------------------------------------------

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
        if event.v > self.v + 1:
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
        """Whether an owner says so that a newer one has replaced. Epoch 0 is no owner: any server may write
        it."""
        return 0 < event.epoch < self._event_epoch

    def _answered(self, number: int | None, outcome: Acknowledged | Rejected) -> list[Outcome]:
        if number is None:
            return [outcome] if isinstance(outcome, Rejected) else []
        if self._pending.pop(number, None) is None:
            return []
        return [outcome]


_CLASSES: dict[str, type[LobbyError]] = {
    kind.code: kind
    for kind in (
        ClientError,
        ProtocolError,
        AuthError,
        NotFound,
        Conflict,
        LobbyFull,
        NotYourTurn,
        Refused,
        RateLimited,
        ServerFault,
        StoreError,
        Fenced,
        SolverFailed,
    )
}
_REASONS: dict[str, type[LobbyError]] = {
    "bad_json": ProtocolError,
    "illegal_transition": Conflict,
    "nobody_left": Conflict,
    "stale_id": Conflict,
    "in_session": Conflict,
    "ended": Conflict,
    "left": Conflict,
    "not_member": Conflict,
    "not_open": Conflict,
    "crowded": Conflict,
    "name_taken": AuthError,
    "ticket_refused": AuthError,
    "resume_refused": AuthError,
    "unknown_player": AuthError,
    "seat_out": Refused,
    "wrong_phase": Refused,
    "unknown_kind": Refused,
    "unknown_field": Refused,
    "missing_field": Refused,
    "bad_type": Refused,
    "out_of_range": Refused,
    "bad_scene": Refused,
    "over": Refused,
}
_STATUSES: dict[int, type[LobbyError]] = {
    400: ClientError,
    401: AuthError,
    403: AuthError,
    404: NotFound,
    409: Conflict,
    422: Refused,
    429: RateLimited,
    503: StoreError,
}


def error_of(code: str, message: str, *, field: str | None = None, status: int | None = None) -> LobbyError:
    """The error that the server raised, from what it said. An unknown code is told apart by the HTTP
    ``status`` if there was one, else it is the client's fault: the server closes the connection for its
    own."""
    kind = _CLASSES.get(code) or _REASONS.get(code) or _STATUSES.get(status or 0)
    if kind is None:
        kind = ServerFault if status is not None and status >= 500 else ClientError
    return kind(message, code=code, field=field)
