"""``tussle watch``: one session live in the terminal, observed over the public protocol.

    observe -> events -> Picture        frames -> map        both, twelve times a second -> the screen

It draws the Picture and never sends an input.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from tussle.cli.arena import Canvas, draw_world
from tussle.cli.hints import hint
from tussle.cli.palette import (
    CONTACT,
    FAINT,
    LABEL,
    OK,
    SIGNAL,
    STATUS_MARKS,
    Mark,
    bar,
    gap,
    marks_of,
    number,
    short_names,
)
from tussle.cli.picture import Line, Picture, Player
from tussle.cli.running import read_settings, server_of
from tussle.lobby.errors import LobbyError, NotFound
from tussle.lobby.lifecycle import ENDED
from tussle.lobby.text import escape_text

if TYPE_CHECKING:
    from rich.live import Live

    from tussle.lobby.wire.frames import Frame, Topology
    from tussle.player.client import Client
    from tussle.player.connection import SessionConnection

__all__ = ["Screen", "command"]

REFRESH_S = 1 / 12
PING_S = 2.0
NEXT_LOOK_S = 0.5
ANNOUNCED_S = 60.0
"""How long an operator's notice is shown."""

RESULT_S = 3.0
"""How long a result stays before the next session is shown."""

STILL_S = 3.0
"""How long ``--once`` waits for the first frame of a session that runs."""

HINT = "   Ctrl-C ends"

WIDE = 84
"""Columns from which map and players are side by side."""

TONES = {"plain": "", "faint": LABEL, "strong": "bold", "signal": SIGNAL, "contact": CONTACT}


@click.command("watch")
@click.argument("session", required=False)
@click.option("--server", help="Address of a server; default: SERVER_URL, or the running `tussle up`.")
@click.option("--once", is_flag=True, help="Print one still and end.")
@click.option(
    "--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write one still to a file and end."
)
def command(session: str | None, server: str | None, once: bool, svg: Path | None) -> None:
    """Watch one session in the terminal: SESSION is its token. Without one: the newest that runs, then the next.
    Ctrl-C ends it.
    """
    url = server_of(read_settings(), server)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(_watch(url, session, once=once or svg is not None, svg=svg))
        except NotFound as error:
            missing = f"There is no session {session}: a session can be watched until its keys expire."
            raise click.ClickException(missing if session else str(error)) from None
        except LobbyError as error:
            raise click.ClickException(str(error)) from None


class Screen:
    """The contents of the terminal, drawn at its current size at each refresh."""

    def __init__(self, picture: Picture, *, still: bool = False) -> None:
        self.picture = picture
        self.topology: Topology | None = None
        self.frame: Frame | None = None
        self.rtt_s: float | None = None
        self.connected = True
        self.still = still
        self.left_s: float | None = None
        self.paused = ""
        self.dilation = 1.0
        self.announcement = ""
        self._reach = 0.0

    def follow(self, connection: SessionConnection) -> None:
        """Copy the newest state of the connection."""
        self.topology, self.frame = connection.topology, connection.frame
        self.rtt_s, self.connected = connection.rtt_s, connection.connected
        announced = time.monotonic() - connection.announced_at < ANNOUNCED_S
        self.announcement = escape_text(connection.announcement) if announced else ""
        notice = connection.notice
        self.dilation = connection.dilation
        self.paused = escape_text(notice.reason) if notice is not None and notice.state == "paused" else ""
        if notice is not None and notice.state == "resumed" and notice.turn_ends_at:
            self.picture.ends_at = max(self.picture.ends_at or 0, notice.turn_ends_at)
        ends_at = self.picture.ends_at
        self.left_s = max(0.0, (ends_at - connection.store_ms()) / 1000) if ends_at else None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.height
        players = sorted(self.picture.players.values(), key=lambda player: player.seat)
        names = dict(
            zip(
                (p.seat for p in players),
                short_names([p.name or f"seat {p.seat}" for p in players]),
                strict=True,
            )
        )
        marks = marks_of([names.get(seat, "?") for seat in range(max(names, default=-1) + 1)])
        head: list[RenderableType] = [self._title(), self._clock(width, names, marks), Text()]
        foot = self._foot(width)
        room = max(6, height - len(head) - 2)
        if width >= WIDE:
            yield Group(*head, self._side_by_side(width, room, names, marks), foot)
        else:
            yield Group(*head, self._stacked(width, room, names, marks), foot)

    # -- parts -----------------------------------------------------------------------------------

    def _title(self) -> Text:
        picture = self.picture
        shape, colour = STATUS_MARKS.get(picture.status, ("?", LABEL))
        title = Text.assemble(
            ("TUSSLE  ", f"bold {SIGNAL}"),
            (picture.session, "bold"),
            (f"  {picture.mode}  ", LABEL),
            (shape, colour),
            f" {picture.status.replace('_', ' ')}",
            no_wrap=True,
            overflow="ellipsis",
        )
        if picture.round and picture.status in ("running", "paused"):
            title.append(f"   round {picture.round}   turn {picture.turn + 1}", LABEL)
        if self.frame is not None:
            title.append(f"   tick {number(self.frame.tick)}", LABEL)
        return title

    def _clock(self, width: int, names: dict[int, str], marks: list[Mark]) -> Text:
        """Whose turn it is, and a bar of the remaining time."""
        picture, seat = self.picture, self.picture.turn_seat
        if picture.status in ENDED or picture.result:
            return Text(_renamed(picture.verdict(), picture, names), f"bold {SIGNAL}", no_wrap=True)
        if picture.status in ("open", "filled", "starting"):
            return Text(f"Waiting: {len(picture.players)} of {picture.size} seats are taken", LABEL)
        if seat is None or seat not in names:
            return Text("")
        line = Text(no_wrap=True)
        line.append(f"{marks[seat].shape} ", marks[seat].colour)
        if not picture.acting:
            line.append(f"{names[seat]} ", "bold")
            line.append("has acted; the world moves", LABEL)
            return line
        line.append(f"{names[seat]} to act ", f"bold {SIGNAL}")
        if self.left_s is not None and picture.deadline_s:
            left_s = min(self.left_s, picture.deadline_s)
            length = max(8, min(40, width - 40))
            full = math.ceil(left_s / picture.deadline_s * length)
            line.append("━" * full, SIGNAL if left_s > 5 or picture.deadline_s < 10 else CONTACT)
            line.append("╌" * (length - full), FAINT)
            line.append(f" {left_s:4.1f} s", LABEL)
        return line

    def _side_by_side(self, width: int, room: int, names: dict[int, str], marks: list[Mark]) -> Table:
        columns = min(2 * room, width - 44)
        rows = min(room, math.ceil(columns / 2))
        right_width = width - columns - 3
        players = self._players(names, marks, right_width)
        log_rows = max(3, rows - len(names) - 2)
        grid = Table.grid(padding=(0, 3, 0, 0))
        grid.add_column(width=columns)
        grid.add_column(width=right_width)
        grid.add_row(
            self._map(columns, rows, marks), Group(*players, Text(), self._log(log_rows, right_width, names))
        )
        return grid

    def _stacked(self, width: int, room: int, names: dict[int, str], marks: list[Mark]) -> Group:
        players = self._players(names, marks, width)
        left = room - len(players) - 1
        log_rows = max(3, min(8, left // 3))
        rows = left - log_rows - 1
        parts: list[RenderableType] = []
        if rows >= 6:
            parts += [self._map(min(width, 2 * rows), rows, marks), Text()]
        else:
            log_rows = max(3, left)
        return Group(*parts, *players, Text(), self._log(log_rows, width, names))

    def _map(self, columns: int, rows: int, marks: list[Mark]) -> Text:
        if self.topology is None:
            hint = "" if self.picture.status in ENDED else "The first frame arrives when the world moves."
            return Text("\n" * (rows // 2) + hint.center(columns) + "\n" * (rows - rows // 2 - 1), FAINT)
        statics = [
            body.vertices for body in self.topology.bodies if body.kind == "static" and len(body.vertices)
        ]
        reach = max((float(abs(vertices[:, [0, 2]]).max()) for vertices in statics), default=2.0)
        self._reach = max(self._reach, reach)  # a mat whose rim has fallen is seen to be smaller
        canvas = Canvas(columns, rows, self._reach * 1.06)
        draw_world(canvas, self.topology, self.frame, marks, aim=self.picture.aim)
        return canvas.text()

    def _players(self, names: dict[int, str], marks: list[Mark], width: int) -> list[Text]:
        players = sorted(self.picture.players.values(), key=lambda player: player.seat)
        longest = max((len(names[player.seat]) for player in players), default=4)
        longest_body = max((len(player.body) for player in players), default=0)
        return [self._player(p, names[p.seat], marks[p.seat], longest, longest_body, width) for p in players]

    def _player(
        self, player: Player, name: str, mark: Mark, longest: int, longest_body: int, width: int
    ) -> Text:
        acting = player.seat == self.picture.turn_seat and self.picture.status == "running"
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append("▸ " if acting else "  ", SIGNAL)
        line.append(f"{mark.shape} ", mark.colour)
        style = f"{FAINT} strike" if player.out else "bold" if acting else ""
        line.append(name, style)
        line.append(" " * (longest - len(name) + 1))
        line.append(f"{player.body:<{longest_body}} ", LABEL)
        if player.out:
            line.append(f"{player.out}{f', place {player.place}' if player.place else ''}", FAINT)
        elif player.health is not None:
            length = max(6, min(24, width - longest - longest_body - 20))
            full, rest = bar(player.health / (player.full or player.health or 1.0), length)
            line.append(full, mark.colour)
            line.append(rest, FAINT)
            line.append(f" {number(player.health):>4}")
            if player.lost >= 0.5:
                line.append(f" {number(-player.lost)}", CONTACT)
            elif player.place == 1 and self.picture.result:
                line.append(" won", SIGNAL)
        elif self.picture.status in ("open", "filled"):
            line.append("ready" if player.ready else "not ready yet", OK if player.ready else LABEL)
        if not player.connected and not player.out and self.picture.status not in ENDED:
            line.append(" away", SIGNAL)
        return line

    def _log(self, rows: int, width: int, names: dict[int, str]) -> Text:
        lines = list(self.picture.log)[-rows:]
        text = Text(no_wrap=True, overflow="ellipsis")
        for index, line in enumerate(lines):
            text.append_text(self._log_line(line, width, names))
            if index < len(lines) - 1:
                text.append("\n")
        return text

    def _log_line(self, line: Line, width: int, names: dict[int, str]) -> Text:
        row = Text().append(f"{number(line.tick):>6}  ", FAINT)
        row.append(_renamed(line.text, self.picture, names), TONES[line.tone])
        row.truncate(width, overflow="ellipsis")
        return row

    def _foot(self, width: int) -> Text:
        frame = self.frame
        now = gap(frame.min_distance * 1000) if frame is not None else "no contact"
        foot = Text(no_wrap=True, overflow="ellipsis", style=LABEL)
        # A narrow terminal cuts the end of the line: what needs attention comes first.
        if not self.connected and self.picture.status not in ENDED:
            foot.append("Connection lost. Trying again.   ", SIGNAL)
        if self.announcement:
            foot.append(f"Operator: {self.announcement}   ", f"bold {SIGNAL}")
        if self.paused:
            foot.append(f"Paused: {self.paused}.   ", SIGNAL)
        if self.dilation > 1.0:
            foot.append(f"{self.dilation:.1f} times slower than real time.   ", SIGNAL)
        foot.append("gap ").append(now, "default")
        if self.picture.least_gap_mm is not None:
            foot.append(", smallest so far ").append(gap(self.picture.least_gap_mm), "default")
        if frame is not None:
            foot.append(f"   contacts {frame.contacts}")
        if self.rtt_s is not None:
            grade, colour = _grade(self.rtt_s * 1000)
            foot.append("   rtt ").append(f"{grade} {self.rtt_s * 1000:.1f} ms", colour)
        if not self.still and foot.cell_len + len(HINT) <= width:
            foot.append(HINT, FAINT)
        return foot


def _grade(milliseconds: float) -> tuple[str, str]:
    """Bars and a colour, so that no information is shown by colour alone."""
    if milliseconds <= 80:
        return "▂▄▆", OK
    return ("▂▄ ", SIGNAL) if milliseconds <= 200 else ("▂  ", CONTACT)


def _renamed(text: str, picture: Picture, names: dict[int, str]) -> str:
    """The sentence with the names as they are shown."""
    for seat, player in picture.players.items():
        if player.name and player.name != names.get(seat):
            text = text.replace(player.name, names.get(seat, player.name))
    return text


async def _watch(url: str, session: str | None, *, once: bool, svg: Path | None) -> None:
    from tussle.player.client import Client

    console = (
        Console() if svg is None else Console(record=True, width=108, height=28, quiet=False, file=StringIO())
    )
    async with Client(url) as client:
        if session is None and not once:
            await _watch_all(client, console)
            return
        view = await client.session(session or await _newest(client))
        screen = Screen(Picture.of(view), still=once)
        if view.status in ENDED:
            screen.still = True
            console.print(screen, height=len(view.seats) + 6)
            _save(console, svg)
            return
        await client.login()
        async with client.connect(await client.observe(view.session), history=True) as connection:
            if once:
                await _still(connection, screen)
                console.print(screen, height=min(console.height, 30))
                _save(console, svg)
            else:
                with _live_screen(console) as live:
                    await _follow(connection, screen, live)
        if not once:  # the screen is gone with its program: leave the result on the terminal
            screen.still = True
            console.print(screen, height=min(console.height, len(screen.picture.players) + 16))


def _save(console: Console, svg: Path | None) -> None:
    if svg is not None:
        from tussle.cli.still import svg_of

        svg.write_text(svg_of(console, "tussle watch"))


async def _watch_all(client: Client, console: Console) -> None:
    """Show the newest running session, then the next one, until Ctrl-C."""
    await client.login()
    seen = ""
    with _live_screen(console) as live:
        while True:
            views = await client.sessions(status="running")
            newest = max(
                (view for view in views if view.session != seen), key=lambda v: v.started_at, default=None
            )
            if newest is None:
                if not seen:
                    live.update(
                        Text(f"No session is running. {hint('bots')} starts bots. Ctrl-C ends.", LABEL),
                        refresh=True,
                    )
                await asyncio.sleep(NEXT_LOOK_S)
                continue
            seen = newest.session
            screen = Screen(Picture.of(newest))
            with contextlib.suppress(NotFound):
                async with client.connect(await client.observe(seen), history=True) as connection:
                    await _follow(connection, screen, live)
                    await asyncio.sleep(RESULT_S)


def _live_screen(console: Console) -> Live:
    from rich.live import Live

    return Live(console=console, screen=True, auto_refresh=False)


async def _newest(client: Client) -> str:
    for status in ("running", None, "ended"):
        views = await client.sessions(status=status)
        if views:
            return max(views, key=lambda view: view.started_at or view.opened_at).session
    raise NotFound("No session is running or waiting.")


async def _still(connection: SessionConnection, screen: Screen) -> None:
    """Wait for what has happened so far and, if the world moves, for a frame."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STILL_S):
            async for event in connection:
                _apply(screen, connection, event)
                if event.v >= connection.welcome.v:
                    break
            await connection.ping()
            if screen.picture.status == "running":
                async for _ in connection.frames():
                    break
    screen.follow(connection)


def _apply(screen: Screen, connection: SessionConnection, event: object) -> None:
    from tussle.lobby.wire.messages import Event

    assert isinstance(event, Event)
    if event.t == "session" and connection.view is not None:
        screen.picture.take(connection.view)
    else:
        screen.picture.apply(event)


async def _follow(connection: SessionConnection, screen: Screen, live: Live) -> None:
    """Draw until the session has ended. Raises Disconnected."""

    async def hear() -> None:
        async for event in connection:
            _apply(screen, connection, event)
            if screen.picture.status in ENDED:
                return

    async def ping() -> None:
        while True:
            with contextlib.suppress(LobbyError, TimeoutError):
                await connection.ping()
            await asyncio.sleep(PING_S)

    async def draw() -> None:
        while True:
            screen.follow(connection)
            live.update(screen, refresh=True)
            await asyncio.sleep(REFRESH_S)

    failure: LobbyError | None = None
    async with asyncio.TaskGroup() as group:
        others = [group.create_task(ping()), group.create_task(draw())]
        try:
            await hear()
        except LobbyError as error:
            failure = error
        finally:
            for task in others:
                task.cancel()
    if failure is not None:
        raise failure
    screen.follow(connection)
    live.update(screen, refresh=True)
