"""The inputs of one run between their coming and their first frame: who waits for which, and what came twice.

admit -> [core] -> journaled (answered, remembered) -> shown            release: whoever still waits is outcome
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tussle.lobby.errors import LobbyError
from tussle.server.sessions.core import Answer, SessionCore
from tussle.server.simulation.simulation import Input

__all__ = ["Admissions"]

REMEMBERED = 4096
"""Inputs whose ticks are remembered, for clients that send them again; older ones are halved away."""


class _Admitted(msgspec.Struct):
    """An input on its way to its acknowledgement, and to its first frame. ``tick``: once it is journaled."""

    at: float
    answers: tuple[Answer, ...]
    tick: int | None = None

    def answer(self, outcome: int | LobbyError | None) -> None:
        """Whoever waits, once."""
        answers, self.answers = self.answers, ()
        for answer in answers:
            answer(outcome)


class Admissions:
    """``wake`` is called for each input that is new to ``core``. ``acknowledged``: ticks by (seat, id)."""

    def __init__(self, core: SessionCore, wake: Callable[[], None]) -> None:
        self.acknowledged: dict[tuple[int, int], int] = {}
        self._core = core
        self._wake = wake
        self._admitted: dict[tuple[int, int], _Admitted] = {}

    def queue(self, seat: int, command: int, kind: str, d: dict[str, Any], at: float, answer: Answer) -> None:
        """Take an input that came at ``at``. Raises as SessionCore.admit; ``answer`` is not outcome then."""
        key = seat, command
        waiting = self._admitted.get(key)
        # Sent again: before it was answered, or after it was journaled, perhaps by an earlier holder.
        known = self.acknowledged.get(key) if waiting is None else waiting.tick
        if known is not None:
            answer(known)
        elif waiting is not None:
            waiting.answers += (answer,)
        else:
            self._core.admit(seat, command, kind, d)
            self._admitted[key] = _Admitted(at, (answer,))
            self._wake()

    def remember(self, given: Input, tick: int) -> None:
        """An input is in the journal: whoever sends it again is outcome its tick."""
        self.acknowledged[given.seat, given.id] = tick
        if len(self.acknowledged) > REMEMBERED:
            for key in list(self.acknowledged)[: REMEMBERED // 2]:
                del self.acknowledged[key]

    def journaled(self, given: Input, tick: int) -> None:
        """An input has just been written: it is acknowledged."""
        self.remember(given, tick)
        admitted = self._admitted.get((given.seat, given.id))
        if admitted is not None:
            admitted.tick = tick
            admitted.answer(tick)

    def shown(self, given: Input) -> float | None:
        """The first frame that has it is out: when it came, or None if it did not come to this server."""
        admitted = self._admitted.pop((given.seat, given.id), None)
        return None if admitted is None else admitted.at

    def release(self, outcome: LobbyError | None) -> None:
        """Nothing more is journaled here."""
        waiting, self._admitted = self._admitted, {}
        for admitted in waiting.values():
            admitted.answer(outcome)
