"""What the gateway costs, and how much a server carries: real clients over real sockets.

    python bench/load.py peers     CPU per delivered message, beside Colyseus where Node and its packages are
    python bench/load.py ladder    sessions x clients until the p99 of input to frame passes 50 ms; memory of each
    python bench/load.py soak      ten minutes of members who come, act and go; memory at the end and at the start

The server that is measured runs alone in its process (bench/load_gateway.py: the real gateway, validation and metrics
on, synthetic sessions); the clients run in another (bench/load_clients.py), the same for every server. CPU is user and
system time of the server's process, all threads. Peers alternate, so that a busy machine is busy for all of them.
Colyseus: `npm install` in a copy of bench/colyseus, then --colyseus FOLDER.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
FRAME_BYTES = 600
FRAME_HZ = 30.0
INPUT_HZ = 10.0
LIMIT_MS = 50.0
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(pid: int) -> float:
    """User and system time of a process, all threads [s]."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def memory(pid: int) -> int:
    """Resident memory [B]."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Seen:
    """One measurement. cpu_us: server CPU per delivered frame [us]."""

    cpu_us: float
    core: float
    frames_per_s: float
    inputs_per_s: float
    p50_ms: float
    p99_ms: float
    lost: int
    bytes_before: int
    bytes_after: int


@contextlib.asynccontextmanager
async def running(
    kind: str, sessions: int, seats: int, folder: Path | None
) -> AsyncIterator[tuple[int, int]]:
    """A server under test: its process id and port. It is killed in the end."""
    port = free_port()
    wanted = {"PORT": port, "ROOMS": sessions, "SEATS": seats, "HZ": FRAME_HZ, "FRAME": FRAME_BYTES}
    environ = {**os.environ, **{name: str(value) for name, value in wanted.items()}, "NODE_ENV": "production"}
    command = (
        [
            sys.executable,
            str(HERE / "load_gateway.py"),
            *(str(n) for n in (port, sessions, seats, FRAME_HZ, FRAME_BYTES)),
        ]
        if kind == "tussle"
        else ["node", "server.mjs"]
    )
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environ, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            while (line := await process.stdout.readline()).strip() != b"ready":
                assert line, f"{kind} did not start"
        yield process.pid, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def measure(
    kind: str, *, sessions: int, seats: int, input_hz: float, seconds: float, folder: Path | None = None
) -> Seen:
    async with running(kind, sessions, seats, folder) as (pid, port):
        empty = memory(pid)
        clients = await asyncio.create_subprocess_exec(
            sys.executable, str(HERE / "load_clients.py"),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**27,
        )  # fmt: skip
        assert clients.stdin is not None and clients.stdout is not None
        try:
            job = {
                "kind": kind,
                "port": port,
                "sessions": sessions,
                "seats": seats,
                "input_hz": input_hz,
                "seconds": seconds,
            }
            async with asyncio.timeout(60 + seconds):
                for said, heard in ((json.dumps(job), b"ready\n"), ("go", b"warm\n")):
                    clients.stdin.write(said.encode() + b"\n")
                    assert await clients.stdout.readline() == heard
                began = cpu_s(pid)
                seen: dict[str, Any] = json.loads(await clients.stdout.readline())
                spent = cpu_s(pid) - began
            full = memory(pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                clients.kill()
            await clients.wait()
    waits = sorted(seen["latencies"])
    return Seen(
        cpu_us=spent / max(1, seen["frames"]) * 1e6, core=spent / seen["seconds"],
        frames_per_s=seen["frames"] / seen["seconds"], inputs_per_s=seen["inputs"] / seen["seconds"],
        p50_ms=waits[len(waits) // 2] / 1000 if waits else 0.0,
        p99_ms=waits[int(len(waits) * 0.99)] / 1000 if waits else 0.0,
        lost=seen["lost"] + seen["closed"], bytes_before=empty, bytes_after=full,
    )  # fmt: skip


async def peers(options: argparse.Namespace) -> str:
    """Both workloads of the design, each server several times, in turns."""
    kinds = ["tussle"]
    if options.colyseus and shutil.which("node"):
        kinds.append("colyseus")
    else:
        say("!! Colyseus is NOT measured: needs node and --colyseus FOLDER")
    rows, parts = [], {kind: [0.0, 0.0] for kind in kinds}
    for label, input_hz in (("broadcast only", 0.0), ("inputs at 10 Hz, no echoes", INPUT_HZ)):
        seen: dict[str, list[Seen]] = {kind: [] for kind in kinds}
        for turn in range(options.turns):
            for kind in kinds if turn % 2 == 0 else reversed(kinds):
                one = await measure(
                    kind, sessions=40, seats=10, input_hz=input_hz, seconds=options.seconds,
                    folder=options.colyseus if kind == "colyseus" else None,
                )  # fmt: skip
                seen[kind].append(one)
                say(
                    f"{label}: {kind} {one.cpu_us:.1f} us, p99 {one.p99_ms:.1f} ms, "
                    f"{one.frames_per_s:.0f} frames/s, lost {one.lost}"
                )
        for kind in kinds:
            costs = [one.cpu_us for one in seen[kind]]
            if input_hz:
                frame_us = parts[kind][0]
                parts[kind][1] = statistics.median(
                    (one.core * 1e6 - frame_us * one.frames_per_s) / one.inputs_per_s for one in seen[kind]
                )
            else:
                parts[kind][0] = statistics.median(costs)
            ratios = [
                one.cpu_us / other.cpu_us for one, other in zip(seen[kind], seen[kinds[-1]], strict=True)
            ]
            ratio = f"{statistics.median(ratios):.2f}" if len(kinds) > 1 else ""
            rows.append(
                f"| {label} | {kind} | {statistics.median(costs):.1f} | {min(costs):.1f} - {max(costs):.1f} | "
                f"{ratio} | "
                f"{statistics.median(one.p99_ms for one in seen[kind]):.1f} | {seen[kind][0].frames_per_s:.0f} |"
            )
    return "\n".join(
        [
            f"40 sessions x 10 clients, a frame of {FRAME_BYTES} bytes to each at {FRAME_HZ:g} Hz; "
            f"{options.turns} turns of {options.seconds:g} s each.",
            "",
            "| workload | server | CPU per delivered message [us], median | range | "
            "ratio to Colyseus, median of turns | p99 input to frame [ms] | frames/s |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            "What costs it: a frame and an input, and both at the full 12,000 frames and 4,000 inputs a second"
            " (a machine that is busy with other work delivers fewer frames for the same inputs):",
            "",
            "| server | one frame [us] | one input [us] | both, per frame [us] |",
            "|---|---|---|---|",
            *(f"| {kind} | {a:.1f} | {b:.1f} | {a + b / 3:.1f} |" for kind, (a, b) in parts.items()),
        ]
    )


async def ladder(options: argparse.Namespace) -> str:
    """More and more sessions of ten, until the answer is late."""
    rows = []
    for sessions in (1, 10, 20, 40, 60, 80, 100, 120, 150):
        one = await measure("tussle", sessions=sessions, seats=10, input_hz=INPUT_HZ, seconds=options.seconds)
        each = (one.bytes_after - one.bytes_before) / sessions / 10 / 1024
        rows.append(
            f"| {sessions} | {sessions * 10} | {one.frames_per_s:.0f} | {one.inputs_per_s:.0f} | {one.core:.2f} | "
            f"{one.cpu_us:.1f} | {one.p50_ms:.1f} | {one.p99_ms:.1f} | {each:.0f} | {one.lost} |"
        )
        say(rows[-1])
        if one.p99_ms > LIMIT_MS:
            break
    return "\n".join(
        [
            "| sessions | clients | frames/s | inputs/s | cores | CPU per frame [us] | "
            "p50 [ms] | p99 [ms] | memory per connection [KiB] | lost |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *rows,
        ]
    )


async def soak(options: argparse.Namespace) -> str:
    """Clients come, act and go, again and again, against one server; its memory must not grow."""
    rows, seats, sessions = [], 10, 20
    async with running("tussle", sessions, seats, None) as (pid, port):
        job = {
            "kind": "tussle",
            "port": port,
            "sessions": sessions,
            "seats": seats,
            "input_hz": INPUT_HZ,
            "seconds": 8.0,
        }
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < options.minutes * 60:
            clients = await asyncio.create_subprocess_exec(
                sys.executable, str(HERE / "load_clients.py"),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**27,
            )  # fmt: skip
            assert clients.stdin is not None and clients.stdout is not None
            try:
                async with asyncio.timeout(60):
                    for said, heard in ((json.dumps(job), b"ready\n"), ("go", b"warm\n")):
                        clients.stdin.write(said.encode() + b"\n")
                        assert await clients.stdout.readline() == heard
                    seen = json.loads(await clients.stdout.readline())
            finally:
                with contextlib.suppress(ProcessLookupError):
                    clients.kill()
                await clients.wait()
            rows.append((loop.time() - began, memory(pid) / 2**20, seen["lost"] + seen["closed"]))
            say(f"{rows[-1][0]:.0f} s: {rows[-1][1]:.1f} MiB, lost {rows[-1][2]}")
    quarter = max(1, len(rows) // 4)
    early = statistics.mean(size for _, size, _ in rows[quarter : 2 * quarter] or rows)
    late = statistics.mean(size for _, size, _ in rows[-quarter:])
    table = [f"| {at:.0f} | {size:.1f} | {lost} |" for at, size, lost in rows[:: max(1, len(rows) // 12)]]
    return "\n".join(
        [
            f"{len(rows)} rounds of {sessions * seats} connections that come, "
            f"send {INPUT_HZ:g} inputs a second each, and go without a word.",
            f"Resident memory: {early:.1f} MiB in the second quarter, "
            f"{late:.1f} MiB in the last: {late - early:+.1f} MiB.",
            "", "| s | MiB | lost while it ran |", "|---|---|---|", *table,
        ]
    )  # fmt: skip


def say(line: str) -> None:
    sys.stderr.write(line + "\n")


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(named, platform.processor())
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("peers", "ladder", "soak"))
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--colyseus", type=Path, help="a copy of bench/colyseus with its packages installed")
    parser.add_argument("--save", action="store_true", help="write bench/results/load-WHAT.md")
    options = parser.parse_args()
    text = asyncio.run({"peers": peers, "ladder": ladder, "soak": soak}[options.what](options))
    where = f"{machine()}; load average {os.getloadavg()[0]:.1f} at the end."
    text = f"# bench/load.py {options.what}\n\n{where}\n\n{text}\n"
    sys.stdout.write(text)
    if options.save:
        (RESULTS / f"load-{options.what}.md").write_text(text)


if __name__ == "__main__":
    main()
