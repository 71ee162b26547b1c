"""One run of a sweep: a scene and a number of ticks give a row of results.

A row is a flat dict of numbers and strings. Equal plans give equal rows on machines of one physics id, except for
``cpu_s``. It runs in worker processes and on clusters. This module must never write a file.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from tussle.lobby.errors import Refused, SolverFailed
from tussle.server.physics.checkpoint import state_hash
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.model import Model, affines
from tussle.server.physics.rollout import trajectory
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.world_state import State
from tussle.server.simulation.identity import physics_id
from tussle.server.simulation.simulate import mesh_of
from tussle.server.sweeps.plan import SweepPlan

__all__ = ["Row", "simulate_run"]

Row = dict[str, Any]


def simulate_run(plan: SweepPlan, run: int) -> Row:
    """Return the row of a run:

    run, the varied paths             as the plan has them
    status, error                     "ok"; "refused": such a scene cannot start; "failed": a step was not finite
    ticks, time_s                     simulated
    kinetic_J, gravity_J, elastic_J   at the end; kinetic_max_J: the largest
    min_distance_m                    the smallest of all ticks; null: no surfaces were near
    contacts_max, iterations, unconverged   most contacts in a tick; sums over the ticks
    intersections, inversions         of the checked states
    <body>.x, .y, .z                  the centre of each movable body at the end [m]
    hash, physics_id                  of the last state; of what computed it
    cpu_s                             CPU time of this process
    """
    began = time.process_time()
    row: Row = {"run": run, **plan.values(run), "status": "ok", "error": ""}
    try:
        row |= _simulate(plan, run)
    except Refused as error:
        row |= {"status": "refused", "error": error.message}
    except SolverFailed as error:
        row |= {"status": "failed", "error": error.message}
    return row | {"physics_id": physics_id(), "cpu_s": time.process_time() - began}


def _simulate(plan: SweepPlan, run: int) -> Row:
    model, state = compile_scene(
        plan.scene_of(run), load_mesh=lambda recipe: mesh_of(recipe, Path(plan.meshes))
    )
    kinetic, nearest = 0.0, math.inf
    most = iterations = unconverged = intersections = inversions = 0
    report = None
    for after, report in trajectory(model, state, plan.steps):
        state = after
        kinetic = max(kinetic, report.kinetic)
        nearest = min(nearest, report.min_distance)
        most = max(most, report.contacts)
        iterations += report.iterations
        unconverged += not report.converged
        if plan.check or state.tick == plan.steps:
            contact = check_contact(model, state)
            intersections += bool(contact.intersections or contact.contained)
            inversions += bool(contact.inversions)
    assert report is not None  # a plan has at least one tick
    return {
        "ticks": state.tick,
        "time_s": state.tick * model.dt,
        "kinetic_J": report.kinetic,
        "gravity_J": report.gravity,
        "elastic_J": report.elastic,
        "kinetic_max_J": kinetic,
        "min_distance_m": nearest if math.isfinite(nearest) else None,
        "contacts_max": most,
        "iterations": iterations,
        "unconverged": unconverged,
        "intersections": intersections,
        "inversions": inversions,
        "hash": state_hash(state),
        **_centres(model, state),
    }


def _centres(model: Model, state: State) -> Row:
    centres = np.asarray(affines(model, state))[:, :, 3]
    return {
        f"{name}.{axis}": float(centre[number])
        for name, centre in zip(model.body_ids, centres, strict=True)
        for number, axis in enumerate("xyz")
    }
