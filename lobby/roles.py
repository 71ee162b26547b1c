"""Who may do what: one table of roles and operations. Pure.

    observer   watches: frames, events, sensors, recordings
    player     an observer with a seat: acts, chats, readies, leaves
    operator   an observer of every session who runs the place: pauses, ends, kicks, drains

A player who is an operator too has both roles; being one never gives the rights of the other.
"""

from __future__ import annotations

from enum import StrEnum

from tussle.lobby.errors import Forbidden

__all__ = ["RIGHTS", "Operation", "Role", "check_right", "may"]


class Role(StrEnum):
    """What a connection or a caller is."""

    OBSERVER = "observer"
    PLAYER = "player"
    OPERATOR = "operator"


class Operation(StrEnum):
    """What can be asked for."""

    WATCH = "watch"
    SENSOR_INFO = "sensor_info"
    SUBSCRIBE = "subscribe"
    ACT = "act"
    CHAT = "chat"
    READY = "ready"
    CHOOSE = "choose"
    LEAVE = "leave"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"
    KICK = "kick"
    DRAIN = "drain"


_WATCHING = frozenset({Operation.WATCH, Operation.SENSOR_INFO, Operation.SUBSCRIBE})
_PLAYING = frozenset({Operation.ACT, Operation.CHAT, Operation.READY, Operation.CHOOSE, Operation.LEAVE})
_RUNNING = frozenset({Operation.PAUSE, Operation.RESUME, Operation.END, Operation.KICK, Operation.DRAIN})

RIGHTS: dict[Role, frozenset[Operation]] = {
    Role.OBSERVER: _WATCHING,
    Role.PLAYER: _WATCHING | _PLAYING,
    Role.OPERATOR: _WATCHING | _RUNNING,
}
"""The whole matrix; what is not in it is refused."""


def may(role: Role, operation: Operation) -> bool:
    """Whether a role has a right."""
    return operation in RIGHTS[role]


def check_right(role: Role, operation: Operation) -> None:
    """Raises Forbidden."""
    if not may(role, operation):
        raise Forbidden(f"{role} may not {operation}")
