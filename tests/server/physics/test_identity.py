"""The identity of the physics follows its sources."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numba

from tests.support.paths import ROOT
from tussle.server.physics import compiled
from tussle.server.physics.identity import kernel_hash, physics_id, source_hash, versions


def test_identity_is_the_same_in_another_process() -> None:
    """Two processes on one machine agree on the physics they run."""
    program = "from tussle.server.physics.identity import physics_id; print(physics_id())"
    root = ROOT
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == physics_id()
    assert len(physics_id()) == 16 and {"numba", "numpy", "ipctk", "cpu"} <= set(versions())


def test_machine_code_is_kept_per_version_of_the_sources() -> None:
    """The cache folder carries the hash of the sources, so that no caller runs the old code of its callees."""
    assert kernel_hash() != source_hash()
    assert kernel_hash()[:16] in str(numba.config.CACHE_DIR)  # type: ignore[attr-defined]
    assert Path(compiled._cache_folder()).is_dir()
