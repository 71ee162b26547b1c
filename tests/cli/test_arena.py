"""The map in braille."""

from __future__ import annotations

import math

import numpy as np
from rich.style import Style

from tussle.cli.arena import Canvas, draw_world
from tussle.cli.palette import marks_of
from tussle.lobby.wire.frames import Frame, Topology, TopologyBody


def octagon() -> TopologyBody:
    angles = np.arange(8) * math.pi / 4
    top = np.stack([1.8 * np.cos(angles), np.zeros(8), 1.8 * np.sin(angles)], axis=1)
    return TopologyBody("arena", "static", top.astype(np.float32), np.array([[0, 1, 2]], np.uint32))


def cube(seat: int) -> TopologyBody:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32) * 0.2
    return TopologyBody(f"b{seat}", "affine", corners, np.array([[0, 1, 2]], np.uint32), seat, "cobble")


def world(centres: list[tuple[float, float]], active: list[bool]) -> tuple[Topology, Frame]:
    bodies = tuple(cube(seat) for seat in range(len(centres)))
    rows = np.concatenate([np.vstack([[x, 0.2, z], np.eye(3)]) for x, z in centres]).astype(np.float32)
    return Topology((*bodies, octagon())), Frame(tick=1, rows=rows, active=np.array(active))


def test_a_circle_is_round_and_centred() -> None:
    """The arena has the same margin on all four sides, because braille dots are square."""
    canvas = Canvas(40, 20, 1.8)
    draw_world(canvas, Topology((octagon(),)), None, [])
    lines = canvas.text().plain.split("\n")
    assert len(lines) == 20 and all(len(line) == 40 for line in lines)
    assert lines[0].strip() and lines[19].strip()
    assert any(line[0] != " " for line in lines) and any(line[39] != " " for line in lines)


def test_bodies_are_drawn_in_place_with_their_initials() -> None:
    """x grows to the right, z grows downward."""
    canvas = Canvas(40, 20, 2.0)
    topology, frame = world([(1.0, 0.0), (0.0, -1.0)], [True, True])
    draw_world(canvas, topology, frame, marks_of(["Ada", "Otto"]), aim=(1.0, 0.0, math.pi))
    lines = canvas.text().plain.split("\n")
    assert lines[10][30] == "A"
    assert lines[5][20] == "O"


def test_a_body_that_is_out_is_not_drawn() -> None:
    canvas = Canvas(40, 20, 2.0)
    topology, frame = world([(1.0, 0.0), (0.0, -1.0)], [True, False])
    draw_world(canvas, topology, frame, marks_of(["Ada", "Otto"]))
    text = canvas.text().plain
    assert "A" in text and "O" not in text


def test_a_point_beyond_the_edge_is_not_drawn() -> None:
    canvas = Canvas(10, 5, 1.0)
    canvas.line((-50.0, 0.0), (50.0, 0.0), "#FFFFFF")
    canvas.label((9.0, 9.0), "X", Style())
    assert "X" not in canvas.text().plain
    assert canvas.text().plain.split("\n")[2].strip()
