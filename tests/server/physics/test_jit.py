"""The machine code: what it computes, and its cache, shared by every installation of one version."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.physics.test_determinism import WORLDS, inputs
from tests.support.interpreted import as_python
from tests.support.paths import ROOT
from tussle.server.physics import solver
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step

COMPILERS = {"kernel", "inner", "inlined", "jit"}
"""The names of the decorators that compile a function."""


def negative_indices(source: str) -> list[int]:
    """The lines of kernels with an element at a negative constant."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef) or not any(
            isinstance(one, ast.Name) and one.id in COMPILERS for one in function.decorator_list
        ):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Subscript):
                indices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
                found += [
                    node.lineno
                    for one in indices
                    if isinstance(one, ast.UnaryOp) and isinstance(one.op, ast.USub)
                ]
    return found


def test_no_kernel_counts_from_the_end() -> None:
    """An element at a negative index is outside of its array in the stored machine code."""
    kernels = [*(ROOT / "server/physics").glob("*.py"), *(ROOT / "lobby/wire").glob("delta_*.py")]
    kernels += (ROOT / "server/recordings/export").glob("raster*.py")
    found = {path.name: negative_indices(path.read_text()) for path in kernels}
    assert not any(found.values()), found
    assert negative_indices("@inner\ndef last(x, i):\n    return x[i, -1] + x[:-1]") == [3]


PROGRAM = """
import tussle.server.physics.friction as friction
friction.friction_derivatives(0.1, 0.05)
stats = friction.friction_derivatives.stats
print(friction.__file__, sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


@pytest.mark.timeout(240)
def test_two_installations_share_the_machine_code(tmp_path: Path) -> None:
    """A kernel that one copy of the sources has compiled is loaded, not compiled, by a copy in another folder."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    environment.pop("PYTHONPATH", None)
    counts = []
    for name in ("one", "two"):
        root = tmp_path / name
        for package in ("tussle", "server", "lobby"):
            shutil.copytree(
                ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__", "web")
            )
        done = subprocess.run(
            [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(root)!r})" + PROGRAM],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        file, hits, misses = done.stdout.split()
        assert file.startswith(str(root))
        counts.append((int(hits), int(misses)))
    assert counts == [(0, 1), (1, 0)]


@pytest.mark.parametrize(("name", "tick"), [("averaged", 40), ("melee", 40), ("mixed", 25), ("soft", 12)])
def test_the_machine_code_is_what_python_computes(
    name: str, tick: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bodies of all kinds that touch, slide and are pulled: a step of the kernels is the step of their source, up to
    the rounding of products."""
    model, state = compile_scene(WORLDS[name]())
    for before in range(tick):
        state, _ = step(model, state, inputs(name, before))
    usual, report = step(model, state, inputs(name, tick))
    monkeypatch.setattr(solver, "minimise_potential", as_python(solver.minimise_potential))
    interpreted, other = step(model, state, inputs(name, tick))
    assert report.contacts > 10 and report.friction > 0.0 and report.elastic > 0.0
    assert (other.contacts, other.iterations) == (report.contacts, report.iterations)
    assert interpreted.q == pytest.approx(usual.q, abs=1e-12)
    for energy in ("barrier", "elastic", "friction"):
        assert getattr(other, energy) == pytest.approx(getattr(report, energy), rel=1e-9)
