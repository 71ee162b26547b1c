"""``python -m bench.fairness [--seconds 20] [--label after] [--write]``: light sessions beside heavy ones, on loopback.

    light   a sandbox of 2 bodies; at 30 Hz it needs a few percent of a core
    heavy   a sandbox of 24 elastic blocks that a dragged handle keeps in motion; one alone needs more than a core
    crowd   a sandbox of 2 elastic blocks, not heavy itself

A real server with its store, one solver process per core and one observer of each session. Each rung is one light
session beside some heavy ones, and the last one beside a crowd that another address has opened. It counts the frames
of each session; the target is that the light session keeps 27 of 30 frames a second beside four heavy ones on two
cores. The client counts only, in this process, on the same cores.

The results of each label are kept in results.json, and results.md shows all of them. To measure another commit, run
this program in a checkout of it with ``--label before`` and ``--folder`` of this checkout's bench/fairness.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.machine import loaded_machine
from bench.own_store import own_store
from bench.statistics import percentile
from tests.support.stack import Stack
from tests.support.stranger import FRAME, Line, Person

__all__ = ["measure"]

RUNGS = (0, 1, 2, 4)
LIGHT: dict[str, object] = {"params": {"bodies": ["marl", "cobble"], "side": 6.0}}
LIGHT_BODIES = ["marl-0", "cobble-1"]
BLOCKS = 24
HEAVY_BODIES = [f"block-{number}" for number in range(BLOCKS)]
SETTLE_S = 12.0
"""Time from the start of the sessions to the measurement [s]: the worlds are built and measured by the server."""

CROWD = 24
"""Sessions of the crowd: together they need more than two cores."""

DRAG_S = 0.25
"""Time between two moves of a handle [s]."""

TARGET_HZ = 27.0


@dataclass(frozen=True, slots=True)
class Result:
    """light_hz: frames a second of the light session. gap_ms: p99 and largest time between two of its frames. heavy_hz:
    frames a second of each other session. dilations: the newest that each of them announced."""

    heavy: int
    crowd: int
    light_hz: float
    gap_p99_ms: float
    gap_max_ms: float
    heavy_hz: list[float]
    dilations: list[float]


def blocks(count: int = BLOCKS) -> str:
    """A scene of elastic blocks of 64 vertices in layers of six above a floor."""
    jelly = {"density": 250.0, "stiffness": 1e5, "friction": 0.4}
    shape = {"kind": "block", "params": {"size": [0.4, 0.4, 0.4], "cells": [3, 3, 3]}}
    bodies: list[dict[str, object]] = [
        {
            "id": body,
            "kind": "elastic",
            "shape": shape,
            "material": jelly,
            "position": [0.5 * (n % 3) - 0.5, 0.25 + 0.45 * (n // 6), 0.5 * (n // 3 % 2) - 0.25],
        }
        for n, body in enumerate(HEAVY_BODIES[:count])
    ]
    floor = {"kind": "slab", "params": {"size": [7.0, 0.3, 7.0]}}
    bodies.append({"id": "floor", "kind": "static", "shape": floor, "material": {"density": 1000.0}})
    return json.dumps({"bodies": bodies, "dt": 1 / 30})


@contextlib.asynccontextmanager
async def sandbox(url: str, opening: dict[str, object], address: str = "") -> AsyncIterator[Line]:
    """A sandbox with one member at an address of this machine, once it runs."""
    async with Person(url, address=address) as person:
        await person.login()
        seat = await person.ask("/api/open", mode="sandbox", size=1, ready=True, private=True, **opening)
        async with Line.to(seat["ws_url"]) as line:
            await line.hello(ticket=seat["ticket"])
            await line.wait(lambda: line.frames, 120.0)
            yield line


async def drag(line: Line, bodies: list[str]) -> None:
    """Grab one body after the other and pull it about, until cancelled."""
    rng = random.Random(7)
    while True:
        body = rng.randrange(len(bodies))
        await say(line, "grab", {"body": bodies[body], "handle": "centre"})
        for _ in range(8):
            target = [rng.uniform(-2.0, 2.0), rng.uniform(0.3, 1.5), rng.uniform(-2.0, 2.0)]
            await say(line, "move", {"target": target})
            await asyncio.sleep(DRAG_S)
        await say(line, "release", {})


async def say(line: Line, kind: str, d: dict[str, object]) -> None:
    line.last_id += 1
    message = {"t": "act", "id": line.last_id, "d": {"kind": kind, "d": d}, "ack": False}
    await line.send(json.dumps(message))


def arrivals(line: Line, since: float) -> list[float]:
    """The times at which frames arrived [s]."""
    return [
        at for at, data in zip(line.arrivals, line.binary, strict=True) if at >= since and data[0] == FRAME
    ]


def newest_dilation(line: Line) -> float:
    return next((m["d"]["dilation"] for m in reversed(line.messages) if m["t"] == "pace"), 1.0)


async def measure(store: str, heavy: int, seconds: float, crowd: int = 0) -> Result:
    """One light session beside ``heavy`` heavy ones, or beside a crowd of another address, on a new server."""
    async with contextlib.AsyncExitStack() as stack:
        site = await stack.enter_async_context(
            Stack.up(store, f"bench-fairness-{heavy}-{crowd}", SOLVERS="0")
        )
        server = await site.server()
        light = await stack.enter_async_context(sandbox(server.url, LIGHT, "127.0.0.2" if crowd else ""))
        count = 2 if crowd else BLOCKS
        scene: dict[str, object] = {"scene": blocks(count)}
        lines = [await stack.enter_async_context(sandbox(server.url, scene)) for _ in range(heavy + crowd)]
        drags = [asyncio.create_task(drag(line, HEAVY_BODIES[:count])) for line in lines]
        drags.append(asyncio.create_task(drag(light, LIGHT_BODIES)))
        await asyncio.sleep(SETTLE_S)
        began = time.monotonic()
        await asyncio.sleep(seconds)
        spent = time.monotonic() - began
        times = arrivals(light, began)
        gaps = 1e3 * np.diff(times)
        result = Result(
            heavy=heavy,
            crowd=crowd,
            light_hz=len(times) / spent,
            gap_p99_ms=percentile(list(gaps), 0.99),
            gap_max_ms=float(gaps.max()),
            heavy_hz=[len(arrivals(line, began)) / spent for line in lines],
            dilations=[newest_dilation(line) for line in lines],
        )
        for task in drags:
            task.cancel()
        await asyncio.wait(drags)
    return result


def shown(results: dict[str, dict[str, object]]) -> str:
    """results.md."""
    lines = ["# Light sessions beside heavy ones", ""]
    lines += [
        "`python -m bench.fairness`: a sandbox of 2 bodies beside sandboxes of 24 elastic bodies (1536 vertices) in",
        "motion, each at 30 Hz if it can, one solver process per core. Target: at least",
        f"{TARGET_HZ:g} of 30 Hz for the light one beside four heavy.",
        "",
        "| code | other sessions | light session [Hz] | gap between its frames p99 / max [ms] | other sessions [Hz] |"
        " dilation that they announce |",
        "|---|---|---|---|---|---|",
    ]
    for label, run in results.items():
        for row in run["rows"]:  # type: ignore[attr-defined]
            heavy_hz = spread([f"{hz:.1f}" for hz in sorted(row["heavy_hz"])])
            dilations = spread([f"{one:.2g}" for one in sorted(row["dilations"])])
            crowd = row.get("crowd", 0)
            others = f"{crowd} of another address" if crowd else f"{row['heavy']} heavy"
            lines.append(
                f"| {label} | {others} | {row['light_hz']:.1f} | {row['gap_p99_ms']:.0f} /"
                f" {row['gap_max_ms']:.0f} | {heavy_hz} | {dilations} |"
            )
    lines += ["", *(f"{label}: {run['machine']}." for label, run in results.items()), ""]
    return "\n".join(lines)


def spread(values: list[str]) -> str:
    """All values, or of many the smallest and the largest."""
    return ", ".join(values) or "-" if len(values) <= 4 else f"{values[0]} to {values[-1]}"


async def run(seconds: float, rungs: list[int], crowd: int) -> list[Result]:
    results = []
    with own_store() as store:
        for heavy, beside in [*((heavy, 0) for heavy in rungs), *([(0, crowd)] if crowd else [])]:
            results.append(await measure(store.url, heavy, seconds, beside))
            sys.stdout.write(f"{results[-1]}\n")
            sys.stdout.flush()
    return results


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--rungs", type=int, nargs="+", default=RUNGS, help="numbers of heavy sessions")
    parser.add_argument(
        "--crowd", type=int, default=CROWD, help="sessions of another address; 0: without them"
    )
    parser.add_argument("--label", default="after", help="name of the measured code")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="where the results are")
    parser.add_argument("--note", default="", help="what else is to be known of the machine")
    parser.add_argument("--write", action="store_true", help="write results.json and results.md")
    arguments = parser.parse_args()
    where = "; ".join(filter(None, (loaded_machine(), arguments.note)))
    rows = [
        asdict(result) for result in asyncio.run(run(arguments.seconds, arguments.rungs, arguments.crowd))
    ]
    if arguments.write:
        kept = arguments.folder / "results.json"
        results = json.loads(kept.read_text()) if kept.exists() else {}
        results[arguments.label] = {"machine": where, "rows": rows}
        kept.write_text(json.dumps(results, indent=1) + "\n")
        (arguments.folder / "results.md").write_text(shown(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
