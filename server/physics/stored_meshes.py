"""The meshes of one's own that a scene names by their hash, for the processes that compile scenes.

A solver process, ``tussle verify`` and a replay find the same bytes under the same hash. This module must never read a
path that a client names.
"""

from __future__ import annotations

from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Recipe
from tussle.server.physics.geometry import Mesh

__all__ = ["load_mesh"]


def load_mesh(recipe: Recipe) -> Mesh:
    """Return the mesh of a recipe of kind "mesh" with params {"sha256": content hash}.

    Raises Refused (unknown_mesh)."""
    sha256 = recipe.params.get("sha256")
    if not isinstance(sha256, str) or set(recipe.params) != {"sha256"}:
        raise Refused(
            'a mesh recipe has exactly one parameter, "sha256"', code="unknown_mesh", field="shape.params"
        )
    raise Refused(f"there is no mesh {sha256[:12]!r}", code="unknown_mesh", field="shape.params")
