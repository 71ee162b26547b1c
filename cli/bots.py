"""``tussle bots``: the program ``python -m player``, with the server of a running ``tussle up`` as its default."""

from __future__ import annotations

from typing import Any

import click

from tussle.cli.running import read_settings, server_of
from tussle.player.__main__ import command as program

__all__ = ["command"]


def _at_this_server(server_url: str | None, **options: Any) -> None:
    server_url = server_of(read_settings(), server_url)
    assert program.callback is not None
    program.callback(server_url=server_url, **options)


command = click.Command("bots", callback=_at_this_server, params=program.params, help=program.help)
