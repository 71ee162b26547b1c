"""The one way a function becomes machine code: numba, cached on disk, one thread, sums in the order they are written.

Of numba's ``fastmath`` only ``contract`` is on (a product and a sum in one rounding, decided when compiling): nothing
is reassociated, so that equal machine code gives equal bits.

The cache is a folder per version of the sources, in ``NUMBA_CACHE_DIR`` or beside the modules: numba itself notices a
change only in the file of the very function, and would go on running a caller with the old code of its callees.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numba

from tussle.server.physics.fingerprint import kernel_hash

__all__ = ["CACHE_FOLDER", "inner", "kernel", "part"]

OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "fastmath": {"contract"}}


def _cache_folder() -> Path:
    """Where the machine code of these sources is kept; the first of the usual places that can be written to."""
    name = f"tussle-kernels-{kernel_hash()[:16]}"
    places = [Path(__file__).parent / "__pycache__", Path.home() / ".cache", Path(tempfile.gettempdir())]
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        places.insert(0, Path(chosen))
    for place in places:
        try:
            (place / name).mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place / name, os.W_OK):
            return place / name
    return places[-1] / name


CACHE_FOLDER = _cache_folder()
numba.config.CACHE_DIR = str(CACHE_FOLDER)  # type: ignore[attr-defined]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at its first call, and keep the result on disk."""
    return cast("Callable[..., Any]", numba.njit(**OPTIONS)(function))


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a function that only other kernels call, without an entry from Python."""
    options = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast("Callable[..., Any]", numba.njit(**options)(function))


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """A piece of one kernel, a function for its reader only: its code is put where it is called."""
    options = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}
    return cast("Callable[..., Any]", numba.njit(**options)(function))
