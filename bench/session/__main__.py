"""``python -m bench.session [--duels 20] [--write]``: whole sessions on real processes, on loopback.

    one duel          input to the first frame that shows it, at the client; target: p99 < 50 ms
    many duels        the same with 20 at once; real-time factor, turns lost, memory of processes and sessions
    finds             POST /api/find with 200 players at a time, over one server and over three

Clients are raw sockets (tests/support/stranger.py) in this process, on the same cores as the server. Prints a table
and, with --write, writes bench/session/results.md. Ends every process that it starts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine import cpu_s, loaded_machine, resident_bytes
from bench.own_store import own_store
from bench.statistics import percentile
from tests.support.stack import Stack, children
from tests.support.stranger import FRAME, Line, Person
from tussle.lobby.store.store import Store
from tussle.lobby.wire.frames import decode_frame
from tussle.server.modes.registry import get_mode

RESULT = Path(__file__).parent / "results.md"
LAST = ("ended", "failed", "timed_out")
SAMPLES = 60
"""Number of inputs of the measurement with one duel."""

THINK_S = 0.3
"""Pause before each input [s]: an immediate one waits for contact check and checkpoint of the turn before."""

Row = tuple[str, str, str]


@dataclass
class Measured:
    """What the players measured: latencies [s]; simulated and wall time [s] while the worlds moved."""

    latencies: list[float] = field(default_factory=list)
    started: int = 0
    ended: int = 0
    skipped: int = 0
    simulated_s: float = 0.0
    wall_s: float = 0.0

    def percentile_ms(self, share: float) -> float:
        return percentile(self.latencies, share) * 1e3


async def play(line: Line, rival: Line, measured: Measured, rng: np.random.Generator) -> None:
    """Play a seat to the end and time each of its inputs. ``rival`` is the other seat's line, to read its turns."""
    rules = get_mode("duel")
    assert line.seat is not None
    while True:
        event = await line.until("turn_started", *LAST)
        if event["t"] in LAST:
            return
        if event["d"]["seat"] != line.seat:
            continue
        action = rules.bot(event["d"], line.seat, "good", None, rng)
        await asyncio.sleep(THINK_S)
        line.last_id += 1
        number, since = line.last_id, len(line.binary)
        began = time.monotonic()
        await line.say("act", {"kind": action.kind, "d": dict(action.d)}, number)
        at = await line.wait(lambda number=number, since=since: shown(line, number, since))  # type: ignore[misc]
        measured.latencies.append(at - began)


def shown(line: Line, number: int, since: int) -> float | None:
    """Return the arrival time of the first frame with this input, or None."""
    for data, at in zip(line.binary[since:], line.arrivals[since:], strict=False):
        if data[0] == FRAME and decode_frame(data).acks[line.seat or 0] >= number:
            return at
    return None


def account(line: Line, measured: Measured) -> None:
    """Add turns and real-time factor of an ended duel, from the messages of one player."""
    measured.started += line.kinds().count("turn_started")
    measured.ended += line.kinds().count("turn_ended")
    measured.skipped += sum(e["t"] == "action" and e["d"]["kind"] == "skip" for e in line.events)
    frames = [
        (decode_frame(data).tick, at)
        for data, at in zip(line.binary, line.arrivals, strict=False)
        if data[0] == FRAME
    ]
    turns = [event["d"] for event in line.events if event["t"] in ("turn_started", "turn_ended")]
    for begun, over in zip(turns[::2], turns[1::2], strict=False):
        moved = [(tick, at) for tick, at in frames if begun["tick"] < tick <= over["tick"]]
        if len(moved) > 1 and over["tick"]:
            measured.simulated_s += (moved[-1][0] - moved[0][0]) * over["time_sim"] / over["tick"]
            measured.wall_s += moved[-1][1] - moved[0][1]


async def one_duel(url: str, measured: Measured, seed: int) -> None:
    """Play one duel of two clients to its end."""
    rng = np.random.default_rng(seed)
    async with contextlib.AsyncExitStack() as stack:
        persons = [await stack.enter_async_context(Person(url)) for _ in range(2)]
        for person in persons:
            await person.login(kind="bot")
        first = await persons[0].ask("/api/open", private=True, ready=True)
        second = await persons[1].ask("/api/join", session=first["session"], ready=True)
        lines = [await stack.enter_async_context(Line.to(seat["ws_url"])) for seat in (first, second)]
        for line, seat in zip(lines, (first, second), strict=True):
            await line.hello(ticket=seat["ticket"])
        await asyncio.gather(play(lines[0], lines[1], measured, rng), play(lines[1], lines[0], measured, rng))
        account(lines[0], measured)


async def single(store: str) -> list[Row]:
    """Measure inputs of one duel at a time, at normal speed."""
    measured = Measured()
    async with Stack.up(store, "bench-one", BOT_TURN_S="30") as stack:
        server = await stack.server()
        seed = 0
        while len(measured.latencies) < SAMPLES:
            await one_duel(server.url, measured, seed)
            seed += 1
    return [
        (
            "one duel: input to the first frame that shows it, p50 / p99",
            f"{measured.percentile_ms(0.5):.1f} / {measured.percentile_ms(0.99):.1f} ms",
            f"{len(measured.latencies)} inputs; target p99 < 50 ms",
        ),
        ("one duel: real-time factor", f"{measured.simulated_s / measured.wall_s:.2f}", "SIM_SPEED 1"),
    ]


async def many(address: str, duels: int) -> list[Row]:
    """Measure many concurrent duels and their memory."""
    measured = Measured()
    async with Stack.up(address, "bench-many", BOT_TURN_S="30", SOLVERS="2") as stack:
        server = await stack.server()
        store = await Store.connect(address, "bench-many")
        await one_duel(server.url, Measured(), 99)  # loads everything
        solvers = children(server.pid)
        before = resident_bytes(server.pid), statistics.mean(resident_bytes(pid) for pid in solvers)
        stored = await used_memory(store)
        running = asyncio.gather(*(one_duel(server.url, measured, seed) for seed in range(duels)))
        peak = before
        began, busy, busy_solvers = time.monotonic(), cpu_s(server.pid), cpu_s(*solvers)
        while not running.done():
            now = resident_bytes(server.pid), statistics.mean(resident_bytes(pid) for pid in solvers)
            peak = max(peak[0], now[0]), max(peak[1], now[1])
            await asyncio.wait([running], timeout=0.5)
        await running
        took = time.monotonic() - began
        busy, busy_solvers = cpu_s(server.pid) - busy, cpu_s(*solvers) - busy_solvers
        stored_each = (await used_memory(store) - stored) / duels / 1e3
        await store.close()
    lost = measured.started - measured.ended + measured.skipped
    grown = (peak[0] - before[0] + 2 * (peak[1] - before[1])) / duels / 1e6
    return [
        (
            f"{duels} duels at once: input to frame, p50 / p99",
            f"{measured.percentile_ms(0.5):.1f} / {measured.percentile_ms(0.99):.1f} ms",
            f"{len(measured.latencies)} inputs in {took:.0f} s",
        ),
        (f"{duels} duels at once: real-time factor", f"{measured.simulated_s / measured.wall_s:.2f}", ""),
        (
            f"{duels} duels: CPU per simulated second, server / solvers",
            f"{busy / measured.simulated_s * 1e3:.0f} / {busy_solvers / measured.simulated_s * 1e3:.0f} ms",
            "with journal, contact checks, checkpoints",
        ),
        (f"{duels} duels at once: turns, lost", f"{measured.started}, {lost}", "skipped or without an end"),
        ("memory: server / one solver", f"{peak[0] / 1e6:.0f} / {peak[1] / 1e6:.0f} MB", "resident, maximum"),
        ("memory: a session in server and solvers", f"{grown:.2f} MB", "maximum growth / duels"),
        ("memory: a session in the store", f"{stored_each:.0f} kB", "after its end, before its expiry"),
    ]


async def used_memory(store: Store) -> int:
    said = str(await store.call("INFO", "memory"))
    return int(next(line for line in said.splitlines() if line.startswith("used_memory:")).partition(":")[2])


async def post(host: str, port: int, work: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Send requests one after the other on one connection, at little cost of the client."""
    reader, writer = await asyncio.open_connection(host, port)
    answers = []
    for head, body in work:
        content = json.dumps(body).encode()
        writer.write(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        answer_head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(answer_head.partition("content-length:")[2].partition("\r\n")[0])
        answers.append(json.loads(await reader.readexactly(size)))
    writer.close()
    await writer.wait_closed()
    return answers


async def finds(address: str, servers: int, players: int = 200, rounds: int = 3) -> list[Row]:
    """Measure concurrent finds of all players, over ``servers`` servers."""
    rates = []
    async with Stack.up(
        address,
        f"bench-finds-{servers}",
        LOBBY_TIMEOUT_S="300",
        TICKET_TTL_S="300",
        LOGIN_RATE="100000",  # all players have one address
        REQUEST_RATE="100000",
    ) as stack:
        ports = [int(server.url.rpartition(":")[2]) for server in await stack.more_servers(servers)]
        for _ in range(rounds):
            login = "POST /api/login HTTP/1.1\r\nhost: x\r\n"
            logins = await asyncio.gather(
                *(post("127.0.0.1", ports[i % servers], [(login, {})] * 10) for i in range(players // 10))
            )
            tokens = [answer["token"] for answers in logins for answer in answers]
            calls = [
                (
                    f"POST /api/find HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n",
                    {"mode": "duel", "size": 2},
                )
                for token in tokens
            ]
            began = time.monotonic()
            found = await asyncio.gather(
                *(
                    post("127.0.0.1", ports[i % servers], calls[i * 10 : i * 10 + 10])
                    for i in range(players // 10)
                )
            )
            rates.append(players / (time.monotonic() - began))
            seats = [(answer["session"], answer["seat"]) for answers in found for answer in answers]
            assert len(set(seats)) == players
            assert len({session for session, _ in seats}) == players // 2
    kind = "server" if servers == 1 else "servers"
    return [
        (f"finds per second over {servers} {kind}", f"{statistics.median(rates):.0f}", f"{players} at once")
    ]


async def run(arguments: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    with own_store() as store:
        rows += print_rows(await single(store.url))
        rows += print_rows(await many(store.url, arguments.duels))
        for servers in (1, 3):
            rows += print_rows(await finds(store.url, servers))
    return rows


def print_rows(rows: list[Row]) -> list[Row]:
    for row in rows:
        sys.stdout.write("| " + " | ".join(row) + " |\n")
    sys.stdout.flush()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--duels", type=int, default=20)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    arguments = parser.parse_args()
    where = loaded_machine()
    began = time.monotonic()
    rows = asyncio.run(run(arguments))
    if arguments.write:
        command = "python -m bench.session"
        lines = ["# Whole sessions", "", f"`{command}`, {time.monotonic() - began:.0f} s, {where}.", ""]
        lines += ["| what | measured | |", "|---|---|---|", *("| " + " | ".join(row) + " |" for row in rows)]
        RESULT.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
