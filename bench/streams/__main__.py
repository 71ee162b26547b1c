"""``python -m bench.streams [--write]``: the data streams, measured over loopback on a separate store.

    steps per second    the spring-damper's two worker processes, compared with a naive loop of two processes that
                        XREAD, compute and XADD without group, acknowledgement or recovery
    storage             telemetry readings published at a fixed rate, stored as Parquet by one worker; the lag of a row
                        is the time from its timestamp to the write of its file (in the file's footer)
    bridge              bytes of a frame in the older wire format, compared with Tussle's

Prints a table and, with --write, writes bench/streams/results.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bench.machine import machine
from tests.support.stack import Stack
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore, find_binary
from tussle.lobby.store.store import Store
from tussle.lobby.wire.frames import Frame, Topology, TopologyBody, encode_frame
from tussle.worker.bridge import encode_update, world_points

RESULTS = Path(__file__).parent / "results.md"
ROUNDS = 3

NAIVE = """
import json, sys, redis
role, url, source, sink, cycles = sys.argv[1:6]
store, last, d, h, n = redis.Redis.from_url(url, decode_responses=True), "0-0", 0.02, 0.1, 0
print("ready", flush=True)
while n < int(cycles):
    for _, rows in store.xread({source: last}, block=1000):
        for last, fields in rows:
            before = json.loads(fields["out"])
            if role == "velocity":
                after = dict(before, v=before["v"] + h * (-before["x"] - d * before["v"]), t=before["t"] + h)
            else:
                after = dict(before, x=before["x"] + h * before["v"])
            if n < int(cycles):
                store.xadd(sink, {"name": fields["name"], "in": json.dumps(before), "out": json.dumps(after)})
            n += 1
"""


async def until(store: Store, stream: str, count: int) -> float:
    """Wait with XREAD until the stream has ``count`` entries; return the time on this process's clock [s]."""
    seen, last = 0, "0-0"
    while seen < count:
        reply = await store.call("XREAD", "BLOCK", 2000, "COUNT", 10_000, "STREAMS", stream, last)
        for last, _ in reply[0][1] if reply else []:  # noqa: B007
            seen += 1
    return time.perf_counter()


def trigger(x: float = 0.0) -> tuple[str, ...]:
    state = json.dumps({"x": x, "v": 1.0, "t": 0.0})
    return ("*", "name", "bench", "in", state, "out", state)


async def ours(url: str, realm: str, cycles: int, runs: int) -> float:
    """Measure whole steps per second of the two workers, both started before the trigger."""
    store = await Store.connect(url, realm)
    stack = Stack.up(url, realm, SPRING_CYCLES=str(cycles), LOG_LEVEL="warning")
    try:
        for name in ("velocity", "position"):
            await stack.worker(name)
        for stream in (store.keys.positions, store.keys.velocities):
            while not (  # noqa: ASYNC110
                await store.call("EXISTS", stream) and await store.call("XINFO", "GROUPS", stream)
            ):
                await asyncio.sleep(0.02)
        began = time.perf_counter()
        await store.batch([("XADD", store.keys.positions, *trigger()) for _ in range(runs)])
        ended = await until(store, store.keys.positions, runs * (cycles + 1))
    finally:
        await stack.close()
        await store.close()
    return runs * cycles / (ended - began)


async def naive(url: str, realm: str, cycles: int) -> float:
    """Measure the same without groups, acknowledgements and recovery."""
    store = await Store.connect(url, realm)
    keys = store.keys
    roles = [("velocity", keys.positions, keys.velocities), ("position", keys.velocities, keys.positions)]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", NAIVE, role, url, source, sink, str(cycles), stdout=subprocess.PIPE
        )
        for role, source, sink in roles
    ]
    for process in processes:
        assert process.stdout is not None
        await process.stdout.readline()
    began = time.perf_counter()
    await store.call("XADD", keys.positions, *trigger())
    ended = await until(store, keys.positions, cycles + 1)
    for process in processes:
        process.terminate()
        await process.wait()
    await store.close()
    return cycles / (ended - began)


def lags_of(folder: Path) -> tuple[int, list[float]]:
    """Return the number of rows, and the lags [s] of rows whose file has not been merged."""
    rows, lags = 0, []
    for part in folder.rglob("*.parquet"):
        file = pq.ParquetFile(part)
        rows += file.metadata.num_rows
        if file.metadata.metadata.get(b"parts") is None:
            stored = int(file.schema_arrow.metadata[b"stored_at"]) / 1e9
            lags += list(stored - file.read(["timestamp"])["timestamp"].to_numpy().astype("int64") / 1e6)
    return rows, lags


async def storage(url: str, realm: str, rate: int, seconds: int, folder: Path) -> dict[str, float]:
    """Measure stored readings per second and their lag [s], for ``rate`` readings per second of ten sources."""
    store = await Store.connect(url, realm)
    stack = Stack.up(url, realm, STORAGE_URL=str(folder), LOG_LEVEL="warning")
    sources, sensors, hz = 10, 10, rate // 100
    names = [f"source-{i}" for i in range(sources)]
    readings = json.dumps({f"sensor-{i}": i * 1.5 for i in range(sensors)})
    try:
        for name in names:
            await store.call("HSET", store.keys.sources, name, "{}")
        await stack.worker("storage")
        while await store.call("HGET", store.keys.storage, "state") != "storing":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        began = due = time.perf_counter()
        for n in range(1, hz * seconds + 1):
            at = datetime.now(UTC).isoformat()
            await store.batch(
                [
                    ("XADD", store.keys.source(name), "*", "n", n, "timestamp", at, "readings", readings)
                    for name in names
                ]
            )
            due += 1 / hz
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        spent = time.perf_counter() - began
    finally:
        await stack.close()
        await store.close()
    rows, lags = lags_of(folder)
    assert rows == sources * sensors * hz * seconds, f"{rows} rows"
    lags.sort()
    return {
        "rate": rows / spent, "rows": rows, "measured": len(lags), "p50": lags[len(lags) // 2],
        "p99": lags[int(len(lags) * 0.99)], "max": lags[-1],
    }  # fmt: skip


def bridge() -> list[tuple[int, int, int, int]]:
    """Return (bodies, vertices, bytes of Tussle's format, bytes of the older one) of frames of rigid bodies."""
    rng = np.random.default_rng(1)
    found = []
    for bodies in (2, 6, 24):
        mesh = rng.normal(size=(96, 3)).astype(np.float32)  # as many vertices as a body of the catalogue
        topology = Topology(
            tuple(TopologyBody(f"b{i}", "affine", mesh, np.zeros((1, 3), np.uint32)) for i in range(bodies))
        )
        frame = Frame(
            tick=1, rows=rng.normal(size=(4 * bodies, 3)).astype(np.float32), active=np.ones(bodies, bool)
        )
        about = {
            "type": "update",
            "session": "k7qm2xpv",
            "tick": 1,
            "epoch": 1,
            "min_distance": 1e-3,
            "version": 0,
        }
        old = encode_update(about, {"points": world_points(topology, frame)})
        found.append((bodies, bodies * len(mesh), len(encode_frame(frame)), len(old)))
    return found


async def measure(cycles: int, seconds: int) -> str:
    lines = [
        "# The data streams, measured",
        "",
        f"`python -m bench.streams --write` on {machine()}, {datetime.now(UTC):%Y-%m-%d}; load average at the start "
        f"{os.getloadavg()[0]:.1f}. Everything on loopback, store with its append-only file (everysec).",
        "",
        "## Spring-damper: whole steps per second",
        "",
        "One step is two messages, one by each of two processes. Median of the rounds, in the order they were measured "
        "(naive, Tussle, naive, ...).",
        "",
        "| store | naive loop, 1 run | Tussle, 1 run | ratio | Tussle, 8 runs at once |",
        "|---|---|---|---|---|",
    ]
    binaries = [find_binary("")] + ([find_binary()] if shutil.which("redis-server") else [])
    for binary in binaries:
        with (
            tempfile.TemporaryDirectory() as data,
            EmbeddedStore(Settings(data_dir=Path(data)), binary=binary) as store,
        ):
            plain, sure, many = [], [], []
            for i in range(ROUNDS):
                plain.append(await naive(store.url, f"n{i}", cycles))
                sure.append(await ours(store.url, f"o{i}", cycles, 1))
                many.append(await ours(store.url, f"m{i}", cycles // 4, 8))
            a, b, c = statistics.median(plain), statistics.median(sure), statistics.median(many)
            lines.append(f"| {binary.kind} {binary.version} | {a:,.0f} | {b:,.0f} | {b / a:.2f} | {c:,.0f} |")
    lines += [
        "",
        "## Storage: one worker, Parquet",
        "",
        "Ten sources of ten sensors each; lag from a row's timestamp to its file written and synced.",
        "",
        "| readings/s | rows | lag p50 [s] | p99 | max | rows with a known lag |",
        "|---|---|---|---|---|---|",
    ]
    for rate in (1_000, 5_000):
        with (
            tempfile.TemporaryDirectory() as data,
            tempfile.TemporaryDirectory() as lake,
            EmbeddedStore(Settings(data_dir=Path(data)), binary=binaries[0]) as store,
        ):
            found = await storage(store.url, "s", rate, seconds, Path(lake))
            lines.append(
                f"| {found['rate']:,.0f} | {found['rows']:,.0f} | {found['p50']:.3f} | {found['p99']:.3f} | "
                f"{found['max']:.3f} | {found['measured']:,.0f} |"
            )
    lines += [
        "",
        "## Bridge: bytes of one frame",
        "",
        "Bodies of 96 vertices, random poses. The older format has every vertex, Tussle's has the pose.",
        "",
        "| bodies | vertices | Tussle | BSON + zlib + base64 | ratio |",
        "|---|---|---|---|---|",
        *(f"| {n} | {v} | {new} | {old} | {old / new:.1f} |" for n, v, new, old in bridge()),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.streams.__main__", description="Measure the data streams.")
    parser.add_argument("--cycles", type=int, default=2000, help="steps of one run")
    parser.add_argument("--seconds", type=int, default=20, help="of publishing, per rate")
    parser.add_argument("--write", action="store_true", help=f"also to {RESULTS.name}")
    asked = parser.parse_args()
    report = asyncio.run(measure(asked.cycles, asked.seconds))
    sys.stdout.write(report)
    if asked.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
