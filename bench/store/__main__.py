"""``python -m bench.store [--write]``: the lobby's scripts on separate real stores, called by several processes.

    finds, connects      1000 players over three processes, lobbies of two; every lobby must be full
    journal, publish ..  one call at a time, as a holder makes them, with both settings of STORE_FSYNC
    memory               memory of a whole duel in the store until it expires
    cleanup              ended sessions awarded and expired by one worker

Prints a table and, with --write, writes results.md beside this program.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import uvloop

from bench.machine import machine
from tussle.lobby.accounts import Accounts
from tussle.lobby.connections import Connections
from tussle.lobby.logs import configure
from tussle.lobby.runs import Fence, Runs
from tussle.lobby.seating import Seating
from tussle.lobby.servers import HolderAddress, Servers
from tussle.lobby.session_scripts import SessionScripts
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import Binary, EmbeddedStore, find_binary
from tussle.lobby.store.store import Store
from tussle.worker.cleanup import Cleanup

RESULTS = Path(__file__).parent / "results.md"
PLAYERS = 1000
CLIENTS = 3
CALLS = 2000
SESSIONS = 200
TURNS = 8
HOLDER = HolderAddress("s1", "boot", "http://127.0.0.1:8420")
BODIES = tuple(f"body-{i}" for i in range(16))
INPUT = b'{"seat":0,"id":17,"kind":"launch","d":{"azimuth":41.2,"elevation":12.5,"power":0.93}}'
EVENT = {
    "seat": 0,
    "damage": [0.0, 31.25],
    "positions": [[0.1, 0.2, 0.3], [1.1, 0.2, -0.3]],
    "cause": "broken",
}

Row = tuple[str, str, str]


def client(
    url: str, realm: str, players: list[str], start: float
) -> tuple[list[tuple[str, str]], float, float]:
    """Run one process: seat all its players, then connect them. Puts (session, ticket) of each and both durations."""
    return uvloop.run(_client(url, realm, players, start))


async def _client(
    url: str, realm: str, players: list[str], start: float
) -> tuple[list[tuple[str, str]], float, float]:
    store = await Store.connect(url, realm)
    patient = Settings(redis_url=url, realm=realm, ticket_ttl_s=600, lobby_timeout_s=600)
    scripts = SessionScripts(store)
    seating, connections = Seating(scripts, patient), Connections(scripts, patient)
    await asyncio.sleep(max(0.0, start - time.time()))
    began = time.perf_counter()
    seats = await asyncio.gather(
        *(seating.find(player, "duel", 2, holder=HOLDER, bodies=BODIES) for player in players)
    )
    found = time.perf_counter()
    await asyncio.gather(
        *(connections.connect(ticket=seat.ticket, conn=secrets.token_hex(4)) for seat in seats)
    )
    connected = time.perf_counter()
    await store.close()
    return [(seat.session, seat.ticket) for seat in seats], found - began, connected - found


async def gathering(url: str, realm: str) -> tuple[list[Row], list[str]]:
    """Return the rows about finding and connecting, and the sessions, all of them starting."""
    store = await Store.connect(url, realm)
    accounts = Accounts(store, Settings())
    began = time.perf_counter()
    logins = await asyncio.gather(*(accounts.login(kind="bot") for _ in range(PLAYERS)))
    logged_in = time.perf_counter() - began
    players = [login.player for login in logins]
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(CLIENTS, mp_context=get_context("spawn")) as pool:
        start = time.time() + 3.0
        parts = await asyncio.gather(
            *(
                loop.run_in_executor(pool, client, url, realm, players[i::CLIENTS], start)
                for i in range(CLIENTS)
            )
        )
    lobbies = Counter(session for seats, _, _ in parts for session, _ in seats)
    assert len(lobbies) == PLAYERS // 2 and set(lobbies.values()) == {2}, "a lobby is not full"
    assert not await store.call("ZCARD", store.keys.open_lobbies("duel", 2)), "a lobby is still open"
    statuses = await store.batch([("HGET", store.keys.session(session), "status") for session in lobbies])
    assert set(statuses) == {"starting"}, Counter(statuses)
    await store.close()
    return [
        ("guest logins, one process", f"{PLAYERS / logged_in:,.0f} /s", ""),
        (f"finds, {CLIENTS} processes", f"{PLAYERS / max(part[1] for part in parts):,.0f} /s", "all full"),
        (
            f"connects, {CLIENTS} processes",
            f"{PLAYERS / max(part[2] for part in parts):,.0f} /s",
            "all starting",
        ),
    ], list(lobbies)


async def measure(call: Callable[[int], Awaitable[object]], count: int = CALLS) -> str:
    """Return p50 and p99 [ms] of sequential calls."""
    times = []
    for i in range(1, count + 1):
        began = time.perf_counter()
        await call(i)
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    return f"{times[count // 2]:.2f} / {times[count * 99 // 100]:.2f} ms"


async def holding(url: str, realm: str, session: str, what: str) -> list[Row]:
    """Return the rows about the calls of a holder."""
    store = await Store.connect(url, realm)
    runs = Runs(store)
    await Servers(store).register(HOLDER.id, HOLDER.nonce, HOLDER.url, "p", 600_000)
    fence, _ = await runs.begin(session, HOLDER)
    await runs.running(fence, 0, b"spec", 1 / 60)
    rows = [
        (
            f"journal of one input, {what}",
            await measure(lambda i: runs.journal(fence, i, [INPUT])),
            "p50 / p99",
        ),
        (
            f"publish of one event, {what}",
            await measure(lambda i: runs.publish(fence, i, [(i, "blow", EVENT)], {"tick": i})),
            "p50 / p99",
        ),
        (
            f"checkpoint of 16 KiB, {what}",
            await measure(lambda i: runs.checkpoint(fence, i, b"x" * 16384, f"{i}-1"), CALLS // 5),
            "p50 / p99",
        ),
    ]
    await store.close()
    return rows


async def duel(runs: Runs, session: str) -> Fence:
    """Write the keys of a duel of median length."""
    fence, members = await runs.begin(session, HOLDER)
    await runs.running(fence, 0, b"s" * 3000, 1 / 60)
    for turn in range(1, TURNS):
        tick = turn * 60
        await runs.journal(fence, tick, [INPUT])
        events = [(tick, kind, EVENT) for kind in ("action", "blow", "blow", "turn_ended", "turn_started")]
        await runs.publish(
            fence, tick, events, {"tick": tick}, {m.player: {"health": 71.5} for m in members}, 2000
        )
    await runs.checkpoint(fence, TURNS * 60, b"x" * 4096, f"{TURNS * 60}-1")
    result = {
        "places": {str(m.seat): m.seat + 1 for m in members},
        "players": {str(m.seat): m.player for m in members},
        "scores": {str(m.seat): {"place": m.seat + 1, "points": 1.0, "xp": 25} for m in members},
    }
    await runs.finish(fence, TURNS * 60, [], result)
    return fence


async def ending(url: str, realm: str, sessions: list[str]) -> list[Row]:
    """Return the rows about memory and cleanup."""
    store = await Store.connect(url, realm)
    runs = Runs(store)

    async def used() -> int:
        info = str(await store.call("INFO", "memory"))
        return int(next(line.split(":")[1] for line in info.splitlines() if line.startswith("used_memory:")))

    before = await used()
    for session in sessions:
        await duel(runs, session)
    after = await used()
    worker = Cleanup(store, Settings(redis_url=url, realm=realm))
    await worker.group.ensure()
    await store.call("XGROUP", "SETID", store.keys.lifecycle, "cleanup", "0")
    began = time.perf_counter()
    while await worker.drain():
        pass
    seconds = time.perf_counter() - began
    assert worker.handled == len(sessions)
    await store.close()
    return [
        (
            f"memory of a duel of {TURNS} turns",
            f"{(after - before) / len(sessions) / 1024:.1f} KiB",
            "until it expires",
        ),
        ("cleanup, one worker", f"{len(sessions) / seconds:,.0f} sessions/s", "awarded, rated, expiring"),
    ]


async def bench(binary: Binary) -> list[Row]:
    rows: list[Row] = []
    for fsync in ("everysec", "always"):
        folder = Path(tempfile.mkdtemp(prefix="tussle-bench-"))
        try:
            async with EmbeddedStore(Settings(data_dir=folder, store_fsync=fsync), binary=binary) as embedded:
                gathered, sessions = await gathering(embedded.url, "bench")
                held = await holding(embedded.url, "bench", sessions[0], fsync)
                ended = await ending(embedded.url, "bench", sessions[1 : SESSIONS + 1])
        finally:
            shutil.rmtree(folder)
        rows += [*gathered, *held, *ended] if fsync == "everysec" else held
    return [(f"{binary.kind} {binary.version}: {name}", value, note) for name, value, note in rows]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the lobby's scripts.")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    write = parser.parse_args().write
    configure(Settings(log_level="warning"), process="bench")
    binaries = {binary.path: binary for binary in (find_binary(""), find_binary())}
    lines = ["| what | result | |", "|---|---|---|"]
    for binary in binaries.values():
        lines += [f"| {name} | {value} | {note} |" for name, value, note in uvloop.run(bench(binary))]
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    where = (
        f"{machine()} shared with other work: "
        f"load averages {load} at the end. On a busy machine these numbers measure the scheduler too."
    )
    text = "\n".join(["# The lobby's scripts", "", f"`python -m bench.store`, {where}", "", *lines, ""])
    sys.stdout.write(text)
    if write:
        RESULTS.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
