"""What the events of several modes have in common: their clock, the rules of a run, a turn that begins, a fork.

lobby/wire/mode_events.py has the events. This module must never import a mode.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tussle.lobby.rules.actions import ActionSpec
from tussle.lobby.wire.session_events import EventFields

__all__ = ["UNSET", "ForkBegun", "Place", "SeatAtStart", "TurnStarted", "Unset", "WorldEvent", "WorldSetUp"]

UNSET = msgspec.UNSET
Unset = msgspec.UnsetType

Place = tuple[float, float, float]


class WorldEvent(EventFields, frozen=True):
    """Of every event of a world: simulated time [s], round from 1, turn from 0."""

    tick: int
    time_sim: float
    round: int
    turn: int


class SeatAtStart(msgspec.Struct, frozen=True):
    """Who has a seat of a run."""

    seat: int
    player: str
    name: str
    kind: Literal["person", "bot"]
    skill: str


class WorldSetUp(WorldEvent, frozen=True, kw_only=True):
    """The rules of a run. ``seed``: 63 bits as digits; older servers send an integer."""

    mode: str
    rules_version: int
    seed: str
    params: dict[str, Any]


class ForkBegun(WorldEvent, frozen=True):
    """The run begins with the state of another session after ``parent_tick``."""

    parent: str
    parent_tick: int
    exact: bool


class TurnStarted(WorldEvent, frozen=True, kw_only=True):
    """A seat may act. ``ends_at``: when its time is over [ms of the store's clock], on the socket only; ``deadline_s``:
    null without a limit."""

    seat: int
    deadline_s: float | None
    actions: ActionSpec
    alive: tuple[bool, ...]
    rules: dict[str, Any]
    ends_at: int | Unset = UNSET
