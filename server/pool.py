"""The solver processes of one server, and the calls to them.

    session -> Pool.place -> Worlds (one solver process) <- socketpair, length-prefixed msgpack -> solver_process

Each process steps many sessions in turn on one thread, so that the event loop never computes and every step is
bit-identical. Calls to one process are answered in order. A process that dies or does not answer in time fails the
calls that wait for it with SolverFailed and is replaced; what its worlds were, the holders know.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lobby.errors import ClientError, Refused, SolverFailed
from lobby.logs import get_logger
from server.simulation import Advance, Input, SessionSpec
from server.solver_process import MAX_FRAME, Reply, Request

__all__ = ["Checkpoint", "Pool", "Solver"]

log = get_logger("server.pool")

_encode = msgspec.msgpack.Encoder().encode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode
_decode_advance = msgspec.msgpack.Decoder(Advance).decode

START_TIMEOUT_S = 600.0
"""A cold start compiles the kernels, one process after the other; nothing else takes this long."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The exact state at a tick, and what ipctk found in it (None: not asked)."""

    tick: int
    data: bytes
    proof_holds: bool | None
    proof: str


@dataclass(slots=True)
class _Process:
    """One running solver process and the replies it owes, oldest first."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    waiting: dict[int, asyncio.Future[Reply]] = field(default_factory=dict)
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
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            one_thread = dict.fromkeys(
                ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
            )
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "server.solver_process", str(theirs.fileno()),
                pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL, env={**os.environ, **one_thread},
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_FRAME)
        self._process = _Process(process, reader, writer)
        self._reading = asyncio.create_task(self._read(self._process), name=f"solver-{self.index}")
        try:
            await self._call("ready", b"", timeout_s=START_TIMEOUT_S)
        except SolverFailed:
            await self._discard(self._process)
            raise
        self.running = True
        log.debug("solver_started", solver=self.index, pid=process.pid)

    async def _read(self, process: _Process) -> None:
        try:
            while True:
                head = await process.reader.readexactly(4)
                reply = _decode_reply(await process.reader.readexactly(int.from_bytes(head, "little")))
                future = process.waiting.pop(reply.id, None)
                if future is not None and not future.done():
                    future.set_result(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            if not self._closed:
                log.error("solver_died", solver=self.index, pid=process.process.pid)
        finally:
            for future in process.waiting.values():
                if not future.done():
                    future.set_exception(SolverFailed("the solver process died"))
            process.waiting.clear()
            if self._process is process:
                self._process, self.running = None, False
            process.writer.close()

    async def _discard(self, process: _Process) -> None:
        """Kill a process that hangs; its reader then fails every waiting call."""
        with suppress(ProcessLookupError):
            process.process.kill()
        await process.process.wait()
        if self._process is process:
            self._process, self.running = None, False

    async def _call(self, op: str, body: bytes, *, timeout_s: float | None = None, **fields: Any) -> Reply:
        process = self._process
        if process is None:
            raise SolverFailed("the solver process is not running")
        request = Request(id=process.next_id, op=op, body=body, **fields)
        process.next_id += 1
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        process.waiting[request.id] = future
        data = _encode(request)
        try:
            async with asyncio.timeout(timeout_s or self._timeout_s):
                process.writer.write(len(data).to_bytes(4, "little") + data)
                await process.writer.drain()
                reply = await future
        except TimeoutError:
            log.error("solver_hung", solver=self.index, op=op, pid=process.process.pid)
            await self._discard(process)
            raise SolverFailed(f"the solver did not answer {op} in time") from None
        except ConnectionError:
            raise SolverFailed("the solver process died") from None
        finally:
            process.waiting.pop(request.id, None)
        if reply.refused is not None:
            code, message, where = reply.refused
            raise Refused(message, code=code, field=where)
        if reply.failed is not None:
            raise SolverFailed(reply.failed)
        return reply

    async def _ask(self, op: str, body: bytes = b"", **fields: Any) -> Reply:
        await self.start()
        return await self._call(op, body, **fields)

    async def open(self, spec: SessionSpec, *, epoch: int) -> Advance:
        """Build a session's world and run it to its first turn. Raises Refused or SolverFailed."""
        self.sessions.add(spec.session)
        return _decode_advance(
            (await self._ask("open", _encode(spec), session=spec.session, number=epoch)).body
        )

    async def restore(self, spec: SessionSpec, checkpoint: bytes, *, epoch: int) -> Advance:
        """Build a session's world from a checkpoint; the answer is its look, with no tick run."""
        self.sessions.add(spec.session)
        body = _encode((spec, checkpoint))
        return _decode_advance((await self._ask("restore", body, session=spec.session, number=epoch)).body)

    async def advance(self, session: str, inputs: list[Input], ticks: int) -> tuple[Advance, float]:
        """Run up to ``ticks`` ticks; also the seconds that the process spent on it."""
        reply = await self._ask("advance", _encode(inputs), session=session, number=ticks)
        return _decode_advance(reply.body), reply.seconds

    async def look(self, session: str) -> Advance:
        """Where the world stands, with frame and topology; nothing runs."""
        return _decode_advance((await self._ask("look", session=session)).body)

    async def checkpoint(self, session: str, *, prove: bool) -> Checkpoint:
        reply = await self._ask("checkpoint", b"", session=session, number=int(prove))
        tick, data, holds, proof = msgspec.msgpack.decode(
            reply.body, type=tuple[int, bytes, bool | None, str]
        )
        return Checkpoint(tick, data, holds, proof)

    async def forget(self, session: str) -> None:
        """Drop a session's world; a dead process has forgotten already."""
        self.sessions.discard(session)
        if self._process is not None:
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
