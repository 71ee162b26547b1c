"""The motions and selections of polyfem's boundaries are read, and nothing else is evaluated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tussle.lobby.rules.motions import check_pins, keyframes
from tussle.lobby.rules.scenes import Pin, Recipe
from tussle.server.physics.shapes import build
from tussle.server.simulation.foreign_boundaries import UNREAD, read_motion, select_vertices

CUBE = build(Recipe("block", {"size": [2.0, 2.0, 2.0], "cells": [2, 2, 2]}))


def offset_at(entry: dict[str, Any], time: float, end: float = 2.0) -> np.ndarray:
    """Where a boundary is at a time, by straight interpolation of the keyframes of its motion."""
    motion = read_motion(entry, end)
    assert motion is not None
    check_pins("a", "elastic", (Pin((0,), motion),))
    keys = keyframes(motion)
    times = [0.0, *(key.time for key in keys)]
    return np.array([np.interp(time, times, [0.0, *(key.offset[k] for key in keys)]) for k in range(3)])


@pytest.mark.parametrize(
    ("entry", "time", "place"),
    [
        ({"value": ["0.5*t", 0, "-t/4"]}, 1.0, (0.5, 0.0, -0.25)),
        ({"value": [0, 2, 0], "interpolation": {"type": "linear"}}, 1.5, (0.0, 3.0, 0.0)),
        ({"value": [0, 2, 0], "interpolation": [{"type": "linear_ramp", "from": 0.5, "to": 1.5}]}, 1.0, (0, 1, 0)),
        ({"value": [1, 1, 1], "interpolation": {"type": "piecewise_linear", "points": [0, 1, 2], "values": [0, 2, 0]}},
         1.5, (1.0, 1.0, 1.0)),
        ({"value": ["sin(2*pi*t)", "t^2", "if(t-1, t-1, 0)"]}, 1.25, (1.0, 1.5625, 0.25)),
        ({"value": ["smoothstep(t/2)", "max(0, min(t, 1))", "-(1-cos(t))"]}, 1.0, (0.5, 1.0, math.cos(1.0) - 1.0)),
    ],
)  # fmt: skip
def test_a_motion_is_that_of_the_expression(
    entry: dict[str, Any], time: float, place: tuple[float, float, float]
) -> None:
    """At the sampled times, and between them within the curvature of a sample."""
    assert offset_at(entry, time) == pytest.approx(place, abs=2e-3)


def test_a_straight_motion_is_a_velocity_and_none_is_rest() -> None:
    motion = read_motion({"value": ["3*t", 0, 0]}, 2.0)
    assert motion is not None and motion.velocity == pytest.approx((3.0, 0.0, 0.0)) and motion.until == 2.0
    assert read_motion({"value": [0, "0", 0.0]}, 2.0) is None
    ramp = {
        "value": [1, 0, 0],
        "interpolation": {"type": "piecewise_linear", "points": [0, 1, 2], "values": [0, 1, 1]},
    }
    kept = read_motion(ramp, 2.0)
    assert kept is not None and len(kept.keys) == 2


@pytest.mark.parametrize(
    "entry",
    [
        {"value": ["x*t", 0, 0]},
        {"value": ["__import__('os').getpid()*t", 0, 0]},
        {"value": ["t.real", 0, 0]},
        {"value": ["[t for t in (1,)]", 0, 0]},
        {"value": ["9^9^9^9*t", 0, 0]},
        {"value": ["t" + "+t" * 1000, 0, 0]},
        {"value": ["sin(t, t)", 0, 0]},
        {"value": ["1/t", 0, 0]},
        {"value": [0.5, 0, 0]},
        {"value": [0, 0]},
        {"value": [[0, 1], 0, 0]},
        {"value": [True, 0, 0]},
        {"value": [1, 0, 0], "dimension": [True, True, False]},
        {
            "value": [1, 0, 0],
            "interpolation": {"type": "piecewise_cubic", "points": [0, 1], "values": [0, 1]},
        },
        {"value": [1, 0, 0], "interpolation": {"type": "linear_ramp", "from": 1, "to": 1}},
        {},
    ],
)
def test_what_is_not_read_is_refused(entry: dict[str, Any]) -> None:
    """Also what would run code, take long, or jump at the start."""
    with pytest.raises(UNREAD):
        read_motion(entry, 2.0)


@pytest.mark.parametrize(
    ("selection", "number", "count"),
    [
        (7, 7, 26),
        (7, 8, 0),
        (None, 7, 0),
        ({"id": 3, "axis": "-x", "position": -0.99}, 3, 9),
        ([{"id": 3, "axis": 2, "position": 0.99, "relative": True}], 3, 9),
        ({"id": 2, "box": [[-2, -2, -2], [2, -0.99, 2]]}, 2, 9),
        ({"id": 2, "box": [[0, 0, 0.99], [1, 1, 1]], "relative": True}, 2, 9),
        ({"id": 1, "center": [0, 1, 0], "radius": 0.5}, 1, 5),
        ({"id": 1, "p1": [0, 0, -2], "p2": [0, 0, 2], "radius": 0.5}, 1, 10),
        ({"id": 5, "point": [0, 0, 0.99], "normal": [0, 0, 1]}, 5, 9),
        ({"threshold": 0.01, "id_offset": 10}, 13, 9),
        ([{"id": 1, "axis": 1, "position": 0.99}, {"id": 2, "axis": "x", "position": -3.0}], 2, 25),
    ],
)
def test_the_vertices_of_a_selection(selection: Any, number: int, count: int) -> None:
    """A block of two cells has nine vertices on a side, 26 in all; the first selection of a face counts."""
    assert len(select_vertices(CUBE, selection, number)) == count


def test_a_selection_of_another_kind_is_refused() -> None:
    for selection in ("ids.txt", {"file": "ids.txt"}, {"id": 1, "center": [0, 0], "radius": 1}, [[]]):
        with pytest.raises(UNREAD):
            select_vertices(CUBE, selection, 1)
