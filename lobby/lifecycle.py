"""The lifecycle of a lobby and its session: one status, one table of transitions.

    open -> filled -> starting -> running <-> paused
     |        | |        |           |          |
     |        | `-> open |           |          |     (a seat came free)
     v        v          v           v          v
    timed_out            failed      ended | failed

A replay room of a recording has a smaller lifecycle: open -> ended -> open again or expired.

An illegal transition changes nothing. The Lua scripts run on this table: lobby/store/scripting.py writes what
``advance`` returns, as the function ``status_after``, into each script that reads or changes a status.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "ENDED",
    "HELD",
    "LIVE",
    "SETTING_UP",
    "SOURCES",
    "TRANSITIONS",
    "WAITING",
    "LifecycleEvent",
    "ReplayRoomEvent",
    "ReplayRoomStatus",
    "Status",
    "advance",
]


class Status(StrEnum):
    """The field ``status`` of ``session:T``."""

    OPEN = "open"
    FILLED = "filled"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"
    TIMED_OUT = "timed_out"
    FAILED = "failed"


class LifecycleEvent(StrEnum):
    """The field ``event`` of an entry of the lifecycle stream."""

    OPENED = "opened"
    FILLED = "filled"
    REOPENED = "reopened"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"
    TIMED_OUT = "timed_out"
    FAILED = "failed"
    EXPIRED = "expired"


class ReplayRoomStatus(StrEnum):
    """The field ``status`` of ``replay:T``: a replay room is open while it has a member."""

    OPEN = "open"
    ENDED = "ended"


class ReplayRoomEvent(StrEnum):
    """What a replay room appends to the lifecycle stream, under the token of its recording."""

    OPENED = "replay_opened"
    ENDED = "replay_ended"
    EXPIRED = "replay_expired"


S, E = Status, LifecycleEvent

TRANSITIONS: dict[tuple[Status, LifecycleEvent], Status] = {
    (S.OPEN, E.FILLED): S.FILLED,
    (S.FILLED, E.REOPENED): S.OPEN,
    (S.FILLED, E.STARTING): S.STARTING,
    (S.STARTING, E.RUNNING): S.RUNNING,
    (S.RUNNING, E.PAUSED): S.PAUSED,
    (S.PAUSED, E.RUNNING): S.RUNNING,
    (S.RUNNING, E.ENDED): S.ENDED,
    (S.PAUSED, E.ENDED): S.ENDED,
    (S.OPEN, E.ENDED): S.ENDED,  # the last member left: nothing to wait for
    (S.FILLED, E.ENDED): S.ENDED,
    (S.OPEN, E.TIMED_OUT): S.TIMED_OUT,
    (S.FILLED, E.TIMED_OUT): S.TIMED_OUT,
    (S.OPEN, E.FAILED): S.FAILED,
    (S.FILLED, E.FAILED): S.FAILED,
    (S.STARTING, E.FAILED): S.FAILED,
    (S.RUNNING, E.FAILED): S.FAILED,
    (S.PAUSED, E.FAILED): S.FAILED,
}

WAITING = frozenset({S.OPEN, S.FILLED})
"""Statuses of a lobby: seats can be taken, left and readied."""

SETTING_UP = WAITING | {S.STARTING}
"""Statuses of the sessions in the index ``sessions:waiting``."""

LIVE = frozenset({S.RUNNING, S.PAUSED})
"""Statuses of a session whose world exists; those in the index ``sessions:running``."""

HELD = LIVE | {S.STARTING}
"""Statuses in which the holder may write, and in which another server may claim the session."""

ENDED = frozenset({S.ENDED, S.TIMED_OUT, S.FAILED})
"""Final statuses. The scripts refuse every write except the worker's."""

SOURCES: dict[LifecycleEvent, frozenset[Status]] = {
    event: frozenset(source for (source, cause) in TRANSITIONS if cause is event) for event in LifecycleEvent
}
"""The statuses in which each event is legal."""


def advance(status: Status, event: LifecycleEvent) -> Status | None:
    """The status after ``event``; None if the event is illegal in this status."""
    return TRANSITIONS.get((status, event))
