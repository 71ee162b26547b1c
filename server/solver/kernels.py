"""The solver's machine code: compiled by one process of a machine at a time, loaded by all others.

Compiling takes a core for about a minute, and two processes that compile at once take twice as long each; loading
takes about a second and may be done by all at once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["load_kernels"]


def load_kernels(progress: Callable[[str, float], None] = lambda stage, share: None) -> None:
    """Have every kernel ready in this process; waits while another one compiles them."""
    from tussle.server.physics.jit import CACHE_FOLDER
    from tussle.server.physics.warmup import warm_up

    # Machine code is kept per place of its sources: another checkout that shares the folder compiles its own.
    here = hashlib.sha256(str(Path(__file__).parent).encode()).hexdigest()[:8]
    compiled = CACHE_FOLDER / f"compiled-{here}"
    if compiled.exists():
        warm_up(progress)
        return
    with _alone(CACHE_FOLDER / "compiling.lock"):
        warm_up(progress)
        compiled.touch()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock among the processes of this machine; where there are no such locks, go on without."""
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
