"""Pictures of the frames of a recording: the bodies in their colours, lit and with shadows, on a dark bench.

    tracks, rows of a frame -> vertices and normals -> raster.py -> (height, width, 3) bytes

This module must never know a file format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tussle.server.recordings.export.camera_pose import CameraPose
from tussle.server.recordings.export.clip import BodyTrack, world_vertices
from tussle.server.recordings.export.colours import colour_of, linear
from tussle.server.recordings.export.raster import (
    TILE,
    corner_normals,
    cover_tiles,
    fill_triangles,
    shade_pixels,
    sorted_corners,
    srgb_table,
)
from tussle.server.recordings.frame_store import Array

__all__ = ["PictureMaker", "warm_up"]

SHADOW_SIZE = 2048
"""Samples of the shadow map along each side."""

KEY_FROM = np.array([0.42, 0.82, 0.38])
RIM_FROM = np.array([-0.55, 0.35, -0.75])


@dataclass(frozen=True, slots=True)
class _Shape:
    """What does not change from frame to frame of a body."""

    faces: Array
    rest: Array
    starts: Array
    corners: Array
    colours: Array


class PictureMaker:
    """Draws frames from one camera. bounds: of what casts shadows; bench: its height [m]."""

    def __init__(
        self, size: tuple[int, int], view: CameraPose, bounds: tuple[Array, Array], bench: float
    ) -> None:
        width, height = size
        self._view = view
        self._picture = np.empty((height, width, 3), np.uint8)
        self._nearest = np.empty((2 * height, 2 * width), np.float32)
        self._owner = np.empty((2 * height, 2 * width), np.int32)
        self._shadow = np.empty((SHADOW_SIZE, SHADOW_SIZE), np.float32)
        self._hidden = np.empty((SHADOW_SIZE, SHADOW_SIZE), np.int32)
        self._before = np.full_like(self._owner, -2)
        self._covered = np.empty((SHADOW_SIZE // TILE, SHADOW_SIZE // TILE), np.bool_)
        self._drawn: tuple[Array, ...] | None = None
        """Points, places in the shadow map, faces, normals and colours of the picture before."""
        self._shapes: dict[tuple[str, str], _Shape] = {}
        self._table = srgb_table()
        key, rim = KEY_FROM / np.linalg.norm(KEY_FROM), RIM_FROM / np.linalg.norm(RIM_FROM)
        backdrop, floor = np.array(linear("#0C1413")), np.array(linear("#24423B"))
        warm, cool = np.array(linear("#FFF6E6")), np.array(linear("#BFE6FF"))
        sky = np.array(linear("#DDF3EC"))
        self._lights = np.stack(
            [
                key,
                1.25 * warm,
                0.42 * sky,
                0.5 * floor,
                rim,
                0.22 * cool,
                backdrop,
                1.6 * np.array(linear("#16211F")),
            ]
        )
        low, high = bounds
        middle, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2 + 0.3
        self._bench = np.array([bench, 3.0 * radius, middle[0], middle[2]])
        self._to_light = _light_map(key, middle, radius)

    def draw(self, tracks: Sequence[BodyTrack], rows: Array, active: Array) -> Array:
        """The picture of one frame, (height, width, 3) bytes; it is valid until the next call. rows, active: of the
        frame, with the axis of frames."""
        points, faces, normals, colours = self._triangles(tracks, rows, active)
        self._shadow.fill(0.0)
        lit = points @ self._to_light[:, :3].T + self._to_light[:, 3]
        fill_triangles(lit, faces, self._shadow, self._hidden)
        changed = self._compare(points, lit, faces, normals, colours)
        view, (height, width) = self._view, self._nearest.shape
        places = (points - view.eye) @ view.axes.T
        focus = 0.5 * height / view.scale
        depth = np.where(places[:, 2] > 1e-3, places[:, 2], -1.0)
        screen = np.stack(
            [
                0.5 * width + focus * places[:, 0] / depth,
                0.5 * height - focus * places[:, 1] / depth,
                1.0 / depth,
            ],
            axis=1,
        )
        self._nearest.fill(0.0)
        self._owner.fill(-1)
        fill_triangles(screen, faces, self._nearest, self._owner)
        right, up, forward = view.axes
        corner = forward - 0.5 * width / focus * right + 0.5 * height / focus * up
        camera = np.stack([view.eye, corner, right / focus, -up / focus])
        shade_pixels(
            self._nearest, self._owner, points, faces, normals, colours, camera, self._lights, self._bench,
            self._shadow, self._to_light, self._table, self._before, changed, self._covered, self._picture,
        )  # fmt: skip
        self._owner, self._before = self._before, self._owner
        return self._picture

    def _compare(self, points: Array, lit: Array, faces: Array, normals: Array, colours: Array) -> Array:
        """The triangles that are not as in the picture before, (f,). Finds where its shadows may have changed."""
        drawn, self._drawn = self._drawn, (points, lit, faces, normals, colours)
        if drawn is None or drawn[2].shape != faces.shape or not np.array_equal(drawn[2], faces):
            self._before.fill(-2)
            return np.ones(len(faces), np.bool_)
        moved = (drawn[0] != points).any(axis=1)
        changed = moved[faces].any(axis=1)
        self._covered.fill(False)
        for places in (drawn[1], lit):
            cover_tiles(places, faces, changed, self._covered)
        changed |= (drawn[3] != normals).any(axis=(1, 2)) | (drawn[4] != colours).any(axis=1)
        return np.asarray(changed)

    def _triangles(
        self, tracks: Sequence[BodyTrack], rows: Array, active: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Points (v, 3), faces (f, 3), corner normals (f, 3, 3) and colours (f, 3) of all bodies in the world."""
        points: list[Array] = [np.empty((0, 3))]
        faces: list[Array] = [np.empty((0, 3), np.int64)]
        normals: list[Array] = [np.empty((0, 3, 3))]
        colours: list[Array] = [np.empty((0, 3))]
        start = 0
        for track in tracks:
            if track.number is not None and not active[0, track.number]:
                continue
            shape = self._shape(track)
            own = world_vertices(track, rows)[0].astype(np.float64)
            points.append(own)
            faces.append(shape.faces + start)
            normals.append(corner_normals(own, shape.faces, shape.rest, shape.starts, shape.corners))
            colours.append(shape.colours)
            start += len(own)
        joined = [np.concatenate(parts) for parts in (points, faces, normals, colours)]
        return joined[0], joined[1], joined[2], joined[3]

    def _shape(self, track: BodyTrack) -> _Shape:
        key = track.about.id, track.about.mesh
        found = self._shapes.get(key)
        if found is None:
            mesh = track.mesh
            faces, vertices = mesh.faces.astype(np.int64), mesh.vertices.astype(np.float64)
            a, b, c = (vertices[faces[:, corner]] for corner in range(3))
            rest = np.cross(b - a, c - a)
            rest /= np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1e-12)
            colours = np.tile(np.array(colour_of(track.about)), (len(faces), 1))
            found = self._shapes[key] = _Shape(faces, rest, *sorted_corners(faces, len(vertices)), colours)
        return found


def warm_up() -> None:
    """Compile or load every kernel that a PictureMaker calls, by drawing nothing twice."""
    view = CameraPose.between(np.zeros(3), np.ones(3))
    maker = PictureMaker((16, 8), view, (-np.ones(3), np.ones(3)), 0.0)
    rows, active = np.empty((1, 0)), np.empty((1, 0), np.bool_)
    for _ in range(2):
        maker.draw([], rows, active)
    faces, points = np.empty((0, 3), np.int64), np.empty((0, 3))
    corner_normals(points, faces, points, *sorted_corners(faces, 0))


def _light_map(key: Array, middle: Array, radius: float) -> Array:
    """The rows of the map from a point to its place in the shadow map, (3, 4): samples, samples, nearness [m]."""
    right = np.cross(np.array([0.0, 1.0, 0.0]), key)
    right /= np.linalg.norm(right)
    up = np.cross(key, right)
    scale = SHADOW_SIZE / (2 * radius)
    rows = np.stack([scale * right, scale * up, key])
    moved = np.array([SHADOW_SIZE / 2, SHADOW_SIZE / 2, 100.0 + radius]) - rows @ middle
    return np.concatenate([rows, moved[:, None]], axis=1)
