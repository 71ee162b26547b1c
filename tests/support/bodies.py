"""The catalogue's meshes for the web client's portraits: ``python -m tests.support.bodies`` writes them.

A session sends its meshes in the topology. These meshes show a body outside of a session. A test checks that the
file is current.
"""

from __future__ import annotations

import json

from tests.support.paths import ROOT
from tussle.lobby.rules.scenes import Recipe
from tussle.server.modes.sandbox.state import SOFT_BODIES
from tussle.server.physics.shapes import build as build_shape

TARGET = ROOT / "player" / "web" / "src" / "generated" / "bodies.json"


def build() -> str:
    """Return the file's text: body id -> [vertices, faces], both flat, vertices rounded to 0.1 mm."""
    catalogue = json.loads((ROOT / "catalogue" / "catalogue.json").read_text())
    meshes = {}
    shapes = {body["id"]: Recipe(kind=body["kind"], params=body["params"]) for body in catalogue["bodies"]}
    shapes |= {body.id: Recipe(kind=body.kind, params=body.params) for body in SOFT_BODIES.values()}
    for name, recipe in shapes.items():
        mesh = build_shape(recipe)
        vertices = [round(float(x), 4) + 0.0 for x in mesh.vertices.ravel()]
        meshes[name] = [vertices, mesh.faces.ravel().tolist()]
    return json.dumps(meshes, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(build())
