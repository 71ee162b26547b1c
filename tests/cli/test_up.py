"""``tussle up`` as a user runs it: real processes, store and duels. No process may remain."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tussle.cli.guard import alive

pytestmark = pytest.mark.timeout(400)  # a cold start compiles the kernels

TUSSLE = [sys.executable, "-c", "from tussle.cli.main import main; main()"]


EXTRA: dict[str, str] = {}
"""Settings of one test."""


def environ(data_dir: Path) -> dict[str, str]:
    """Return the environment of a process: quick duels, and little of the outer environment. A killed bot's seat, and
    a lobby in which a bot waits alone after that, are given up soon."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "NUMBA_CACHE_DIR", "LANG") if key in os.environ}
    quick = {"SIM_SPEED": "0", "BOT_THINK_S": "0", "SOLVERS": "1", "DATA_DIR": str(data_dir)}
    quick |= {"RECONNECT_GRACE_S": "2", "LOBBY_TIMEOUT_S": "10"}
    return {**kept, **quick, **EXTRA, "COLUMNS": "100", "PYTHONPATH": str(ROOT)}


def tussle(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*TUSSLE, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environ(data_dir), timeout=300, check=False
    )


class Up:
    """A running ``tussle up`` and its output."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.lines.append(line.rstrip())
                self._more.notify_all()
        with self._more:
            self.lines.append("-- end --")
            self._more.notify_all()

    def until(self, pattern: str) -> str:
        """Wait for the first matching line and return it. Raises AssertionError when the output ends without one."""

        def found() -> str | None:
            return next(
                (line for line in self.lines if re.search(pattern, line) or line == "-- end --"), None
            )

        with self._more:
            line = self._more.wait_for(found, timeout=300)
        assert line is not None and line != "-- end --", "\n".join(self.lines)
        return line

    def until_after(self, count: int, pattern: str) -> str:
        """The first line after the first ``count`` that matches."""

        def found() -> str | None:
            return next(
                (line for line in self.lines[count:] if re.search(pattern, line) or line == "-- end --"), None
            )

        with self._more:
            line = self._more.wait_for(found, timeout=300)
        assert line is not None and line != "-- end --", "\n".join(self.lines)
        return line

    def end(self) -> int:
        code = self.process.wait(60)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def up(data_dir: Path, *arguments: str) -> Iterator[Up]:
    command = [*TUSSLE, "up", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ(data_dir)
    )
    running = Up(process)
    try:
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        running.end()


def family(data_dir: Path) -> set[int]:
    """Return the processes with this data folder in their environment, and the store, found by its working
    directory because its title overwrites its environment."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            named = f"DATA_DIR={data_dir}".encode() in (folder / "environ").read_bytes().split(b"\0")
            if named or (folder / "cwd").readlink().is_relative_to(data_dir):
                found.add(int(folder.name))
        except OSError:
            continue
    return {pid for pid in found if alive(pid)}


linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="counts processes in /proc")


@linux
def test_it_ends_after_a_number_of_sessions(tmp_path: Path) -> None:
    """It prints the address, a line per duel and a summary, and exits with 0; no process or announcement remains."""
    with up(tmp_path, "--bots", "2", "--matches", "2") as running:
        assert running.until(r"http://127\.0\.0\.1:\d+")
        assert running.until("redis-cli -p|redis SCAN")
        assert running.end() == 0
    lines = running.lines
    duels = [line for line in lines if re.search(r" (beat|drew).*: \d+ rounds?, \d+ turns?, [\d.]+ s$", line)]
    assert len(duels) == 2, lines
    assert re.fullmatch(r"tussle: 2 sessions finished, \d+ turns, [\d.]+ s; everything is stopped", lines[-2])
    assert len(lines) < 20, "the terminal stays calm"
    assert [line for line in lines if len(line) > 80 and "Logs" not in line] == []
    assert family(tmp_path) == set()
    assert not (tmp_path / "running.json").exists()
    assert (tmp_path / "logs" / "server.log").read_text().count("Traceback") == 0


@linux
def test_other_commands_find_it_and_sigterm_stops_it(tmp_path: Path) -> None:
    """Other commands find it by its data folder; SIGTERM stops all processes in order, with exit code 0."""
    with up(tmp_path, "--bots", "2") as running:
        running.until("Logs")
        running.until(" beat | drew")
        table = tussle(tmp_path, "sessions", "--once")
        assert table.returncode == 0, table.stderr
        assert "duel" in table.stdout and "ended" in table.stdout
        token = re.search(r"^(\w{8})  duel .*ended", table.stdout, re.MULTILINE)
        assert token is not None
        ended = tussle(tmp_path, "watch", "--once", token[1])
        assert ended.returncode == 0, ended.stderr
        assert " wins" in ended.stdout or "A draw" in ended.stdout
        live = tussle(tmp_path, "watch", "--once")
        assert live.returncode == 0, live.stderr
        assert "TUSSLE" in live.stdout and "gap" in live.stdout
        assert tussle(tmp_path, "watch", "--once", "aaaaaaaa").returncode == 1
        assert tussle(tmp_path, "redis", "PING").stdout == "PONG\n"
        status = tussle(tmp_path, "redis", "HGET", f"{{main}}:session:{token[1]}", "status")
        assert status.stdout == "ended\n"
        second = tussle(tmp_path, "up", "--port", "0")
        assert second.returncode == 1
        assert "is in use by another store" in second.stderr
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0
    assert "everything is stopped" in running.lines[-2]
    assert family(tmp_path) == set()


def processes_of(data_dir: Path, victim: str) -> list[int]:
    """The running processes of one kind: server, worker, player or store."""
    found = []
    for pid in family(data_dir):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if victim == "store":
            if b"-server" in words[0].split(b" ")[0]:
                found.append(pid)
        elif words[1:4] == [b"-P", b"-m", f"tussle.{victim}".encode()] and words[4:5] in (
            [b""],
            [b"--count"],
        ):
            found.append(pid)
    return found


@linux
@pytest.mark.parametrize("victim", ["server", "worker", "player", "store"])
def test_what_dies_is_restarted_and_play_goes_on(tmp_path: Path, victim: str) -> None:
    """kill -9 of one process: one line says so, it is started again, and duels are finished after that."""
    with up(tmp_path, "--bots", "2") as running:
        running.until("Logs")
        running.until(" beat | drew")
        (pid,) = processes_of(tmp_path, victim)
        os.kill(pid, signal.SIGKILL)
        name = "bots" if victim == "player" else victim
        running.until(f"{name} ended unexpectedly.*; restarting it in 0.5 s")
        seen = len(running.lines)
        running.until_after(seen, " beat | drew")
        wait = threading.Event()
        for _ in range(600):  # a duel may end before the delay has passed
            again = processes_of(tmp_path, victim)
            if len(again) == 1:
                break
            wait.wait(0.1)
        assert len(again) == 1 and pid not in again
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0
    assert family(tmp_path) == set()


@linux
def test_a_child_that_cannot_run_stops_everything(tmp_path: Path) -> None:
    """A server with a wrong setting is not restarted: its name and last lines, exit code 1, no process left."""
    command = [*TUSSLE, "up", "--port", "0", "--bots", "0"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False,
        env={**environ(tmp_path), "SOLVERS": "1", "MODES": str(tmp_path / "missing.py")},
    )  # fmt: skip
    assert done.returncode == 1
    assert "server ended unexpectedly with exit code 2" in done.stderr, done.stderr
    assert "missing.py" in done.stderr
    assert family(tmp_path) == set()


@linux
def test_a_side_process_that_cannot_run_leaves_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bots with a policy that does not exist are given up: one line in capitals, their last lines, the command that
    starts them, and again at the end. Server, store and workers run on until Ctrl-C, with exit code 0."""
    monkeypatch.setitem(EXTRA, "BOT_POLICY", "tussle.nowhere:decide")
    with up(tmp_path, "--bots", "2") as running:
        running.until("bots ended unexpectedly with exit code 2.*FROM NOW ON NOBODY FILLS SEATS")
        running.until("bots --matches 0 --serve")
        running.until("Logs")
        wait = threading.Event()
        while not processes_of(tmp_path, "worker"):  # it starts after the first session, or soon without one
            wait.wait(0.1)
        assert all(len(processes_of(tmp_path, part)) == 1 for part in ("server", "worker", "store"))
        table = tussle(tmp_path, "sessions", "--once")
        assert table.returncode == 0, table.stderr
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0
    assert any("tussle.nowhere" in line for line in running.lines)
    assert running.lines[-2].endswith("everything is stopped, and the end was without bots")
    assert family(tmp_path) == set()


@linux
def test_a_killed_tussle_leaves_no_process(tmp_path: Path) -> None:
    """After kill -9 of the parent the store, server, solvers, worker and bots end within seconds."""
    with up(tmp_path, "--bots", "2") as running:
        running.until("Logs")
        running.process.kill()
        running.end()
        wait = threading.Event()
        for _ in range(600):
            if not family(tmp_path):
                break
            wait.wait(0.1)
        assert family(tmp_path) == set()
        assert json.loads((tmp_path / "running.json").read_text())["pid"] == running.process.pid
    assert tussle(tmp_path, "redis", "PING").returncode == 1


def test_a_port_in_use_is_one_line_and_no_process(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        done = tussle(tmp_path, "up", "--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        done.stderr
        == f"tussle: port {port} is in use; another Tussle? Stop it, or choose another: --port {port + 1}\n"
    )
