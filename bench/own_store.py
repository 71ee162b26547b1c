"""A store of its own for a measurement: an embedded one in a new folder, without the data of earlier runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore

__all__ = ["own_store"]


@contextmanager
def own_store() -> Iterator[EmbeddedStore]:
    """Run an embedded store; it is stopped and its folder removed at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="tussle-bench-") as folder,
        EmbeddedStore(Settings(data_dir=Path(folder))) as store,
    ):
        yield store
