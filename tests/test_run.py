"""The script ./run, where nothing is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tussle.cli.main import COMMANDS


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_installs_nothing(option: str, tmp_path: Path) -> None:
    """In a clone without an environment, help lists every command of tussle and makes no environment."""
    shutil.copy(ROOT / "run", tmp_path)
    (tmp_path / "cli").mkdir()
    shutil.copy(ROOT / "cli" / "main.py", tmp_path / "cli")
    done = subprocess.run(
        [str(tmp_path / "run"), option], cwd="/", capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 0, done.stderr
    shown = dict(line.strip().split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("  "))
    assert {name: shown.get(name) for name in COMMANDS} == {
        name: line for name, (_, line) in COMMANDS.items()
    }
    assert {"install", "python", "test", "types", "wheel"} <= shown.keys()
    assert {path.name for path in tmp_path.iterdir()} == {"run", "cli"}
