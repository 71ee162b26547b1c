"""Compile every kernel once, in one process, before sessions need them.

The machine code is cached on disk (``NUMBA_CACHE_DIR``, or beside the sources), so later processes load it in about a
second. Two processes that compile at once take twice as long each: warm up first, then start the pool.
"""

from __future__ import annotations

from collections.abc import Callable

from tussle.lobby.rules.scenes import Body, Handle, Material, Recipe, Scene
from tussle.server.physics.contact_check import check_contact
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Control, HandleTarget

__all__ = ["warm_up"]


def warm_up(progress: Callable[[str, float], None] = lambda stage, share: None) -> None:
    """Compile or load all kernels by one step of a small world with every kind of body.

    ``progress`` is called with a stage and the fraction done, 0 to 1.
    """
    stone = Material(density=500.0)
    cube = Recipe("box", {"size": [0.3, 0.3, 0.3]})
    bodies = (
        Body("ground", Recipe("slab", {"size": [4, 0.2, 4]}), stone, kind="static"),
        Body("a", cube, stone, position=(0.0, 0.155, 0.0), handles=(Handle("top", (0,)),)),
        Body("b", cube, Material(density=500.0, restitution=0.5), position=(0.0, 0.465, 0.0)),
        Body(
            "c",
            Recipe("block", {"size": [0.3] * 3, "cells": [1, 1, 1]}),
            stone,
            "elastic",
            position=(0.0, 0.775, 0.0),
        ),
    )
    progress("compiling the scene", 0.0)
    model, state = compile_scene(Scene(bodies=bodies))
    progress("compiling the step", 0.05)
    pull = HandleTarget(model.body("a"), "top", (1.0, 1.0, 0.0), 100.0, 1.0, 50.0)
    state, _ = step(model, state, Control(handles=(pull,)))
    progress("checking the step", 0.95)
    assert check_contact(model, state).passed
    progress("ready", 1.0)
