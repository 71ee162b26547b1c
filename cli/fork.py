"""``tussle fork T --tick K``: open a lobby that begins with a recorded state of a session, and play it with bots.

The command takes one seat with a bot, waits for other players, and fills the remaining seats with more bots. This
module must never read an archive: the server makes the fork.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING

import click

from tussle.cli.running import read_settings, server_of
from tussle.lobby.errors import Conflict, LobbyError
from tussle.lobby.lifecycle import WAITING
from tussle.lobby.settings import BOT_SKILLS
from tussle.lobby.text import escape_text

if TYPE_CHECKING:
    from tussle.lobby.wire.http_answers import Fork, Forked, ForkTree, Join
    from tussle.player.bots import Party, Tally
    from tussle.player.client import Client

__all__ = ["command", "tree_lines"]

LOOK_S = 0.25


@click.command("fork")
@click.argument("session")
@click.option(
    "--tick", type=click.IntRange(0), help="The tick to begin with. Without it: show the tree of forks."
)
@click.option(
    "--seat", type=click.IntRange(0, 63), help="The seat of this command's bot; default: the first one."
)
@click.option("--private", is_flag=True, help="Only the token leads to the lobby.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0), default=10.0, show_default=True,
    help="How long the other seats are open to others [s]; then bots take them.",
)  # fmt: skip
@click.option(
    "--skill", type=click.Choice(BOT_SKILLS), default="good", show_default=True, help="Skill of the bots."
)
@click.option("--server", help="Address of a server; default: SERVER_URL, or the running `tussle up`.")
def command(
    session: str,
    tick: int | None,
    seat: int | None,
    private: bool,
    wait_s: float,
    skill: str,
    server: str | None,
) -> None:
    """Open a lobby that begins with the state of SESSION after a tick, bit for bit, and play it with bots.

    SESSION is the token of a running or ended session whose archive the server has. The command prints the token of the
    fork, with which people join, and exits when the fork ends.
    """
    url = server_of(read_settings(), server)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            if tick is None:
                asyncio.run(_show_tree(url, session))
            else:
                asyncio.run(_fork(url, session, tick, seat, private=private, wait_s=wait_s, skill=skill))
        except LobbyError as error:
            raise click.ClickException(f"{error.reason}: {escape_text(error.message)}") from None


async def _show_tree(url: str, session: str) -> None:
    from tussle.player.client import Client

    async with Client(url) as client:
        for line in tree_lines(await client.forks(session)):
            click.echo(line)


def tree_lines(tree: ForkTree) -> list[str]:
    """The tree, one session a line, each below its parent."""
    below: dict[str, list[Forked]] = {}
    for fork in tree.forks:
        below.setdefault(fork.parent, []).append(fork)
    known = {fork.session for fork in tree.forks}
    lines: list[str] = []

    def add(session: str, text: str, depth: int) -> None:
        lines.append(f"{'  ' * depth}{session}{text}{'  <' if session == tree.session else ''}")
        for fork in below.pop(session, []):
            exact = "" if fork.exact else ", not exact"
            status = f", {fork.status}" if fork.status else ""
            add(
                fork.session,
                f"  at tick {fork.parent_tick}{exact}{status}, by {escape_text(fork.name)}",
                depth + 1,
            )

    add(tree.root, "", 0)
    for parent in [one for one in below if one not in known]:  # its own entry is forgotten
        add(parent, "", 0)
    return lines


async def _fork(
    url: str, session: str, tick: int, seat: int | None, *, private: bool, wait_s: float, skill: str
) -> None:
    from tussle.player.bots import Party, Tally
    from tussle.player.client import Client

    async with Client(url) as client:
        await client.login(kind="bot", skill=skill)
        fork = await client.fork(session, tick, seat=seat, ready=True, private=private or None)
        exact = "the recorded state" if fork.exact else "NOT exact: recorded by another version"
        click.echo(
            f"{fork.session} forks {session} at tick {fork.parent_tick}, {exact}; join it with this token"
        )
        view = await client.session(fork.session)
        party = Party(server_url=url, mode=view.mode, size=view.size, skill=skill)
        tally = Tally()
        async with asyncio.TaskGroup() as group:
            group.create_task(_play(client, fork, party, tally))
            await _wait_for_others(client, fork, wait_s)
            for _ in range(view.size - len((await client.session(fork.session)).seats)):
                group.create_task(_join(url, fork, party, tally))
        view = await client.session(fork.session)
        winner = (view.result or {}).get("winner")
        names = {one.seat: one.name for one in view.seats}
        won = f", {escape_text(names.get(winner, ''))} won" if winner is not None else ""
        click.echo(
            f"{fork.session} {view.status} at tick {view.tick}{won}{f' ({view.reason})' if view.reason else ''}"
        )


async def _wait_for_others(client: Client, fork: Fork, wait_s: float) -> None:
    """Wait until the lobby is filled, at most ``wait_s``."""
    for _ in range(math.ceil(wait_s / LOOK_S)):
        if (await client.session(fork.session)).status not in WAITING:
            return
        await asyncio.sleep(LOOK_S)


async def _join(url: str, fork: Fork, party: Party, tally: Tally) -> None:
    """Add one bot. Another player may take the seat first."""
    from tussle.player.client import Client

    async with Client(url) as client:
        await client.login(kind="bot", skill=party.skill)
        with contextlib.suppress(Conflict):
            await _play(client, await client.join(fork.session, ready=True), party, tally)


async def _play(client: Client, join: Join, party: Party, tally: Tally) -> None:
    import numpy as np

    from tussle.player.bots import decide_by_mode, play_seat

    await play_seat(
        client, join, party, tally, decide_by_mode(party.mode, party.skill, np.random.default_rng())
    )
