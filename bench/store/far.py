"""``python -m bench.store.far [--write]``: duels whose store is far away: an input to the first frame that shows it.

The store is an embedded one behind a forwarder in this process that delays every byte, in order. An input is in the
journal before it acts, so that one round trip to the store is the least. Target: p99 < 200 ms at 30 ms. Prints a table
and, with --write, writes far.md beside this program.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from bench.machine import loaded_machine
from bench.own_store import own_store
from bench.session.__main__ import Measured, one_duel
from tests.support.far_store import far_store
from tests.support.stack import Stack

RESULT = Path(__file__).parent / "far.md"

HEAD = """# A store that is far away

`python -m bench.store.far`; {machine}. Duels of two clients, one after the other, SIM_SPEED 1: an input to the first
frame that shows it, at the client. A turn that passed without an input counts as skipped.

| round trip to the store | inputs | p50 | p99 | most | turns, skipped | sessions paused |
|---|---|---|---|---|---|---|
"""


async def measure(store: str, round_trip_s: float, inputs: int) -> str:
    """One row of the table."""
    measured, seed = Measured(), 0
    async with (
        far_store(store, round_trip_s) as far,
        Stack.up(far, f"bench-far-{round_trip_s * 1000:.0f}", BOT_TURN_S="30") as stack,
    ):
        server = await stack.server()
        await stack.worker()
        while len(measured.latencies) < inputs:
            await one_duel(server.url, measured, seed)
            seed += 1
        paused = len(server.said("session_paused"))
    p50, p99, most = (measured.percentile_ms(share) for share in (0.5, 0.99, 1.0))
    return (
        f"| {round_trip_s * 1000:.0f} ms | {len(measured.latencies)} | {p50:.0f} ms | {p99:.0f} ms | {most:.0f} ms "
        f"| {measured.started}, {measured.skipped} | {paused} |\n"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--round-trips", type=float, nargs="+", default=[0.0, 0.03, 0.2], help="seconds")
    parser.add_argument("--inputs", type=int, default=60)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    text = HEAD.format(machine=loaded_machine())
    sys.stdout.write(text)
    with own_store() as store:
        for round_trip_s in asked.round_trips:
            row = await measure(store.url, round_trip_s, asked.inputs)
            sys.stdout.write(row)
            text += row
    if asked.write:
        RESULT.write_text(text)


if __name__ == "__main__":
    asyncio.run(main())
