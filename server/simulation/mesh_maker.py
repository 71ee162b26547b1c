"""The program that makes a ready mesh of one file, for ``worker meshes`` and ``tussle simulate``: a process of its own,
with limits.

    python -m tussle.server.simulation.mesh_maker SOURCE TARGET MEMORY_MIB CPU_S [MOST_VERTICES]
    one line of JSON for each step: {"percent": 20} ... and at the end {"made": {...}} or {"refused": {...}}

The file is a stranger's. Memory, CPU time and the size of what is written are limited by the kernel; the process has no
address and no password of anything, and ends with the worker that started it. It must never print anything else.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tussle.lobby.errors import Refused
from tussle.lobby.launch import bare_environment, module_command
from tussle.lobby.rules.mesh_faults import BadMesh, MeshFault
from tussle.server.physics.geometry import Mesh, bounding_radius, signed_volume
from tussle.server.physics.meshes import (
    MOST_VERTICES,
    centred,
    decode_mesh,
    encode_mesh,
    read_mesh,
    solid_of,
    write_mesh,
)

__all__ = ["MOST_READY_VERTICES", "fill_apart", "main", "make"]

MOST_READY_VERTICES = 6000
"""Largest number of vertices of a ready mesh: a session could not step a larger one."""

LARGEST_FILE = 256 * 2**20
PR_SET_PDEATHSIG = 1


def make(source: Path, target: Path, say: Any, most: int = MOST_READY_VERTICES) -> None:
    """Make ``target`` of ``source`` and say how it ended. ``say``: called with each line, as a dict. most: vertices."""
    try:
        solid = solid_of(
            read_mesh(source, lambda percent: say({"percent": percent})), source.name, _percent(say)
        )
        if len(solid.vertices) > most:
            message = f"the filled mesh has {len(solid.vertices)} vertices; at most {most} can be used"
            raise BadMesh(message, MeshFault.TOO_LARGE)
        say({"percent": 95})
        ready = centred(solid)
        data = encode_mesh(ready)
        target.write_bytes(data)
        say({"made": _describe(ready, data)})
    except MemoryError:
        _refuse(say, BadMesh("making it needs too much memory", MeshFault.TOO_LARGE))
    except BadMesh as error:
        _refuse(say, error)
    except Refused as error:  # fTetWild is not installed here
        _refuse(say, BadMesh(error.message, MeshFault.UNFILLED))


def _percent(say: Any) -> Any:
    return lambda percent: say({"percent": percent})


def _describe(mesh: Mesh, data: bytes) -> dict[str, Any]:
    assert mesh.tetrahedra is not None
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "vertices": len(mesh.vertices),
        "tetrahedra": len(mesh.tetrahedra),
        "volume": signed_volume(mesh.vertices, mesh.faces),
        "bounding_radius": bounding_radius(mesh.vertices),
    }


def _refuse(say: Any, error: BadMesh) -> None:
    say({"refused": {"reason": error.fault, "message": error.message, "place": error.place}})


def _limit(memory_mib: int, cpu_s: int) -> None:
    """Limit this process, beyond what its libraries already use, and end it when its parent ends."""
    with contextlib.suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    used = 0
    with contextlib.suppress(OSError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: used + memory_mib * 2**20,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: LARGEST_FILE,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        with contextlib.suppress(
            OSError, ValueError
        ):  # a system that does not know the limit, or has a smaller one
            # At the hard limit of CPU time the kernel kills; at the soft one it sends SIGXCPU, which names the reason.
            resource.setrlimit(kind, (most, most + (kind == resource.RLIMIT_CPU)))


def fill_apart(mesh: Mesh, name: str, *, memory_mib: int = 8192, cpu_s: int = 600) -> Mesh:
    """Fill a closed surface with tetrahedra in a process of its own, since fTetWild may crash. Its centre of mass
    becomes the origin.

    Raises BadMesh, with ``name``, if the surface cannot be filled, if that needs more memory [MiB] or CPU time [s], or
    if the process dies.
    """
    with tempfile.TemporaryDirectory(prefix="tussle-") as folder:
        source, target = Path(folder) / "surface.vtu", Path(folder) / "filled"
        write_mesh(mesh, source)
        limits = (str(memory_mib), str(cpu_s), str(MOST_VERTICES))
        ended = subprocess.run(
            module_command("server.simulation.mesh_maker", str(source), str(target), *limits),
            cwd=folder, env={**bare_environment(), "OMP_NUM_THREADS": "1", "TMPDIR": folder},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        lines = [json.loads(line) for line in ended.stdout.splitlines()]
        last = lines[-1] if lines else {}
        if "made" in last and ended.returncode == 0:
            return decode_mesh(target.read_bytes())
        if "refused" in last:
            refused = last["refused"]
            message = refused["message"].removeprefix(f"{source.name}: ")
            raise BadMesh(f"{name}: {message}", MeshFault(refused["reason"]), refused["place"])
    died = signal.Signals(-ended.returncode).name if ended.returncode < 0 else f"code {ended.returncode}"
    message = f"the surface could not be filled with tetrahedra: the program that fills it ended with {died}"
    raise BadMesh(f"{name}: {message}", MeshFault.UNFILLED)


def main(arguments: list[str]) -> int:
    source, target, memory_mib, cpu_s, *more = arguments
    parent = os.getppid()
    _limit(int(memory_mib), int(cpu_s))
    if os.getppid() != parent:  # the worker died before the kernel was asked to end this process with it
        return 1
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is not a line of ours

    def say(line: dict[str, Any]) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    say({"percent": 5})
    make(Path(source), Path(target), say, int(more[0]) if more else MOST_READY_VERTICES)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
