"""The script ./run, where nothing is installed."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
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


def function_of(name: str) -> str:
    """A function of ``./run``."""
    found = re.search(rf"^{name}\(\) \{{\n.*?^\}}\n\n", (ROOT / "run").read_text(), re.M | re.S)
    assert found
    return found[0]


def settings_for_uv(folder: Path, **configured: str) -> subprocess.CompletedProcess[str]:
    """What ``./run`` says to uv where pip is configured so, by a file and by the environment."""
    (folder / "pip.conf").write_text(
        "[global]\nindex-url = https://one.example/simple\nretries = 2\n"
        "extra-index-url =\n    https://two.example/simple\n    file:///three\n"
        "[install]\nindex-url = https://four.example/simple\n[download]\npre = true\n"
    )
    program = 'set -eu; uv_settings=(); settings_for_uv; printf "%s\\n" "${uv_settings[@]}"'
    return subprocess.run(
        ["bash", "-c", function_of("settings_for_uv") + program], cwd=folder, capture_output=True, text=True,
        check=False, timeout=60,
        env={"PATH": os.environ["PATH"], "python": sys.executable, "PIP_CONFIG_FILE": "pip.conf", **configured},
    )  # fmt: skip


def test_uv_asks_the_package_indexes_of_pip(tmp_path: Path) -> None:
    """pip's configuration in uv's variables: what is set for install counts before what is set for all commands, and
    the environment before both. A variable of uv that is set is kept."""
    done = settings_for_uv(
        tmp_path,
        PIP_FIND_LINKS="/a /b",
        PIP_CERT="/cert.pem",
        SSL_CERT_FILE="/own.pem",
        PIP_DEFAULT_TIMEOUT="7",
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split("=", 1) for line in done.stdout.splitlines())
    expected = {
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # pip, too, takes the newest of all indexes
        "UV_DEFAULT_INDEX": "https://four.example/simple",
        "UV_INDEX": "https://two.example/simple file:///three",
        "UV_FIND_LINKS": "/a,/b",
        "SSL_CERT_FILE": "/own.pem",
        "UV_HTTP_TIMEOUT": "7",
    }
    assert {name: said.get(name) for name in expected} == expected  # the machine may have more


def test_pip_installs_where_uv_has_no_such_option(tmp_path: Path) -> None:
    done = settings_for_uv(tmp_path, PIP_NO_BINARY="numpy")
    assert done.returncode != 0 and "no-binary" in done.stderr and not done.stdout


@pytest.mark.parametrize("works", [True, False])
def test_pip_installs_where_uv_fails(tmp_path: Path, works: bool) -> None:
    """uv installs, without pip; what it cannot install, pip tries."""
    venv = tmp_path / "venv"
    (venv / "uv" / "bin").mkdir(parents=True)
    for program, code in ((venv / "uv" / "bin" / "uv", 0 if works else 1), (venv / "python", 0)):
        program.write_text(f'#!/bin/sh\necho "{program.name} $*"\nexit {code}\n')
        program.chmod(0o755)
    known = "settings_for_uv() { uv_settings=(UV_NO_CACHE=1); }\n"
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{known}{function_of('pip_install')}pip_install a b"], cwd=tmp_path,
        env={"PATH": str(path_without_uv(tmp_path)), "root": "/", "venv": str(venv), "python": str(venv / "python")},
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"uv pip install --python {venv / 'python'} a b"
    assert [line for line in lines if line.startswith("python -m pip install ")] == (
        [] if works else ["python -m pip install --disable-pip-version-check --no-compile a b"]
    )


@pytest.mark.parametrize(("works", "programs"), [(True, ["base"]), (False, ["base", "waited", "python"])])
def test_the_machines_pip_fetches_uv_while_the_environment_gets_its_own(
    tmp_path: Path, works: bool, programs: list[str]
) -> None:
    """Where it has no pip, or cannot fetch uv, the environment's pip is waited for and fetches it."""
    for name, code in (("base", 0 if works else 1), ("python", 0)):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*"\nexit {code}\n')
        (tmp_path / name).chmod(0o755)
    known = function_of("await_pip") + function_of("fetch_uv")
    program = "set -euo pipefail\ntrue & pip=$!\n" + known
    program += 'wait() { command wait "$@"; echo waited; }\nfetch_uv'
    done = subprocess.run(
        ["bash", "-c", program], cwd=tmp_path,
        env={"PATH": str(path_without_uv(tmp_path)), "venv": "v", "base": str(tmp_path / "base"),
             "python": str(tmp_path / "python")},
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == programs


def path_without_uv(folder: Path) -> Path:
    """A folder with the programs that the function needs."""
    (folder / "bin").mkdir()
    for name in ("bash", "env", "sh"):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    return folder / "bin"
