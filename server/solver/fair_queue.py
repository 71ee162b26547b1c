"""The calls that wait for one solver process, and their order. Sans-I/O.

    put -> [the calls of each session, in order] -> take: least start tag -> the process -> charge: CPU time used

This is start-time fair queueing (Goyal, Vin and Cheng 1996, "Start-time fair queuing: a scheduling algorithm for
integrated services packet switching networks", section 2) with equal weights and a bounded credit. The finish tag of a
call is its start tag plus the CPU time that it took. The start tag is the finish tag of the session's call before, but
at least the virtual time minus CREDIT_S. The virtual time is the largest start tag of a call that was taken.

Without a credit the virtual time does not advance while each of n sessions runs one long call: a session that had one
short call in that time would wait for all of them. With it, a session that used less than its share is next. An idle
session saves up CREDIT_S and no more.

Calls of several sessions may share one place: those with which sessions begin. One of them is ready or taken at a time,
and together they get what one session gets. So sessions that are opened one after the other do not take the time of
those that run.

This module must never read a clock: the time that a call took is an argument.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

__all__ = ["CREDIT_S", "FairQueue"]

C = TypeVar("C")

CREDIT_S = 0.05
"""CPU time that a session that was idle may use before those that were not [s]: more than a long tick, so that its
call is served first once, and shorter than people notice."""


@dataclass(frozen=True, slots=True)
class _QueuedCall(Generic[C]):
    """A call that waits, or was taken."""

    expected_s: float
    call: C
    place: str


class FairQueue(Generic[C]):
    """A session has at most one call taken; its other calls wait until that one is charged. The calls of a session keep
    their order. The callers bound the length: a run has at most one call at a time."""

    def __init__(self) -> None:
        self._virtual = 0.0
        self._finish: dict[str, float] = {}
        self._waiting: dict[str, deque[_QueuedCall[C]]] = {}
        self._taken: dict[str, tuple[float, _QueuedCall[C]]] = {}
        self._lines: dict[str, deque[str]] = {}
        """The sessions whose next call has a place; the first one is ready or taken."""
        self._ready: list[tuple[float, float, int, str]] = []
        self._order = count()
        self._length = 0

    def __len__(self) -> int:
        """The number of calls that wait."""
        return self._length

    def put(self, session: str, call: C, expected_s: float, *, place: str = "") -> None:
        """Add a call. ``expected_s``: the CPU time that it will take, which decides between equal start tags only.
        ``place``: the name of a place that calls of several sessions share; '': that of the session."""
        calls = self._waiting.setdefault(session, deque())
        calls.append(_QueuedCall(expected_s, call, place))
        self._length += 1
        if len(calls) == 1 and session not in self._taken:
            self._make_ready(session)

    def first(self) -> C | None:
        """The call that ``take`` would return, or None."""
        return self._waiting[self._ready[0][3]][0].call if self._ready else None

    def take(self) -> C:
        """Remove and return the next call. Raises IndexError if no call is ready."""
        start, _, _, session = heappop(self._ready)
        calls = self._waiting[session]
        waiting = calls.popleft()
        if not calls:
            del self._waiting[session]
        self._length -= 1
        self._virtual = max(self._virtual, start)
        self._taken[session] = (start, waiting)
        return waiting.call

    def charge(self, session: str, seconds: float) -> None:
        """Record the CPU time of the session's call that was taken."""
        start, taken = self._taken.pop(session)
        self._finish[taken.place or session] = start + seconds
        if taken.place:
            line = self._lines.get(taken.place)
            if line and line[0] == session:
                line.popleft()
                if line:
                    self._push(line[0])
        if session in self._waiting:
            self._make_ready(session)

    def forget(self, session: str) -> None:
        """Forget what a session used. Its calls that wait are kept."""
        self._finish.pop(session, None)

    def drain(self) -> list[C]:
        """Remove and return all calls that wait."""
        calls = [one.call for waiting in self._waiting.values() for one in waiting]
        self._waiting.clear()
        self._ready.clear()
        self._lines.clear()
        self._length = 0
        return calls

    def _make_ready(self, session: str) -> None:
        place = self._waiting[session][0].place
        if place:
            line = self._lines.setdefault(place, deque())
            line.append(session)
            if len(line) > 1:
                return
        self._push(session)

    def _push(self, session: str) -> None:
        waiting = self._waiting[session][0]
        start = max(self._virtual - CREDIT_S, self._finish.get(waiting.place or session, -CREDIT_S))
        heappush(self._ready, (start, waiting.expected_s, next(self._order), session))
