"""What a solver process answers about a scene or a shape. Importing this module loads no solver."""

from __future__ import annotations

import msgspec

__all__ = ["OVERLAPS_MAX", "WORLD", "Problem", "SceneCheck", "Shape"]

OVERLAPS_MAX = 64
"""Most pairs that are named."""

WORLD = "world"
"""The name of the settings of the world, in a problem."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that keeps a scene from starting. body: its name; "world": the settings, or the scene as a whole."""

    body: str
    code: str
    message: str
    field: str | None = None


class SceneCheck(msgspec.Struct, frozen=True):
    """ok: the scene can be started. vertices: of all bodies. overlaps: pairs of bodies that intersect, touch or contain
    one another, at most OVERLAPS_MAX. smallest_gap: between two bodies [m]; None if it is more than ten times dhat."""

    ok: bool
    vertices: int
    overlaps: list[tuple[str, str]]
    problems: list[Problem]
    smallest_gap: float | None


class Shape(msgspec.Struct, frozen=True):
    """One shape in its own frame. topology: a message of lobby/wire/frames.py with one body. vertices: of its mesh,
    those inside of it too. tetrahedra: none if it cannot be elastic. volume [m^3], 0 of an open sheet.
    bounding_radius: about the centre of mass [m]. centre_of_mass, low, high [m]."""

    topology: bytes
    vertices: int
    tetrahedra: int
    volume: float
    bounding_radius: float
    centre_of_mass: tuple[float, float, float]
    low: tuple[float, float, float]
    high: tuple[float, float, float]
