"""The command that simulates a mesh file."""

from __future__ import annotations

from pathlib import Path

import pytest
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


@pytest.mark.parametrize("data", [b'{"bodies": [{"id": "\xff"}]}', b'{"nothing": ' + b"[" * 100_000])
def test_a_scene_of_any_bytes_is_refused(tmp_path: Path, data: bytes) -> None:
    """Text that is not UTF-8, and text that is nested too deeply: one line, no traceback."""
    scene = tmp_path / "scene.json"
    scene.write_bytes(data)
    result = CliRunner().invoke(main, ["simulate", "-i", str(scene), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "scene" in result.output and len(result.output.strip().splitlines()) == 1
