"""The supervisor with real children: none is left behind, each that dies is restarted or reported."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.stack import until
from tussle.cli.guard import alive
from tussle.cli.supervisor import ChildDied, RestartPolicy, Supervisor, rotate

ORDERLY = """
import pathlib, signal, sys, time
def end(*_):
    with open(sys.argv[2], "a") as file:
        file.write(sys.argv[1] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""
PARENT_OF_ONE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
PARENT = """
import asyncio, os, sys
from pathlib import Path
from tussle.cli.supervisor import Supervisor
async def main():
    async with Supervisor(Path(sys.argv[1])) as supervisor:
        for name in ("store", "server"):
            child = await supervisor.start(name, [sys.executable, "-c", sys.argv[2], name, sys.argv[3]])
            while child.last_lines() != ["ready"]:
                await asyncio.sleep(0.01)
            print(child.pid, flush=True)
        await supervisor.watch(lambda death, delay: None)
asyncio.run(main())
"""


async def until_ready(supervisor: Supervisor) -> None:
    await until(lambda: all(child.last_lines() == ["ready"] for child in supervisor.children), "ready", 60)


async def test_children_stop_newest_first(tmp_path: Path) -> None:
    """Leaving the block sends SIGTERM to each child in turn, the newest first, and waits for it."""
    said = tmp_path / "said"
    async with Supervisor(tmp_path / "logs") as supervisor:
        for name in ("store", "server", "bots"):
            await supervisor.start(name, [sys.executable, "-c", ORDERLY, name, str(said)])
        await supervisor.start("worker", [sys.executable, "-c", ORDERLY, "worker", str(said)], stop_last=True)
        await until_ready(supervisor)
        pids = [child.pid for child in supervisor.children]
    assert said.read_text().split() == ["bots", "server", "store", "worker"]
    assert not any(alive(pid) for pid in pids)


async def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        child = await supervisor.start("deaf", [sys.executable, "-c", STUBBORN], grace_s=0.1)
        await until_ready(supervisor)
    assert child.process.returncode == -signal.SIGKILL


def never(death: ChildDied, delay_s: float | None) -> None:
    raise AssertionError(f"unexpected: {death}")


async def test_a_child_that_keeps_dying_is_given_up_with_its_last_lines(tmp_path: Path) -> None:
    """Each death is reported with a growing delay; the last raises, and the other children are stopped."""
    reported: list[float | None] = []
    with pytest.raises(ChildDied, match="server ended unexpectedly with exit code 3") as caught:
        async with Supervisor(tmp_path) as supervisor:
            other = await supervisor.start("store", [sys.executable, "-c", STUBBORN], grace_s=0.1)
            script = "import sys; print('first'); print('last'); sys.exit(3)"
            await supervisor.start(
                "server", [sys.executable, "-c", script], policy=RestartPolicy(first_s=0.01, most=3)
            )
            await supervisor.watch(lambda death, delay_s: reported.append(delay_s))
    assert caught.value.last_lines == ["first", "last"] * 3
    assert reported == [0.01, 0.02]
    assert not alive(other.pid)


@pytest.mark.parametrize(("code", "deaths"), [(3, [0.01, 0.02, None]), (2, [None])])
async def test_a_side_process_that_is_given_up_leaves_the_others(
    tmp_path: Path, code: int, deaths: list[float | None]
) -> None:
    """A child that is not essential and keeps dying, or cannot run, is reported and forgotten with its process group.
    The others are kept running."""
    reported: list[float | None] = []
    logs: list[list[str]] = []
    given_up = asyncio.Event()

    def report(death: ChildDied, delay_s: float | None) -> None:
        reported.append(delay_s)
        if delay_s is None:
            logs.append(death.last_lines)
            given_up.set()

    script = (
        "import subprocess, sys; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True);"
        f"sys.exit({code})"
    )
    async with Supervisor(tmp_path) as supervisor:
        server = await supervisor.start(
            "server", [sys.executable, "-c", STUBBORN], grace_s=0.1, policy=RestartPolicy(first_s=0.01)
        )
        await supervisor.start(
            "bots",
            [sys.executable, "-c", script],
            essential=False,
            policy=RestartPolicy(first_s=0.01, most=3),
        )
        watching = asyncio.create_task(supervisor.watch(report))
        async with asyncio.timeout(60):
            await given_up.wait()
        first = server.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: server.pid != first, "the new server", 60)
        assert not watching.done()
        assert alive(server.pid)
        assert [child.name for child in supervisor.children] == ["server"]
        assert reported == [*deaths, 0.01]
        assert len(logs[0]) == len(deaths)
        await until(lambda: not any(alive(int(pid)) for pid in logs[0]), "the end of the groups", 60)
        watching.cancel()
        await asyncio.wait([watching])


async def test_a_side_process_whose_program_is_gone_is_given_up(tmp_path: Path) -> None:
    """Its restart fails with OSError, which ends an essential child's supervisor only."""
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\nrm "$0"\nexit 3\n')
    program.chmod(0o700)
    reported: list[float | None] = []
    given_up = asyncio.Event()

    def report(death: ChildDied, delay_s: float | None) -> None:
        reported.append(delay_s)
        if delay_s is None:
            given_up.set()

    async with Supervisor(tmp_path / "logs") as supervisor:
        await supervisor.start("bots", [str(program)], essential=False, policy=RestartPolicy(first_s=0.01))
        watching = asyncio.create_task(supervisor.watch(report))
        async with asyncio.timeout(20):
            await given_up.wait()
        assert reported == [0.01, None] and not supervisor.children and not watching.done()
        watching.cancel()
        await asyncio.wait([watching])


async def test_a_killed_child_is_restarted_with_its_process_group_gone(tmp_path: Path) -> None:
    """The new process is another one, and nothing of the old group is left. Other children are not touched."""
    deaths: list[str] = []
    async with Supervisor(tmp_path) as supervisor:
        other = await supervisor.start("worker", [sys.executable, "-c", STUBBORN], grace_s=0.1)
        child = await supervisor.start(
            "server", [sys.executable, "-c", PARENT_OF_ONE], grace_s=0.1, policy=RestartPolicy(first_s=0.01)
        )
        first, worker = child.pid, other.pid
        watching = asyncio.ensure_future(supervisor.watch(lambda death, delay_s: deaths.append(str(death))))
        await until(child.last_lines, "the first line", 60)
        grandchild = int(child.last_lines()[0])
        os.kill(first, signal.SIGKILL)
        await until(lambda: child.pid != first and len(child.last_lines()) == 2, "the new process", 60)
        await until(lambda: not alive(grandchild), "the end of the old group", 60)
        assert deaths == ["server ended unexpectedly with signal 9 (SIGKILL)"]
        assert alive(child.pid) and other.pid == worker and alive(worker)
        watching.cancel()
        await asyncio.wait([watching])
        pids = [child.pid, worker]
    assert not any(alive(pid) for pid in pids)


async def test_a_child_may_end_when_that_is_expected(tmp_path: Path) -> None:
    """``watch`` returns when it ends with exit code 0."""
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start("bots", [sys.executable, "-c", ""], expected=True)
        async with asyncio.timeout(60):
            await supervisor.watch(never)


def test_delays_double_up_to_a_bound_and_begin_again_after_a_calm_period() -> None:
    """0.5 s, 1 s, 2 s ...; a child that dies often without a calm period is given up."""
    policy = RestartPolicy(first_s=0.5, longest_s=3.0, calm_s=60.0, most=5)
    assert [policy.died(now) for now in (0.0, 10.0, 20.0, 30.0)] == [0.5, 1.0, 2.0, 3.0]
    assert policy.died(91.0) == 0.5
    assert [policy.died(now) for now in (100.0, 110.0, 120.0, 130.0)] == [1.0, 2.0, 3.0, None]


def test_a_long_log_is_moved_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    """The writer has the file open for appending: after the rotation it writes at the beginning."""
    path = tmp_path / "server.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"x" * 100 + b"\n")
        assert not rotate(path, 200)
        assert rotate(path, 50)
        writer.write(b"next\n")
    assert path.read_bytes() == b"next\n"
    assert (tmp_path / "server.log.1").read_bytes() == b"x" * 49 + b"\n"
    assert not rotate(tmp_path / "missing.log", 0)


async def test_the_logs_of_a_child_that_floods_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a child writes without a pause, what is kept of its log stays below twice the bound."""
    monkeypatch.setattr("tussle.cli.supervisor.LOG_BYTES", 4096)
    monkeypatch.setattr("tussle.cli.supervisor.LOG_CHECK_S", 0.01)
    flood = "import time\nfor n in range(10**6):\n print('x' * 63, flush=True); time.sleep(0.001)"
    older = tmp_path / "server.log.1"
    async with Supervisor(tmp_path) as supervisor, asyncio.timeout(60):
        await supervisor.start("server", [sys.executable, "-c", flood])
        watching = asyncio.create_task(supervisor.watch(never))
        moved: set[int] = set()
        while len(moved) < 3:
            if older.exists():
                moved.add(older.stat().st_mtime_ns)
                assert older.stat().st_size <= 4096
            await asyncio.sleep(0)
        watching.cancel()
        await asyncio.wait([watching])
    assert sorted(os.listdir(tmp_path)) == ["server.log", "server.log.1"]  # noqa: PTH208


def test_a_killed_supervisor_leaves_no_process(tmp_path: Path) -> None:
    """After kill -9 of the parent the guard process stops the children, the newest first."""
    said = tmp_path / "said"
    command = [sys.executable, "-c", PARENT, str(tmp_path / "logs"), ORDERLY, str(said)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
        parent.wait()
    while any(alive(pid) for pid in pids):
        time.sleep(0.01)
    assert said.read_text().split() == ["server", "store"]
