"""``tussle simulate``: one simulation from a mesh file or a scene, with a progress bar.

server/simulation/simulate.py does the work; this module parses options and shows progress and result.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tussle.cli.palette import counted
from tussle.lobby.errors import Refused

__all__ = ["simulate"]


@click.command("simulate")
@click.option(
    "-i",
    "--input",
    "source",
    required=True,
    type=click.Path(path_type=Path),
    help="A mesh file, a scene (.json, also of Rigid IPC or polyfem), a template (arch, bridge, card-house, "
    "dominoes, jelly-tower, pinball), or a ready mesh of the catalogue (bunny, mug, knot, ...).",
)
@click.option(
    "-o", "--output", "folder", required=True, type=click.Path(path_type=Path), help="The folder to write."
)
@click.option(
    "--steps", default=120, show_default=True, type=click.IntRange(1, 1_000_000), help="Ticks to simulate."
)
@click.option(
    "--dt", type=click.FloatRange(1e-4, 0.1), help="Length of a tick in seconds; the scene's, or 1/60."
)
@click.option("--material", help="jelly, rubber, foam, wood or stone; the scene's, or rubber.")
@click.option("--check", is_flag=True, help="Check every state for intersections with ipctk.")
def simulate(
    source: Path, folder: Path, steps: int, dt: float | None, material: str | None, check: bool
) -> None:
    """Simulate a mesh file, or a scene, and write a series for ParaView, a recording (Zarr) and a plot."""
    from tussle.server.solver.packages import missing_packages

    missing = missing_packages()
    if missing:
        raise click.ClickException(missing)
    from tussle.lobby.settings import Settings
    from tussle.server.physics.stored_meshes import use_meshes
    from tussle.server.physics.world_state import StepReport
    from tussle.server.recordings.simulated import Step, record_simulation
    from tussle.server.simulation.foreign_scenes import is_foreign_scene
    from tussle.server.simulation.simulate import load_scene
    from tussle.server.simulation.simulate import simulate as run
    from tussle.server.solver.kernels import warm_up

    use_meshes(Settings.read().archive_address)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    existed = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with Progress(*columns, console=console, transient=True) as progress:
            compiling = progress.add_task("compiling", total=100)
            warm_up(lambda stage, share: progress.update(compiling, completed=int(100 * share)))
            progress.remove_task(compiling)
            reading = progress.add_task("reading", total=None)
            scene = load_scene(source, dt=dt, material=material, folder=folder, note=console.print)
            progress.remove_task(reading)
            task = progress.add_task("simulating", total=steps)
            own = source.suffix.lower() == ".json" and not is_foreign_scene(source)
            meshes = source.parent if own else None
            taken: list[Step] = []

            def show(tick: int, report: StepReport) -> None:
                taken.append(Step.of(report))
                progress.update(task, completed=tick)

            summary = run(
                scene,
                folder,
                steps=steps,
                check=check,
                meshes=meshes,
                progress=show,
            )
            record_simulation(scene, folder, taken, meshes)
    except (Refused, OSError) as error:
        if not existed and not (folder / "scene.json").exists():  # nothing was simulated
            for mesh in folder.glob("body*.vtu"):
                mesh.unlink()
            with contextlib.suppress(OSError):  # the folder does not exist
                folder.rmdir()
        raise click.ClickException(str(error)) from None
    closest = (
        f"{summary.min_distance * 1e3:.3g} mm" if summary.min_distance < float("inf") else "none within reach"
    )
    click.echo(
        f"{counted(summary.ticks, 'tick')}, {counted(summary.frames, 'frame')} in {summary.folder}: smallest distance "
        f"{closest}, {counted(summary.checked, 'contact check')}, {counted(summary.intersections, 'intersection')}, "
        f"{counted(summary.inversions, 'inversion')}, {counted(summary.unconverged, 'tick')} at the iteration limit; "
        f"hash {summary.state_hash[:16]}"
    )
    if not summary.holds:
        raise SystemExit(2)
