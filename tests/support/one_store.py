"""One store instead of two kinds, for tests of whole servers: the scripts are tested in both kinds of store by the
tests of lobby/, worker/ and the sessions. A conftest or a test file imports the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import Binary, EmbeddedStore

__all__ = ["store_url"]


@pytest.fixture(scope="session")
def store_url(valkey: Binary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Valkey."""
    with EmbeddedStore(Settings(data_dir=tmp_path_factory.mktemp("store")), binary=valkey) as store:
        yield store.url
