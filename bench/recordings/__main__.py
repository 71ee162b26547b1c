"""``python -m bench.recordings [--write]``: reading recordings from a real server on loopback, and their size.

    duel       10,000 frames of four bodies with all fields, npz and msgpack, warm; target <= 100 ms
    elastic    a gigabyte of vertices as npy, identity encoding: MB a second (target >= 200), the largest memory of
               server and reader while it is read, and from input to frame in a duel on the same server meanwhile
               (target p99 < 50 ms)

    picture    from the address of a replay to its first picture in a browser; target < 1 s
    sizes      bytes of a duel of bots and of 1000 elastic vertices for a simulated second; targets 3 kB, 120 kB

The reader is a process of its own, on the same cores. ``tussle.recording`` goes through the same gigabyte in blocks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.machine import loaded_machine
from bench.recordings.first_picture import first_picture_rows
from bench.recordings.sizes import TOKEN, size_rows, write_duel_of_bots
from bench.session.__main__ import Measured, Row, one_duel, print_rows
from tests.server.recordings.frames import frames, topology
from tests.support.http import http_client
from tests.support.stack import Stack
from tussle.lobby.settings import Settings
from tussle.lobby.store.embedded import EmbeddedStore
from tussle.lobby.wire.frames import Topology, TopologyBody
from tussle.server.recordings.stacking import GRID_M
from tussle.server.recordings.zarr_frames import ZarrFrames

RESULTS = Path(__file__).parent / "results.md"

DUEL, ELASTIC = "22222222", "33333333"
FRAMES = 10_000
VERTICES = 2048
BLOCK = 512
"""Frames that are made at once."""

TIMES = 7

INPUTS = 100
"""Inputs beside the download, in one duel after the other: about five minutes."""

READER = """
import json, resource, socket, sys, time
host, port, path, token, how = sys.argv[1:]
began, size = time.perf_counter(), 0
if how == "socket":
    raw = socket.create_connection((host, int(port)))
    raw.sendall(f"GET {path} HTTP/1.1\\r\\nhost: {host}\\r\\nconnection: close\\r\\n\\r\\n".encode())
    buffer = bytearray(2**20)
    while count := raw.recv_into(buffer):
        size += count
else:
    import tussle
    with tussle.recording(token, f"http://{host}:{port}") as rec:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for clip in rec.blocks("rows"):
            size += clip.rows.nbytes
    sys.stderr.write(str(before))
print(json.dumps([size, time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def write_duel(folder: Path) -> None:
    store = ZarrFrames.create(str(folder / f"{DUEL}.zarr"), {"session": DUEL, "mode": "duel"}, seats=2)
    scene = topology(*["affine"] * 4)
    for first in range(0, FRAMES, 1000):
        store.append(frames(2 * first, 1000, rows=16, bodies=4), None if first else scene)
    store.close()


def write_elastic(folder: Path, gigabytes: float) -> None:
    """Vertices that swing, each on its own, rounded as the recorder rounds them."""
    store = ZarrFrames.create(str(folder / f"{ELASTIC}.zarr"), {"session": ELASTIC})
    rng = np.random.default_rng(1)
    rest = rng.normal(size=(VERTICES, 3)).astype(np.float32)
    body = TopologyBody("b0", "elastic", rest, np.array([[0, 1, 2]], np.uint32))
    phase = rng.random((VERTICES, 3)).astype(np.float32)
    count = int(gigabytes * 1e9 / (12 * VERTICES))
    for first in range(0, count, BLOCK):
        tick = np.arange(first, min(first + BLOCK, count))
        swing = np.sin(0.05 * tick[:, None, None].astype(np.float32) + 6 * phase)
        zeros = np.zeros(len(tick))
        store.append(
            {
                "tick": tick, "time": tick / 60, "min_distance": zeros, "energy": zeros,
                "contacts": zeros.astype(int), "iterations": zeros.astype(int),
                "active": np.ones((len(tick), 1), bool),
                "rows": np.rint((rest + 0.1 * swing) / GRID_M) * GRID_M,
            },
            None if first else Topology((body,)),
        )  # fmt: skip
    store.close()


async def duel_frames(url: str) -> list[Row]:
    rows: list[Row] = []
    async with http_client(url, headers={"accept-encoding": "identity"}) as http:
        for form in ("npz", "msgpack"):
            times = []
            for _ in range(TIMES):
                began = time.perf_counter()
                answer = await http.get(f"/api/recordings/{DUEL}/frames?format={form}")
                times.append(time.perf_counter() - began)
                assert answer.status_code == 200
            best, middle = 1e3 * min(times), 1e3 * statistics.median(times)
            size = len(answer.content) / 1e6
            rows.append(
                (
                    f"{FRAMES} frames of a duel, {form}, all fields",
                    f"{middle:.0f} ms (fastest {best:.0f})",
                    f"{size:.1f} MB; target <= 100 ms",
                )
            )
    return rows


def peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


async def read(url: str, how: str) -> tuple[float, float, float]:
    """Megabytes a second, and the reader's largest memory: before it read, and at all [MB]."""
    host, port = url.removeprefix("http://").split(":")
    path = f"/api/recordings/{ELASTIC}/frames?data=rows&format=npy"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", READER, host, port, path, ELASTIC, how],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    size, seconds, memory = json.loads(done.stdout)
    return size / seconds / 1e6, float(done.stderr or 0) / 1024, memory


async def play_duels(url: str, measured: Measured) -> None:
    """Play one duel after the other until there are INPUTS."""
    seed = 1
    while len(measured.latencies) < INPUTS:
        await one_duel(url, measured, seed)
        seed += 1


async def elastic_frames(stack: Stack) -> list[Row]:
    server = stack.servers[0]
    before = peak_mb(server.pid)
    speeds = [(await read(server.url, "socket"))[0] for _ in range(3)]
    grown = peak_mb(server.pid) - before
    blocks, start, most = await read(server.url, "tussle")
    measured = Measured()
    playing = asyncio.create_task(play_duels(server.url, measured))
    beside = []
    while not playing.done():
        beside.append((await read(server.url, "socket"))[0])
    await playing
    return [
        (
            "a gigabyte of an elastic recording, npy, identity",
            f"{statistics.median(speeds):.0f} MB/s",
            "median of 3; target >= 200",
        ),
        ("... memory of the server", f"+{grown:.0f} MB", "largest, over that before; target <= 64"),
        (
            "... in blocks by tussle.recording", f"{blocks:.0f} MB/s",
            f"the reader needs +{most - start:.0f} MB; target <= 64",
        ),
        (
            "... with a duel on the same server", f"{statistics.median(beside):.0f} MB/s",
            f"input to frame p50 {measured.percentile_ms(0.5):.0f} ms, p99 {measured.percentile_ms(0.99):.0f} ms of"
            f" {len(measured.latencies)}; target p99 < 50",
        ),
    ]  # fmt: skip


async def run(gigabytes: float) -> list[Row]:
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="tussle-bench-")))
        store = held.enter_context(EmbeddedStore(Settings(data_dir=folder)))
        recordings = folder / "recordings"
        write_duel(recordings)
        write_elastic(recordings, gigabytes)
        await asyncio.to_thread(write_duel_of_bots, recordings)
        environment = {"RECORDINGS_URL": str(recordings), "RECORDING_RATE": "1e9"}
        async with Stack.up(store.url, "bench", **environment) as stack:
            await stack.server()
            rows = await duel_frames(stack.url) + await elastic_frames(stack)
            return rows + await asyncio.to_thread(first_picture_rows, stack.url, TOKEN)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--write", action="store_true", help="write results.md")
    arguments = parser.parse_args()
    about = loaded_machine()
    rows = print_rows(asyncio.run(run(arguments.gigabytes)) + size_rows())
    if arguments.write:
        table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        RESULTS.write_text(
            "# Recordings: reading over HTTP, the first picture, size\n\n"
            f"`python -m bench.recordings --write` on {about}.\n\n"
            f"| what | result | remarks |\n|---|---|---|\n{table}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
