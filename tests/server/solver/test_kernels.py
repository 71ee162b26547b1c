"""Compiling the kernels in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tussle.lobby.errors import SolverFailed
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
