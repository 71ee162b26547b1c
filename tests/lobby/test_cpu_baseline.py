"""The CPU baseline: what this process uses, and what a process or a machine says that does not use it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.support.paths import ROOT
from tussle.lobby import cpu_baseline
from tussle.lobby.cpu_baseline import baseline, below_baseline, cpu_identity
from tussle.lobby.launch import child_environment

needs_baseline = pytest.mark.skipif(baseline() is None, reason="!! THIS CPU IS BELOW THE BASELINE")


def run(program: str) -> subprocess.CompletedProcess[str]:
    """The end of a process that was started without the variables of the baseline."""
    environment = child_environment()
    for name in cpu_baseline.baseline_variables():
        del environment[name]
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@needs_baseline
def test_nothing_is_said_of_a_machine_with_the_baseline() -> None:
    assert below_baseline() == ""


@needs_baseline
def test_numpy_and_numba_use_the_baseline() -> None:
    """numpy chooses no code beyond the baseline, and numba compiles for it, whatever this CPU has."""
    from numba.core.registry import cpu_target

    import tussle.server.physics.jit  # noqa: F401 it sets the CPU

    umath: Any = np._core._multiarray_umath  # type: ignore[attr-defined]
    chosen = {name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]}
    assert not [name for name in chosen if name.startswith(("AVX512", "X86_V4", "ASIMD", "SVE"))]
    assert cpu_target.target_context.codegen().magic_tuple()[1] == baseline() == cpu_identity()


@needs_baseline
def test_a_process_that_imported_numpy_first_says_so() -> None:
    """There the variables come too late: they are not set, and the identity is that of the instruction sets."""
    done = run(
        "import numpy, os; from tussle.lobby.cpu_baseline import *; use_baseline(); "
        "print(cpu_identity(), 'OPENBLAS_CORETYPE' in os.environ)"
    )
    identity, changed = done.stdout.split()
    assert len(identity) == 16 and changed == "False", done.stderr


@needs_baseline
@pytest.mark.parametrize("module", ["physics", "mode_testing", "sweeps"])
def test_every_way_in_sets_the_baseline(module: str) -> None:
    """A program that imports a module of the public API before numpy computes with the baseline, as servers do."""
    done = run(
        f"import tussle.{module}; from tussle.lobby.cpu_baseline import *; print(cpu_identity() == baseline())"
    )
    assert done.stdout.strip() == "True", done.stderr


@needs_baseline
def test_numba_that_compiles_for_another_cpu_is_refused() -> None:
    """A script that has compiled by numba for its own CPU before gets an error that says what to do."""
    done = run(
        "import numba; from numba.core.registry import cpu_target; cpu_target.target_context; "
        "import tussle.server.physics.jit"
    )
    assert done.returncode == 1 and "import tussle before other code uses numba" in done.stderr


def test_a_machine_below_the_baseline_has_an_identity_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without AVX2 there is no baseline, no variable is set, and the instruction sets are the identity. It is said."""
    cached = (baseline, cpu_identity, cpu_baseline.baseline_variables)
    monkeypatch.setattr(cpu_baseline, "cpu_features", lambda: "avx fma sse4_2")
    monkeypatch.setattr(cpu_baseline.platform, "machine", lambda: "x86_64")
    for function in cached:
        function.cache_clear()
    try:
        assert baseline() is None and cpu_baseline.baseline_variables() == {}
        assert len(cpu_identity()) == 16
        said = below_baseline()
        assert "lacks avx2, bmi1, bmi2, f16c, movbe, xsave of x86-64-v3" in said and "\n" not in said
    finally:
        for function in cached:
            function.cache_clear()


@pytest.mark.parametrize(
    ("numpy_version", "names"), [((2, 3), "AVX512F AVX512CD"), ((2, 4), "X86_V4 AVX512_ICL")]
)
def test_the_groups_of_numpy_are_those_of_its_version(
    monkeypatch: pytest.MonkeyPatch, numpy_version: tuple[int, int], names: str
) -> None:
    """numpy 2.4 has other names for its groups of instruction sets; unknown names would be a warning."""
    monkeypatch.setattr(cpu_baseline, "baseline", lambda: "x86-64-v3")
    monkeypatch.setattr(cpu_baseline, "_numpy_version", lambda: numpy_version)
    assert cpu_baseline.baseline_variables.__wrapped__()["NPY_DISABLE_CPU_FEATURES"].startswith(names)
