"""The boundaries of polyfem's scenes: which vertices a selection has, and how a boundary moves them, as keyframes.

A boundary prescribes the displacement of the faces with its number, as a function of time: numbers, expressions in t,
or samples, times an interpolation. Displacements that differ from vertex to vertex are not read.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tussle.lobby.rules.motions import KEYFRAMES_MAX, Keyframe, Motion
from tussle.server.physics.geometry import Ints, Mesh
from tussle.server.physics.world_state import Floats

__all__ = ["UNREAD", "read_motion", "select_vertices"]

EXPRESSION_CHARACTERS = 500
"""The longest expression that is read."""
UNREAD = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ArithmeticError,
    SyntaxError,
    RecursionError,
)
"""What the functions of this module raise for a boundary or selection that is not read."""

OPERATORS: Mapping[type, Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: math.fmod,
    ast.Pow: math.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def _smoothstep(a: float) -> float:
    a = min(max(a, 0.0), 1.0)
    return 3.0 * a**2 - 2.0 * a**3


FUNCTIONS: Mapping[str, Callable[..., float]] = {
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh",
                                              "tanh", "exp", "sqrt", "floor", "ceil", "pow")},
    "abs": abs,
    "ln": math.log,
    "log": math.log10,
    "log10": math.log10,
    "min": min,
    "max": max,
    "smoothstep": _smoothstep,
    "half_smoothstep": lambda a: 2.0 * _smoothstep(0.5 * (a + 1.0)) - 1.0,
    "deg2rad": math.radians,
    "sign": lambda a: float((a > 0.0) - (a < 0.0)),
    "if": lambda check, then, other: then if check >= 0.0 else other,
    "compare": lambda a, b: float(a < b),
}  # fmt: skip
"""The functions of polyfem's expressions, which are those of tinyexpr and some of its own."""


def read_motion(entry: Mapping[str, Any], end: float) -> Motion | None:
    """Return the motion of a boundary up to the time ``end`` [s]; None if it does not move.

    entry: "value", the displacements along x, y and z [m], and perhaps "interpolation". A motion that is not straight
    is sampled. Raises one of UNREAD.
    """
    if not (end > 0.0 and math.isfinite(end)):
        raise ValueError("the scene has no end")
    if not all(entry.get("dimension", (True, True, True))):
        raise ValueError("only some directions are prescribed")
    values = entry["value"]
    if not isinstance(values, list) or len(values) != 3:
        raise ValueError("a displacement has three parts")
    given = entry.get("interpolation", [])
    scales = [_interpolation(one) for one in (given if isinstance(given, list) else [given])]
    if len(scales) not in (0, 1, 3):
        raise ValueError("an interpolation is one, or three")
    parts = [_function(value) for value in values]

    def place(time: float) -> tuple[float, float, float]:
        x, y, z = (
            part(time) * (scales[axis if len(scales) == 3 else 0](time) if scales else 1.0)
            for axis, part in enumerate(parts)
        )
        return x, y, z

    times = [end * number / KEYFRAMES_MAX for number in range(KEYFRAMES_MAX + 1)]
    places = np.array([place(time) for time in times])
    if not np.isfinite(places).all():
        raise ValueError("a displacement is not finite")
    if not places.any():
        return None
    if np.abs(places[0]).max() > 1e-9:
        raise ValueError("it does not begin where the body is")
    size = float(np.abs(places).max())
    straight = np.outer(np.array(times) / end, places[-1])
    if np.abs(places - straight).max() <= 1e-9 * size:
        x, y, z = (places[-1] / end).tolist()
        return Motion(velocity=(x, y, z), until=end)
    kept = _corners(places, 1e-9 * size)
    return Motion(keys=tuple(Keyframe(times[n], tuple(places[n].tolist())) for n in kept if n))


def _corners(places: Floats, tolerance: float) -> list[int]:
    """Return the numbers of the samples at which a polyline turns, and its ends."""
    inner = np.abs(places[2:] - 2.0 * places[1:-1] + places[:-2]).max(axis=1) > tolerance
    return [0, *(np.flatnonzero(inner) + 1).tolist(), len(places) - 1]


def _function(value: Any) -> Callable[[float], float]:
    """Return a displacement as a function of the time [s]."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        return lambda time: number
    if not isinstance(value, str) or len(value) > EXPRESSION_CHARACTERS:
        raise ValueError("a displacement is a number or an expression")
    # if is a word of Python, but a function of these expressions.
    tree = ast.parse(value.replace("^", "**").replace("if(", "if_("), mode="eval").body
    return lambda time: _evaluate(tree, time)


def _evaluate(node: ast.expr, time: float) -> float:
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
    ):
        return float(node.value)
    if isinstance(node, ast.Name):
        return {"t": time, "pi": math.pi, "e": math.e}[node.id]
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](_evaluate(node.left, time), _evaluate(node.right, time))
    if isinstance(node, ast.UnaryOp):
        return OPERATORS[type(node.op)](_evaluate(node.operand, time))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return float(FUNCTIONS[node.func.id.rstrip("_")](*(_evaluate(one, time) for one in node.args)))
    raise ValueError("an expression of t alone is read")


def _interpolation(given: Mapping[str, Any]) -> Callable[[float], float]:
    """Return the factor of a displacement as a function of the time [s]."""
    kind = given.get("type", "none")
    if kind == "none":
        return lambda time: 1.0
    if kind == "linear":
        return lambda time: time
    if kind == "linear_ramp":
        begin, to = float(given.get("from", 0.0)), float(given["to"])
        if not begin < to:
            raise ValueError("a ramp ends after it begins")
        return lambda time: (min(max(time, begin), to) - begin) / (to - begin)
    if kind == "piecewise_linear" and given.get("extend", "constant") == "constant":
        points, values = _numbers(given["points"]), _numbers(given["values"])
        if len(points) != len(values) or not points or (np.diff(points) <= 0.0).any():
            raise ValueError("the points of an interpolation are in order, each with a value")
        return lambda time: float(np.interp(time, points, values))
    raise ValueError(f"the interpolation {kind} is not read")


def _numbers(values: Sequence[Any]) -> list[float]:
    return [float(value) for value in values]


def select_vertices(mesh: Mesh, selection: Any, number: int) -> Ints:
    """Return the vertices of the faces of a mesh in place that selections give a number; none if no one does.

    selection: of polyfem: the number of all faces, one object, or a list of objects. The first that has a face counts.
    Raises one of UNREAD.
    """
    if selection is None:
        return np.zeros(0, dtype=np.int64)
    faces = mesh.vertices[mesh.faces].mean(axis=1)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    numbers = np.zeros(len(faces), dtype=np.int64)
    found = np.zeros(len(faces), dtype=bool)
    for one in selection if isinstance(selection, list) else [selection]:
        ids, inside = _selected(one, faces, low, high)
        fresh = inside & ~found
        numbers[fresh] = np.broadcast_to(ids, len(faces))[fresh]
        found |= inside
    return np.unique(mesh.faces[found & (numbers == number)])


def _selected(one: Any, faces: Floats, low: Floats, high: Floats) -> tuple[Any, np.ndarray]:
    """Return the numbers that one selection gives to the faces with these barycentres [m], and to which of them."""
    if isinstance(one, int) and not isinstance(one, bool):
        return one, np.ones(len(faces), dtype=bool)
    relative = bool(one.get("relative", False))

    def point(values: Any) -> Floats:
        given = np.array(values, dtype=np.float64)
        if given.shape != (3,):
            raise ValueError("a point has three coordinates")
        return low + (high - low) * given if relative else given

    if "box" in one:
        begin, end = point(one["box"][0]), point(one["box"][1])
        return int(one["id"]), np.asarray(((faces >= begin) & (faces <= end)).all(axis=1))
    if "threshold" in one:
        least = float(one["threshold"])
        least = 1e-7 if least < 0.0 else least
        sides = np.concatenate([np.abs(faces - low) < least, np.abs(faces - high) < least], axis=1)
        order = [0, 1, 3, 4, 2, 5]  # left, bottom, right, top, back, front
        near = np.concatenate([sides[:, order], np.ones((len(faces), 1), dtype=bool)], axis=1)
        return 1 + near.argmax(axis=1) + int(one.get("id_offset", 0)), np.ones(len(faces), dtype=bool)
    if "center" in one:
        radius = float(one["radius"]) * (float(np.linalg.norm(high - low)) if relative else 1.0)
        return int(one["id"]), np.linalg.norm(faces - point(one["center"]), axis=1) <= radius
    if "radius" in one:
        begin, end = point(one["p1"]), point(one["p2"])
        radius = float(one["radius"]) * (float(np.linalg.norm(high - low)) if relative else 1.0)
        long = float(np.linalg.norm(end - begin))
        along = (faces - begin) @ (end - begin) / long
        across = np.linalg.norm(faces - begin - along[:, None] * (end - begin) / long, axis=1)
        return int(one["id"]), (along >= 0.0) & (along <= long) & (across <= radius)
    if "axis" in one:
        axis = one["axis"]
        if isinstance(axis, str):
            axis = ("xyz".index(axis[-1].lower()) + 1) * (-1 if axis.startswith("-") else 1)
        at, k = float(one["position"]), abs(axis) - 1
        at = low[k] + (high[k] - low[k]) * at if relative else at
        above = faces[:, k] >= at if axis > 0 else faces[:, k] <= at
        return int(one["id"]), np.asarray(above)
    if "normal" in one:
        height = (faces - point(one["point"])) @ np.array(one["normal"], dtype=np.float64)
        return int(one["id"]), np.asarray(height >= 0.0)
    if isinstance(one.get("id"), int):
        return int(one["id"]), np.ones(len(faces), dtype=bool)
    raise ValueError("this selection is not read")
