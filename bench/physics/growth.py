"""``python -m bench.physics.growth [--only B] [--before FOLDER] [--mkl LIBRARY]``: how the cost grows with the world.

A: one elastic cube of 1,000, 2,197 and 4,913 vertices that falls on the ground. B: 100, 300 and 500 affine boxes that
fall into a bowl. Each scene is a process of its own. With ``--before``, the checkout in that folder runs the same
scenes, in turns with this one; with ``--mkl``, MKL's PARDISO factorises the matrix of A (libmkl_rt.so, one thread).
Times are CPU time. Prints tables and exponents.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene
from tussle.server.physics.elasticity import new_scratch, tet_derivatives
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.warmup import warm_up

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
CELLS = {9: 10, 12: 8, 16: 5}
"""Cells along the cube of A, and the ticks that are run."""
BOXES = {100: 120, 300: 120, 500: 120}
"""Boxes of B, and the ticks. The second half is measured: the boxes fall before."""
CHILD = (
    "import json, sys; sys.path.insert(0, sys.argv[1]); "
    "import importlib.util as u; s = u.spec_from_file_location('growth', sys.argv[2]); m = u.module_from_spec(s); "
    "s.loader.exec_module(m); print(json.dumps(m.run(sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))))"
)


def elastic(cells: int) -> Scene:
    """One elastic cube of 0.5 m, turned, above the ground."""
    ground = Body(
        "ground", Recipe("slab", {"size": [4, 1, 4]}), Material(density=1000.0, friction=0.5), "static"
    )
    soft = Material(density=1000.0, stiffness=1e5, poisson=0.4)
    shape = Recipe("block", {"size": [0.5] * 3, "cells": [cells] * 3})
    cube = Body("a", shape, soft, "elastic", position=(0, 0.34, 0), rotation=(0.99, 0.08, 0.05, 0.1))
    return Scene(bodies=(ground, cube), dt=1 / 30, max_iterations=25, contact_mass=125.0)


def boxes(count: int) -> Scene:
    """Affine boxes of 0.15 m above a bowl."""
    rng = np.random.default_rng(1)
    shape = Recipe("bowl", {"radius": max(1.0, 0.32 * count ** (1 / 3)), "n": 20, "rings": 8})
    bodies = [Body("bowl", shape, Material(density=1000.0, friction=0.4), "static")]
    side = max(2, math.ceil((count / 3) ** (1 / 3)))
    for k in range(count):
        w, x, y, z = rng.normal(size=4).tolist()
        column, row, layer = k % side, k // side % side, k // side**2
        place = ((column - (side - 1) / 2) * 0.3, 0.85 + 0.3 * layer, (row - (side - 1) / 2) * 0.3)
        stone = Material(density=1000.0, stiffness=5e7)
        bodies.append(
            Body(f"b{k}", Recipe("box", {"size": [0.15] * 3}), stone, position=place, rotation=(w, x, y, z))
        )
    return Scene(bodies=tuple(bodies))


def run(kind: str, size: int, ticks: int) -> dict[str, float]:
    """Step a scene; return ms a step, ms an iteration, iterations a step and the share of ticks that were capped, of
    those that are measured and of all (``ever``)."""
    warm_up()
    model, state = compile_scene(elastic(size) if kind == "A" else boxes(size))
    spent, iterations, capped, counted, ever = 0.0, 0, 0, 0, 0
    for tick in range(ticks):
        began = time.process_time()
        state, report = step(model, state)
        ever += not report.converged
        if kind == "A" or tick >= ticks // 2:
            spent += time.process_time() - began
            iterations += report.iterations
            capped += not report.converged
            counted += 1
    return {
        "step": spent * 1e3 / counted, "iteration": spent * 1e3 / iterations,
        "iterations": iterations / counted, "capped": capped / counted, "ever": ever / ticks,
    }  # fmt: skip


def spawn(folder: Path, kind: str, size: int, ticks: int) -> dict[str, float]:
    """Run a scene with the checkout in a folder, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(Path(__file__).resolve()), kind, str(size), str(ticks)],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def matrix(cells: int) -> Any:
    """The upper triangle of the system of A before it falls, sparse by rows."""
    model, state = compile_scene(elastic(cells))
    t = model.tables
    block, gradient, scratch = np.empty((12, 12)), np.zeros_like(state.q), new_scratch()
    rows, columns, values = [], [], []
    for e, corners in enumerate(t.tets):
        tet_derivatives(
            state.q, t.tets, e, t.inverse, t.volume, t.mu, t.lam, model.dt**2, scratch, gradient, block
        )
        places = (3 * corners[:, None] + np.arange(3)).ravel()
        rows.append(np.repeat(places, 12))
        columns.append(np.tile(places, 12))
        values.append(block.ravel().copy())
    size = 3 * len(state.q)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    full = sparse.csr_array(entries, shape=(size, size)) + sparse.diags_array(np.repeat(t.node_mass, 3))
    upper = sparse.csr_array(sparse.triu(full))
    upper.sort_indices()
    return upper


def pardiso(library: Path, upper: Any) -> float:
    """The time of one numerical factorisation by PARDISO [ms], the least of three; nested dissection, one thread."""
    os.environ["MKL_THREADING_LAYER"] = "SEQUENTIAL"
    call = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL).pardiso
    handle, options = np.zeros(64, np.int64), np.zeros(64, np.int32)
    options[[0, 1, 9]] = 1, 2, 8
    ia, ja = (upper.indptr + 1).astype(np.int32), (upper.indices + 1).astype(np.int32)
    a, b = upper.data.astype(np.float64), np.ones(upper.shape[0])
    x, none, error = np.empty_like(b), np.zeros(1, np.int32), ctypes.c_int32(0)

    def phase(number: int) -> float:
        def at(value: int) -> Any:
            return ctypes.byref(ctypes.c_int32(value))

        def data(array: Any) -> Any:
            return array.ctypes.data_as(ctypes.c_void_p)

        began = time.process_time()
        call(
            data(handle), at(1), at(1), at(2), at(number), at(upper.shape[0]), data(a), data(ia), data(ja),
            data(none), at(1), data(options), at(0), data(b), data(x), ctypes.byref(error),
        )  # fmt: skip
        assert error.value == 0, error.value
        return (time.process_time() - began) * 1e3

    phase(11)
    spent = min(phase(22) for _ in range(3))
    phase(33)
    full = upper + sparse.triu(upper, 1).T
    assert np.abs(full @ x - b).max() < 1e-6
    return spent


def exponent(sizes: list[float], times: list[float]) -> float:
    """The exponent between the first and the last."""
    return math.log(times[-1] / times[0]) / math.log(sizes[-1] / sizes[0])


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description="How the cost of a step grows with the world.")
    parser.add_argument("--only", choices=("A", "B"), help="one part of it")
    parser.add_argument("--before", type=Path)
    parser.add_argument("--mkl", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    for kind, scenes in (("A", CELLS), ("B", BOXES)):
        if options.only not in (None, kind):
            continue
        titles = (
            "scene",
            "ms a step",
            "an iteration",
            "iterations",
            "capped",
            "of all ticks",
            "before",
            "ratio",
            "of iterations",
            "PARDISO",
        )
        lines = [f"| {' | '.join(titles)} |", "|---|" + "---|" * 9]
        sizes, times = [], []
        for size, ticks in scenes.items():
            found: list[list[dict[str, float]]] = [[], []] if options.before else [[]]
            for _ in range(options.rounds):
                for folder, results in zip((ROOT, options.before), found, strict=False):
                    results.append(spawn(folder.resolve(), kind, size, ticks))
            now, *then = (
                {key: float(np.median([one[key] for one in results])) for key in results[0]}
                for results in found
            )
            sizes.append((size + 1) ** 3 if kind == "A" else size)
            times.append(now["iteration"] if kind == "A" else now["step"])
            cells = [f"{sizes[-1]} {'vertices' if kind == 'A' else 'boxes'}", f"{now['step']:.2f}"]
            cells += [f"{now['iteration']:.2f}", f"{now['iterations']:.1f}", f"{100 * now['capped']:.1f} %"]
            cells.append(f"{100 * now['ever']:.1f} %")
            for old in then:
                ratio = now["step"] / old["step"]
                cells += [f"{old['step']:.2f}", f"{ratio:.2f}", f"{now['iteration'] / old['iteration']:.2f}"]
            if options.mkl and kind == "A":
                spent = pardiso(options.mkl, matrix(size))
                cells += [""] * (9 - len(cells)) + [f"{spent:.1f}, {now['iteration'] / spent:.2f} x"]
            lines.append("| " + " | ".join([*cells, *[""] * (10 - len(cells))]) + " |")
        lines.append("")
        what = "an iteration" if kind == "A" else "a step"
        lines.append(f"The time of {what} grows with the power {exponent(sizes, times):.2f}.")
        sys.stdout.write("\n".join(lines) + "\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
