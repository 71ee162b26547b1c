"""Starts Tussle as its users run it: a store, and server, worker and bot processes on loopback.

Used by tests/whole and bench/. ``close`` ends every process that was started and raises if one ended badly.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx

from tests.support.fork_server import KERNELS, Forked, ForkServer, Program
from tests.support.http import http_client
from tests.support.paths import ROOT
from tussle import build_db
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import free_port
from tussle.lobby.store.store import Store

START_S = 600.0
"""Long, because a first start compiles the kernels."""

POLL_S = 0.05

INHERITED = ("PATH", "PYTHONPATH", "HOME", "NUMBA_CACHE_DIR", "LANG", "TMPDIR", "COVERAGE_PROCESS_START")


def _processes(*pids: int) -> Iterator[tuple[int, int, str]]:
    """Process id, parent and state of these processes, or of all."""
    if not Path("/proc/self/stat").is_file():
        chosen = ["-p", ",".join(map(str, pids))] if pids else ["-A"]
        listed = subprocess.run(
            ["ps", *chosen, "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=False
        ).stdout
        for line in listed.splitlines():
            child, parent, state = line.split()
            yield int(child), int(parent), state
        return
    for name in map(str, pids or (one.name for one in Path("/proc").iterdir() if one.name.isdigit())):
        with contextlib.suppress(OSError):  # it ends just now
            # pid (the name, which may have any characters) state parent ...
            state, parent, *_ = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            yield int(name), int(parent), state


def children(pid: int) -> list[int]:
    """Return the process ids of all living descendants."""
    parents: dict[int, list[int]] = {}
    for child, parent, state in _processes():
        if not state.startswith("Z"):
            parents.setdefault(parent, []).append(child)
    found, waiting = [], [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def alive(pid: int) -> bool:
    """Whether the process runs. A zombie does not."""
    return any(not state.startswith(("Z", "X")) for _, _, state in _processes(pid))


def handles_sigterm(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM; True where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    if not status.is_file():
        return True
    caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


async def until(there: Callable[[], Any], what: str, ceiling_s: float = 30.0) -> Any:
    """Poll ``there`` and return its first true value. For processes and files, which send no notification.

    Raises AssertionError after ``ceiling_s``. To wait for the store or a socket, read that instead.
    """
    deadline = asyncio.get_running_loop().time() + ceiling_s
    while not (found := there()):
        assert asyncio.get_running_loop().time() < deadline, f"not within {ceiling_s:g} s: {what}"
        await asyncio.sleep(POLL_S)
    return found


@dataclass(slots=True)
class Process:
    """A process of Tussle. ``output`` is its log so far."""

    name: str
    process: asyncio.subprocess.Process | Forked
    log: Path
    url: str = ""

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return all lines of the log, parsed. Raises ValueError for a line that is not JSON."""
        return [json.loads(line) for line in self.output.splitlines()]

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return the complete log lines of an event, parsed."""
        found = []
        for line in self.output.splitlines():
            with contextlib.suppress(ValueError):
                parsed = json.loads(line)
                if isinstance(parsed, dict) and parsed.get("event") == event:
                    found.append(parsed)
        return found

    async def logged(self, event: str, ceiling_s: float = 30.0) -> None:
        """Wait until the log has ``event``. Raises AssertionError if the process ends first, or after ``ceiling_s``."""
        await until(lambda: event in self.output or not self.running, f"{event} of {self.name}", ceiling_s)
        assert event in self.output, f"{self.name} ended without {event}; its log:\n{self.output[-4000:]}"

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def handles(self) -> None:
        """Wait until the process handles SIGTERM, or ends."""
        await until(
            lambda: not self.running or handles_sigterm(self.pid), f"a handler in {self.name}", START_S
        )

    async def end(self, timeout_s: float = 30.0) -> int:
        """Wait until the process handles SIGTERM, send it, and return the exit code.

        A process that still imports has no handler, and the signal would end it with -15. Raises TimeoutError, after
        SIGKILL, when the process does not end.
        """
        await self.handles()
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        return await self.wait(timeout_s)

    async def wait(self, timeout_s: float) -> int:
        try:
            async with asyncio.timeout(timeout_s):
                return await self.process.wait()
        except TimeoutError:
            await self.kill()
            raise TimeoutError(f"{self.name} did not end; its log:\n{self.output[-4000:]}") from None


def _limit_files(count: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (count // 2, count))


@dataclass(slots=True)
class Stack:
    """The processes of one realm: ``async with Stack.up(url, realm, SIM_SPEED="0") as stack: await stack.server()``."""

    store_url: str
    realm: str
    environment: dict[str, str]
    folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="tussle-")
    )
    processes: list[Process] = field(default_factory=list)
    files: int = 0
    """The limit of open files of processes that are started from now on, of which they have half at first; 0: ours."""
    forks: bool = True
    """Whether modules are forked by ``fork_server`` where they can be; else each is a new Python."""

    fork_server: ClassVar[ForkServer | None] = None
    """Set while tests run (tests/conftest.py)."""

    @classmethod
    def up(cls, store_url: str, realm: str, **environment: str) -> Self:
        quick = {"LOG_LEVEL": "info", "LOG_FORMAT": "json", "SOLVERS": "1", "BOT_THINK_S": "0"}
        quick["OPEN_RATE"] = "1000"  # all clients of a test have one address
        return cls(store_url, realm, {**quick, **environment})

    async def __aenter__(self) -> Self:
        await self._seed()
        return self

    async def _seed(self) -> None:
        """Fill the catalogue, in this process: starting one more takes a second."""
        if "SSL_CERT_FILE" in self.environment:  # it is read when a process starts
            await self.start("build_db.py", "build_db", wait=True)
            return
        settings = Settings.read({"REDIS_URL": self.store_url, "REALM": self.realm, **self.environment})
        store = await Store.connect(settings.redis_url, settings.realm)
        try:
            await build_db.seed(store, settings)
        finally:
            await store.close()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def data_dir(self) -> Path:
        return Path(self.folder.name) / "data"

    @property
    def servers(self) -> list[Process]:
        return [process for process in self.processes if process.url and process.running]

    @property
    def url(self) -> str:
        return self.servers[0].url

    async def start(
        self, program: str, name: str, *arguments: str, wait: bool = False, **environment: str
    ) -> Process:
        """Start a process: a module (``-m``) or a script of the root."""
        log = Path(self.folder.name) / f"{len(self.processes)}-{name}.log"
        inherited = {key: value for key, value in os.environ.items() if key in INHERITED}
        whole = {
            **KERNELS,
            **inherited,
            "REDIS_URL": self.store_url,
            "REALM": self.realm,
            "DATA_DIR": str(self.data_dir),
            **self.environment,
            **environment,
        }
        with log.open("wb") as output:
            process = await self._process(program, list(arguments), whole, output.fileno())
        started = Process(name, process, log)
        self.processes.append(started)
        if wait:
            code = await started.wait(START_S)
            assert code == 0, started.output
        return started

    async def _process(
        self, program: str, arguments: list[str], environment: dict[str, str], output: int
    ) -> asyncio.subprocess.Process | Forked:
        forks, script = self.fork_server, program.endswith(".py")
        if forks is not None and self.forks and not script and forks.suits(environment):
            return await forks.start(Program(program, arguments, environment, str(ROOT), self.files), output)
        module = ["-P", "-X", "faulthandler", "-m", f"tussle.{program}"]
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *([str(ROOT / program)] if script else module),
            *arguments,
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=partial(_limit_files, self.files) if self.files else None,
            env=environment,
        )

    async def server(self, **environment: str) -> Process:
        """Start a server and wait until it accepts clients."""
        return (await self.more_servers(1, **environment))[0]

    async def more_servers(self, count: int, **environment: str) -> list[Process]:
        """Start servers together and wait until all accept clients."""
        started = []
        for _ in range(count):
            port = free_port()
            server = await self.start("server", "server", PORT=str(port), **environment)
            server.url = f"http://127.0.0.1:{port}"
            started.append(server)
        await asyncio.gather(*(self._ready(server) for server in started))
        return started

    async def again(self, gone: Process) -> Process:
        """Start a server at the address of one that has ended, and wait until it accepts clients."""
        server = await self.start("server", "server", PORT=gone.url.rpartition(":")[2])
        server.url = gone.url
        await self._ready(server)
        return server

    async def _ready(self, server: Process) -> None:
        async with asyncio.timeout(START_S), http_client() as http:
            while True:
                assert server.running, f"the server ended:\n{server.output}"
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get(f"{server.url}/healthz")).status_code == 200:
                        return
                await asyncio.sleep(POLL_S)

    async def worker(self, *arguments: str, **environment: str) -> Process:
        """Start a worker and wait until it handles SIGTERM, which ends a process that still starts."""
        worker = await self.start("worker", "worker", *arguments, **environment)
        await worker.handles()
        return worker

    async def bots(self, count: int, matches: int, *arguments: str, **environment: str) -> Process:
        """Start bots that use the first server, or SERVER_URL."""
        where = {"SERVER_URL": self.url, **environment}
        return await self.start(
            "player", "bots", "--count", str(count), "--matches", str(matches), *arguments, **where
        )

    async def close(self) -> None:
        """End the running processes: bots and workers together, then the servers, newest first. Raises AssertionError
        if one fails or leaves children behind."""
        complaints: list[str] = []

        async def end(process: Process) -> None:
            if not process.running:
                return
            process.send(signal.SIGCONT)
            below = children(process.pid)
            code = await process.end()
            if code != 0:
                complaints.append(f"{process.name} ended with {code}:\n{process.output[-3000:]}")
            left = [pid for pid in below if alive(pid)]
            if left:
                complaints.append(f"{process.name} left {left} behind")

        try:
            servers = self.servers
            await asyncio.gather(*(end(process) for process in self.processes if process not in servers))
            for server in reversed(servers):
                await end(server)
        finally:
            self.folder.cleanup()
        assert not complaints, "\n".join(complaints)
