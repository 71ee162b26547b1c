"""``tussle operator``: who is an operator. It works on the store, and needs no server.

A secret is asked for on a terminal, or is one line of standard input. It must never be an argument, which every process
of the machine can read.
"""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from tussle.cli.hints import hint
from tussle.cli.running import read_settings, store_of
from tussle.lobby.errors import AuthError, LobbyError

if TYPE_CHECKING:
    from tussle.lobby.accounts import Accounts

__all__ = ["command", "read_secret"]

T = TypeVar("T")

_store = click.option(
    "--store", "url", help="Address of the store; default: REDIS_URL, or that of the running `tussle up`."
)


@click.group("operator")
def command() -> None:
    """Add, list and remove operators: players who may pause and end sessions, ban players and drain servers."""


@command.command("add")
@click.argument("name")
@click.option(
    "--replace", is_flag=True, help="Take the name from the player who has it, for a secret that is lost."
)
@_store
def add_operator(name: str, replace: bool, url: str | None) -> None:
    """Make the player NAME an operator, and create it if the name is free.

    The secret is asked for, or read as one line from standard input. It must be the player's own.
    """
    secret = read_secret(f"Secret of {name}: ", twice=True)
    try:
        _with_accounts(url, lambda accounts: accounts.add_operator(name, secret, replace=replace))
    except AuthError as error:
        advice = "" if "OPERATORS" in error.message else "; --replace gives the name to a new player"
        raise click.ClickException(f"{error.message}{advice}") from None
    click.echo(f"{name} is an operator: {hint('admin')} and /admin take the name and its secret")


@command.command("remove")
@click.argument("name")
@_store
def remove_operator(name: str, url: str | None) -> None:
    """Take an operator's rights from the player NAME. The account stays."""
    was = _with_accounts(url, lambda accounts: accounts.remove_operator(name))
    click.echo(f"{name} is not an operator any more" if was else f"{name} was not an operator")


@command.command("list")
@_store
def list_operators(url: str | None) -> None:
    """List the operators in the store, and the names of OPERATORS."""
    from tussle.lobby.operator_entries import parse_entries

    names = _with_accounts(url, lambda accounts: accounts.operators())
    for name in names:
        click.echo(name)
    reserved = sorted(parse_entries(read_settings().operators))
    for name in reserved:
        click.echo(f"{name}  (by OPERATORS)")
    if not names and not reserved:
        click.echo(f"nobody is an operator; {hint('operator add NAME')} makes one", err=True)


@command.command("hash")
@click.argument("name")
def print_entry(name: str) -> None:
    """Print the entry of OPERATORS for NAME and a secret, for servers whose settings decide who is an operator."""
    from tussle.lobby.accounts import hash_secret
    from tussle.lobby.names import clean_name
    from tussle.lobby.operator_entries import format_entry

    secret = read_secret(f"Secret of {name}: ", twice=True)
    try:
        name, hashed = clean_name(name), hash_secret(secret)
    except LobbyError as error:
        raise click.ClickException(error.message) from None
    if ":" in name or "," in name:
        raise click.ClickException("a name in OPERATORS has no comma and no colon")
    click.echo(format_entry(name, hashed))


def read_secret(prompt: str, *, twice: bool = False) -> str:
    """A secret from the terminal, or one line of standard input. Raises ClickException if two inputs differ."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    secret = getpass.getpass(prompt)
    if twice and getpass.getpass("The same again: ") != secret:
        raise click.ClickException("the two secrets differ; nothing was changed")
    return secret


def _with_accounts(url: str | None, call: Callable[[Accounts], Awaitable[T]]) -> T:
    """The result of a call on the accounts of the store. Raises ClickException; AuthError passes through."""
    from tussle.lobby.accounts import Accounts
    from tussle.lobby.store.store import Store

    settings = store_of(read_settings(), url)

    async def run() -> T:
        store = await Store.connect(settings.redis_url, settings.realm)
        try:
            return await call(Accounts(store, settings))
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except AuthError:
        raise
    except LobbyError as error:
        raise click.ClickException(error.message) from None
