"""Scenes to begin with: dominoes, an arch, a card house, a jelly tower, a bridge under load, a pinball table.

Each is computed here, not written down: the poses follow from the sizes, and neighbours are apart by a little more than
dhat, so that nothing touches at the start. build_db.py puts them into the catalogue; ``tussle simulate -i arch`` runs
one. tests/lobby/rules/test_templates.py runs them all. This module must never import numpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from tussle.lobby.rules.scenes import Body, Material, Quaternion, Rail, Recipe, Scene, Vector

__all__ = ["TEMPLATES", "Template", "make_template"]


class Template(msgspec.Struct, frozen=True):
    """A scene of the catalogue. about: one sentence for people."""

    id: str
    name: str
    about: str
    scene: Scene


WOOD = Material(density=600.0, stiffness=1e7, friction=0.5)
STONE = Material(density=2000.0, stiffness=5e7, friction=0.8)
CARD = Material(density=600.0, stiffness=1e7, friction=0.8)
JELLY = Material(density=1000.0, stiffness=1.5e5, poisson=0.45, friction=0.6, damping=0.3)
PLANK = Material(density=500.0, stiffness=6e6, poisson=0.3, friction=0.8, damping=0.5)
STEEL = Material(density=3000.0, stiffness=5e7, friction=0.2)

GAP = 1.2
"""The distance of neighbours at the start, in units of dhat."""


def _box(
    name: str, size: Vector, material: Material, position: Vector, turn: Quaternion = (1, 0, 0, 0)
) -> Body:
    return Body(name, Recipe("box", {"size": list(size)}), material, position=position, rotation=turn)


def _slab(name: str, size: Vector, material: Material, position: Vector = (0.0, 0.0, 0.0)) -> Body:
    """An obstacle; ``position`` is the middle of its top."""
    return Body(name, Recipe("slab", {"size": list(size)}), material, "static", position=position)


def _about(axis: Vector, angle: float) -> Quaternion:
    """The rotation about a unit axis [rad]."""
    x, y, z = (math.sin(angle / 2) * one for one in axis)
    return (math.cos(angle / 2), x, y, z)


def _after(second: Quaternion, first: Quaternion) -> Quaternion:
    """The rotation ``first``, then ``second``."""
    a, b, c, d = second
    e, f, g, h = first
    return (
        a * e - b * f - c * g - d * h,
        a * f + b * e + c * h - d * g,
        a * g - b * h + c * e + d * f,
        a * h + b * g - c * f + d * e,
    )


def _dominoes() -> Scene:
    """A row along a half circle and on along a line: each is nearer to the next than it is high."""
    dhat, count, apart, radius = 0.004, 20, 0.2, 1.3
    thick, high, wide = 0.07, 0.42, 0.2
    bend = 11
    bodies = [_slab("floor", (6.0, 0.3, 6.0), WOOD)]
    for number in range(count):
        angle = min(number, bend) * apart / radius
        x, z = radius * math.sin(angle), radius * (1.0 - math.cos(angle)) - radius
        on = max(0, number - bend) * apart
        x, z = x + on * math.cos(angle), z + on * math.sin(angle)
        place = (x, high / 2 + GAP * dhat, z)
        bodies.append(
            _box(f"domino-{number + 1}", (thick, high, wide), WOOD, place, _about((0, 1, 0), -angle))
        )
    return Scene(bodies=tuple(bodies), name="Dominoes", dhat=dhat, contact_mass=3.0, friction_speed=0.01)


def _arch() -> Scene:
    """Nine stones in half a circle. A stone is a wedge; it is moved outwards so far that its sides keep their distance
    from the next ones'."""
    dhat, count, inner, outer, deep = 0.002, 9, 0.42, 0.54, 0.24
    arc = math.pi / count
    half = arc / 2
    gap = GAP * dhat
    low, high = 2 * inner * math.sin(half), 2 * outer * math.sin(half)
    thick = (outer - inner) * math.cos(half)
    centroid = inner * math.cos(half) + thick * (low + 2 * high) / (3 * (low + high))
    reach = centroid + gap / (2 * math.sin(half))
    upright = _about((1, 0, 0), -math.pi / 2)
    bodies = [_slab("floor", (3.0, 0.3, 3.0), STONE)]
    for number in range(count):
        angle = (number + 0.5) * arc
        place = (reach * math.cos(angle), reach * math.sin(angle) + gap / 2, 0.0)
        wedge = Recipe("crescent", {"n": 2, "R": outer, "r": inner, "arc": arc, "h": deep})
        name = "keystone" if number == count // 2 else f"stone-{number + 1}"
        turn = _after(_about((0, 0, 1), angle - half), upright)
        bodies.append(Body(name, wedge, STONE, position=place, rotation=turn))
    return Scene(
        bodies=tuple(bodies), name="Arch", dhat=dhat, contact_mass=30.0, friction_speed=0.002, tolerance=0.005,
        max_iterations=50,
    )  # fmt: skip


def _card_house() -> Scene:
    """Two pairs of cards that lean on one another, a card across, and a third pair on it."""
    dhat, high, wide, thick, lean = 0.002, 0.5, 0.34, 0.014, math.radians(16)
    gap = GAP * dhat
    c, s = math.cos(lean), math.sin(lean)
    aside = gap / 2 + thick / 2 * c + high / 2 * s
    up = high / 2 * c + thick / 2 * s + gap
    bodies = [_slab("table", (2.4, 0.3, 2.4), CARD)]

    def add_pair(name: str, x: float, base: float) -> None:
        for side, sign in (("left", -1.0), ("right", 1.0)):
            place = (x + sign * aside, base + up, 0.0)
            turn = _about((0, 0, 1), sign * lean)
            bodies.append(_box(f"{name}-{side}", (thick, high, wide), CARD, place, turn))

    half = 0.2
    add_pair("west", -half, 0.0)
    add_pair("east", half, 0.0)
    top = 2.0 * (up - gap) + gap
    across = 2.0 * half + 0.2
    bodies.append(_box("across", (across, thick, wide), CARD, (0.0, top + gap + thick / 2, 0.0)))
    add_pair("top", 0.0, top + gap + thick)
    return Scene(
        bodies=tuple(bodies), name="Card house", dhat=dhat, contact_mass=3.0, friction_speed=0.002, tolerance=0.005,
        max_iterations=50,
    )  # fmt: skip


def _jelly_tower() -> Scene:
    """Four blocks, each smaller than the one below it."""
    dhat, base = 0.008, 0.0
    bodies = [_slab("floor", (4.0, 0.3, 4.0), WOOD)]
    for number, side in enumerate((0.5, 0.42, 0.34, 0.26)):
        high = 0.6 * side
        base += GAP * dhat
        shape = Recipe("block", {"size": [side, high, side], "cells": [2, 2, 2]})
        bodies.append(
            Body(f"jelly-{number + 1}", shape, JELLY, "elastic", position=(0.0, base + high / 2, 0.0))
        )
        base += high
    return Scene(bodies=tuple(bodies), name="Jelly tower", dhat=dhat, contact_mass=40.0, friction_speed=0.01)


def _bridge() -> Scene:
    """A plank over two piers, with three weights in its middle."""
    dhat = 0.006
    gap = GAP * dhat
    span, over, high, thick, wide = 1.6, 0.2, 0.5, 0.1, 0.5
    reach = span / 2 + over
    bodies = [_slab("ground", (5.0, 0.3, 3.0), WOOD)]
    for name, sign in (("west-pier", -1.0), ("east-pier", 1.0)):
        bodies.append(_slab(name, (2 * over, high, wide + 0.2), STONE, (sign * reach, high, 0.0)))
    deck = Recipe("block", {"size": [2 * reach, thick, wide], "cells": [12, 1, 3]})
    bodies.append(Body("deck", deck, PLANK, "elastic", position=(0.0, high + gap + thick / 2, 0.0)))
    top, size = high + gap + thick, 0.2
    for number in range(3):
        place = ((number - 1) * (size + 0.05), top + gap + size / 2, 0.0)
        bodies.append(_box(f"weight-{number + 1}", (size, size, size), STONE, place))
    return Scene(
        bodies=tuple(bodies),
        name="Bridge",
        dhat=dhat,
        contact_mass=30.0,
        friction_speed=0.01,
        max_iterations=50,
    )


def _pinball() -> Scene:
    """A ball on a table that is lower at one end. There a bar beats it back up, to three crosses that turn: rails,
    which give way to nothing. Between them and the walls is room for the ball. The table is level and gravity
    leans."""
    dhat = 0.006
    long, wide, high, wall, deep = 2.4, 2.0, 0.4, 0.1, 0.16
    gap = GAP * dhat
    bodies = [_slab("table", (long + 1.0, 0.3, wide + 1.0), STEEL)]
    for name, size, place in (
        ("wall-low", (wall, high, wide + 2 * wall), (long / 2 + wall / 2, high, 0.0)),
        ("wall-high", (wall, high, wide + 2 * wall), (-long / 2 - wall / 2, high, 0.0)),
        ("wall-left", (long, high, wall), (0.0, high, wide / 2 + wall / 2)),
        ("wall-right", (long, high, wall), (0.0, high, -wide / 2 - wall / 2)),
    ):
        bodies.append(_slab(name, size, STEEL, place))
    ball = Recipe("sphere", {"radius": 0.1, "level": 2})
    bodies.append(Body("ball", ball, STEEL, position=(0.3, 0.1 + gap, 0.2), velocity=(0.0, 0.0, 0.3)))
    up = deep / 2 + 2 * gap
    bar = Recipe("box", {"size": [0.1, deep, wide - 0.06]})
    beat = Rail(amplitude=(0.18, 0.0, 0.0), frequency=1.7)
    bodies.append(Body("bar", bar, STEEL, "rail", position=(0.95, up, 0.0), rail=beat))
    cross = Recipe("cross", {"R": 0.2, "w": 0.08, "h": deep})
    for name, x, z, spin in (("left", -0.1, 0.5, 5.0), ("right", -0.1, -0.5, -5.0), ("top", -0.65, 0.0, 4.0)):
        bodies.append(Body(f"cross-{name}", cross, STEEL, "rail", position=(x, up, z), rail=Rail(spin=spin)))
    return Scene(bodies=tuple(bodies), name="Pinball", dhat=dhat, gravity=(1.8, -9.6, 0.0), contact_mass=15.0)


_MAKERS: dict[str, tuple[str, Callable[[], Scene]]] = {
    "dominoes": ("A row that falls when the first one is pushed.", _dominoes),
    "arch": ("Nine stones hold each other up; take the keystone away.", _arch),
    "card-house": ("Seven cards, and only friction.", _card_house),
    "jelly-tower": ("Four soft blocks that wobble and stay.", _jelly_tower),
    "bridge": ("A plank that gives way under three weights, and carries them.", _bridge),
    "pinball": ("A ball among rails that nothing stops.", _pinball),
}

TEMPLATES = tuple(_MAKERS)
"""The ids of all templates."""


def make_template(id: str) -> Template:
    """Compute a template. Raises KeyError for an unknown id."""
    about, maker = _MAKERS[id]
    scene = maker()
    return Template(id, scene.name, about, scene)
