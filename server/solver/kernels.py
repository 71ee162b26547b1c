r"""The machine code of the solver, of the encoder of delta frames, and of what draws pictures.

    load_kernels -> python -m tussle.server.solver.kernels solver    \  at once, each on a core
                    python -m tussle.server.solver.kernels deltas    /
                 -> loads what they have stored

An installation also compiles what draws pictures (pictures), which no session waits for.
It is compiled by one process of a machine at a time and loaded by all others, so that every process that computes has
loaded its code. Compiling takes half a minute of a core (lobby/whole_program.py). Loading takes about a second, in any
number of processes at once.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tussle.lobby.errors import SolverFailed
from tussle.lobby.launch import child_environment, module_command
from tussle.lobby.machine_code import NotStored, compiled_mark, only_loading
from tussle.lobby.wire.delta_compiled import delta_folder, has_machine_code, load_kernel

__all__ = ["kernel_folders", "load_kernels", "main", "warm_up"]

FUNCTIONS = 236
"""Functions that the solver's kernels have, those of numba included; a few more or less change nothing."""

KEPT = 4
"""Versions of the sources whose machine code is kept for other clones; each takes 2 MB."""

CALM = 10
"""Nice value of what is compiled beside the solver's kernels."""

SHARE = 0.8
"""The part of the time that passes until all functions are typed; the rest is LLVM's."""


def load_kernels(
    progress: Callable[[str, float], None] = lambda stage, share: None, *, pictures: bool = False
) -> None:
    """Load every kernel into this process. Compiles them first, or waits while another process does.

    pictures: also compile what draws pictures, which is not loaded.

    Raises SolverFailed if they cannot be compiled; nothing is marked as compiled then.
    """
    from tussle.server.physics.jit import CACHE_FOLDER

    def has_pictures() -> bool:
        from tussle.server.recordings.export.raster_code import has_raster_code

        return not pictures or has_raster_code()

    compiled = CACHE_FOLDER / compiled_mark()
    if not compiled.exists() or not has_machine_code() or not has_pictures():
        with _alone(CACHE_FOLDER / "compiling.lock"):
            missing = [] if compiled.exists() else ["solver"]
            missing += [] if has_machine_code() else ["deltas"]
            missing += [] if has_pictures() else ["pictures"]
            _compile(missing, progress)
    _load(load_kernel)
    progress("ready", 1.0)


def kernel_folders() -> list[Path]:
    """Compile what is not compiled yet, and return the folders that hold the machine code."""
    load_kernels(pictures=True)
    return _folders()


def warm_up(progress: Callable[[str, float], None] = lambda stage, share: None) -> None:
    """Load the solver into this process by a step of a small world. Compiles it first, in another process.

    ``progress`` is called with a stage and the fraction done, 0 to 1. Raises SolverFailed if it cannot be compiled.
    """
    from tussle.server.physics.jit import CACHE_FOLDER

    compiled = CACHE_FOLDER / compiled_mark()
    if not compiled.exists():
        with _alone(CACHE_FOLDER / "compiling.lock"):
            if not compiled.exists():
                _compile(["solver"], progress)
    _load()
    progress("ready", 1.0)


def _folders() -> list[Path]:
    from tussle.server.physics.jit import CACHE_FOLDER
    from tussle.server.recordings.export.raster_code import raster_folder

    return [CACHE_FOLDER, delta_folder(), raster_folder()]


def _load(also: Callable[[], object] = lambda: None) -> None:
    """Load the solver's machine code, and what ``also`` loads. What has none is compiled here, in numba's own way."""
    from tussle.server.physics import warmup

    with suppress(NotStored), only_loading():
        warmup.warm_up()
        also()
        return
    warmup.warm_up()
    also()


def _compile(parts: list[str], progress: Callable[[str, float], None]) -> None:
    """Compile those parts, each in a process. One that fails is compiled again in numba's own way.

    The first of them reports: one line of output for each function. The others, which are shorter, get the time that
    it leaves.
    """
    started = {part: _start(part, *["calm"] * (part != parts[0])) for part in parts}
    for part, child in started.items():
        with child:
            assert child.stdout is not None
            for functions, _ in enumerate(child.stdout):
                if part == parts[0]:
                    progress("compiling the kernels", min(1.0, functions / FUNCTIONS) * SHARE)
        if child.returncode != 0:
            again = _start(part, "plain")
            _, errors = again.communicate()
            if again.returncode != 0:
                raise SolverFailed(f"the kernels ({part}) cannot be compiled: {errors.strip()[-800:]}")


def _start(part: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        module_command("server.solver.kernels", part, *options),
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if "plain" in options else subprocess.DEVNULL,
        text=True,
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock among the processes of this machine. A platform without such locks holds none."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _said() -> None:
    with suppress(BrokenPipeError):
        sys.stdout.write("\n")
        sys.stdout.flush()


def _store(part: str) -> None:
    """Compile one part and mark it as complete."""
    if part == "deltas":
        load_kernel()
        return
    if part == "pictures":
        from tussle.server.recordings.export import picture_maker
        from tussle.server.recordings.export.raster_code import raster_folder

        picture_maker.warm_up()
        (raster_folder() / compiled_mark()).touch()
        return
    if part != "solver":
        raise SystemExit(f"no part {part!r}")
    from tussle.server.physics import warmup
    from tussle.server.physics.jit import CACHE_FOLDER

    warmup.warm_up()
    (CACHE_FOLDER / compiled_mark()).touch()


def _bring(kept: Path) -> None:
    """Copy the machine code of these sources from a folder that keeps it, where it is there and missing here."""
    for folder in _folders():
        if (kept / folder.name / compiled_mark()).exists() and not (folder / compiled_mark()).exists():
            with suppress(OSError):
                shutil.copytree(kept / folder.name, folder, dirs_exist_ok=True)


def _keep(kept: Path) -> None:
    """Copy the machine code of these sources into a folder, which keeps that of the newest KEPT sources."""
    for folder in _folders():
        place = kept / folder.name
        with suppress(OSError):
            if not (place / compiled_mark()).exists():
                kept.mkdir(parents=True, exist_ok=True, mode=0o700)
                if place.exists():  # of another Python
                    shutil.copytree(folder, place, dirs_exist_ok=True)
                else:
                    shutil.copytree(folder, part := kept / f".{os.getpid()}")
                    part.rename(place)
            os.utime(place)
            prefix = folder.name.rpartition("-")[0]
            for old in sorted(kept.glob(f"{prefix}-*"), key=lambda one: -one.stat().st_mtime)[KEPT:]:
                shutil.rmtree(old, ignore_errors=True)


def _progress_at(descriptor: str) -> Callable[[str, float], None]:
    """Write the progress over the line of a terminal that is open as this descriptor; nowhere if it is ""."""

    def write(stage: str, share: float) -> None:
        if descriptor and share < 1.0:
            os.write(int(descriptor), f"\r\x1b[K  {stage[0].upper()}{stage[1:]}: {share:.0%}".encode())

    return write


def main(arguments: list[str]) -> int:
    """Compile one part in this process: ``solver``, ``deltas`` or ``pictures``; ``plain`` for numba's own way, ``calm``
    for the time that other processes leave.

    ``--progress DESCRIPTOR [FOLDER]``: load all, compiled by other processes where it must be, as ``./run`` does. The
    folder keeps the machine code for other clones of the same sources.
    """
    part, *options = arguments
    if part == "--progress":
        kept = [Path(folder) for folder in options[1:]]
        for folder in kept:
            _bring(folder)
        load_kernels(_progress_at(options[0]), pictures=True)
        for folder in kept:
            _keep(folder)
        return 0
    gc.disable()  # a process of half a minute that makes millions of small objects: a sixth of the time
    if "calm" in options and hasattr(os, "nice"):
        os.nice(CALM)
    if "plain" in options:
        _store(part)
        return 0
    from tussle.lobby.machine_code import compile_for_baseline
    from tussle.lobby.whole_program import compile_whole

    compile_for_baseline()
    with compile_whole(_said):
        _store(part)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
