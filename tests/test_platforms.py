"""Platforms without wheels of the solver's packages: what works, and the error of what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"ipctk", "pytetwild"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def run_without_wheels(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that cannot import ipctk and pytetwild."""
    return subprocess.run(
        [sys.executable, "-P", "-c", HIDE + code],
        cwd=folder, capture_output=True, text=True, check=False, timeout=90,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATA_DIR": str(folder / "data"), **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [["up", "--port", "0"], ["server"], ["simulate", "-i", "cube.stl", "-o", "out"]]
)
def test_a_command_that_simulates_names_the_missing_package(arguments: list[str], tmp_path: Path) -> None:
    """`up`, `server` and `simulate` print one line and exit with an error."""
    (tmp_path / "cube.stl").write_text("solid\nendsolid\n")
    code = f"from tussle.cli.main import main\nmain({arguments!r})"
    done = run_without_wheels(
        code, tmp_path, REDIS_URL="redis://127.0.0.1:1" if "server" in arguments else ""
    )
    assert done.returncode not in (0, None)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "the solver needs ipctk, which is not installed" in lines[0]


def test_a_planner_names_the_missing_package(tmp_path: Path) -> None:
    """A bot that looks ahead needs the solver, and reports in one line what is missing."""
    code = "from tussle.player.__main__ import command\ncommand(['--skill', 'planner', '--patience', '0'])"
    done = run_without_wheels(code, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "the solver needs ipctk" in done.stderr


def test_everything_else_imports(tmp_path: Path) -> None:
    """The client, the bots, the workers, the store and the rules of the modes need no solver."""
    code = (
        "import tussle.player.client, tussle.player.bots, tussle.worker.processes, tussle.lobby.store.embedded\n"
        "import tussle.build_db, tussle.cli.watch, tussle.server.entry\n"
        "from tussle.server.modes.registry import all_modes\nprint(*sorted(all_modes()))"
    )
    done = run_without_wheels(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "duel" in done.stdout
