"""Compiling the kernels in processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tussle.lobby.errors import SolverFailed
from tussle.lobby.wire.delta_compiled import delta_folder
from tussle.server.physics.jit import CACHE_FOLDER
from tussle.server.recordings.export.raster_code import raster_folder
from tussle.server.solver import kernels


def test_what_cannot_be_compiled_says_why() -> None:
    """A part that no process can compile raises, with the end of what the process wrote."""
    with pytest.raises(SolverFailed, match="the kernels \\(rigid\\) cannot be compiled: no part 'rigid'"):
        kernels._compile(["rigid"], lambda stage, share: None)


def test_a_part_that_fails_as_one_program_is_compiled_in_the_usual_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a numba of another structure the delta encoder is compiled all the same, and its code is stored."""
    (tmp_path / "sitecustomize.py").write_text("import numba.core.codegen as c\ndel c.JITCodeLibrary\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    kernels._compile(["deltas"], lambda stage, share: None)
    assert list((tmp_path / "kernels").rglob("compiled-*"))


LOAD = """
import sys
from tussle.lobby.cpu_baseline import use_baseline
use_baseline()
from tussle.server.solver.kernels import load_kernels
load_kernels()
print("numba.np.arraymath" in sys.modules)
"""


def test_stored_code_is_loaded_without_the_tables_of_the_compiler(tmp_path: Path) -> None:
    """A solver's start does not fill them. Where the code of one function is missing, it is compiled and stored."""
    kernels.load_kernels()
    for folder in (CACHE_FOLDER, delta_folder()):
        shutil.copytree(folder, tmp_path / folder.name)

    def filled() -> str:
        return subprocess.run(
            [sys.executable, "-P", "-c", LOAD], env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip

    assert filled() == "False"
    for file in (lost := [*tmp_path.rglob("barrier.barrier-*")]):
        file.unlink()
    assert lost and filled() == "True"
    assert all(file.exists() for file in lost)
    assert filled() == "False"


def test_another_clone_takes_the_machine_code_that_is_kept(tmp_path: Path) -> None:
    """``./run`` keeps it in a folder of the user. With an empty cache it is copied from there, and nothing compiles."""
    kernels.load_kernels(pictures=True)
    kept, cache = tmp_path / "kept", tmp_path / "cache"
    kernels._keep(kept)
    assert {path.name for path in kept.iterdir()} == {
        CACHE_FOLDER.name,
        delta_folder().name,
        raster_folder().name,
    }
    script = f"{LOAD.partition('from tussle.server')[0]}from tussle.server.solver import kernels\n"
    script += "kernels._compile = None\nkernels.main(['--progress', '', sys.argv[1]])\n"
    subprocess.run(
        [sys.executable, "-P", "-c", script, str(kept)],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        check=True,
    )
    assert {path.name for path in kept.iterdir()} <= {path.name for path in cache.iterdir()}


def test_only_the_newest_machine_code_is_kept(tmp_path: Path) -> None:
    """That of older sources is deleted."""
    kernels.load_kernels()
    for number in range(kernels.KEPT + 2):
        folder = tmp_path / f"tussle-kernels-{number:016x}"
        folder.mkdir()
        os.utime(folder, (number, number))
    kernels._keep(tmp_path)
    left = sorted(path.name for path in tmp_path.glob("tussle-kernels-*"))
    assert len(left) == kernels.KEPT and CACHE_FOLDER.name in left and f"tussle-kernels-{0:016x}" not in left
