"""Modes outside of the package: the Python files that the setting MODES names.

    MODES=putt.py,rules/tag  ->  find_sources -> the files, for physics_id
                             ->  load_modes   -> name -> class; each file lists its classes in MODES = (Putt,)

The files are loaded once per process. A file that cannot be used stops the process with one line. This module must
never replace a mode of the package.
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

from tussle.lobby.environment import BadSetting, split_list
from tussle.server.modes.mode import Mode

__all__ = ["find_sources", "load_modes"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
_FUNCTIONS = tuple(
    name for name, _ in inspect.getmembers(Mode, inspect.isfunction) if name[0] != "_" and name != "event"
)


def find_sources(setting: str) -> list[Path]:
    """Return the files that the setting names, and all Python files of its folders. Raises BadSetting."""
    found: list[Path] = []
    for path in _paths(setting):
        found += sorted(path.glob("**/*.py")) if path.is_dir() else [path]
    return found


def load_modes(setting: str, taken: Iterable[str]) -> dict[str, type[Mode]]:
    """Return the modes that the setting names. Raises BadSetting for an object that is not a mode, and for a name in
    ``taken``."""
    modes: dict[str, type[Mode]] = {}
    taken = set(taken)
    for path in _paths(setting):
        named = getattr(_load(path), "MODES", None)
        if not isinstance(named, (tuple, list)) or not named:
            raise BadSetting(f"MODES={path}: must define MODES = (YourMode,)")
        for mode in named:
            _check(path, mode)
            if mode.name in taken:
                raise BadSetting(f"MODES={path}: a mode called {mode.name!r} exists already")
            taken.add(mode.name)
            modes[mode.name] = mode
    return modes


def _paths(setting: str) -> list[Path]:
    paths = [Path(word).resolve() for word in split_list(setting)]
    for path in paths:
        if not ((path.suffix == ".py" and path.is_file()) or (path / "__init__.py").is_file()):
            raise BadSetting(f"MODES={path}: neither a .py file nor a folder with an __init__.py")
    return paths


def _load(path: Path) -> ModuleType:
    """Import a file, or a folder as a package, as the module tussle_modes_NAME."""
    folder = path.is_dir()
    spec = importlib.util.spec_from_file_location(
        f"tussle_modes_{path.stem}",
        path / "__init__.py" if folder else path,
        submodule_search_locations=[str(path)] if folder else None,
    )
    assert spec is not None and spec.loader is not None, path
    if spec.name in sys.modules:
        raise BadSetting(f"MODES={path}: another file is called {path.stem!r} too")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise BadSetting(f"MODES={path}: {type(error).__name__}: {error}") from error
    return module


def _check(path: Path, mode: Any) -> None:
    """Check what can be checked before a session starts. Raises BadSetting."""
    if not inspect.isclass(mode):
        raise BadSetting(f"MODES={path}: {mode!r} is not a class")
    given = {name: getattr(mode, name, None) for name in Mode.__annotations__}
    sound = {
        "name": isinstance(given["name"], str) and _NAME.fullmatch(given["name"]),
        "version": isinstance(given["version"], int),
        "policy": given["policy"] in ("turns", "slots"),
        "seats": isinstance(given["seats"], tuple) and [type(n) for n in given["seats"]] == [int, int],
        "state_type": inspect.isclass(given["state_type"])
        and issubclass(given["state_type"], msgspec.Struct),
    }
    authored = inspect.getattr_static(mode, "authored", None)
    builds = authored is not None and authored is not inspect.getattr_static(Mode, "authored")
    sound["authored (needed by editable_scene)"] = builds or not getattr(mode, "editable_scene", False)
    sound |= {name: callable(getattr(mode, name, None)) for name in _FUNCTIONS}
    wrong = [name for name, well in sound.items() if not well]
    if wrong:
        raise BadSetting(f"MODES={path}: {mode.__name__} has no usable {', '.join(wrong)}")
