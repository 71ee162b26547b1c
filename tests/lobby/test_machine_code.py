"""The folders of machine code."""

from __future__ import annotations

import os
import tempfile
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


@pytest.mark.parametrize("case", ["private", "writable by others", "a link", "nothing can be written"])
def test_machine_code_of_others_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """The folder for temporary files has a predictable name, so that another user may make it first. Only one that is
    ours alone is used."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = tmp_path / f"tussle-{os.getuid()}"
    if case == "writable by others":
        place.mkdir()
        place.chmod(0o777)
    elif case == "a link":
        (tmp_path / "theirs").mkdir()
        place.symlink_to(tmp_path / "theirs")
    elif case == "nothing can be written":

        def none() -> str:
            raise FileNotFoundError("no usable temporary directory")

        monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    shut = {tmp_path / "__pycache__" / "code-1", tmp_path / "home" / ".cache" / "code-1"}
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) not in shut)
    found = find_code_folder("code-1", str(tmp_path / "module.py"))
    assert (found == place / "code-1") == (case == "private")
    if case == "private":
        assert place.stat().st_mode & 0o777 == 0o700
