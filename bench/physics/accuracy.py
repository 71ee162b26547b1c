"""``python -m bench.physics.accuracy [--fine]``: scenes with known answers, and what a step of each costs.

A clamped beam of 1 x 0.1 x 0.1 m sags under its weight: the deflection of its free end as a share of Timoshenko's, by
element, mesh and Poisson's ratio. A free box keeps its spin for a second, by integrator. A ball comes back after a
bounce. Prints a table and writes bench/physics/accuracy.md. Times are CPU time of the thread.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from bench.physics.piles import RESULTS
from tussle.lobby.rules.scenes import Body, Material, Pin, Recipe, Scene
from tussle.server.physics.geometry import Mesh
from tussle.server.physics.meshes import tetrahedralise
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.shapes import build
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Control
from tussle.server.solver.kernels import warm_up

__all__ = ["deflection", "main"]

YOUNG = 1e7
SIZE = (1.0, 0.1, 0.1)
Element = Literal["linear", "averaged"]
Integrator = Literal["implicit_euler", "bdf2"]
ELEMENTS: tuple[Element, ...] = ("linear", "averaged")
INTEGRATORS: tuple[Integrator, ...] = ("implicit_euler", "bdf2")


def deflection(mesh: Mesh, poisson: float, element: Element) -> tuple[float, float, float]:
    """The static deflection of a beam as a share of Timoshenko's, iterations, and CPU time [ms] of one of them."""
    left = np.flatnonzero(mesh.vertices[:, 0] < mesh.vertices[:, 0].min() + 1e-6)
    material = Material(density=1000.0, stiffness=YOUNG, poisson=poisson, element=element)
    body = Body("beam", Recipe("mesh", {}), material, "elastic", pins=(Pin(tuple(left.tolist())),))
    scene = Scene(bodies=(body,), gravity=(0.0, -1.0, 0.0), dt=0.1, tolerance=1e-7, max_iterations=60)
    model, state = compile_scene(scene, load_mesh=lambda recipe: mesh)
    start, iterations = state.q.copy(), 0
    began = time.thread_time()
    for _ in range(4):
        state, report = step(model, state, Control(halt=True), dt=20.0)
        iterations += report.iterations
    spent = 1e3 * (time.thread_time() - began)
    tip = -(state.q - start)[start[:, 0] > start[:, 0].max() - 1e-6, 1].mean()
    long, high, wide = SIZE
    load, inertia = 1000.0 * high * wide, wide * high**3 / 12
    shear = YOUNG / (2 * (1 + poisson)) * 5 / 6 * high * wide
    right = load * long**4 / (8 * YOUNG * inertia) + load * long**2 / (2 * shear)
    return float(tip / right), iterations, spent / iterations


def beams(fine: bool) -> Iterator[tuple[str, Mesh]]:
    """The meshes of the beam, by name."""
    for cells in ((20, 2, 2), (40, 4, 4), *(((60, 6, 6),) if fine else ())):
        yield "block", build(Recipe("block", {"size": list(SIZE), "cells": list(cells)}))
    yield "filled", tetrahedralise(build(Recipe("box", {"size": list(SIZE)})), edge_length=0.035)


def kept_spin(integrator: Integrator) -> float:
    """The share of a spin of 5 rad/s that a free box keeps after a second of ticks of 1/60 s."""
    body = Body("box", Recipe("box", {"size": [0.3, 0.2, 0.2]}), Material(1000.0, 1e8), spin=(0.0, 0.0, 5.0))
    model, state = compile_scene(Scene(bodies=(body,), gravity=(0.0, 0.0, 0.0), integrator=integrator))
    for _ in range(60):
        state, _ = step(model, state)
    return float(np.cross(state.q[1], state.v[1])[2] / (state.q[1] @ state.q[1]) / 5.0)


def bounce(restitution: float) -> float:
    """The height to which a box that fell 1 m comes back, as a share of restitution^2 m."""
    slab = Body("ground", Recipe("slab", {"size": [4, 0.3, 4]}), Material(1000.0), "static")
    ball = Body(
        "ball", Recipe("sphere", {"radius": 0.1}), Material(1000.0, 1e8, restitution=restitution), position=(0, 1.11, 0)
    )  # fmt: skip
    model, state = compile_scene(Scene(bodies=(slab, ball), integrator="bdf2"))
    heights: list[float] = []
    for _ in range(90):
        state, _ = step(model, state)
        heights.append(float(state.q[0, 1]))
    low = int(np.argmin(heights[:40]))
    return (max(heights[low:]) - heights[low]) / restitution**2


def rows(fine: bool) -> Iterator[tuple[Any, ...]]:
    """The lines of the table."""
    for name, mesh in beams(fine):
        for poisson in (0.3, 0.49):
            for element in ELEMENTS:
                share, iterations, spent = deflection(mesh, poisson, element)
                case = f"cantilever, {name} of {len(mesh.vertices)} vertices, nu {poisson}, {element}"
                yield case, f"{share:.3f}", "1", iterations, f"{spent:.1f}"
    for integrator in INTEGRATORS:
        yield f"free spin after 1 s, {integrator}", f"{kept_spin(integrator):.3f}", "1", "", ""
    yield "height of a bounce, restitution 0.8", f"{bounce(0.8):.3f}", "1", "", ""


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fine", action="store_true", help="also a block of 2,989 vertices")
    options = parser.parse_args()
    warm_up()
    lines = ["| case | computed | right | iterations | ms an iteration |", "|---|---|---|---|---|"]
    sys.stdout.write("\n".join(lines) + "\n")
    for row in rows(options.fine):
        lines.append("| " + " | ".join(map(str, row)) + " |")
        sys.stdout.write(lines[-1] + "\n")
        sys.stdout.flush()
    text = "# Scenes with known answers\n\nTimes were measured on a machine that other work shared.\n\n"
    (RESULTS / "accuracy.md").write_text(text + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
