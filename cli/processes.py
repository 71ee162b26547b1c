"""The commands that become one of our processes: ``server``, ``worker``, ``seed``. All they add is the store that is
up here, when nothing else names one."""

from __future__ import annotations

import os
import runpy
import sys

import click

from tussle.cli.running import find_running
from tussle.lobby.settings import BadSetting, Settings

__all__ = ["seed", "server", "worker"]

_PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}


def _become(module: str, arguments: tuple[str, ...]) -> None:
    try:
        settings = Settings.read()
    except BadSetting as error:
        raise click.ClickException(str(error)) from None
    running = None if settings.redis_url else find_running(settings.data_dir)
    if running is not None:
        os.environ.update(REDIS_URL=running.redis_url, REALM=running.realm)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def server(arguments: tuple[str, ...]) -> None:
    """Run one server against REDIS_URL or the store that is up here, as ``python -m server`` does."""
    _become("server", arguments)


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def worker(arguments: tuple[str, ...]) -> None:
    """Run one worker against REDIS_URL or the store that is up here, as ``python -m worker`` does."""
    _become("worker", arguments)


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def seed(arguments: tuple[str, ...]) -> None:
    """Fill the catalogue, as ``python build_db.py`` does."""
    _become("build_db", arguments)
