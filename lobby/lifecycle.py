"""The lifecycle of a lobby and its session: one status, one table of transitions.

    open -> filled -> starting -> running <-> paused
     |        | |        |           |          |
     |        | `-> open |           |          |     (a seat came free)
     v        v          v           v          v
    timed_out            failed      ended | failed

An illegal transition changes nothing: the scripts compare the stored status with SOURCES before they write.
"""

from __future__ import annotations

from enum import StrEnum

from tussle.lobby.errors import Conflict

__all__ = ["ENDED", "SOURCES", "TRANSITIONS", "LifecycleEvent", "Status", "advance"]


class Status(StrEnum):
    """What ``session:T`` says in its field ``status``."""

    OPEN = "open"
    FILLED = "filled"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"
    TIMED_OUT = "timed_out"
    FAILED = "failed"


class LifecycleEvent(StrEnum):
    """What the lifecycle stream says in its field ``event``."""

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

ENDED = frozenset({S.ENDED, S.TIMED_OUT, S.FAILED})
"""Statuses after which the scripts refuse every write but the worker's."""

SOURCES: dict[LifecycleEvent, frozenset[Status]] = {
    event: frozenset(source for (source, cause) in TRANSITIONS if cause is event) for event in LifecycleEvent
}
"""From which statuses an event may happen; passed to the scripts as arguments."""


def advance(status: Status, event: LifecycleEvent) -> Status:
    """The status after ``event``. Raises Conflict(code="illegal_transition"); the status is unchanged."""
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise Conflict(f"a session that is {status} cannot be {event}", code="illegal_transition") from None
