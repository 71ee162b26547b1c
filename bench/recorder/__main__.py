"""``python -m bench.recorder [--write]``: what the recording of a session costs, in time and in bytes.

Sessions without a server, with the recorder of a holder and files on the local disk. For each of them

    cost    CPU time of the recorder over CPU time of the solver's ticks: taking frames, which is on the event loop and
            may hold up play for at most 2 % of a tick, and all of it, with saving them in its thread; and all of it
            over the simulated time, which is the share of a core in a session that keeps its pace
    size    bytes of the final group: what it has once (metadata and meshes), what each simulated second adds, and all
            of it over the simulated time; the targets are 3 kB a second for a duel and 120 kB for a thousand vertices
            of elastic bodies

The process has recorded a session before. The sandboxes are dragged all the time: a world that rests needs fewer bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec

from bench.machine import loaded_machine
from tests.golden.record import GOLDEN
from tests.server.recordings import sessions
from tests.server.recordings.sessions import TOKEN, Holder, files_of, played
from tussle.server.recordings.recorder import Recorder
from tussle.server.recordings.recordings import Recordings
from tussle.server.recordings.schedule import Stretch
from tussle.server.simulation.simulation import Advance

__all__ = ["measure"]

BATCH_TICKS = 8
SAVE_TICKS = 300
"""Ticks from one checkpoint to the next: about CHECKPOINT_S of a session at its pace."""

DUEL_TARGET, THOUSAND_TARGET = 3_000.0, 120_000.0


@dataclass(frozen=True, slots=True)
class Cost:
    """ticks_s, take_s, save_s: CPU time of solver and recorder [s]. once, growing: bytes of the final group that do not
    depend on its length, and the others [B]. vertices: of elastic bodies."""

    name: str
    simulated_s: float
    frames: int
    vertices: int
    ticks_s: float
    take_s: float
    save_s: float
    once: int
    growing: int

    @property
    def rate(self) -> float:
        """Bytes that a simulated second adds."""
        return self.growing / self.simulated_s

    @property
    def all_rate(self) -> float:
        """Bytes of the whole group for each simulated second."""
        return (self.once + self.growing) / self.simulated_s


class _Timed(Holder):
    """A holder that measures its recorder."""

    take_s = 0.0

    def take(self, whole: Advance, stretches: list[Stretch]) -> None:
        began = time.thread_time()
        super().take(whole, stretches)
        self.take_s += time.thread_time() - began


class _TimedSaves:
    """Measures the CPU time of a recorder's thread."""

    def __init__(self, recorder: Recorder) -> None:
        self.seconds = 0.0
        self._save: Callable[..., Any] = recorder._writer.save
        recorder._writer.save = self._measured  # type: ignore[method-assign]

    def _measured(self, *arguments: Any) -> Any:
        began = time.thread_time()
        try:
            return self._save(*arguments)
        finally:
            self.seconds += time.thread_time() - began


async def measure(name: str, golden: str, ticks: int) -> Cost:
    """Record a session of tests/golden/record.py to its end, at most ``ticks`` ticks."""
    spec, inputs, last = played(golden, ticks)
    with tempfile.TemporaryDirectory() as folder:
        recordings = Recordings(folder)
        holder = _Timed(recordings, spec, inputs, 1)
        saves = _TimedSaves(holder.recorder)
        holder.start()
        began = time.thread_time()
        await holder.run(last, repeat(BATCH_TICKS), SAVE_TICKS)
        ticks_s = time.thread_time() - began - holder.take_s
        mark = await holder.recorder.finish(last)
        assert mark is not None
        assert not mark.stopped, mark
        recordings.compact(TOKEN, mark)
        sizes = {path: len(data) for path, data in files_of(Path(folder, f"{TOKEN}.zarr")).items()}
        once = sum(
            size for path, size in sizes.items() if path.startswith("meshes/") or path.endswith("zarr.json")
        )
        store = recordings.open(TOKEN, None)
        vertices = sum(body.rows for body in store.segments[-1].bodies if body.kind == "elastic")
        return Cost(
            name, last * store.attributes["dt"], store.length, vertices, ticks_s, holder.take_s,
            saves.seconds, once, sum(sizes.values()) - once,
        )  # fmt: skip


def with_elastic_bodies(count: int) -> None:
    """Add a sandbox of so many elastic bodies to the golden sessions, as "elastic"."""
    spec, play = GOLDEN["sandbox"]
    bodies = ["cobble", "marl", *["jelly"] * count]
    GOLDEN["elastic"] = msgspec.structs.replace(spec, params={**spec.params, "bodies": bodies}), play


def table(costs: Sequence[Cost]) -> str:
    """The results as Markdown."""
    lines = [
        "| session | simulated | frames | ticks | take | save | take of the ticks | both of the ticks | of a core"
        " | once | each second | in all, a second |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cost in costs:
        spent = cost.take_s + cost.save_s
        lines.append(
            f"| {cost.name} | {cost.simulated_s:.1f} s | {cost.frames} | {cost.ticks_s:.2f} s"
            f" | {cost.take_s * 1000:.0f} ms | {cost.save_s * 1000:.0f} ms | {cost.take_s / cost.ticks_s:.1%}"
            f" | {spent / cost.ticks_s:.1%} | {spent / cost.simulated_s:.2%} | {cost.once / 1000:.0f} kB"
            f" | {cost.rate / 1000:.2f} kB | {cost.all_rate / 1000:.2f} kB |"
        )
    return "\n".join(lines)


async def _main(write: bool) -> None:
    with_elastic_bodies(4)
    await measure("the first session of a process", "duel", 10**9)  # imports modules, makes decoders
    costs = [
        await measure("duel, 4 seats", "duel", 10**9),
        await measure("sandbox, 3 affine bodies and 1 elastic one, dragged", "sandbox", 10**9),
        await measure("sandbox, 4 elastic bodies, dragged", "elastic", 10**9),
    ]
    duel, elastic = costs[0], costs[-1]
    per_thousand = elastic.rate * 1000 / elastic.vertices
    text = "\n\n".join(
        [
            "# What a recording costs",
            f"`python -m bench.recorder --write` on {loaded_machine()}. {sessions.__name__} has the sessions.",
            table(costs),
            f"Targets: what holds up play {duel.take_s / duel.ticks_s:.1%} of at most 2 % of a duel's ticks; a duel"
            f" {duel.all_rate / 1000:.2f} kB in all ({duel.rate / 1000:.2f} kB for each further second) of"
            f" {DUEL_TARGET / 1000:.0f} kB a simulated second; a thousand elastic vertices (of"
            f" {elastic.vertices}) {per_thousand / 1000:.1f} kB of {THOUSAND_TARGET / 1000:.0f} kB.",
        ]
    )
    sys.stdout.write(text + "\n")
    if write:
        Path(__file__).with_name("results.md").write_text(text + "\n")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.recorder", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write results.md")
    asyncio.run(_main(parser.parse_args(argv).write))


if __name__ == "__main__":
    main()
