"""When the sessions of a server step: in lanes, so that many share one waking of the machine.

    lanes of 1/240 s:  |  a d  |   b   |  c e  |       |  a d  |   b   | ...      (60 steps a second: four lanes)

Most of what a small frame costs is not the frame but the waking for it: of this process, of the network, of those at
the other ends (bench/results/load-peers.md). A session keeps its own exact period; only where its period begins is
moved, once, by less than a lane, so that it goes on together with others.
"""

from __future__ import annotations

import math

__all__ = ["LANE_S", "lane"]

LANE_S = 1 / 240
"""Divides the periods of 30, 60 and 120 frames a second. Seconds of the monotonic clock."""


def lane(at: float) -> float:
    """The newest beginning of a lane that is not after ``at`` [s]."""
    return math.floor(at / LANE_S) * LANE_S
