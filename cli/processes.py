"""The commands that run another program in this process: ``server``, ``worker``, ``seed``.

They add one thing: when REDIS_URL is not set, the store that ``tussle up`` started on this machine is used.
"""

from __future__ import annotations

import os
import runpy
import sys

import click

from tussle.cli.running import find_running, read_settings

__all__ = ["seed", "server", "worker"]

_PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}


def _run_program(module: str, arguments: tuple[str, ...]) -> None:
    """Run the module as ``__main__`` with these arguments. Never returns normally when the program exits itself."""
    settings = read_settings()
    running = None if settings.redis_url else find_running(settings.data_dir)
    if running is not None:
        os.environ.update(REDIS_URL=running.redis_url, REALM=running.realm)
    sys.argv = [module, *arguments]
    runpy.run_module(f"tussle.{module}", run_name="__main__", alter_sys=True)


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def server(arguments: tuple[str, ...]) -> None:
    """Run one server against REDIS_URL, or against the store that `tussle up` started on this machine."""
    _run_program("tussle.server", arguments)


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def worker(arguments: tuple[str, ...]) -> None:
    """Run one worker against REDIS_URL, or against the store that `tussle up` started on this machine."""
    _run_program("tussle.worker", arguments)


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def seed(arguments: tuple[str, ...]) -> None:
    """Fill the catalogue, as ``python build_db.py`` does."""
    _run_program("tussle.build_db", arguments)
