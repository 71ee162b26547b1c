"""Recorded sessions as lists have them: a row, and which rows a client asks for.

This module must never import the store: clients read rows too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from tussle.lobby.wire.messages import SessionView

__all__ = ["MOST_ROWS", "RecordedSeat", "RecordedSession", "RecordingChoice"]

MOST_ROWS = 100
"""Most rows of a page."""


class RecordedSeat(msgspec.Struct, frozen=True):
    """Who had a seat of a recorded session."""

    seat: int
    player: str
    name: str
    kind: Literal["person", "bot"]
    body: str


class RecordedSession(msgspec.Struct, frozen=True, omit_defaults=True):
    """The row of a recorded session. Names and meanings as in the list of sessions; length: frames of the recording;
    seconds: simulated time of the session [s]."""

    session: str
    status: str
    mode: str
    size: int
    seats: tuple[RecordedSeat, ...]
    opened_at: int
    started_at: int
    ended_at: int
    length: int
    seconds: float
    reason: str = ""
    winner: int | None = None
    parent: str | None = None
    parent_tick: int | None = None

    @classmethod
    def of(cls, view: SessionView, *, length: int, dt: float) -> RecordedSession:
        """The row of a session that is over. dt: the length of a tick [s]."""
        winner = (view.result or {}).get("winner")
        return cls(
            view.session, view.status, view.mode, view.size,
            tuple(RecordedSeat(seat.seat, seat.player, seat.name, seat.kind, seat.body) for seat in view.seats),
            view.opened_at, view.started_at, view.ended_at, length, round(view.tick * dt, 6), view.reason,
            winner if isinstance(winner, int) else None, view.parent, view.parent_tick,
        )  # fmt: skip

    def suits(self, choice: RecordingChoice) -> bool:
        """Whether the row matches this choice, apart from its times."""
        text = choice.search.casefold()
        words = (self.session, self.mode, *(seat.name for seat in self.seats))
        return (not choice.mode or self.mode == choice.mode) and (
            not text or any(text in word.casefold() for word in words)
        )

    def names(self) -> set[str]:
        """The identities and names under which the lists of this row's players are kept."""
        names = (seat.name.casefold() for seat in self.seats)
        return {
            *(seat.player for seat in self.seats),
            *(text for name in names for text in (name, name.partition("#")[0])),
        } - {""}


@dataclass(frozen=True, slots=True)
class RecordingChoice:
    """Which recorded sessions a client asks for. player: identity or whole name of somebody who had a seat; a guest's
    name also without what follows "#". since, until: when the session ended [ms], if they are not 0. search: a part of
    a name, of the token or of the mode. after: the end and token of the row before the first."""

    mode: str = ""
    player: str = ""
    search: str = ""
    since: int = 0
    until: int = 0
    limit: int = MOST_ROWS
    after: tuple[int, str] | None = None

    @property
    def searches(self) -> bool:
        """Whether many rows may have to be read for a page."""
        return bool(self.search or (self.mode and self.player))
