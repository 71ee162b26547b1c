"""``python -m tussle.player``: runs bots, and prints one line of results at the end."""

from __future__ import annotations

import asyncio
import signal
import sys
import time

import click

from tussle.lobby.environment import BadSetting
from tussle.lobby.errors import Refused
from tussle.lobby.logs import configure
from tussle.lobby.settings import BOT_SKILLS, Settings

__all__ = ["command"]


@click.command("bots")
@click.option(
    "--count", type=click.IntRange(1, 10_000), default=2, show_default=True, help="Bots in this process."
)
@click.option(
    "--matches", type=click.IntRange(0), default=1, show_default=True, help="Matches per bot; 0: endless."
)
@click.option("--skill", type=click.Choice(BOT_SKILLS), help="Default: BOT_SKILL.")
@click.option("--mode", default="duel", show_default=True)
@click.option("--size", type=click.IntRange(2, 64), default=2, show_default=True, help="Seats of a session.")
@click.option(
    "--server",
    "server_url",
    help="Address of a server; default: SERVER_URL, or with `tussle` the server on this machine.",
)
@click.option(
    "--think", "think_s", type=click.FloatRange(0), help="Seconds before each act; default BOT_THINK_S."
)
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds to wait for a server that does not answer; endless bots wait until they are stopped.",
)
@click.option("--seed", type=int, help="Seed of the bots' random numbers.")
def command(
    count: int,
    matches: int,
    skill: str | None,
    mode: str,
    size: int,
    server_url: str | None,
    think_s: float | None,
    patience_s: float,
    seed: int | None,
) -> None:
    """Run bots that find opponents, bots or people, and play.

    A bot that finds no opponent within the lobby timeout leaves and stops, so an odd number of bots ends too.
    """
    from tussle.player.bots import Party

    try:
        settings = Settings.read(bot_skill=skill, server_url=server_url, bot_think_s=think_s)
    except BadSetting as error:
        raise click.ClickException(str(error)) from None
    configure(settings, process="player")
    party = Party(
        server_url=settings.server_url,
        count=count,
        matches=matches,
        mode=mode,
        size=size,
        skill=settings.bot_skill,
        think_s=settings.bot_think_s,
        lobby_timeout_s=settings.lobby_timeout_s,
        patience_s=patience_s,
        seed=seed,
    )
    sys.exit(asyncio.run(_run(party)))


async def _run(party: object) -> int:
    from tussle.player.bots import Party, Tally, play_party

    assert isinstance(party, Party)
    tally, began = Tally(), time.monotonic()
    playing = asyncio.ensure_future(play_party(party, tally))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, playing.cancel)
    stopped = False
    try:
        await playing
    except asyncio.CancelledError:
        stopped = True
    except (Refused, BadSetting) as error:
        click.echo(f"tussle: {error}", err=True)
        return 2
    summary = f"{party.count} bots{' stopped' if stopped else ''}: {tally}, {time.monotonic() - began:.1f} s"
    click.echo(summary)
    return 1 if tally.gone and not tally.matches else 0


if __name__ == "__main__":
    command(prog_name="python -m tussle.player")
