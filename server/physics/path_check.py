"""The independent check of the path of a tick: ipctk's continuous collision detection on each accepted iterate.

A state without intersections could have been reached through a body. The solver guarantees that no segment of its line
searches goes through one. Here each segment is tested again, with the tight-inclusion CCD of Wang et al. 2021, "A
Large-Scale Benchmark and Inclusion-Based Algorithm for Continuous Collision Detection", which shares no code with the
solver's.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from tussle.server.physics.contact_check import is_path_free
from tussle.server.physics.model import Model
from tussle.server.physics.solver import STILL, trace_step
from tussle.server.physics.world_state import Control, PathCheck, State

__all__ = ["check_path"]

TOLERANCE = 1e-9
"""How near surfaces may be, at least, for a segment to be proved [m]; the bodies of a duel keep about a millimetre."""


def check_path(model: Model, state: State, control: Control = STILL) -> PathCheck:
    """Solve the tick after ``state`` again and check each segment of its path.

    Raises what ``step`` raises.
    """
    iterates = trace_step(model, state, control)
    removed = replace(
        state, active=np.isin(np.arange(len(state.active)), control.remove, invert=True) & state.active
    )
    blocked, count = [], 0
    for before, after in itertools.pairwise(iterates):
        if np.array_equal(before, after):
            continue
        if not is_path_free(
            model, replace(removed, q=before), replace(removed, q=after), tolerance=TOLERANCE
        ):
            blocked.append(count)
        count += 1
    return PathCheck(count, tuple(blocked))
