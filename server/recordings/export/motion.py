"""The motion of a body as a scene format has it: a rigid motion, and a deformation as weights of fixed displacements.

    affine body:   x = t + R P X,        R: the rotation nearest to the body's axes (polar decomposition), P: symmetric
    elastic body:  x = t + R (X + sum_k w_k B_k),  t, R: the best rigid fit (Kabsch 1976); B: displacements found frame
                   block by frame block, so that no error of a vertex exceeds TOLERANCE

P - I is a sum of six fixed displacements too. A body that hardly deforms has none of them. This module must never
know a format.
"""

from __future__ import annotations

import math

import numpy as np

from tussle.lobby.rules.rotations import polar, quaternions
from tussle.server.recordings.export.clip import BodyTrack, world_vertices
from tussle.server.recordings.frame_store import Array

__all__ = ["TOLERANCE", "BodyMotion", "ElasticMotion", "motion_of"]

TOLERANCE = 5e-4
"""Largest error of a position, as a share of the body's size."""

_SYMMETRIC = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


class BodyMotion:
    """The motion of an affine body, or of one that does not move. rest: its vertices."""

    def __init__(self, track: BodyTrack, frames: int) -> None:
        self.track = track
        self.rest = np.asarray(track.mesh.vertices, np.float64)
        span = np.ptp(self.rest, axis=0) if len(self.rest) else np.zeros(3)
        self.limit = TOLERANCE * float(np.linalg.norm(span))
        self.visible = np.zeros(frames, np.bool_)
        self.translation = np.zeros((frames, 3), np.float32)
        self.rotation = np.tile(np.array([0, 0, 0, 1], np.float32), (frames, 1))
        self._strain = np.zeros((frames, 6), np.float32)

    def add(self, track: BodyTrack, first: int, rows: Array, active: Array) -> None:
        """Add frames, from ``first`` on. rows, active: of all bodies."""
        shown = np.ones(len(rows), np.bool_) if track.number is None else active[:, track.number]
        at = first + np.flatnonzero(shown)
        self.visible[at] = True
        if track.number is not None and len(at):
            self._set(at, track, rows[shown])

    def _set(self, at: Array, track: BodyTrack, rows: Array) -> None:
        own = rows[:, track.rows].astype(np.float64)
        rotation, stretch = polar(np.swapaxes(own[:, 1:], 1, 2))
        self.translation[at] = own[:, 0]
        self.rotation[at] = quaternions(rotation)[:, [1, 2, 3, 0]]
        strain = stretch - np.eye(3)
        self._strain[at] = np.stack([strain[:, i, j] for i, j in _SYMMETRIC], axis=1)

    def finish(self) -> None:
        """A body that is not visible keeps its last position; consecutive quaternions have a dot product >= 0."""
        seen = np.maximum.accumulate(np.where(self.visible, np.arange(len(self.visible)), -1))
        seen[seen < 0] = int(np.argmax(self.visible))
        self.translation, self.rotation = self.translation[seen], self.rotation[seen]
        self._hold(seen)
        turns = np.sum(self.rotation[1:] * self.rotation[:-1], axis=1) < 0
        self.rotation[1:][np.logical_xor.accumulate(turns)] *= -1.0

    def _hold(self, seen: Array) -> None:
        self._strain = self._strain[seen]

    def deformation(self) -> tuple[Array, Array]:
        """Displacements (k, v, 3) and their weights (frames, k). k is 0 for a body that hardly deforms."""
        reach = float(np.abs(self.rest).max(initial=0.0))
        if float(np.abs(self._strain).max(initial=0.0)) * reach * math.sqrt(3.0) <= self.limit:
            return np.empty((0, *self.rest.shape), np.float32), np.empty((len(self.visible), 0), np.float32)
        displacements = np.zeros((6, *self.rest.shape), np.float32)
        for number, (i, j) in enumerate(_SYMMETRIC):
            displacements[number, :, i] = self.rest[:, j]
            displacements[number, :, j] = self.rest[:, i]
        return displacements, self._strain


class ElasticMotion(BodyMotion):
    """The motion of an elastic body."""

    def __init__(self, track: BodyTrack, frames: int) -> None:
        super().__init__(track, frames)
        self._frames = frames
        self._centre = self.rest.mean(axis=0) if len(self.rest) else np.zeros(3)
        self._basis = np.empty((0, self.rest.size))
        self._weights: list[tuple[Array, Array]] = []
        self._seen: Array | None = None

    def _set(self, at: Array, track: BodyTrack, rows: Array) -> None:
        places = world_vertices(track, rows).astype(np.float64)
        middle = places.mean(axis=1)
        local = self.rest - self._centre
        fits = np.swapaxes(places - middle[:, None], 1, 2) @ local
        rotation, _ = polar(fits)
        self.rotation[at] = quaternions(rotation)[:, [1, 2, 3, 0]]
        self.translation[at] = middle - rotation @ self._centre
        moved = ((places - middle[:, None]) @ rotation - local).reshape(len(at), -1)
        weights = moved @ self._basis.T
        rest = moved - weights @ self._basis
        if self._error(rest) > self.limit:
            self._extend(rest)
            weights = moved @ self._basis.T
        self._weights.append((at, weights.astype(np.float32)))

    def _error(self, rest: Array) -> float:
        distances = np.linalg.norm(rest.reshape(len(rest), -1, 3), axis=2)
        return float(distances.max(initial=0.0))

    def _extend(self, rest: Array) -> None:
        """Add displacements, the largest first, until the error of every frame of this block is below the limit."""
        _, _, modes = np.linalg.svd(rest, full_matrices=False)
        low, high = 1, len(modes)
        while low < high:
            half = (low + high) // 2
            tried = modes[:half]
            if self._error(rest - (rest @ tried.T) @ tried) > self.limit:
                low = half + 1
            else:
                high = half
        self._basis = np.concatenate([self._basis, modes[:low]])

    def _hold(self, seen: Array) -> None:
        self._seen = seen

    def deformation(self) -> tuple[Array, Array]:
        count = len(self._basis)
        weights = np.zeros((self._frames, count), np.float32)
        for at, block in self._weights:
            weights[at, : block.shape[1]] = block
        if self._seen is not None:
            weights = weights[self._seen]
        return self._basis.reshape(count, -1, 3).astype(np.float32), weights


def motion_of(track: BodyTrack, frames: int) -> BodyMotion:
    """The motion of a body over so many frames, still without any."""
    return (ElasticMotion if track.about.kind == "elastic" else BodyMotion)(track, frames)
