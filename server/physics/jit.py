"""The decorators that compile a function to machine code with numba: cached on disk, one thread.

Floating-point operations run as they are written: ``fastmath`` is off, so that every translation of a function
computes equal bits. A function is translated once for itself and once within each caller, and which of these a process
runs depends on what it has compiled and what it has loaded. With ``contract`` the compiler chooses for each
translation which product and sum it rounds once: the first session after an installation had other bits than its
replay. Where one rounding pays, the source says so with ``fma``.

The machine code is made for the CPU baseline of the architecture (lobby/cpu_baseline.py): it has the same bits on all
machines, and the cache may be moved to another one.

An index of an element may not be negative: it does not count from the end, and nothing checks it (whole_program.py).

The cache is one folder per version of the sources, in ``NUMBA_CACHE_DIR`` or beside the modules. numba itself notices
a change only in the file of the compiled function, and would keep a caller that contains the old code of its callees.
The cache does not depend on the path of the sources, so that all installations of one version can share a folder.
"""

# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numba
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

from tussle.lobby.machine_code import compile_for_baseline, find_code_folder
from tussle.server.physics.fingerprint import kernel_hash

__all__ = ["CACHE_FOLDER", "borrow", "fma", "inlined", "inner", "kernel"]

OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "fastmath": False}


compile_for_baseline()
CACHE_FOLDER = find_code_folder(f"tussle-kernels-{kernel_hash()[:16]}", __file__)
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


@intrinsic
def _fma(typing, a, b, c):  # type: ignore[no-untyped-def]
    if not all(isinstance(one, types.Float) and one.bitwidth == 64 for one in (a, b, c)):
        return None

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), codegen


fma = cast("Callable[[Any, Any, Any], Any]", _fma)
"""Within kernels: a * b + c of doubles with one rounding (IEEE 754-2019, fusedMultiplyAdd)."""


class Borrowed(types.NamedTuple):
    """The type of a named tuple that another function owns: passed by a pointer, its arrays not counted."""

    def __init__(self, kinds, cls):  # type: ignore[no-untyped-def]
        super().__init__(kinds, cls)
        self.name = f"Borrowed({self.name})"


@register_model(Borrowed)
class BorrowedModel(models.TupleModel):
    """numba passes each of the seven fields of each array of a tuple as an argument, 240 for Tables. A quarter of the
    instructions that it gave to LLVM did that.
    """

    def get_argument_type(self):  # type: ignore[no-untyped-def]
        return self.get_value_type().as_pointer()

    def as_argument(self, builder, value):  # type: ignore[no-untyped-def]
        return cgutils.alloca_once_value(builder, value)

    def from_argument(self, builder, value):  # type: ignore[no-untyped-def]
        return builder.load(value)

    def contains_nrt_meminfo(self) -> bool:
        return False

    def traverse(self, builder):  # type: ignore[no-untyped-def]
        return []


@intrinsic
def _borrow(typing, value):  # type: ignore[no-untyped-def]
    if not isinstance(value, types.Array | types.NamedTuple | types.NamedUniTuple):
        return None
    borrowed = value
    if not isinstance(value, types.Array | Borrowed):
        borrowed = Borrowed(tuple(value), value.instance_class)

    def without_owner(context, builder, kind, array):  # type: ignore[no-untyped-def]
        if not isinstance(kind, types.Array):
            return array
        view = context.make_array(kind)(context, builder, array)
        for owner in ("meminfo", "parent"):
            setattr(view, owner, cgutils.get_null_value(getattr(view, owner).type))
        return view._getvalue()

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        if isinstance(value, Borrowed):
            return arguments[0]
        if isinstance(value, types.Array):
            return without_owner(context, builder, value, arguments[0])
        parts = cgutils.unpack_tuple(builder, arguments[0])
        parts = [without_owner(context, builder, k, part) for k, part in zip(value, parts, strict=True)]
        return context.make_tuple(builder, borrowed, parts)

    return borrowed(value), codegen


borrow = cast("Callable[[Any], Any]", _borrow)
"""Within kernels: the same array, or named tuple of arrays, without the counts of their uses that numba keeps.

A call with a tuple of forty arrays otherwise changes eighty of them, and passes 280 arguments; of a borrowed one it
passes a pointer. Only for what an argument of the function owns, or what it keeps until it returns: an array that
nobody keeps would be freed too early.
"""
