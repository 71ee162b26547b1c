"""Where the machine code of raster.py is kept: a folder that has the hash of the sources in its name.

Without it the first picture of an installation takes ten seconds of CPU, and in an image whose files cannot be written
so does the first one of each container. It is compiled with the solver's kernels (server/solver/kernels.py). This
module must never draw.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from tussle.lobby.machine_code import compiled_mark, find_code_folder
from tussle.server.physics import jit

__all__ = ["RasterCacheLocator", "has_raster_code", "keep_raster_code", "raster_folder"]

SOURCES = (Path(__file__).with_name("raster.py"), Path(jit.__file__))


@functools.cache
def _sources_hash() -> str:
    return hashlib.sha256(repr([path.read_bytes() for path in SOURCES]).encode()).hexdigest()


@functools.cache
def raster_folder() -> Path:
    """The folder of the machine code."""
    return find_code_folder(f"tussle-raster-{_sources_hash()[:16]}", __file__)


def has_raster_code() -> bool:
    """Whether drawing loads machine code instead of compiling it."""
    return (raster_folder() / compiled_mark()).exists()


class RasterCacheLocator(jit.KernelCacheLocator):
    """The place of the machine code of one function of raster.py, for numba (CACHE_LOCATOR_CLASSES)."""

    @classmethod
    def from_function(cls, function: Callable[..., Any], path: str) -> RasterCacheLocator | None:
        """The locator of a function; None for a function of another module."""
        return cls(function) if Path(path) == SOURCES[0] else None

    def ensure_cache_path(self) -> None:
        raster_folder().mkdir(parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        return str(raster_folder())

    def get_source_stamp(self) -> str:
        return _sources_hash()


def keep_raster_code() -> None:
    """Before the functions are defined: let numba keep their machine code in that folder."""
    config: Any = numba.config
    own = f"{__name__}.{RasterCacheLocator.__name__}"
    if own not in config.CACHE_LOCATOR_CLASSES:
        config.CACHE_LOCATOR_CLASSES = f"{own},{config.CACHE_LOCATOR_CLASSES}"
