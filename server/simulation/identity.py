"""The physics id: two servers with equal ids step equal states to equal bits.

    source     every module that the simulation can import, and the files of the setting MODES
    libraries  versions of the libraries that compute, of Python and of the C library
    cpu        the CPU baseline of the architecture, lobby/cpu_baseline.py; the instruction sets where it is not used

Floating-point results may differ when any of these differs. ``origin`` lists them by name, so that a report can say
which part differs. This module must never import the solver: it reads source files.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import platform
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

from tussle.lobby.cpu_baseline import cpu_identity, cpu_model
from tussle.server.modes.registry import outside_sources

__all__ = ["find_modules", "hash_modules", "origin", "physics_id"]

COMPUTING = ("numpy", "scipy", "numba", "llvmlite", "ipctk")
PACKAGE = "tussle"
ROOT = "tussle.server.simulation.simulation"


@cache
def origin() -> dict[str, str]:
    """What the results of the simulation depend on, by name: the version of each library, python, libc, machine, cpu
    (the baseline, or a hash of the instruction sets) and source (a hash). Also cpu_model, which is not in the id."""
    return {
        **{library: version(library) for library in COMPUTING},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip() or platform.platform(terse=True),
        "cpu": cpu_identity(),
        "cpu_model": cpu_model(),
        "source": hash_modules(find_modules(), outside_sources()),
    }


@cache
def physics_id() -> str:
    """The id of the physics that this process computes: 16 hexadecimal digits."""
    parts = sorted((name, value) for name, value in origin().items() if name != "cpu_model")
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def find_modules(root: str = ROOT) -> dict[str, Path]:
    """The modules of this package that ``root`` can import, at its start or inside of a function: dotted name -> file.

    The result has ``root``, the imports of its imports, and the packages that they are in. It is found in the syntax
    trees of the sources; nothing is executed but ``__init__`` modules of packages.
    """
    found: dict[str, Path] = {}
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] != PACKAGE:
            continue
        path = _find_source(name)
        if path is None:  # a class or a function of the module before the last dot
            continue
        found[name] = path
        waiting.append(name.rpartition(".")[0])
        waiting += _imports(ast.parse(path.read_bytes(), str(path)))
    return dict(sorted(found.items()))


def hash_modules(modules: Mapping[str, Path], others: Iterable[Path] = ()) -> str:
    """A hash over names and bytes of modules, and over further files: 16 hexadecimal digits. A module counts by its
    dotted name, a further file by its base name."""
    digest = hashlib.sha256()
    for name, path in [*sorted(modules.items()), *((path.name, path) for path in others)]:
        source = path.read_bytes()
        digest.update(f"{name}\0{len(source)}\0".encode() + source)
    return digest.hexdigest()[:16]


def _find_source(name: str) -> Path | None:
    """The source file of a module; None if there is no module of that name."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _imports(tree: ast.AST) -> Iterator[str]:
    """The dotted name of every import, except under ``if TYPE_CHECKING``, where nothing is imported at run time.
    ``from a import b`` yields ``a`` and ``a.b``: b may be a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from _imports(ast.Module(body=node.orelse, type_ignores=[]))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imports(node)
