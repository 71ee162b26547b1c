"""How many vertices a recipe makes, by arithmetic: a scene is bounded before anything is computed.

server/physics/shapes.py makes the meshes; tests/lobby/rules/test_shape_sizes.py compares both. This module must never
make a mesh.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Recipe

__all__ = ["MOST_VERTICES", "count_vertices"]

MOST_VERTICES = 1_000_000
"""Larger shapes are refused without naming their size."""


def count_vertices(recipe: Recipe) -> int:
    """The number of vertices of a procedural shape. Raises Refused (bad_scene) for an unknown kind or wrong
    parameters."""
    counter = _COUNTERS.get(recipe.kind)
    if counter is None:
        raise Refused(f"no shape is called {recipe.kind!r}", code="bad_scene", field="shape.kind")
    try:
        count = counter(**recipe.params)
        if not 0 < count <= MOST_VERTICES:
            raise ValueError("too many vertices")
    except (TypeError, ValueError, OverflowError, IndexError) as error:
        raise Refused(f"shape {recipe.kind!r}: {error}", code="bad_scene", field="shape.params") from None
    return count


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e9:
        raise ValueError("a parameter is not a number")
    return float(value)


def _whole(value: Any, low: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= MOST_VERTICES:
        raise ValueError("a count is not a positive whole number")
    return value


def _three(values: Any) -> list[float]:
    if not isinstance(values, list | tuple) or len(values) != 3:
        raise ValueError("three numbers are needed")
    return [_number(value) for value in values]


def _numbers(**values: Any) -> None:
    for value in values.values():
        _number(value)


def _lobes(values: Any) -> None:
    if not isinstance(values, list | tuple):
        raise ValueError("lobes are a list")
    for lobe in values:
        if not isinstance(lobe, list | tuple) or len(lobe) != 5:
            raise ValueError("a lobe has five numbers")
        for value in lobe:
            _number(value)


def _level(level: Any) -> int:
    return 10 * (1 << 2 * min(_whole(level, 0), 10)) + 2


def _cuboid(size: Any) -> int:
    _three(size)
    return 8


def _sphere(radius: Any, level: Any = 1) -> int:
    _numbers(radius=radius)
    return _level(level)


def _pebble(radii: Any, bump: Any) -> int:
    _three(radii)
    _number(bump)
    return 42


def _lathe(profile: Any, n: Any) -> int:
    if not isinstance(profile, list | tuple) or not profile:
        raise ValueError("a profile is a list of [r, y]")
    rows = []
    for point in profile:
        if not isinstance(point, list | tuple) or len(point) != 2:
            raise ValueError("a profile is a list of [r, y]")
        rows.append(1 if _number(point[0]) < 1e-9 else _whole(n))
        _number(point[1])
    return sum(rows) + (rows[0] > 1) + (rows[-1] > 1)


def _capsule(radius: Any, length: Any, n: Any = 10, rings: Any = 3) -> int:
    _numbers(radius=radius, length=length)
    return 2 + 2 * _whole(n) * _whole(rings)


def _torus(n: Any, m: Any, R: Any, r: Any) -> int:
    _numbers(R=R, r=r)
    return _whole(n) * _whole(m)


def _star(n: Any, R: Any, r: Any, h: Any) -> int:
    _numbers(R=R, r=r, h=h)
    return 4 * _whole(n) + 2


def _gear(n: Any, R: Any, r: Any, h: Any) -> int:
    _numbers(R=R, r=r, h=h)
    return 8 * _whole(n) + 2


def _ell(arm: Any, width: Any, h: Any) -> int:
    _numbers(arm=arm, width=width, h=h)
    return 14


def _cross(R: Any, w: Any, h: Any) -> int:
    _numbers(R=R, w=w, h=h)
    return 26


def _nut(n: Any, R: Any, r: Any, h: Any) -> int:
    _numbers(R=R, r=r, h=h)
    return 4 * _whole(n)


def _crescent(n: Any, R: Any, r: Any, arc: Any, h: Any, bottom_scale: Any = 1.0, focus: Any = 0.0) -> int:
    _numbers(R=R, r=r, arc=arc, h=h, bottom_scale=bottom_scale, focus=focus)
    return 4 * _whole(n, 2)


def _tetra(R: Any) -> int:
    _number(R)
    return 4


def _blob(radius: Any, level: Any = 2, lobes: Any = ()) -> int:
    _number(radius)
    _lobes(lobes)
    return _level(level)


def _block(size: Any, cells: Any) -> int:
    _three(size)
    if not isinstance(cells, list | tuple) or len(cells) != 3:
        raise ValueError("cells are three positive numbers")
    return math.prod(_whole(cell) + 1 for cell in cells)


def _ball(radius: Any, cells: Any = 4, lobes: Any = ()) -> int:
    _number(radius)
    _lobes(lobes)
    return (_whole(cells) + 1) ** 3


def _platform(sides: Any, radius: Any, depth: Any, bottom_scale: Any = 1.0, apothems: Any = ()) -> int:
    _numbers(radius=radius, depth=depth, bottom_scale=bottom_scale)
    if not isinstance(apothems, list | tuple) or len(apothems) not in (0, sides):
        raise ValueError("there is one apothem for each side")
    for apothem in apothems:
        _number(apothem)
    return 2 * _whole(sides)


def _bowl(radius: Any, n: Any = 14, rings: Any = 5, reach: Any = 0.95) -> int:
    _numbers(radius=radius, reach=reach)
    return 1 + _whole(n) * _whole(rings)


_COUNTERS: dict[str, Callable[..., int]] = {
    "box": _cuboid,
    "sphere": _sphere,
    "pebble": _pebble,
    "lathe": _lathe,
    "capsule": _capsule,
    "torus": _torus,
    "star": _star,
    "gear": _gear,
    "ell": _ell,
    "cross": _cross,
    "nut": _nut,
    "crescent": _crescent,
    "tetra": _tetra,
    "blob": _blob,
    "block": _block,
    "ball": _ball,
    "platform": _platform,
    "slab": _cuboid,
    "bowl": _bowl,
}
