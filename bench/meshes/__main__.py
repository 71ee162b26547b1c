"""A mesh file from its upload to the ready mesh: time, and what is made of it. With a real server and worker.

python -m bench.meshes [--save] [--tier C]

PUT /api/meshes -> worker meshes -> child process -> GET /api/meshes/<sha256>, ten times a second -> ready
the first file once more, in a browser: chosen in the editor -> ... -> its body is in the view (view.py)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from bench.meshes.view import time_to_view
from bench.own_store import own_store
from tests.support.mesh_files import as_glb, as_obj, as_stl, bumpy_ring
from tests.support.stack import Stack
from tests.support.stranger import Person
from tussle.server.simulation.identity import origin

RESULTS = Path(__file__).resolve().parent / "results.md"

GOAL_S = 15.0
"""Most time from the upload of a 10 MB STL to a body in the view."""

FILES = (
    ("STL", ".stl", as_stl, 316),
    ("OBJ", ".obj", as_obj, 180),
    ("GLB", ".glb", as_glb, 316),
    ("STL", ".stl", as_stl, 60),
)
"""Name, ending and writer of each file, and its points along each side: a torus with bumps."""


async def measure(person: Person, data: bytes, ending: str) -> tuple[float, float, dict[str, object]]:
    """Send a file. Returns the time of the upload, the time until it is ready [s], and its description."""
    began = time.monotonic()
    answer = await person.http.put(
        "/api/meshes",
        params={"name": f"mesh{ending}"},
        content=data,
        headers={"authorization": f"Bearer {person.token}"},
    )
    assert answer.status_code == 202, answer.text
    sent = time.monotonic() - began
    while True:
        now = (await person.get(f"/api/meshes/{answer.json()['mesh']}")).json()
        if now["state"] in ("ready", "refused"):
            assert now["state"] == "ready", now
            return sent, time.monotonic() - began, now
        await asyncio.sleep(0.1)


async def run(url: str, tier: str) -> tuple[list[str], str]:
    """The rows of the table, and a sentence about the view."""
    rows = ["| file | MB | triangles | upload [s] | ready [s] | vertices | tetrahedra |", "|" + "---|" * 7]
    async with Stack.up(url, "bench") as stack:
        await stack.server()
        await stack.worker("meshes")
        async with Person(stack.url) as person:
            await person.login()
            for name, ending, writer, side in FILES:
                points, faces = bumpy_ring(side, side)
                data = writer(points, faces)
                sent, ready, made = await measure(person, data, ending)
                rows.append(
                    f"| {name} | {len(data) / 1e6:.1f} | {len(faces)} | {sent:.2f} | {ready:.1f} | {made['vertices']} |"
                    f" {made['tetrahedra']} |"
                )
                sys.stdout.write(f"{rows[-1]}\n")
        data = moved_torus()
        times = await asyncio.to_thread(time_to_view, stack.url, data, ".stl", tier)
    said = (
        f"In the editor (Chromium, tier {tier}, one page) a STL of {len(data) / 1e6:.1f} MB takes {times['sent']:.1f} s"
        f" to be sent, {times['added']:.1f} s until its body is in the scene and {times['shown']:.1f} s until it is in"
        " the view."
    )
    sys.stdout.write(f"{said}\n")
    return rows, said


def moved_torus() -> bytes:
    """The first file of FILES, elsewhere: a file that no worker has made yet."""
    _, _, writer, side = FILES[0]
    points, faces = bumpy_ring(side, side)
    return writer(points + 1.0, faces)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--save", action="store_true", help="write results.md")
    parser.add_argument("--tier", choices=("A", "B", "C", "D"), default="C", help="how the page draws")
    asked = parser.parse_args()
    with own_store() as store:
        rows, said = asyncio.run(run(store.url, asked.tier))
    text = "\n".join(
        [
            "# Meshes: from the upload to the ready mesh, and to the view",
            "",
            f"`python -m bench.meshes --save` on {origin()['cpu_model']}, {os.cpu_count()} cores, load average",
            f"{os.getloadavg()[0]:.1f}: others ran too. The goal for a 10 MB STL is {GOAL_S:g} s. The file is a",
            "torus with bumps; it is filled on one core.",
            "",
            *rows,
            "",
            said,
            "",
        ]
    )
    if asked.save:
        RESULTS.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
