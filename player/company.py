"""Whether a bot that fills a seat still plays with somebody. Sans-I/O: the time is an argument.

    events of the session -> note -> left_at: since when only bots that fill seats are connected

This module must never decide what the bot does then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Company"]


class Company:
    """The members of a session who do not fill seats. ``left_at``: since when none of them is connected [s]; None while
    one is, or while nothing is known."""

    def __init__(self) -> None:
        self.left_at: float | None = None
        self._present: dict[int, bool] = {}
        """Seat of each such member -> whether it is connected."""

    def note(self, kind: str, d: Mapping[str, Any], now: float) -> None:
        """Take an event of the session, at ``now`` [s]."""
        seat = d.get("seat", -1)
        match kind:
            case "session":
                self._present = {one["seat"]: one["connected"] for one in d["seats"] if not one.get("fills")}
            case "seat_taken" if not d.get("fills"):
                self._present[seat] = False
                return  # it connects soon, or leaves
            case "seat_connected" | "seat_disconnected" if seat in self._present:
                self._present[seat] = kind == "seat_connected"
            case "seat_left" if seat in self._present:
                del self._present[seat]
            case _:
                return
        if any(self._present.values()):
            self.left_at = None
        elif self.left_at is None:
            self.left_at = now
