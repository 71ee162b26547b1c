"""The import rules of ARCHITECTURE.md, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGES = ("lobby", "server", "worker", "player", "cli")

ALLOWED: dict[str, set[str]] = {
    "lobby": {"lobby"},
    "server": {"lobby", "server"},
    "worker": {"lobby", "worker"},
    "player": {"lobby", "player"},
    "cli": {"lobby", "server", "worker", "player", "cli", "build_db"},
    "build_db": {"lobby"},
}

EXCEPTIONS: dict[str, set[str]] = {
    # A bot plays by the mode's own rules, and the planner looks ahead with the session's own solver.
    "player.bots": {"server.modes"},
    "player.planner": {"server.modes", "server.physics", "server.simulation", "server.solver.packages"},
    # The bridge observes sessions with the client.
    "worker.bridge": {"player.client"},
}

ONLY_IMPORTER: dict[str, set[str]] = {
    "redis": {"lobby.store.store"},
    "websockets": {
        "server.gateway.gateway",
        "server.gateway.relay_client",
        "server.gateway.relay_server",
        "server.gateway.socket",
        "player.connection",
        "player.live_client",
    },
    "ipctk": {"server.physics"},
    "numba": {"server.physics"},
}

PHYSICS_BANNED = {"asyncio", "redis", "time", "datetime", "logging", "structlog", "random", "websockets"}


def modules() -> dict[str, Path]:
    found = {"build_db": ROOT / "build_db.py"}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if "node_modules" not in path.parts:
                found[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("tussle.") for name in names}


MODULES = modules()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_what_its_layer_may(name: str) -> None:
    """lobby imports no other package of Tussle; server, worker, player and build_db import lobby; cli imports all."""
    package = name.split(".")[0]
    for imported in imports_of(MODULES[name]):
        top = imported.split(".")[0]
        if top not in (*PACKAGES, "build_db") or top in ALLOWED[package]:
            continue
        allowed = EXCEPTIONS.get(name, set())
        assert any(
            imported == one or imported.startswith(one + ".") or one.startswith(imported + ".")
            for one in allowed
        ), f"{name} imports {imported}"


@pytest.mark.parametrize("library", sorted(ONLY_IMPORTER))
def test_only_listed_modules_import_a_library(library: str) -> None:
    """redis, websockets and the physics libraries are imported only by the modules of ONLY_IMPORTER."""
    for name, path in MODULES.items():
        if any(imported.split(".")[0] == library for imported in imports_of(path)):
            assert any(
                name == allowed or name.startswith(allowed + ".") for allowed in ONLY_IMPORTER[library]
            ), f"{name} imports {library}"


def test_physics_imports_no_clock_store_or_log() -> None:
    """server/physics, the modes and the simulation import no clock, event loop, store or log."""
    for name, path in MODULES.items():
        if name.startswith(("server.physics.", "server.modes", "server.simulation")):
            banned = {imported.split(".")[0] for imported in imports_of(path)} & PHYSICS_BANNED
            assert not banned, f"{name} imports {banned}"


def test_every_test_folder_is_a_package() -> None:
    """Every test folder has an __init__.py, so that equal module names do not collide."""
    for folder in [ROOT / "tests", *(path for path in (ROOT / "tests").rglob("*") if path.is_dir())]:
        if folder.name != "__pycache__" and list(folder.glob("*.py")):
            assert (folder / "__init__.py").exists(), folder
