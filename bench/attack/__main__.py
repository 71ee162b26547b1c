"""What one attacker does to others: duels and /healthz of a whole server under each attack of attacker.py.

    python -m bench.attack [--seconds S] [--duels N] [--only KIND ...] [--save]

    10 duels (this process, 127.0.0.1) ----+
    GET /healthz, ten times a second ------+--> server + 2 solvers --> store
    one attacker (a process, 127.0.0.2) ---+

The server has its default limits. Each attack gets a new server and store. The table is written to results.md with
``--save``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.attack.attacker import ATTACKS
from bench.load.whole import people, playing
from bench.machine import machine
from bench.own_store import own_store
from bench.session.__main__ import Measured
from bench.statistics import percentile
from tests.support.stack import Process, Stack
from tussle.lobby.settings import Settings
from tussle.lobby.store.store import Store

RESULTS = Path(__file__).resolve().parent / "results.md"

PROBE_S = 0.1
"""Time between two requests to /healthz [s]."""

LIVES = {
    "BOT_TURN_S": "600", "TICKET_TTL_S": "60", "LOBBY_TIMEOUT_S": "120", "LOG_LEVEL": "warning",
    "OPEN_RATE": str(Settings().open_rate),
}  # fmt: skip
"""Settings that keep the duels alive while they are measured. All limits are the defaults."""

COLUMNS = (
    "attack", "tried/s", "refused", "/healthz p50, p99, max [ms]", "input to frame p50, p99 [ms]", "inputs",
    "server [cores]", "leases lost", "sessions failed", "store [MiB]", "log [KiB]",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """One measured attack. server: CPU time of the server's event loop [s/s]; stored: growth of the store's memory
    [B]; logged: bytes of the server's log."""

    kind: str
    seconds: float
    tried: int
    refused: int
    probes: list[float]
    latencies: list[float]
    server: float
    lapses: int
    failed: int
    stored: int
    logged: int

    def row(self) -> str:
        cells = (
            self.kind,
            f"{self.tried / self.seconds:.0f}",
            f"{self.refused / self.tried:.1%}" if self.tried else "",
            ", ".join(f"{percentile(self.probes, share) * 1e3:.1f}" for share in (0.5, 0.99, 1.0)),
            ", ".join(f"{percentile(self.latencies, share) * 1e3:.1f}" for share in (0.5, 0.99)),
            str(len(self.latencies)),
            f"{self.server:.2f}",
            str(self.lapses),
            str(self.failed),
            f"{self.stored / 2**20:.1f}",
            f"{self.logged / 1024:.0f}",
        )
        return f"| {' | '.join(cells)} |"


async def probe(url: str, seen: list[float]) -> None:
    """Time /healthz until cancelled. A request that fails counts with the time until it failed."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60.0) as http:
        while True:
            began = time.monotonic()
            with contextlib.suppress(httpx.HTTPError):
                await http.get("/healthz")
            seen.append(time.monotonic() - began)
            await asyncio.sleep(PROBE_S)


async def attack(kind: str, server: Process, seconds: float) -> tuple[int, int]:
    """Run the attacker; returns what it tried and what was refused."""
    host, port = server.url.rpartition("//")[2].split(":")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.attack.attacker", kind, host, port, str(seconds),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds + 60.0):
            output, _ = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    counts = json.loads(output)
    return counts["tried"], counts["refused"]


def cpu_time(pid: int) -> float:
    """CPU time of a process so far [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def used_bytes(store: Store) -> int:
    text = await store.call("INFO", "memory")
    return int(str(text).partition("used_memory:")[2].split()[0])


async def measure(kind: str, duels: int, seconds: float) -> Outcome:
    measured, probes = Measured(), list[float]()
    with own_store() as embedded:
        async with Stack.up(embedded.url, "bench", **LIVES) as stack, contextlib.AsyncExitStack() as held:
            server = await stack.server(SOLVERS="2")
            store = await Store.connect(embedded.url, "bench")
            held.push_async_callback(store.close)
            go = asyncio.Event()
            players = await held.enter_async_context(people(server.url, 2 * duels))
            pairs = zip(players[::2], players[1::2], strict=True)
            tokens = [
                await held.enter_async_context(playing(pair, measured, seed, go))
                for seed, pair in enumerate(pairs)
            ]
            go.set()
            await asyncio.sleep(2.0)  # until every process has loaded its modules
            measured.latencies.clear()
            before, logged = await used_bytes(store), len(server.output)
            probing = asyncio.create_task(probe(server.url, probes))
            began, spent = time.monotonic(), cpu_time(server.pid)
            tried, refused = await attack(kind, server, seconds)
            spent = (cpu_time(server.pid) - spent) / (time.monotonic() - began)
            probing.cancel()
            latencies = list(measured.latencies)
            failed = sum([(await players[0].look(token))["status"] == "failed" for token in tokens])
            stored = await used_bytes(store) - before
            lapses = len(server.said("lease_taken_again")) + len(server.said("lease_lost"))
            return Outcome(
                kind, seconds, tried, refused, probes, latencies, spent, lapses, failed, stored,
                len(server.output) - logged,
            )  # fmt: skip


def describe(options: argparse.Namespace) -> str:
    return (
        f"# One attacker\n\n{options.duels} duels and one attacker for {options.seconds:g} s each, on "
        f"{machine()}. Server, solvers, store and players share the cores; the attacker may use the last one "
        "only, and preempts nobody. The players think for 0.3 s.\n"
        "`python -m bench.attack --save` writes this table.\n"
    )


async def run(options: argparse.Namespace) -> None:
    rows = [describe(options), f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    sys.stdout.write("\n".join(rows) + "\n")
    for kind in options.only or ATTACKS:
        outcome = await measure(kind, options.duels, options.seconds)
        rows.append(outcome.row())
        sys.stdout.write(rows[-1] + "\n")
        sys.stdout.flush()
    if options.save:
        RESULTS.write_text("\n".join(rows) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench.attack", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--duels", type=int, default=10)
    parser.add_argument("--only", nargs="*", choices=list(ATTACKS))
    parser.add_argument("--save", action="store_true")
    asyncio.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
