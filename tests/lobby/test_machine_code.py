"""The folders of machine code."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tussle.lobby.launch import child_environment
from tussle.lobby.machine_code import compiled_mark, find_code_folder


def test_machine_code_is_used_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of an image, which has all machine code, is used read-only, also by a user without a home. Without the
    mark it is not."""
    folder = tmp_path / "image" / "code-1"
    folder.mkdir(parents=True)
    mark = folder / compiled_mark()
    mark.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder.parent))
    monkeypatch.setattr(os, "access", lambda path, mode: not Path(path).is_relative_to(folder.parent))

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    module = str(tmp_path / "module.py")
    assert find_code_folder("code-1", module) == folder
    mark.unlink()
    assert find_code_folder("code-1", module) == tmp_path / "__pycache__" / "code-1"


@pytest.mark.parametrize("case", ["private", "writable by others", "a link", "nothing can be written"])
def test_machine_code_of_others_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """The folder for temporary files has a predictable name, so that another user may make it first. Only one that is
    ours alone is used."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = tmp_path / f"tussle-{os.getuid()}"
    if case == "writable by others":
        place.mkdir()
        place.chmod(0o777)
    elif case == "a link":
        (tmp_path / "theirs").mkdir()
        place.symlink_to(tmp_path / "theirs")
    elif case == "nothing can be written":

        def none() -> str:
            raise FileNotFoundError("no usable temporary directory")

        monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    shut = {tmp_path / "__pycache__" / "code-1", tmp_path / "home" / ".cache" / "code-1"}
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) not in shut)
    found = find_code_folder("code-1", str(tmp_path / "module.py"))
    assert (found == place / "code-1") == (case == "private")
    if case == "private":
        assert place.stat().st_mode & 0o777 == 0o700


MODULE = """
from numba import njit

@njit(cache=True)
def thirds(x):
    return x / 3.0 + 0.1

@njit(cache=True)
def halves(x):
    return x / 2.0

@njit
def both(x):
    return thirds(x) * thirds(x + 1.0)
"""
LOADING = """
import sample
from tussle.lobby.machine_code import NotStored, only_loading
with only_loading():
    first = sample.thirds(0.7).hex()
    (library,) = [one.library for one in sample.thirds.overloads.values()]
    parsed = library._shared_module is not None
    try:
        sample.halves(0.7)
        raise SystemExit("halves is not stored")
    except NotStored:
        pass
print(first, parsed)
"""


def test_code_that_was_loaded_can_be_part_of_what_is_compiled_later(tmp_path: Path) -> None:
    """Loading does not parse what is stored for callers. A caller that is compiled afterwards contains it, with the
    bits of a process that compiled all of it."""
    (tmp_path / "sample.py").write_text(MODULE)
    environment = child_environment() | {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    environment["PYTHONPATH"] = f"{ROOT}:{tmp_path}"

    def run(program: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", f"{program}\nprint(first, sample.both(0.3).hex(), sample.halves(0.7))"],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    compiled = run("import sample; first = sample.thirds(0.7).hex()")
    for code in (tmp_path / "kept").rglob("*halves*"):
        code.unlink()
    loaded = run(LOADING)
    assert loaded == [compiled[0], "False", *compiled]
