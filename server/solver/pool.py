"""The solver processes of one server, and the calls to them.

    session -> Pool.place -> Worlds (one solver process) <- socketpair, length-prefixed msgpack -> solver_process

Each process steps many sessions in turn on one thread, so that the event loop never computes and every step is
bit-identical. Calls to one process are answered in order, so only the oldest can be what a process hangs or dies in:
it fails with SolverFailed, and its time runs from when it became the oldest. The others, and worlds that went with an
earlier process, fail with SolverFailed ``solver_lost``: that was not their doing. The process is replaced; what its
worlds were, the holders know.
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
"""A cold start compiles the kernels, one process after the other; nothing else takes this long."""


@dataclass(frozen=True, slots=True)
class WorldCheckpoint:
    """The exact state at a tick, and what ipctk found in it (None: not asked)."""

    tick: int
    data: bytes
    proof_holds: bool | None
    proof: str


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that waits for its reply."""

    op: str
    timeout_s: float
    reply: asyncio.Future[Reply]


@dataclass(slots=True)
class _Process:
    """One running solver process, the replies it owes, oldest first, and the worlds that it has."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    waiting: dict[int, _Call] = field(default_factory=dict)
    worlds: set[str] = field(default_factory=set)
    patience: asyncio.TimerHandle | None = None
    next_id: int = 1


class Solver:
    """One place in the pool. Survives the death of its process: the next call meets a fresh one, without worlds."""

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
            raise SolverFailed(error.message, code="solver_lost") from None  # no world had a part in it
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
        """Give the call that is the oldest from now on its time."""
        if process.patience is not None:
            process.patience.cancel()
            process.patience = None
        oldest = next(iter(process.waiting.values()), None)
        if oldest is not None:
            process.patience = asyncio.get_running_loop().call_later(
                oldest.timeout_s, self._hung, process, oldest
            )

    def _hung(self, process: _Process, oldest: _Call) -> None:
        """Kill a process that hangs in a call; its reader then fails those behind it."""
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
        """Kill a process and wait until it is gone; its reader then fails every waiting call."""
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
        with suppress(ConnectionError):  # the reader meets it too, and answers
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
        """Have a world made, in a new process if need be."""
        self.sessions.add(session)
        await self.start()
        if self._closed:
            raise SolverFailed("the solver processes are being ended")
        process = self._process
        reply = await self._call(op, body, session=session, number=epoch)
        if process is not None:
            process.worlds.add(session)
        return _decode_advance(reply.body)

    async def _ask(self, op: str, session: str, body: bytes = b"", number: int = 0) -> Reply:
        """Ask for something of a world that is there."""
        if self._process is None or session not in self._process.worlds:
            raise SolverFailed("the solver process died", code="solver_lost")
        return await self._call(op, body, session=session, number=number)

    async def open_world(self, spec: SessionSpec, *, epoch: int) -> Advance:
        """Build a session's world and run it to its first turn. Raises Refused or SolverFailed."""
        return await self._make("open", _encode(spec), spec.session, epoch)

    async def restore_world(self, spec: SessionSpec, checkpoint: bytes, *, epoch: int) -> Advance:
        """Build a session's world from a checkpoint; the answer is its look, with no tick run."""
        return await self._make("restore", _encode((spec, checkpoint)), spec.session, epoch)

    async def step_world(self, session: str, inputs: list[Input], ticks: int) -> tuple[Advance, float]:
        """Run up to ``ticks`` ticks; also the seconds that the process spent on it."""
        reply = await self._ask("advance", session, _encode(inputs), ticks)
        return _decode_advance(reply.body), reply.seconds

    async def look_at_world(self, session: str) -> Advance:
        """Where the world stands, with frame and topology; nothing runs."""
        return _decode_advance((await self._ask("look", session)).body)

    async def checkpoint_world(self, session: str, *, prove: bool) -> WorldCheckpoint:
        reply = await self._ask("checkpoint", session, number=int(prove))
        tick, data, holds, proof = msgspec.msgpack.decode(
            reply.body, type=tuple[int, bytes, bool | None, str]
        )
        return WorldCheckpoint(tick, data, holds, proof)

    async def drop_world(self, session: str) -> None:
        """Drop a session's world; a dead process has forgotten already."""
        self.sessions.discard(session)
        if self._process is not None and session in self._process.worlds:
            self._process.worlds.discard(session)
            with suppress(SolverFailed, ClientError):
                await self._call("forget", b"", session=session)

    @property
    def pid(self) -> int | None:
        return self._process.process.pid if self._process else None

    async def close(self) -> None:
        """End the process: it leaves at the end of its input, or is killed after two seconds."""
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
    """All solver processes of a server. ``place`` gives the one with the fewest sessions."""

    def __init__(self, count: int, *, timeout_s: float = 30.0) -> None:
        self.solvers = [Solver(index, timeout_s) for index in range(count)]
        self._starting: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all at once; on return the first can work, the others follow. Raises SolverFailed when none can."""
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
        """A running one rather than one that still starts or has died."""
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
