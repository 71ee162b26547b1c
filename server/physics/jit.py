"""The decorators that compile a function to machine code with numba: cached on disk, one thread.

Floating-point sums run in the order in which they are written. Of numba's ``fastmath`` only ``contract`` is on: the
compiler may round a product and a sum once. Nothing is reassociated, so equal machine code gives equal bits.

The machine code is made for the CPU baseline of the architecture (lobby/cpu_baseline.py): it has the same bits on all
machines, and the cache may be moved to another one.

The cache is one folder per version of the sources, in ``NUMBA_CACHE_DIR`` or beside the modules. numba itself notices
a change only in the file of the compiled function, and would keep a caller that contains the old code of its callees.
The cache does not depend on the path of the sources, so that all installations of one version can share a folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numba
from numba.core.registry import cpu_target

from tussle.lobby.cpu_baseline import baseline
from tussle.server.physics.fingerprint import kernel_hash

__all__ = ["CACHE_FOLDER", "inlined", "inner", "kernel"]

OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "fastmath": {"contract"}}


def _compile_for_baseline() -> None:
    """Set the CPU that numba compiles for. Raises ImportError where numba compiles for another one already."""
    name = baseline()
    already = numba.config.CPU_NAME  # type: ignore[attr-defined]
    if name in (None, already):
        return
    if "_toplevel_target_context" in vars(
        cpu_target
    ):  # numba makes it when it compiles or loads the first function
        raise ImportError(
            f"the physics needs numba to compile for {name}: import tussle before other code uses numba"
        )
    numba.config.CPU_NAME, numba.config.CPU_FEATURES = name, ""  # type: ignore[attr-defined]


_compile_for_baseline()


def _cache_folder() -> Path:
    """Return the folder for the machine code of these sources: the first of the usual places that can be written."""
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
"""Where numba keeps the machine code of these sources."""
numba.config.CACHE_DIR = str(CACHE_FOLDER)  # type: ignore[attr-defined]


class KernelCacheLocator:
    """The place of the machine code of one function, for numba (NUMBA_CACHE_LOCATOR_CLASSES).

    numba's locators use the path and the time of the source file. Here the folder has the hash of all sources.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._line = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function: Callable[..., Any], path: str) -> KernelCacheLocator | None:
        """The locator of a function; None for a function of another package."""
        return cls(function) if Path(path).parent == Path(__file__).parent else None

    def ensure_cache_path(self) -> None:
        CACHE_FOLDER.mkdir(parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        return str(CACHE_FOLDER)

    def get_source_stamp(self) -> str:
        return kernel_hash()

    def get_disambiguator(self) -> str:
        return str(self._line)


# A numba that is too old for this setting finds the machine code by the path of the sources.
numba.config.CACHE_LOCATOR_CLASSES = ",".join(  # type: ignore[attr-defined]
    (
        f"{__name__}.KernelCacheLocator",
        "UserProvidedCacheLocator",
        "InTreeCacheLocator",
        "UserWideCacheLocator",
    )
)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at its first call, and keep the result on disk."""
    return cast("Callable[..., Any]", numba.njit(**OPTIONS)(function))


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that only other kernels call; it has no entry from Python."""
    options = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast("Callable[..., Any]", numba.njit(**options)(function))


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function like ``inner``, and put its code where it is called."""
    options = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}
    return cast("Callable[..., Any]", numba.njit(**options)(function))
