"""The inputs of one run from arrival to their first frame: answers clients and detects repeated inputs.

    queue -> budget -> [core] -> journaled (answered, remembered) -> shown      release: answers all that still wait
        '-> later than a newer one of its kind -> superseded by that one

Each seat has a budget of solver time for its inputs. It must never apply an input twice, nor an older one of a
``latest`` kind after a newer one: inputs of one seat may come by two ways, a relay and a connection, while a session
moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from tussle.lobby.errors import Conflict, LobbyError, RateLimited
from tussle.lobby.rules.actions import ActionKind
from tussle.lobby.runs import Member
from tussle.server.costs import Ledger, Owner, Resource
from tussle.server.sessions.core import Answer, SessionCore, Superseded
from tussle.server.simulation.simulation import Input

__all__ = ["Admissions"]

REMEMBERED = 4096
"""Inputs whose ticks are remembered, for clients that send them again. Beyond it the older half is dropped."""


class _Admitted(msgspec.Struct):
    """An input on its way to its acknowledgement, and to its first frame. ``tick``: once it is journaled."""

    at: float
    answers: tuple[Answer, ...]
    tick: int | None = None

    def answer(self, outcome: int | Superseded | LobbyError | None) -> None:
        """Call every waiting answer, once."""
        answers, self.answers = self.answers, ()
        for answer in answers:
            answer(outcome)


class Admissions:
    """``wake`` is called for each input that is new to ``core``. ``acknowledged``: outcomes by (seat, id). ``ledger``
    has the budgets of the seats of ``session``. ``members``: with the newest ids that an earlier holder published."""

    def __init__(
        self,
        core: SessionCore,
        wake: Callable[[], None],
        ledger: Ledger,
        session: str,
        members: Sequence[Member] = (),
    ) -> None:
        self.acknowledged: dict[tuple[int, int], int | Superseded] = {}
        self._ledger = ledger
        self._session = session
        self._core = core
        self._wake = wake
        self._admitted: dict[tuple[int, int], _Admitted] = {}
        self._used = {member.seat: member.last_id for member in members}
        """Seat -> the newest id that is journaled."""
        self._newest: dict[tuple[int, str], tuple[int, int | None]] = {}
        """(seat, kind) -> id of the newest input, and its tick once it is journaled."""

    def queue(
        self,
        seat: int,
        command: int,
        kind: str,
        d: dict[str, Any],
        at: float,
        answer: Answer,
        again: bool = False,
    ) -> None:
        """Pass an input that arrived at ``at`` to the core. ``again``: its client used the id at another server, so
        that it is new only if no later input of the seat is journaled.

        Raises as SessionCore.admit, RateLimited (``too_costly``) and, with ``again``, Conflict (``stale_id``), without
        calling ``answer``.
        """
        key = seat, command
        waiting = self._admitted.get(key)
        # The client may have sent it before: it still waits, or it is journaled, perhaps by an earlier holder.
        known = self.acknowledged.get(key) if waiting is None else waiting.tick
        if known is not None:
            answer(known)
            return
        if waiting is not None:
            waiting.answers += (answer,)
            return
        if again and command <= self._used.get(seat, 0):
            raise Conflict(f"command {command} had no effect, or long ago", code="stale_id", field="id")
        found = self._core.kind(kind)
        newest = self._newest.get((seat, kind))
        if newest is not None and newest[0] > command:
            if found is not None and found.latest:
                self._supersede(seat, command, newest, answer)
                return
        else:
            newest = None
        if found is not None and found.cost > 0.0:
            self._charge_and_admit(seat, command, found, d, at)
        else:
            self._core.admit(seat, command, kind, d)
        self._admitted[key] = _Admitted(at, (answer,))
        if newest is None:
            self._newest[seat, kind] = command, None
        self._wake()

    def _supersede(self, seat: int, command: int, newest: tuple[int, int | None], answer: Answer) -> None:
        """Answer an input that arrived after a newer one of its kind, once that one is journaled."""
        newer, tick = newest
        if tick is None:
            self._admitted[seat, newer].answers += (partial(self._answer_late, seat, command, answer),)
        else:
            self._answer_late(seat, command, answer, tick)

    def _answer_late(
        self, seat: int, command: int, answer: Answer, outcome: int | Superseded | LobbyError | None
    ) -> None:
        """``outcome``: that of the newer input."""
        if isinstance(outcome, int):
            outcome = Superseded(outcome)
        if isinstance(outcome, Superseded):
            self.remember(seat, command, outcome)
        answer(outcome)

    def _charge_and_admit(
        self, seat: int, command: int, kind: ActionKind, d: dict[str, Any], at: float
    ) -> None:
        """Charge the seat for an input of a kind that costs solver time, and admit it. A refused input, and one that
        supersedes another, costs nothing."""
        cost = self._core.added_cost(seat, kind)
        if cost <= 0.0:
            self._core.admit(seat, command, kind.kind, d)
            return
        budget = Resource.INPUT_COST, Owner.SEAT
        key = f"{self._session} seat {seat}"
        amount = min(cost, self._ledger.most(*budget))  # a full budget is always enough for one input
        try:
            self._ledger.charge(*budget, key, at, amount)
        except RateLimited as error:
            raise RateLimited(
                f"{kind.kind} needs much solver time; this seat used up its share",
                code="too_costly",
                field="kind",
                retry_after=error.retry_after,
            ) from None
        try:
            self._core.admit(seat, command, kind.kind, d)
        except LobbyError:
            self._ledger.give_back(*budget, key, amount)
            raise

    def remember(self, seat: int, command: int, outcome: int | Superseded) -> None:
        """Record the outcome of an input that is journaled or superseded: the answer if it is sent again."""
        self.acknowledged[seat, command] = outcome
        if len(self.acknowledged) > REMEMBERED:
            self._forget_old()

    def _forget_old(self) -> None:
        for key in list(self.acknowledged)[: REMEMBERED // 2]:
            del self.acknowledged[key]

    def journaled(self, given: Input, tick: int, superseded: tuple[int, ...] = ()) -> None:
        """Acknowledge an input that has just been written to the journal, and the inputs that it superseded."""
        self.restored(given, tick, superseded)
        for command in superseded:
            older = self._admitted.pop((given.seat, command), None)
            if older is not None:
                older.answer(Superseded(tick))
        admitted = self._admitted.get((given.seat, given.id))
        if admitted is not None:
            admitted.tick = tick
            admitted.answer(tick)

    def restored(self, given: Input, tick: int, superseded: tuple[int, ...] = ()) -> None:
        """Remember an input of the journal, and the inputs that it superseded."""
        seat, command = given.seat, given.id
        for older in superseded:
            self.remember(seat, older, Superseded(tick))
        self.acknowledged[seat, command] = tick
        if len(self.acknowledged) > REMEMBERED:
            self._forget_old()
        if command > self._used.get(seat, 0):
            self._used[seat] = command
        newest = self._newest.get((seat, given.kind))
        if newest is None or newest[0] <= command:
            self._newest[seat, given.kind] = command, tick

    def shown(self, given: Input) -> float | None:
        """Forget an input whose first frame has been sent. Returns when it arrived; None if another server got it."""
        admitted = self._admitted.pop((given.seat, given.id), None)
        return None if admitted is None else admitted.at

    def release(self, outcome: LobbyError | None) -> None:
        """Answer all inputs that still wait, because this run journals no more."""
        waiting, self._admitted, self._newest = self._admitted, {}, {}
        for admitted in waiting.values():
            admitted.answer(outcome)
