"""The file in DATA_DIR that says how to reach the server and store of a running ``tussle up``.

The other commands read it, so that users need not copy a port. It is removed when the supervisor ends.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import click

from tussle.cli.hints import hint
from tussle.lobby.addresses import local_url
from tussle.lobby.environment import BadSetting
from tussle.lobby.settings import Settings

__all__ = ["Running", "announced", "find_running", "read_settings", "server_of", "store_of"]

FILE = "running.json"


class SettingRefused(click.ClickException):
    """A setting that cannot be used: one line, and the exit code of all programs for it."""

    exit_code = 2


def read_settings(**overrides: Any) -> Settings:
    """The settings of the environment, as every command reads them. Raises ClickException for a bad one."""
    try:
        return Settings.read(**overrides)
    except BadSetting as error:
        raise SettingRefused(str(error)) from None


@dataclass(frozen=True, slots=True)
class Running:
    """The addresses of a running ``tussle up``. ``pid`` is the supervisor's process id."""

    pid: int
    server_url: str
    redis_url: str
    realm: str


@contextlib.contextmanager
def announced(data_dir: Path, running: Running) -> Iterator[None]:
    """Write the file, and remove it when the block ends."""
    path = data_dir / FILE
    path.write_text(json.dumps(asdict(running)) + "\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_running(data_dir: Path) -> Running | None:
    """The running ``tussle up`` of this DATA_DIR, or None. A file left behind by a killed supervisor is ignored."""
    try:
        document = json.loads((data_dir / FILE).read_text())
        running = Running(**{item.name: document[item.name] for item in fields(Running)})
        os.kill(running.pid, 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return running


def server_of(settings: Settings, given: str | None) -> str:
    """The server's URL: ``given``, else SERVER_URL if it is set, else that of the running ``tussle up``, else HOST and
    PORT."""
    if given:
        return given.rstrip("/") if "//" in given else f"http://{given.rstrip('/')}"
    default = next(item.default for item in fields(Settings) if item.name == "server_url")
    if settings.server_url != default:
        return settings.server_url
    running = find_running(settings.data_dir)
    if running is not None:
        return running.server_url
    return local_url(settings.host, settings.port) if settings.port else settings.server_url


def store_of(settings: Settings, given: str | None) -> Settings:
    """The settings with the store's URL: ``given``, else REDIS_URL, else URL and realm of the running ``tussle up``.

    Raises ClickException if there is none.
    """
    if given or settings.redis_url:
        return replace(settings, redis_url=given or settings.redis_url)
    running = find_running(settings.data_dir)
    if running is None:
        raise click.ClickException(f"no store is running: start {hint('up')}, or set REDIS_URL")
    return replace(settings, redis_url=running.redis_url, realm=running.realm)
