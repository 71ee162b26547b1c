"""``tussle spring``: begin a run of the two stream solvers and follow it to its end, beside the closed form.

It needs only the store, and the solvers may start later. This module must never compute a step.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tussle.cli.hints import hint
from tussle.cli.running import read_settings, store_of
from tussle.lobby.errors import Conflict, LobbyError
from tussle.lobby.settings import Settings

if TYPE_CHECKING:
    from tussle.lobby.rules.spring import SpringRun
    from tussle.lobby.spring_runs import SpringRuns

__all__ = ["command"]

LOOK_S = 0.1
STUCK_S = 10.0
"""A run without a step for this long, while both solvers run, has stopped: its numbers overflowed, or its entries were
trimmed [s]."""

AGREES = 1e-9
"""Largest difference from the closed form that counts as agreement, as a share of the amplitude."""


@click.command("spring")
@click.argument("name", default="cli")
@click.option("--x", default=0.0, show_default=True, help="Position that it starts from [m].")
@click.option("--v", default=1.0, show_default=True, help="Velocity that it starts with [m/s].")
@click.option(
    "--store", "given", help="Address of the store; default: REDIS_URL, or that of the running `tussle up`."
)
@click.option("--follow/--no-follow", default=True, help="Follow the run to its end, or only start it.")
def command(name: str, x: float, v: float, given: str | None, follow: bool) -> None:
    """Start a run of the spring-damper over `worker velocity` and `worker position`, under NAME.

    Exit code 0: the run agrees with the closed form, or was only begun (--no-follow). 1: it does not agree, or it
    stopped.
    Ctrl-C ends this command; the run continues.
    """
    settings = store_of(read_settings(), given)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            sys.exit(asyncio.run(_spring(settings, name, x, v, follow=follow)))
        except LobbyError as error:
            raise click.ClickException(error.message) from None


async def _spring(settings: Settings, name: str, x: float, v: float, *, follow: bool) -> int:
    from tussle.lobby.spring_runs import SpringRuns
    from tussle.lobby.store.store import Store

    store = await Store.connect(settings.redis_url, settings.realm)
    try:
        runs = SpringRuns(store, settings)
        run = await runs.begin(name, x, v)
        click.echo(f"run {run} of {name}: x {x:g} m, v {v:g} m/s")
        return await _follow(runs, run) if follow else 0
    finally:
        await store.close()


async def _follow(runs: SpringRuns, run: str) -> int:
    """Show the steps of a run until the last one. Returns the exit code."""
    console = Console()
    swing, worst, steps = 0.0, 0.0, 0
    seen = await runs.read(run)
    last = seen
    reported: tuple[str, ...] = ()
    moved = time.monotonic()
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
    ) as progress:  # fmt: skip
        bar = progress.add_task("waiting", total=None)
        while True:
            if seen.n:
                last = seen
                steps += len(seen.n)
                swing = max(swing, *(abs(x) for x in seen.x))
                worst = max(worst, _distance(seen))
                words = f"t {seen.t[-1]:.1f} s  x {seen.x[-1]:+.6f} m"
                progress.update(bar, description=words, completed=seen.n[-1], total=seen.cycles)
            if seen.waits_for and seen.waits_for != reported:
                started = " and ".join(hint(f"worker {solver}") for solver in seen.waits_for)
                click.echo(f"it waits for {started}", err=True)
            reported = seen.waits_for
            if seen.done:
                break
            if seen.n or seen.waits_for:
                moved = time.monotonic()
            elif time.monotonic() - moved > STUCK_S:
                raise Conflict(
                    f"the run stopped after {steps} steps: it is unstable, or its entries were trimmed"
                )
            if not seen.n:
                await asyncio.sleep(LOOK_S)
            seen = await runs.read(run, seen.after)
    agrees = worst <= AGREES * max(swing, 1.0)
    console.print(_table(last))
    console.print(
        f"{steps} steps; largest distance from the closed form {worst:.1e} m: "
        + ("they agree" if agrees else "THEY DO NOT AGREE")
    )
    return 0 if agrees else 1


def _distance(seen: SpringRun) -> float:
    """The largest distance of these steps from the closed form [m]; 0 where there is none."""
    pairs = zip(seen.x, seen.closed_x, strict=True)
    return max((abs(x - closed) for x, closed in pairs if closed is not None), default=0.0)


def _table(last: SpringRun) -> Table:
    """The last step beside the closed form."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in (f"step {last.n[-1]}, t {last.t[-1]:.1f} s", "two solvers", "closed form", "difference"):
        table.add_column(column, justify="right" if column[:4] != "step" else "left")
    for what, value, closed in (
        ("x [m]", last.x[-1], last.closed_x[-1]),
        ("v [m/s]", last.v[-1], last.closed_v[-1]),
    ):
        columns = (
            ("none: it does not oscillate", "")
            if closed is None
            else (f"{closed:.12f}", f"{value - closed:.1e}")
        )
        table.add_row(what, f"{value:.12f}", *columns)
    return table
