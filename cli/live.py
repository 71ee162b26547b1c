"""``tussle live``: a list of all sources, or the readings of one source as they arrive.

Each reading is printed once and each gap is reported. An old reading must never be shown as a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tussle.cli.hints import hint
from tussle.cli.palette import CONTACT, FAINT, LABEL
from tussle.cli.running import read_settings, server_of
from tussle.lobby.errors import LobbyError
from tussle.lobby.text import escape_text, escape_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tussle.lobby.wire.live import Gap
    from tussle.lobby.wire.sensors import Reading, ReadingBatch, SensorInfo

__all__ = ["SourceFeed", "command", "sources_table"]

LOOK_S = 0.5
"""Time between two looks at a session that has no readings yet [s]."""


@click.command("live")
@click.argument("source", required=False)
@click.option("--server", help="Address of a server; default: SERVER_URL, or the running `tussle up`.")
@click.option("--count", type=click.IntRange(1), help="End after so many batches; default: never.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each batch and each gap.")
def command(source: str | None, server: str | None, count: int | None, as_json: bool) -> None:
    """Follow SOURCE: a session's token, or the name of another source. Without SOURCE: list all sources.

    Ctrl-C ends the command. It reconnects when the connection is lost, and reports the batches that it missed.
    """
    url = server_of(read_settings(), server)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(_follow(url, source, count, as_json=as_json) if source else _list(url))
        except LobbyError as error:
            raise click.ClickException(error.message) from None


async def _login(url: str) -> str:
    from tussle.player.client import Client

    async with Client(url) as client:
        return (await client.login()).token


async def _list(url: str) -> None:
    from tussle.player.live_client import list_sources

    infos = await list_sources(url, await _login(url))
    nothing = f"There are no sources: no session runs, and no {hint('worker source')}."
    Console().print(sources_table(infos) if infos else Text(nothing, LABEL))


def sources_table(infos: Sequence[SensorInfo]) -> Table:
    """One row per source: the named ones, then the running sessions."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=LABEL)
    for name in ("source", "kind", "at most", "sensors"):
        table.add_column(name, no_wrap=name != "sensors")
    for info in map(escape_values, infos):
        names = ", ".join(sensor.name for sensor in info.sensors) or "nothing yet"
        rate = f"{1 / info.period_s:g}/s" if info.period_s > 0 else ""
        table.add_row(Text(info.source, "bold"), info.kind, rate, names)
    return table


async def _follow(url: str, source: str, count: int | None, *, as_json: bool) -> None:
    from tussle.lobby.wire.live import Batches, Failure, SensorInfoReply, SourceGone
    from tussle.player.live_client import follow

    console = Console()
    feed = SourceFeed(source)
    screen = console.is_terminal and not as_json
    login, early, said = await _login(url), True, False
    with Live(console=console, refresh_per_second=8) if screen else contextlib.nullcontext() as shown:
        while early:
            early = False
            async with contextlib.aclosing(follow(url, login, [source])) as messages:
                async for message in messages:
                    match message:
                        case Failure() if message.d.code == "no_readings_yet":
                            early = True
                            break
                        case Failure():
                            unknown = message.d.code == "no_such_source"
                            more = f"; {hint('live')} lists the sources" if unknown else ""
                            raise click.ClickException(escape_text(message.d.message) + more)
                        case SensorInfoReply():
                            feed.info = escape_values(message.d)
                        case SourceGone() if message.d.source == source:
                            feed.gone = True
                        case Batches():
                            lines = feed.take(message.d.batches, message.d.gap, count, as_json=as_json)
                            for line in () if screen else lines:
                                click.echo(line)
                    if shown is not None:
                        shown.update(feed.screen())
                    if feed.gone or (count is not None and feed.taken >= count):
                        return
            if early:
                if not said:
                    click.echo("No readings yet; waiting for the session to begin.", err=True)
                said = True
                await asyncio.sleep(LOOK_S)


class SourceFeed:
    """The batches of one source that have arrived so far."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.info: SensorInfo | None = None
        self.newest: ReadingBatch | None = None
        self.taken = 0
        self.missed = 0
        self.gone = False

    def take(
        self,
        batches: Sequence[ReadingBatch],
        gap: Gap | None,
        count: int | None = None,
        *,
        as_json: bool = False,
    ) -> list[str]:
        """Record a gap and new batches, up to ``count`` in all. Returns a line for the gap and for each batch."""
        lines = []
        if gap is not None:
            self.missed += gap.last - gap.first + 1
            record = {"source": self.source, "gap": {"first": gap.first, "last": gap.last}}
            lines.append(
                json.dumps(record)
                if as_json
                else f"gap: batches {gap.first} to {gap.last} are no longer kept"
            )
        room = len(batches) if count is None else count - self.taken
        for batch in map(escape_values, batches[:room]):
            self.newest = batch
            self.taken += 1
            if as_json:
                lines.append(json.dumps({"source": self.source, **msgspec.to_builtins(batch)}))
            else:
                readings = "  ".join(f"{name} {_shown(value)}" for name, value in batch.readings.items())
                lines.append(f"{batch.n}  {batch.timestamp}  {readings}")
        return lines

    def screen(self) -> Group:
        """The newest readings, each with its unit and meaning."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        for style in ("bold", "", LABEL, FAINT):
            table.add_column(style=style, no_wrap=True, overflow="ellipsis")
        about = {sensor.name: sensor for sensor in self.info.sensors} if self.info is not None else {}
        readings = self.newest.readings if self.newest is not None else dict.fromkeys(about)
        for name, value in readings.items():
            sensor = about.get(name)
            unit = sensor.unit if sensor is not None and sensor.unit != "1" else ""
            table.add_row(name, _shown(value), unit, sensor.meaning if sensor is not None else "")
        head = Text.assemble(
            (self.source, "bold"), (f"  {self.info.kind}" if self.info is not None else "", LABEL)
        )
        if self.newest is not None:
            head.append(f"  batch {self.newest.n}  {self.newest.timestamp}", LABEL)
        foot = Text(f"{self.taken} batches", FAINT)
        if self.missed:
            foot.append(f", {self.missed} no longer kept", CONTACT)
        if self.gone:
            foot.append("; it has ended", LABEL)
        return Group(head, table, foot)


def _shown(value: Reading) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return " ".join(_shown(one) for one in value) or "none"
    return f"{value:.6g}"
