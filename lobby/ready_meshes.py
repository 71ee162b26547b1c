"""The ready meshes that the package brings: catalogue/meshes/, made by catalogue/make_meshes.py.

They are used as uploaded meshes are, by their hash, in any scene and in ``tussle simulate``; but they need no upload
and no worker, and are never removed. This module must never look into a mesh.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import msgspec

__all__ = ["ReadyMesh", "ready_mesh_file", "ready_meshes"]

FOLDER = Path(__file__).resolve().parent.parent / "catalogue" / "meshes"


class ReadyMesh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mesh of tetrahedra of the catalogue. bytes: of its file; volume [m^3]; bounding_radius [m] about its centre of
    mass, which is its origin."""

    id: str
    name: str
    sha256: str
    bytes: int
    vertices: int
    tetrahedra: int
    volume: float
    bounding_radius: float


@functools.cache
def ready_meshes() -> Mapping[str, ReadyMesh]:
    """The ready meshes, by hash."""
    listed = msgspec.json.decode((FOLDER / "meshes.json").read_bytes(), type=list[ReadyMesh])
    return {mesh.sha256: mesh for mesh in listed}


def ready_mesh_file(sha256: str) -> Path | None:
    """The file of a ready mesh; None for any other hash."""
    return FOLDER / f"{sha256}.mesh" if sha256 in ready_meshes() else None
