"""The ready meshes of the catalogue: sound, small, as listed, and made by their recipes."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.spatial import cKDTree

from tests.support.paths import ROOT
from tussle.lobby.ready_meshes import FOLDER, ready_mesh_file, ready_meshes
from tussle.server.physics.geometry import affine_moments
from tussle.server.physics.meshes import decode_mesh, read_mesh, write_mesh


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """catalogue/make_meshes.py."""
    spec = importlib.util.spec_from_file_location("make_meshes", ROOT / "catalogue" / "make_meshes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_meshes"] = module  # its dataclass looks its module up
    spec.loader.exec_module(module)
    return module


def test_the_list_is_what_the_files_are() -> None:
    """Each mesh has one file, named by the hash of its bytes, with the listed numbers; no other files are kept."""
    assert {path.stem for path in FOLDER.glob("*.mesh")} == set(ready_meshes())
    for sha256, listed in ready_meshes().items():
        file = ready_mesh_file(sha256)
        assert file is not None
        data = file.read_bytes()
        assert hashlib.sha256(data).hexdigest() == sha256 and len(data) == listed.bytes
        mesh = decode_mesh(data)
        assert mesh.tetrahedra is not None
        assert (len(mesh.vertices), len(mesh.tetrahedra)) == (listed.vertices, listed.tetrahedra)
        moments = affine_moments(mesh.vertices, mesh.faces, 1.0)[0]
        assert moments[0] == pytest.approx(listed.volume, abs=1e-6)
        assert np.abs(moments[1:] / moments[0]).max() < 1e-9  # the origin is the centre of mass
        assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(listed.bounding_radius, abs=1e-4)
    assert ready_mesh_file("0" * 64) is None


def test_the_meshes_follow_their_recipes(tmp_path: Path, maker: ModuleType) -> None:
    """Every recipe has a mesh that passes the check of uploads, and whose surface and volume are about its own."""
    listed = {mesh.id: mesh for mesh in ready_meshes().values()}
    assert [recipe.id for recipe in maker.RECIPES] == list(listed)
    for recipe in maker.RECIPES:
        file = ready_mesh_file(listed[recipe.id].sha256)
        assert file is not None
        mesh = decode_mesh(file.read_bytes())
        write_mesh(mesh, tmp_path / "mesh.vtu")
        assert len(read_mesh(tmp_path / "mesh.vtu").vertices) == listed[recipe.id].vertices
        surface = maker.read_surface(recipe)
        moments = affine_moments(surface.vertices, surface.faces, 1.0)[0]
        outside = mesh.vertices[np.unique(mesh.faces)] + moments[1:] / moments[0]
        away, _ = cKDTree(surface.vertices).query(outside)
        assert away.max() < 0.04 * np.linalg.norm(np.ptp(surface.vertices, axis=0)), recipe.id
        assert affine_moments(mesh.vertices, mesh.faces, 1.0)[0, 0] == pytest.approx(moments[0], rel=0.15)
