"""Recipes become the meshes that the catalogue describes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.worlds import CATALOGUE
from tussle.lobby.errors import Refused
from tussle.lobby.rules.scenes import Recipe
from tussle.server.physics.geometry import (
    affine_moments,
    boundary_faces,
    bounding_radius,
    contact_features,
    edge_uses,
    signed_volume,
    unique_edges,
)
from tussle.server.physics.shapes import KINDS, build

SOLIDS = {
    "capsule": {"radius": 0.1, "length": 0.2},
    "blob": {"radius": 0.2},
    "ball": {"radius": 0.2, "cells": 4, "lobes": [[1.0, 1.0, 0.0, 0.4, 6.0]]},
    "block": {"size": [1.0, 0.5, 0.25], "cells": [4, 2, 1]},
    "platform": {"sides": 8, "radius": 1.8, "depth": 0.3, "bottom_scale": 0.9},
    "slab": {"size": [2.0, 0.2, 1.0]},
} | {body["kind"]: body["params"] for body in CATALOGUE.values()}


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_catalogue(name: str) -> None:
    """Every catalogue body has the vertices, triangles, volume, mass and size that the catalogue computed."""
    entry = CATALOGUE[name]
    mesh, computed = build(Recipe(entry["kind"], entry["params"])), entry["computed"]
    mass = affine_moments(mesh.vertices, mesh.faces, entry["density"])
    assert (len(mesh.vertices), len(mesh.faces)) == (computed["vertices"], computed["triangles"])
    assert signed_volume(mesh.vertices, mesh.faces) == pytest.approx(computed["volume"], abs=6e-6)
    assert mass[0, 0] == pytest.approx(computed["mass"], abs=6e-3)
    assert bounding_radius(mesh.vertices) == pytest.approx(computed["bounding_radius"], abs=6e-4)
    assert -mesh.vertices[:, 1].min() == pytest.approx(computed["rest_height"], abs=6e-4)
    assert np.abs(mass[0, 1:]).max() < 1e-12


@pytest.mark.parametrize("kind", sorted(SOLIDS))
def test_closed_and_outward(kind: str) -> None:
    """Every solid is a closed manifold whose faces point outwards."""
    mesh = build(Recipe(kind, SOLIDS[kind]))
    edges, uses = edge_uses(mesh.faces)
    assert uses.max() == 1
    assert set(map(tuple, edges.tolist())) == set(map(tuple, edges[:, ::-1].tolist()))
    assert signed_volume(mesh.vertices, mesh.faces) > 0


def test_every_kind_is_tested() -> None:
    """These tests cover every shape except the bowl, which is open."""
    assert set(KINDS) - set(SOLIDS) == {"bowl"}


def test_platform_leaves_out_the_fans_edges() -> None:
    """Of the Octagon, only rim and side edges take part in edge-edge contact."""
    mesh = build(Recipe("platform", SOLIDS["platform"]))
    edges, points = contact_features(mesh)
    assert len(edges) == 24 and len(points) == 16 and len(unique_edges(mesh.faces)) > 24


def test_box_leaves_out_its_diagonals() -> None:
    """Edges inside of a flat face are left out, because the face or its rim is always touched first."""
    edges, points = contact_features(build(Recipe("box", {"size": [1, 1, 1]})))
    assert len(edges) == 12 and len(points) == 8


def test_block_fills_its_cuboid() -> None:
    """The tetrahedra of a block are positive and add up to the cuboid; its boundary is closed."""
    mesh = build(Recipe("block", SOLIDS["block"]))
    assert mesh.tetrahedra is not None
    corners = mesh.vertices[mesh.tetrahedra]
    volumes = np.linalg.det(corners[:, 1:] - corners[:, :1]) / 6
    assert volumes.min() > 0 and volumes.sum() == pytest.approx(0.125)
    assert signed_volume(mesh.vertices, boundary_faces(mesh.tetrahedra)) == pytest.approx(0.125)


def test_ball_is_round() -> None:
    """The surface of a plain ball lies on its sphere, and it fills most of it."""
    mesh = build(Recipe("ball", {"radius": 0.5, "cells": 6}))
    assert mesh.tetrahedra is not None
    surface = mesh.vertices[np.unique(boundary_faces(mesh.tetrahedra))]
    assert np.linalg.norm(surface, axis=1) == pytest.approx(0.5)
    assert 0.85 < signed_volume(mesh.vertices, mesh.faces) / (4 / 3 * np.pi * 0.125) < 1


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("dodecahedron", {}),
        Recipe("box", {"width": 1}),
        Recipe("box", {"size": [1, 1]}),
        Recipe("box", {"size": [0, 1, 1]}),
        Recipe("box", {"size": ["wide", 1, 1]}),
        Recipe("sphere", {"radius": float("nan")}),
        Recipe("lathe", {"profile": [], "n": 8}),
        Recipe("block", {"size": [1, 1, 1], "cells": [0, 1, 1]}),
        Recipe("ball", {"radius": 1, "cells": 4, "lobes": [[1, 0, 0, -1.5, 1]]}),
        Recipe("star", {"n": 0, "R": 1, "r": 1, "h": 1}),
        Recipe("crescent", {"n": 2, "R": 0.3, "r": 0.2, "arc": 1.0, "h": 0.1, "bottom_scale": 0.0}),
    ],
)
def test_invalid_recipes_are_refused(recipe: Recipe) -> None:
    """A recipe that makes no solid is refused with a code and a sentence."""
    with pytest.raises(Refused) as caught:
        build(recipe)
    assert caught.value.reason == "bad_scene" and "\n" not in str(caught.value)
