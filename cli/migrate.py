"""``tussle migrate``: upgrade the stored layout of a realm to the one of this version."""

from __future__ import annotations

import asyncio

import click

from tussle.cli.running import read_settings, store_of
from tussle.lobby.errors import StoreError
from tussle.lobby.store.migrations import migrate
from tussle.lobby.store.store import SCHEMA, Store

__all__ = ["command"]


@click.command(name="migrate")
@click.option(
    "--store", "url", help="Address of the store; default: REDIS_URL, or that of the running `tussle up`."
)
def command(url: str | None) -> None:
    """Upgrade the stored data to this version. Stop all servers and workers first; back up (docs/howto/back-up.md).

    A run that was interrupted is continued by running it again.
    """
    settings = store_of(read_settings(), url)
    try:
        steps = asyncio.run(_migrate(settings.redis_url, settings.realm))
    except StoreError as error:
        raise click.ClickException(error.message) from None
    for step in steps:
        click.echo(f"schema {step} -> {step + 1}")
    click.echo(f"realm {settings.realm} has schema {SCHEMA}")


async def _migrate(url: str, realm: str) -> list[int]:
    store = await Store.connect(url, realm, check_schema=False)
    try:
        return await migrate(store)
    finally:
        await store.close()
