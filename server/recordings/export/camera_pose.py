"""Where the camera of a film is: the recording's own, or one that has the bodies in view.

It looks from the front and down through a lens of 28 degrees, as the web client does. A body that leaves the ground
does not widen the picture. This module must never draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tussle.server.recordings.export.clip import Clip
from tussle.server.recordings.export.exporting import Camera
from tussle.server.recordings.frame_store import Array

__all__ = ["CameraPose", "bounds_of", "find_pose"]

LENS = np.radians(28.0)
PITCH = np.radians(33.0)
AIR = 1.06
WIDEST = 2.3
"""Half of the largest part of the ground that is framed [m], unless bodies are farther out."""


@dataclass(frozen=True, slots=True)
class CameraPose:
    """A camera. axes: right, up and forward, (3, 3). scale: tangent of half of its vertical angle."""

    eye: Array
    axes: Array
    scale: float

    @classmethod
    def between(cls, eye: Array, target: Array) -> CameraPose:
        """A camera that looks at a point."""
        forward = (target - eye) / max(1e-9, float(np.linalg.norm(target - eye)))
        upward = np.array([0.0, 1.0, 0.0]) if abs(forward[1]) < 0.999 else np.array([0.0, 0.0, -1.0])
        right = np.cross(forward, upward)
        right /= np.linalg.norm(right)
        return cls(eye, np.stack([right, np.cross(right, forward), forward]), float(np.tan(LENS / 2)))


def bounds_of(clip: Clip) -> tuple[Array, Array, float]:
    """(lowest corner, highest corner, height of the bench) of what a film shows [m]."""
    ground: list[Array] = []
    reached: list[Array] = []
    segment, tracks, radii = -1, [], np.empty(0)
    for block in clip.blocks(("active", "rows")):
        if block.segment != segment:
            segment, tracks = block.segment, clip.tracks(block.segment)
            ground += [track.mesh.vertices for track in tracks if track.number is None]
            spans = [np.linalg.norm(track.mesh.vertices, axis=1).max(initial=0.0) for track in tracks]
            radii = np.array(spans)
        for track, radius in zip(tracks, radii, strict=True):
            if track.number is None or not block.arrays["active"][:, track.number].any():
                continue
            rows = block.arrays["rows"][block.arrays["active"][:, track.number]][:, track.rows]
            places = rows.reshape(-1, 3) if track.about.kind == "elastic" else rows[:, 0]
            room = 0.0 if track.about.kind == "elastic" else radius
            reached += [places.min(axis=0) - room, places.max(axis=0) + room]
    floor = np.concatenate(ground) if ground else np.empty((0, 3))
    if not reached:
        reached = list(floor) or [np.full(3, -1.0), np.full(3, 1.0)]
    low, high = np.min(reached, axis=0), np.max(reached, axis=0)
    if not len(floor):
        return low, high, float(low[1])
    middle = (floor.min(axis=0) + floor.max(axis=0)) / 2
    half = np.minimum(np.ptp(floor, axis=0) / 2, WIDEST)
    top = float(floor[:, 1].max())
    edges = np.stack([np.maximum(low, floor.min(axis=0)), np.minimum(high, floor.max(axis=0))])
    low, high = np.minimum(edges[0], middle - half), np.maximum(edges[1], middle + half)
    low[1], high[1] = top, max(top + 0.3, min(float(np.max(reached, axis=0)[1]), top + WIDEST))
    return low, high, float(floor[:, 1].min())


def find_pose(
    attributes: Mapping[str, Any],
    given: Camera | None,
    bounds: tuple[Array, Array],
    aspect: float,
) -> CameraPose:
    """The camera that is given; else the recording's ``camera``, {"position", "target"}; else one for the bounds."""
    own = attributes.get("camera")
    if given is None and isinstance(own, Mapping):
        try:
            pair = np.array([own["position"], own["target"]], np.float64)
        except (KeyError, TypeError, ValueError):
            pair = np.empty(0)
        if pair.shape == (2, 3) and np.isfinite(pair).all() and (pair[0] != pair[1]).any():
            return CameraPose.between(pair[0], pair[1])
    if given is not None:
        return CameraPose.between(np.array(given[0]), np.array(given[1]))
    return _fitted(*bounds, aspect)


def _fitted(low: Array, high: Array, aspect: float) -> CameraPose:
    """The nearest camera at this angle that has a box in view."""
    corners = np.array(
        [[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    )
    backward = np.array([0.0, np.sin(PITCH), np.cos(PITCH)])
    target, distance = (low + high) / 2, float(np.linalg.norm(high - low)) + 0.1
    for _ in range(20):
        view = CameraPose.between(target + distance * backward, target)
        places = (corners - view.eye) @ view.axes.T
        depth = np.maximum(places[:, 2], 0.05 * distance)
        across, along = places[:, 0] / depth / aspect, places[:, 1] / depth
        middle = ((across.max() + across.min()) * aspect / 2, (along.max() + along.min()) / 2)
        target = target + distance * (middle[0] * view.axes[0] + middle[1] * view.axes[1])
        extent = max(float(np.ptp(across)), float(np.ptp(along))) / 2 / view.scale
        distance *= 0.5 + 0.5 * extent * AIR
    return CameraPose.between(target + distance * backward, target)
