"""``python -m bench.start [--times 3] [--compose] [--write]``: how long until a new user plays.

    clone, no cache     git clone and ./run with an empty home folder, to the first turn of a duel; target: 80 s
    clone, warm cache   the same with the caches of pip (or uv) and npm of this user; target: 30 s
    warm                ./run again in that clone; target: 2.5 s
    --compose           docker compose up of built images, to the first turn; target: 20 s

The first turn is there when a running session says whose turn it is, polled every 20 ms. Numbers are medians;
the steps are those that the median run printed. CPU time is that of all processes until they have ended. Where pip is
configured to find packages in a folder of this machine, an empty cache downloads nothing, and the table says so.
Ends every process that it starts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.machine import loaded_machine
from tests.support.stack import ROOT
from tussle.lobby.store.embedded import free_port

RESULT = Path(__file__).parent / "results.md"
LIMIT_S = 300.0
COMPOSE = ("docker", "compose", "-p", "tussle-start", "-f", "compose/docker-compose.yml")


@dataclass(frozen=True)
class Start:
    """One start: wall and CPU time [s], and the steps that were printed."""

    seconds: float
    cpu: float
    steps: tuple[str, ...] = ()


async def first_turn(http: httpx.AsyncClient, url: str) -> None:
    """Wait until it is someone's turn in a session of the server. A proxy may answer before its server does."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = await http.get(f"{url}/api/sessions?status=running")
            if answer.status_code == 200 and any(
                view.get("turn_seat") is not None for view in answer.json()["sessions"]
            ):
                return
        await asyncio.sleep(0.02)


def children_cpu() -> float:
    """User and system time of all children that have ended [s]."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def start(folder: Path, home: Path, *, clone: bool) -> Start:
    """Time ``./run`` in the folder, which is cloned first if asked for; stop everything again."""
    port = free_port()
    ours = ("PYTHON", "NUMBA", "VIRTUAL_ENV", "DATA_DIR", "REDIS_URL")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    before, began = children_cpu(), time.monotonic()
    if clone:
        await asyncio.to_thread(subprocess.run, ["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    with tempfile.TemporaryFile("w+") as said:
        process = await asyncio.create_subprocess_exec(
            str(folder / "run"), "up", "--port", str(port), "--bots", "2",
            cwd=folder, env=environment | {"HOME": str(home)}, start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LIMIT_S), httpx.AsyncClient(trust_env=False) as http:
                turn = asyncio.create_task(first_turn(http, f"http://127.0.0.1:{port}"))
                ended = asyncio.create_task(process.wait())
                await asyncio.wait({turn, ended}, return_when=asyncio.FIRST_COMPLETED)
                seconds = time.monotonic() - began
                if turn.done():
                    turn.result()
                else:
                    turn.cancel()
                    said.seek(0)
                    raise RuntimeError(f"./run ended: {said.read()[-800:]}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            async with asyncio.timeout(60.0):
                await process.wait()
        said.seek(0)
        steps = tuple(re.findall(r"^  (\w[^:\n]*: \d+ s)$", said.read(), re.MULTILINE))
    return Start(seconds, children_cpu() - before, steps)


def median(starts: list[Start]) -> Start:
    """The start with the median time; of an even number the slower one of the middle."""
    return sorted(starts, key=lambda one: one.seconds)[len(starts) // 2]


async def clones(times: int, home: Path) -> tuple[Start, Start]:
    """The medians of first and of later starts, with the package caches of that home folder."""
    cold, warm = [], []
    for _ in range(times):
        with tempfile.TemporaryDirectory(prefix="tussle-start-") as folder:
            there = Path(folder) / "tussle"
            cold.append(await start(there, home, clone=True))
            warm += [await start(there, home, clone=False) for _ in range(times)]
    return median(cold), median(warm)


async def compose(times: int) -> float:
    """The median from ``docker compose up`` of images that are built to the first turn [s]."""
    with tempfile.TemporaryDirectory() as folder:
        env = Path(folder) / "env"
        port = free_port()
        make = [str(ROOT / "compose" / "make-env.sh"), str(env)]
        await asyncio.to_thread(subprocess.run, make, check=True, capture_output=True)
        command = [*COMPOSE, "--env-file", str(env)]
        environment = os.environ | {"HTTP_PORT": str(port), "PLAYER_COUNT": "2"}

        def run(*arguments: str) -> None:
            subprocess.run([*command, *arguments], cwd=ROOT, env=environment, check=True, capture_output=True)

        await asyncio.to_thread(run, "build")
        took = []
        for _ in range(times):
            began = time.monotonic()
            try:
                await asyncio.to_thread(run, "up", "-d", "--no-build")
                async with asyncio.timeout(LIMIT_S), httpx.AsyncClient(trust_env=False) as http:
                    await first_turn(http, f"http://127.0.0.1:{port}")
                took.append(time.monotonic() - began)
            finally:
                await asyncio.to_thread(run, "down", "-v", "--timeout", "20")
    return statistics.median(took)


def has_own_packages() -> bool:
    """Whether pip is configured to find packages on this machine."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    return "find-links" in said or "file://" in said


async def run(arguments: argparse.Namespace) -> list[str]:
    rows = []
    how = "uv" if shutil.which("uv") else "pip"
    with tempfile.TemporaryDirectory(prefix="tussle-home-") as home:
        empty, _ = await clones(arguments.times, Path(home))
    source = "packages from a folder of this machine" if has_own_packages() else "packages downloaded"
    rows.append(f"| clone to first turn, empty cache | {empty.seconds:.0f} s | 80 s | {how}, {source} |")
    cached, warm = await clones(arguments.times, Path.home())
    rows += [
        f"| clone to first turn, warm cache | {cached.seconds:.0f} s | 30 s | {cached.cpu:.0f} s of CPU |",
        *(f"| &nbsp; {step.rpartition(': ')[0]} | {step.rpartition(': ')[2]} | | |" for step in cached.steps),
        f"| warm start to first turn | {warm.seconds:.1f} s | 2.5 s | {warm.cpu:.1f} s of CPU |",
    ]
    if arguments.compose:
        rows.append(
            f"| compose from built images to first turn | {await compose(arguments.times):.0f} s | 20 s | |"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.start", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--times", type=int, default=3, help="starts of each kind; the median counts")
    parser.add_argument("--compose", action="store_true", help="also measure the stack; needs docker compose")
    parser.add_argument("--write", action="store_true", help="write results.md")
    arguments = parser.parse_args()
    where = loaded_machine()
    rows = asyncio.run(run(arguments))
    text = "\n".join(
        [
            "# From a clone to the first turn\n",
            f"`python -m bench.start --times {arguments.times}{' --compose' * arguments.compose}` on {where}\n",
            "| | median | target | |",
            "|---|---|---|---|",
            *rows,
        ]
    )
    sys.stdout.write(text + "\n")
    if arguments.write:
        RESULT.write_text(text + "\n")


if __name__ == "__main__":
    main()
