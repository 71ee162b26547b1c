"""The recording that the tests of exports share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.recordings.export import moving


@pytest.fixture(scope="package")
def recording(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a recording with every kind of body. It is only read."""
    return moving.write(tmp_path_factory.mktemp("recording") / "k7qm2xpv.zarr")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder
