"""Functions that are compiled as one program: what is stored, and that it computes the same bits."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

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
def halves(rows):
    return (rows[: rows.shape[0] // 2].copy(), (rows[rows.shape[0] // 2 :].copy(), 0.5))

@njit(cache=True)
def total(rows):
    sums = 0.0
    for _ in range(3):
        both = halves(scaled(rows, 7.0))
        sums += both[0][0] + both[1][0][1] * both[1][1]
    return scaled(rows, 3.0).sum() + sums

@njit(cache=True)
def elements(grid, place):
    # Elements of contiguous arrays and of others, rows that a constant counts from the end, and numbers that are cast.
    across = grid.T
    columns = grid[:, ::2]
    counts = np.zeros((2, grid.shape[1], 1), np.int32)
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            counts[1, j, 0] += grid[i, j] * 10.0
            across[j, i] += columns[-1, j // 2] * grid[i, 3]
        grid[i] = grid[-1]
        grid[2, np.uint8(i)] = i
        grid[place[0], place[1]] += 0.1
    return grid.sum() / counts[1, 0, 0] + counts[-1][-1][0] + np.float64(7.0) * grid[-1][3]
"""
PROGRAM = """
import contextlib, sys
from tussle.lobby.machine_code import compile_for_baseline
from tussle.lobby.whole_program import compile_whole
compile_for_baseline()
import numpy as np
from numba.core.runtime import rtsys
import sample
parts = []
with compile_whole(lambda: parts.append(1)) if sys.argv[1] == "whole" else contextlib.nullcontext():
    print(sample.total(np.array([1.1, -2.2, 1e-9, 4.0])).hex())
    print(sample.elements(np.arange(12.0).reshape(3, 4) / 7.0, np.array([int(sys.argv[2]), 2], np.int32)).hex())
print(rtsys.get_allocation_stats().mi_alloc, rtsys.get_allocation_stats().mi_free)
print(len(parts) > 2, sum(sample.total.stats.cache_hits.values()))
"""


def start(folder: Path, kept: str, how: str, row: int = 1, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end. row: the first index of ``place``. more: environment variables."""
    environment = child_environment() | {"NUMBA_CACHE_DIR": str(folder / kept), "NUMBA_NRT_STATS": "1"} | more
    environment["PYTHONPATH"] = f"{ROOT}:{folder}"
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, how, str(row)], env=environment, cwd=folder, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip


def run(folder: Path, kept: str, how: str) -> list[str]:
    """What the program prints: two results, how many arrays it made and freed, whether it counted parts, and how often
    it loaded machine code."""
    done = start(folder, kept, how)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[str]]:
    """The folder, and what was printed by the process that compiled the whole and by one that compiled in numba's own
    way."""
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "sample.py").write_text(MODULE)
    return folder, run(folder, "whole", "whole"), run(folder, "usual", "usual")


def test_only_what_python_calls_is_stored(compiled: tuple[Path, list[str], list[str]]) -> None:
    """The program is stored once, without the functions that it calls; a usual process loads it. Both give the bits of
    numba's own way, which stores each function."""
    folder, whole, usual = compiled
    loaded = run(folder, "whole", "usual")
    assert [len(list((folder / kept).rglob("*.nbi"))) for kept in ("whole", "usual")] == [2, 4]
    assert whole[:2] == loaded[:2] == usual[:2]
    assert whole[4:] == ["True", "0"]
    assert loaded[4:] == ["False", "1"]


def test_every_array_is_freed_once(compiled: tuple[Path, list[str], list[str]]) -> None:
    """The program makes and frees as many arrays as in numba's own way, also those in tuples."""
    whole, usual = (printed[2:4] for printed in compiled[1:])
    assert whole == usual and int(whole[0]) == int(whole[1]) > 10


@pytest.mark.parametrize("row", [-1, 3])
def test_a_program_can_check_its_indices(compiled: tuple[Path, list[str], list[str]], row: int) -> None:
    """With TUSSLE_CHECK_INDICES it ends at an index outside of its array, below it too."""
    folder, whole, _ = compiled
    done = start(folder, "checked", "whole", row, TUSSLE_CHECK_INDICES="1")
    assert done.returncode in (-signal.SIGILL, -signal.SIGTRAP)
    inside = start(folder, "checked", "usual", TUSSLE_CHECK_INDICES="1")
    assert inside.stdout.split()[:2] == whole[:2]
