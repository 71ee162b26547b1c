"""Functions that are compiled as one program: what is stored, and that it computes the same bits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT
from tussle.lobby.launch import child_environment

MODULE = """
import numpy as np
from numba import njit

@njit(cache=True)
def scaled(rows, factor):
    out = np.zeros(rows.shape[0])
    for i in range(rows.shape[0]):
        out[i] = max(rows[i], -rows[i]) * factor + 0.1
    return out

@njit(cache=True)
def total(rows):
    return scaled(rows, 3.0).sum() + scaled(rows, 7.0)[1]
"""
PROGRAM = """
import contextlib, sys
from tussle.lobby.machine_code import compile_for_baseline
from tussle.lobby.whole_program import compile_whole
compile_for_baseline()
import numpy as np
import sample
parts = []
with compile_whole(lambda: parts.append(1)) if sys.argv[1] == "whole" else contextlib.nullcontext():
    print(sample.total(np.array([1.1, -2.2, 1e-9])).hex())
print(len(parts) > 2, sum(sample.total.stats.cache_hits.values()))
"""


def run(folder: Path, kept: str, how: str) -> list[str]:
    """What the program prints: the result, whether it counted parts, and how often it loaded machine code."""
    environment = child_environment() | {"NUMBA_CACHE_DIR": str(folder / kept)}
    environment["PYTHONPATH"] = f"{ROOT}:{folder}"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], env=environment, cwd=folder, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_only_what_python_calls_is_stored(tmp_path: Path) -> None:
    """The program is stored once, without the functions that it calls; a usual process loads it. Both give the bits of
    numba's own way, which stores each function."""
    (tmp_path / "sample.py").write_text(MODULE)
    whole = run(tmp_path, "whole", "whole")
    loaded = run(tmp_path, "whole", "usual")
    usual = run(tmp_path, "usual", "usual")
    assert [len(list((tmp_path / kept).rglob("*.nbi"))) for kept in ("whole", "usual")] == [1, 2]
    assert whole[0] == loaded[0] == usual[0]
    assert whole[1:] == ["True", "0"]
    assert loaded[1:] == ["False", "1"]
