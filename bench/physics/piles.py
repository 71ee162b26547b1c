"""The scenes that several programs of bench/physics measure: piles of cubes in a walled arena."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene

__all__ = ["RESULTS", "pile", "soft_pile"]

RESULTS = Path(__file__).resolve().parent
"""The folder of the results."""


def walls(reach: float, *, friction: float = 0.3, height: float = 5.0) -> list[Body]:
    """A floor and four walls around [-reach, reach]^2, as static boxes."""
    stone = Material(density=1.0, friction=friction)
    thick = 0.5
    wide = 2 * reach + 2 * thick
    out = [Body("floor", Recipe("slab", {"size": [wide, thick, wide]}), stone, "static")]
    for k, (x, z) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
        size = [thick, height, wide] if x else [2 * reach, height, thick]
        place = (x * (reach + thick / 2), height + 0.001, z * (reach + thick / 2))
        out.append(Body(f"wall{k}", Recipe("slab", {"size": size}), stone, "static", position=place))
    return out


def turned(rng: np.random.Generator) -> tuple[float, float, float, float]:
    w, x, y, z = (float(c) for c in rng.normal(size=4))
    return (w, x, y, z)


def pile(count: int, dt: float, *, seed: int = 0) -> Scene:
    """Cubes of 0.3 m with 56 vertices, randomly turned, that fall into a walled arena."""
    rng = np.random.default_rng(seed)
    side = max(2, math.ceil(math.sqrt(count / 2)))
    bodies = walls(side * 0.25 + 0.05, height=2.0 + 0.5 * count / side**2)
    material = Material(density=1000.0, stiffness=1e7, friction=0.3)
    for k in range(count):
        layer, place = divmod(k, side * side)
        x, z = ((place % side - (side - 1) / 2) * 0.5, (place // side - (side - 1) / 2) * 0.5)
        shape = Recipe("block", {"size": [0.3] * 3, "cells": [3, 3, 3]})
        bodies.append(
            Body(f"b{k}", shape, material, position=(x, 0.5 + 0.5 * layer, z), rotation=turned(rng))
        )
    return Scene(
        bodies=tuple(bodies),
        dt=dt,
        dhat=5e-3,
        tolerance=0.01,
        max_iterations=60,
        friction_speed=0.01,
        contact_mass=27.0,
    )


def soft_pile(count: int, cells: int, *, dt: float = 1 / 30, seed: int = 0) -> Scene:
    """Elastic cubes of 0.3 m, E = 5e4 Pa, that fall into a walled arena four at a time."""
    rng = np.random.default_rng(seed)
    bodies = walls(0.55)
    material = Material(density=1000.0, stiffness=5e4, poisson=0.4, friction=0.3)
    for k in range(count):
        layer, place = divmod(k, 4)
        shape = Recipe("block", {"size": [0.3] * 3, "cells": [cells] * 3})
        where = ((place % 2 - 0.5) * 0.5, 0.45 + 0.5 * layer, (place // 2 - 0.5) * 0.5)
        bodies.append(Body(f"b{k}", shape, material, "elastic", position=where, rotation=turned(rng)))
    return Scene(
        bodies=tuple(bodies),
        dt=dt,
        dhat=5e-3,
        tolerance=0.05,
        max_iterations=60,
        friction_speed=0.01,
        contact_mass=27.0,
    )
