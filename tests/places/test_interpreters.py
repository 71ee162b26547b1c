"""Every package with machine code runs on the oldest CPU of the baseline, on each interpreter that is there.

A CPU without AVX-512 is one of qemu-user. The wheels come from the package index that pip is set up with.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy
import pytest

from tests.support.paths import ROOT
from tussle.server.solver import packages
from tussle.server.solver.packages import CALLS, broken_packages

QEMU = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
OLDEST_CPU = "Haswell"


def interpreters() -> dict[str, str]:
    """The interpreters of this machine, 3.11 and newer: version -> program. Those of PATH, pyenv and uv."""
    places = [Path(place) for place in os.environ.get("PATH", "").split(os.pathsep)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    uv = Path.home() / ".local" / "share" / "uv" / "python"
    places += [*pyenv.glob("*/bin"), *uv.glob("*/bin")]
    found = {}
    for place in places:
        for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
            program = place / name
            version = name.removeprefix("python")
            if version not in found and program.is_file():
                where = "import os, ssl, sys; print(os.path.realpath(sys.executable))"  # the program may be a script
                works = subprocess.run([program, "-c", where], capture_output=True, text=True, check=False)
                if works.returncode == 0:
                    found[version] = works.stdout.strip()
    return found


def pinned(version: str) -> str:
    """The requirement of ipctk for a version of Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line for line in project["dependencies"] if line.startswith("ipctk")]
    old = tuple(map(int, version.split("."))) < (3, 12)
    [line] = [line for line in lines if ("python_version < '3.12'" in line) == old]
    return line.partition(";")[0]


def wheels_for(version: str) -> Path:
    """A folder with ipctk and numpy for a version of Python: of this environment, or fetched once. Skips without."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(numpy.__file__).parents[1]
    wanted = [pinned(version), "numpy"]
    folder = Path(sys.prefix) / "interpreters" / f"{version}-{wanted[0]}"
    if not folder.exists():
        got = subprocess.run(
            [
                sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile",
                "--only-binary", ":all:", "--python-version", version, "--target", f"{folder}.part", *wanted,
            ],
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        if got.returncode:
            pytest.skip(f"PYTHON {version} NOT TESTED: no wheels: {got.stderr.strip().splitlines()[-1:]}")
        Path(f"{folder}.part").rename(folder)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: the CPU of another machine needs Linux")
@pytest.mark.parametrize("version", sorted(interpreters()))
def test_the_pinned_ipctk_runs_on_the_oldest_cpu(version: str) -> None:
    """Its collision mesh is built on a CPU without AVX-512 (1.6.1 for Python 3.12 and later is killed there)."""
    if QEMU is None:
        pytest.skip("OLD CPUS NOT TESTED (apt-get install qemu-user)")
    ended = subprocess.run(
        [QEMU, "-cpu", OLDEST_CPU, interpreters()[version], "-S", "-c", CALLS["ipctk"] + "; print('runs')"],
        env={"PYTHONPATH": str(wheels_for(version))}, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert ended.stdout.strip() == "runs", (ended.returncode, ended.stderr[:1500])


def test_each_package_of_this_environment_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check runs once: the second call starts no process."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert broken_packages() == ""
    assert [path.name[:5] for path in (tmp_path / "native").iterdir()] == ["runs-"]
    monkeypatch.setattr(subprocess, "run", None)
    assert broken_packages() == ""


def test_the_mark_of_an_image_counts_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check that was made while the image was built is not made again, unless the CPU there had more."""
    image = tmp_path / "image"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(image))
    assert broken_packages() == ""
    [mark] = (image / "native").iterdir()
    monkeypatch.setattr(packages, "find_code_folder", lambda name, module: tmp_path / "data" / name)
    started = []
    real = subprocess.run

    def run(*arguments: Any, **options: Any) -> Any:
        started.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(subprocess, "run", run)
    assert broken_packages() == "" and not started
    mark.write_text(mark.read_text() + " avx1024")
    assert broken_packages() == "" and len(started) == 1


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
            r"ipctk \S+ does not run on this machine, .*\(SIGILL\): it needs instructions .*; install ipctk==1\.6\.0",
        ),
        ("raise ImportError('libfoo.so: not found')", r"ipctk .*ImportError: libfoo.so: not found; install "),
    ],
)
def test_a_package_that_does_not_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, sentence: str
) -> None:
    """In one line, with the version to install. The next call checks again."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setitem(CALLS, "ipctk", call)
    monkeypatch.setattr(packages, "_version", lambda name: "1.6.1")
    for _ in range(2):
        said = broken_packages()
        assert re.match(sentence, said) and "\n" not in said, said
    assert not list((tmp_path / "native").glob("*"))
