"""The supervisor with real child processes: it stops all of them and reports each that dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tussle.cli.guard import alive
from tussle.cli.supervisor import ChildDied, Supervisor

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
        await supervisor.first_death()
asyncio.run(main())
"""


async def until_ready(supervisor: Supervisor) -> None:
    async with asyncio.timeout(20):
        for child in supervisor.children:
            while child.last_lines() != ["ready"]:
                await asyncio.to_thread(os.sched_yield)


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


async def test_the_death_of_a_child_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    """ChildDied names the child, its exit code and its last lines; the other children are stopped."""
    with pytest.raises(ChildDied, match="server ended unexpectedly with exit code 3") as caught:
        async with Supervisor(tmp_path) as supervisor:
            other = await supervisor.start("store", [sys.executable, "-c", STUBBORN], grace_s=0.1)
            script = "import sys; print('first'); sys.exit('last word') if 0 else print('last'); sys.exit(3)"
            await supervisor.start("server", [sys.executable, "-c", script])
            await supervisor.first_death()
    assert caught.value.last_lines == ["first", "last"]
    assert not alive(other.pid)


async def test_an_expected_end_is_not_an_error(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start("bots", [sys.executable, "-c", ""], expected=True)
        await supervisor.first_death()


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
        os.sched_yield()
    assert said.read_text().split() == ["server", "store"]
