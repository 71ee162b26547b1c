"""A child process imports the package of its parent."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import tussle
from tussle.lobby.cpu_baseline import baseline_variables
from tussle.lobby.launch import child_environment, module_command

ROOT = Path(tussle.__file__).resolve().parent.parent


def test_the_parents_package_comes_first() -> None:
    """PYTHONPATH begins with the folder of the parent's package, once, and has no empty entry (the working folder)."""
    given = {"PYTHONPATH": os.pathsep.join(["/elsewhere", "", str(ROOT)]), "KEPT": "1"}
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), "/elsewhere"])}
    assert child_environment(given) == {"KEPT": "1", **path, **baseline_variables()}


def test_a_child_imports_nothing_from_its_working_folder(tmp_path: Path) -> None:
    """A module named tussle in the working folder does not change what a child imports."""
    (tmp_path / "tussle.py").write_text("raise RuntimeError('the wrong module')")
    command = module_command("lobby.launch")
    assert command[1:] == ["-P", "-m", "tussle.lobby.launch"]
    done = subprocess.run(
        [command[0], "-P", "-c", "import tussle; print(tussle.__file__)"],
        cwd=tmp_path, env=child_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(done.stdout.strip()).resolve() == Path(tussle.__file__).resolve()
