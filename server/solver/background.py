"""The background solver process of a pool: for long calls that need no world. It holds no session.

    a long check, a large shape -> ask -> a process of low priority, started when it is needed
                                      '-> no call for IDLE_S: ended

A call is never interrupted. In a process that holds sessions, all of them would wait for it. This module must never
decide which calls are long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from tussle.lobby.errors import SolverFailed

__all__ = ["BackgroundSolver"]

IDLE_S = 120.0
"""Time after its last call after which the process is ended [s]."""


class SolverWithoutWorld(Protocol):
    """A solver process; server/solver/solver_calls.py implements it."""

    async def ask_about(self, op: str, body: bytes) -> bytes:
        """Ask what needs no world. Starts the process."""

    async def close(self) -> None:
        """End the process."""


class BackgroundSolver:
    """Starts a solver when a call needs one and ends it when it is idle. ``make``: makes one, which starts at its first
    call."""

    def __init__(self, make: Callable[[], SolverWithoutWorld]) -> None:
        self._make = make
        self.solver: SolverWithoutWorld | None = None
        self._calls = 0
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def ask(self, op: str, body: bytes) -> bytes:
        """Ask the process. Raises Refused or SolverFailed."""
        if self._closed:
            raise SolverFailed("the solver pool is closed")
        if self.solver is None:
            self.solver = self._make()
        if self._idle is not None:
            self._idle.cancel()
        self._calls += 1
        try:
            return await self.solver.ask_about(op, body)
        finally:
            self._calls -= 1
            if not self._calls and not self._closed:
                self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.end)

    def end(self) -> None:
        """End the process in the background; the next call starts another one."""
        solver, self.solver = self.solver, None
        if solver is not None:
            ending = asyncio.create_task(solver.close(), name="background-solver-end")
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End the process and wait for it. Later calls raise SolverFailed."""
        self._closed = True
        if self._idle is not None:
            self._idle.cancel()
        self.end()
        await asyncio.gather(*self._ending, return_exceptions=True)
