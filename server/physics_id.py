"""Which physics this server computes: two servers with equal ids step equal states to equal bits.

Source of the simulation and of every mode, versions of the libraries that compute, and the CPU's instruction sets:
floating-point results may differ when any of them does.
"""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

from server.modes import outside_sources

__all__ = ["physics_id"]

COMPUTING = ("numpy", "scipy", "numba", "llvmlite", "ipctk")
SOURCES = ("simulation.py", "physics/*.py", "modes/*.py")


@cache
def physics_id() -> str:
    """16 hexadecimal digits."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    sources = [path for pattern in SOURCES for path in sorted(here.glob(pattern))]
    for path in sources + outside_sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for library in COMPUTING:
        digest.update(f"{library}=={version(library)}\0".encode())
    digest.update(f"{platform.python_version()} {platform.machine()} {cpu_features()}".encode())
    return digest.hexdigest()[:16]


def cpu_features() -> str:
    """The instruction sets of this CPU as the system names them; its model where it does not."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    for line in text.splitlines():
        if line.startswith(("flags", "Features")):
            return " ".join(sorted(line.partition(":")[2].split()))
    return platform.processor()
