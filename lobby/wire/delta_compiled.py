"""The functions of delta_coder.py, delta_pose.py, delta_kernel.py and delta_measure.py as machine code.

    load_kernel -> types from names and annotations -> numba -> a folder that has the hash of the sources in its name

Compiling takes a core some seconds, once on a machine; loading takes a second. Only processes that encode load it, and
decoders of large elastic bodies: numba is not loaded before. No event loop may wait for it.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from tussle.lobby.machine_code import compile_for_baseline, compiled_mark, find_code_folder

__all__ = ["DeltaCacheLocator", "delta_folder", "has_machine_code", "kernel_id", "load_kernel"]

SOURCES = ("delta_coder.py", "delta_pose.py", "delta_kernel.py", "delta_measure.py")

ENTRIES = ("code_frame", "code_more", "end_of", "measure")
"""The functions that Python calls."""

_BYTES, _FLOATS, _INTS = ("buf",), ("F", "V", "A", "W", "rows"), ("S", "M", "G", "J", "U", "B", "T")
"""The arrays of the kernels, by the names of their parameters."""


@functools.cache
def _texts() -> tuple[str, ...]:
    return tuple(Path(__file__).with_name(name).read_text() for name in SOURCES)


def kernel_id() -> str:
    """The hash of the sources."""
    return hashlib.sha256(repr(_texts()).encode()).hexdigest()[:16]


@functools.cache
def delta_folder() -> Path:
    """The folder of the machine code."""
    return find_code_folder(f"tussle-deltas-{kernel_id()}", __file__)


def has_machine_code() -> bool:
    """Whether ``load_kernel`` loads machine code instead of compiling it."""
    return (delta_folder() / compiled_mark()).exists()


class DeltaCacheLocator:
    """The place of the machine code of one function, for numba (CACHE_LOCATOR_CLASSES). numba's own locators use the
    path and the time of one source file, and would keep a caller that contains the old code of its callees."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._line = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function: Callable[..., Any], path: str) -> DeltaCacheLocator | None:
        """The locator of a function; None for a function of another module."""
        return cls(function) if Path(path).name in SOURCES else None

    def ensure_cache_path(self) -> None:
        delta_folder().mkdir(parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        return str(delta_folder())

    def get_source_stamp(self) -> str:
        return kernel_id()

    def get_disambiguator(self) -> str:
        return str(self._line)


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at once, for one set of types: without them numba compiles it again for every constant."""
    import numba
    from numba import types

    njit: Any = numba.njit
    kinds = {"int": types.int64, "float": types.float64, "None": types.void}
    kinds |= dict.fromkeys(_BYTES, types.uint8[::1]) | dict.fromkeys(_INTS, types.int64[::1])
    kinds |= dict.fromkeys(_FLOATS, types.float64[::1])
    given = dict(function.__annotations__)
    result = kinds[given.pop("return")]
    signature = result(*[kinds.get(name) or kinds[kind] for name, kind in given.items()])
    inner = function.__name__ not in ENTRIES
    if inner and has_machine_code():
        # The machine code of an entry has that of all that it calls. A numba or processor that finds none compiles.
        return cast("Callable[..., Any]", njit(cache=True, error_model="numpy", nogil=True)(function))
    options = {"no_cpython_wrapper": inner, "no_cfunc_wrapper": inner}
    compiled: Callable[..., Any] = njit(signature, cache=True, error_model="numpy", nogil=True, **options)(
        function
    )
    return compiled


@functools.cache
def load_kernel() -> Any:
    """The modules of SOURCES in one namespace, compiled or loaded: a module with the functions of ENTRIES."""
    import numba

    compile_for_baseline()
    config: Any = numba.config
    module = ModuleType(f"{__name__}.kernel_{kernel_id()}")
    vars(module)["COMPILER"] = _jit
    sys.modules[module.__name__] = module
    usual = config.CACHE_LOCATOR_CLASSES
    config.CACHE_LOCATOR_CLASSES = f"{__name__}.{DeltaCacheLocator.__name__}"
    try:
        for name, text in zip(SOURCES, _texts(), strict=True):
            path = str(Path(__file__).with_name(name))
            exec(compile(text, path, "exec"), vars(module))
        if not has_machine_code():
            (delta_folder() / compiled_mark()).touch()
    finally:
        config.CACHE_LOCATOR_CLASSES = usual
    return module
