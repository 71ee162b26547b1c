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

_OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "nogil": True}


PATHS = [Path(__file__).with_name(name) for name in ("delta_kernel.py", "delta_measure.py")]
TEXTS = [path.read_text() for path in PATHS]
VERSION = hashlib.sha256(repr(TEXTS).encode()).hexdigest()[:8]


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    # numba keeps machine code by name, and notices a change only in the file of the function, not of its callees.
    function.__qualname__ = f"{function.__name__}_{VERSION}"
    return cast("Callable[..., Any]", numba.njit(**_OPTIONS)(function))


def _compile() -> ModuleType:
    """The two modules in one namespace, compiled."""
    module = ModuleType(f"{__name__}.kernel")
    vars(module)["COMPILER"] = _jit
    sys.modules[module.__name__] = module
    for path, text in zip(PATHS, TEXTS, strict=True):
        exec(compile(text, str(path), "exec"), vars(module))
    return module


_kernel = _compile()
code_frame = _kernel.code_frame
end_of = _kernel.end_of
measure = _kernel.measure
