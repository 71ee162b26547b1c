"""The physics id: two servers with equal ids step equal states to equal bits.

    source     every module that the simulation can import, and the files of the setting MODES
    libraries  versions of the libraries that compute, of Python and of the C library
    cpu        the CPU baseline of the architecture, lobby/cpu_baseline.py; the instruction sets where it is not used

Floating-point results may differ when any of these differs. ``origin`` lists them by name, so that a report can say
which part differs. This module must never import the solver: it reads source files.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import version
from pathlib import Path

from tussle.lobby.cpu_baseline import cpu_identity, cpu_model
from tussle.server.modes.registry import outside_sources

__all__ = ["find_modules", "hash_modules", "imported_names", "origin", "physics_id"]

COMPUTING = ("numpy", "numba", "llvmlite", "ipctk")
PACKAGE = "tussle"
ROOT = "tussle.server.simulation.simulation"

IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]+)|import[ \t]+([\w., ]+))", re.MULTILINE
)
TYPES_ONLY = re.compile(r"^([ \t]*)if TYPE_CHECKING:[^\n]*\n(?:\1[ \t]+[^\n]*\n|[ \t]*\n)*", re.MULTILINE)
COMMENT = re.compile(r"#[^\n]*")


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

    The result has ``root``, the imports of its imports, and the packages that they are in. It is found in the texts of
    the sources, and nothing is imported for it: a server needs the id before it serves, and has no solver.
    """
    found: dict[str, Path] = {}
    places: dict[str, Sequence[str] | None] = {}
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] != PACKAGE:
            continue
        path = _find_source(name, places)
        if path is None:  # a class or a function of the module before the last dot
            continue
        found[name] = path
        waiting.append(name.rpartition(".")[0])
        waiting += imported_names(path.read_text())
    return dict(sorted(found.items()))


def hash_modules(modules: Mapping[str, Path], others: Iterable[Path] = ()) -> str:
    """A hash over names and bytes of modules, and over further files: 16 hexadecimal digits. A module counts by its
    dotted name, a further file by its base name."""
    digest = hashlib.sha256()
    for name, path in [*sorted(modules.items()), *((path.name, path) for path in others)]:
        source = path.read_bytes()
        digest.update(f"{name}\0{len(source)}\0".encode() + source)
    return digest.hexdigest()[:16]


def _find_source(name: str, places: dict[str, Sequence[str] | None]) -> Path | None:
    """The source file of a module; None if there is no module of that name. ``places``: package -> where its modules
    are, None for a module that is no package; those that were looked for."""
    parent = name.rpartition(".")[0]
    if parent and parent not in places:
        _find_source(parent, places)
    spec = None
    if not parent or places[parent] is not None:
        spec = PathFinder.find_spec(name, places[parent] if parent else None)
        if not parent and PACKAGE in sys.modules:  # a checkout has added a place
            places[name] = list(sys.modules[PACKAGE].__path__)
    places.setdefault(name, None if spec is None else spec.submodule_search_locations)
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def imported_names(source: str) -> Iterator[str]:
    """The dotted name of every import in a formatted source, except under ``if TYPE_CHECKING``, where nothing is
    imported at run time. ``from a import b`` yields ``a`` and ``a.b``: b may be a module. A line of a text that looks
    like an import counts as one."""
    for module, names, plain in IMPORT.findall(TYPES_ONLY.sub("", COMMENT.sub("", source))):
        listed = [part.split()[0] for part in (names or plain).strip("()").split(",") if part.strip()]
        if plain:
            yield from listed
        elif not module.startswith("."):
            yield module
            yield from (f"{module}.{name}" for name in listed)
