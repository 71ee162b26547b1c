"""``tussle admin`` and ``tussle limits``: the operators' commands and overview, over HTTP.

    --server, else SERVER_URL, else the running `tussle up`;  OPERATOR_TOKEN, else name and secret from the terminal

A secret is asked for, or is one line of standard input; it must never be an argument.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tussle.cli.hints import hint
from tussle.cli.operator import read_secret
from tussle.cli.palette import CONTACT, FAINT, LABEL, OK, SIGNAL, STATUS_MARKS, bar, counted, number
from tussle.cli.running import read_settings, server_of
from tussle.cli.sessions import age
from tussle.lobby.errors import AuthError, Forbidden, LobbyError
from tussle.lobby.text import escape_text

if TYPE_CHECKING:
    from tussle.player.client import Client

__all__ = ["admin", "limits", "limits_table", "overview_tables", "parse_length"]

T = TypeVar("T")

SLOW = 1.2
"""From this dilation on a session is called slow."""

KEYS_SHOWN = 3

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

_server = click.option(
    "--server", help="Address of a server; default: SERVER_URL, or the running `tussle up`."
)
_name = click.option("--as", "name", help="The operator's name; default: it is asked for.")


def _for(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option ``--for`` of a ban, in seconds."""
    return click.option(
        "--for",
        "for_s",
        callback=lambda _context, _option, text: parse_length(text) if text is not None else None,
        help=f"Length of the ban: 90s, 30m, 1h, 7d; default: {default}.",
    )


@click.group("admin", invoke_without_command=True)
@_server
@_name
@click.option("--json", "as_json", is_flag=True, help="Print the overview as JSON.")
@click.pass_context
def admin(context: click.Context, server: str | None, name: str | None, as_json: bool) -> None:
    """Show and control sessions, players and servers, as an operator. Without a command: the overview of all servers.

    The token in OPERATOR_TOKEN is used, else name and secret are asked for. `tussle operator add NAME` makes an
    operator.
    """
    context.obj = (server, name)
    if context.invoked_subcommand is None:
        seen = _call(context, lambda client: client.overview())
        if as_json:
            click.echo(json.dumps(seen))
        else:
            console = Console()
            console.print(overview_tables(seen, width=console.width))


@click.command("limits")
@_server
@_name
@click.pass_context
def limits(context: click.Context, server: str | None, name: str | None) -> None:
    """Show the rate limits of every server, and who was refused most often. For operators, as `tussle admin`."""
    context.obj = (server, name)
    seen = _call(context, lambda client: client.overview())
    Console().print(limits_table(seen["limits"], several=len(seen["servers"]) > 1))


@admin.command("pause")
@click.argument("session")
@click.pass_context
def pause_session(context: click.Context, session: str) -> None:
    """Pause a running SESSION and its turn clock."""
    _order(context, f"/api/sessions/{session}/pause", {}, f"{session} is paused")


@admin.command("resume")
@click.argument("session")
@click.pass_context
def resume_session(context: click.Context, session: str) -> None:
    """Resume a paused SESSION."""
    _order(context, f"/api/sessions/{session}/resume", {}, f"{session} runs")


@admin.command("end")
@click.argument("session")
@click.pass_context
def end_session(context: click.Context, session: str) -> None:
    """End a SESSION without a result."""
    _order(context, f"/api/sessions/{session}/end", {}, f"{session} ends")


@admin.command("kick")
@click.argument("session")
@click.argument("player")
@click.pass_context
def kick_player(context: click.Context, session: str, player: str) -> None:
    """Free the seat of PLAYER, an id or a name, in SESSION."""

    async def kick(client: Client) -> None:
        view = await client.session(session)
        found = [
            seat.player for seat in view.seats if player.casefold() in (seat.player, seat.name.casefold())
        ]
        await client.order(f"/api/sessions/{session}/kick", {"player": found[0] if found else player})

    _call(context, kick)
    click.echo(f"{player} has no seat in {session} any more")


@admin.command("ban")
@click.argument("player")
@_for("ten years")
@click.pass_context
def ban_player(context: click.Context, player: str, for_s: float | None) -> None:
    """Ban PLAYER, an id or a registered name, on all servers."""
    _order(context, "/api/admin/ban", {"player": player, "for_s": for_s}, f"{player} is banned")


@admin.command("unban")
@click.argument("player")
@click.pass_context
def unban_player(context: click.Context, player: str) -> None:
    """Lift the ban of PLAYER, an id or a registered name."""
    _order(context, "/api/admin/unban", {"player": player}, f"{player} is not banned any more")


@admin.command("ban-address")
@click.argument("address")
@_for("a day")
@click.pass_context
def ban_address(context: click.Context, address: str, for_s: float | None) -> None:
    """Ban ADDRESS, an IPv4 address or an IPv6 /64 network, on all servers."""
    _order(context, "/api/admin/ban-address", {"address": address, "for_s": for_s}, f"{address} is banned")


@admin.command("unban-address")
@click.argument("address")
@click.pass_context
def unban_address(context: click.Context, address: str) -> None:
    """Lift the ban of ADDRESS."""
    _order(context, "/api/admin/unban-address", {"address": address}, f"{address} is not banned any more")


@admin.command("drain")
@click.argument("server")
@click.pass_context
def drain_server(context: click.Context, server: str) -> None:
    """Have the server of that id hand its sessions over and stop."""
    _order(context, "/api/admin/drain", {"server": server}, f"{server} drains")


@admin.command("notice")
@click.argument("text")
@click.option("--session", default="", help="Only to this session; default: to all.")
@click.pass_context
def send_notice(context: click.Context, text: str, session: str) -> None:
    """Show TEXT, one line, to everybody in a session."""
    _order(context, "/api/admin/notice", {"text": text, "session": session}, "the notice is sent")


def parse_length(text: str) -> float:
    """Seconds of ``90s``, ``30m``, ``1h``, ``7d``. Raises BadParameter."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd])", text.strip())
    if found is None:
        raise click.BadParameter(
            f"{text!r}: a length is a number with s, m, h or d, such as 1h", param_hint="--for"
        )
    return float(found[1]) * UNITS[found[2]]


def _order(context: click.Context, path: str, body: dict[str, Any], done: str) -> None:
    _call(context, lambda client: client.order(path, body))
    click.echo(done)


def _call(context: click.Context, call: Callable[[Client], Awaitable[T]]) -> T:
    """The result of a call as the operator. Raises ClickException."""
    from tussle.player.client import Client

    server, name = context.obj
    settings = read_settings()
    token = settings.operator_token or None
    secret = ""
    if token is None:
        if name is None:
            if not sys.stdin.isatty():
                raise click.ClickException("name the operator: --as NAME, or set OPERATOR_TOKEN")
            name = click.prompt("Operator", err=True)
        secret = read_secret(f"Secret of {name}: ")

    async def run() -> T:
        async with Client(server_of(settings, server), token=token) as client:
            if token is None:
                await client.login(name, secret)
            try:
                return await call(client)
            finally:
                if token is None:
                    await client.logout()

    try:
        return asyncio.run(run())
    except Forbidden as error:
        advice = f"; {hint('operator add NAME')} makes an operator" if error.reason == "not_allowed" else ""
        raise click.ClickException(f"{error.message}{advice}") from None
    except AuthError as error:
        what = "OPERATOR_TOKEN" if token else "this name or its secret"
        raise click.ClickException(f"{what} is refused: {error.message}") from None
    except LobbyError as error:
        raise click.ClickException(error.message) from None


def overview_tables(seen: dict[str, Any], *, width: int) -> Group:
    """Servers and their solvers, sessions, players who are banned, and the budgets that refused something."""
    head = Text(
        f"{counted(seen['session_count'], 'session')}, {counted(seen['player_count'], 'player')} on "
        f"{counted(len(seen['servers']), 'server')}",
        LABEL,
    )
    parts: list[Text | Table] = [head, Text(), _servers(seen), Text(), _sessions(seen, width)]
    if seen["banned"]:
        names = ", ".join(escape_text(ban["name"] or ban["player"]) for ban in seen["banned"])
        parts += [Text(), Text.assemble(("banned  ", LABEL), names)]
    if seen["banned_addresses"]:
        names = ", ".join(escape_text(ban["address"]) for ban in seen["banned_addresses"])
        parts += [Text(), Text.assemble(("banned addresses  ", LABEL), names)]
    refused = [row for row in seen["limits"] if row["refusals"]]
    if refused:
        parts += [Text(), limits_table(refused, several=len(seen["servers"]) > 1)]
    return Group(*parts)


def _table(*names: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=LABEL)
    for name in names:
        table.add_column(
            name, no_wrap=True, overflow="ellipsis", justify="right" if name in right else "left"
        )
    return table


def _servers(seen: dict[str, Any]) -> Table:
    table = _table(
        "server", "status", "sessions", "sockets", "lease", "solvers", right=("sessions", "sockets", "lease")
    )
    for server in seen["servers"]:
        draining = server["draining"]
        if server["held"] is None:
            status = Text.assemble(("◆", CONTACT), " no report")
        elif draining:
            status = Text.assemble(("■", SIGNAL), " draining")
        else:
            status = (
                Text.assemble(("●", OK), " serving")
                if server["held"]
                else Text.assemble(("◆", CONTACT), " no lease")
            )
        solvers = Text()
        for solver in seen["solvers"]:
            if solver["server"] == server["id"] and solver["running"]:
                full, empty = bar(solver["busy"], 6)
                solvers.append(full, OK if solver["busy"] < 0.8 else CONTACT).append(empty, FAINT)
                solvers.append(f" {solver['busy'] * 100:.0f} %  ", LABEL)
        lease, sockets = server["lease_age_ms"], server["connections"]
        table.add_row(
            Text(server["id"], "bold"),
            status,
            str(server["sessions"]),
            "" if sockets is None else str(sockets),
            "" if lease is None else f"{number(lease)} ms",
            solvers,
        )
    return table


def _sessions(seen: dict[str, Any], width: int) -> Table:
    right = ("age", "ticks/s", "solver", "dilation")
    table = _table(
        "session", "mode", "status", "members", "age", "ticks/s", "solver", "dilation", right=right
    )
    table.columns[3].max_width = max(12, width - 78)
    for row in seen["sessions"]:
        shape, colour = STATUS_MARKS.get(row["status"], ("?", LABEL))
        dilation = row["dilation"]
        slow = dilation is not None and dilation >= SLOW and row["status"] == "running"
        table.add_row(
            Text(row["session"], "bold"),
            row["mode"],
            Text.assemble((shape, colour), f" {row['status'].replace('_', ' ')}"),
            Text(", ".join(escape_text(member["name"]) for member in row["members"])),
            age(seen["at"] - (row["started_at"] or row["opened_at"])),
            "" if row["tick_rate"] is None else number(row["tick_rate"], 1),
            "" if row["solver_ms"] is None else f"{number(row['solver_ms'], 2)} ms",
            Text(
                "" if dilation is None else f"{'◆ ' if slow else ''}{number(dilation, 2)} ×",
                CONTACT if slow else "",
            ),
        )
    if not seen["sessions"]:
        table.add_row(Text("No session waits or runs.", LABEL))
    return table


def limits_table(rows: list[dict[str, Any]], *, several: bool = False) -> Table:
    """One row per budget, those with the most refusals first, with the keys that were refused the most."""
    names = ("budget", "of one", "allowed", "refused", "by", "setting")
    table = _table(*(("server", *names) if several else names), right=("refused",))
    for row in sorted(rows, key=lambda row: -row["refusals"]):
        allowed = f"{number(row['burst'])} at once"
        if not row["held"]:
            rate = row["rate"]
            allowed = f"{number(rate) if rate >= 1000 else format(rate, 'g')}/s, {allowed}"
        refused = [key for key in row["keys"] if key["refusals"]][:KEYS_SHOWN]
        who = ", ".join(f"{escape_text(key['key'])} {key['refusals']}" for key in refused)
        cells: list[Text | str] = [
            Text(row["resource"].replace("_", " "), "bold" if row["refusals"] else ""),
            row["owner"],
            allowed,
            Text(number(row["refusals"]), CONTACT if row["refusals"] else FAINT),
            Text(who),
            Text(row["setting"], FAINT),
        ]
        table.add_row(*([row["server"], *cells] if several else cells))
    return table
