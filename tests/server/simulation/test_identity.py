"""The physics id covers every module that the simulation can import, and nothing of the store or of sessions."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tussle.server.simulation.identity import find_modules, hash_modules, imported_names, origin, physics_id

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
    within = (  # environment: the setting MODES; files, mesh_files, ready_meshes: a mesh is read by its hash
        "tussle.lobby.cpu_baseline", "tussle.lobby.errors", "tussle.lobby.rules", "tussle.lobby.environment",
        "tussle.lobby.machine_code", "tussle.lobby.files", "tussle.lobby.mesh_files",
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


def imports_of(tree: ast.AST) -> Iterator[str]:
    """The dotted names that a syntax tree imports at run time, as ``imported_names`` yields them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from imports_of(ast.Module(body=node.orelse, type_ignores=[]))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imports_of(node)


@pytest.mark.parametrize("folder", ["lobby", "server", "worker", "player", "cli", "env"])
def test_no_import_is_overlooked(folder: str) -> None:
    """The names that are found in the text of a module are those of its syntax tree, and more only where a text has a
    line that looks like an import."""
    for path in (ROOT / folder).rglob("*.py"):
        tree = ast.parse(path.read_text())
        found, real = set(imported_names(path.read_text())), set(imports_of(tree))
        assert real <= found, path
        for name in found - real:
            texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
            assert any(isinstance(text, str) and "import " in text for text in texts), (path, name)


def test_only_types_are_left_out() -> None:
    """A block under ``if TYPE_CHECKING`` is left out to its end; comments and parentheses are read over."""
    source = (
        "import a.b, c\nfrom d import (  # for (all)\n    e as f,\n    g,\n)\nif TYPE_CHECKING:\n"
        "    from h import i\n\n    import j\nelse:\n    from k import l\n\ndef m():\n"
        "    import n as o\n    from .p import q\n"
    )
    assert [*imported_names(source)] == ["a.b", "c", "d", "d.e", "d.g", "k", "k.l", "n"]


def test_nothing_is_imported_to_find_them() -> None:
    """A server computes the id at its start: numba and the solver are not loaded for it."""
    program = f"{PROGRAM}; import sys; print('numba' in sys.modules, 'tussle.server.simulation.world' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [physics_id(), "False", "False"]


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
