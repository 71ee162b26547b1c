"""The solver processes of one server: which of them steps a session, and when a session moves to another one.

    session -> Pool.place -> Solver (server/solver/solver_calls.py), one for each process
                  '-> find_better, moved: sessions with long ticks -> heavy processes, of lower priority

The event loop never computes. Sessions are placed and moved by what they use (server/solver/placement.py, usage.py).
Heavy processes are started when they are needed. Checks of scenes and shapes that take long go to the background
process, which has low priority and holds no session.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from tussle.lobby.errors import SolverFailed
from tussle.lobby.logs import get_logger
from tussle.lobby.rules.scenes import Recipe
from tussle.server.simulation.scene_report import SceneCheck, Shape
from tussle.server.solver.background import BackgroundSolver
from tussle.server.solver.placement import choose_better_slot, choose_slot
from tussle.server.solver.solver_calls import CallMeters, Solver
from tussle.server.solver.spawning import Spawned
from tussle.server.solver.usage import UsageTable

__all__ = ["Pool", "PoolMeters"]

log = get_logger("server.pool")

_encode = msgspec.msgpack.Encoder().encode

LOOK_S, LOOK_HEAVY_S = 1.0, 0.1
"""Time between two searches for a better process: for most sessions, and for a heavy one in a light process [s]."""

BACKGROUND_S = 0.05
"""Expected CPU time of a check or a shape above which it goes to the background process [s]. Shorter ones are answered
by a light process between two ticks: a background process takes seconds to start."""

OTHERS_S = 1.0
"""Time after which the light processes beside the first one start at the latest [s]."""

RESTART_S = 30.0
"""Time between two attempts to start a heavy process [s]."""


class PoolMeters(CallMeters, Protocol):
    """The counters of a pool. server/metrics/solver_meters.py implements it."""

    def moved(self, *, heavy: bool) -> None:
        """A world was moved to a heavy or to a light process."""


class Pool:
    """All solver processes of a server: ``count`` light ones, up to ``heavy`` more for sessions with long ticks, and
    the background process while it is needed."""

    def __init__(
        self,
        count: int,
        *,
        timeout_s: float = 30.0,
        heavy: int = 0,
        meters: PoolMeters | None = None,
        archive_url: str = "",
        first: Spawned | None = None,
    ) -> None:
        """archive_url: of the archive whose meshes the scenes may use; first: a process that was spawned before."""
        self.usage = UsageTable()
        self._meters = meters
        self.solvers = [
            Solver(
                index,
                timeout_s,
                heavy=index >= count,
                usage=self.usage,
                meters=meters,
                archive_url=archive_url,
                first=first if index == 0 else None,
            )
            for index in range(count + heavy)
        ]
        self._starting: list[asyncio.Task[Any]] = []
        self._needed = asyncio.Event()
        """Set once a light process is needed beside the first one."""
        self._tried_at = float("-inf")
        self._background = BackgroundSolver(
            lambda: Solver(count + heavy, timeout_s, heavy=True, meters=meters, archive_url=archive_url)
        )

    async def start(self) -> None:
        """Start the light processes; return when one is ready. Raises SolverFailed when none can start.

        The others start when a second session is placed, or after OTHERS_S: where all of Tussle starts at once, loading
        their machine code would delay the first session."""
        first, *others = [solver for solver in self.solvers if not solver.heavy]
        await self._start_light(first)
        if not first.running:
            self._needed.set()
        self._starting = [
            asyncio.create_task(self._start_other(solver), name=f"solver-{solver.index}-start")
            for solver in others
        ]
        if not first.running:
            for started in asyncio.as_completed(self._starting):
                if await started:
                    return
            raise SolverFailed("no solver process could start")

    async def _start_other(self, solver: Solver) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OTHERS_S):
                await self._needed.wait()
        return await self._start_light(solver)

    async def _start_light(self, solver: Solver) -> bool:
        """Whether the process could start."""
        try:
            await solver.start()
        except SolverFailed as error:
            log.error("solver_not_started", error=error.message)
        return solver.running

    def place(self, session: str) -> Solver:
        """The solver for a new world, by placement.choose_slot."""
        now = time.monotonic()
        usage = self.usage.get(session, now)
        usage.moved_at = now
        slots = [solver.slot(now) for solver in self.solvers]
        if any(slot.sessions for slot in slots):
            self._needed.set()
        return self.solvers[choose_slot(slots, heavy=usage.heavy)]

    async def check_scene(self, document: bytes, *, expected_s: float) -> SceneCheck:
        """Check a scene before it starts. ``expected_s``: CPU time that it may take. Raises SolverFailed."""
        return msgspec.msgpack.decode(await self._ask("check_scene", document, expected_s), type=SceneCheck)

    async def make_shape(self, recipe: Recipe, *, expected_s: float) -> Shape:
        """Build one shape. ``expected_s``: CPU time that it may take. Raises Refused or SolverFailed."""
        return msgspec.msgpack.decode(await self._ask("make_shape", _encode(recipe), expected_s), type=Shape)

    async def _ask(self, op: str, body: bytes, expected_s: float) -> bytes:
        """Make a call that needs no world: in the background process, if it would delay a session noticeably."""
        if expected_s <= BACKGROUND_S:
            return await self._quiet().ask_about(op, body)
        return await self._background.ask(op, body)

    def _quiet(self) -> Solver:
        """The running process with the shortest queue; heavy ones last."""
        return min(self.solvers, key=lambda one: (not one.running, one.heavy, one.queue_length, one.index))

    def find_better(self, session: str, here: Solver) -> Solver | None:
        """The solver to which a world should be moved, or None. Starts a heavy process if one is needed."""
        now = time.monotonic()
        usage = self.usage.get(session, now)
        alone = sum(len(solver.sessions) for solver in self.solvers) < 2
        if alone or not usage.judged or now < usage.look_at:
            return None
        usage.look_at = now + (LOOK_HEAVY_S if usage.heavy and not here.heavy else LOOK_S)
        slots = [solver.slot(now) for solver in self.solvers]
        heavy = usage.heavy and any(slot.heavy for slot in slots)
        if heavy and not here.heavy and not any(s.heavy and s.running and not s.sessions for s in slots):
            self._start_heavy(now)
        better = choose_better_slot(
            slots, here.index, heavy=heavy, load=usage.cpu.read(now), stayed_s=now - usage.moved_at
        )
        return None if better is None else self.solvers[better]

    def moved(self, session: str, to: Solver) -> None:
        """Record that a world was moved."""
        self.usage.get(session, time.monotonic()).moved_at = time.monotonic()
        if self._meters is not None:
            self._meters.moved(heavy=to.heavy)

    def _start_heavy(self, now: float) -> None:
        """Start one more heavy process in the background, if there may be more and none is starting."""
        self._starting = [task for task in self._starting if not task.done()]
        stopped = [solver for solver in self.solvers if solver.heavy and not solver.running]
        if not stopped or self._starting or now - self._tried_at < RESTART_S:
            return
        self._tried_at = now
        self._starting.append(asyncio.create_task(self._start_one(stopped[0]), name="solver-heavy-start"))

    async def _start_one(self, solver: Solver) -> None:
        try:
            await solver.start()
        except SolverFailed as error:
            log.error("solver_not_started", solver=solver.index, error=error.message)
        else:
            self._tried_at = float("-inf")
            log.info("solver_started", solver=solver.index, heavy=True)

    async def close(self) -> None:
        for starting in self._starting:
            starting.cancel()
        await asyncio.gather(*self._starting, self._background.close(), return_exceptions=True)
        await _gather([solver.close for solver in self.solvers])


async def _gather(calls: list[Callable[[], Awaitable[None]]]) -> None:
    async def await_one(call: Callable[[], Awaitable[None]]) -> None:
        await call()

    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(await_one(call))
