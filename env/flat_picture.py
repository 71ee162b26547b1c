"""The flat picture of a world: the arena from above with the outlines of the bodies, as the web client draws it where
the browser has no WebGL (player/web/src/stage/flat.ts).

    topology, frame -> convex outlines -> (height, width, 3) bytes

Every shape is convex, so its distance field gives its fill, its stroke and its antialiased edge. This module must never
need a display or a graphics card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tussle.lobby.wire.frames import Frame, Topology, TopologyBody
from tussle.server.recordings.export.colours import colour_code

__all__ = ["FlatPicture"]

Points = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

BENCH, MAT, EDGE, RULE = "#0C1413", "#1B5A4E", "#123D35", "#CFEDE2"
INK, SIGNAL, OBSTACLE = "#12211D", "#FFC94A", "#6E807A"
RING = 0.4  # m
BORDER = 1.08


class FlatPicture:
    """Draws pictures of one size. The arena is drawn once for each version of a topology."""

    def __init__(self, width: int = 480, height: int = 480) -> None:
        self.width, self.height = width, height
        self._ground: npt.NDArray[np.float32] | None = None
        self._of: tuple[object, ...] = ()
        self._middle = np.zeros(2)
        self._scale = 1.0

    def draw(
        self,
        topology: Topology,
        frame: Frame,
        *,
        house: Mapping[str, Any] | None = None,
        ring: int | None = None,
        marks: Sequence[tuple[Sequence[float], str]] = (),
    ) -> Picture:
        """The picture of a frame. house: of curling; ring: the number of the body in a ring; marks: places [m] and the
        colours of small dots."""  # fmt: skip
        key = topology.version, tuple(body.id for body in topology.bodies), house is None
        if self._ground is None or key != self._of:
            self._ground, self._of = self._draw_ground(topology, house), key
        picture = self._ground.copy()
        start = 0
        moving = [body for body in topology.bodies if body.kind != "static"]
        centres: list[Points | None] = []
        for number, body in enumerate(moving):
            count = 4 if frame.row_counts is None else frame.row_counts[number]
            rows = frame.rows[start : start + count].astype(np.float64)
            start += count
            if not frame.active[number]:
                centres.append(None)
                continue
            points = rows[0] + body.vertices @ rows[1:4] if body.kind == "affine" else rows
            centres.append((rows[0] if body.kind == "affine" else rows.mean(axis=0))[[0, 2]])
            self._polygon(picture, hull(points[:, [0, 2]]), colour_code(body.seat, body.id), INK, 0.02)
        ringed = centres[ring] if ring is not None and ring < len(centres) else None
        if ringed is not None:
            self._circle(picture, ringed, RING, None, SIGNAL, 0.02)
        for place, colour in marks:
            self._circle(picture, np.array([place[0], place[2]]), 0.05, colour, INK, 0.02)
        return np.asarray(np.rint(picture), np.uint8)

    def _draw_ground(self, topology: Topology, house: Mapping[str, Any] | None) -> npt.NDArray[np.float32]:
        picture = np.tile(_rgb(BENCH), (self.height, self.width, 1)).astype(np.float32)
        statics = [body for body in topology.bodies if body.kind == "static"]
        arena = max(statics, key=_top_area, default=None)
        if arena is None:
            return picture
        corners = _top(arena)
        low, high = corners.min(axis=0), corners.max(axis=0)
        self._middle = (low + high) / 2
        reach = BORDER * np.maximum(0.5, (high - low) / 2)
        self._scale = float(min(self.width / (2 * reach[0]), self.height / (2 * reach[1])))
        self._polygon(picture, corners, MAT, EDGE, 0.05)
        if house is not None:
            for number, radius in enumerate(sorted(house["rings"], reverse=True)):
                fill, share = (MAT, 1.0) if number % 2 else (RULE, 0.4)
                self._circle(picture, np.array([house["x"], 0.0]), radius, fill, RULE, 0.012, share)
            self._line(picture, (0.0, 0.0), (house["x"], 0.0), 0.014, 0.5)
            self._line(picture, (0.0, -0.8), (0.0, 0.8), 0.014, 0.5)
        else:
            for step in range(-2, 3):
                self._line(picture, (step / 2, -1.5), (step / 2, 1.5), 0.008, 0.3)
                self._line(picture, (-1.5, step / 2), (1.5, step / 2), 0.008, 0.3)
        for body in statics:
            if body is not arena:
                self._polygon(picture, hull(body.vertices[:, [0, 2]].astype(float)), OBSTACLE, INK, 0.02)
        return picture

    def _grid(self, low: Points, high: Points) -> tuple[slice, slice, Points, Points] | None:
        """The pixels around a box [m], with the places of their centres [m]; None if none is in the picture."""
        half = np.array([self.width, self.height]) / 2
        first = np.floor((low - self._middle) * self._scale + half).astype(int) - 2
        last = np.ceil((high - self._middle) * self._scale + half).astype(int) + 2
        x0, y0 = max(0, int(first[0])), max(0, int(first[1]))
        x1, y1 = min(self.width, int(last[0])), min(self.height, int(last[1]))
        if x0 >= x1 or y0 >= y1:
            return None
        x = (np.arange(x0, x1) + 0.5 - half[0]) / self._scale + self._middle[0]
        y = (np.arange(y0, y1) + 0.5 - half[1]) / self._scale + self._middle[1]
        return slice(y0, y1), slice(x0, x1), x[None, :], y[:, None]

    def _paint(
        self, part: npt.NDArray[np.float32], away: Points, fill: str | None, stroke: str | None, width: float,
        share: float,
    ) -> None:  # fmt: skip
        """Fill and stroke a shape. away: the distance of each pixel to its edge [m], negative inside."""
        if fill is not None:
            cover = share * np.clip(0.5 - away * self._scale, 0.0, 1.0)[..., None]
            part += (cover * (_rgb(fill) - part)).astype(np.float32)
        if stroke is not None:
            wide = max(width * self._scale, 1.0)
            cover = np.clip(0.5 + 0.5 * wide - np.abs(away) * self._scale, 0.0, 1.0)[..., None]
            part += (cover * (_rgb(stroke) - part)).astype(np.float32)

    def _polygon(
        self, picture: npt.NDArray[np.float32], corners: Points, fill: str, stroke: str, width: float
    ) -> None:
        if len(corners) < 3:
            return
        place = self._grid(corners.min(axis=0) - width, corners.max(axis=0) + width)
        if place is None:
            return
        rows, columns, x, y = place
        edges = np.roll(corners, -1, axis=0) - corners
        away = np.full((y.shape[0], x.shape[1]), -np.inf)
        for corner, edge in zip(corners, edges, strict=True):
            across = (edge[1] * (x - corner[0]) - edge[0] * (y - corner[1])) / max(np.hypot(*edge), 1e-12)
            np.maximum(away, across, out=away)
        self._paint(picture[rows, columns], away, fill, stroke, width, 1.0)

    def _circle(
        self, picture: npt.NDArray[np.float32], centre: Points, radius: float, fill: str | None, stroke: str,
        width: float, share: float = 1.0,
    ) -> None:  # fmt: skip
        place = self._grid(centre - radius - width, centre + radius + width)
        if place is None:
            return
        rows, columns, x, y = place
        away = np.hypot(x - centre[0], y - centre[1]) - radius
        self._paint(picture[rows, columns], away, fill, stroke, width, share)

    def _line(
        self, picture: npt.NDArray[np.float32], start: tuple[float, float], end: tuple[float, float], width: float,
        share: float,
    ) -> None:  # fmt: skip
        a, b = np.array(start), np.array(end)
        place = self._grid(np.minimum(a, b) - width, np.maximum(a, b) + width)
        if place is None:
            return
        rows, columns, x, y = place
        along = np.clip(((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / ((b - a) @ (b - a)), 0.0, 1.0)
        away = np.hypot(x - a[0] - along * (b - a)[0], y - a[1] - along * (b - a)[1])
        wide = max(width * self._scale, 1.0)
        cover = share * np.clip(0.5 + 0.5 * wide - away * self._scale, 0.0, 1.0)[..., None]
        part = picture[rows, columns]
        part += (cover * (_rgb(RULE) - part)).astype(np.float32)


def hull(points: Points) -> Points:
    """The convex hull in order (Andrew's monotone chain), shape (h, 2). Its inside is on the left of each edge."""
    ordered = sorted(set(map(tuple, points.tolist())))
    if len(ordered) < 3:
        return np.array(ordered)

    def chain(sequence: list[Any]) -> list[Any]:
        kept: list[Any] = []
        for x, y in sequence:
            while len(kept) > 1:
                (ax, ay), (bx, by) = kept[-2], kept[-1]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                kept.pop()
            kept.append((x, y))
        return kept[:-1]

    return np.array(chain(ordered) + chain(ordered[::-1]))


def _top(body: TopologyBody) -> Points:
    """The outline of the top of a body over ground."""
    vertices = body.vertices.astype(float)
    return hull(vertices[vertices[:, 1] > vertices[:, 1].max() - 1e-3][:, [0, 2]])


def _top_area(body: TopologyBody) -> float:
    corners = _top(body)
    if len(corners) < 3:
        return 0.0
    x, y = corners.T
    return float(0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def _rgb(code: str) -> npt.NDArray[np.float32]:
    return np.array([int(code[at : at + 2], 16) for at in (1, 3, 5)], np.float32)
