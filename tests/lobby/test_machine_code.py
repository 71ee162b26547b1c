"""The folders of machine code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tussle.lobby.machine_code import compiled_mark, find_code_folder


def test_machine_code_is_used_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of an image, which has all machine code, is used read-only, also by a user without a home. Without the
    mark it is not."""
    folder = tmp_path / "image" / "code-1"
    folder.mkdir(parents=True)
    mark = folder / compiled_mark()
    mark.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder.parent))
    monkeypatch.setattr(os, "access", lambda path, mode: not Path(path).is_relative_to(folder.parent))

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    module = str(tmp_path / "module.py")
    assert find_code_folder("code-1", module) == folder
    mark.unlink()
    assert find_code_folder("code-1", module) == tmp_path / "__pycache__" / "code-1"
