"""``tussle sweep``: many simulations of one scene with varied parameters, with a progress bar.

server/sweeps does the work; this module parses options and shows progress and result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tussle.cli.palette import counted
from tussle.lobby.errors import Refused

__all__ = ["command"]


@click.command("sweep")
@click.argument("scene")
@click.option(
    "-o", "--output", "folder", required=True, type=click.Path(path_type=Path), help="The sweep's folder."
)
@click.option(
    "--vary",
    multiple=True,
    metavar="PATH=VALUES",
    help="A place in the scene and its values: 1,2,3 or FROM:TO:COUNT or FROM:TO:COUNT:log. Several: all combinations.",
)
@click.option(
    "--steps", default=120, show_default=True, type=click.IntRange(1, 1_000_000), help="Ticks of a run."
)
@click.option("--check", is_flag=True, help="Check every state for intersections with ipctk.")
@click.option("--processes", type=click.IntRange(1, 1024), help="Worker processes; one for each core.")
@click.option("--record", metavar="RUNS", help="Runs to record when they are done: 0,17 or all.")
@click.option("--dask", metavar="ADDRESS", help="Compute on a cluster of Dask: tcp://host:8786.")
@click.option("--ray", metavar="ADDRESS", help="Compute on a cluster of Ray: host:6379, or auto.")
def command(
    scene: str,
    folder: Path,
    vary: tuple[str, ...],
    steps: int,
    check: bool,
    processes: int | None,
    record: str | None,
    dask: str | None,
    ray: str | None,
) -> None:
    """Simulate SCENE with every combination of varied values, over the cores of this machine or a cluster.

    SCENE is what `tussle simulate -i` takes. The results are FOLDER/results.parquet, a row for each run. Ctrl-C stops
    the sweep; the same command continues it.
    """
    from tussle.server.solver.packages import missing_packages

    missing = missing_packages()
    if missing:
        raise click.ClickException(missing)
    from tussle.lobby.settings import Settings
    from tussle.server.physics.stored_meshes import use_meshes
    from tussle.server.solver.kernels import warm_up
    from tussle.server.sweeps.plan import parse_values
    from tussle.server.sweeps.single_run import Row
    from tussle.server.sweeps.sweeping import record_run, sweep

    use_meshes(Settings.read().archive_address)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        chosen: dict[str, list[Any]] = {}
        for text in vary:
            path, values = parse_values(text)
            if path in chosen:
                raise click.UsageError(f"--vary {path} is there twice")
            chosen[path] = values
        wanted = None if record is None else _numbers(record)
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("compiling", total=None)
            warm_up(lambda stage, share: None)  # once, before many processes need the kernels

            def show(done: int, count: int, row: Row | None) -> None:
                progress.update(task, description="simulating", completed=done, total=count)

            result = sweep(
                scene, folder, vary=chosen, steps=steps, check=check, processes=processes, dask=dask, ray=ray,
                progress=show,
            )  # fmt: skip
            if wanted is not None:
                runs = wanted or [row["run"] for row in result.rows() if row["status"] == "ok"]
                task = progress.add_task("recording", total=len(runs))
                for run in runs:
                    record_run(folder, run)
                    progress.advance(task)
    except (Refused, OSError) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo(f"stopped; the same command continues: {folder}", err=True)
        raise SystemExit(130) from None
    said = ", ".join(f"{number} {status}" for status, number in sorted(result.counts.items()))
    click.echo(f"{counted(result.done, 'run')} ({said}) in {result.table}")
    if wanted is not None:
        click.echo(f"{counted(len(runs), 'recording')} in {folder / 'recordings'}")


def _numbers(text: str) -> list[int]:
    """The runs of --record; empty: all. Raises UsageError."""
    if text == "all":
        return []
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise click.UsageError(f"--record takes run numbers or all, not {text!r}")
    return [int(part) for part in parts]
