"""The physics id covers every module that the simulation can import, and nothing of the store or of sessions."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tussle.server.simulation.identity import find_modules, hash_modules, origin, physics_id

MODULES = find_modules()
PROGRAM = "from tussle.server.simulation.identity import physics_id; print(physics_id())"


def id_in(checkout: Path) -> str:
    """The physics id that a new process computes from a checkout."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_the_world_and_the_rules_are_covered() -> None:
    """The world, the wire's frames, the shared rules, every mode and the solver are in the closure."""
    assert {
        "tussle.lobby.rules.actions",
        "tussle.lobby.rules.scenes",
        "tussle.lobby.rules.slots",
        "tussle.lobby.rules.spring",
        "tussle.lobby.rules.turns",
        "tussle.lobby.wire.frames",
        "tussle.server.modes.curling.curling",
        "tussle.server.modes.duel.duel",
        "tussle.server.modes.sandbox.sandbox",
        "tussle.server.modes.spring_damper.spring_damper",
        "tussle.server.physics.solver",
        "tussle.server.simulation.simulation",
        "tussle.server.simulation.world",
    } <= set(MODULES)


def test_the_closure_is_small() -> None:
    """No setting but MODES, nor the store, the sessions or any other part of a server changes the id."""
    within = (  # environment: the setting MODES; mesh_files, ready_meshes: a mesh is read by its hash
        "tussle.lobby.cpu_baseline", "tussle.lobby.errors", "tussle.lobby.rules", "tussle.lobby.environment",
        "tussle.lobby.machine_code", "tussle.lobby.mesh_files",
        "tussle.lobby.ready_meshes", "tussle.lobby.wire",
        "tussle.server.modes", "tussle.server.physics", "tussle.server.simulation",
    )  # fmt: skip
    packages = {"tussle", "tussle.lobby", "tussle.server"}
    strays = [
        name
        for name in MODULES
        if name not in packages and not f"{name}.".startswith(tuple(f"{w}." for w in within))
    ]
    assert strays == []


def test_it_has_what_a_simulation_loads() -> None:
    """Every module of ours that a process has loaded after it stepped a world is in the closure."""
    program = """
import sys
from tussle.server.simulation.simulation import SessionSpec, Simulation
from tussle.server.modes.mode import Seat
seat = Seat(seat=0, player="p", name="P", kind="bot", skill="good", body="")
world, _ = Simulation.start(SessionSpec("T", "spring-damper", (seat,), {}, 1))
world.advance([], 2), world.checkpoint()
print(sorted(name for name in sys.modules if name.partition(".")[0] == "tussle"))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(ast.literal_eval(done.stdout)) <= set(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_one_byte_of_any_module_changes_the_hash(name: str, tmp_path: Path) -> None:
    """A copy of the module with one more byte gives another hash; an equal copy elsewhere gives the same."""
    before = hash_modules(MODULES)
    copy = tmp_path / "copy.py"
    copy.write_bytes(MODULES[name].read_bytes())
    assert hash_modules({**MODULES, name: copy}) == before
    copy.write_bytes(MODULES[name].read_bytes() + b"\n")
    assert hash_modules({**MODULES, name: copy}) != before


def test_modules_of_one_base_name_are_distinct(tmp_path: Path) -> None:
    """Two files that change places give another hash, though their base names are equal."""
    one, two = tmp_path / "one" / "bot.py", tmp_path / "two" / "bot.py"
    for path in (one, two):
        path.parent.mkdir()
        path.write_text(f"# {path.parent.name}\n")
    assert hash_modules({"a.bot": one, "b.bot": two}) != hash_modules({"a.bot": two, "b.bot": one})


def test_the_id_follows_the_sources_of_a_checkout(tmp_path: Path) -> None:
    """Another place has the same id; one changed byte in world.py or in a shared rule gives another one; a change of
    the sessions gives none."""
    for folder in ("tussle", "lobby", "server"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    assert id_in(tmp_path) == physics_id()
    with (tmp_path / "server/sessions/core.py").open("a") as file:
        file.write("\n")
    assert id_in(tmp_path) == physics_id()
    ids = {physics_id()}
    for changed in ("server/simulation/world.py", "lobby/rules/turns.py"):
        with (tmp_path / changed).open("a") as file:
            file.write("\n")
        ids.add(id_in(tmp_path))
    assert len(ids) == 3


def test_the_id_is_short_and_its_parts_are_named() -> None:
    """Sixteen hexadecimal digits; the parts that it hashes have names."""
    assert len(physics_id()) == 16 and int(physics_id(), 16) >= 0
    assert {"numpy", "numba", "ipctk", "python", "machine", "cpu", "source"} <= set(origin())
