"""A sandbox at full speed: eight bots drag, bodies are spawned and removed, contact is checked once a second.

    python -m bench.sandbox [--minutes 5] [--out bench/sandbox/results.md]

Times are CPU time of one core, which other load affects little. The real-time factor is simulated time over the time of
the ticks, without contact check and bots. Elastic worlds run a third as long.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine import machine
from tussle.server.modes.mode import Seat, stream
from tussle.server.modes.registry import get_mode
from tussle.server.simulation.simulation import Input, SessionSpec, Simulation

__all__ = ["main", "run"]

ROOT = Path(__file__).parents[2]
CATALOGUE: dict[str, dict[str, Any]] = {
    body["id"]: body for body in json.loads((ROOT / "catalogue" / "catalogue.json").read_text())["bodies"]
}
MEMBERS = 8
WORLDS = {
    "12 affine bodies": tuple(sorted(CATALOGUE))[:12],
    "20 affine bodies": (*sorted(CATALOGUE), "cobble", "marl", "quern", "rafter"),
    "2 elastic and 6 affine": ("jelly", "jelly", "cobble", "marl", "halo", "crux", "rafter", "burr"),
}


@dataclass(slots=True)
class Run:
    """The result of one run. times: CPU time of each tick with rules, hash and frame [s]."""

    times: list[float] = field(default_factory=list)
    dt: float = 1 / 30
    states: int = 0
    broken: int = 0
    unconverged: int = 0
    min_distance: float = float("inf")
    frame_bytes: int = 0
    events: Counter[str] = field(default_factory=Counter)


def run(bodies: tuple[str, ...], seconds: float, seed: int = 1) -> Run:
    """Run a sandbox for ``seconds`` of simulated time; every ten of them a body is spawned and one removed."""
    seats = tuple(Seat(seat, f"p{seat}", f"n{seat}", "bot") for seat in range(MEMBERS))
    params = {"bodies": list(bodies), "brief_s": 0.3}
    spec = SessionSpec("bench", "sandbox", seats, CATALOGUE, seed, params)
    bot = get_mode("sandbox").bot
    simulation, advance = Simulation.start(spec)
    simulation.branch().advance([], 1)  # loads the kernels
    out = Run(dt=advance.dt)
    while advance.tick * out.dt < seconds:
        inputs = []
        for _, name, d in advance.events:
            out.events[name] += 1
            if name == "brief":
                for seat in range(MEMBERS):
                    action = bot(d, seat, "", None, stream(seed, advance.tick, seat))
                    if action.kind:
                        inputs.append(Input(seat, action.kind, advance.tick + 1, action.d))
        if advance.tick % 300 == 150:
            inputs.append(Input(0, "spawn", 0, {"body": "burr", "position": [0.0, 3.2, 0.0]}))
        if advance.tick % 300 == 290 and len(simulation.view().ids) > len(bodies):
            inputs.append(Input(0, "remove", 0, {"body": simulation.view().ids[-1]}))
        began = time.thread_time()
        advance = simulation.advance(inputs, 1)
        out.times.append(time.thread_time() - began)
        out.unconverged += advance.unconverged
        out.min_distance = min(out.min_distance, advance.min_distance)
        out.frame_bytes += len(advance.frame)
        if advance.tick % 30 == 0:
            out.states += 1
            out.broken += not simulation.check_contact().passed
    return out


def main() -> None:
    """Run, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="simulated, for each world")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.md")
    options = parser.parse_args()
    lines = [
        "# A live sandbox: eight dragging bots",
        "",
        f"`python -m bench.sandbox --minutes {options.minutes:g}`, one core of "
        f"{machine()}, CPU time. Tick 1/30 s.",
        "",
        "| world | ticks | CPU ms a tick: median / p95 / max | real-time factor | ticks at the iteration cap | "
        "least distance [m] | frame [bytes] | leases, spawns, returns | states checked | failed the contact check |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, bodies in WORLDS.items():
        result = run(bodies, 60.0 * options.minutes / (3 if "elastic" in name else 1))
        ms = 1e3 * np.array(result.times)
        lines.append(
            f"| {name} | {len(ms)} | {np.median(ms):.2f} / {np.percentile(ms, 95):.2f} / {ms.max():.1f} | "
            f"{len(ms) * result.dt / sum(result.times):.1f} | {result.unconverged} | {result.min_distance:.1e} | "
            f"{result.frame_bytes / len(ms):.0f} | {result.events['slot_granted']}, {result.events['spawned']}, "
            f"{result.events['returned']} | {result.states} | {result.broken} |"
        )
        print(lines[-1], flush=True)  # noqa: T201 a script's output
    options.out.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
