"""The command that simulates a mesh file."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from tussle.cli.main import main


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
