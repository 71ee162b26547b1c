"""The core of one running session, sans-I/O: it admits inputs, closes batches and keeps the turn clock.

    admit / leave / expire -> pending -> batch (closed at a tick boundary) -> [journal] -> [solver] -> took
                                 '-> superseded by a newer input of the same kind and seat

server/sessions/run.py journals, computes and sends. Time is an argument. This module must never touch the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from tussle.lobby.errors import Conflict, LobbyError, NotYourTurn
from tussle.lobby.rules.actions import ActionKind, ActionSpec, check_action
from tussle.server.modes.mode import Phase, Result
from tussle.server.simulation.simulation import Advance, Input

__all__ = ["Answer", "InputBatch", "SessionCore", "Superseded"]


class Superseded(msgspec.Struct, frozen=True):
    """The outcome of an input that had no effect, because a newer one of its kind superseded it at ``tick``."""

    tick: int


Answer = Callable[[int | Superseded | LobbyError | None], None]
"""Called once per input: with its tick when it is journaled, with Superseded when the input that supersedes it is
journaled, with the error that refuses it, or with None when the session has moved to another server and the input may
be sent again there. It must not raise."""

MAX_PENDING = 256
"""Inputs that may wait for one tick, superseded ones too; more are refused with ``too_many_inputs``."""

BATCH_COST_MS = 250.0
"""Solver time that the inputs of one tick may cost together, if there are several [ms]. The others wait for the next
tick. One call to the solver process is bounded by it."""


class InputBatch(msgspec.Struct, frozen=True):
    """The inputs of tick ``tick``, in the order in which they are journaled and applied. ``superseded``: (seat, id) of
    an input -> ids of the inputs of that seat that it superseded."""

    tick: int
    inputs: tuple[Input, ...]
    superseded: dict[tuple[int, int], tuple[int, ...]] = {}


class SessionCore:
    """Admission and turn clock of one session. All times are seconds of one monotonic clock.

    In a session by turns, exactly one input of the acting seat is admitted per turn; leaving is always possible.
    """

    __slots__ = (
        "_acted", "_leaving", "_left", "_out", "_pending", "_superseded", "actions", "deadline", "deadline_s",
        "phase", "result", "seat", "seats", "tick",
    )  # fmt: skip

    def __init__(self, seats: Iterable[int]) -> None:
        self.seats = frozenset(seats)
        self.tick = 0
        self.phase: Phase = "acting"
        self.seat: int | None = None
        self.actions: ActionSpec | None = None
        self.deadline: float | None = None
        self.deadline_s: float | None = None
        self.result: Result | None = None
        self._pending: list[Input] = []
        self._superseded: dict[tuple[int, int], tuple[int, ...]] = {}
        self._left: set[int] = set()
        self._leaving: list[int] = []
        self._out: set[int] = set()
        self._acted = False

    # inputs

    def admit(self, seat: int, command: int, kind: str, d: dict[str, object]) -> None:
        """Take a player's input for the coming tick.

        An input of a ``latest`` kind supersedes a pending one of its kind and seat, if all inputs of the seat in
        between are of such kinds too. Raises Conflict (``not_running``, ``world_moving``, ``already_acted``),
        NotYourTurn, or Refused from the check against the legal actions; the core is unchanged then.
        """
        if self.phase == "over":
            raise Conflict("the session is over", code="not_running")
        if self.seat is not None and seat != self.seat:
            raise NotYourTurn(f"it is the turn of seat {self.seat}")
        if self.actions is None:
            raise Conflict("the world is still moving", code="world_moving")
        if seat in self._left:
            raise Conflict("this seat was given up", code="left")
        if self._acted:
            raise Conflict("this turn has its action already", code="already_acted")
        pending, superseded = self._pending, self._superseded
        waiting = len(pending) + sum(map(len, superseded.values())) if superseded else len(pending)
        if waiting >= MAX_PENDING:
            raise Conflict("too many inputs wait for this tick", code="too_many_inputs")
        admitted = Input(seat, kind, command, check_action(self.actions, kind, d))
        older = self._find_superseded(seat, kind) if pending else None
        if older is not None:
            pending.remove(older)
            ids = superseded.pop((seat, older.id), ())
            superseded[seat, command] = (*ids, older.id)
        pending.append(admitted)
        self._acted = self.seat is not None

    def kind(self, name: str) -> ActionKind | None:
        """The kind of action of that name, if it is possible now."""
        if self.actions is not None:
            for kind in self.actions.kinds:
                if kind.kind == name:
                    return kind
        return None

    def added_cost(self, seat: int, kind: ActionKind) -> float:
        """Solver time that an input would add [ms]: 0 if it would supersede another one."""
        return 0.0 if kind.cost <= 0.0 or self._find_superseded(seat, kind.kind) is not None else kind.cost

    def _cost_of(self, kind: str) -> float:
        found = self.kind(kind)
        return 0.0 if found is None else found.cost

    def _find_superseded(self, seat: int, kind: str) -> Input | None:
        """The pending input that an input of that seat and kind supersedes."""
        for older in reversed(self._pending):
            if older.seat != seat:
                continue
            allowed = self.kind(older.kind)
            if allowed is None or not allowed.latest:
                return None
            if older.kind == kind:
                return older
        return None

    def join(self, seat: int) -> None:
        """Let a new member join at a seat whose member had left: in a fork of a session in slots."""
        if seat in self.seats and seat in self._out and seat not in self._left and self.phase != "over":
            self._pending.append(Input(seat=seat, kind="join"))

    def leave(self, seat: int) -> None:
        """Give the seat up. Its forfeit joins the coming batch, or the one after an input of the seat."""
        if seat in self.seats and seat not in self._left and seat not in self._out and self.phase != "over":
            self._left.add(seat)
            self._leaving.append(seat)

    def expire(self, now: float) -> None:
        """Admit the skip of a turn whose deadline has passed."""
        if (
            self.deadline is not None
            and now >= self.deadline
            and self.seat is not None
            and not self._acted
            and self.seat not in self._left
        ):
            self._acted = True
            self._pending.append(Input(seat=self.seat, kind="skip"))

    # progress

    @property
    def over(self) -> bool:
        return self.phase == "over"

    def waits(self) -> bool:
        """Whether the session waits for an input or the deadline."""
        return self.phase == "acting" and not self._pending and not self._leaving

    def batch(self) -> InputBatch:
        """Close the inputs of the coming tick."""
        if not self._pending and not self._leaving:
            return InputBatch(self.tick + 1, ())
        count = self._affordable()
        inputs, self._pending = self._pending[:count], self._pending[count:]
        superseded: dict[tuple[int, int], tuple[int, ...]] = {}
        if self._superseded:
            keys = [(item.seat, item.id) for item in inputs]
            superseded = {key: self._superseded.pop(key) for key in keys if key in self._superseded}
        if not self._leaving:
            return InputBatch(self.tick + 1, tuple(inputs), superseded)
        deciding = {item.seat for item in (*inputs, *self._pending)}
        waiting = [seat for seat in self._leaving if seat in deciding]
        leaving = [seat for seat in self._leaving if seat not in deciding and seat not in self._out]
        self._leaving = waiting
        leaves = (Input(seat=seat, kind="leave") for seat in leaving)
        return InputBatch(self.tick + 1, (*inputs, *leaves), superseded)

    def _affordable(self) -> int:
        """The number of pending inputs, from the first, that the coming tick takes: at least one."""
        cost, costs = 0.0, dict[str, float]()
        for count, item in enumerate(self._pending):
            own = costs.get(item.kind)
            if own is None:
                own = costs[item.kind] = self._cost_of(item.kind)
            cost += own
            if cost > BATCH_COST_MS and count:
                return count
        return len(self._pending)

    def took(self, advance: Advance, now: float) -> None:
        """Take over the state after ``advance``; a new turn starts its clock at ``now``."""
        self.tick = advance.tick
        self.phase = advance.phase
        self.seat = advance.seat
        self.actions = advance.actions if advance.phase != "over" else None
        self.result = advance.result
        self._out = {seat for seat, standing in advance.standing.items() if standing.out}
        if any(kind == "turn_started" for _, kind, _ in advance.events):
            self._acted = False
            self.deadline_s = advance.deadline_s
            self.deadline = None if advance.deadline_s is None else now + advance.deadline_s
        elif advance.phase != "acting":
            self.deadline = None

    def restore(self, advance: Advance, now: float, left_s: float | None) -> None:
        """Take over the state of a restored world, with ``left_s`` seconds left on the turn clock."""
        self.took(advance, now)
        self.deadline = None if left_s is None else now + left_s

    def arm(self, deadline: float) -> None:
        """Restart the turn clock after a pause: the turn ends at ``deadline``."""
        if self.deadline is not None:
            self.deadline = deadline

    def extend(self, seconds: float) -> None:
        """Move the deadline by the time for which the session was paused."""
        if self.deadline is not None:
            self.deadline += seconds
