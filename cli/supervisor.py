"""Child processes under one parent: started in order, stopped in reverse, none restarted in silence.

    async with Supervisor(log_dir) as supervisor:
        await supervisor.start("server", [...])
        await supervisor.first_death()        # or anything else; leaving the block stops all, newest first

Each child leads a process group and writes to its own log file. A child that dies raises ``ChildDied`` with
its last lines. A supervisor that is itself killed leaves nothing behind: cli/guard.py sees to that. This
module knows nothing of what the children do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Child", "ChildDied", "Supervisor"]

LAST_LINES = 12


class ChildDied(Exception):
    """A child ended that should not have. ``last_lines``: of its log."""

    def __init__(self, child: Child, code: int) -> None:
        self.child = child
        self.code = code
        how = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
        super().__init__(f"{child.name} ended unexpectedly with {how}")
        self.last_lines = child.last_lines()


@dataclass(slots=True, eq=False)
class Child:
    """One child process. ``expected``: it may end by itself."""

    name: str
    process: asyncio.subprocess.Process
    log_path: Path
    grace_s: float
    expected: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid

    def last_lines(self, count: int = LAST_LINES) -> list[str]:
        """The end of its log."""
        try:
            with self.log_path.open("rb") as file:
                file.seek(max(0, self.log_path.stat().st_size - 65536))
                return file.read().decode(errors="replace").splitlines()[-count:]
        except OSError:
            return []


class Supervisor:
    """Obliges the caller to use it as an async context; leaving it stops every child."""

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
    ) -> Child:
        """Start a child that writes to ``log_dir/NAME.log``, which is truncated first.

        ``stop_last``: stop this child after those that were started before it. Raises OSError if it cannot run.
        """
        log_path = self.log_dir / f"{name}.log"
        with log_path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
            )
        child = Child(name, process, log_path, grace_s, expected)
        self.children.insert(0 if stop_last else len(self.children), child)
        self._started.set()
        self._tell(f"{'_' if stop_last else '+'}{process.pid}")
        return child

    async def first_death(self) -> None:
        """Wait until a child ends, those that are started meanwhile included. Raises ChildDied; returns if
        the child was ``expected`` to end, with code 0."""
        while True:
            self._started.clear()
            waits = {asyncio.ensure_future(child.process.wait()): child for child in self.children}
            starting = asyncio.ensure_future(self._started.wait())
            try:
                await asyncio.wait([*waits, starting], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in (*waits, starting):
                    wait.cancel()
            for wait, child in waits.items():
                if wait.done() and not wait.cancelled():
                    if wait.result() or not child.expected:
                        raise ChildDied(child, wait.result())
                    return

    async def stop(self) -> None:
        """Stop every child, newest first, each with its own grace; then kill what is left of its group."""
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
        self._tell(f"-{child.pid}")

    def _tell(self, line: str) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError):  # a guard that died guards nothing; the children run on
                self._guard.stdin.write(line + "\n")
                self._guard.stdin.flush()
