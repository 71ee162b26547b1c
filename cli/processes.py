"""The commands that become one of our processes: ``server``, ``worker``, ``seed``. They add nothing to
them."""

from __future__ import annotations

import runpy
import sys

import click

__all__ = ["seed", "server", "worker"]

_PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}


def _become(module: str, arguments: tuple[str, ...]) -> None:
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def server(arguments: tuple[str, ...]) -> None:
    """Run one server against REDIS_URL, as ``python -m server`` does."""
    _become("server", arguments)


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def worker(arguments: tuple[str, ...]) -> None:
    """Run one worker against REDIS_URL, as ``python -m worker`` does."""
    _become("worker", arguments)


@click.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def seed(arguments: tuple[str, ...]) -> None:
    """Fill the catalogue, as ``python build_db.py`` does."""
    _become("build_db", arguments)
