"""Where machine code that numba has compiled is kept, and for which CPU it is made.

    folder of NUMBA_CACHE_DIR, the wheel, the module, the user or temporary files / NAME-<hash of the sources> /
        compiled-<target_hash>      marks that all functions are there, for this compiler and CPU

The code is made for the CPU baseline (lobby/cpu_baseline.py): a folder may be moved to another machine, and a wheel may
bring it (hatch_build.py). This module
must never import numba before a function of it is called.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import stat
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tussle.lobby.cpu_baseline import baseline, cpu_features

__all__ = [
    "NotStored",
    "compile_for_baseline",
    "compiled_mark",
    "find_code_folder",
    "only_loading",
    "readable_folders",
]


def compile_for_baseline() -> None:
    """Set the CPU that numba compiles for. Raises ImportError where numba compiles for another one already."""
    import numba
    from numba.core.registry import cpu_target

    name, config = baseline(), numba.config
    settings: Any = config
    if name in (None, settings.CPU_NAME):
        return
    if "_toplevel_target_context" in vars(cpu_target):  # made when the first function is compiled or loaded
        raise ImportError(f"numba must compile for {name}: import tussle before other code uses numba")
    settings.CPU_NAME, settings.CPU_FEATURES = name, ""


class NotStored(Exception):
    """The machine code of a function is not stored."""


@contextlib.contextmanager
def only_loading() -> Iterator[None]:
    """Within it numba loads machine code without its tables of what can be compiled, and without parsing the code of
    LLVM that is stored beside it: together half of the time of a solver's start, and a fifth of its memory. A function
    whose code is not stored raises NotStored. Inner parts of numba are used; where they are missing, nothing is left
    out."""
    from numba.core import base, codegen, dispatcher, runtime
    from numba.core.typing import context

    def refuse(self: Any, *types: Any) -> None:
        raise NotStored(self.py_func.__qualname__)

    try:
        start: Any = vars(runtime)["rtsys"].initialize  # the machine code needs the runtime
        replaced: list[tuple[Any, str, Any]] = [
            (base.BaseContext, "refresh", lambda self: start(self)),
            (context.BaseContext, "refresh", lambda self: None),
            (vars(dispatcher)["_FunctionCompiler"], "compile", refuse),
            (vars(codegen)["JITCPUCodegen"], "_library_class", _loaded_library()),
        ]
        usual = [getattr(owner, name) for owner, name, _ in replaced]
    except (AttributeError, ImportError, KeyError):
        yield
        return
    for owner, name, other in replaced:
        setattr(owner, name, other)
    try:
        yield
    finally:
        for (owner, name, _), method in zip(replaced, usual, strict=True):
            setattr(owner, name, method)


@functools.cache
def compiled_mark() -> str:
    """The name of the file that marks a folder as complete. It has a hash of the compiler and of the CPU.

    Of Python and numpy only the part of the version counts with which their binary interfaces change.
    """
    compilers = [version("numba"), version("llvmlite"), version("numpy").partition(".")[0]]
    target = platform.python_version_tuple()[:2], platform.machine(), baseline() or cpu_features()
    return f"compiled-{hashlib.sha256(repr((compilers, target)).encode()).hexdigest()[:8]}"


def find_code_folder(name: str, module: str) -> Path:
    """Return the folder of that name: of the usual places, the first with all machine code of this target, even where
    nothing can be written (in an image); else the first that can be written. ``module``: the file that uses it."""
    for folder in readable_folders(name, module):
        if (folder / compiled_mark()).exists():
            return folder
    folders = _folders(name, module)
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return folders[-1]


def readable_folders(name: str, module: str) -> list[Path]:
    """The folders of that name in which something may be, also where nothing can be written; that of a wheel comes
    before all but NUMBA_CACHE_DIR."""
    folders = _folders(name, module)
    folders.insert(
        1 if os.environ.get("NUMBA_CACHE_DIR") else 0, Path(__file__).parent.parent / "kernels" / name
    )
    return folders


def _folders(name: str, module: str) -> list[Path]:
    places = [Path(module).parent / "__pycache__", *_private_temporary()]
    with contextlib.suppress(RuntimeError):  # a user without an entry and without HOME, in a container
        places.insert(1, Path.home() / ".cache")
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        places.insert(0, Path(chosen))
    return [place / name for place in places]


def _private_temporary() -> list[Path]:
    """A folder for temporary files in which only this user can put machine code; none where there is none."""
    try:
        place = Path(tempfile.gettempdir()) / f"tussle-{os.getuid()}"
        place.mkdir(mode=0o700, exist_ok=True)
        about = place.lstat()
    except (OSError, AttributeError):  # no folder can be written; Windows has no getuid
        return []
    private = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o022
    return [place] if private else []


def _loaded_library() -> type[Any]:
    """A class of numba's libraries for code that was stored. What a caller needs to contain the function is parsed when
    such a caller is compiled. Raises AttributeError or KeyError with a numba of another structure."""
    from numba.core import codegen

    usual: Any = vars(codegen)["JITCodeLibrary"]
    parse: Any = vars(codegen)["ll"].parse_bitcode
    for name in ("_set_compiled_object", "_finalize_final_module", "_get_module_for_linking"):
        getattr(usual, name)

    class LoadedLibrary(usual):  # type: ignore[misc]
        _symbols = b""
        _unparsed = b""

        @classmethod
        def _unserialize(cls, generator: Any, state: Any) -> Any:
            name, kind, data = state
            if kind != "object":
                return super()._unserialize(generator, state)
            self = generator.create_library(name)
            self._symbols, self._unparsed = data
            self.enable_object_caching()
            self._set_compiled_object(self._symbols)
            self._finalize_final_module()
            return self

        def get_pointer_to_function(self, name: str) -> int:
            if not self._symbols:
                return int(super().get_pointer_to_function(name))
            # LLVM ends the process when it is asked for a symbol that it does not have.
            there = name.encode() + b"\0" in self._symbols
            return int(self._codegen._engine.get_function_address(name)) if there else 0

        def _get_module_for_linking(self) -> Any:
            if self._unparsed:
                self._shared_module = parse(self._unparsed)
                self._codegen._engine._load_defined_symbols(self._shared_module)
                self._unparsed = b""
            return super()._get_module_for_linking()

    return LoadedLibrary
