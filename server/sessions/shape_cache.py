"""Checks of scenes and shapes of recipes, computed in a solver process and kept.

    a document -> its SHA-256 -> kept | being computed | the pool -> SceneCheck
    a recipe   -> its SHA-256 -> kept | being computed | the pool -> Shape

Equal questions that are asked at once are computed once. This module must never compute on the event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import msgspec

from tussle.lobby.rules.scenes import Recipe
from tussle.server.simulation.scene_report import SceneCheck, Shape
from tussle.server.solver.pool import Pool

__all__ = ["ShapeCache"]

CHECKS_KEPT = 256
SHAPES_KEPT_BYTES = 16 * 2**20

Value = TypeVar("Value")


class ShapeCache:
    """The checks and shapes of one server."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._checks: _Kept[SceneCheck] = _Kept(CHECKS_KEPT, lambda check: 1, _is_final)
        self._shapes: _Kept[Shape] = _Kept(
            SHAPES_KEPT_BYTES, lambda shape: len(shape.topology) + 1000, lambda shape: True
        )

    def knows_check(self, document: bytes) -> bool:
        """Whether the check of a document costs nothing."""
        return _digest(document) in self._checks

    async def check(self, document: bytes, *, expected_s: float) -> SceneCheck:
        """The check of a scene, which takes ``expected_s`` of CPU time if it is not known. Raises SolverFailed."""
        return await self._checks.get(
            _digest(document), lambda: self._pool.check_scene(document, expected_s=expected_s)
        )

    def knows_shape(self, recipe: Recipe) -> bool:
        """Whether a shape costs nothing."""
        return shape_key(recipe) in self._shapes

    async def shape(self, recipe: Recipe, *, expected_s: float) -> Shape:
        """The shape of a recipe, which takes ``expected_s`` of CPU time if it is not known. Raises Refused or
        SolverFailed."""
        return await self._shapes.get(
            shape_key(recipe), lambda: self._pool.make_shape(recipe, expected_s=expected_s)
        )


class _Kept(Generic[Value]):
    """Values by key, the last used ones up to a size, and those that are being computed. ``final``: the value will be
    the same when it is asked for again."""

    def __init__(self, most: int, size: Callable[[Value], int], final: Callable[[Value], bool]) -> None:
        self._most, self._size, self._final = most, size, final
        self._values: OrderedDict[str, Value] = OrderedDict()
        self._held = 0
        self._coming: dict[str, asyncio.Task[Value]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._values

    async def get(self, key: str, compute: Callable[[], Awaitable[Value]]) -> Value:
        """The value of a key. What fails is not kept."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        task = self._coming.get(key)
        if task is None:
            task = self._coming[key] = asyncio.ensure_future(self._compute(key, compute))
            task.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(task)  # one who asked may leave; the others still wait

    async def _compute(self, key: str, compute: Callable[[], Awaitable[Value]]) -> Value:
        value = await compute()
        if not self._final(value):
            return value
        self._values[key] = value
        self._held += self._size(value)
        while self._held > self._most and len(self._values) > 1:
            _, oldest = self._values.popitem(last=False)
            self._held -= self._size(oldest)
        return value

    def _finished(self, key: str, task: asyncio.Task[Value]) -> None:
        del self._coming[key]
        if not task.cancelled():
            task.exception()  # all who asked may have left


def _is_final(check: SceneCheck) -> bool:
    """A mesh that is not there may come."""
    return all(problem.code != "unknown_mesh" for problem in check.problems)


def shape_key(recipe: Recipe) -> str:
    """The hash that identifies a shape."""
    return _digest(msgspec.json.encode(recipe, order="sorted"))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
