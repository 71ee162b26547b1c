"""A top-down map of the world in braille: two by four dots to a character, so that a circle looks round.

    x grows to the right, z grows downward, y points at the reader

Bodies are drawn as the outline of their shadow, in the players' colours, with the initial at the centre. It
reads a topology and a frame, and must never depend on a mode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rich.style import Style
from rich.text import Text

from tussle.cli.palette import FAINT, MAT, SIGNAL, Mark

if TYPE_CHECKING:
    from tussle.lobby.wire.frames import Frame, Topology

__all__ = ["Canvas", "draw_world"]

Points = npt.NDArray[np.float64]

AIM_LENGTH = 0.9
"""Length of the dotted line that shows the direction of a launch [m]."""

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of the dot in row r and column c of a braille character."""


class Canvas:
    """``width`` by ``height`` characters that show the square of half side ``reach`` [m] around the
    origin."""

    def __init__(self, width: int, height: int, reach: float) -> None:
        self.width, self.height = width, height
        self._scale = min(2 * width, 4 * height) / (2 * reach)
        self._bits = [[0] * width for _ in range(height)]
        self._colours: list[list[str]] = [[""] * width for _ in range(height)]
        self._labels: dict[tuple[int, int], tuple[str, Style]] = {}

    def line(self, start: Sequence[float], end: Sequence[float], colour: str, *, every: int = 1) -> None:
        """A straight line between two points [m], each ``every``-th dot of it."""
        (x0, y0), (x1, y1) = self._dot(start), self._dot(end)
        steps = max(1, math.ceil(max(abs(x1 - x0), abs(y1 - y0))))
        for step in range(0, steps + 1, every):
            self._set(x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps, colour)

    def outline(self, points: Points, colour: str, *, every: int = 1) -> None:
        """A closed polygon of points [m], shape (n, 2)."""
        for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
            self.line(start, end, colour, every=every)

    def label(self, at: Sequence[float], text: str, style: Style) -> None:
        """One character at a point [m], over the dots."""
        x, y = self._dot(at)
        column, row = math.floor(x) // 2, math.floor(y) // 4
        if 0 <= column < self.width and 0 <= row < self.height:
            self._labels[row, column] = (text, style)

    def text(self) -> Text:
        """The picture, ``height`` lines."""
        result = Text(no_wrap=True)
        for row in range(self.height):
            for column in range(self.width):
                if (row, column) in self._labels:
                    result.append(*self._labels[row, column])
                elif self._bits[row][column]:
                    result.append(chr(0x2800 + self._bits[row][column]), self._colours[row][column])
                else:
                    result.append(" ")
            if row < self.height - 1:
                result.append("\n")
        return result

    def _dot(self, point: Sequence[float]) -> tuple[float, float]:
        return self.width + float(point[0]) * self._scale, 2 * self.height + float(point[1]) * self._scale

    def _set(self, x: float, y: float, colour: str) -> None:
        column, row = math.floor(x), math.floor(y)
        if 0 <= column < 2 * self.width and 0 <= row < 4 * self.height:
            self._bits[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
            self._colours[row // 4][column // 2] = colour


def draw_world(
    canvas: Canvas,
    topology: Topology,
    frame: Frame | None,
    marks: Sequence[Mark],
    *,
    aim: tuple[float, float, float] | None = None,
) -> None:
    """Draw the outlines of the static bodies, then of every active body. ``aim``: (seat, azimuth [rad]) of the current
    launch."""
    for body in topology.bodies:
        if body.kind == "static" and len(body.vertices):
            top = body.vertices[body.vertices[:, 1] >= body.vertices[:, 1].max() - 0.02]
            canvas.outline(_hull(top[:, [0, 2]].astype(np.float64)), MAT)
    if aim is not None:
        x, z, azimuth = aim
        tip = (x + AIM_LENGTH * math.cos(azimuth), z + AIM_LENGTH * math.sin(azimuth))
        canvas.line((x, z), tip, SIGNAL, every=2)
    if frame is None:
        return
    moving = [body for body in topology.bodies if body.kind != "static"]
    offset = 0
    for index, body in enumerate(moving[: len(frame.active)]):
        rows_here = 4 if frame.row_counts is None else frame.row_counts[index]
        rows = frame.rows[offset : offset + rows_here].astype(np.float64)
        offset += rows_here
        if not frame.active[index]:
            continue
        points = rows[0] + body.vertices @ rows[1:4] if body.kind == "affine" else rows
        centre = rows[0] if body.kind == "affine" else rows.mean(axis=0)
        mark = marks[body.seat] if body.seat is not None and body.seat < len(marks) else None
        canvas.outline(_hull(points[:, [0, 2]]), mark.colour if mark else FAINT)
        if mark is not None:
            style = Style(color=mark.ink, bgcolor=mark.colour, bold=True)
            canvas.label(centre[[0, 2]], mark.initial, style)


def _hull(points: Points) -> Points:
    """The convex hull in order (Andrew's monotone chain), shape (h, 2)."""
    ordered = sorted(map(tuple, points.tolist()))
    if len(ordered) < 3:
        return np.array(ordered)

    def half(sequence: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
        chain: list[tuple[float, ...]] = []
        for point in sequence:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        return chain[:-1]

    return np.array(half(ordered) + half(ordered[::-1]))


def _turn(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
