"""Who waits for a connection to the store: the server's own calls, its lease and its clients have lanes of their own.

    lease    renewals of the server's lease                       LEASE_CONNECTIONS
    own      journals, checkpoints, events, sweeps, bans, ...      as many as the store was given, in order of arrival
    clients  calls for a message or request of a client            half as many; by turns of their owners

A task says for whom it calls: ``for_client`` and ``for_lease``. Tasks that it makes inherit this; one that lives on for
the server begins with ``own_task``. A call without a mark is the server's own. No number of clients' calls delays a
call of another lane. In the lane of clients each owner has its turn, so that an owner with many calls delays its own
calls and not those of others. A call that waits keeps its task from reading the next message of its socket.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["CallLane", "CallLanes", "Caller", "for_client", "for_lease", "known_as", "own_task"]

T = TypeVar("T")

LEASE_CONNECTIONS = 2

OWNER_SHARE = 4
"""One owner has at most one of so many connections of the lane of clients."""


@dataclass(slots=True, eq=False)
class Caller:
    """A client for which the store is called. ``pace`` returns how long [s] the next call must wait, given the client;
    None: not at all. ``player`` is '' until the client has logged in."""

    address: str
    player: str = ""
    pace: Callable[[Caller], float] | None = None

    @property
    def owner(self) -> str:
        """Whose turn its calls take: the player's, otherwise the address's."""
        return self.player or f"address {self.address}"


LEASE = Caller("lease")

_caller: ContextVar[Caller | None] = ContextVar("store_caller", default=None)


def for_client(caller: Caller) -> None:
    """From now on the calls of this task are those of a client."""
    _caller.set(caller)


def known_as(player: str) -> None:
    """The client of this task has logged in. Does nothing in a task that serves none."""
    caller = _caller.get()
    if caller is not None and caller is not LEASE:
        caller.player = player


@contextmanager
def for_lease() -> Iterator[None]:
    """The calls in this context are those of the server's lease."""
    token = _caller.set(LEASE)
    try:
        yield
    finally:
        _caller.reset(token)


def own_task(work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """A task whose calls are the server's own, also if a client's task makes it."""
    context = copy_context()
    context.run(_caller.set, None)
    return asyncio.get_running_loop().create_task(work, name=name, context=context)


class CallLane:
    """At most ``most`` calls at once, at most ``each`` of one owner. Owners with waiting calls have their turns in a
    circle, and the calls of one owner go in order of arrival."""

    def __init__(self, most: int, each: int) -> None:
        self._most, self._each = most, each
        self._running: Counter[str] = Counter()
        self._count = 0
        self._ready: OrderedDict[str, None] = OrderedDict()
        """Owners that wait and have less than ``each`` running, in the order of their turns."""
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        """Number of calls that wait."""
        return sum(map(len, self._waiting.values()))

    async def enter(self, owner: str) -> None:
        """Wait for the turn of one call. ``leave`` ends it; a call that was cancelled while it waited has none."""
        if self._count < self._most and self._running[owner] < self._each and owner not in self._waiting:
            self._begin(owner)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        if self._running[owner] < self._each:
            self._ready.setdefault(owner)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._drop(owner, turn)
            else:  # its turn had come
                self.leave(owner)
            raise

    def leave(self, owner: str) -> None:
        """End a call, and begin those whose turn it is."""
        self._count -= 1
        self._running[owner] -= 1
        if self._running[owner] <= 0:
            del self._running[owner]
        if owner in self._waiting:
            self._ready.setdefault(owner)
        while self._count < self._most and self._ready:
            self._admit(self._ready.popitem(last=False)[0])

    def _admit(self, owner: str) -> None:
        """Begin the first waiting call of an owner that still waits. The owner's next turn is the last one."""
        waiting = self._waiting[owner]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._begin(owner)
                break
        if not waiting:
            del self._waiting[owner]
        elif self._running[owner] < self._each:
            self._ready[owner] = None

    def _begin(self, owner: str) -> None:
        self._count += 1
        self._running[owner] += 1

    def _drop(self, owner: str, turn: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(owner)
        if waiting is not None and turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._waiting[owner]
                self._ready.pop(owner, None)
        if not self._running[owner]:
            del self._running[owner]


class CallLanes:
    """The lanes of one store. ``connections``: those of its own calls."""

    def __init__(self, connections: int) -> None:
        clients = max(1, connections // 2)
        self.connections = connections + clients + LEASE_CONNECTIONS
        self._lease = CallLane(LEASE_CONNECTIONS, LEASE_CONNECTIONS)
        self._own = CallLane(connections, connections)
        self.clients = CallLane(clients, max(1, clients // OWNER_SHARE))

    async def pace(self) -> None:
        """Wait as long as the pace of this task's client asks, and let the client's earlier calls go first."""
        caller = _caller.get()
        wait_s = caller.pace(caller) if caller is not None and caller.pace is not None else 0.0
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def enter(self) -> Callable[[], None]:
        """Wait for the turn of a call of this task. Returns what ends it."""
        caller = _caller.get()
        if caller is None:
            lane, owner = self._own, ""
        elif caller is LEASE:
            lane, owner = self._lease, ""
        else:
            lane, owner = self.clients, caller.owner
        await lane.enter(owner)
        return lambda: lane.leave(owner)
