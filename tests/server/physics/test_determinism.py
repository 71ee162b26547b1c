"""Equal inputs give equal states, bit for bit, in any process and from any checkpoint."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.worlds import RUBBER, block, contender, cube, ground, octagon, scene, yaw
from tussle.lobby.launch import child_environment
from tussle.lobby.machine_code import compiled_mark
from tussle.lobby.rules.scenes import Body, Handle, Material, Recipe, Scene, decode_scene, encode_scene
from tussle.server.physics.checkpoint import decode_state, encode_state, state_hash
from tussle.server.physics.fingerprint import kernel_hash, versions
from tussle.server.physics.model import Model
from tussle.server.physics.scene_compiler import compile_scene
from tussle.server.physics.solver import step
from tussle.server.physics.world_state import Control, HandleTarget, State

TICKS = 60


def melee() -> Scene:
    """Three catalogue bodies that charge the middle of the Octagon."""
    return scene(
        [octagon(), *[contender(n, n, angle=2.1 * k, turn=k) for k, n in enumerate(("halo", "crux", "marl"))]]
    )


def mixed() -> Scene:
    """Affine and elastic bodies piled up, one dragged by a handle."""
    return scene(
        [
            ground(),
            cube("a", position=(0, 0.16, 0), handles=(Handle("top", (2, 3)),)),
            block("b", position=(0.05, 0.5, 0)),
            block("c", position=(0, 0.85, 0.05)),
        ]
    )


def averaged() -> Scene:
    """A nearly incompressible block of averaged elements that falls on a corner, and a cube on it."""
    jelly = Material(density=1000.0, stiffness=5e4, poisson=0.49, element="averaged")
    return scene(
        [
            ground(),
            block("a", material=jelly, position=(0, 0.35, 0), rotation=(0.9, 0.3, 0.2, 0.1)),
            cube("b", position=(0.05, 0.75, 0)),
        ]
    )


def soft() -> Scene:
    """Elastic beams whose systems are dissected, across each other and on an affine body.

    They are small: an emulated CPU runs this too (test_golden.py), and QEMU sorts more than 512 numbers wrongly.
    """
    beam = Recipe("block", {"size": [0.3, 0.3, 0.6], "cells": [2, 2, 4]})
    return scene(
        [
            ground(),
            Body("a", beam, RUBBER, "elastic", position=(0, 0.17, 0)),
            Body("b", beam, RUBBER, "elastic", position=(0.05, 0.49, 0.02), rotation=yaw(1.5)),
            cube("c", position=(-0.05, 0.81, 0)),
        ],
        dt=1 / 30,
    )


WORLDS = {"averaged": averaged, "melee": melee, "mixed": mixed, "soft": soft}


def inputs(name: str, tick: int) -> Control:
    if name == "melee" and tick in (0, 30):
        return Control(
            velocity_change={
                k: ((-3 * math.cos(2.1 * k), 1.0, -3 * math.sin(2.1 * k)), (0, 9, 0)) for k in range(3)
            }
        )
    if name == "mixed" and tick > 10:
        return Control(handles=(HandleTarget(0, "top", (0.02 * tick, 1.0, 0.0), 600.0, 20.0, 800.0),))
    return Control()


def hashes(name: str, model: Model, state: State, ticks: range) -> list[str]:
    out = []
    for tick in ticks:
        state, _ = step(model, state, inputs(name, tick))
        out.append(state_hash(state))
    return out


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_same_process(name: str) -> None:
    """Two runs in one process agree at every tick, also on a scene that went through JSON."""
    runs = [
        hashes(name, *compile_scene(s), range(TICKS))
        for s in (WORLDS[name](), decode_scene(encode_scene(WORLDS[name]())))
    ]
    assert runs[0] == runs[1] and len(set(runs[0])) == TICKS


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_from_a_checkpoint(name: str) -> None:
    """A run restored from the bytes of a state, in a newly compiled model, agrees with the uninterrupted run."""
    model, state = compile_scene(WORLDS[name]())
    whole = hashes(name, model, state, range(TICKS))
    for tick in range(TICKS // 2):
        state, _ = step(model, state, inputs(name, tick))
    again, _ = compile_scene(WORLDS[name]())
    rest = hashes(name, again, decode_state(encode_state(state)), range(TICKS // 2, TICKS))
    assert rest == whole[TICKS // 2 :]


def test_from_every_tick() -> None:
    """A run that is restored from bytes in a newly compiled model at each of 200 ticks agrees with one that goes on:
    nothing else survives a tick."""
    model, state = compile_scene(soft())
    restored = state
    for tick in range(200):
        state, _ = step(model, state, inputs("soft", tick))
        again, _ = compile_scene(soft(), check=False)
        restored, _ = step(again, decode_state(encode_state(restored)), inputs("soft", tick))
        assert state_hash(restored) == state_hash(state), tick


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, str]:
    """World -> the hash of its last tick, in another process, one world after the other."""
    program = (
        "from tests.server.physics import test_determinism as t; print(*map(t.last_hash, sorted(t.WORLDS)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return dict(zip(sorted(WORLDS), finished.stdout.split(), strict=True))


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_fresh_process(name: str, elsewhere: dict[str, str]) -> None:
    """Another process agrees at the last tick."""
    assert elsewhere[name] == last_hash(name)


TRANSLATIONS = Path(__file__).parent / "translations.json"

BUILT = """
import gc, sys
gc.disable()  # compiling makes millions of small objects: a sixth of the time
from tussle.lobby.whole_program import compare_quickly
with compare_quickly():
    from tests.support.built_scene import built_hash
    print(built_hash(40, sys.argv[1]))
"""


@pytest.mark.timeout(600)
def test_compiled_and_loaded(tmp_path: Path) -> None:
    """A process that compiles the kernels, one that loads them, and one that loads what was compiled as one program
    (lobby/whole_program.py) agree. Each runs other translations of one source: a function's own, or the one within its
    caller. What the first two gave is recorded for these kernels and this compiler, and is not computed again."""
    environment = child_environment()
    whole = built(environment, tmp_path)
    if TRANSLATIONS.read_text() == recorded(whole):
        return
    own = environment | {"NUMBA_CACHE_DIR": str(tmp_path)}
    compiled, loaded = built(own, tmp_path), built(own, tmp_path)
    assert compiled == loaded == whole
    warnings.warn(
        f"{TRANSLATIONS.name} is old: python -m tests.server.physics.test_determinism", stacklevel=1
    )


def built(environment: dict[str, str], folder: Path) -> str:
    """The hash of the built scene, from a process with that environment."""
    finished = subprocess.run(
        [sys.executable, "-c", BUILT, str(folder)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=500,
    )  # fmt: skip
    return finished.stdout.strip()


def recorded(built_hash: str) -> str:
    """The text of TRANSLATIONS that says that all translations of the present kernels give this hash."""
    known = {
        "kernels": kernel_hash(),
        "compiler": compiled_mark(),
        "ipctk": versions()["ipctk"],
        "hash": built_hash,
    }
    return json.dumps(known, indent=1) + "\n"


def last_hash(name: str, ticks: int = TICKS) -> str:
    return hashes(name, *compile_scene(WORLDS[name]()), range(ticks))[-1]


def test_branches_do_not_disturb_each_other() -> None:
    """Stepping ahead from a state does not change another run from the same state."""
    model, state = compile_scene(melee())
    alone = hashes("melee", model, state, range(20))
    for tick in range(10):
        state, _ = step(model, state, inputs("melee", tick))
    ahead = state
    for _ in range(15):
        ahead, _ = step(model, ahead, Control(velocity_change={1: ((0, 2, 0), (3, 0, 0))}))
    assert hashes("melee", model, state, range(10, 20)) == alone[10:]


if __name__ == "__main__":  # compiles everything: minutes
    with tempfile.TemporaryDirectory() as empty:
        places = child_environment()
        results = {
            built(where, Path(empty)) for where in (places, places | {"NUMBA_CACHE_DIR": empty}) for _ in "ab"
        }
    assert len(results) == 1, results
    TRANSLATIONS.write_text(recorded(*results))
