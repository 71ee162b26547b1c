"""Pins that move: their springs, and where their targets are at a time.

A moving pin is a stiff spring to a prescribed place, also in an elastic body, whose resting pins are fixed nodes: the
step then ends free of intersections whatever is in the way. A pin that meets resistance stays behind, as a rail does.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from tussle.lobby.rules.motions import Motion, keyframes
from tussle.lobby.rules.scenes import Body
from tussle.server.physics.geometry import Ints
from tussle.server.physics.kernel_arrays import Springs
from tussle.server.physics.world_state import Floats

__all__ = ["PinMotion", "hold_elastic", "make_motion", "move_pins"]

HOLD_ELASTIC = 1e3
"""The stiffness of a moving pin of an elastic body, in units of Young's modulus times the cube root of the volume."""


@dataclass(frozen=True, slots=True, eq=False)
class PinMotion:
    """The springs of one moving pin, and its keyframes; p springs, k keyframes with the beginning.

    rows (p,): of Springs.target. places (p, 3): targets at time 0 relative to their mean [m]. centre (3,): that mean
    [m]. axis (3,): unit vector. times (k,) [s]. offsets (k, 3) [m]. angles (k,) [rad]. repeat: from the last to the
    first.
    """

    rows: Ints
    places: Floats
    centre: Floats
    axis: Floats
    times: tuple[float, ...]
    offsets: Floats
    angles: tuple[float, ...]
    repeat: bool

    def targets(self, time: float) -> Floats:
        """Return the targets of the springs at a time [s]: positions [m], shape (p, 3)."""
        if self.repeat:
            time = math.fmod(max(time, 0.0), self.times[-1])
        after = min(bisect_left(self.times, time), len(self.times) - 1)
        before = max(after - 1, 0)
        share = 1.0
        if after > before:
            share = min((time - self.times[before]) / (self.times[after] - self.times[before]), 1.0)
        share = max(share, 0.0)
        offset = self.offsets[before] + share * (self.offsets[after] - self.offsets[before])
        angle = self.angles[before] + share * (self.angles[after] - self.angles[before])
        along = np.outer(self.places @ self.axis, self.axis)
        across = self.places - along
        turned = across * math.cos(angle) + np.cross(self.axis, across) * math.sin(angle)
        return np.asarray(self.centre + offset + along + turned)


def make_motion(motion: Motion, rows: list[int], targets: list[Floats]) -> PinMotion:
    """Return the motion of the springs ``rows``, which begin at ``targets`` (p, 3) [m]."""
    keys = keyframes(motion)
    places = np.array(targets, dtype=np.float64)
    centre = places.mean(axis=0)
    return PinMotion(
        rows=np.array(rows, dtype=np.int64),
        places=places - centre,
        centre=centre,
        axis=np.array(motion.axis) / np.linalg.norm(motion.axis),
        times=(0.0, *(key.time for key in keys)),
        offsets=np.array([(0.0, 0.0, 0.0), *(key.offset for key in keys)], dtype=np.float64),
        angles=(0.0, *(key.angle for key in keys)),
        repeat=motion.repeat,
    )


def hold_elastic(body: Body, volume: float) -> float:
    """Return the stiffness [N/m] of a moving pin against the elasticity of its body."""
    return HOLD_ELASTIC * body.material.stiffness * math.cbrt(volume)


def move_pins(pins: Springs, motions: tuple[PinMotion, ...], time: float) -> Springs:
    """Return the pins with the targets of a time [s]."""
    target = pins.target.copy()
    for motion in motions:
        target[motion.rows] = motion.targets(time)
    return pins._replace(target=target)
