"""The script ./run, where nothing is installed."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT
from tussle.cli.main import COMMANDS


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What ``./run`` reads of a clone, without an environment."""
    for name in ("run", "cli/main.py", "docs/reference/commands.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def called(clone: Path, *arguments: str) -> str:
    """What ``./run`` prints. It makes no environment."""
    done = subprocess.run(
        [str(clone / "run"), *arguments], cwd="/", capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in clone.iterdir()} == {"run", "cli", "docs"}
    return done.stdout


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_installs_nothing(option: str, clone: Path) -> None:
    """In a clone without an environment, help lists every command of tussle and makes no environment."""
    lines = called(clone, option).splitlines()
    shown = dict(line.strip().split(maxsplit=1) for line in lines if line.startswith("  "))
    assert {name: shown.get(name) for name in COMMANDS} == {
        name: line for name, (_, line) in COMMANDS.items()
    }
    assert {"install", "pins", "python", "test", "types", "wheel"} <= shown.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_installs_nothing(command: str, clone: Path) -> None:
    """It is the help that the command prints once it is installed."""
    shown = called(clone, command, "--help")
    assert shown.strip().lower().startswith("usage:") and "##" not in shown.replace("###", "")


def test_help_of_an_own_command_installs_nothing(clone: Path) -> None:
    """Nor does that of a command of the clone."""
    for command in ("test", "install", "pins", "types", "wheel"):
        assert "--quick" in called(clone, command, "--help")


def test_every_package_is_pinned_without_an_address() -> None:
    """constraints.txt has a line NAME==VERSION for each package that ./run and the tests install, and nothing else.
    With CI set, these are the versions that are installed."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines[0].startswith("# ")
    pins = dict(line.split("==") for line in lines[1:])
    assert len(pins) == len(lines) - 1
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9A-Za-z.]+", line) for line in lines[1:])
    pinned = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for line in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]:
        requirement = Requirement(line)
        assert canonicalize_name(requirement.name) in pinned or requirement.name == "ipctk", line
    if os.environ.get("CI"):
        installed = {
            canonicalize_name(one.metadata["Name"]): one.version for one in importlib.metadata.distributions()
        }
        wrong = {
            name: installed[name] for name in pinned.keys() & installed if installed[name] != pinned[name]
        }
        assert not wrong
