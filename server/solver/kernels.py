"""The machine code of the solver and of the encoder of delta frames.

It is compiled by one process of a machine at a time and loaded by all others. Compiling takes one core about a minute.
Loading takes about a second, in any number of processes at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tussle.lobby.machine_code import compiled_mark
from tussle.lobby.wire.delta_compiled import has_machine_code, load_kernel

__all__ = ["load_kernels"]


def load_kernels(progress: Callable[[str, float], None] = lambda stage, share: None) -> None:
    """Load every kernel into this process. Compiles them first, or waits while another process does."""
    from tussle.server.physics.jit import CACHE_FOLDER
    from tussle.server.physics.warmup import warm_up

    compiled = CACHE_FOLDER / compiled_mark()
    if compiled.exists() and has_machine_code():
        warm_up(progress)
        load_kernel()
        return
    with _alone(CACHE_FOLDER / "compiling.lock"):
        warm_up(progress)
        load_kernel()
        compiled.touch()


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
