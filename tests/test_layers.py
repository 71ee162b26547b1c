"""The import rules of ARCHITECTURE.md, read from the source: layers, cycles, and the importers of each library."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.syntax import calls, statements, tree_of

PACKAGES = ("lobby", "server", "worker", "player", "env", "cli", "tussle")
BESIDE = ("bench", "tests", "examples", "docs", "compose")
"""Folders of programs that are not in the wheel: nothing of PACKAGES imports them, and they too have no cycle."""

ALLOWED: dict[str, set[str]] = {
    "lobby": {"lobby"},
    "server": {"lobby", "server"},
    "worker": {"lobby", "worker"},
    "player": {"lobby", "player"},
    # It simulates as a solver process does, without the rest of a server.
    "env": {"lobby", "env"},
    "cli": {"lobby", "server", "worker", "player", "cli", "build_db"},
    "tussle": {"lobby", "server", "worker", "player", "cli", "build_db", "tussle"},
    "build_db": {"lobby"},
}
"""Package -> packages that it may import. ``tussle`` is the public API and only re-exports."""

EXCEPTIONS: dict[str, set[str]] = {
    # A bot plays by the mode's own rules, and the planner looks ahead with the session's own solver.
    "player.bots": {"server.modes"},
    "player.planner": {
        "server.modes",
        "server.simulation",
        "server.solver.kernels",
        "server.solver.packages",
    },
    # A recording in files is read by the recordings' own code.
    "player.recording_client": {"server.recordings"},
    "player.upload_client": {"server.recordings"},
    # A worker finishes recordings by the recordings' own code.
    "worker.compaction": {"server.recordings"},
    "worker.mesh_retention": {"server.recordings"},
    "worker.recording_listing": {"server.recordings"},
    "worker.retention": {"server.recordings"},
    # An environment is a session's simulation; its picture has the colours of exported ones.
    "env.episode": {"server.modes", "server.simulation"},
    "env.duel_env": {"server.modes.duel.state"},
    "env.solo_env": {"server.modes.registry"},
    # A policy plays in a live session as any other client does.
    "env.remote_env": {"player.blocking", "player.transcript", "server.modes.sandbox.state"},
    "env.remote_hands": {"player.blocking", "player.transcript", "server.modes.sandbox.state"},
    "env.remote_seats": {"player.blocking", "player.transcript"},
    "env.flat_picture": {"server.recordings.export.colours"},
    # The bridge observes sessions with the client.
    "worker.bridge": {"player.client"},
}

SERVER_LAYERS: tuple[tuple[str, ...], ...] = (
    ("physics",),
    ("modes",),
    ("simulation",),
    ("recordings",),
    ("archive", "solver", "metrics", "limits", "listening", "security_headers"),
    ("banned_addresses", "costs", "rtc", "store_memory", "sweeps"),
    ("client_calls", "fanout"),
    ("sessions", "live"),
    ("gateway",),
    ("http",),
    ("app",),
    ("entry",),
    ("__main__",),
)
"""From the bottom up: a folder of server/ imports folders below it, never beside or above it."""

ONLY_IMPORTER: dict[str, set[str]] = {
    "redis": {"lobby.store.store"},
    "websockets": {"server.gateway", "player.reconnecting", "player.live_client", "player.replay_client"},
    "ipctk": {"server.physics"},
    "numba": {
        "server.physics",
        "lobby.machine_code",
        "lobby.whole_program",
        "lobby.wire.delta_compiled",
        "server.recordings.export.raster_code",
    },
    "starlette": {"server.http"},
    "uvicorn": {"server.gateway"},
    "click": {"cli", "player.__main__"},
    "rich": {"cli"},
    "pyarrow": {
        "worker.storage",
        "server.recordings.answers",
        "server.recordings.export.parquet_tables",
        "server.sweeps.ledger",
    },
    "aiortc": {"server.rtc", "player.data_channel"},
    "aioice": {"server.rtc"},
    "av": {"server.recordings.export.film"},
    "rerun": {"server.recordings.export.rerun_log"},
    "numcodecs": {"server.recordings.zarr_layout"},
    "distributed": {"server.sweeps.workers"},
    "ray": {"server.sweeps.workers"},
    "gymnasium": {"env"},
    "pettingzoo": {"env"},
    "pygame": {"env.picture_window"},
}
"""Library -> the modules or folders that may import it."""

DYNAMIC = {
    "cli.main": "the command that was called",
    "env": "the public API is lazy",
    "player.policies": "a function of the user, or a bot of player/",
    "server.recordings.export.exporting": "the writer of the format that was asked for",
    "tussle": "the public API is lazy",
}
"""Module that imports by a computed name -> what it imports. No other test sees such an import."""

PURE: dict[str, set[str]] = {
    name: {"asyncio", "redis", "time", "datetime", "logging", "structlog", "random", "websockets", "socket"}
    for name in ("server.physics", "server.modes", "server.simulation.simulation", "server.simulation.world",
                 "server.sessions.core", "server.sessions.pace", "lobby.rules", "lobby.lifecycle", "lobby.roles")
}  # fmt: skip
"""Module or folder -> what it must not import: no clock, event loop, store, log or unseeded chance."""


def modules(folders: tuple[str, ...] = PACKAGES) -> dict[str, Path]:
    """Dotted name without ``tussle.`` -> file, of every module of ours in these folders, and build_db."""
    found = {"build_db": ROOT / "build_db.py"}
    for package in folders:
        for path in (ROOT / package).rglob("*.py"):
            if "node_modules" not in path.parts and "web" not in path.relative_to(ROOT).parts:
                found[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


def nodes(path: Path, *, only_at_run_time: bool = False) -> Iterator[ast.stmt]:
    """The import statements of a file. ``only_at_run_time``: without those under ``if TYPE_CHECKING``."""
    hidden: set[int] = set()
    tree = tree_of(path)
    for node in statements(tree):
        if only_at_run_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            hidden |= {id(inner) for part in node.body for inner in (part, *statements(part))}
    for node in statements(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in hidden:
            yield node


@functools.cache
def imports_of(path: Path, *, only_at_run_time: bool = False) -> frozenset[str]:
    """Every name that a file imports, ours without ``tussle.``."""
    names: set[str] = set()
    for node in nodes(path, only_at_run_time=only_at_run_time):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {node.module} - {"tussle"}
    return frozenset(name.removeprefix("tussle.") for name in names)


MODULES = modules()


def within(name: str, place: str) -> bool:
    """Whether a module is that module or in that folder."""
    return name == place or name.startswith(place + ".")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_what_its_layer_may(name: str) -> None:
    """lobby imports no other package of Tussle; server, worker, player and build_db import lobby; cli imports all."""
    package = name.split(".")[0]
    for imported in imports_of(MODULES[name]):
        top = imported.split(".")[0]
        if top not in (*PACKAGES, *BESIDE, "build_db") or top in ALLOWED[package]:
            continue
        allowed = EXCEPTIONS.get(name, set())
        assert any(within(imported, one) or within(one, imported) for one in allowed), (
            f"{name} imports {imported}"
        )


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.startswith("server.")))
def test_a_folder_of_the_server_imports_only_folders_below(name: str) -> None:
    """SERVER_LAYERS holds: nothing is imported upward or sideways, for types neither."""
    rank = {folder: height for height, layer in enumerate(SERVER_LAYERS) for folder in layer}
    folder = name.split(".")[1]
    for imported in imports_of(MODULES[name]):
        parts = imported.split(".")
        if parts[0] == "server" and len(parts) > 1 and parts[1] != folder:
            assert rank[parts[1]] < rank[folder], f"{name} imports {imported}"


def test_the_page_shows_the_layers() -> None:
    """The line of layers in ARCHITECTURE.md has every folder of server/, in the order of SERVER_LAYERS."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    [line] = [line for line in text.splitlines() if line.startswith("app > http > ")]
    shown = [set(layer.split(", ")) for layer in reversed(line.split(" > "))]
    named = set().union(*shown)
    assert shown == [layer for layer in (set(names) & named for names in SERVER_LAYERS) if layer]
    assert {path.parent.name for path in (ROOT / "server").glob("*/__init__.py")} <= named


def test_no_module_imports_in_a_circle() -> None:
    """No cycle, neither at run time nor through a lazy import inside of a function; tests and benchmarks included."""
    everything = modules(PACKAGES + BESIDE)
    assert {"bench.machine", "tests.test_layers"} <= set(everything)
    graph: dict[str, set[str]] = {}
    for name, path in everything.items():
        imported = imports_of(path, only_at_run_time=True)
        graph[name] = {one for one in imported if one in everything and one != name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_exception_is_needed() -> None:
    """An exception that no import uses any more is removed from the table."""
    for name, allowed in EXCEPTIONS.items():
        for place in allowed:
            assert any(within(one, place) for one in imports_of(MODULES[name])), (
                f"{name} no longer imports {place}"
            )


@pytest.mark.parametrize("library", sorted(ONLY_IMPORTER))
def test_a_library_has_its_only_importer(library: str) -> None:
    """redis, websockets, the physics libraries and the frameworks are imported by the modules of ONLY_IMPORTER only."""
    for name, path in MODULES.items():
        if any(imported.split(".")[0] == library for imported in imports_of(path)):
            assert any(within(name, place) for place in ONLY_IMPORTER[library]), f"{name} imports {library}"


def test_imports_by_a_computed_name_are_listed() -> None:
    """importlib and __import__ are used by the modules of DYNAMIC, and by each of them."""
    importing = {"import_module", "__import__"}
    texts = {path: path.read_text() for path in MODULES.values()}
    found = {
        name
        for name, path in MODULES.items()
        if any(word in texts[path] for word in importing) and any(calls(tree_of(path), importing))
    }
    assert found == set(DYNAMIC)


@pytest.mark.parametrize("place", sorted(PURE))
def test_a_pure_module_knows_no_clock_and_no_world_outside(place: str) -> None:
    """Physics, modes, simulation and the sans-I/O cores import no clock, event loop, store or log."""
    checked = [name for name in MODULES if within(name, place)]
    assert checked
    for name in checked:
        banned = {imported.split(".")[0] for imported in imports_of(MODULES[name])} & PURE[place]
        assert not banned, f"{name} imports {banned}"


def test_importing_the_package_loads_nothing_heavy() -> None:
    """No package has code in its ``__init__``, but for the public APIs, which are lazy."""
    for name, path in MODULES.items():
        if path.name == "__init__.py" and name not in ("tussle", "env"):
            body = [n for n in tree_of(path).body if not isinstance(n, ast.Expr)]
            assert not body, f"{name} has code in its __init__"


def test_every_test_folder_is_a_package() -> None:
    """Without __init__.py, tests/server would shadow server."""
    for folder in [ROOT / "tests", *(path for path in (ROOT / "tests").rglob("*") if path.is_dir())]:
        if folder.name != "__pycache__" and list(folder.glob("*.py")):
            assert (folder / "__init__.py").exists(), folder
