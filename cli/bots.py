"""``tussle bots``: the program ``python -m player``, with the server of a running ``tussle up`` as its default."""

from __future__ import annotations

from typing import Any

import click

from tussle.cli.running import server_of
from tussle.lobby.settings import BadSetting, Settings
from tussle.player.__main__ import command as bots

__all__ = ["command"]


def _at_this_server(server_url: str | None, **options: Any) -> None:
    try:
        server_url = server_of(Settings.read(), server_url)
    except BadSetting as error:
        raise click.ClickException(str(error)) from None
    assert bots.callback is not None
    bots.callback(server_url=server_url, **options)


command = click.Command("bots", callback=_at_this_server, params=bots.params, help=bots.help)
