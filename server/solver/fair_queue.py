"""The calls that wait for one solver process, and their order. Sans-I/O.

    put -> [the calls of each session, in order] -> take: least start tags -> the process -> charge: CPU time used

    the process -+- owner -- its sessions
                 +- owner -- its sessions
                 '- place of the calls with which sessions begin -- owner -- its sessions

This is hierarchical start-time fair queueing (Goyal, Vin and Cheng 1996, "Start-time fair queuing: a scheduling
algorithm for integrated services packet switching networks", sections 2 and 3) with equal weights and a bounded credit.
Each node shares the time that it gets among its children: the process among owners, an owner among its sessions. So the
sessions of one owner, however many, together get what one session of another owner gets. The finish tag of a node is
the start tag of its call plus the CPU time that it took. The start tag is the finish tag of the call before, but at
least the virtual time of its parent minus CREDIT_S. The virtual time is the largest start tag of a call that was taken.

Without a credit the virtual time does not advance while each of n sessions runs one long call: a session that had one
short call in that time would wait for all of them. With it, an owner that used less than its share is next. An idle
owner, and within it an idle session, saves up CREDIT_S and no more.

Calls of several sessions may share one place: those with which sessions begin. One of them is taken at a time, and
together they get what one owner gets. So sessions that are opened one after the other do not take the time of those
that run.

This module must never read a clock: the time that a call took is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

__all__ = ["CREDIT_S", "FairQueue"]

C = TypeVar("C")

CREDIT_S = 0.05
"""CPU time that an owner that was idle may use before those that were not [s]: more than a long tick, so that its
call is served first once, and shorter than people notice."""


@dataclass(slots=True, eq=False)
class _Node:
    """A session, an owner, a place or the process. ``finish`` is in the virtual time of the parent. ``entry``: number
    of its entry among the ready children of its parent, 0 without one; older entries of it are not valid any more.
    ``waits``: the expected time of the call of a session that waits [s]. ``taken``: calls of it that were taken.
    ``single``: at most one of its calls is taken at a time."""

    parent: _Node | None
    name: str
    single: bool = False
    finish: float = -CREDIT_S
    virtual: float = 0.0
    entry: int = 0
    waits: float | None = None
    taken: int = 0
    children: dict[str, _Node] = field(default_factory=dict)
    ready: list[tuple[float, float, int, _Node]] = field(default_factory=list)
    """(start tag, expected time, number of the entry, child), a heap."""

    def up(self) -> Iterator[_Node]:
        """This node and those above it, without the root."""
        node = self
        while node.parent is not None:
            yield node
            node = node.parent

    def first(self) -> _Node | None:
        """The child that is next."""
        while self.ready and self.ready[0][2] != self.ready[0][3].entry:
            heappop(self.ready)
        return self.ready[0][3] if self.ready else None

    def expected_s(self) -> float | None:
        """The expected time of the call that is next below this node [s]; None if none may be taken."""
        if self.taken and self.single:
            return None
        child = self.first()
        return self.waits if child is None else child.parent_entry()[1]

    def parent_entry(self) -> tuple[float, float, int, _Node]:
        """Its entry, which must be the first one of its parent."""
        assert self.parent is not None
        return self.parent.ready[0]

    @property
    def idle(self) -> bool:
        """Whether a new node would be the same: it has nothing to do and no debt."""
        parent = self.parent
        free = parent is not None and self.finish <= parent.virtual - CREDIT_S
        return free and not self.taken and self.waits is None and not self.children


@dataclass(frozen=True, slots=True)
class _QueuedCall(Generic[C]):
    """A call that waits, and the names of the nodes to which it belongs, the session last."""

    expected_s: float
    call: C
    path: tuple[str, ...]
    single: bool


class FairQueue(Generic[C]):
    """A session has at most one call taken; its other calls wait until that one is charged. The calls of a session keep
    their order. The callers bound the length: a run has at most one call at a time."""

    def __init__(self) -> None:
        self._root = _Node(None, "")
        self._waiting: dict[str, deque[_QueuedCall[C]]] = {}
        self._taken: dict[str, tuple[float, _Node]] = {}
        self._order = count(1)
        self._length = 0

    def __len__(self) -> int:
        """The number of calls that wait."""
        return self._length

    def put(self, session: str, call: C, expected_s: float, *, owner: str = "", place: str = "") -> None:
        """Add a call. ``expected_s``: the CPU time that it will take, which decides between equal start tags, and
        counts until the call is charged. ``owner``: with whose sessions it shares; '': the session is alone. ``place``:
        the name of a place that the calls of several owners share; '': none."""
        path: tuple[str, ...] = (f"owner {owner}" if owner else f"alone {session}", session)
        if place:
            path = (f"place {place}", *path)
        calls = self._waiting.setdefault(session, deque())
        calls.append(_QueuedCall(expected_s, call, path, bool(place)))
        self._length += 1
        if len(calls) == 1 and session not in self._taken:
            self._make_ready(session)

    def first(self) -> C | None:
        """The call that ``take`` would return, or None."""
        leaf = self._find_first()
        return None if leaf is None else self._waiting[leaf.name][0].call

    def take(self) -> C:
        """Remove and return the next call. Raises IndexError if no call is ready."""
        leaf = self._find_first()
        if leaf is None:
            raise IndexError("no call is ready")
        session = leaf.name
        calls = self._waiting[session]
        waiting = calls.popleft()
        if not calls:
            del self._waiting[session]
        self._length -= 1
        leaf.waits = None
        self._taken[session] = (waiting.expected_s, leaf)
        for node in leaf.up():
            start = node.parent_entry()[0]
            assert node.parent is not None
            node.parent.virtual = max(node.parent.virtual, start)
            node.finish = start + waiting.expected_s
            node.taken += 1
        self._enter(leaf, renew=True)
        return waiting.call

    def charge(self, session: str, seconds: float) -> None:
        """Record the CPU time of the session's call that was taken."""
        expected_s, leaf = self._taken.pop(session)
        for node in leaf.up():
            node.finish += seconds - expected_s
            node.taken -= 1
        self._enter(leaf, renew=True)
        if session in self._waiting:
            self._make_ready(session)

    def forget(self, session: str) -> None:
        """Forget a session that is over. What its owner used is kept while it matters; calls that wait are kept."""
        _prune(self._root, session)

    def drain(self) -> list[C]:
        """Remove and return all calls that wait."""
        calls = [one.call for waiting in self._waiting.values() for one in waiting]
        self._waiting.clear()
        self._root = _Node(None, "")
        self._length = 0
        return calls

    def _find_first(self) -> _Node | None:
        node, child = self._root, self._root.first()
        while child is not None:
            node, child = child, child.first()
        return None if node is self._root else node

    def _make_ready(self, session: str) -> None:
        """Let the first call that waits of a session be taken."""
        waiting = self._waiting[session][0]
        node = self._root
        for depth, name in enumerate(waiting.path):
            child = node.children.get(name)
            if child is None:
                child = node.children[name] = _Node(node, name, single=waiting.single and depth == 0)
            node = child
        node.waits = waiting.expected_s
        self._enter(node, renew=False)

    def _enter(self, leaf: _Node, *, renew: bool) -> None:
        """Enter a node and those above it among the ready ones, if a call below may be taken. ``renew``: their tags
        have changed; otherwise those that are entered keep theirs."""
        for node in leaf.up():
            if node.entry and not renew:
                return
            node.entry = 0
            expected_s = node.expected_s()
            if expected_s is None:
                continue
            parent = node.parent
            assert parent is not None
            node.entry = next(self._order)
            start = max(parent.virtual - CREDIT_S, node.finish)
            heappush(parent.ready, (start, expected_s, node.entry, node))


def _prune(node: _Node, session: str) -> None:
    """Remove the nodes of a session below a node, and all that nothing would change without."""
    for name, child in list(node.children.items()):
        if child.children:
            _prune(child, session)
        over = name == session and not child.taken and child.waits is None
        if over or child.idle:
            del node.children[name]
