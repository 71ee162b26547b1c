"""A server process that cannot start says why, and leaves no solver process behind."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.stack import Stack, children, until
from tussle.lobby.launch import child_environment
from tussle.lobby.store.store import Store


def started(**settings: str) -> subprocess.CompletedProcess[str]:
    """Run a server until it ends, in a process group of its own, none of which may be left."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tussle.server"], cwd=ROOT, env=child_environment() | settings,
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    output, errors = process.communicate(timeout=60)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


async def test_a_port_that_is_taken_is_said(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = await asyncio.to_thread(started, REDIS_URL=store.url, HOST="127.0.0.1", PORT=port)
    assert ended.returncode == 1
    assert ended.stderr.startswith("tussle: the server cannot run: ") and port in ended.stderr


def test_a_mode_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("no Python")
    ended = started(REDIS_URL="redis://127.0.0.1:1", MODES=str(tmp_path / "mine.py"))
    assert ended.returncode == 2 and "mine.py" in ended.stderr and "Traceback" not in ended.stderr


async def test_the_first_solver_is_the_one_that_was_spawned_early(store: Store) -> None:
    """A server with one solver has one child; killed by a signal while it starts, it leaves none."""
    async with Stack.up(store.url, f"test-{secrets.token_hex(4)}", SOLVERS="1") as stack:
        stack.forks = False  # it is the start itself that is tested
        server = await stack.server()
        assert len(children(server.pid)) == 1
        starting = await stack.start("server", "server", PORT="0")

        await until(lambda: bool(children(starting.pid)), "a child")
        left = children(starting.pid)
        starting.send(signal.SIGTERM)
        await starting.wait(20.0)
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left), "the end of the child")


LOST = """
import signal, sys
from tussle.server import entry

class Late:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

def missing():
    Late()
    return ""

entry.missing_packages = missing
sys.exit(entry.main([]))
"""
"""A server that gets a signal where Python ignores the exception of its handler."""


async def test_a_signal_that_comes_within_a_destructor_is_not_lost(store: Store) -> None:
    """As within the callbacks of an import: the exit of the handler is ignored there."""
    async with Stack.up(store.url, f"test-{secrets.token_hex(4)}") as stack:
        ended = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-P", "-c", LOST], capture_output=True, text=True, timeout=60,
            env=child_environment() | {"REDIS_URL": store.url, "REALM": stack.realm, "PORT": "0"},
        )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "server_started" not in ended.stdout + ended.stderr
