"""``python -m bench.physics.torture [--only NAME]``: contact cases in which Newton's method has a hard time.

Tetrahedra edge on edge, spikes and wedges that meet at a point (Erleben 2018, "Methodology for assessing mesh-based
contact point methods"), and balls in a bowl, as affine and as elastic bodies. Prints how many ticks ended at the
iteration limit, and the cost. Every state passes the contact check.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.geometry import Mesh
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import State

__all__ = ["main", "run", "torture_scenes"]

SPIKE = Mesh(
    np.array([[0.5, 0, -0.5], [0.5, 0, 0.5], [-0.5, 0, 0.5], [-0.5, 0, -0.5], [0, 3, 0]], dtype=np.float64),
    np.array([[0, 4, 1], [1, 4, 2], [2, 4, 3], [3, 4, 0], [1, 3, 0], [1, 2, 3]]),
    np.array([[0, 1, 3, 4], [1, 2, 3, 4]]),
)
WEDGE = Mesh(
    np.array(
        [[-0.5, 0, 1], [0, 3, 1], [-0.5, 0, -1], [0, 3, -1], [0.5, 0, 1], [0.5, 0, -1]], dtype=np.float64
    ),
    np.array([[1, 2, 0], [1, 5, 3], [5, 0, 2], [1, 0, 4], [2, 3, 5], [1, 3, 2], [1, 4, 5], [5, 4, 0]]),
    np.array([[0, 4, 2, 1], [2, 4, 5, 1], [2, 5, 3, 1]]),
)
H = 8**-0.5
CROSSED = Mesh(
    np.array([[0.5, -H, 0], [0, H, -0.5], [0, H, 0.5], [-0.5, -H, 0]], dtype=np.float64),
    np.array([[0, 1, 2], [0, 2, 3], [1, 3, 2], [0, 3, 1]]),
    np.array([[0, 1, 2, 3]]),
)
"""A tetrahedron whose upper and lower edges are perpendicular."""
MESHES = {"spike": SPIKE, "wedge": WEDGE, "crossed": CROSSED}
OVER = (0.0, 0.0, 0.0, 1.0)
"""Half a turn about z: upside down."""
QUARTER = (0.5**0.5, 0.0, 0.5**0.5, 0.0)


def _load(recipe: Recipe) -> Mesh:
    mesh = MESHES[str(recipe.params["name"])]
    assert mesh.tetrahedra is not None
    tets = mesh.tetrahedra.copy()
    corners = mesh.vertices[tets]
    wrong = np.linalg.det(corners[:, 1:] - corners[:, :1]) < 0.0
    tets[wrong] = tets[wrong][:, [0, 1, 3, 2]]
    return Mesh(mesh.vertices, mesh.faces, tets)


def _pair(upper: str, lower: str, kind: Any, *, dhat: float, dt: float, turn: tuple[float, ...], lift: float,
          sink: float) -> Scene:  # fmt: skip
    stone = Material(density=1000.0, stiffness=1e6, poisson=0.4, friction=0.0)
    return Scene(
        bodies=(
            Body("lower", Recipe("mesh", {"name": lower}), stone, "static", position=(0.0, sink, 0.0)),
            Body(
                "upper", Recipe("mesh", {"name": upper}), stone, kind,
                position=(0.0, lift, 0.0), rotation=turn,  # type: ignore[arg-type]
            ),
        ),
        dhat=dhat,
        dt=dt,
    )  # fmt: skip


def torture_scenes() -> Iterator[tuple[str, Scene, int]]:
    """Yield the name of each case, its scene and the number of its ticks."""
    still = (1.0, 0.0, 0.0, 0.0)
    for kind in ("affine", "elastic"):
        for dhat in (1e-2, 1e-3):
            for name, upper, lower, turn, lift, sink in (
                ("edge-edge", "crossed", "crossed", still, 0.5, -0.5),
                ("edge-edge parallel", "crossed", "crossed", QUARTER, 0.5, -0.5),
                ("spikes", "spike", "spike", OVER, 3.0001, -3.0),
                ("spike and wedge", "spike", "wedge", OVER, 3.0001, -3.0),
                ("wedges", "wedge", "wedge", OVER, 3.0001, -3.0),
            ):
                scene = _pair(upper, lower, kind, dhat=dhat, dt=0.025, turn=turn, lift=lift, sink=sink)
                yield f"{name}, {kind}, dhat {dhat:g}", scene, 50
    rng = np.random.default_rng(2)
    bowl = Body("bowl", Recipe("bowl", {"radius": 1.0}), Material(density=1.0, friction=0.4), "static")
    stone = Material(density=1000.0, stiffness=5e7, friction=0.4)
    balls = [
        Body(
            f"b{n}", Recipe("ball", {"radius": 0.1}), stone,
            position=(0.25 * (n % 3 - 1), 0.6 + 0.25 * (n // 9), 0.25 * (n // 3 % 3 - 1)),
            rotation=tuple(rng.normal(size=4).tolist()),
        )
        for n in range(20)
    ]  # fmt: skip
    yield "20 balls in a bowl", Scene(bodies=(bowl, *balls), dt=1 / 30), 100


def run(scene: Scene, ticks: int) -> tuple[int, int, int, State]:
    """Return the ticks at the limit, iterations, states that fail the contact check, and the last state."""
    model, state = compile_scene(scene, load_mesh=_load)
    capped = iterations = broken = 0
    for _ in range(ticks):
        state, report = step(model, state)
        capped += not report.converged
        iterations += report.iterations
        broken += not check_contact(model, state).passed
    return capped, iterations, broken, state


def main() -> None:
    """Run all cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    total = all_ticks = 0
    sys.stdout.write(
        "| case | ticks at the limit | iterations a tick | ms a tick | broken |\n|---|---|---|---|---|\n"
    )
    for name, scene, ticks in torture_scenes():
        if options.only not in name:
            continue
        began = time.process_time()
        capped, iterations, broken, _ = run(scene, ticks)
        cost = (time.process_time() - began) / ticks * 1e3
        sys.stdout.write(
            f"| {name} | {capped} of {ticks} | {iterations / ticks:.1f} | {cost:.2f} | {broken} |\n"
        )
        total += capped
        all_ticks += ticks
    sys.stdout.write(f"| all | {total} of {all_ticks} ({100 * total / max(1, all_ticks):.1f} %) | | | |\n")


if __name__ == "__main__":
    main()
