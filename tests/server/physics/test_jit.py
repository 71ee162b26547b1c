"""The cache of machine code: shared by every installation of one version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

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
