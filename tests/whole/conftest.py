"""One store for all tests of the whole: the one that ``./run`` would start on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore


@pytest.fixture(scope="session")
def whole_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    with EmbeddedStore(Settings(data_dir=tmp_path_factory.mktemp("whole"))) as store:
        yield store.url
