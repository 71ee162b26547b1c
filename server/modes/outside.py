"""Modes from outside of the package: the Python files that the setting MODES names.

    MODES=putt.py,rules/tag  ->  find_sources -> their files, for physics_id
                             ->  load_modes   -> name -> class; a file says which classes by MODES = (Putt,)

Rules are code: they are loaded once per process, and a file that cannot be used stops the process with one line. This
module must never change what a mode of the package is.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from tussle.lobby.settings import BadSetting
from tussle.server.modes.mode import Mode

__all__ = ["find_sources", "load_modes"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
_FUNCTIONS = tuple(name for name, _ in inspect.getmembers(Mode, inspect.isfunction) if name[0] != "_")


def find_sources(setting: str) -> list[Path]:
    """The files of the modes that the setting names, of a folder all modules in it. Raises BadSetting."""
    found: list[Path] = []
    for path in _paths(setting):
        found += sorted(path.glob("**/*.py")) if path.is_dir() else [path]
    return found


def load_modes(setting: str, taken: Iterable[str]) -> dict[str, type[Mode]]:
    """The modes that the setting names. Raises BadSetting for what is no mode or has a name that is ``taken``."""
    modes: dict[str, type[Mode]] = {}
    taken = set(taken)
    for path in _paths(setting):
        named = getattr(_load(path), "MODES", None)
        if not isinstance(named, (tuple, list)) or not named:
            raise BadSetting(f"MODES={path}: must say MODES = (YourMode,)")
        for mode in named:
            _check(path, mode)
            if mode.name in taken:
                raise BadSetting(f"MODES={path}: there is a mode called {mode.name!r} already")
            taken.add(mode.name)
            modes[mode.name] = mode
    return modes


def _paths(setting: str) -> list[Path]:
    paths = [Path(word.strip()).resolve() for word in setting.split(",") if word.strip()]
    for path in paths:
        if not ((path.suffix == ".py" and path.is_file()) or (path / "__init__.py").is_file()):
            raise BadSetting(f"MODES={path}: neither a file .py nor a folder with an __init__.py")
    return paths


def _load(path: Path) -> ModuleType:
    """Import a file, or a folder as a package, under a name of its own."""
    folder = path.is_dir()
    spec = importlib.util.spec_from_file_location(
        f"tussle_modes_{path.stem}",
        path / "__init__.py" if folder else path,
        submodule_search_locations=[str(path)] if folder else None,
    )
    assert spec is not None and spec.loader is not None, path
    if spec.name in sys.modules:
        raise BadSetting(f"MODES={path}: another one is called {path.stem!r} too")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise BadSetting(f"MODES={path}: {type(error).__name__}: {error}") from error
    return module


def _check(path: Path, mode: Any) -> None:
    """What can be told before a session is played."""
    if not inspect.isclass(mode):
        raise BadSetting(f"MODES={path}: {mode!r} is no class")
    given = {name: getattr(mode, name, None) for name in Mode.__annotations__}
    sound = {
        "name": isinstance(given["name"], str) and _NAME.fullmatch(given["name"]),
        "version": isinstance(given["version"], int),
        "policy": given["policy"] in ("turns", "slots"),
        "seats": isinstance(given["seats"], tuple) and [type(n) for n in given["seats"]] == [int, int],
        "state_type": inspect.isclass(given["state_type"])
        and issubclass(given["state_type"], msgspec.Struct),
    }
    sound |= {name: callable(getattr(mode, name, None)) for name in _FUNCTIONS}
    wrong = [name for name, well in sound.items() if not well]
    if wrong:
        raise BadSetting(f"MODES={path}: {mode.__name__} has no usable {', '.join(wrong)}")
