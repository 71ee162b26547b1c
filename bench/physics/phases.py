"""The time of each phase of a step, and the gain by islands.

    python -m bench.physics.phases [--out FOLDER]

The solver reads no clock. This program runs the loop of a step as plain Python; each phase is compiled by itself and
timed around the call, less the cost of a call of an empty function. The whole step is also compiled with all bodies in
one island. Writes bench/physics/phases-<machine>.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
import numpy as np

from bench.physics.piles import RESULTS, pile, soft_pile
from tussle.lobby.rules.scenes import Scene
from tussle.server.physics import assembly, line_search, newton, slow_islands, solver
from tussle.server.physics.fingerprint import versions
from tussle.server.physics.jit import OPTIONS, borrow
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.solver.kernels import warm_up

PHASES = {
    "_find_candidates": "candidates and first distances",
    "_sort_by_island": "islands, sorting",
    "lay_out": "pattern and elimination order",
    "add_bodies": "bodies: gradients, positive Hessians",
    "add_contacts": "contact rows",
    "add_friction": "friction rows",
    "solve_system": "block Cholesky and triangular solves",
    "limit_direction": "volume filter, trial positions",
    "collision_free_step": "additive CCD",
    "body_energy": "line search: energies of bodies",
    "contact_energy": "line search: distances and barriers",
    "friction_energy": "line search: friction",
    "_report_contacts": "report",
}
OPENED = ("find_newton_direction", "find_direction", "_fill_system", "_add_terms", "search_line")
"""Functions that run as Python too, because they contain phases."""
GIVING = ("_find_candidates", "_sort_by_island", "lay_out")
"""Phases that return arrays, which they must own. To the others arrays are lent, as in the compiled step."""


def compiled(function: Any) -> Any:
    """Compile the same kernel with an entry from Python, without the disk cache."""
    return numba.njit(**(OPTIONS | {"cache": False}))(function.py_func)


def lent(function: Any, arguments: tuple[Any, ...]) -> Any:
    """Compile a call of a kernel that lends it all arrays, from arguments of these types."""
    names = [f"a{k}" for k in range(len(arguments))]
    passed = [
        f"borrow({n})" if isinstance(a, tuple | np.ndarray) else n
        for n, a in zip(names, arguments, strict=True)
    ]
    scope: dict[str, Any] = {"function": function, "borrow": borrow}
    exec(f"def call({', '.join(names)}): return function({', '.join(passed)})", scope)
    return numba.njit(**(OPTIONS | {"cache": False}))(scope["call"])


class Clock:
    """CPU time per phase [s], less the cost of the calls."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)

    def around(self, name: str, function: Any) -> Callable[..., Any]:
        """Return the compiled function with a timer. The compilation at its first call is not counted."""
        kernel = compiled(function)
        fast = kernel
        empty = numba.njit(lambda *arguments: None)
        cost: list[float] = []

        def timed(*arguments: Any) -> Any:
            nonlocal fast
            if not cost:
                fast = kernel if name in GIVING else lent(kernel, arguments)
                fast.compile(tuple(numba.typeof(a) for a in arguments))
                empty(*arguments)
                tries = []
                for _ in range(20):
                    start = time.perf_counter()
                    empty(*arguments)
                    tries.append(time.perf_counter() - start)
                cost.append(min(tries))
            start = time.thread_time()
            result = fast(*arguments)
            self.spent[name] += max(0.0, time.thread_time() - start - cost[0])
            return result

        return timed


def opened(clock: Clock) -> Callable[..., Any]:
    """Return ``minimise_potential`` as Python, with compiled and timed phases."""
    names: dict[str, Any] = {}
    modules = (assembly, slow_islands, line_search, newton)
    for module in modules:
        for name, function in vars(module).items():
            if hasattr(function, "py_func") and function.py_func.__module__.startswith(
                "tussle.server.physics"
            ):
                names[name] = clock.around(name, function) if name in PHASES else compiled(function)
    names = (
        vars(assembly)
        | vars(slow_islands)
        | vars(line_search)
        | vars(newton)
        | names
        | {"borrow": lambda arrays: arrays}
    )
    for name in (*OPENED, "minimise_potential"):
        source = next(vars(module)[name] for module in modules if name in vars(module))
        names[name] = FunctionType(source.py_func.__code__, names)
    return names["minimise_potential"]  # type: ignore[no-any-return]


@numba.njit
def one_island(pairs: Any, vertex_group: Any, lagged: Any, takes_part: Any) -> Any:
    """Put all bodies that take part into one island."""
    label = np.full(takes_part.shape[0], -1, np.int64)
    count = 0
    for i in range(takes_part.shape[0]):
        if takes_part[i]:
            label[i] = 0
            count = 1
    return label, count


def joined() -> Callable[..., Any]:
    """Return ``minimise_potential``, compiled with one island for all bodies."""
    names = dict(vars(newton)) | {"label_islands": one_island}
    for name in ("_sort_by_island", "minimise_potential"):
        function = FunctionType(vars(newton)[name].py_func.__code__, names)
        names[name] = numba.njit(**(OPTIONS | {"cache": False}))(function)
    return names["minimise_potential"]  # type: ignore[no-any-return]


def run(
    scene: Scene, ticks: int, minimise_potential: Callable[..., Any], begin: Callable[[], None] = lambda: None
) -> Any:
    """Step a scene with a given ``minimise_potential``; return ms a step (n,), iterations a step, the last state."""
    model, state = compile_scene(scene)
    kept, solver.minimise_potential = solver.minimise_potential, minimise_potential
    times, iterations = [], 0
    try:
        for tick in range(ticks):
            if tick == 3:
                begin()
            start = time.thread_time()
            state, report = step(model, state)
            if tick >= 3:
                times.append((time.thread_time() - start) * 1e3)
                iterations += report.iterations
    finally:
        solver.minimise_potential = kept
    return np.array(times), iterations / len(times), state


def phases() -> list[str]:
    """Return the table of phases [ms a step]."""
    scenes = {
        "512 FEM vertices": soft_pile(8, 3),
        "1000 FEM vertices": soft_pile(8, 4),
        "20 affine": pile(20, 1 / 60),
    }
    spent: dict[str, dict[str, float]] = {}
    for name, scene in scenes.items():
        whole, iterations, state = run(scene, 45, solver.minimise_potential)
        clock = Clock()
        _, _, again = run(scene, 45, opened(clock), clock.spent.clear)
        if not np.array_equal(state.q, again.q):
            sys.stdout.write(
                f"note: {name} differs in its last bits when its phases are compiled one by one\n"
            )
        share = {key: clock.spent[key] / len(whole) * 1e3 for key in PHASES}
        rest = whole.mean() - sum(share.values())
        spent[name] = share | {"": rest, "whole": whole.mean(), "iterations": iterations}
    lines = [f"| phase | {' | '.join(scenes)} |", "|---|" + "---|" * len(scenes)]
    for key, words in (PHASES | {"": "the rest, and error", "whole": "**a whole step**"}).items():
        lines.append(f"| {words} | {' | '.join(f'{spent[name][key]:.2f}' for name in scenes)} |")
    counts = " | ".join(f"{spent[name]['iterations']:.1f}" for name in scenes)
    lines.append(f"| Newton iterations | {counts} |")
    return lines


def islands() -> list[str]:
    """Return the table of the gain by separate iterations of each island."""
    together = joined()
    lines = ["| scene | islands: median, p95 ms | one island | gain of the mean |", "|---|---|---|---|"]
    for name, scene, ticks in (
        ("20 affine, 1/60", pile(20, 1 / 60), 120),
        ("50 affine, 1/30", pile(50, 1 / 30), 60),
        ("512 FEM vertices", soft_pile(8, 3), 45),
        ("1000 FEM vertices", soft_pile(8, 4), 45),
    ):
        apart, _, _ = run(scene, ticks, solver.minimise_potential)
        one, _, _ = run(scene, ticks, together)
        figures = [f"{np.median(t):.2f}, {np.percentile(t, 95):.2f}" for t in (apart, one)]
        lines.append(f"| {name} | {figures[0]} | {figures[1]} | {one.mean() / apart.mean():.2f} x |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Where a step's time goes.")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    warm_up()
    text = "\n".join([
        "# Where a step's time goes", "",
        "Piles of elastic and of affine cubes as in bench/physics, mean of all steps but three, ms a step.", "",
        *phases(), "",
        "## What islands save", "",
        "The same step compiled with all bodies in one island, as a solver without islands would have them.", "",
        *islands(), "",
    ])  # fmt: skip
    sys.stdout.write(text)
    (options.out / f"phases-{versions()['cpu']}.md").write_text(text)


if __name__ == "__main__":
    main()
