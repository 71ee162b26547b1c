"""The solver processes of one server, and the calls to them.

    session -> Pool.place -> Solver <- socketpair, length-prefixed msgpack -> solver process (server/solver/process.py)

Each process steps many sessions in turn on one thread: the event loop never computes, and every step is bit-identical.
A process answers its calls in order, so a process can only hang or die in its oldest call. That call raises
SolverFailed; its timeout counts from when it became the oldest. All other calls, and calls for a world that was lost
with an earlier process, raise SolverFailed with code ``solver_lost``. A new process replaces the old one, without
worlds: the callers restore them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tussle.lobby.errors import ClientError, Refused, SolverFailed
from tussle.lobby.launch import child_environment, module_command
from tussle.lobby.logs import get_logger
from tussle.server.simulation.simulation import Advance, Input, SessionSpec
from tussle.server.solver.process import MAX_FRAME, Reply, Request

__all__ = ["Pool", "Solver", "WorldCheckpoint"]

log = get_logger("server.pool")

_encode = msgspec.msgpack.Encoder().encode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode
_decode_advance = msgspec.msgpack.Decoder(Advance).decode

START_TIMEOUT_S = 600.0
"""The first start on a machine compiles the kernels, one process after the other [s]."""


@dataclass(frozen=True, slots=True)
class WorldCheckpoint:
    """The exact state at a tick, and the result of its contact check. contact_ok: None if no check was asked for.
    contact_report: the numbers of the check, in words."""

    tick: int
    data: bytes
    contact_ok: bool | None
    contact_report: str


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that waits for its reply."""

    op: str
    timeout_s: float
    reply: asyncio.Future[Reply]


@dataclass(slots=True)
class _Process:
    """One running solver process, its unanswered calls, oldest first, and its worlds."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    waiting: dict[int, _Call] = field(default_factory=dict)
    worlds: set[str] = field(default_factory=set)
    patience: asyncio.TimerHandle | None = None
    next_id: int = 1


class Solver:
    """One slot of the pool. When its process dies, the next ``open_world`` or ``restore_world`` starts another one."""

    def __init__(self, index: int, timeout_s: float) -> None:
        self.index = index
        self.sessions: set[str] = set()
        self._timeout_s = timeout_s
        self._process: _Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._closed = False
        self.running = False

    async def start(self) -> None:
        """Spawn the process and wait until its kernels are loaded. Raises SolverFailed."""
        async with self._starting:
            if self._process is None and not self._closed:
                await self._spawn()

    async def _spawn(self) -> None:
        local, remote = socket.socketpair()
        try:
            local.setblocking(False)
            one_thread = dict.fromkeys(
                ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
            )
            process = await asyncio.create_subprocess_exec(
                *module_command("server.solver.process", str(remote.fileno())),
                pass_fds=[remote.fileno()], stdin=asyncio.subprocess.DEVNULL, env={**child_environment(), **one_thread},
            )  # fmt: skip
        except BaseException:
            local.close()
            raise
        finally:
            remote.close()
        reader, writer = await asyncio.open_connection(sock=local, limit=MAX_FRAME)
        started = _Process(process, reader, writer)
        self._process = started
        self._reading = asyncio.create_task(self._read(started), name=f"solver-{self.index}")
        try:
            await self._call("ready", b"", timeout_s=START_TIMEOUT_S)
        except SolverFailed as error:
            await self._discard(started)  # the reader may have cleared self._process
            raise SolverFailed(error.message, code="solver_lost") from None  # no world caused it
        self.running = True
        log.debug("solver_started", solver=self.index, pid=process.pid)

    async def _read(self, process: _Process) -> None:
        try:
            while True:
                head = await process.reader.readexactly(4)
                reply = _decode_reply(await process.reader.readexactly(int.from_bytes(head, "little")))
                call = process.waiting.pop(reply.id, None)
                self._watch(process)
                if call is not None and not call.reply.done():
                    call.reply.set_result(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            if not self._closed:
                log.error("solver_died", solver=self.index, pid=process.process.pid)
        finally:
            for place, call in enumerate(process.waiting.values()):
                if not call.reply.done():
                    code = "solver_lost" if place else None
                    call.reply.set_exception(SolverFailed("the solver process died", code=code))
            process.waiting.clear()
            self._watch(process)
            self._give_up(process)
            process.writer.close()

    def _watch(self, process: _Process) -> None:
        """Start the timeout of the call that is now the oldest."""
        if process.patience is not None:
            process.patience.cancel()
            process.patience = None
        oldest = next(iter(process.waiting.values()), None)
        if oldest is not None:
            process.patience = asyncio.get_running_loop().call_later(
                oldest.timeout_s, self._hung, process, oldest
            )

    def _hung(self, process: _Process, oldest: _Call) -> None:
        """Kill a process that hangs in a call. Its reader then fails the calls that wait behind it."""
        log.error("solver_hung", solver=self.index, op=oldest.op, pid=process.process.pid)
        if not oldest.reply.done():
            oldest.reply.set_exception(SolverFailed(f"the solver did not answer {oldest.op} in time"))
        self._give_up(process)
        with suppress(ProcessLookupError):
            process.process.kill()

    def _give_up(self, process: _Process) -> None:
        if self._process is process:
            self._process, self.running = None, False

    async def _discard(self, process: _Process) -> None:
        """Kill a process and wait for its end. Its reader then fails every waiting call."""
        with suppress(ProcessLookupError):
            process.process.kill()
        await process.process.wait()
        self._give_up(process)

    async def _call(self, op: str, body: bytes, *, timeout_s: float | None = None, **fields: Any) -> Reply:
        process = self._process
        if process is None:
            raise SolverFailed("the solver process is not running", code="solver_lost")
        request = Request(id=process.next_id, op=op, body=body, **fields)
        process.next_id += 1
        call = _Call(op, timeout_s or self._timeout_s, asyncio.get_running_loop().create_future())
        process.waiting[request.id] = call
        if len(process.waiting) == 1:
            self._watch(process)
        data = _encode(request)
        with suppress(ConnectionError):  # the reader gets the same error and fails the call
            process.writer.write(len(data).to_bytes(4, "little") + data)
            await process.writer.drain()
        reply = await call.reply
        if reply.refused is not None:
            code, message, where = reply.refused
            raise Refused(message, code=code, field=where)
        if reply.failed is not None:
            raise SolverFailed(reply.failed)
        return reply

    async def _make(self, op: str, body: bytes, session: str, epoch: int) -> Advance:
        """Build or restore a world. Starts the process if it does not run."""
        self.sessions.add(session)
        await self.start()
        if self._closed:
            raise SolverFailed("the solver pool is closed")
        process = self._process
        reply = await self._call(op, body, session=session, number=epoch)
        if process is not None:
            process.worlds.add(session)
        return _decode_advance(reply.body)

    async def _ask(self, op: str, session: str, body: bytes = b"", number: int = 0) -> Reply:
        """Send a request about a world of this process. Raises SolverFailed (``solver_lost``) if it was lost."""
        if self._process is None or session not in self._process.worlds:
            raise SolverFailed("the solver process died", code="solver_lost")
        return await self._call(op, body, session=session, number=number)

    async def open_world(self, spec: SessionSpec, *, epoch: int) -> Advance:
        """Build a session's world and run it to its first turn. Raises Refused or SolverFailed."""
        return await self._make("open", _encode(spec), spec.session, epoch)

    async def restore_world(self, spec: SessionSpec, checkpoint: bytes, *, epoch: int) -> Advance:
        """Restore a session's world from a checkpoint. Returns its state, with no tick run."""
        return await self._make("restore", _encode((spec, checkpoint)), spec.session, epoch)

    async def step_world(self, session: str, inputs: list[Input], ticks: int) -> tuple[Advance, float]:
        """Run up to ``ticks`` ticks. Also returns the time that the process took [s]."""
        reply = await self._ask("advance", session, _encode(inputs), ticks)
        return _decode_advance(reply.body), reply.seconds

    async def look_at_world(self, session: str) -> Advance:
        """The present state of the world, with frame and topology. No tick runs."""
        return _decode_advance((await self._ask("look", session)).body)

    async def checkpoint_world(self, session: str, *, check_contact: bool) -> WorldCheckpoint:
        """The exact state of the world, with the result of a contact check if asked for."""
        reply = await self._ask("checkpoint", session, number=int(check_contact))
        tick, data, contact_ok, report = msgspec.msgpack.decode(
            reply.body, type=tuple[int, bytes, bool | None, str]
        )
        return WorldCheckpoint(tick, data, contact_ok, report)

    async def drop_world(self, session: str) -> None:
        """Drop a session's world. Nothing happens if the process has died."""
        self.sessions.discard(session)
        if self._process is not None and session in self._process.worlds:
            self._process.worlds.discard(session)
            with suppress(SolverFailed, ClientError):
                await self._call("forget", b"", session=session)

    @property
    def pid(self) -> int | None:
        return self._process.process.pid if self._process else None

    async def close(self) -> None:
        """End the process: it exits at the end of its input, or is killed after two seconds."""
        self._closed = True
        process, reading = self._process, self._reading
        if process is not None:
            process.writer.close()
            try:
                async with asyncio.timeout(2.0):
                    await process.process.wait()
            except TimeoutError:
                await self._discard(process)
        if reading is not None:
            await asyncio.wait([reading])


class Pool:
    """All solver processes of a server."""

    def __init__(self, count: int, *, timeout_s: float = 30.0) -> None:
        self.solvers = [Solver(index, timeout_s) for index in range(count)]
        self._starting: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all processes; return when the first is ready. Raises SolverFailed when none can start."""
        self._starting = [
            asyncio.create_task(solver.start(), name=f"solver-{solver.index}-start")
            for solver in self.solvers
        ]
        for started in asyncio.as_completed(self._starting):
            try:
                await started
            except SolverFailed as error:
                log.error("solver_not_started", error=error.message)
            else:
                return
        raise SolverFailed("no solver process could start")

    def place(self) -> Solver:
        """The solver for a new world: a running one, and of these the one with the fewest sessions."""
        return min(self.solvers, key=lambda solver: (not solver.running, len(solver.sessions), solver.index))

    async def close(self) -> None:
        for starting in self._starting:
            starting.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await _gather([solver.close for solver in self.solvers])


async def _gather(calls: list[Callable[[], Awaitable[None]]]) -> None:
    async def await_one(call: Callable[[], Awaitable[None]]) -> None:
        await call()

    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(await_one(call))
