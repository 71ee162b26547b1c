"""Hashes of the physics sources, and the versions of what they run on.

The cache of machine code and the benchmarks use them. The id of a whole simulation is made in
server/simulation/identity.py. Files are read once, at the first call.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import platform
from pathlib import Path

from tussle.lobby.cpu_baseline import cpu_identity

__all__ = ["kernel_hash", "source_hash", "versions"]

LIBRARIES = ("ipctk", "llvmlite", "numba", "numpy")


@functools.cache
def source_hash() -> str:
    """Return the SHA-256 over the names and bytes of the modules of this package, in hex."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@functools.cache
def kernel_hash() -> str:
    """Return the same hash over the modules that are compiled to machine code, and those whose constants and tuples
    they use.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_bytes()
        if b"tussle.server.physics.jit import" in source or path.name in ("jit.py", "kernel_arrays.py"):
            digest.update(path.name.encode() + b"\0" + source + b"\0")
    return digest.hexdigest()


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python, the libraries and the processor that the result of a step depends on."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
        "libc": " ".join(platform.libc_ver()),
        "cpu": cpu_identity(),
    }
