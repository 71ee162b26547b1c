"""Kernels as Python interprets them: to compile one and all that it calls for a single test takes up to half a minute.

A session runs the same functions within ``minimise_potential``, whose machine code the installation stores; a test of
test_jit.py compares it with what Python gives.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from tussle.server.physics import jit, tiles
from tussle.server.physics.world_state import Floats

__all__ = ["as_python"]


def subtract_columns(
    left: Floats, left_at: int, right: Floats, right_at: int, count: int, out: Floats, out_at: int
) -> None:
    """Four columns of the tile ``out`` minus the product of two rows of tiles, over ``count`` unknowns."""
    columns = left[left_at : left_at + tiles.TILE * count].reshape(count, tiles.TILE)
    rows = right[right_at + tiles.TILE * np.arange(count)[:, None] + np.arange(tiles.LANES)]
    out[out_at : out_at + tiles.TILE * tiles.LANES] -= (rows.T @ columns).ravel()


def solve_columns(factor: Floats, factor_at: int, pivots: Floats, out: Floats, out_at: int) -> None:
    """Overwrite a tile with X, where X L^T is the tile."""
    columns = out[out_at : out_at + tiles.TILE_SIZE].reshape(tiles.TILE, tiles.TILE)
    for j in range(tiles.TILE):
        columns[j] *= pivots[j]
        for k in range(j + 1, tiles.TILE):
            columns[k] -= columns[j] * factor[factor_at + tiles.TILE * j + k]


INSTRUCTIONS: dict[Any, Callable[..., Any]] = {
    jit.fma: lambda a, b, c: a * b + c,
    jit.borrow: lambda value: value,
    tiles.subtract_columns: subtract_columns,
    tiles.solve_columns: solve_columns,
}
"""What the kernels have in the instructions of LLVM -> the same in Python. A product is rounded before its sum."""


def as_python(function: Callable[..., Any], made: dict[Any, Any] | None = None) -> Callable[..., Any]:
    """The function of Python that a kernel is made from. All kernels that it calls are such functions too. ``made``:
    those that there are already."""
    made = dict(INSTRUCTIONS) if made is None else made
    if function not in made:
        source: FunctionType = getattr(function, "py_func", function)  # type: ignore[assignment]
        names = dict(source.__globals__)
        made[function] = FunctionType(
            source.__code__, names, source.__name__, source.__defaults__, source.__closure__
        )
        for name in source.__code__.co_names:
            called = names.get(name)
            if hasattr(called, "py_func") or (called.__hash__ and called in INSTRUCTIONS):
                names[name] = as_python(called, made)
    found: Callable[..., Any] = made[function]
    return found
