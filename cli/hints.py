"""How a hint names another command: as the user calls this one, `tussle` or `./run`."""

from __future__ import annotations

import click

__all__ = ["hint"]


def hint(arguments: str) -> str:
    """Return `tussle ARGUMENTS` in backquotes, with the name by which the user called the running command."""
    context = click.get_current_context(silent=True)
    called = None if context is None else context.find_root().obj
    return f"`{called or 'tussle'} {arguments}`"
