"""How many duels and observers a whole server supports: `python -m server` with real solvers and store.

    players (this process, tests/support/stranger.py)  --+
                                                 +--> server + solver processes --> store
    observers (bench/load/clients.py, counting)--+

Each duel has two players who think for 0.3 s, once all clients are connected, and observers. The memory of a session
and of a connection is the difference between rungs with equal duels, without and with observers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.load.driving import LIMIT_MS, RESULTS, driven, say
from bench.load.plot import plot
from bench.machine import cpu_s, resident_bytes
from bench.session.__main__ import Measured, play
from tests.support.stack import Stack, children
from tests.support.stranger import Line, Person
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore

__all__ = ["ladder"]

RUNGS = ((10, 0), (10, 10), (20, 10), (40, 10), (60, 10), (80, 10), (100, 10), (130, 10), (160, 10))
"""Rungs: (duels, observers of each)."""

LIMITS = {
    "BOT_TURN_S": "600", "TICKET_TTL_S": "300", "LOBBY_TIMEOUT_S": "300", "LOGIN_RATE": "100000",
    "REQUEST_RATE": "100000", "ADDRESS_CONNECTIONS": "10000", "PLAYER_CONNECTIONS": "10000", "LOG_LEVEL": "warning",
}  # fmt: skip
"""Limits for many clients of one address."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One measurement. grown: growth of the resident bytes of server and solvers, with all clients connected."""

    duels: int
    observers: int
    latencies: Measured
    frames_per_s: float
    server_cores: float
    solver_cores: float
    grown: int
    lost: int

    @property
    def connections(self) -> int:
        return self.duels * (2 + self.observers)


@contextlib.asynccontextmanager
async def people(url: str, count: int) -> AsyncIterator[list[Person]]:
    """Log in ``count`` people."""
    async with contextlib.AsyncExitStack() as stack:
        persons = [await stack.enter_async_context(Person(url)) for _ in range(count)]
        for person in persons:
            await person.login(kind="bot")
        yield persons


@contextlib.asynccontextmanager
async def playing(
    pair: Sequence[Person], measured: Measured, seed: int, go: asyncio.Event
) -> AsyncIterator[str]:
    """Play a duel of two people from ``go`` until its end or that of the block; yield its token."""
    rng = np.random.default_rng(seed)
    first = await pair[0].ask("/api/open", private=True, ready=True)
    second = await pair[1].ask("/api/join", session=first["session"], ready=True)
    async with Line.to(first["ws_url"]) as one, Line.to(second["ws_url"]) as two:
        for line, seat in ((one, first), (two, second)):
            await line.hello(ticket=seat["ticket"])

        async def start(line: Line, rival: Line) -> None:
            await go.wait()
            await play(line, rival, measured, rng)

        both = asyncio.gather(start(one, two), start(two, one))
        try:
            yield str(first["session"])
        finally:
            both.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await both


async def watch(person: Person, tokens: Sequence[str]) -> list[str]:
    """Return tickets for one observer of each session."""
    while (await person.look(tokens[-1]))["status"] != "running":  # noqa: ASYNC110 - another process changes it
        await asyncio.sleep(0.05)
    return [(await person.ask("/api/observe", session=token))["ticket"] for token in tokens]


async def climb(store: str, duels: int, observers: int, seconds: float) -> Rung:
    """Measure one rung, on a new server."""
    measured = Measured()
    realm = f"bench-whole-{duels}-{observers}"
    async with Stack.up(store, realm, MAX_SESSIONS="1000", ADDRESS_SESSIONS="1000", **LIMITS) as stack:
        server = await stack.server(SOLVERS="2")
        go = asyncio.Event()
        async with people(server.url, 2) as pair, playing(pair, Measured(), 10_000, go):
            go.set()
            await asyncio.sleep(1.0)  # until every process has loaded its modules
        go.clear()
        pids = (server.pid, *children(server.pid))
        before = sum(resident_bytes(pid) for pid in pids)
        async with contextlib.AsyncExitStack() as held:
            players = await held.enter_async_context(people(server.url, 2 * duels))
            watchers = await held.enter_async_context(people(server.url, observers))
            pairs = zip(players[::2], players[1::2], strict=True)
            tokens = [
                await held.enter_async_context(playing(pair, measured, seed, go))
                for seed, pair in enumerate(pairs)
            ]
            tickets = list(itertools.chain(*await asyncio.gather(*(watch(one, tokens) for one in watchers))))
            port = int(server.url.rpartition(":")[2])
            job = {"kind": "watch", "port": port, "seconds": seconds, "tickets": tickets}
            async with driven(job, ready=go.set) as reading:  # players act once all clients are connected
                measured.latencies.clear()
                began = [cpu_s(pid) for pid in pids]
                seen = await reading()
                spent = [cpu_s(pid) - then for pid, then in zip(pids, began, strict=True)]
                grown = sum(resident_bytes(pid) for pid in pids) - before
    return Rung(
        duels, observers, measured, seen["frames"] / seconds, spent[0] / seconds, sum(spent[1:]) / seconds, grown,
        seen["lost"] + seen["closed"],
    )  # fmt: skip


async def ladder(options: argparse.Namespace) -> str:
    """Measure rungs until the p99 exceeds its limit; return the table."""
    rungs: list[Rung] = []
    rows = []
    with tempfile.TemporaryDirectory(prefix="tussle-bench-") as folder:
        for duels, observers in RUNGS:
            # A separate store per rung, without the data of earlier ones.
            with EmbeddedStore(Settings(data_dir=Path(folder) / f"{duels}-{observers}")) as store:
                rung = await climb(store.url, duels, observers, options.seconds)
            rungs.append(rung)
            late = rung.latencies.percentile_ms(0.99)
            rows.append(
                f"| {duels} | {rung.connections} | {len(rung.latencies.latencies) / options.seconds:.0f} | "
                f"{rung.frames_per_s:.0f} | {rung.server_cores:.2f} | {rung.solver_cores:.2f} | "
                f"{rung.latencies.percentile_ms(0.5):.1f} | {late:.1f} | {rung.grown / 2**20:.0f} | {rung.lost} |"
            )
            say(rows[-1])
            if late > LIMIT_MS:
                break
    if options.save:
        plot(
            RESULTS / "whole.svg", title="Whole servers: input to the first frame that shows it",
            across="connections", up="ms", limit=LIMIT_MS,
            lines={
                name: [(float(rung.connections), rung.latencies.percentile_ms(share)) for rung in rungs]
                for name, share in (("p99", 0.99), ("p50", 0.5))
            },
        )  # fmt: skip
    empty, full, *_ = [*rungs, rungs[-1]]
    session = empty.grown / empty.duels / 1024
    connection = (full.grown - empty.grown) / max(1, full.connections - empty.connections) / 1024
    return "\n".join(
        [
            "Duels at once, each with two players (who think for 0.3 s) and observers, against one server with two "
            f"solvers, {options.seconds:g} s a rung. Players, observers and the store share the machine's cores.",
            f"Memory: {session:.0f} KiB for a session with its two players in server and solvers, "
            f"{connection:.0f} KiB for an observer's connection.",
            "",
            "| duels | connections | inputs/s | observers' frames/s | server [cores] | solvers [cores] | "
            "p50 [ms] | p99 [ms] | grown [MiB] | lost |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *rows,
        ]
    )
