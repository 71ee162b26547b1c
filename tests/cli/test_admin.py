"""``tussle admin`` and ``tussle limits`` on a real server: the secret comes from standard input or a token."""

from __future__ import annotations

import asyncio
import json
from io import StringIO
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from tests.support.operators import ENTRY, SECRET
from tests.support.stack import Stack
from tussle.cli.admin import limits_table, overview_tables, parse_length
from tussle.cli.main import main
from tussle.player.client import Client


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("1.5h", 5400), ("7d", 604800)]
)
def test_a_length_has_a_unit(text: str, seconds: float) -> None:
    """Seconds, minutes, hours and days."""
    assert parse_length(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1w", "1h30m", "nan", "1e9s"])
def test_a_length_that_is_none_is_refused(text: str) -> None:
    """The message says what a length is."""
    with pytest.raises(click.BadParameter, match="such as 1h"):
        parse_length(text)


def shown(renderable: Any) -> str:
    output = StringIO()
    Console(file=output, width=160, color_system=None).print(renderable)
    return output.getvalue()


SEEN: dict[str, Any] = {
    "at": 100_000, "session_count": 1, "player_count": 1,
    "sessions": [{
        "session": "k7qm2xpv", "status": "running", "mode": "duel", "size": 2, "tick": 9, "observers": 0,
        "members": [{"seat": 0, "player": "p1", "name": "ada\x1b[2J", "kind": "person", "connected": True}],
        "opened_at": 0, "started_at": 40_000, "server": "s1", "tick_rate": 20.0, "solver_ms": 4.5, "share": 0.9,
        "dilation": 3.0,
    }],
    "servers": [{
        "id": "s1", "url": "http://s1", "sessions": 1, "physics_id": "x", "lease_age_ms": 120, "build": "1",
        "held": True, "draining": False, "connections": 2, "share": 0.9,
    }],
    "solvers": [{
        "server": "s1", "index": 0, "kind": "light", "running": True, "sessions": 1, "queue": 0, "busy": 0.9, "load": 1,
    }],
    "players": [], "refusals": [],
    "banned": [{"player": "p2", "name": "bob\x07", "until": 1}],
    "banned_addresses": [{"address": "10.0.0.7\x1b[2J", "until": 1}],
    "limits": [{
        "server": "s1", "resource": "requests", "owner": "address", "rate": 200.0, "burst": 1000.0, "held": False,
        "setting": "REQUEST_RATE", "count": 1, "refusals": 7,
        "keys": [{"key": "10.0.0.9\x1b]0;x", "refusals": 7, "holds": 0, "left": 0.0}],
    }],
}  # fmt: skip


def test_the_overview_names_what_is_slow_and_who_was_refused() -> None:
    """Numbers have units, a slow session has a sign as well as a colour, and no control character gets through."""
    text = shown(overview_tables(SEEN, width=160))
    for part in (
        "k7qm2xpv",
        "◆ 3.00 ×",
        "4.50 ms",
        "120 ms",
        "90 %",
        "1:00",
        "REQUEST_RATE",
        "10.0.0.9",
        "10.0.0.7",
        "bob",
    ):
        assert part in text, part
    assert "\x1b" not in text and "\x07" not in text
    assert "200/s" in shown(limits_table(SEEN["limits"], several=True))
    large = {**SEEN["limits"][0], "rate": 1_048_576.0}
    text = shown(limits_table([large, {**large, "rate": 0.05}]))
    assert "1\u2009048\u2009576/s" in text and "0.05/s" in text


async def tussle(stack: Stack, *arguments: str, said: str = f"{SECRET}\n", **environ: str) -> Result:
    """Run the command in a thread, with one line of standard input."""
    settings = {"SERVER_URL": stack.url, "OPERATORS": "", "DATA_DIR": str(stack.data_dir), **environ}
    return await asyncio.to_thread(CliRunner().invoke, main, list(arguments), said, settings)


async def test_an_operator_orders_from_the_terminal(valkey: Any, tmp_path: Path, realm: str) -> None:
    """The overview, a ban with a length, a notice and an end, by name and secret; a token does the same. A wrong secret
    and a player who is no operator are one line."""
    from tussle.lobby.settings import Settings
    from tussle.lobby.store.embedded import EmbeddedStore

    async with (
        EmbeddedStore(Settings(data_dir=tmp_path), binary=valkey) as store,
        Stack.up(store.url, realm, OPERATORS=ENTRY) as stack,
    ):
        await stack.server()
        async with Client(stack.url) as ada, Client(stack.url) as boss:
            me = await ada.login("ada", "a secret of hers")
            seat = await ada.open(mode="duel", size=2)
            seen = await tussle(stack, "admin", "--as", "boss", "--json")
            assert seen.exit_code == 0, seen.output
            assert [row["session"] for row in json.loads(seen.output)["sessions"]] == [seat.session]
            assert SECRET not in seen.output
            sent = await tussle(stack, "admin", "--as", "boss", "notice", "Hello", "--session", seat.session)
            assert (sent.exit_code, sent.output.strip()) == (0, "the notice is sent")
            banned = await tussle(stack, "admin", "--as", "boss", "ban", "ada", "--for", "1h")
            assert banned.exit_code == 0, banned.output
            assert "ada" in (await tussle(stack, "admin", "--as", "boss")).output
            token = (await boss.login("boss", SECRET)).token
            lifted = await tussle(stack, "admin", "unban", me.player, said="", OPERATOR_TOKEN=token)
            assert lifted.exit_code == 0, lifted.output
            for command, until in (("ban-address", ("--for", "1h")), ("unban-address", ())):
                done = await tussle(
                    stack, "admin", command, "10.9.8.7", *until, said="", OPERATOR_TOKEN=token
                )
                assert done.exit_code == 0 and "10.9.8.7" in done.output, done.output
            assert "requests" in (await tussle(stack, "limits", said="", OPERATOR_TOKEN=token)).output
            for arguments, said, environ, words in (
                (("--as", "boss"), "a guess\n", {}, "is refused"),
                (("--as", "ada"), "a secret of hers\n", {}, "tussle operator add"),
                ((), "", {"OPERATOR_TOKEN": "x" * 43}, "OPERATOR_TOKEN is refused"),
                ((), "", {}, "--as NAME"),
                (("--as", "boss", "drain", "nowhere"), f"{SECRET}\n", {}, "no living server"),
            ):
                refused = await tussle(stack, "admin", *arguments, said=said, **environ)
                assert refused.exit_code == 1 and words in refused.output, (arguments, refused.output)
                assert len(refused.output.splitlines()) == 1
