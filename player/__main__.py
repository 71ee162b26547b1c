"""``python -m tussle.player``: runs bots, and prints one line of results at the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from typing import TYPE_CHECKING

import click

from tussle.lobby.environment import BadSetting
from tussle.lobby.errors import Refused
from tussle.lobby.logs import configure
from tussle.lobby.settings import BOT_SKILLS, Settings

if TYPE_CHECKING:
    from tussle.player.bots import Party, Tally

__all__ = ["command"]


@click.command("bots")
@click.option(
    "--count", type=click.IntRange(0, 10_000), help="Bots that find opponents; default 2, with --serve 0."
)
@click.option("--serve", is_flag=True, help="Fill the seats of lobbies that want bots, until stopped.")
@click.option(
    "--seats", type=click.IntRange(1, 1000), default=16, show_default=True, help="Most seats filled at once."
)
@click.option(
    "--matches", type=click.IntRange(0), default=1, show_default=True, help="Matches per bot; 0: endless."
)
@click.option("--skill", type=click.Choice(BOT_SKILLS), help="Default: BOT_SKILL.")
@click.option(
    "--policy",
    metavar="MODULE:FUNCTION",
    help="A function that decides instead of a skill. Default: BOT_POLICY.",
)
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
    count: int | None,
    serve: bool,
    seats: int,
    matches: int,
    skill: str | None,
    policy: str | None,
    mode: str,
    size: int,
    server_url: str | None,
    think_s: float | None,
    patience_s: float,
    seed: int | None,
) -> None:
    """Run bots that find opponents, bots or people, and play.

    A bot that finds no opponent within the lobby timeout leaves and stops, so an odd number of bots ends too. With
    --serve further bots fill the seats of lobbies whose host asks for bots, in every mode and size.
    """
    from tussle.player.bots import Party

    try:
        settings = Settings.read(
            bot_skill=skill, bot_policy=policy, server_url=server_url, bot_think_s=think_s
        )
    except BadSetting as error:
        raise click.ClickException(str(error)) from None
    if count is None:
        count = 0 if serve else 2
    if not (count or serve):
        raise click.UsageError("0 bots have nothing to do; see --serve")
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
        serve=seats if serve else 0,
        secret=settings.bot_secret,
        policy=settings.bot_policy,
    )
    sys.exit(asyncio.run(_run(party)))


async def _run(party: object) -> int:
    from tussle.player.bots import Party, Tally

    assert isinstance(party, Party)
    tally, began = Tally(), time.monotonic()
    playing = asyncio.ensure_future(_play(party, tally))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
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


async def _play(party: Party, tally: Tally) -> None:
    """The bots that find opponents, beside those that fill seats."""
    from tussle.player.bots import play_party

    if not party.serve:
        await play_party(party, tally)
        return
    from tussle.player.crew import serve

    filling = asyncio.ensure_future(serve(party, tally))
    try:
        if party.count:
            await play_party(party, tally)
        await filling
    finally:
        filling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await filling


if __name__ == "__main__":
    command(prog_name="python -m tussle.player")
