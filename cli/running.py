"""Where the Tussle that ``tussle up`` started can be reached: a small file in DATA_DIR, there while it runs.

The other commands find their server and store by it, so that nobody has to copy a port.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tussle.lobby.settings import Settings

__all__ = ["Running", "announced", "find_running", "server_of", "store_of"]

FILE = "running.json"


@dataclass(frozen=True, slots=True)
class Running:
    """What is up. ``pid``: of the supervisor."""

    pid: int
    server_url: str
    redis_url: str
    realm: str


@contextlib.contextmanager
def announced(data_dir: Path, running: Running) -> Iterator[None]:
    """The file, for as long as the block lasts."""
    path = data_dir / FILE
    path.write_text(json.dumps(asdict(running)) + "\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_running(data_dir: Path) -> Running | None:
    """What is up here, or None. A file that a killed supervisor left behind does not count."""
    try:
        document = json.loads((data_dir / FILE).read_text())
        running = Running(**{item.name: document[item.name] for item in fields(Running)})
        os.kill(running.pid, 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return running


def server_of(settings: Settings, given: str | None) -> str:
    """The server to talk to: as given, else as SERVER_URL says, else the one that is up here."""
    if given:
        return given.rstrip("/") if "//" in given else f"http://{given.rstrip('/')}"
    default = next(item.default for item in fields(Settings) if item.name == "server_url")
    running = find_running(settings.data_dir) if settings.server_url == default else None
    return running.server_url if running is not None else settings.server_url


def store_of(settings: Settings, given: str | None) -> str:
    """The store to look into, in the same order; '' if there is none."""
    if given or settings.redis_url:
        return given or settings.redis_url
    running = find_running(settings.data_dir)
    return running.redis_url if running is not None else ""
