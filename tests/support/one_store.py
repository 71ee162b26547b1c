"""One store instead of two kinds, for tests of whole servers: the scripts are tested in both kinds of store by the
tests of lobby/ and worker/. A conftest or a test file imports the fixture. TEST_STORE=redis_7 runs these tests in the
other kind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import Binary, EmbeddedStore

__all__ = ["store_url"]


@pytest.fixture(scope="session")
def store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running store."""
    binary: Binary = request.getfixturevalue(os.environ.get("TEST_STORE", "valkey"))
    with EmbeddedStore(Settings(data_dir=tmp_path_factory.mktemp("store")), binary=binary) as store:
        yield store.url
