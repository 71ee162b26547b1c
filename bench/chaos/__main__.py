"""``python -m bench.chaos [--seconds 60] [--duels 4] [--seed 1] [--store]``: play under kill -9, SIGSTOP and restarts.

Real processes on loopback: servers, solvers and workers. The bots run in this process and record every acknowledgement.
A seeded generator kills, stops and restarts processes; with --store also the store, half way through. With --holders it
only kills servers, to measure the recovery. With --calm it kills nothing, to measure the cost of journal and
checkpoints. Afterwards it checks every session that was started:

    it ended or runs                              its events have no gap, each turn was announced once
    every acknowledged input is in the archive once, at the acknowledged tick
    re-simulated from the archive, every tick has the same hash and passes the contact check
    after the expiry no key of a session remains, and no process

Targets: from kill -9 of a holder to the next frame at a member p95 < 3 s with a lease of 1 s; journal and checkpoints
< 5 % of a step and < 1 ms p50 added to an input. Prints a report and, with --write, bench/chaos/results.md
(store.md, holders.md, calm.md). Exit code 1 when a guarantee is broken; times do not affect it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from bench.machine import machine
from bench.statistics import percentile
from tests.support.stack import Process, Stack
from tussle.lobby.errors import Conflict, LobbyError
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore, free_port
from tussle.lobby.store.keys import Keys
from tussle.lobby.store.store import Store
from tussle.lobby.wire.messages import Event
from tussle.player.client import Client
from tussle.player.transcript import Disconnected
from tussle.server.archive.archive import Archive
from tussle.server.archive.verify import load_record, verify
from tussle.server.modes.mode import stream
from tussle.server.modes.registry import get_mode
from tussle.server.simulation.simulation import Input

RESULTS = Path(__file__).parent
LEASE_MS = 1000
STEP_S = 1 / 60
"""The period of a duel's step [s], in simulated and, at speed 1, in real time."""

SCRAPE_S = 1.0
EXPIRY_S = 20
TURN_S = 3.0


@dataclass
class Account:
    """What the bots received."""

    acknowledged: list[tuple[str, int, int, int]] = field(default_factory=list)  # session, seat, id, tick
    events: dict[str, dict[int, Event]] = field(default_factory=dict)
    recoveries: dict[tuple[str, int], float] = field(
        default_factory=dict
    )  # (session, v) -> s without a holder
    killed: dict[str, tuple[float, int]] = field(
        default_factory=dict
    )  # session -> time of its holder's death, epoch
    blind: dict[tuple[str, int, int], float] = field(
        default_factory=dict
    )  # session, epoch, seat -> s to a frame
    seats: int = 0
    given_up: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def heard(self, session: str, event: Event) -> None:
        known = self.events.setdefault(session, {})
        if (
            event.v in known
            and event.t != "session"
            and known[event.v].t != "session"
            and known[event.v] != event
        ):
            self.problems.append(
                f"{session}: two different events have v {event.v}: {known[event.v]}, {event}"
            )
        known[event.v] = event
        if event.t == "recovered":
            self.recoveries[session, event.v] = event.d["gap_ms"] / 1000

    def saw(self, session: str, seat: int, epoch: int) -> None:
        """Record that a member received a frame."""
        at, before = self.killed.get(session, (0.0, epoch))
        if epoch > before:
            self.blind.setdefault((session, before, seat), time.monotonic() - at)

    def first_sights(self) -> list[float]:
        """Return, for each session and kill, the time to the first frame at any member [s]."""
        first: dict[tuple[str, int], float] = {}
        for (session, epoch, _), seconds in self.blind.items():
            first[session, epoch] = min(seconds, first.get((session, epoch), seconds))
        return list(first.values())


class Costs:
    """Sums the metrics of all servers; a killed server counts with its last sample."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._samples: dict[int, dict[str, dict[str, float]]] = {}

    async def keep(self) -> None:
        """Read the metrics of every server every second, until cancelled."""
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as http:
            while True:
                for server in self._stack.servers:
                    with contextlib.suppress(httpx.HTTPError):
                        self._samples[server.pid] = samples((await http.get(f"{server.url}/metrics")).text)
                await asyncio.sleep(SCRAPE_S)

    def total(self, name: str) -> float:
        return sum(sum(sample.get(name, {}).values()) for sample in self._samples.values())

    def p50(self, name: str) -> float:
        """Return the median of a histogram [s], interpolated between its bounds."""
        counts: Counter[float] = Counter()
        for sample in self._samples.values():
            for bound, count in sample.get(f"{name}_bucket", {}).items():
                counts[float(bound)] += count
        half, below, under = counts[float("inf")] / 2, 0.0, 0.0
        for bound in sorted(counts):
            if counts[bound] >= half > 0:
                share = (half - under) / (counts[bound] - under)
                return below + share * (bound - below) if bound < float("inf") else below
            below, under = bound, counts[bound]
        return float("nan")


def samples(text: str) -> dict[str, dict[str, float]]:
    """Parse metrics: sample -> bucket bound or labels -> value."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = sample.labels.get("le", ",".join(sample.labels.values()))
            found.setdefault(sample.name, {})[label] = sample.value
    return found


@dataclass(frozen=True)
class Found:
    """Result of the check of store and archive."""

    statuses: Counter[str]
    compared: int
    checks: int
    missing: int


class Chaos:
    """The processes, and the actions that disturb them."""

    def __init__(self, stack: Stack, store: EmbeddedStore, account: Account, rng: random.Random) -> None:
        self.stack = stack
        self.account = account
        self.store = store
        self.rng = rng
        self.done: Counter[str] = Counter()
        self.began = time.monotonic()
        self.workers: list[Process] = []

    def url(self) -> str:
        return self.rng.choice([server.url for server in self.stack.servers])

    def say(self, text: str) -> None:
        print(f"  {time.monotonic() - self.began:6.1f} s  {text}", flush=True)  # noqa: T201

    async def act(self) -> None:
        deeds: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("kill -9 server", self._kill_server),
            ("SIGSTOP server", self._stop_server),
            ("SIGTERM server", self._drain_server),
            ("kill -9 solver", self._kill_solver),
            ("kill -9 worker", self._kill_worker),
        ]
        await self._do(*self.rng.choice(deeds))

    async def act_on_a_holder(self) -> None:
        await self._do("kill -9 server", self._kill_server)

    async def act_on_the_store(self) -> None:
        await self._do("kill -9 store", self._kill_store)

    async def _do(self, name: str, deed: Callable[[], Awaitable[None]]) -> None:
        self.say(name)
        self.done[name] += 1
        await deed()

    async def _replace(self) -> None:
        await self.stack.server()

    async def _kill_server(self) -> None:
        victim = self.rng.choice(self.stack.servers)
        held = await self._held_by(victim)
        now = time.monotonic()
        for session, epoch in held.items():
            self.account.killed[session] = now, epoch
        await victim.kill()
        await self._replace()

    async def _held_by(self, server: Process) -> dict[str, int]:
        """Return the sessions that a server holds, and their epochs."""
        store = await Store.connect(self.store.url, self.stack.realm)
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=2.0) as http:
                mine = (await http.get(f"{server.url}/healthz")).json()["server"]
            held = {}
            for session in await store.call("ZRANGE", store.keys.running, 0, -1):
                holder, epoch = await store.call("HMGET", store.keys.session(session), "holder", "epoch")
                if holder == mine:
                    held[session] = int(epoch)
            return held
        except (httpx.HTTPError, LobbyError):
            return {}  # it does not answer: none of its sessions is measured
        finally:
            await store.close()

    async def _drain_server(self) -> None:
        victim = self.rng.choice(self.stack.servers)
        await asyncio.gather(victim.end(), self._replace())

    async def _stop_server(self) -> None:
        victim = self.rng.choice(self.stack.servers)
        victim.send(signal.SIGSTOP)
        await asyncio.sleep(3 * LEASE_MS / 1000)
        victim.send(signal.SIGCONT)

    async def _kill_solver(self) -> None:
        pids = [pid for server in self.stack.servers for pid in children(server.process.pid)]
        if pids:
            os.kill(self.rng.choice(pids), signal.SIGKILL)

    async def _kill_worker(self) -> None:
        worker = self.workers.pop(0)
        await worker.kill()
        self.workers.append(await self.stack.worker())

    async def _kill_store(self) -> None:
        pid = self.store.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(1.0)
        await self.store.stop_async()
        await self.store.start_async()


def children(pid: int) -> list[int]:
    """Return the solver processes of a server."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


async def play(number: int, chaos: Chaos, account: Account, until: float, skills: list[str]) -> None:
    """Run one bot: find and play duels until ``until``, then finish the last one."""
    rng = random.Random(f"{chaos.rng.random()}:{number}")
    token: str | None = None
    while time.monotonic() < until:
        try:
            async with Client(chaos.url(), token=token, timeout_s=5.0) as client:
                if token is None:
                    token = (await client.login(kind="bot")).token
                try:
                    join = await client.find(mode="duel", size=2)
                except Conflict:  # still in a session: rejoin it
                    session = (await client.whoami()).session
                    if not session:
                        continue
                    join = await client.join(session)
                account.seats += 1
                await play_one(client, join, account, rng.choice(skills))
        except Disconnected as error:
            account.given_up.append(error.message)
            await asyncio.sleep(0.2)
        except LobbyError as error:
            if error.reason not in (
                "crowded",
                "ended",
                "unauthorized",
                "not_found",
                "store_unavailable",
                "lobby_full",
            ):
                account.given_up.append(f"{error.reason}: {error.message}")
            await asyncio.sleep(0.2)


async def play_one(client: Client, join: object, account: Account, skill: str) -> None:
    """Play one duel from hello to the end, and record every acknowledgement."""
    mode = get_mode("duel")
    async with client.connect(join, give_up_s=40.0) as connection:  # type: ignore[arg-type]
        session = connection.session
        acting: asyncio.Task[None] | None = None

        async def act(event: Event) -> None:
            seat = connection.seat
            assert seat is not None
            action = mode.bot(event.d, seat, skill, None, stream(number_of(session), event.d["turn"], seat))
            try:
                tick = await connection.act(action.kind, **action.d)
            except LobbyError:
                return  # the deadline passed, or the session moved on
            if tick is not None:
                account.acknowledged.append((session, seat, connection.last_id, tick))

        async def look() -> None:
            async for frame in connection.frames():
                if connection.seat is not None:
                    account.saw(session, connection.seat, frame.epoch)

        looking = asyncio.create_task(look())
        async for event in connection:
            account.heard(session, event)
            if event.t == "turn_started" and event.d["seat"] == connection.seat:
                acting = asyncio.create_task(act(event))
            if event.t in ("ended", "failed", "timed_out") or (
                event.t == "session" and event.d["status"] in ("ended", "failed", "timed_out")
            ):
                break
        for task in (looking, acting):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


def number_of(session: str) -> int:
    return int.from_bytes(session.encode(), "big") & 0x7FFFFFFFFFFFFFFF


async def check(url: str, realm: str, archive: Archive, account: Account) -> Found:
    """Compare store and archive with what the bots received. Adds each difference to ``account.problems``."""
    store = await Store.connect(url, realm)
    keys = Keys(realm)
    statuses: Counter[str] = Counter()
    compared = checks = missing = again = 0
    acknowledged: dict[str, list[tuple[int, int, int]]] = {}
    for session, seat, command, tick in account.acknowledged:
        acknowledged.setdefault(session, []).append((seat, command, tick))
    try:
        for session in archive.sessions():
            status = await store.call("HGET", keys.session(session), "status")
            statuses[status or "expired"] += 1
            turns = Counter(
                event.d["turn"]
                for event in account.events.get(session, {}).values()
                if event.t == "turn_started"
            )
            account.problems += [
                f"{session}: turn {turn} was announced {n} times" for turn, n in turns.items() if n > 1
            ]
            record = load_record(archive, session)
            verdict = await asyncio.to_thread(verify, record)
            compared += verdict.compared
            checks += verdict.proofs
            if not verdict.sound:
                wrong = "; ".join(str(found) for found in verdict.findings if found.grave)
                account.problems.append(
                    f"{session}: diverged {verdict.diverged}, conflict {verdict.conflict}: {wrong}"
                )
            recorded = {(tick, one.seat, one.id) for tick, given in record.inputs.items() for one in given}
            if not record.ended:  # the archive lags; the newest inputs are in the journal only
                for entry, flat in await store.call("XRANGE", keys.journal(session), "-", "+"):
                    one = msgspec.json.decode(flat[1], type=Input)
                    recorded.add((int(entry.partition("-")[0]), one.seat, one.id))
            for seat, command, tick in acknowledged.get(session, []):
                found = [t for t, *whose in recorded if whose == [seat, command]]
                missing += not found
                again += len(found) > 1
                if found and found != [tick]:
                    account.problems.append(
                        f"{session}: input {command} of seat {seat} was acknowledged for tick {tick}, recorded {found}"
                    )
    finally:
        await store.close()
    if missing:
        account.problems.append(f"{missing} acknowledged inputs are not in the record")
    if again:
        account.problems.append(f"{again} acknowledged inputs are in the record twice")
    return Found(statuses, compared, checks, missing)


async def leaked(url: str, realm: str, until_s: float) -> list[str]:
    """Return the keys of sessions that remain after their expiry."""
    store = await Store.connect(url, realm)
    deadline = time.monotonic() + until_s
    try:
        while True:
            found: list[str] = []
            cursor = "0"
            while True:
                cursor, page = await store.call(
                    "SCAN", cursor, "MATCH", f"{{{realm}}}:session:*", "COUNT", 1000
                )
                found += page
                if cursor == "0":
                    break
            if not found or time.monotonic() > deadline:
                return found
            await asyncio.sleep(1.0)
    finally:
        await store.close()


async def run(options: argparse.Namespace) -> int:
    rng = random.Random(options.seed)
    realm = f"chaos-{secrets.token_hex(3)}"
    account = Account()
    with tempfile.TemporaryDirectory(prefix="tussle-chaos-") as folder:
        # A fixed port, so that the store restarts at the same address.
        store = EmbeddedStore(
            Settings.read({"STORE_FSYNC": options.fsync, "DATA_DIR": folder}), port=free_port()
        )
        await store.start_async()
        archive_url = str(Path(folder) / "archive")
        environment = {
            "ARCHIVE_URL": archive_url, "LEASE_MS": str(LEASE_MS), "EXPIRY_S": str(EXPIRY_S), "SIM_SPEED": "1",
            "BOT_TURN_S": str(TURN_S), "LOBBY_TIMEOUT_S": "20", "RECONNECT_GRACE_S": "5", "SWEEP_S": "2",
        }  # fmt: skip
        try:
            async with Stack.up(store.url, realm, **environment) as stack:
                chaos = Chaos(stack, store, account, rng)
                costs = Costs(stack)
                for _ in range(options.servers):
                    await stack.server()
                chaos.workers = [await stack.worker(), await stack.worker()]
                chaos.began = time.monotonic()
                until = chaos.began + options.seconds
                bots = [
                    asyncio.create_task(play(n, chaos, account, until, ["good", "fair", "sharp"]))
                    for n in range(2 * options.duels)
                ]
                asking = asyncio.create_task(costs.keep())
                half = chaos.began + options.seconds / 2
                while time.monotonic() < until - 8:
                    await asyncio.sleep(rng.uniform(2.0, 5.0))
                    if options.store and time.monotonic() > half and not chaos.done["kill -9 store"]:
                        await chaos.act_on_the_store()
                    elif options.holders:
                        await chaos.act_on_a_holder()
                    elif not options.calm:
                        await chaos.act()
                chaos.say("no more kills; the bots finish their last duels")
                _, late = await asyncio.wait(bots, timeout=90)
                asking.cancel()
                await asyncio.wait([asking])
                for bot in late:
                    bot.cancel()
                await asyncio.gather(*bots, return_exceptions=True)
                account.problems += [
                    f"a bot failed: {bot.exception()!r}"
                    for bot in bots
                    if not bot.cancelled() and bot.exception()
                ]
                if late:
                    account.problems.append(f"{len(late)} bots did not come to an end")
                found = await check(store.url, realm, Archive(archive_url), account)
                left = await leaked(store.url, realm, EXPIRY_S + 40)
                if left:
                    account.problems.append(f"{len(left)} keys of sessions are left: {left[:3]}")
        finally:
            await store.stop_async()
    report = describe(options, chaos, account, found, costs)
    print(report)  # noqa: T201
    if options.write:
        (RESULTS / f"{kind_of(options).strip('-') or 'results'}.md").write_text(report)
    return 1 if account.problems else 0


def kind_of(options: argparse.Namespace) -> str:
    """Return the option of this run, or an empty string."""
    return next((f"-{name}" for name in ("store", "holders", "calm") if getattr(options, name)), "")


def describe(options: argparse.Namespace, chaos: Chaos, account: Account, found: Found, costs: Costs) -> str:
    command = (
        f"python -m bench.chaos --seconds {options.seconds:g} --duels {options.duels} --seed {options.seed}"
    )
    command += kind_of(options).replace("-", " --")
    command += "" if options.fsync == "always" else f" --fsync {options.fsync}"
    done = ", ".join(f"{name} x {n}" for name, n in sorted(chaos.done.items()))
    statuses = ", ".join(f"{n} {status}" for status, n in sorted(found.statuses.items()))
    rows = [
        ("done to it", done or "nothing"),
        ("sessions", statuses),
        ("acknowledged inputs", f"{len(account.acknowledged)}, lost {found.missing}"),
        ("ticks re-simulated alone and compared", f"{found.compared}, contact checks {found.checks}"),
        ("recoveries: nobody held the session", spread(list(account.recoveries.values()))),
        ("kill -9 of the holder to the next frame, at the first member", spread(account.first_sights())),
        ("the same, at each member", spread(list(account.blind.values()))),
        *([] if options.store else cost_rows(costs)),  # with --store they would include waits for the store
        ("connections given up", str(len(account.given_up))),
        ("broken promises", str(len(account.problems))),
    ]
    lines = [
        "# Chaos",
        "",
        f"`{command}` · {machine()} · lease {LEASE_MS} ms, fsync {options.fsync}",
        "",
        "| what | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        *(f"- {problem}" for problem in account.problems[:20]),
        *(f"- given up: {why}" for why in account.given_up[:5]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def cost_rows(costs: Costs) -> list[tuple[str, str]]:
    """Return the rows of the cost of durability, as the servers measured it: per step and per input."""
    ticks = costs.total("tussle_ticks_total")
    if not ticks:
        return [("cost of durability", "no step was measured")]
    solver = costs.total("tussle_tick_seconds_sum") / max(1.0, costs.total("tussle_tick_seconds_count"))
    journal = costs.total("tussle_journal_seconds_sum") / ticks
    checkpoint = costs.total("tussle_checkpoint_seconds_sum") / ticks
    count = costs.total("tussle_journal_seconds_count")
    return [
        ("a step: period / solver", f"{STEP_S * 1e3:.1f} / {solver * 1e3:.2f} ms, over {ticks:.0f} steps"),
        ("journal, per step", f"{journal * 1e3:.3f} ms, {journal / STEP_S:.1%} of the period"),
        (
            "checkpoints with contact check and archive, per step",
            f"{checkpoint * 1e3:.3f} ms, {checkpoint / STEP_S:.1%} of the period",
        ),
        ("both together", f"{(journal + checkpoint) / STEP_S:.1%} of a step's period"),
        (
            "added to an input by the journal, p50",
            f"{costs.p50('tussle_journal_seconds') * 1e3:.2f} ms, of {count:.0f}",
        ),
    ]


def spread(seconds: list[float]) -> str:
    """Format count, median, p95 (of at least 20 values) and maximum."""
    if not seconds:
        return "none"
    p95 = f"p95 {percentile(seconds, 0.95):.2f} s" if len(seconds) >= 20 else "too few for a p95"
    return f"{len(seconds)}; median {statistics.median(seconds):.2f} s, {p95}, most {max(seconds):.2f} s"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--duels", type=int, default=4)
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fsync", choices=["always", "everysec"], default="always")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--store", action="store_true", help="also kill the store, half way through")
    kinds.add_argument("--holders", action="store_true", help="only kill servers: measure the recovery")
    kinds.add_argument("--calm", action="store_true", help="kill nothing: measure the cost of durability")
    parser.add_argument("--write", action="store_true", help="write the table beside this program")
    options = parser.parse_args()
    return asyncio.run(run(options))


if __name__ == "__main__":
    sys.exit(main())
