"""Hashes of the physics sources and the cache of machine code that is named after them."""

from __future__ import annotations

import numba

from tussle.server.physics import jit
from tussle.server.physics.fingerprint import kernel_hash, source_hash, versions


def test_versions_name_what_a_step_depends_on() -> None:
    """The libraries that compute and the processor are named."""
    assert {"numba", "numpy", "ipctk", "cpu"} <= set(versions())


def test_machine_code_is_kept_per_version_of_the_sources() -> None:
    """The cache folder carries the hash of the sources, so that no caller runs the old code of its callees."""
    assert kernel_hash() != source_hash()
    assert kernel_hash()[:16] in str(numba.config.CACHE_DIR)  # type: ignore[attr-defined]
    assert jit.CACHE_FOLDER.is_dir()
