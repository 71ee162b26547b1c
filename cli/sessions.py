"""``tussle sessions``: waiting lobbies, running sessions and recordings as a live table. It never changes a session."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tussle.cli.hints import hint
from tussle.cli.palette import CONTACT, FAINT, LABEL, STATUS_MARKS, Mark, gap, marks_of, number, short_names
from tussle.cli.running import read_settings, server_of
from tussle.lobby.errors import LobbyError
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.text import escape_values

if TYPE_CHECKING:
    from tussle.lobby.recorded_sessions import RecordedSession
    from tussle.lobby.wire.messages import SessionView
    from tussle.player.client import Client

__all__ = ["RecordingLook", "command", "read_since", "sessions_table"]

LOOK_S = 0.5

RECORDINGS_S = 5.0
"""Time between two looks at the recordings [s]: a page of them costs the server more than the sessions."""


UNITS_S = {"m": 60.0, "h": 3600.0, "d": 86400.0}


def read_since(text: str) -> float:
    """A time such as ``2h`` ago or ``2026-11-27`` [s since 1970]. Raises click.BadParameter."""
    if text[:-1].isascii() and text[:-1].isdigit() and text[-1:] in UNITS_S:
        return max(0.0, time.time() - int(text[:-1]) * UNITS_S[text[-1]])
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter("not a time: 30m, 2h, 7d or a date such as 2026-11-27") from None


class RecordingLook:
    """The recordings of the last look at a server. rows: none if it failed; failure: what to say then, or ""."""

    def __init__(self) -> None:
        self.rows: list[RecordedSession] = []
        self.failure = ""
        self._asked_at = -math.inf

    async def ask(self, client: Client, now: float, **choice: Any) -> None:
        """Look again if the last look, also a failed one, is RECORDINGS_S old. now: monotonic [s]. choice: as
        ``Client.recorded_sessions`` takes it. Never raises LobbyError."""
        if now < self._asked_at + RECORDINGS_S:
            return
        self._asked_at = now
        try:
            self.rows, self.failure = await client.recorded_sessions(**choice), ""
        except LobbyError as error:
            self.rows, self.failure = [], f"No recordings: {error}."


@click.command("sessions")
@click.option("--server", help="Address of a server; default: SERVER_URL, or the running `tussle up`.")
@click.option("--mode", help="Only sessions of this mode.")
@click.option("--status", help="Only sessions of this status (open, running, ended, ...).")
@click.option("--search", help="Only sessions whose token, mode or players match.")
@click.option("--player", help="Only sessions where this player has a seat: a whole name or an identity.")
@click.option(
    "--since",
    metavar="TIME",
    callback=lambda _, __, text: None if text is None else read_since(text),
    help="Only what changed since then: 30m, 2h, 7d or a date.",
)
@click.option(
    "--ended", type=click.IntRange(0), default=5, show_default=True, help="How many ended ones to add."
)
@click.option(
    "--recordings",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="How many recorded sessions to add, the last ended first, also those that no other list has any more.",
)
@click.option("--once", is_flag=True, help="Print the table once, as into a pipe.")
def command(
    server: str | None,
    mode: str | None,
    status: str | None,
    search: str | None,
    player: str | None,
    since: float | None,
    ended: int,
    recordings: int,
    once: bool,
) -> None:
    """Show waiting lobbies, running sessions and recordings, live. Ctrl-C ends it."""
    from tussle.player.client import Client

    url = server_of(read_settings(), server)
    console = Console()
    looked = RecordingLook()

    async def look(client: Client) -> Table | Group:
        listed = partial(client.sessions, mode=mode, search=search, player=player, since=since)
        views = await listed(status=status)
        if not status and ended:
            views += await listed(status="ended", limit=ended)
        if recordings and status in (None, "", "ended"):
            await looked.ask(
                client,
                time.monotonic(),
                mode=mode,
                search=search,
                player=player,
                since=since,
                limit=recordings,
            )
        table = sessions_table(views, looked.rows, now_ms=time.time() * 1000, width=console.width)
        return Group(table, Text(looked.failure, CONTACT)) if looked.failure else table

    async def show() -> None:
        async with Client(url) as client:
            if once or not console.is_terminal:
                console.print(await look(client))
                return
            from rich.live import Live

            with Live(console=console, screen=True, auto_refresh=False) as live:
                while True:
                    try:
                        shown: Table | Group | Text = await look(client)
                    except LobbyError as error:
                        shown = Text(f"{error}. Trying again.", CONTACT)
                    foot = Text(f"{url} · {time.strftime('%H:%M:%S')} · Ctrl-C ends", FAINT)
                    live.update(Group(shown, foot), refresh=True)
                    await asyncio.sleep(LOOK_S)

    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(show())
        except LobbyError as error:
            raise click.ClickException(str(error)) from None


def sessions_table(
    views: Sequence[SessionView],
    recorded: Sequence[RecordedSession] = (),
    *,
    now_ms: float,
    width: int = 100,
) -> Table:
    """One row per session: waiting lobbies with their place in the queue, the oldest first; then running and ended
    sessions, then those of ``recorded`` that are not among them. Column ``gap`` is the smallest distance so far, column
    ``recorded`` the simulated time that can be watched again."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=LABEL, expand=False)
    wide = width >= 90
    for name in ("session", "mode", "status", "seats", "who"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    lengths = {row.session: f"{row.seconds:.1f} s" for row in recorded}
    table.columns[-1].max_width = max(16, width - (73 if wide else 44) - (12 if wide and lengths else 0))
    table.add_column("age", justify="right", no_wrap=True)
    if wide:
        table.add_column("round", justify="right")
        table.add_column("tick", justify="right", no_wrap=True)
        table.add_column("gap", justify="right", no_wrap=True)
        if lengths:
            table.add_column("recorded", justify="right", no_wrap=True)
    place = 0
    for view in map(escape_values, views):
        shape, colour = STATUS_MARKS.get(view.status, ("?", LABEL))
        status = Text.assemble((shape, colour), " ", view.status.replace("_", " "))
        if view.status in ENDED:
            status.stylize(FAINT)
        elif view.status == "open":
            place += 1
            status.append(f" #{place}", LABEL)
        since = view.ended_at or view.started_at or view.opened_at
        cells: list[Text | str] = [
            Text(view.session, "bold" if view.status not in ENDED else FAINT),
            view.mode,
            status,
            f"{len(view.seats)}/{view.size}",
            _who(view, now_ms),
            age(now_ms - since),
        ]
        if wide:
            least = view.min_distance
            cells += [str(view.round or ""), number(view.tick) if view.tick else ""]
            cells.append(gap(least * 1000) if least is not None else "")
            if lengths:
                cells.append(lengths.get(view.session, ""))
        table.add_row(*cells)
    known = {view.session for view in views}
    for row in map(escape_values, (row for row in recorded if row.session not in known)):
        status = Text.assemble(STATUS_MARKS["ended"], " recorded", style=FAINT)
        cells = [Text(row.session, FAINT), row.mode, status, f"{len(row.seats)}/{row.size}"]
        names = short_names([seat.name for seat in row.seats])
        who = Text("  ").join(
            Text.assemble(
                _seat(mark, name, seat.kind, acting=False), (" won" if row.winner == seat.seat else "", LABEL)
            )
            for seat, name, mark in zip(row.seats, names, marks_of(names), strict=True)
        )
        cells += [who, age(now_ms - row.ended_at), *(["", "", "", lengths[row.session]] if wide else [])]
        table.add_row(*cells)
    if not views and not recorded:
        table.add_row(Text(f"No sessions. {hint('bots')} starts bots that play.", LABEL))
    return table


def _who(view: SessionView, now_ms: float) -> Text:
    names = short_names([seat.name for seat in view.seats])
    winner = (view.result or {}).get("winner")
    who = Text()
    for seat, name, mark in zip(view.seats, names, marks_of(names), strict=True):
        if who:
            who.append("  ")
        acting = view.turn_seat == seat.seat and view.status == "running"
        who.append_text(_seat(mark, name, seat.kind, acting=acting))
        if winner == seat.seat:
            who.append(" won", LABEL)
        if seat.out:
            who.append(" out", FAINT)
        elif seat.health is not None and view.status == "running":
            who.append(f" {number(seat.health)}", LABEL)
    if view.closes_at:
        who.append(f"{'  ' if who else ''}closes in {age(view.closes_at - now_ms)}", LABEL)
    return who


def _seat(mark: Mark, name: str, kind: str, *, acting: bool) -> Text:
    text = Text.assemble((mark.shape, mark.colour), " ", (name, "bold underline" if acting else ""))
    return text.append(" bot", FAINT) if kind == "bot" else text


def age(milliseconds: float) -> str:
    """``4 s``, ``2:05``, ``3 h``."""
    seconds = max(0, int(milliseconds / 1000))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02d}"
    return f"{seconds // 3600} h"
