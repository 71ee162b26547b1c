"""A sweep from its beginning, or from where it was stopped, to its table of results.

    plan -> runs that are not done -> workers -> rows -> rows.jsonl -> results.parquet

This module must never know how a run is computed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Scene
from tussle.server.recordings.simulated import Step, record_simulation
from tussle.server.simulation.simulate import load_scene, simulate
from tussle.server.sweeps.ledger import SweepLedger, read_plan, read_rows
from tussle.server.sweeps.plan import SweepPlan, make_plan
from tussle.server.sweeps.single_run import Row
from tussle.server.sweeps.workers import local, on_dask, on_ray

__all__ = ["SweepResult", "record_run", "sweep"]

Progress = Callable[[int, int, Row | None], None]
"""(runs that are done, all runs, the row that was added last or None)."""


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The state of a sweep. done: runs that have a row; table: results.parquet, None without a row; counts: rows by
    status."""

    folder: Path
    count: int
    done: int
    table: Path | None
    counts: Mapping[str, int]

    def rows(self) -> list[dict[str, Any]]:
        """The rows, in the order of the runs; docs/howto/sweep.md names their fields."""
        return read_rows(self.folder)


def sweep(
    scene: Scene | str | Path,
    out: str | Path,
    *,
    vary: Mapping[str, Sequence[Any]],
    steps: int = 120,
    check: bool = False,
    processes: int | None = None,
    dask: str | None = None,
    ray: str | None = None,
    progress: Progress | None = None,
) -> SweepResult:
    """Simulate a scene with every combination of the varied values, and write the folder ``out``.

    scene: a Scene, or what ``tussle simulate`` takes: a scene document (.json), a template, a mesh file or a ready
    mesh. vary: path in the scene -> values; "bodies.*.material.friction" is a path. steps: ticks of a run. check: the
    contact of every state is checked. processes: worker processes, by default one for each core. dask, ray: the address
    of a cluster that computes instead.

    A sweep whose folder has rows continues; one of another plan is refused. KeyboardInterrupt ends the processes and
    writes the table of what is done. A script that calls it needs ``if __name__ == "__main__":``.

    Raises Refused: bad_sweep, bad_scene, bad_mesh, no_cluster, no_pyarrow.
    """
    if find_spec("pyarrow") is None:
        raise Refused("results are Parquet files: install tussle[storage]", code="no_pyarrow", field="out")
    if dask is not None and ray is not None:
        raise Refused("one cluster, of Dask or of Ray", code="bad_sweep", field="ray")
    folder = Path(out)
    plan = _planned(scene, folder, vary, steps=steps, check=check)
    with SweepLedger(folder, plan) as ledger:
        shown = progress or (lambda done, count, row: None)
        shown(len(ledger.rows), plan.count, None)
        waiting = ledger.waiting()
        if dask is not None:
            rows = on_dask(plan, waiting, address=dask)
        elif ray is not None:
            rows = on_ray(plan, waiting, address=ray)
        else:
            rows = local(plan, waiting, processes=processes or _cores())
        try:
            with closing(cast("Generator[Row]", rows)):
                for row in rows:
                    ledger.keep(row)
                    shown(len(ledger.rows), plan.count, row)
        finally:
            table = ledger.write_table()
        counts: dict[str, int] = {}
        for row in ledger.rows.values():
            counts[row["status"]] = counts.get(row["status"], 0) + 1
        return SweepResult(folder, plan.count, len(ledger.rows), table, counts)


def record_run(folder: str | Path, run: int) -> Path:
    """Simulate a finished run again, and write its folder as ``tussle simulate`` does: a recording, frames for
    ParaView, a plot. Returns the folder, recordings/<run> in the sweep's.

    Raises Refused: bad_sweep (there is no such run, or it was not simulated to its end), diverged (the last state has
    another hash than the sweep computed, which another physics id explains).
    """
    place = Path(folder)
    plan = read_plan(place)
    row = next((row for row in read_rows(place) if row["run"] == run), None)
    if row is None or row["status"] != "ok":
        said = "is not done" if row is None else f"was {row['status']}: {row['error']}"
        raise Refused(f"run {run} {said}", code="bad_sweep", field="record")
    target = place / "recordings" / f"{run:06d}"
    taken: list[Step] = []
    scene, meshes = plan.scene_of(run), Path(plan.meshes)
    summary = simulate(
        scene,
        target,
        steps=plan.steps,
        meshes=meshes,
        progress=lambda tick, report: taken.append(Step.of(report)),
    )
    if summary.state_hash != row["hash"]:
        message = (
            f"run {run} ends in another state than in the sweep, which physics {row['physics_id']} computed"
        )
        raise Refused(message, code="diverged", field="record")
    record_simulation(scene, target, taken, meshes)
    return target


def _planned(
    scene: Scene | str | Path, folder: Path, vary: Mapping[str, Sequence[Any]], *, steps: int, check: bool
) -> SweepPlan:
    if isinstance(scene, Scene):
        return make_plan(scene, vary, steps=steps, check=check, meshes=Path.cwd())
    source = Path(scene)
    existed = folder.exists()
    if not existed:
        folder.mkdir(parents=True)
    try:
        loaded = load_scene(source, folder=folder)  # a mesh file is written to the folder
        meshes = source.parent if source.suffix.lower() == ".json" else folder
        return make_plan(loaded, vary, steps=steps, check=check, meshes=meshes)
    except BaseException:
        if not existed and not any(folder.iterdir()):
            folder.rmdir()
        raise


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
