"""Whether anybody is connected to a run, and for how long nobody was. Sans-I/O: the time is an argument.

    attended -> run ... nobody for IDLE_S -> pause ... nobody for UNATTENDED_S -> end
                 ^                            |
                 '------ somebody connects ---'

Members and observers count, bots too. Each holder measures the time itself, from when it first finds nobody connected.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["Attendance"]


class Attendance:
    """``idle_s``, ``unattended_s``: settings; 0: never."""

    __slots__ = ("_idle_s", "_since", "_unattended_s")

    def __init__(self, idle_s: float, unattended_s: float) -> None:
        self._idle_s = idle_s
        self._unattended_s = unattended_s
        self._since: float | None = None

    def look(self, attended: bool, now: float) -> Literal["run", "pause", "end"]:
        """What the run should do at ``now`` [s]."""
        if attended:
            self._since = None
            return "run"
        if self._since is None:
            self._since = now
        away_s = now - self._since
        if 0 < self._unattended_s <= away_s:
            return "end"
        return "pause" if 0 < self._idle_s <= away_s else "run"

    def restart(self) -> None:
        """Begin again: an operator has resumed the run."""
        self._since = None
