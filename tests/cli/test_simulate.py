"""The command that simulates a mesh file."""

from __future__ import annotations

from pathlib import Path

import meshio
import numpy as np
import pytest
from click.testing import CliRunner

from tests.support.paths import ROOT
from tussle.cli.main import main
from tussle.server.simulation.simulate import load_scene


def test_the_mesh_of_the_examples_is_simulated(tmp_path: Path) -> None:
    """As examples/README.md says."""
    line = ["simulate", "-i", "examples/star.obj", "-o", str(tmp_path / "out"), "--material", "jelly"]
    assert (
        "./run simulate -i examples/star.obj -o out --material jelly"
        in (ROOT / "examples" / "README.md").read_text()
    )
    line[2] = str(ROOT / line[2])
    result = CliRunner().invoke(main, [*line, "--steps", "10"])
    assert result.exit_code == 0 and "0 intersections, 0 inversions" in result.output, result.output
    assert len(list((tmp_path / "out" / "frames").glob("*.vtu"))) > 3


def test_a_refused_mesh_leaves_no_folder_behind(tmp_path: Path) -> None:
    """A refused mesh is reported in one line; an existing output folder is kept, a new one is removed."""
    mesh, made, mine = tmp_path / "open.obj", tmp_path / "made", tmp_path / "mine"
    mesh.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    mine.mkdir()
    for folder in (made, mine):
        result = CliRunner().invoke(main, ["simulate", "-i", str(mesh), "-o", str(folder)])
        assert result.exit_code == 1
        assert "open surface" in result.output
    assert not made.exists()
    assert list(mine.iterdir()) == []


def test_a_mesh_that_is_too_small_is_refused_by_its_name(tmp_path: Path) -> None:
    """A sphere of a micrometre: the message names the file and its size, not a ground that was made for it; before
    anything is computed, and nothing is left."""
    mesh = tmp_path / "tiny.obj"
    corners = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    mesh.write_text(
        "".join(f"v {x * 1e-6} {y * 1e-6} {z * 1e-6}\n" for x, y, z in corners)
        + "f 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n"
    )
    result = CliRunner().invoke(main, ["simulate", "-i", str(mesh), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "tiny.obj: it is 1e-06 m across" in result.output and "ground" not in result.output
    assert not (tmp_path / "out").exists()


def test_a_scene_that_cannot_start_leaves_no_mesh_behind(tmp_path: Path) -> None:
    """The body's mesh is written before the scene is compiled, which may refuse it."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1e-4]])
    meshio.write(tmp_path / "flat.vtk", meshio.Mesh(points, [("tetra", np.array([[0, 1, 2, 3]]))]))
    result = CliRunner().invoke(
        main, ["simulate", "-i", str(tmp_path / "flat.vtk"), "-o", str(tmp_path / "out")]
    )
    assert result.exit_code == 1, result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ending", ["inp", "mesh"])
def test_other_formats_of_meshio_are_read(tmp_path: Path, ending: str) -> None:
    """Abaqus and Medit, which uploads do not take. A size that suggests another unit is noted."""
    points = 100.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    cells = [("tetra", np.array([[0, 1, 2, 3]])), ("line", np.array([[0, 1]]))]
    meshio.write(tmp_path / f"one.{ending}", meshio.Mesh(points, cells))
    notes: list[str] = []
    scene = load_scene(tmp_path / f"one.{ending}", folder=tmp_path, note=notes.append)
    assert [body.id for body in scene.bodies] == ["ground", "body"]
    assert len(notes) == 1 and f"one.{ending} is 100 m across" in notes[0]


@pytest.mark.parametrize("name", ["broken.inp", "unknown.xyz", "none.inp"])
def test_a_file_that_meshio_cannot_read_is_one_line(tmp_path: Path, name: str) -> None:
    """It names the file and the formats that are read."""
    if name != "none.inp":
        (tmp_path / name).write_text("*NODE\n1, 2\n")
    result = CliRunner().invoke(main, ["simulate", "-i", str(tmp_path / name), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert name in result.output and len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize("data", [b'{"bodies": [{"id": "\xff"}]}', b'{"nothing": ' + b"[" * 100_000])
def test_a_scene_of_any_bytes_is_refused(tmp_path: Path, data: bytes) -> None:
    """Text that is not UTF-8, and text that is nested too deeply: one line, no traceback."""
    scene = tmp_path / "scene.json"
    scene.write_bytes(data)
    result = CliRunner().invoke(main, ["simulate", "-i", str(scene), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "scene" in result.output and len(result.output.strip().splitlines()) == 1
