"""A scene with every kind of body that a member can build: it uses more kernels than any mode."""

from __future__ import annotations

import json

from tests.support.paths import BODIES as CATALOGUE
from tussle.lobby.ready_meshes import ready_meshes
from tussle.server.modes.mode import Seat
from tussle.server.physics.stored_meshes import use_meshes
from tussle.server.simulation.simulation import SessionSpec, Simulation

__all__ = ["built_hash", "built_scene"]


def built_scene() -> str:
    """The document: an elastic mesh of the catalogue, a pinned body, a rail, a tumbling box and their floor."""
    (mesh,) = (mesh.sha256 for mesh in ready_meshes().values() if mesh.id == "letter-l")
    box = {"shape": {"kind": "box", "params": {"size": [0.3, 0.3, 0.3]}}, "material": {"density": 600}}
    bodies = [
        {**box, "id": "floor", "kind": "static", "shape": {"kind": "slab", "params": {"size": [4, 0.3, 4]}}},
        {**box, "id": "tumbling", "position": [0, 1.5, 0], "spin": [3, 1, 0]},
        {**box, "id": "hanging", "position": [0, 0.7, 1], "pins": [{"vertices": [2, 3]}]},
        {
            **box, "id": "swing", "kind": "rail", "position": [-1, 0.3, 0],
            "rail": {"amplitude": [0.4, 0, 0], "frequency": 1},
        },
        {
            "id": "soft", "kind": "elastic", "position": [0.2, 0.5, 0],
            "shape": {"kind": "mesh", "params": {"sha256": mesh}},
            "material": {"density": 1000, "stiffness": 4e4, "poisson": 0.45},
        },
    ]  # fmt: skip
    return json.dumps({"bodies": bodies})


def built_hash(ticks: int, folder: str) -> str:
    """The hash of the scene after that many ticks, computed in this process. ``folder``: of uploaded meshes; there may
    be none."""
    use_meshes(folder)
    seats = (Seat(0, "p0", "Ada", "person", "", "corner"),)
    simulation, _ = Simulation.start(
        SessionSpec("built", "sandbox", seats, {"corner": CATALOGUE["corner"]}, 1, {}, scene=built_scene())
    )
    while (here := simulation.advance([], 1)).tick < ticks:
        pass
    return here.hashes[-1].hex()
