"""The inputs of one run from arrival to their first frame: answers clients and detects repeated inputs.

    queue -> [core] -> journaled (answered, remembered) -> shown            release: answers all that still wait

It must never apply an input twice.
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
"""Inputs whose ticks are remembered, for clients that send them again. Beyond it the older half is dropped."""


class _Admitted(msgspec.Struct):
    """An input on its way to its acknowledgement, and to its first frame. ``tick``: once it is journaled."""

    at: float
    answers: tuple[Answer, ...]
    tick: int | None = None

    def answer(self, outcome: int | LobbyError | None) -> None:
        """Call every waiting answer, once."""
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
        """Pass an input that arrived at ``at`` to the core. Raises as SessionCore.admit, without calling ``answer``."""
        key = seat, command
        waiting = self._admitted.get(key)
        # The client may have sent it before: it still waits, or it is journaled, perhaps by an earlier holder.
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
        """Record the tick of a journaled input: the answer if it is sent again."""
        self.acknowledged[given.seat, given.id] = tick
        if len(self.acknowledged) > REMEMBERED:
            for key in list(self.acknowledged)[: REMEMBERED // 2]:
                del self.acknowledged[key]

    def journaled(self, given: Input, tick: int) -> None:
        """Acknowledge an input that has just been written to the journal."""
        self.remember(given, tick)
        admitted = self._admitted.get((given.seat, given.id))
        if admitted is not None:
            admitted.tick = tick
            admitted.answer(tick)

    def shown(self, given: Input) -> float | None:
        """Forget an input whose first frame has been sent. Returns when it arrived; None if another server got it."""
        admitted = self._admitted.pop((given.seat, given.id), None)
        return None if admitted is None else admitted.at

    def release(self, outcome: LobbyError | None) -> None:
        """Answer all inputs that still wait, because this run journals no more."""
        waiting, self._admitted = self._admitted, {}
        for admitted in waiting.values():
            admitted.answer(outcome)
