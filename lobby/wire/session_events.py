"""The events of a session apart from its mode's, as types. The AsyncAPI document is made from them.

    SESSION_EVENTS  type of the event -> the Struct of its ``d``

The scripts of the store write these events (lobby/store/scripts). lobby/wire/mode_events.py has those of the modes.
This module must never build an event.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["SESSION_EVENTS", "EventFields"]

UNSET = msgspec.UNSET
Unset = msgspec.UnsetType


class EventFields(msgspec.Struct, frozen=True):
    """The fields of ``d`` of an event. A later version may add some."""


class SeatTaken(EventFields, frozen=True):
    """A player has a seat. ``fills``: a bot that gives it to a person who comes before the start; absent for others."""

    seat: int
    player: str
    name: str
    kind: Literal["person", "bot"]
    body: str
    ready: bool
    fills: bool | Unset = UNSET


class SeatLeft(EventFields, frozen=True):
    """A seat was given up or freed; in a run it is a forfeit. ``reason``: such as left, gave_way or a ban."""

    seat: int
    player: str
    reason: str


class SeatConnected(EventFields, frozen=True):
    """The player of a seat is connected. ``conn`` distinguishes the connections of one player."""

    seat: int
    player: str
    conn: str


class SeatDisconnected(EventFields, frozen=True):
    """The player of a seat lost the connection."""

    seat: int
    player: str


class SeatReady(EventFields, frozen=True):
    """A player is ready to start, or no longer."""

    seat: int
    player: str
    ready: bool


class BodyChosen(EventFields, frozen=True):
    """A player has chosen a body of the catalogue."""

    seat: int
    player: str
    body: str


class HostChanged(EventFields, frozen=True):
    """Another player is the host of the waiting lobby."""

    seat: int
    player: str


class BotsWanted(EventFields, frozen=True):
    """The host asked for bots; an empty ``player``: the lobby asked by itself."""

    count: int
    skill: str
    player: str


class SeatsReleased(EventFields, frozen=True):
    """The seats of a rematch are no longer held: anyone may take them. ``at`` [ms of the store's clock]."""

    at: int


class ChatLine(EventFields, frozen=True):
    """A line of chat."""

    seat: int
    player: str
    name: str
    text: str


class SessionPaused(EventFields, frozen=True):
    """The run does not step. ``at`` [ms of the store's clock]; ``by``: the operator; ``reason``: unattended, if nobody
    is connected."""

    at: int
    by: str
    reason: str | Unset = UNSET


class SessionResumed(EventFields, frozen=True):
    """The run steps again, from ``at`` [ms of the store's clock]. ``reason``: attended, if somebody connected."""

    at: int
    by: str
    reason: str | Unset = UNSET


class EndAsked(EventFields, frozen=True):
    """An operator ends the session."""

    at: int
    by: str


class LobbyFilled(EventFields, frozen=True):
    """Every seat is taken."""

    size: int


class LobbyReopened(EventFields, frozen=True):
    """A seat is free again. ``at`` [ms of the store's clock]."""

    at: int


class SessionStarting(EventFields, frozen=True):
    """All are ready. ``holder``: the server that will simulate. ``at`` [ms of the store's clock]."""

    at: int
    holder: str


class SessionRunning(EventFields, frozen=True):
    """The world exists. ``dt``: seconds per tick. ``at`` [ms of the store's clock]."""

    at: int
    dt: float


class SessionRecovered(EventFields, frozen=True):
    """Another server holds the session, which continues from ``tick``. ``exact``: by the same physics. ``ticks_again``:
    ticks that are simulated again; ``inputs_lost``: acknowledged inputs that no longer fitted; ``gap_ms``: how long
    nobody held it."""

    exact: bool
    tick: int
    ticks_again: int
    inputs_lost: int
    gap_ms: int
    turn_ends_at: int
    holder: str


class SessionOver(EventFields, frozen=True):
    """Nothing follows. ``reason``: of the end, or the code of the error. ``at`` [ms of the store's clock]."""

    at: int
    reason: str


SESSION_EVENTS: dict[str, type[EventFields]] = {
    "seat_taken": SeatTaken,
    "seat_left": SeatLeft,
    "seat_connected": SeatConnected,
    "seat_disconnected": SeatDisconnected,
    "seat_ready": SeatReady,
    "body_chosen": BodyChosen,
    "host_changed": HostChanged,
    "bots_asked": BotsWanted,
    "seats_released": SeatsReleased,
    "chat": ChatLine,
    "session_paused": SessionPaused,
    "session_resumed": SessionResumed,
    "end_asked": EndAsked,
    "filled": LobbyFilled,
    "reopened": LobbyReopened,
    "starting": SessionStarting,
    "running": SessionRunning,
    "recovered": SessionRecovered,
    "ended": SessionOver,
    "timed_out": SessionOver,
    "failed": SessionOver,
}
