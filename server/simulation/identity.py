"""Which physics this server computes: two servers with equal ids step equal states to equal bits.

Source of the simulation and of every mode, versions of the libraries that compute, and the CPU's instruction sets:
floating-point results may differ when any of them does. ``origin`` names these parts, so that whoever compares two ids
can say what differs.
"""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

from tussle.server.modes.registry import outside_sources

__all__ = ["origin", "physics_id"]

COMPUTING = ("numpy", "scipy", "numba", "llvmlite", "ipctk")
SOURCES = ("simulation/*.py", "physics/*.py", "modes/**/*.py")


@cache
def origin() -> dict[str, str]:
    """Where results come from, by name: each library, python, machine, cpu (a hash of its instruction sets), source (a
    hash); and cpu_model, which is told and not part of the id."""
    source = hashlib.sha256()
    here = Path(__file__).parents[1]
    sources = [path for pattern in SOURCES for path in sorted(here.glob(pattern))]
    for path in sources + outside_sources():
        source.update(path.name.encode() + b"\0" + path.read_bytes())
    return {
        **{library: version(library) for library in COMPUTING},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": hashlib.sha256(cpu_features().encode()).hexdigest()[:16],
        "cpu_model": _cpu_line("model name"),
        "source": source.hexdigest()[:16],
    }


@cache
def physics_id() -> str:
    """16 hexadecimal digits."""
    parts = sorted((name, value) for name, value in origin().items() if name != "cpu_model")
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def cpu_features() -> str:
    """The instruction sets of this CPU as the system names them; its model where it does not."""
    return " ".join(sorted(_cpu_line("flags", "Features").split()))


def _cpu_line(*names: str) -> str:
    """The first line of the system's words on its CPU that begins with one of these; else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(names))
    return next(found, platform.processor())
