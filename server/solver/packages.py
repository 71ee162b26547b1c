"""Names the packages that the solver needs and this machine lacks, or cannot run.

    find each package -> missing: one sentence
    run a call of each in a child process, once for these versions and this CPU -> died: one sentence
    ran: a mark in the folder of the machine code, with the instruction sets of the CPU on which they ran

Wheels of ipctk exist for Linux x86_64, macOS arm64 and Windows x86_64. Some wheels hold instructions that not every CPU
has: the process that runs them is killed. The client, the bots and the workers run without these packages. A server or
a simulation checks first and reports one sentence. ``python -m tussle.server.solver.packages`` prints it. This module
must never import a package that it looks for.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import platform
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tussle.lobby.cpu_baseline import cpu_features
from tussle.lobby.launch import child_environment
from tussle.lobby.machine_code import find_code_folder, readable_folders

__all__ = ["broken_packages", "missing_packages"]

NEEDED = ("ipctk", "numba", "meshio")

CALLS = {
    "numpy": "import numpy; a = numpy.eye(96) + 1e-3; numpy.linalg.solve(a @ a, a)",
    "llvmlite": "import llvmlite.binding as b; b.initialize_native_target(); b.Target.from_default_triple()",
    "ipctk": (
        "import numpy, ipctk; v = numpy.vstack([numpy.zeros(3), numpy.eye(3)]);"
        "f = numpy.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], dtype=numpy.int32);"
        "m = ipctk.CollisionMesh(v, ipctk.edges(f), f); ipctk.has_intersections(m, v)"
    ),
    "orjson": "import orjson; orjson.loads(orjson.dumps([1.5] * 64))",
    "msgspec": "import msgspec; msgspec.json.decode(msgspec.json.encode([1.5] * 64))",
    "numcodecs": "import numcodecs; c = numcodecs.Blosc('zstd'); c.decode(c.encode(bytes(4096)))",
}
"""Package -> a call of its machine code."""

OTHERS = {"ipctk": "1.6.0"}
"""Package -> a version that is compiled for older CPUs too."""

CHECK_S = 120.0


def missing_packages() -> str:
    """One sentence that names the packages that are missing or do not run here, or "" when a simulation can run."""
    missing = [name for name in NEEDED if not _is_installed(name)]
    if not missing:
        return broken_packages()
    return (
        f"the solver needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed on "
        f"{platform.system()} {platform.machine()}; without a solver only the client, bots and workers run"
    )


def broken_packages() -> str:
    """One sentence about the first package whose machine code ends the process here, or "". It takes a second at the
    first call for these versions and this CPU."""
    checked = {name: _version(name) for name in CALLS}
    about = repr((sorted(checked.items()), platform.python_version(), sorted(CALLS.items())))
    mark = f"runs-{hashlib.sha256(about.encode()).hexdigest()[:16]}"
    if any(_covers(folder / mark) for folder in readable_folders("native", __file__)):
        return ""
    lines = [f"print({name!r}, flush=True)\n{call}" for name, call in CALLS.items() if checked[name]]
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-c", "\n".join(lines)], env=child_environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=CHECK_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ""
    if ended.returncode == 0:
        with contextlib.suppress(OSError):  # where nothing can be written, it is checked at each start
            folder = find_code_folder("native", __file__)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / mark).write_text(cpu_features())
        return ""
    name = ended.stdout.split()[-1] if ended.stdout.split() else "python"
    return _sentence(name, checked.get(name, ""), ended.returncode, ended.stderr)


def _covers(mark: Path) -> bool:
    """Whether the packages ran on a CPU with no instruction set that this one lacks: an image brings its mark."""
    try:
        return set(mark.read_text().split()) <= set(cpu_features().split())
    except OSError:
        return False


def _sentence(name: str, installed: str, code: int, said: str) -> str:
    if code < 0:
        why = f"its machine code ends the process ({signal.Signals(-code).name})"
        if -code == signal.SIGILL:
            why += ": it needs instructions that this CPU does not have"
    else:
        why = (said.strip().splitlines() or [f"it ended with {code}"])[-1]
    other = OTHERS.get(name)
    better = f"{name}=={other}" if other not in (None, installed) else f"another version of {name}"
    return f"{name} {installed} does not run on this machine, {why}; install {better}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


if __name__ == "__main__":
    sentence = missing_packages()
    sys.stdout.write(f"{sentence}\n" if sentence else "")
    sys.exit(1 if sentence else 0)
