"""``tussle redis``: a small redis-cli for people who have none. Commands with arguments, or a prompt.

Replies are formatted as redis-cli formats them: with types on a terminal, without types into a pipe. It runs any
command on the store of a running `tussle up`, or on REDIS_URL. It must never depend on the meaning of a key.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from tussle.cli.running import read_settings, store_of
from tussle.lobby.errors import StoreError
from tussle.lobby.text import escape_text

if TYPE_CHECKING:
    from tussle.lobby.store.store import Store

__all__ = ["bare_reply", "command", "format_reply", "split_line"]

LISTENING = {"SUBSCRIBE", "PSUBSCRIBE", "MONITOR", "SSUBSCRIBE"}


@click.command("redis", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--url", help="Address of the store; default: REDIS_URL, or that of the running `tussle up`.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(url: str | None, arguments: tuple[str, ...]) -> None:
    """Run a Redis command on the store: `tussle redis HGETALL '{main}:session:k7qm2xpv'`; without a command, a
    prompt."""
    settings = store_of(read_settings(), url)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            sys.exit(asyncio.run(_run(settings.redis_url, settings.realm, arguments)))
        except StoreError as error:
            raise click.ClickException(error.message) from None


async def _run(address: str, realm: str, arguments: tuple[str, ...]) -> int:
    from tussle.lobby.store.store import Store

    store = Store(address, realm, connections=2)
    try:
        if arguments:
            reply, failed = await _ask(store, arguments)
            click.echo(reply)
            return int(failed)
        await _prompt(store, address)
        return 0
    finally:
        await store.close()


async def _prompt(store: Store, address: str) -> None:
    await store.call("PING")
    where = re.sub(r"^redis://|/0$", "", address)
    interactive = sys.stdin.isatty()
    if interactive:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - arrows and history at the prompt
        click.echo(f"Connected to {address}. `exit` or Ctrl-D ends.")
    while True:
        try:
            line = await asyncio.to_thread(input, f"{where}> " if interactive else "")
        except EOFError:
            return
        try:
            words = split_line(line)
        except ValueError:
            click.echo("Invalid argument(s)")
            continue
        if not words:
            continue
        if words[0].lower() in ("exit", "quit"):
            return
        try:
            reply, _ = await _ask(store, words)
        except StoreError as error:
            reply = f"(error) {error.message}"
        click.echo(reply)


async def _ask(store: Store, words: tuple[str, ...] | list[str]) -> tuple[str | bytes, bool]:
    """The store's reply as text, and whether it is an error."""
    if words[0].upper() in LISTENING:
        return await _listen(store, words), False
    if words[0] == "--scan":
        return await _scan(store, words), False
    try:
        show = format_reply if sys.stdout.isatty() else bare_reply
        return show(await store.call(*words, raw=True)), False
    except StoreError as error:
        refused = error.message.removeprefix("the store refused: ")
        if refused == error.message:
            raise
        code = "" if re.match(r"[A-Z]+ ", refused) else "ERR "  # the client library removed it
        return f"(error) {code}{refused}", True


async def _scan(store: Store, words: tuple[str, ...] | list[str]) -> str:
    """``--scan [--pattern P]``, as redis-cli has it."""
    pattern = words[words.index("--pattern") + 1] if "--pattern" in words[:-1] else "*"
    cursor, keys = "0", []
    while True:
        cursor, found = await store.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
        keys += found
        if cursor == "0":
            return "\n".join(sorted(set(keys)))


async def _listen(store: Store, words: tuple[str, ...] | list[str]) -> str:
    """Print messages as they arrive, until Ctrl-C."""
    link = await store.link()
    try:
        await link.send(*words)
        click.echo("Reading messages... (Ctrl-C ends)")
        while True:
            reply = await link.receive(timeout_s=3600.0)
            if reply is not None:
                click.echo(format_reply(reply))
    finally:
        await link.close()


def split_line(line: str) -> list[str]:
    """The words of a line; quotes as in a shell. Raises ValueError for an unclosed quote."""
    return shlex.split(line)


def bare_reply(reply: Any) -> bytes:
    """As redis-cli prints it into a pipe: a line for each value, nothing around it."""
    match reply:
        case None:
            return b""
        case bool():
            return str(int(reply)).encode()
        case bytes():
            return reply
        case list() | tuple():
            return b"\n".join(map(bare_reply, reply))
        case _:
            return str(reply).encode()


def format_reply(reply: Any, indent: str = "") -> str:
    """As redis-cli prints it on a terminal."""
    match reply:
        case None:
            return "(nil)"
        case bool():
            return f"(integer) {int(reply)}"
        case int():
            return f"(integer) {reply}"
        case bytes() | str():
            text = reply.decode("utf-8", "surrogateescape") if isinstance(reply, bytes) else reply
            if text in ("OK", "PONG", "QUEUED"):
                return text
            if "\n" in text.strip() and not indent:
                lines = (
                    text.rstrip("\r\n").replace("\r\n", "\n").split("\n")
                )  # INFO and similar replies, which are text for people
                return "\n".join(map(escape_text, lines))
            return '"' + "".join(map(_escape, text)) + '"'
        case list() | tuple():
            if not reply:
                return "(empty array)"
            width = len(str(len(reply)))
            lines = []
            for number, part in enumerate(reply, 1):
                label = f"{number:>{width}}) "
                shown = format_reply(part, indent + " " * len(label))
                lines.append((indent if number > 1 else "") + label + shown)
            return "\n".join(lines)
        case Exception():
            return f"(error) {reply}"
        case _:
            return str(reply)


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(letter: str) -> str:
    if letter in _ESCAPES or letter.isprintable():
        return _ESCAPES.get(letter, letter)
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
