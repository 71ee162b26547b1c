"""A sweep: equal rows whatever computes them, continued after a stop, and runs that are recorded afterwards."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.paths import ROOT
from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene, encode_scene
from tussle.server.recordings.zarr_frames import ZarrFrames
from tussle.server.sweeps.plan import make_plan
from tussle.server.sweeps.single_run import simulate_run
from tussle.server.sweeps.sweeping import record_run, sweep

WOOD = Material(density=600.0)
SCENE = Scene(
    bodies=(
        Body("ground", Recipe("slab", {"size": [4.0, 1.0, 4.0]}), WOOD, "static"),
        Body("brick", Recipe("box", {"size": [0.3, 0.3, 0.3]}), WOOD, position=(0.0, 0.25, 0.0)),
    )
)
VARY = {"bodies.brick.position.1": [0.2, 0.3, -0.1], "gravity.1": [-9.81, -3.7]}
"""The third height is inside of the ground: such a scene cannot start."""


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "cpu_s"} for row in rows]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """The rows of the sweep, computed in this process."""
    plan = make_plan(SCENE, VARY, steps=12, check=False, meshes=Path())
    return without_times([simulate_run(plan, run) for run in range(plan.count)])


def test_the_rows_do_not_depend_on_processes_or_stops(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """A sweep whose worker is killed and that is then stopped has, once continued, the rows of an undisturbed one. The
    table has a row for each run, also for those that were refused."""

    def disturb(done: int, count: int, row: dict[str, Any] | None) -> None:
        if done == 1:
            for child in multiprocessing.active_children():
                child.kill()
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(SCENE, tmp_path, vary=VARY, steps=12, processes=2, progress=disturb)
    assert not multiprocessing.active_children()
    assert pq.read_table(tmp_path / "results.parquet").num_rows == 3
    with (tmp_path / "rows.jsonl").open("ab") as file:
        file.write(b'{"run": 5, "sta')  # a crash cut the last line
    seen: list[int] = []
    result = sweep(
        SCENE, tmp_path, vary=VARY, steps=12, processes=1, progress=lambda done, *_: seen.append(done)
    )
    assert seen == [3, 4, 5, 6]
    assert without_times(result.rows()) == rows
    assert result.counts == {"ok": 4, "refused": 2}
    table = pq.read_table(tmp_path / "results.parquet").to_pylist()
    assert [row["run"] for row in table] == list(range(6))
    assert table[0]["brick.y"] == rows[0]["brick.y"] and table[4]["brick.y"] is None
    assert "intersect" in table[4]["error"]


def test_a_folder_keeps_its_sweep(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Another plan in the same folder is refused and changes nothing; so is a folder that is in use."""
    vary = {"gravity.1": [-9.81]}
    sweep(SCENE, tmp_path, vary=vary, steps=2, processes=1)
    before = (tmp_path / "rows.jsonl").read_bytes()
    with pytest.raises(Refused, match="another sweep"):
        sweep(SCENE, tmp_path, vary=vary, steps=3)

    def again(done: int, count: int, row: dict[str, Any] | None) -> None:
        with pytest.raises(Refused, match="another process"):
            sweep(SCENE, tmp_path, vary=vary, steps=2)

    sweep(SCENE, tmp_path, vary=vary, steps=2, progress=again)
    assert (tmp_path / "rows.jsonl").read_bytes() == before


def test_a_run_that_always_kills_its_process_has_a_row(tmp_path: Path) -> None:
    """Two processes that end in a run are enough: its row says so, and the sweep ends."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.02):
            for child in multiprocessing.active_children():
                child.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        result = sweep(SCENE, tmp_path, vary={"gravity.1": [-9.81]}, steps=2, processes=1)
    finally:
        over.set()
        killer.join()
    assert result.counts == {"crashed": 1}


def test_ctrl_c_ends_the_command_and_keeps_what_is_done(tmp_path: Path) -> None:
    """SIGINT to the whole process group, as a terminal sends it: exit code 130, a table, and no process is left."""
    scene, out = tmp_path / "scene.json", tmp_path / "out"
    scene.write_bytes(encode_scene(SCENE))
    code = "from tussle.cli.main import main; main()"
    command = [sys.executable, "-c", code, "sweep", str(scene), "-o", str(out), "--processes", "1"]
    process = subprocess.Popen(
        [*command, "--vary", "gravity.1=-9.81:-1:2000", "--steps", "60"],
        cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        rows = out / "rows.jsonl"
        while not (rows.exists() and rows.read_bytes().count(b"\n") > 1) and process.poll() is None:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
        with pytest.raises(ProcessLookupError):
            for _ in range(600):  # until the last process of the group is gone
                os.killpg(process.pid, 0)
                time.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, said
    assert "the same command continues" in said
    assert 1 < pq.read_table(out / "results.parquet").num_rows < 2000


def test_a_recorded_run_ends_in_the_state_of_its_row(tmp_path: Path) -> None:
    """A run that is recorded afterwards has a recording; one whose hash differs, or that has no result, is refused."""
    sweep(SCENE, tmp_path, vary=VARY, steps=12, processes=1)
    folder = record_run(tmp_path, 1)
    assert json.loads((folder / "recording.json").read_text())["hashes"][-1]
    assert ZarrFrames.open(str(folder / "recording.zarr")).length > 2
    with pytest.raises(Refused, match="was refused"):
        record_run(tmp_path, 4)
    with pytest.raises(Refused, match="is not done"):
        record_run(tmp_path, 6)
    rows = tmp_path / "rows.jsonl"
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    rows.write_text("".join(json.dumps({**line, "hash": "0"}) + "\n" for line in lines))
    with pytest.raises(Refused) as refusal:
        record_run(tmp_path, 1)
    assert refusal.value.reason == "diverged"


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a cluster of Dask in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as found:
            yield found.scheduler_address


def test_a_cluster_of_dask_computes_the_same_rows(
    tmp_path: Path, rows: list[dict[str, Any]], cluster: str
) -> None:
    """The rows of a sweep over Dask are those of this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = sweep(SCENE, tmp_path, vary=VARY, steps=12, dask=cluster)
    assert without_times(result.rows()) == rows


def test_a_cluster_that_does_not_answer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names the address; the folder can be used with another one."""
    monkeypatch.setattr("tussle.server.sweeps.workers.CONNECT_S", 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Refused, match=r"127\.0\.0\.1:9") as refusal:
            sweep(SCENE, tmp_path, vary=VARY, steps=12, dask="tcp://127.0.0.1:9")
    assert refusal.value.reason == "no_cluster"
