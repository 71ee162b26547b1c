"""The attacks run against the real server of the gateway's tests, on one kind of store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.conftest import site as site
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import Binary, EmbeddedStore


@pytest.fixture(scope="module")
def store_url(valkey: Binary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One store is enough: the attacks do not depend on its kind."""
    with EmbeddedStore(Settings(data_dir=tmp_path_factory.mktemp("attack")), binary=valkey) as store:
        yield store.url
