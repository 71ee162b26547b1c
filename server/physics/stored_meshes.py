"""The meshes of one's own that a scene names by their hash, for the processes that compile scenes.

    use_meshes(ARCHIVE_URL), once in a process -> load_mesh(recipe) -> the newest ones in memory, else the file

A solver process, ``tussle verify`` and a replay find the same bytes under the same hash: a file is compared with its
name when it is read. This module must never read a path that a client names.
"""

from __future__ import annotations

from collections import OrderedDict

from tussle.lobby.errors import Refused
from tussle.lobby.mesh_files import MeshFiles, is_mesh_hash
from tussle.lobby.rules.mesh_faults import BadMesh
from tussle.lobby.rules.scene_limits import MESH_SCALE, is_mesh_scale
from tussle.lobby.rules.scenes import Recipe
from tussle.server.physics.geometry import Mesh
from tussle.server.physics.meshes import decode_mesh

__all__ = ["load_mesh", "use_meshes"]

KEPT_BYTES = 64 * 2**20
"""Bytes of the meshes that a process keeps in memory."""


class _MeshCache:
    """The meshes that were used last. They are immutable, so one may be in many worlds."""

    def __init__(self, url: str) -> None:
        self._files = MeshFiles(url)
        self._meshes: OrderedDict[str, tuple[Mesh, int]] = OrderedDict()
        self._bytes = 0

    def get(self, sha256: str) -> Mesh:
        if sha256 in self._meshes:
            self._meshes.move_to_end(sha256)
            return self._meshes[sha256][0]
        data = self._files.read(sha256)
        mesh = decode_mesh(data)
        self._meshes[sha256] = mesh, len(data)
        self._bytes += len(data)
        while self._bytes > KEPT_BYTES and len(self._meshes) > 1:
            self._bytes -= self._meshes.popitem(last=False)[1][1]
        return mesh


_kept: list[_MeshCache] = []


def use_meshes(archive_url: str) -> None:
    """Read the meshes of this archive from now on."""
    _kept[:] = [_MeshCache(archive_url)]


def load_mesh(recipe: Recipe) -> Mesh:
    """Return the mesh of a recipe of kind "mesh" with params {"sha256": content hash} and, if wanted, "scale", a factor
    of its size. Raises Refused (unknown_mesh)."""
    params = dict(recipe.params)
    sha256, scale = params.pop("sha256", None), params.pop("scale", 1.0)
    if not isinstance(sha256, str) or not is_mesh_hash(sha256) or params:
        message = 'a mesh recipe has "sha256", the hash of a ready mesh, and may have "scale"'
        raise Refused(message, code="unknown_mesh", field="shape.params")
    if not is_mesh_scale(scale):
        message = f"the scale of a mesh is between {1 / MESH_SCALE:g} and {MESH_SCALE:g}"
        raise Refused(message, code="unknown_mesh", field="shape.params")
    if not _kept:
        raise Refused("this process reads no meshes of one's own", code="unknown_mesh", field="shape.params")
    try:
        mesh = _kept[0].get(sha256)
    except FileNotFoundError:
        raise Refused(f"there is no mesh {sha256[:12]}", code="unknown_mesh", field="shape.params") from None
    except (OSError, BadMesh) as error:
        raise Refused(f"the mesh {sha256[:12]} cannot be read: {error}", code="unknown_mesh") from None
    if scale == 1.0:
        return mesh
    return Mesh(mesh.vertices * float(scale), mesh.faces, mesh.tetrahedra)
