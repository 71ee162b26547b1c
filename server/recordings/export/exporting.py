"""Exports a clip of a recording in one of FORMATS, whole or not at all.

    export -> writer of the format -> .NAME.<hex>.part beside the target -> NAME

A writer reads block by block and needs memory for a few blocks, whatever the length. What it wrote has the final name
only when all of it is written; after an error, a full disk or an interruption nothing is left. This module must never
contact the store or a server.
"""

from __future__ import annotations

import importlib
import importlib.util
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tussle.server.recordings.export.clip import Clip

__all__ = ["FORMATS", "Camera", "Film", "Format", "Progress", "export", "missing_packages", "suffix_of"]

Progress = Callable[[int], None]
"""Called with the number of frames that have been written."""

Camera = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Where a camera is, and what it looks at [m]."""


@dataclass(frozen=True, slots=True)
class Film:
    """How a film is made. fps: pictures per second of simulated time. size: width and height, even numbers.
    camera: None: the group's own, or one that has what happens in view."""

    size: tuple[int, int] = (1280, 720)
    fps: int = 30
    camera: Camera | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """module, function: of the writer, called with the clip, the path to write, the film and a Progress. ending:
    added to the session's token. folder: whether it writes a folder. packages: to be installed with tussle[export]."""

    module: str
    function: str
    ending: str
    about: str
    folder: bool = False
    packages: tuple[str, ...] = ()


FORMATS: dict[str, Format] = {
    "zarr": Format("zarr_copy", "write_zarr", ".zarr", "a Zarr 3 group, a recording of its own", folder=True),
    "npz": Format("npz_file", "write_npz", ".npz", "one NumPy file"),
    "vtk": Format("vtk_series", "write_vtk", "-vtk", "a series of meshes for ParaView", folder=True),
    "gltf": Format("gltf_scene", "write_gltf", ".glb", "an animated 3D scene"),
    "parquet": Format(
        "parquet_tables", "write_parquet", "-parquet", "tables", folder=True, packages=("pyarrow",)
    ),
    "rrd": Format("rerun_log", "write_rrd", ".rrd", "a Rerun recording", packages=("rerun",)),
    "mp4": Format("film", "write_film", ".mp4", "a film", packages=("av",)),
    "gif": Format("film", "write_film", ".gif", "a film that repeats", packages=("av",)),
}


def missing_packages(name: str) -> list[str]:
    """The packages that a format needs and that are missing."""
    return [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]


def suffix_of(name: str) -> str:
    """What the name of a file of this format ends with; "" for a folder."""
    return "" if FORMATS[name].folder else FORMATS[name].ending


def export(
    clip: Clip,
    name: str,
    target: Path,
    *,
    force: bool = False,
    film: Film | None = None,
    progress: Progress = lambda frames: None,
) -> None:
    """Write ``target``, a file or a folder. force: replace an existing output.

    Raises FileExistsError, other errors of the file system, ProtocolError (damaged_recording), Refused. Nothing is
    changed then.
    """
    if not force and (target.exists() or target.is_symlink()):
        raise FileExistsError(17, "there is a file already", str(target))
    if not target.parent.is_dir():
        raise FileNotFoundError(2, "there is no such folder", str(target.parent))
    wanted = FORMATS[name]
    module = importlib.import_module(f"tussle.server.recordings.export.{wanted.module}")
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part{suffix_of(name)}")
    try:
        if wanted.folder:
            part.mkdir()
        getattr(module, wanted.function)(clip, part, film or Film(), progress)
        _place(part, target, force=force)
    finally:
        _remove(part)


def _place(part: Path, target: Path, *, force: bool) -> None:
    """Give what is written its name. A folder cannot be replaced in one step: the old one is put aside first."""
    if not force or not target.is_dir() or target.is_symlink():
        if part.is_dir() and force:
            _remove(target)
        part.rename(target)
        return
    aside = part.with_name(part.name + ".old")
    target.rename(aside)
    try:
        part.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
