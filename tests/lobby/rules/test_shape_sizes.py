"""The size of a shape is known before it is built."""

from __future__ import annotations

from typing import Any

from tussle.lobby.rules.scenes import Recipe
from tussle.lobby.rules.shape_sizes import count_vertices
from tussle.server.physics import shapes

SHAPES: dict[str, dict[str, Any]] = {
    "box": {"size": [1, 1, 1]},
    "sphere": {"radius": 1, "level": 2},
    "pebble": {"radii": [0.2, 0.1, 0.2], "bump": 0.1},
    "lathe": {"profile": [[0.2, 0], [0.3, 0.1], [0.1, 0.4]], "n": 9},
    "capsule": {"radius": 0.1, "length": 0.4},
    "torus": {"n": 10, "m": 5, "R": 0.2, "r": 0.05},
    "star": {"n": 5, "R": 0.3, "r": 0.1, "h": 0.2},
    "gear": {"n": 6, "R": 0.3, "r": 0.2, "h": 0.2},
    "ell": {"arm": 0.4, "width": 0.1, "h": 0.1},
    "cross": {"R": 0.3, "w": 0.1, "h": 0.1},
    "nut": {"n": 6, "R": 0.3, "r": 0.2, "h": 0.1},
    "crescent": {"n": 8, "R": 0.3, "r": 0.2, "arc": 4.0, "h": 0.1, "bottom_scale": 0.9, "focus": 0.1},
    "tetra": {"R": 0.3},
    "blob": {"radius": 0.2},
    "block": {"size": [1, 1, 1], "cells": [2, 3, 4]},
    "ball": {"radius": 0.2},
    "platform": {"sides": 8, "radius": 2, "depth": 0.3},
    "slab": {"size": [1, 1, 1]},
    "bowl": {"radius": 1},
}


def test_every_shape_is_counted_before_it_is_built() -> None:
    """For every kind the count is the number of vertices of its mesh."""
    assert set(SHAPES) == set(shapes.KINDS)
    for kind, params in SHAPES.items():
        recipe = Recipe(kind, params)
        assert len(shapes.build(recipe).vertices) == count_vertices(recipe), kind
