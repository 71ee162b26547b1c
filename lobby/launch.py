"""Starts child processes that import the same ``tussle`` as their parent.

A solver process that imported another copy of the code would compute other bits than its server expects. Children
run with ``-P``: the working directory is not searched, so that files in it which are called ``server.py`` or
``lobby.py`` are never imported. Where the parent's package is not in site-packages (a checkout, or a path that a
script has added), its folder is put in front of the child's PYTHONPATH. This module must never start a process.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from tussle.lobby.cpu_baseline import baseline_variables

__all__ = ["bare_environment", "child_environment", "module_command"]

HARMLESS = ("PATH", "LANG", "LC_ALL", "NUMBA_CACHE_DIR", "PYTHONPATH", "SYSTEMROOT")
"""The variables that a child gets which reads files of unknown origin: no password and no address."""


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs ``tussle.<module>`` with this interpreter. Run it with ``child_environment``."""
    return [sys.executable, "-P", "-m", f"tussle.{module}", *arguments]


def child_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """A copy of ``environ`` (default: this process's) in which a child finds the parent's package first, and computes
    with the CPU baseline."""
    result = dict(os.environ if environ is None else environ) | baseline_variables()
    root = Path(sys.modules["tussle"].__file__ or "").resolve().parent.parent
    if root in _site_folders():
        return result
    rest = [part for part in result.get("PYTHONPATH", "").split(os.pathsep) if part and part != str(root)]
    result["PYTHONPATH"] = os.pathsep.join([str(root), *rest])
    return result


def bare_environment() -> dict[str, str]:
    """The environment of a child that can import the parent's package and gets none of its settings."""
    return child_environment({name: os.environ[name] for name in HARMLESS if name in os.environ})


def _site_folders() -> set[Path]:
    folders = [*site.getsitepackages(), site.getusersitepackages(), *sysconfig.get_paths().values()]
    return {Path(folder).resolve() for folder in folders}
