"""The cost of the gateway and the capacity of a server, with real clients over real sockets.

    python -m bench.load peers     CPU per delivered message, compared with Colyseus if it is installed
    python -m bench.load ladder    the gateway: sessions x clients until the p99 of input to frame passes 50 ms; memory
    python -m bench.load whole     whole servers with store and solvers: duels x observers until the same limit
    python -m bench.load soak      ten minutes of clients that connect, act and leave; the slope of the server's memory

The server that is measured runs alone in its process (bench/load/gateway.py: the real gateway, validation and metrics
on, synthetic sessions; bench/load/whole.py: `python -m server`); the clients run in another (bench/load/clients.py),
the same for every server. CPU is user and system time of the server's process, all threads. Peers alternate, so that
other load affects all of them. Colyseus: `npm install` in a copy of bench/load/colyseus, then --colyseus FOLDER.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from bench.load import whole as load_whole
from bench.load.driving import LIMIT_MS, RESULTS, driven, say
from bench.load.plot import plot
from bench.machine import machine, resident_bytes, user_and_kernel_s
from tussle.lobby.store.embedded import free_port
from tussle.lobby.wire.delta_layout import CODEC

FRAME_BYTES = 600
FRAME_HZ = 30.0
INPUT_HZ = 10.0
TARGETS = (0.75, 0.78)
"""Targets: CPU per delivered message relative to Colyseus, for broadcast only and with inputs."""
RUNGS = (1, 10, 20, 40, 60, 80, 100, 120, 150, 180, 220)
SLOPE_MIB = 0.1
"""Growth per minute that counts as allocator noise; a leak of 1 KiB per connection would be 1.2."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One measurement. cpu_us: server CPU per delivered frame [us]; kernel_us: the part of it in system calls."""

    cpu_us: float
    kernel_us: float
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
    kind: str, sessions: int, seats: int, folder: Path | None, *, own: bool = False
) -> AsyncIterator[tuple[int, int]]:
    """Run a server under test; yield its process id and port. It is killed at the end."""
    port = free_port()
    wanted = {
        "PORT": port,
        "ROOMS": sessions,
        "SEATS": seats,
        "HZ": FRAME_HZ,
        "FRAME": FRAME_BYTES,
        "OWN": int(own),
    }
    environ = {**os.environ, **{name: str(value) for name, value in wanted.items()}, "NODE_ENV": "production"}
    command = (
        [
            sys.executable,
            "-m",
            "bench.load.gateway",
            *(str(n) for n in (port, sessions, seats, FRAME_HZ, FRAME_BYTES, int(own))),
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
    kind: str,
    *,
    sessions: int,
    seats: int,
    input_hz: float,
    seconds: float,
    folder: Path | None = None,
    own: bool = False,
) -> Seen:
    async with running(kind, sessions, seats, folder, own=own) as (pid, port):
        empty = resident_bytes(pid)
        job = {"kind": kind, "port": port, "sessions": sessions, "seats": seats, "input_hz": input_hz}
        job |= {"codec": CODEC if own else ""}
        async with driven({**job, "seconds": seconds}) as reading:
            began = user_and_kernel_s(pid)
            seen = await reading()
            user, kernel = (now - then for now, then in zip(user_and_kernel_s(pid), began, strict=True))
            full = resident_bytes(pid)
    waits = sorted(seen["latencies"])
    frames = max(1, seen["frames"])
    return Seen(
        cpu_us=(user + kernel) / frames * 1e6, kernel_us=kernel / frames * 1e6,
        core=(user + kernel) / seen["seconds"],
        frames_per_s=seen["frames"] / seen["seconds"], inputs_per_s=seen["inputs"] / seen["seconds"],
        p50_ms=waits[len(waits) // 2] / 1000 if waits else 0.0,
        p99_ms=waits[int(len(waits) * 0.99)] / 1000 if waits else 0.0,
        lost=seen["lost"] + seen["closed"], bytes_before=empty, bytes_after=full,
    )  # fmt: skip


async def peers(options: argparse.Namespace) -> str:
    """Measure both workloads, each server several times, alternating."""
    kinds = ["tussle"]
    if options.colyseus and shutil.which("node"):
        kinds.append("colyseus")
    else:
        say("!! Colyseus is NOT measured: needs node and --colyseus FOLDER")
    rows, parts = [], {kind: [0.0, 0.0] for kind in kinds}
    workloads = (
        ("broadcast only", 0.0, False),
        ("inputs at 10 Hz, no echoes", INPUT_HZ, False),
        ("each one's own frames of 4 moving bodies", 0.0, True),
    )
    for label, input_hz, own in workloads:
        seen: dict[str, list[Seen]] = {kind: [] for kind in kinds}
        for turn in range(options.turns):
            for kind in kinds if turn % 2 == 0 else reversed(kinds):
                one = await measure(
                    kind, sessions=40, seats=10, input_hz=input_hz, seconds=options.seconds,
                    folder=options.colyseus if kind == "colyseus" else None, own=own,
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
            elif not own:
                parts[kind][0] = statistics.median(costs)
            ratio = ""
            if len(kinds) > 1:
                pairs = zip(seen[kind], seen["colyseus"], strict=True)
                share = statistics.median(one.cpu_us / other.cpu_us for one, other in pairs)
                ratio = f"{share:.2f}"
                if kind == "tussle" and not own:
                    target = TARGETS[input_hz > 0]
                    ratio += f" ({'reached' if share <= target else 'NOT reached'}: {target})"
            rows.append(
                f"| {label} | {kind} | {statistics.median(costs):.1f} | {min(costs):.1f} - {max(costs):.1f} | "
                f"{statistics.median(one.kernel_us for one in seen[kind]):.1f} | {ratio} | "
                f"{statistics.median(one.p99_ms for one in seen[kind]):.1f} | {seen[kind][0].frames_per_s:.0f} |"
            )
    return "\n".join(
        [
            f"40 sessions x 10 clients, a frame of {FRAME_BYTES} bytes to each at {FRAME_HZ:g} Hz; "
            f"{options.turns} turns of {options.seconds:g} s each. {await versions(options.colyseus)}",
            "Sessions begin at times spread over the period: a timer for each room of Colyseus, "
            "server/sessions/pace.py for Tussle, which lets sessions that begin within 4 ms step together.",
            "Own frames are encoded in the measured process; in a server of Tussle a solver process does it.",
            "",
            "| workload | server | CPU per delivered message [us], median | range | of it in the kernel | "
            "ratio to Colyseus, median of turns | p99 input to frame [ms] | frames/s |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            "The cost of a frame, of an input, and of both at the full 12,000 frames and 4,000 inputs a second"
            " (a machine that is busy with other work delivers fewer frames for the same inputs):",
            "",
            "| server | one frame [us] | one input [us] | both, per frame [us] |",
            "|---|---|---|---|",
            *(f"| {kind} | {a:.1f} | {b:.1f} | {a + b / 3:.1f} |" for kind, (a, b) in parts.items()),
        ]
    )


async def versions(folder: Path | None) -> str:
    """Return the versions of Node and Colyseus."""
    if folder is None or shutil.which("node") is None:
        return ""
    asked = await asyncio.create_subprocess_exec("node", "--version", stdout=asyncio.subprocess.PIPE)
    node, _ = await asked.communicate()
    package = json.loads((folder / "node_modules" / "@colyseus" / "core" / "package.json").read_text())
    return f"Colyseus {package['version']} on Node {node.decode().strip()}."


async def ladder(options: argparse.Namespace) -> str:
    """Measure increasing numbers of sessions of ten clients, until the p99 exceeds its limit."""
    rows, late, middle = [], [], []
    first: Seen | None = None
    for sessions in RUNGS:
        one = await measure("tussle", sessions=sessions, seats=10, input_hz=INPUT_HZ, seconds=options.seconds)
        first = first or one
        each = (one.bytes_after - one.bytes_before) / sessions / 10 / 1024
        session = (one.bytes_before - first.bytes_before) / max(1, sessions - RUNGS[0]) / 1024
        rows.append(
            f"| {sessions} | {sessions * 10} | {one.frames_per_s:.0f} | {one.inputs_per_s:.0f} | {one.core:.2f} | "
            f"{one.cpu_us:.1f} | {one.p50_ms:.1f} | {one.p99_ms:.1f} | {session:.0f} | {each:.0f} | {one.lost} |"
        )
        middle.append((sessions * 10.0, one.p50_ms))
        late.append((sessions * 10.0, one.p99_ms))
        say(rows[-1])
        if one.p99_ms > LIMIT_MS:
            break
    if options.save:
        plot(
            RESULTS / "ladder.svg", title="The gateway: input to the first frame that shows it", across="clients",
            up="ms", lines={"p99": late, "p50": middle}, limit=LIMIT_MS,
        )  # fmt: skip
    return "\n".join(
        [
            f"Sessions of ten clients, each with {INPUT_HZ:g} inputs a second and {FRAME_HZ:g} frames; the frames of a "
            "session come every 33 ms, so that an input waits 17 ms in the mean whatever the server does.",
            "",
            "| sessions | clients | frames/s | inputs/s | cores | CPU per frame [us] | "
            "p50 [ms] | p99 [ms] | memory per session [KiB] | per connection [KiB] | lost |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            "Memory per session is that of its audience and core only, empty, less the first rung's; "
            "bench/load/whole.md has the memory of a session of a whole server.",
        ]
    )


async def whole(options: argparse.Namespace) -> str:
    """Measure whole servers with increasing numbers of duels, until the p99 exceeds its limit."""
    return await load_whole.ladder(options)


async def soak(options: argparse.Namespace) -> str:
    """Connect, act and disconnect repeatedly against one server, whose memory must not grow."""
    seats, sessions = 10, 20
    rows: list[tuple[float, float, int]] = []
    async with running("tussle", sessions, seats, None) as (pid, port):
        job = {"kind": "tussle", "port": port, "sessions": sessions, "seats": seats, "input_hz": INPUT_HZ}
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < options.minutes * 60:
            async with driven({**job, "seconds": 8.0}) as reading:
                seen = await reading()
            rows.append((loop.time() - began, resident_bytes(pid) / 2**20, seen["lost"] + seen["closed"]))
            say(f"{rows[-1][0]:.0f} s: {rows[-1][1]:.1f} MiB, lost {rows[-1][2]}")
    settled = rows[len(rows) // 4 :]
    slope, _ = statistics.linear_regression(
        [at / 60 for at, _, _ in settled], [size for _, size, _ in settled]
    )
    grown = slope * 1024 * settled[-1][0] / 60 / len(rows) / sessions / seats
    lost = sum(lost for _, _, lost in rows)
    flat = "flat" if abs(slope) < SLOPE_MIB else "NOT FLAT"
    if options.save:
        plot(
            RESULTS / "soak.svg", title="Memory of the gateway while connections come and go", across="minutes",
            up="MiB", lines={"resident": [(at / 60, size) for at, size, _ in rows]},
        )  # fmt: skip
    table = [f"| {at:.0f} | {size:.1f} | {lost} |" for at, size, lost in rows[:: max(1, len(rows) // 12)]]
    return "\n".join(
        [
            f"{len(rows)} rounds of {sessions * seats} connections that open, "
            f"send {INPUT_HZ:g} inputs a second each, and are aborted.",
            f"Resident memory after the first quarter: {slope * 1024:+.0f} KiB a minute (least squares), "
            f"{grown * 1024:+.0f} B for each connection that came and went. "
            f"Less than {SLOPE_MIB * 1024:.0f} KiB a minute counts as flat: {flat}. Lost: {lost}.",
            "", "| s | MiB | lost while it ran |", "|---|---|---|", *table,
        ]
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("peers", "ladder", "whole", "soak"))
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--colyseus", type=Path, help="a copy of bench/load/colyseus with its packages installed"
    )
    parser.add_argument("--save", action="store_true", help="write the table beside this program")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    text = asyncio.run(
        {"peers": peers, "ladder": ladder, "whole": whole, "soak": soak}[options.what](options)
    )
    where = f"{machine()}; load average {before:.1f} before and {os.getloadavg()[0]:.1f} at the end."
    text = f"# bench/load {options.what}\n\n{where}\n\n{text}\n"
    sys.stdout.write(text)
    if options.save:
        (RESULTS / f"{options.what}.md").write_text(text)


if __name__ == "__main__":
    main()
