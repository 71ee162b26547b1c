"""What recordings of sessions take on disk for a simulated second: complete Zarr groups with all of their files."""

from __future__ import annotations

import asyncio
import json
import tempfile
from itertools import repeat
from pathlib import Path

import msgspec

from bench.session.__main__ import Row
from tests.golden.record import GOLDEN
from tests.server.recordings.sessions import TOKEN, Holder, played
from tussle.server.recordings.recordings import Recordings
from tussle.server.simulation.simulation import Input, SessionSpec

__all__ = ["TOKEN", "size_rows", "write_duel_of_bots"]

DUEL_TICKS = 1200
ELASTIC_TICKS = 90

JELLY = {
    "schema": "tussle-scene/1",
    "bodies": [
        {
            "id": "ground", "kind": "static", "position": [0, -0.25, 0], "material": {"density": 1000},
            "shape": {"kind": "slab", "params": {"size": [4, 0.5, 4]}},
        },
        {
            "id": "jelly", "kind": "elastic", "position": [0, 0.35, 0], "velocity": [0.5, 0, 0],
            "shape": {"kind": "ball", "params": {"radius": 0.2, "cells": 9}},
            "material": {"density": 1000, "stiffness": 3e4, "poisson": 0.4},
        },
    ],
}  # fmt: skip
"""A ball of 1000 vertices that falls, bounces and wobbles: all of them move in every frame."""


async def _write(
    folder: Path, spec: SessionSpec, inputs: dict[int, list[Input]], last: int
) -> tuple[int, float]:
    """Write the recording of a session as a worker finishes it. Returns its bytes and its simulated seconds."""
    recordings = Recordings(str(folder))
    holder = Holder(recordings, spec, inputs, 1)
    holder.start()
    await holder.run(last, repeat(8), 300)
    mark = await holder.recorder.finish(last)
    assert mark is not None and not mark.stopped
    recordings.compact(TOKEN, mark)
    recordings.drop_live(TOKEN)
    files = (path for path in (folder / f"{TOKEN}.zarr").rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files), last * holder.first.dt


def write_duel_of_bots(folder: Path) -> tuple[int, float]:
    """Write the recording of a duel of four bodies."""
    return asyncio.run(_write(folder, *played("duel", DUEL_TICKS)))


def size_rows() -> list[Row]:
    """Rows of the table of results."""
    elastic, _ = GOLDEN["sandbox"]
    elastic = msgspec.structs.replace(elastic, session=TOKEN, scene=json.dumps(JELLY))
    with tempfile.TemporaryDirectory(prefix="tussle-bench-") as name:
        folder = Path(name)
        size, seconds = write_duel_of_bots(folder / "duel")
        soft, soft_seconds = asyncio.run(_write(folder / "elastic", elastic, {}, ELASTIC_TICKS))
    return [
        (
            "size of a duel of four bodies", f"{size / seconds / 1e3:.2f} kB a simulated second",
            f"{size / 1e3:.0f} kB for {seconds:.0f} s with events and energies; target <= 3 kB",
        ),
        (
            "size of 1000 elastic vertices", f"{soft / soft_seconds / 1e3:.0f} kB a simulated second",
            f"{soft / 1e3:.0f} kB for {soft_seconds:.1f} s; target <= 120 kB",
        ),
    ]  # fmt: skip
