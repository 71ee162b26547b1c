"""``python -m bench.physics.long``: what the tests of the defaults check in seconds, over its whole length.

Ten aligned cubes stand for a minute, the card house for twenty seconds, and boxes that meet head-on, turned in any way,
end on their own sides. Prints how far bodies moved and the cost.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from tussle.lobby.rules.scenes import Body, Material, Recipe, Scene
from tussle.lobby.rules.templates import make_template
from tussle.server.physics.model import centres
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step

__all__ = ["main"]

STONE = Material(density=1000.0, stiffness=5e7)
GROUND = Body("ground", Recipe("slab", {"size": [6, 0.5, 6]}), Material(density=1.0), "static")


def stand(name: str, scene: Scene, seconds: float) -> None:
    """Simulate a structure and print how far its bodies moved after the first second."""
    model, state = compile_scene(scene)
    settled = centres(model, state)
    settle, ticks = round(1.0 / scene.dt), round(seconds / scene.dt)
    began, capped = time.process_time(), 0
    for tick in range(ticks):
        if tick == settle:
            settled = centres(model, state)
        state, report = step(model, state)
        capped += not report.converged
    cost = (time.process_time() - began) / ticks * 1e3
    moved = float(np.abs(centres(model, state) - settled).max())
    speed = moved / (seconds - 1.0) * 1e3
    sys.stdout.write(
        f"| {name}, {seconds:g} s | moved {moved:.1e} m, {speed:.1e} mm/s | {capped} capped | {cost:.2f} ms a tick |\n"
    )


def meet(speed: float, dt: float, count: int) -> None:
    """Let pairs of boxes of 0.1 m meet head-on, and print how many ended on the far side."""
    rng, passed, began = np.random.default_rng(7), 0, time.process_time()
    for _ in range(count):
        left, right = rng.normal(size=(2, 4)).tolist()
        box = Recipe("box", {"size": [0.1] * 3})
        bodies = (
            Body("a", box, STONE, position=(-0.5, 0, 0), velocity=(speed, 0, 0), rotation=tuple(left)),
            Body("b", box, STONE, position=(0.5, 0, 0), velocity=(-speed, 0, 0), rotation=tuple(right)),
        )
        model, state = compile_scene(Scene(bodies=bodies, gravity=(0, 0, 0), dt=dt))
        for _ in range(round(0.3 / dt)):
            state, _ = step(model, state)
        passed += bool(centres(model, state)[0, 0] > centres(model, state)[1, 0])
    cost = (time.process_time() - began) / count / round(0.3 / dt) * 1e3
    sys.stdout.write(
        f"| head-on, {speed:g} m/s each, dt 1/{1 / dt:.0f} | {passed} of {count} passed | | {cost:.2f} ms a tick |\n"
    )


def main() -> None:
    """Run all of it."""
    cubes = [
        Body(f"c{i}", Recipe("box", {"size": [0.2] * 3}), STONE, position=(0, 0.105 + i * 0.205, 0))
        for i in range(10)
    ]
    stand("ten cubes", Scene(bodies=(GROUND, *cubes)), 60.0)
    cards = make_template("card-house").scene
    stand("card house, default numbers", Scene(bodies=cards.bodies, dhat=cards.dhat), 20.0)
    for dt in (1 / 60, 1 / 30):
        for speed in (5.0, 7.0, 9.0):
            meet(speed, dt, 25)


if __name__ == "__main__":
    main()
