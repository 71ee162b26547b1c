"""Small scenes that the tests of the solver share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tests.support.paths import BODIES as CATALOGUE
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene

STONE = Material(density=500.0, stiffness=4e6, friction=0.4)
RUBBER = Material(density=1000.0, stiffness=5e4, poisson=0.4, friction=0.4)
CUBE = Recipe("box", {"size": [0.3, 0.3, 0.3]})


def ground(*, friction: float = 0.4, size: float = 6.0) -> Body:
    return Body(
        "ground",
        Recipe("slab", {"size": [size, 0.5, size]}),
        Material(density=1.0, friction=friction),
        "static",
    )


def octagon() -> Body:
    shape = Recipe("platform", {"sides": 8, "radius": 1.8, "depth": 0.3, "bottom_scale": 0.9})
    return Body("octagon", shape, Material(density=1000.0, friction=0.4), "static")


def cube(name: str, *, material: Material = STONE, **options: Any) -> Body:
    return Body(name, CUBE, material, **options)


def block(name: str, *, cells: int = 2, material: Material = RUBBER, **options: Any) -> Body:
    return Body(
        name, Recipe("block", {"size": [0.3] * 3, "cells": [cells] * 3}), material, "elastic", **options
    )


def scene(bodies: Iterable[Body], **options: Any) -> Scene:
    return Scene(bodies=tuple(bodies), **options)


def yaw(angle: float) -> tuple[float, float, float, float]:
    return (math.cos(angle / 2), 0.0, math.sin(angle / 2), 0.0)


def random_turn(rng: np.random.Generator) -> tuple[float, float, float, float]:
    w, x, y, z = rng.normal(size=4)
    return (float(w), float(x), float(y), float(z))


def contender(name: str, kind: str, *, angle: float, turn: float = 0.0, reach: float = 1.116) -> Body:
    """A catalogue body at rest on the Octagon."""
    entry = CATALOGUE[kind]
    height = entry["computed"]["rest_height"] + 0.01
    return Body(
        name,
        Recipe(entry["kind"], entry["params"]),
        Material(density=entry["density"], stiffness=entry["stiffness"], friction=entry["friction"]),
        position=(reach * math.cos(angle), height, reach * math.sin(angle)),
        rotation=yaw(turn),
    )


def duel(first: str = "cobble", second: str = "marl", *, turn: float = 0.3) -> Scene:
    return scene(
        [
            octagon(),
            contender("a", first, angle=0.0, turn=turn),
            contender("b", second, angle=math.pi, turn=-turn),
        ]
    )
