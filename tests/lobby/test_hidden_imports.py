"""What a start does not import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tussle.lobby.launch import child_environment


@pytest.mark.parametrize("module", ["player.crew", "worker.processes", "server.entry", "lobby.logs"])
def test_no_process_imports_what_only_looks_better(module: str) -> None:
    """structlog and httpx import rich and pygments where they are installed. A process without a terminal does not have
    them, and can import them later."""
    program = f"""
import tussle.{module}, sys
assert not {{"rich", "pygments"}} & sys.modules.keys(), sorted(sys.modules)
import rich.console, pygments
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=child_environment(), capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
