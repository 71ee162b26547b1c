"""A run of the tests that is ended from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.stack import alive, children, until

SLOW = """
import subprocess, time, pytest

@pytest.fixture(scope="module")
def started():
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()

def test_waits(started):
    inner = subprocess.Popen(["sleep", "601"])
    try:
        open("ready", "w").close()
        time.sleep(600)
    finally:
        inner.kill()
        inner.wait()
"""


@pytest.mark.timeout(400)
async def test_sigterm_ends_what_the_tests_have_started(tmp_path: Path) -> None:
    """As Ctrl-C: the blocks of the test and its fixtures are left, so that no process of theirs remains."""
    (tmp_path / "test_slow.py").write_text(SLOW)
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-n", "1"]
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", *options, "test_slow.py",
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=DEVNULL, stderr=DEVNULL,
    )  # fmt: skip
    started: list[int] = []
    try:
        await until((tmp_path / "ready").exists, "the test", 150.0)
        started = children(run.pid)
        assert len(started) >= 3
        run.send_signal(signal.SIGTERM)
        async with asyncio.timeout(90):
            await run.wait()
        await until(lambda: not any(map(alive, started)), "the end of its processes", 60.0)
    finally:
        for pid in (run.pid, *started):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await run.wait()
