"""``tussle export T --to FORMAT``: write a recording, or a part of it, for another program.

server/recordings/export does the work; this module parses options and shows progress and result.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tussle.cli.recorded import is_place, named_views, open_recording
from tussle.cli.running import read_settings
from tussle.lobby.errors import LobbyError
from tussle.lobby.settings import Settings
from tussle.lobby.text import escape_text
from tussle.server.recordings.export.clip import Clip
from tussle.server.recordings.export.exporting import FORMATS, Camera, Film, export, missing_packages

__all__ = ["command"]

FORMAT_HELP = "; ".join(f"{name}: {one.about}" for name, one in FORMATS.items())


class Size(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT, both even, as video codecs want them."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, _, height = str(value).partition("x")
        if not (width.isdecimal() and height.isdecimal() and len(width) < 5 and len(height) < 5):
            self.fail(f"{value!r} is not a size such as 1280x720", param, context)
        size = int(width), int(height)
        if min(size) < 64 or max(size) > 4096 or size[0] % 2 or size[1] % 2:
            self.fail("width and height are even numbers from 64 to 4096", param, context)
        return size


@click.command("export")
@click.argument("recording")
@click.option(
    "--to", "name", required=True, type=click.Choice(list(FORMATS)), help=f"The format. {FORMAT_HELP}."
)
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="What to write.")
@click.option("--frames", default="", help="Frames as in Python: 7, -1, 10:200:2, -100:. Default: all.")
@click.option("--bodies", default="", help="Ids or catalogue names, separated by commas. Default: all.")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@click.option("--server", help="Address of a server to read from, instead of RECORDINGS_URL.")
@click.option("--size", type=Size(), default="1280x720", show_default=True, help="Of a film.")
@click.option(
    "--fps", type=click.IntRange(1, 120), help="Of a film: pictures per simulated second; 30, or 20 for gif."
)
@click.option(
    "--view", help="Of a film: a camera that is kept with the recording. Default: the one named default."
)
def command(
    recording: str,
    name: str,
    target: Path | None,
    frames: str,
    bodies: str,
    force: bool,
    server: str | None,
    size: tuple[int, int],
    fps: int | None,
    view: str | None,
) -> None:
    """Write RECORDING for another program.

    RECORDING is a session's token, or the path or URL of a Zarr group. Without -o the file is written to the current
    folder. It gets its name when all of it is written.
    """
    settings = read_settings()
    missing = missing_packages(name)
    if missing:
        raise click.ClickException(
            f"{name} needs {', '.join(missing)}: pip install '.[export]' in the project's folder"
            " (after ./run: ./run install export)"
        )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    _stop_on_sigterm()
    try:
        target = target or Path(_title(recording) + FORMATS[name].ending)
        with open_recording(settings, recording, server=server) as store:
            camera = _camera(settings, recording, server, view) if name in ("mp4", "gif") else None
            film = Film(size=size, fps=fps or (20 if name == "gif" else 30), camera=camera)
            clip = Clip(store, frames=frames, bodies=bodies.split(","))
            console = Console(stderr=True)
            with Progress(
                *columns, console=console, transient=True, disable=not console.is_terminal
            ) as progress:
                task = progress.add_task(f"exporting {name}", total=clip.length)
                export(
                    clip, name, target, force=force, film=film,
                    progress=lambda frames: progress.advance(task, frames),
                )  # fmt: skip
    except LobbyError as error:
        raise click.ClickException(escape_text(error.message)) from None
    except FileExistsError as error:
        raise click.ClickException(f"{error.filename} exists already; --force replaces it") from None
    except OSError as error:
        raise click.ClickException(escape_text(_reason(error))) from None
    count = len({body.id for segment in clip.segments for body in segment.bodies})
    click.echo(f"{target}: {clip.length} frames, {count} bodies, {_size(target)}")
    if name == "zarr":
        click.echo("xarray reads it without a warning by open_zarr(path, consolidated=False)")


def _reason(error: OSError) -> str:
    """An error of the file system in one line, without the temporary name of the file."""
    if error.filename and not str(error.filename).rpartition("/")[2].startswith("."):
        return f"{error.filename}: {error.strerror}"
    return error.strerror or str(error)


def _camera(settings: Settings, recording: str, server: str | None, view: str | None) -> Camera | None:
    """The camera of the view with this name, or of the view ``default``, if there is one."""
    views = named_views(settings, recording, server=server)
    if view is not None and view not in views:
        there = f"; there are {', '.join(sorted(views))}" if views else ""
        raise click.ClickException(escape_text(f"no view {view} is kept with {recording}{there}"))
    found = views.get(view or "default")
    return None if found is None or found.position == found.target else (found.position, found.target)


def _title(recording: str) -> str:
    """The default name of the output: the token, or the name of the group."""
    return (
        recording.rstrip("/").rsplit("/", 1)[-1].removesuffix(".zarr") if is_place(recording) else recording
    )


def _size(path: Path) -> str:
    size = float(sum(one.stat().st_size for one in ([path] if path.is_file() else path.rglob("*"))))
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _stop_on_sigterm() -> None:
    """Let SIGTERM end the command as Ctrl-C does, so that it removes what it began to write."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
