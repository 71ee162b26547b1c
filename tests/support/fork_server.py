"""A process that has imported Tussle and loaded its machine code, and forks its programs: a server, a worker, bots.

    ForkServer.start -> one datagram: a Program, the log and the pipe as descriptors
                        fork -> the program; a server first forks its first solver process
                     <- its process id; its exit code comes through the pipe

A start takes a hundredth of a second of CPU time instead of two: a server and its solver import and load for that long,
and the tests start hundreds. A forked program runs as ``python -m`` runs it, to the end of the interpreter. It has the
environment, the directory, the output and the limits that it would have, and no descriptor of the fork server. The
programs of one fork server have the same hash seed. Programs with an environment that is read by an import are not
forked, nor are those of tests of the start itself.

This module is also the program of the fork server, which must never have a second thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import msgspec

from tussle.lobby.cpu_baseline import baseline_variables, use_baseline

use_baseline()

from tussle.lobby.environment import BadSetting  # noqa: E402
from tussle.lobby.launch import child_environment  # noqa: E402
from tussle.lobby.settings import Settings  # noqa: E402
from tussle.server.solver.spawning import ONE_THREAD, Spawned  # noqa: E402

__all__ = ["KERNELS", "ForkServer", "Forked", "Program"]

IMPORTED = (
    "uvloop",
    "tussle.server.entry",
    "tussle.server.app",
    "tussle.lobby.log_transport",
    "tussle.worker.processes",
    "tussle.player.bots",
    "tussle.player.crew",
    "tussle.server.solver.process",
    "tussle.server.physics.stored_meshes",
)
"""What a fork server imports; the programs import the rest."""

SETTINGS = frozenset(field.name.upper() for field in fields(Settings)) - {"MODES"}
"""The settings with which a program may be forked. MODES is read by an import."""

KERNELS = {"NUMBA_CACHE_DIR": str(Path(sys.prefix) / "kernels")}
"""Where programs find machine code, unless the environment says another place."""

MESSAGE_MAX = 2**18

COVERAGE = "COVERAGE_PROCESS_START"

START_S = 600.0
"""Long, because a first start compiles the kernels."""


class Program(msgspec.Struct, frozen=True):
    """A module of Tussle that runs as a program, without the prefix. ``files``: the limit of open files, of which it
    has half at first; 0: that of the tests."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    files: int = 0


class _Running(ABC):
    """A program, with the methods of asyncio.subprocess.Process. Made within the event loop. ``descriptor``: becomes
    readable when the program ends; closed then."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._descriptor = descriptor
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, self._end)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        self.returncode = self._take_code(self._descriptor)
        os.close(self._descriptor)
        self._ended.set()

    @abstractmethod
    def _take_code(self, descriptor: int) -> int:
        """The exit code of the program, which has ended."""

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forked(_Running):
    """A program of a fork server, which reports its end through a pipe."""

    def _take_code(self, descriptor: int) -> int:
        code = os.read(descriptor, 4)
        assert code, f"the fork server of {self.pid} has ended"
        return int.from_bytes(code, "little", signed=True)


class _Child(_Running):
    """A forked child of this process."""

    def _take_code(self, descriptor: int) -> int:
        return _wait(descriptor)


def _wait(process: int) -> int:
    """Reap a child that has ended, by its process descriptor, and return its exit code."""
    ended = os.waitid(os.P_PIDFD, process, os.WEXITED)
    assert ended is not None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


class ForkServer:
    """The fork server of this process; it starts with its first program. Usable from several threads."""

    def __init__(self) -> None:
        self._environment = KERNELS | os.environ
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def suits(self, environment: dict[str, str]) -> bool:
        """Whether a program with this environment may be forked: beside settings it has what the fork server has, and
        its coverage is not measured, which begins at the start of a Python."""
        return (
            hasattr(os, "pidfd_open")
            and COVERAGE not in environment
            and all(
                name in SETTINGS or self._environment.get(name) == value
                for name, value in environment.items()
            )
        )

    async def start(self, program: Program, log: int) -> Forked:
        """Fork a program that writes to ``log``. Raises OSError if the fork server has ended."""
        ours, theirs = os.pipe()
        try:
            pid = await asyncio.to_thread(self._ask, msgspec.msgpack.encode(program), [log, theirs])
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return Forked(pid, ours)

    def _ask(self, message: bytes, descriptors: list[int]) -> int:
        with self._lock:
            if self._control is None:
                self._control, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                self._control.settimeout(START_S)
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-X", "faulthandler", __file__, str(remote.fileno())],
                    stdin=subprocess.DEVNULL, pass_fds=[remote.fileno()],
                    env=child_environment(self._environment) | ONE_THREAD,
                )  # fmt: skip
                remote.close()
            socket.send_fds(self._control, [message], descriptors)
            answer = self._control.recv(4)
        if not answer:
            raise OSError("the fork server has ended")
        return int.from_bytes(answer, "little")

    def close(self) -> None:
        """End the fork server and its programs, as happens where this process is killed."""
        with self._lock:
            if self._control is None or self._process is None:
                return
            self._control.close()
            code = self._process.wait(START_S)
            self._control = self._process = None
        assert code == 0, f"the fork server ended with {code}"


def _prepare() -> None:
    """Import and load all that programs need."""
    from tussle.lobby.store.scripting import load_scripts
    from tussle.server.modes.registry import all_modes
    from tussle.server.simulation.identity import physics_id
    from tussle.server.solver.kernels import load_kernels

    for name in IMPORTED:
        import_module(name)
    all_modes()
    physics_id()
    load_scripts()
    load_kernels()
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()


def _serve(control: socket.socket) -> Program | None:
    """Fork until the other end closes, and kill what runs then.

    Returns in each child, with its program, and None in the fork server itself.
    """
    running: dict[int, int] = {}  # process descriptor -> the pipe for its exit code
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not control:
                    selector.unregister(key.fd)
                    _report(key.fd, running.pop(key.fd))
                    continue
                message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_MAX, 2)
                if not message:
                    for process, pipe in running.items():
                        signal.pidfd_send_signal(process, signal.SIGKILL)
                        _report(process, pipe)
                    return None
                log, pipe = descriptors
                if (pid := os.fork()) == 0:
                    control.close()
                    for descriptor in (pipe, *running, *running.values()):
                        os.close(descriptor)
                    return _become(msgspec.msgpack.decode(message, type=Program), log)
                os.close(log)
                process = os.pidfd_open(pid)
                running[process] = pipe
                selector.register(process, selectors.EVENT_READ)
                control.send(pid.to_bytes(4, "little"))


def _report(process: int, pipe: int) -> None:
    code = _wait(process)
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, code.to_bytes(4, "little", signed=True))
    os.close(process)
    os.close(pipe)


def _become(program: Program, log: int) -> Program:
    """Give this process what the program would have: output, directory, environment, limits, signals."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.chdir(program.folder)
    os.environ.clear()
    os.environ.update(program.environment | baseline_variables())
    if program.files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (program.files // 2, program.files))
    return program


def _run(program: Program) -> None:
    """Run it as ``python -m`` does. A server forks its first solver process before."""
    if program.module == "server" and not program.arguments and _fork_solver():
        from tussle.server.solver.process import main

        main()
        return
    sys.argv = [program.module, *program.arguments]
    runpy.run_module(f"tussle.{program.module}", run_name="__main__", alter_sys=True)


def _fork_solver() -> bool:
    """Fork the first solver process of a server as its ``spawn`` would start it, and let ``spawn`` return that one.

    Returns True in the solver process. With wrong settings there is none, and the server says why it does not start.
    """
    from tussle.server import entry

    try:
        archive_url = Settings.read().archive_address
    except BadSetting:
        return False
    local, remote = socket.socketpair()
    if (pid := os.fork()) == 0:
        local.close()
        os.environ.update({**child_environment(), **ONE_THREAD, "ARCHIVE_URL": archive_url})
        sys.argv = ["process", str(remote.detach()), "0"]
        return True
    remote.close()
    local.setblocking(False)

    async def spawn(nice: int, url: str) -> Spawned:
        assert (nice, url) == (0, archive_url)
        return Spawned(_Child(pid, os.pidfd_open(pid)), local)  # type: ignore[arg-type]

    entry.spawn = spawn
    return False


def main() -> None:
    """The fork server, and in its children their programs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: it ends with the tests
    _prepare()
    program = _serve(socket.socket(fileno=int(sys.argv[1])))
    if program is not None:
        _run(program)


if __name__ == "__main__":
    main()
