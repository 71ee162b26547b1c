"""Child processes under one parent: started in order, restarted when they die, stopped in reverse order.

    async with Supervisor(log_dir) as supervisor:
        await supervisor.start("server", [...])
        await supervisor.watch(report)        # restarts what dies; leaving the block stops all, newest first

Each child leads a process group and appends to its own log file. A child that dies is restarted after a back-off. One
that dies too often in a short time is given up: if it is essential, ``ChildDied`` is raised with its last lines; if
not, that is reported, and the others run on. If the supervisor itself is killed, cli/guard.py stops the children. This
module must never depend on what the children do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tussle.lobby.launch import child_environment

__all__ = ["LOG_BYTES", "Child", "ChildDied", "RestartPolicy", "Supervisor", "rotate"]

LAST_LINES = 12

LOG_BYTES = 16 * 2**20
"""A longer log file is emptied after its last LOG_BYTES were copied to NAME.log.1. One older file is kept, so the logs
of a child take at most twice LOG_BYTES plus what it writes within LOG_CHECK_S."""

LOG_CHECK_S = 1.0

COPIED = 2**20
"""Bytes of a log that are copied at once."""

CANNOT_RUN = 2
"""Exit code of a program that cannot run with its settings or arguments: a restart would not help."""


class ChildDied(Exception):
    """A child ended unexpectedly. ``last_lines`` are the end of its log."""

    def __init__(self, child: Child, code: int) -> None:
        self.child = child
        self.code = code
        how = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
        super().__init__(f"{child.name} ended unexpectedly with {how}")
        self.last_lines = child.last_lines()


class _Ended(Exception):
    """An expected child ended by itself with exit code 0."""


@dataclass(slots=True)
class RestartPolicy:
    """When a child that died is started again. Sans-I/O: times are arguments, in seconds of one monotonic clock.

    The delay doubles with each death, from ``first_s`` to ``longest_s``. After ``calm_s`` without a death it begins at
    ``first_s`` again. A child that dies ``most`` times without such a calm period is given up.
    """

    first_s: float = 0.5
    longest_s: float = 30.0
    calm_s: float = 60.0
    most: int = 6
    deaths: int = 0
    _last: float = field(default=float("-inf"), repr=False)

    def died(self, now: float) -> float | None:
        """Count a death. Returns the delay until the restart [s], or None when the child is given up."""
        if now - self._last > self.calm_s:
            self.deaths = 0
        self.deaths += 1
        self._last = now
        if self.deaths >= self.most:
            return None
        return float(min(self.longest_s, self.first_s * 2 ** (self.deaths - 1)))


@dataclass(slots=True, eq=False)
class Child:
    """One child process. ``expected``: the child may end by itself with exit code 0. ``essential``: the others are of
    no use without it."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    process: asyncio.subprocess.Process
    log_path: Path
    grace_s: float
    expected: bool = False
    stop_last: bool = False
    essential: bool = True
    policy: RestartPolicy = field(default_factory=RestartPolicy)

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its process group."""
        return self.process.pid

    def last_lines(self, count: int = LAST_LINES) -> list[str]:
        """The last lines of its log."""
        try:
            with self.log_path.open("rb") as file:
                file.seek(max(0, self.log_path.stat().st_size - 65536))
                return file.read().decode(errors="replace").splitlines()[-count:]
        except OSError:
            return []


Report = Callable[[ChildDied, float | None], None]
"""Called with each death and the delay until the restart [s], or None if the child is given up."""


class Supervisor:
    """Use it as an async context manager: leaving the block stops every child."""

    def __init__(self, log_dir: Path) -> None:
        self.log_dir = log_dir
        self.children: list[Child] = []
        self._started = asyncio.Event()
        self._guard: subprocess.Popen[str] | None = None

    async def __aenter__(self) -> Self:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self._guard = subprocess.Popen(  # noqa: ASYNC220 - it starts in a millisecond and is never waited for here
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        finally:
            if self._guard is not None and self._guard.stdin is not None:
                self._guard.stdin.close()
                await asyncio.to_thread(self._guard.wait)

    async def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        grace_s: float = 12.0,
        expected: bool = False,
        stop_last: bool = False,
        essential: bool = True,
        policy: RestartPolicy | None = None,
    ) -> Child:
        """Start a child that writes to ``log_dir/NAME.log``, which is emptied first.

        ``stop_last``: stop this child after those that were started before it. ``essential``: giving it up ends
        ``watch``. Raises OSError if it cannot run.
        """
        log_path = self.log_dir / f"{name}.log"
        log_path.unlink(missing_ok=True)
        process = await self._spawn(command, environ or {}, log_path)
        child = Child(
            name, tuple(command), dict(environ or {}), process, log_path, grace_s, expected, stop_last,
            essential, policy or RestartPolicy(),
        )  # fmt: skip
        self.children.insert(0 if stop_last else len(self.children), child)
        self._started.set()
        self._inform_guard(f"{'_' if stop_last else '+'}{process.pid}")
        return child

    @staticmethod
    async def _spawn(
        command: Sequence[str], environ: Mapping[str, str], log_path: Path
    ) -> asyncio.subprocess.Process:
        with log_path.open("ab") as log:  # append: _rotate may truncate the file while the child writes
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**child_environment(), **environ},
                start_new_session=True,
            )

    async def watch(self, report: Report) -> None:
        """Restart each child that dies, and keep the log files short.

        Returns when an ``expected`` child ended with exit code 0. A child whose policy gives it up, that exits with
        CANNOT_RUN, or that cannot be started again is given up: raises ChildDied, or OSError, if it is essential;
        otherwise reports it with the delay None, and forgets it.
        """
        watched: set[str] = set()
        with contextlib.suppress(_Ended):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._rotate_logs(), name="rotate-logs")
                    while True:
                        self._started.clear()
                        for child in self.children:
                            if child.name not in watched:
                                watched.add(child.name)
                                group.create_task(self._keep(child, report), name=child.name)
                        await self._started.wait()
            except* (ChildDied, _Ended, OSError) as errors:
                raise errors.exceptions[0] from None

    async def _keep(self, child: Child, report: Report) -> None:
        """Restart one child whenever it ends, until it is given up. Raises ChildDied, OSError or _Ended."""
        while True:
            code = await child.process.wait()
            if code == 0 and child.expected:
                raise _Ended
            death = ChildDied(child, code)
            delay_s = child.policy.died(asyncio.get_running_loop().time())
            if delay_s is None or code == CANNOT_RUN:
                if child.essential:
                    raise death
                return self._give_up(death, report)
            report(death, delay_s)
            try:
                await self._restart(child, delay_s)
            except OSError:
                if child.essential:
                    raise
                return self._give_up(death, report)

    def _give_up(self, death: ChildDied, report: Report) -> None:
        """Forget a child: its process id may soon be that of another process."""
        self._end_group(death.child)
        self.children.remove(death.child)
        report(death, None)

    def _end_group(self, child: Child) -> None:
        """Kill what is left of the process group of a child that ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        self._inform_guard(f"-{child.pid}")

    async def _restart(self, child: Child, delay_s: float) -> None:
        """Kill what is left of the child's process group, wait, and start the child again. Raises OSError."""
        self._end_group(child)
        await asyncio.sleep(delay_s)
        child.process = await self._spawn(child.command, child.environ, child.log_path)
        self._inform_guard(f"{'_' if child.stop_last else '+'}{child.pid}")

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_CHECK_S)
            for child in self.children:
                await asyncio.to_thread(rotate, child.log_path, LOG_BYTES)

    async def stop(self) -> None:
        """Stop every child, newest first, each within its grace time, then kill the rest of its process group."""
        while self.children:
            child = self.children[-1]
            await self._stop_child(child)
            self.children.pop()

    async def _stop_child(self, child: Child) -> None:
        process = child.process
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(child.grace_s):
                    await process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        await process.wait()
        self._inform_guard(f"-{child.pid}")

    def _inform_guard(self, line: str) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError):  # the guard died: the children run on without it
                self._guard.stdin.write(line + "\n")
                self._guard.stdin.flush()


def rotate(path: Path, most_bytes: int) -> bool:
    """Move the last ``most_bytes`` of a log file that is longer to ``path.1``, and empty it. Returns whether it did.

    The file stays open in its writer, so it is copied and truncated. Lines written between the two are lost.
    """
    try:
        size = path.stat().st_size
        if size <= most_bytes:
            return False
        with path.open("rb") as log, path.with_name(path.name + ".1").open("wb") as older:
            log.seek(size - most_bytes)
            while most_bytes > 0 and (piece := log.read(min(most_bytes, COPIED))):
                older.write(piece)
                most_bytes -= len(piece)
        os.truncate(path, 0)
    except OSError:
        return False
    return True
