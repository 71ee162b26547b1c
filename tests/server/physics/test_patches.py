"""Every tetrahedron is in one patch, and the mean gradients of a patch are exact for straight fields."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.paths import ROOT
from tussle.lobby.rules.scenes import Recipe
from tussle.server.physics.geometry import Mesh
from tussle.server.physics.meshes import decode_mesh
from tussle.server.physics.patches import (
    PATCH_MAX,
    PATCH_MIN,
    Patches,
    group_tetrahedra,
    lay_out_patches,
    patch_links,
)
from tussle.server.physics.shapes import build

BLOCK = build(Recipe("block", {"size": [0.5, 0.2, 0.3], "cells": [4, 2, 3]}))
MESHES = sorted((ROOT / "catalogue" / "meshes").glob("*.mesh"))
FILLED = decode_mesh(min(MESHES, key=lambda path: (path.stat().st_size, path.name)).read_bytes())


def grouped(mesh: Mesh) -> tuple[np.ndarray, Patches]:
    assert mesh.tetrahedra is not None
    return group_tetrahedra(mesh.vertices, mesh.tetrahedra), lay_out_patches(mesh.vertices, mesh.tetrahedra)


def test_the_patches_of_a_block_are_its_cells() -> None:
    """Six tetrahedra each, those that ``block`` makes of a cell, and eight nodes."""
    patch, patches = grouped(BLOCK)
    cells = np.arange(len(patch)) // 6
    assert len(np.unique(np.stack([patch, cells], axis=1), axis=0)) == len(patches.volume) == 24
    assert (np.diff(patches.start) == 8).all()
    assert patches.volume == pytest.approx(np.full(24, 0.5 * 0.2 * 0.3 / 24))


@pytest.mark.parametrize("mesh", [BLOCK, FILLED], ids=["block", "filled"])
def test_a_straight_field_has_its_gradient(mesh: Mesh) -> None:
    """In each patch: x = a + A X has the mean gradient A. The volumes add up to that of the body."""
    _, patches = grouped(mesh)
    matrix = np.random.default_rng(0).normal(size=(3, 3))
    values = mesh.vertices @ matrix.T + 5.0
    for p in range(len(patches.volume)):
        rows = slice(int(patches.start[p]), int(patches.start[p + 1]))
        assert values[patches.nodes[rows]].T @ patches.slopes[rows] == pytest.approx(matrix, abs=1e-9)
    assert mesh.tetrahedra is not None
    corners = mesh.vertices[mesh.tetrahedra]
    volume = np.linalg.det(corners[:, 1:] - corners[:, :1]).sum() / 6.0
    assert patches.volume.sum() == pytest.approx(volume)


def test_the_patches_of_a_filled_surface_are_neither_small_nor_large() -> None:
    """Each has four to twelve tetrahedra; the nodes of a patch are linked, and equal meshes give equal patches."""
    patch, patches = grouped(FILLED)
    sizes = np.bincount(patch)
    assert sizes.min() >= 4 and sizes.max() <= 12
    links = {tuple(pair) for pair in patch_links(patches).tolist()}
    assert all(a < b for a, b in links)
    for p in range(len(patches.volume)):
        nodes = patches.nodes[patches.start[p] : patches.start[p + 1]].tolist()
        assert {(a, b) for a in nodes for b in nodes if a < b} <= links
    assert np.array_equal(grouped(FILLED)[0], patch)


def test_a_single_tetrahedron_is_a_patch() -> None:
    tets = np.array([[0, 1, 2, 3]])
    rest = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert group_tetrahedra(rest, tets).tolist() == [0]


def test_a_fan_of_many_tetrahedra_is_divided() -> None:
    """All nodes of a patch share entries of the linear system: 500 tetrahedra around one edge are not one patch, which
    would make the system dense, but several, each bounded and connected to the fan."""
    count = 500
    turn = 2.0 * np.pi * np.arange(count) / count
    rim = np.stack([np.cos(turn), np.sin(turn), np.zeros(count)], axis=1)
    rest = np.concatenate([[[0.0, 0.0, -0.5], [0.0, 0.0, 0.5]], rim])
    tets = np.array([[0, 1, 2 + k, 2 + (k + 1) % count] for k in range(count)])
    sizes = np.bincount(group_tetrahedra(rest, tets))
    assert sizes.min() >= PATCH_MIN and sizes.max() <= PATCH_MAX
    patches = lay_out_patches(rest, tets)
    assert patches.volume.sum() == pytest.approx(count * np.sin(2.0 * np.pi / count) / 6.0)
    assert len(patch_links(patches)) < 40 * count
