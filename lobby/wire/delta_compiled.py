"""The functions of delta_kernel.py and delta_measure.py as machine code.

numba compiles them at the first call and keeps the result on disk. Importing this module loads numba: only processes
that encode import it, and decoders of large elastic bodies.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numba

__all__ = ["code_frame", "end_of", "measure"]

SOURCES = ("delta_kernel.py", "delta_measure.py")

_OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "nogil": True}


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    return cast("Callable[..., Any]", numba.njit(**_OPTIONS)(function))


def _compile() -> ModuleType:
    """The modules of SOURCES in one namespace and compiled. Its name has the hash of the sources: numba keeps machine
    code by name, and notices a change only in the file of the compiled function, not in those of its callees."""
    paths = [Path(__file__).with_name(name) for name in SOURCES]
    texts = [path.read_text() for path in paths]
    module = ModuleType(f"{__name__}.kernel_{hashlib.sha256(repr(texts).encode()).hexdigest()[:8]}")
    vars(module)["COMPILER"] = _jit
    sys.modules[module.__name__] = module
    for path, text in zip(paths, texts, strict=True):
        exec(compile(text, str(path), "exec"), vars(module))
    return module


_kernel = _compile()
code_frame = _kernel.code_frame
end_of = _kernel.end_of
measure = _kernel.measure
