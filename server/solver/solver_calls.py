"""One solver process of a server, the worlds in it, and the calls to it.

    DurableWorld -> Solver -> FairQueue -> socketpair, length-prefixed msgpack -> server/solver/process.py

The process steps many sessions in turn on one thread: every step is bit-identical. Calls wait here, in
server/solver/fair_queue.py. The process has one call at a time, or a few that together take at most PIPELINE_S, so that
a session that used little CPU time is served next.

A process first says that it is ready. It answers its calls in order, so it can only hang or die in its oldest call.
That call raises SolverFailed; its timeout counts from when it became the oldest. On a busy machine a process that makes
progress gets PATIENCE times its timeout, as long as the call used less CPU time than the timeout. All other calls, and
calls for a world that was lost with an earlier process, raise SolverFailed with code ``solver_lost``. A new process
replaces the old one, without worlds: the callers restore them. This module must never choose a process for a session.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from tussle.lobby.errors import ClientError, Refused, SolverFailed
from tussle.lobby.logs import get_logger
from tussle.server.recordings.schedule import Stretch
from tussle.server.simulation.simulation import Advance, Input, SessionSpec
from tussle.server.solver.delta_streams import Deltas
from tussle.server.solver.fair_queue import FairQueue
from tussle.server.solver.placement import Slot
from tussle.server.solver.process import MAX_FRAME, READY, Reply, Request
from tussle.server.solver.spawning import Spawned, spawn
from tussle.server.solver.usage import Decayed, UsageTable

__all__ = ["CallMeters", "Solver", "WorldCheckpoint"]

log = get_logger("server.pool")

_encode = msgspec.msgpack.Encoder().encode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode
_decode_advance = msgspec.msgpack.Decoder(Advance).decode
_decode_step = msgspec.msgpack.Decoder(tuple[Advance, list[Stretch], Deltas]).decode

START_TIMEOUT_S = 600.0
"""The first start on a machine compiles the kernels, one process after the other [s]."""

PIPELINE_S = 0.004
"""Expected CPU time of all calls that a process has at once, if there are several [s]. The process then does not
wait for this event loop between short calls."""

PIPELINE_CALLS = 4
"""Calls that a process has at once, at most."""

BUILD_S = 0.05
"""Expected CPU time of building a world [s]."""

CHECKPOINT_S = 0.005
"""Expected CPU time of a checkpoint [s]."""

HEAVY_NICE = 5
"""Nice value that a heavy process adds to its own: the operating system gives it a third of the time that a light
process gets, and lets a light one with work run before it."""

PATIENCE, PROGRESS = 6, 0.01
"""How many times its timeout a call may take while its process makes progress, and the share of a core that counts as
progress."""

BEGINNING = "beginning"
"""The place in the queue of the calls with which sessions begin. No session has such a token."""

BACKGROUND = "scenes"
"""The name under which calls without a world wait and are charged; no session has it."""


class CallMeters(Protocol):
    """The counter of a solver's calls. server/metrics/solver_meters.py implements it."""

    def waited(self, seconds: float) -> None:
        """A call waited for this time until its process got it."""


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
    """A call that waits for its reply. ``request``: its fields, without the id. ``expected_s``: CPU time that it will
    take."""

    op: str
    timeout_s: float
    reply: asyncio.Future[Reply]
    request: dict[str, Any]
    expected_s: float
    since: float

    @property
    def session(self) -> str:
        return str(self.request.get("session", ""))


@dataclass(slots=True)
class _Process:
    """One running solver process, the calls that it has, oldest first, the calls that wait, and its worlds."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    waiting: dict[int, _Call] = field(default_factory=dict)
    queue: FairQueue[_Call] = field(default_factory=FairQueue)
    worlds: set[str] = field(default_factory=set)
    patience: asyncio.TimerHandle | None = None
    spent_s: float = 0.0
    next_id: int = 1


class Solver:
    """One slot of the pool. When its process dies, the next ``open_world`` or ``restore_world`` starts another one."""

    def __init__(
        self,
        index: int,
        timeout_s: float,
        *,
        heavy: bool = False,
        usage: UsageTable | None = None,
        meters: CallMeters | None = None,
        archive_url: str = "",
        first: Spawned | None = None,
    ) -> None:
        """first: a process that was spawned before, which is used for the first start."""
        self.index = index
        self._first = first
        self._archive_url = archive_url
        self.heavy = heavy
        self.sessions: set[str] = set()
        self._owners: dict[str, str] = {}
        self._busy = Decayed()
        self._timeout_s = timeout_s
        self._usage = UsageTable() if usage is None else usage
        self._meters = meters
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
        spawned, self._first = self._first, None
        if spawned is None:
            spawned = await spawn(HEAVY_NICE if self.heavy else 0, self._archive_url)
        process = spawned.process
        reader, writer = await asyncio.open_connection(sock=spawned.connection, limit=MAX_FRAME)
        started = _Process(process, reader, writer)
        ready = _Call("ready", START_TIMEOUT_S, asyncio.get_running_loop().create_future(), {}, 0.0, 0.0)
        started.waiting[READY] = ready
        self._process = started
        self._watch(started)
        self._reading = asyncio.create_task(self._read(started), name=f"solver-{self.index}")
        try:
            _refuse_failure(await ready.reply)
        except SolverFailed as error:
            await self._discard(started)  # the reader may have cleared self._process
            raise SolverFailed(error.message, code="solver_lost") from None  # no world caused it
        self.running = True
        log.debug("solver_started", solver=self.index, pid=process.pid, heavy=self.heavy)

    async def _read(self, process: _Process) -> None:
        try:
            while True:
                head = await process.reader.readexactly(4)
                reply = _decode_reply(await process.reader.readexactly(int.from_bytes(head, "little")))
                call = process.waiting.pop(reply.id)
                self._account(process, call, reply)
                self._send_next(process)
                self._watch(process)
                if not call.reply.done():
                    call.reply.set_result(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            if not self._closed:
                log.error("solver_died", solver=self.index, pid=process.process.pid)
        finally:
            for place, call in enumerate([*process.waiting.values(), *process.queue.drain()]):
                if not call.reply.done():
                    code = "solver_lost" if place else None
                    call.reply.set_exception(SolverFailed("the solver process died", code=code))
            process.waiting.clear()
            self._watch(process)
            self._give_up(process)
            process.writer.close()

    def _account(self, process: _Process, call: _Call, reply: Reply) -> None:
        """Charge a session for the CPU time of its call."""
        now = time.monotonic()
        process.spent_s = reply.spent
        if reply.id != READY:
            process.queue.charge(call.session, reply.cpu)
        self._busy.add(reply.seconds, now)
        if call.session:
            self._usage.get(call.session, now).cpu.add(reply.cpu, now)

    def _send_next(self, process: _Process) -> None:
        """Send the process its next calls."""
        while (call := process.queue.first()) is not None:
            expected_s = call.expected_s + sum(sent.expected_s for sent in process.waiting.values())
            if process.waiting and (expected_s > PIPELINE_S or len(process.waiting) >= PIPELINE_CALLS):
                return
            process.queue.take()
            if call.reply.cancelled():
                process.queue.charge(call.session, 0.0)
                continue
            request = Request(id=process.next_id, op=call.op, **call.request)
            process.next_id += 1
            process.waiting[request.id] = call
            if self._meters is not None:
                self._meters.waited(time.monotonic() - call.since)
            data = _encode(request)
            with suppress(ConnectionError):  # the reader gets the same error and fails the call
                process.writer.write(len(data).to_bytes(4, "little") + data)

    def _watch(self, process: _Process) -> None:
        """Start the timeout of the call that is now the oldest."""
        if process.patience is not None:
            process.patience.cancel()
            process.patience = None
        oldest = next(iter(process.waiting.values()), None)
        if oldest is not None:
            process.patience = asyncio.get_running_loop().call_later(
                oldest.timeout_s, self._timed_out, process, oldest, 0.0, 1
            )

    def _timed_out(self, process: _Process, oldest: _Call, before_s: float, times: int) -> None:
        """Kill a process whose oldest call is over its timeout, unless it makes progress: another program may have the
        cores. ``before_s``: CPU time of the call when this was checked before."""
        spent_s = _cpu_time(process.process.pid)
        used_s = 0.0 if spent_s is None else spent_s - process.spent_s
        timeout_s = oldest.timeout_s
        if times < PATIENCE and used_s < timeout_s and used_s - before_s > PROGRESS * timeout_s:
            log.warning("solver_slow", solver=self.index, op=oldest.op, cpu_s=round(used_s, 3))
            process.patience = asyncio.get_running_loop().call_later(
                timeout_s, self._timed_out, process, oldest, used_s, times + 1
            )
        else:
            self._hung(process, oldest)

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

    async def _call(
        self, op: str, body: bytes, *, timeout_s: float | None = None, expected_s: float = 0.0, place: str = "",
        **fields: Any,
    ) -> Reply:  # fmt: skip
        process = self._process
        if process is None:
            raise SolverFailed("the solver process is not running", code="solver_lost")
        call = _Call(
            op, timeout_s or self._timeout_s, asyncio.get_running_loop().create_future(),
            {"body": body, **fields}, expected_s, time.monotonic(),
        )  # fmt: skip
        owner = self._owners.get(call.session, "")
        process.queue.put(call.session, call, expected_s, owner=owner, place=place)
        idle = not process.waiting
        self._send_next(process)
        if idle:
            self._watch(process)
        return _refuse_failure(await call.reply)

    async def _make(
        self, op: str, body: bytes, session: str, epoch: int, owner: str, *, place: str = ""
    ) -> Advance:
        """Build or restore a world. Starts the process if it does not run."""
        self.sessions.add(session)
        self._owners[session] = owner
        await self.start()
        if self._closed:
            raise SolverFailed("the solver pool is closed")
        process = self._process
        try:
            reply = await self._call(op, body, expected_s=BUILD_S, place=place, session=session, number=epoch)
        except asyncio.CancelledError:
            if process is not None:
                process.worlds.add(session)  # it may be built yet: ``drop_world`` makes the process forget it
            raise
        if process is not None:
            process.worlds.add(session)
        return _decode_advance(reply.body)

    async def _ask(
        self,
        op: str,
        session: str,
        body: bytes = b"",
        number: int = 0,
        expected_s: float = 0.0,
        **fields: Any,
    ) -> Reply:
        """Send a request about a world of this process. Raises SolverFailed (``solver_lost``) if it was lost."""
        if self._process is None or session not in self._process.worlds:
            raise SolverFailed("the solver process died", code="solver_lost")
        return await self._call(op, body, expected_s=expected_s, session=session, number=number, **fields)

    async def open_world(self, spec: SessionSpec, *, epoch: int, owner: str = "") -> Advance:
        """Build a session's world and run it to its first turn. All sessions that begin share one place in the queue:
        together they get what one owner gets. ``owner``: see restore_world. Raises Refused or SolverFailed."""
        return await self._make("open", _encode(spec), spec.session, epoch, owner, place=BEGINNING)

    async def begin_world(
        self, spec: SessionSpec, state: bytes, *, epoch: int, owner: str = "", name: str = ""
    ) -> Advance:
        """Build the world of a fork from its first state. Raises Refused or SolverFailed. ``owner``, ``name``: see
        restore_world."""
        named = name or spec.session
        return await self._make("begin", _encode((spec, state)), named, epoch, owner, place=BEGINNING)

    async def restore_world(
        self, spec: SessionSpec, checkpoint: bytes, *, epoch: int, owner: str = "", name: str = ""
    ) -> Advance:
        """Restore a session's world from a checkpoint. Returns its state, with no tick run. ``owner``: whose sessions
        together get what one session of another owner gets; '': the session shares with nobody. ``name``: of the
        world in all other calls, if it is a copy beside the session's own."""
        return await self._make("restore", _encode((spec, checkpoint)), name or spec.session, epoch, owner)

    async def step_world(
        self, session: str, inputs: list[Input], ticks: int, *, deltas: int = 0, error_m: float = 1e-4
    ) -> tuple[Advance, float, list[Stretch], Deltas]:
        """Run up to ``ticks`` ticks. Also returns the time that the process took [s], the stretches of the advance if
        it passed a tick that is recorded, and the frames of the streams ``deltas`` (server/solver/delta_streams.py)."""
        usage = self._usage.get(session, time.monotonic())
        reply = await self._ask(
            "advance", session, _encode(inputs), ticks, usage.expect(ticks), deltas=deltas, error_m=error_m
        )
        advance, stretches, shown = _decode_step(reply.body)
        usage.add_ticks(advance.ticks_run, reply.cpu, time.monotonic())
        return advance, reply.seconds, stretches, shown

    async def look_at_world(self, session: str) -> Advance:
        """The present state of the world, with frame and topology. No tick runs."""
        return _decode_advance((await self._ask("look", session)).body)

    async def checkpoint_world(self, session: str, *, check_contact: bool) -> WorldCheckpoint:
        """The exact state of the world, with the result of a contact check if asked for."""
        reply = await self._ask("checkpoint", session, number=int(check_contact), expected_s=CHECKPOINT_S)
        tick, data, contact_ok, report = msgspec.msgpack.decode(
            reply.body, type=tuple[int, bytes, bool | None, str]
        )
        return WorldCheckpoint(tick, data, contact_ok, report)

    async def release_world(self, session: str) -> tuple[bytes, bytes]:
        """The hash of the world's state, and the state bound to no session, for a fork."""
        reply = await self._ask("release", session, expected_s=CHECKPOINT_S)
        return msgspec.msgpack.decode(reply.body, type=tuple[bytes, bytes])

    async def ask_about(self, op: str, body: bytes) -> bytes:
        """Ask what needs no world. All such calls share one place in the queue, so that together they get what one
        session gets. Raises Refused or SolverFailed."""
        await self.start()
        return (await self._call(op, body, expected_s=BUILD_S, session=BACKGROUND)).body

    async def drop_world(self, session: str) -> None:
        """Drop a session's world. Nothing happens if the process has died."""
        self.sessions.discard(session)
        if self._process is not None and session in self._process.worlds:
            self._process.worlds.discard(session)
            with suppress(SolverFailed, ClientError):
                await self._call("forget", b"", session=session)
            if self._process is not None:
                self._process.queue.forget(session)
        self._owners.pop(session, None)

    def slot(self, now: float) -> Slot:
        """This process as placement sees it."""
        load = sum(self._usage.load(session, now) for session in self.sessions)
        return Slot(self.index, self.heavy, self.running, load, len(self.sessions))

    @property
    def queue_length(self) -> int:
        """The number of calls that wait for the process."""
        return len(self._process.queue) if self._process else 0

    def busy(self) -> float:
        """The share of the last seconds in which the process computed."""
        return min(1.0, self._busy.read(time.monotonic()))

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


def _refuse_failure(reply: Reply) -> Reply:
    """Return a reply that is no failure. Raises Refused or SolverFailed."""
    if reply.refused is not None:
        code, message, where = reply.refused
        raise Refused(message, code=code, field=where)
    if reply.failed is not None:
        raise SolverFailed(reply.failed)
    return reply


def _cpu_time(pid: int) -> float | None:
    """CPU time of a process so far [s]; None where the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
