"""Speed of the solver: targets, duels, scaling, and one pile of cubes in other engines.

    python -m bench.physics [targets] [duel] [scaling] [peers] [--seconds S] [--out FOLDER]

Prints one table per part and writes bench/physics/<machine>.json, .md and .svg. Times are CPU time of the thread
(time.thread_time), which other load affects less; the wall clock is also recorded. Every state is checked with ipctk,
outside of the measured time.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.physics.piles import RESULTS, pile, soft_pile
from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.fingerprint import versions
from tussle.server.physics.model import centres
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Control
from tussle.server.simulation.identity import physics_id
from tussle.server.solver.kernels import warm_up

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = {b["id"]: b for b in json.loads((ROOT / "catalogue" / "catalogue.json").read_text())["bodies"]}
TARGETS = {
    "20 affine, 1/60": (5.0, 14.0),
    "50 affine, 1/30": (30.0, 66.0),
    "192 FEM vertices, 1/30": (4.0, 12.0),
    "512 FEM vertices, 1/30": (18.0, 50.0),
    "1000 FEM vertices, 1/30": (45.0, 150.0),
    "duel of 2": (0.3, math.inf),
    "duel of 4": (0.5, math.inf),
    "duel of 6": (0.75, math.inf),
}
"""Target median and p95 of a step [ms]; for the duel the mean."""


@dataclass(frozen=True)
class Row:
    """One measured scene; times in ms a step."""

    name: str
    bodies: int
    vertices: int
    unknowns: int
    ticks: int
    mean: float
    median: float
    p95: float
    wall_median: float
    iterations: float
    contacts: int
    real_time: float
    converged: float
    broken: int


def duel(count: int, seed: int) -> tuple[Scene, list[str]]:
    """Catalogue bodies on the Octagon, as in a duel session."""
    rng = np.random.default_rng(seed)
    names = [str(n) for n in rng.choice(sorted(CATALOGUE), count, replace=False)]
    shape = Recipe("platform", {"sides": 8, "radius": 1.8, "depth": 0.3, "bottom_scale": 0.9})
    bodies = [Body("octagon", shape, Material(density=1000.0, friction=0.4), "static")]
    phase = rng.uniform(0, 2 * math.pi)
    for k, name in enumerate(names):
        entry = CATALOGUE[name]
        angle, yaw = phase + 2 * math.pi * k / count, rng.uniform(0, 2 * math.pi)
        height = entry["computed"]["rest_height"] + 0.01
        bodies.append(
            Body(
                f"seat-{k}",
                Recipe(entry["kind"], entry["params"]),
                Material(density=entry["density"], stiffness=entry["stiffness"], friction=entry["friction"]),
                position=(1.116 * math.cos(angle), height, 1.116 * math.sin(angle)),
                rotation=(math.cos(yaw / 2), 0.0, math.sin(yaw / 2), 0.0),
            )
        )
    return Scene(bodies=tuple(bodies)), names


def measure(
    name: str, scene: Scene, ticks: int, control: Callable[[int, Any], Control], *, skip: int = 3
) -> Row:
    """Step a scene and check every state."""
    model, state = compile_scene(scene)
    times, walls_, iterations, contacts, converged, broken = [], [], 0, 0, 0, 0
    touching = np.zeros(len(model.body_ids), dtype=bool)
    for tick in range(ticks):
        inputs = control(tick, (model, state, touching))
        wall, start = time.perf_counter(), time.thread_time()
        state, report = step(model, state, inputs)
        spent, wall = time.thread_time() - start, time.perf_counter() - wall
        touching = np.abs(report.impulses[:-1, -1]).sum(axis=1) > 0
        if tick >= skip:
            times.append(spent * 1e3)
            walls_.append(wall * 1e3)
        iterations += report.iterations
        contacts = max(contacts, report.contacts)
        converged += report.converged
        broken += not check_contact(model, state).passed
    steps_ms = np.array(times)
    return Row(
        name=name,
        bodies=len(model.body_ids),
        vertices=len(model.rest_vertices),
        unknowns=3 * len(state.q),
        ticks=ticks,
        mean=float(steps_ms.mean()),
        median=float(np.median(steps_ms)),
        p95=float(np.percentile(steps_ms, 95)),
        wall_median=float(np.median(walls_)),
        iterations=iterations / ticks,
        contacts=contacts,
        real_time=float(scene.dt * 1e3 / steps_ms.mean()),
        converged=converged / ticks,
        broken=broken,
    )


def still(tick: int, world: Any) -> Control:
    return Control()


def targets() -> Iterator[Row]:
    yield measure("20 affine, 1/60", pile(20, 1 / 60), 120, still)
    yield measure("50 affine, 1/30", pile(50, 1 / 30), 60, still)
    for count, cells, vertices in ((3, 3, 192), (8, 3, 512), (8, 4, 1000)):
        yield measure(f"{vertices} FEM vertices, 1/30", soft_pile(count, cells), 45, still)


def duels() -> Iterator[Row]:
    for count in (2, 4, 6):
        parts = []
        for seed in range(4):
            scene, names = duel(count, seed)
            parts.append(measure(f"duel of {count}", scene, 960, _player(count, names, seed)))
        weights = [part.ticks for part in parts]
        merged = {
            key: float(np.average([getattr(part, key) for part in parts], weights=weights))
            for key in ("mean", "median", "p95", "wall_median", "iterations", "real_time", "converged")
        }
        first = parts[0]
        yield Row(
            name=first.name,
            bodies=count,
            vertices=first.vertices,
            unknowns=first.unknowns,
            ticks=sum(weights),
            contacts=max(part.contacts for part in parts),
            broken=sum(part.broken for part in parts),
            **merged,
        )


def _player(count: int, names: list[str], seed: int) -> Callable[[int, Any], Control]:
    """Return a control that launches a body at its neighbour every 120 ticks, with the drags of a duel."""
    rng = np.random.default_rng(seed)

    def control(tick: int, world: Any) -> Control:
        model, state, touching = world
        turn, since = divmod(tick, 120)
        drag = np.where(touching, 0.4, 0.1) + 6.0 * max(0.0, since / 60 - 1.6)
        if since or not turn:
            return Control(drag=drag)
        actor = turn % count
        places = centres(model, state)
        aim = places[(actor + 1) % count] - places[actor]
        azimuth = math.atan2(aim[2], aim[0]) + float(rng.normal()) * 0.1
        elevation = float(rng.uniform(0.1, 0.5))
        speed = CATALOGUE[names[actor]]["speed"]
        flat = speed * math.cos(elevation)
        kick = (flat * math.cos(azimuth), speed * math.sin(elevation), flat * math.sin(azimuth))
        spin = (0.0, 14.0 if turn % 3 == 0 else 0.0, 0.0)
        return Control(drag=drag, velocity_change={actor: (kick, spin)})

    return control


def scaling() -> Iterator[Row]:
    for count in (5, 10, 20, 50, 100, 200):
        yield measure(f"{count} affine", pile(count, 1 / 60), 90, still)
    for count, cells in ((1, 3), (2, 3), (4, 3), (8, 3), (1, 6), (1, 8)):
        yield measure(f"{count} FEM cubes of {(cells + 1) ** 3}", soft_pile(count, cells), 45, still)


def table(rows: list[Row]) -> str:
    columns = [
        "scene",
        "unknowns",
        "mean ms",
        "median",
        "p95",
        "target",
        "iterations",
        "contacts",
        "real time x",
        "converged",
        "broken",
    ]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for r in rows:
        limits = TARGETS.get(r.name)
        target = (
            ""
            if limits is None
            else f"{limits[0]:g}" + ("" if math.isinf(limits[1]) else f" / {limits[1]:g}")
        )
        lines.append(
            f"| {r.name} | {r.unknowns} | {r.mean:.2f} | {r.median:.2f} | {r.p95:.2f} | {target} | {r.iterations:.1f} "
            f"| {r.contacts} | {r.real_time:.1f} | {100 * r.converged:.1f} % | {r.broken} of {r.ticks} |"
        )
    return "\n".join(lines)


def plot(parts: dict[str, list[Row]], path: Path) -> None:
    """Median and p95 over unknowns, both logarithmic, as SVG."""
    rows = [r for part in ("targets", "scaling") for r in parts.get(part, [])]
    if not rows:
        return
    width, height, edge = 720, 420, 60
    xs = [math.log10(r.unknowns) for r in rows]
    ys = [math.log10(v) for r in rows for v in (r.median, r.p95)]
    low_x, high_x, low_y, high_y = min(xs), max(xs), math.floor(min(ys)), math.ceil(max(ys))

    def at(x: float, y: float) -> tuple[float, float]:
        across = edge + (width - 2 * edge) * (math.log10(x) - low_x) / (high_x - low_x)
        return across, height - edge - (height - 2 * edge) * (math.log10(y) - low_y) / (high_y - low_y)

    size = f'width="{width}" height="{height}"'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">']
    out.append('<rect width="100%" height="100%" fill="white"/>')
    for decade in range(low_y, high_y + 1):
        _, y = at(rows[0].unknowns, 10.0**decade)
        out.append(f'<path d="M{edge} {y:.1f}H{width - edge}" stroke="#ddd"/>')
        out.append(f'<text x="8" y="{y + 4:.1f}">{10.0**decade:g} ms</text>')
    for r in rows:
        colour = "#d1495b" if "FEM" in r.name else "#00798c"
        x, top = at(r.unknowns, r.p95)
        _, middle = at(r.unknowns, r.median)
        out.append(f'<path d="M{x:.1f} {middle:.1f}V{top:.1f}" stroke="{colour}"/>')
        out.append(f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="3.5" fill="{colour}">')
        out.append(f"<title>{r.name}: {r.median:.2f} / {r.p95:.2f} ms</title></circle>")
    out.append(
        f'<text x="{edge}" y="{height - 20}">unknowns {10**low_x:.0f} to {10**high_x:.0f}, logarithmic; '
    )
    out.append("dot: median of a step, line: to its 95th percentile; blue: affine, red: FEM</text></svg>")
    path.write_text("\n".join(out))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the solver.")
    parser.add_argument("parts", nargs="*", default=["targets", "duel", "scaling", "peers"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    started = time.perf_counter()
    warm_up()
    ready = time.perf_counter() - started
    from bench.physics.peers import peers

    makers: dict[str, Callable[[], Iterator[Row]]] = {"targets": targets, "duel": duels, "scaling": scaling}
    parts: dict[str, list[Row]] = {}
    text = [
        f"physics {physics_id()}, {platform.machine()}, {versions()}",
        f"kernels ready in {ready:.1f} s",
        "",
    ]
    foreign: list[dict[str, Any]] = []
    for part in options.parts:
        if part == "peers":
            foreign = list(peers(pile(20, 1 / 60)))
            lines = ["| engine | ms a frame | frames with intersections |", "|---|---|---|"]
            lines += [f"| {p['engine']} | {p['ms']:.2f} | {p['broken']} of {p['frames']} |" for p in foreign]
            section = ["## the same 20 cubes", "", *lines, ""]
        else:
            parts[part] = list(makers[part]())
            section = [f"## {part}", "", table(parts[part]), ""]
        sys.stdout.write("\n".join(section) + "\n")
        sys.stdout.flush()
        text += section
    options.out.mkdir(parents=True, exist_ok=True)
    name = versions()["cpu"]
    rows = {part: [asdict(r) for r in found] for part, found in parts.items()}
    result = {
        "physics": physics_id(),
        "versions": versions(),
        "ready_s": ready,
        "parts": rows,
        "peers": foreign,
    }
    (options.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.out / f"{name}.md").write_text("\n".join(text))
    plot(parts, options.out / f"{name}.svg")


if __name__ == "__main__":
    main()
