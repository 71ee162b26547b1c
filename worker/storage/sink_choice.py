"""The choice of a sink by its address, STORAGE_URL. This module must never write a row.

""  or  PATH                         Parquet files in a folder (default DATA_DIR/lake)
influx+http://HOST:PORT/DATABASE     InfluxDB points
"""

from __future__ import annotations

from pathlib import Path

from tussle.lobby.environment import BadSetting
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store
from tussle.worker.storage.influx import InfluxSink
from tussle.worker.storage.sink import Sink

__all__ = ["make_sink"]


def make_sink(store: Store, settings: Settings) -> Sink:
    """Return the sink that STORAGE_URL names. Raises BadSetting, also when the sink's library is not installed."""
    url = settings.storage_url
    if url.startswith(("influx+http://", "influx+https://")):
        return InfluxSink(store, url.removeprefix("influx+"))
    if "://" in url:
        raise BadSetting(f"STORAGE_URL={url}: a folder, or influx+http://host:8086/database")
    try:
        from tussle.worker.storage.parquet import ParquetSink  # pyarrow is an optional dependency
    except ImportError:
        raise BadSetting(
            "Parquet needs pyarrow: pip install '.[storage]' in the project's folder"
            " (after ./run: ./run install storage)"
        ) from None
    return ParquetSink(Path(url) if url else settings.data_dir / "lake")
