"""The server's side of one session, sans-I/O: a reference that tests compare a client's transcript with.

It uses the message types of lobby/wire and must not import server/, so that client and server are tested
independently.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from tussle.lobby.wire.client_messages import Act, Chat, Hello, Leave, Ping, Resync, decode_client
from tussle.lobby.wire.messages import (
    Ack,
    AckData,
    ErrorData,
    ErrorMessage,
    Event,
    Pong,
    PongData,
    SeatView,
    SessionMessage,
    SessionView,
    Welcome,
    WelcomeData,
    encode,
)
from tussle.lobby.wire.negotiation import PROTOCOL


@dataclass
class ModelSession:
    """One session, of which one seat is a client. ``effects``: ids of the commands that took effect."""

    seat: int | None = 0
    events: list[Event] = field(default_factory=list)
    kept_from: int = 1
    epoch: int = 1
    tick: int = 0
    last_id: int = 0
    replies: dict[int, bytes] = field(default_factory=dict)
    effects: list[int] = field(default_factory=list)
    resume: int = 0
    hellos: list[Hello] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    tickets: set[str] | None = None
    """The tickets that are accepted; None: all."""
    status: str = "running"

    @property
    def v(self) -> int:
        return len(self.events)

    def publish(self, kind: str = "chat", d: dict[str, Any] | None = None) -> Event:
        event = Event(v=self.v + 1, t=kind, d=d or {"n": self.v + 1}, tick=self.tick, epoch=self.epoch)
        self.events.append(event)
        return event

    def view(self) -> SessionView:
        seats = (
            SeatView(seat=0, player="pa", name="Ada", kind="bot", body="cobble", ready=True, connected=True),
            SeatView(seat=1, player="pb", name="Otto", kind="bot", body="marl", ready=True, connected=True),
        )
        briefs = [event for event in self.events if event.t == "turn_started"]
        brief = briefs[-1].d if briefs else None
        return SessionView(
            session="k7qm2xpv",
            status=self.status,
            mode="duel",
            size=2,
            host="pa",
            seats=seats,
            opened_at=1,
            epoch=self.epoch,
            v=self.v,
            tick=self.tick,
            brief=brief,
            turn_seat=brief.get("seat") if brief else None,
        )

    def answer(self, data: bytes | str) -> list[bytes]:
        """Return the server's answers to one message."""
        message = decode_client(data)
        match message:
            case Hello(d=d):
                self.hellos.append(message)
                self.resume += 1
                welcome = WelcomeData(
                    session="k7qm2xpv",
                    player="pa",
                    role="player" if self.seat is not None else "observer",
                    seat=self.seat,
                    resume=f"resume-{self.resume}" if self.seat is not None else None,
                    v=self.v,
                    tick=self.tick,
                    dt=1 / 60,
                    frame_hz=30,
                    epoch=self.epoch,
                    schema_hash="",
                    protocol=PROTOCOL,
                    build="test",
                    server_time=0,
                    last_id=self.last_id,
                )
                out = [encode(Welcome(d=welcome))]
                if d.last_v is not None and self.kept_from - 1 <= d.last_v <= self.v:
                    missed = self.events[d.last_v :]
                    return out + [encode(event) for event in missed if event.t not in d.without]
                return [*out, self.whole()]
            case Resync():
                return [self.whole()]
            case Ping(d=d):
                return [encode(Pong(d=PongData(at=d.at, server_time=0)))]
            case Act(id=number) | Chat(id=number) | Leave(id=number):
                if number in self.replies:
                    return [self.replies[number]]
                if number <= self.last_id:
                    error = ErrorData(code="stale_id", message="too old", field="id")
                    return [encode(ErrorMessage(d=error, id=number))]
                self.last_id = number
                kind = message.d.kind if isinstance(message, Act) else ""
                if kind in self.refuse:
                    error = ErrorData(code="out_of_range", message="too strong", field="power")
                    reply = encode(ErrorMessage(d=error, id=number))
                else:
                    self.effects.append(number)
                    reply = encode(Ack(id=number, d=AckData(tick=self.tick + 1)))
                self.replies[number] = reply
                return [reply]
            case _:
                return []

    def whole(self) -> bytes:
        return encode(SessionMessage(v=self.v, d=self.view()))


def raw(**message: Any) -> bytes:
    return msgspec.json.encode(message)
