"""The mat of a duel without its fallen sides: where its rim is, and the slabs that break off."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tussle.server.modes.duel.mat import (
    CLEARANCE,
    RIM_APOTHEM,
    distance_to_rim,
    mat_body,
    next_sides,
    side_distances,
    slab_bodies,
)
from tussle.server.modes.duel.state import ARENA_BOTTOM, ARENA_DEPTH, ARENA_SIDES, DHAT
from tussle.server.physics import shapes
from tussle.server.physics.layout import rotation_matrix


def falls(seed: int) -> list[tuple[int, ...]]:
    """The pairs in the order in which they fall."""
    fallen: tuple[int, ...] = ()
    found = []
    while pair := next_sides(seed, fallen):
        found.append(pair)
        fallen += pair
    return found


@pytest.mark.parametrize("seed", [0, 1, 7, 2**62 + 3])
def test_every_side_falls_once_beside_its_opposite(seed: int) -> None:
    """Two opposite sides at a time, so that no seat is favoured; those of the first two pairs have no neighbours."""
    pairs = falls(seed)
    assert sorted(side for pair in pairs for side in pair) == list(range(ARENA_SIDES))
    assert all((b - a) % ARENA_SIDES == ARENA_SIDES // 2 for a, b in pairs)
    first = {side for pair in pairs[:2] for side in pair}
    assert not {(side + 1) % ARENA_SIDES for side in first} & first


def test_the_whole_mat_is_the_octagon() -> None:
    """Without a fallen side the recipe is the one with which the bodies were balanced, and the distance is to its
    sides."""
    assert "apothems" not in mat_body(()).shape.params
    mesh = shapes.build(mat_body(()).shape)
    assert np.hypot(mesh.vertices[:ARENA_SIDES, 0], mesh.vertices[:ARENA_SIDES, 2]) == pytest.approx(1.8)
    centres = np.array([[0.0, 0.2, 0.0], [1.8, 0.2, 0.0], [0.0, 0.2, -1.0]])
    assert distance_to_rim(centres, ()) == pytest.approx(
        [1.8 * math.cos(math.pi / 8), 1.8 * math.cos(math.pi / 8) - 1.8, 1.8 * math.cos(math.pi / 8) - 1.0]
    )


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_rest_of_the_mat_is_convex_and_ends_at_its_sides(count: int) -> None:
    """After each fall the corners of the mesh are where two sides meet; a fallen side has moved in."""
    fallen = tuple(side for pair in falls(3)[:count] for side in pair)
    mesh = shapes.build(mat_body(fallen).shape)
    top = mesh.vertices[:ARENA_SIDES]
    assert top[:, 1].max() == 0.0
    near = side_distances(fallen)
    assert near.count(RIM_APOTHEM) == 2 * count
    for side in range(ARENA_SIDES):
        normal = np.array([math.cos(side * math.pi / 4), 0.0, math.sin(side * math.pi / 4)])
        assert (top @ normal).max() == pytest.approx(near[side])
        assert np.isclose(top @ normal, near[side]).sum() == 2
    assert distance_to_rim(top, fallen) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("seed", range(ARENA_SIDES))
def test_a_slab_is_what_the_mat_loses(seed: int) -> None:
    """Its top is the mat's, it ends at the old rim, it leans as the mat does, and on the inside it keeps clear of it
    by more than dhat."""
    fallen: tuple[int, ...] = ()
    for pair in falls(seed):
        before, fallen = fallen, (*fallen, *pair)
        for slab, side in zip(slab_bodies(fallen, 2), pair, strict=True):
            vertices = shapes.build(slab.shape).vertices @ rotation_matrix(slab.rotation).T + slab.position
            assert vertices[:, 1] == pytest.approx([-ARENA_DEPTH] * 4 + [0.0] * 4)
            # At the bottom both are smaller by the same factor, about the centre of the mat.
            vertices[:4] /= ARENA_BOTTOM
            assert vertices[:4, [0, 2]] == pytest.approx(vertices[4:, [0, 2]])
            along = vertices @ [math.cos(side * math.pi / 4), 0.0, math.sin(side * math.pi / 4)]
            assert along.max() == pytest.approx(side_distances(before)[side])
            assert along.min() == pytest.approx(RIM_APOTHEM + CLEARANCE)
            # No corner is outside of the mat as it was, and those of the rim are its corners.
            assert distance_to_rim(vertices, before) == pytest.approx(
                np.where(along > RIM_APOTHEM + 0.1, 0.0, distance_to_rim(vertices, before)), abs=1e-9
            )
            assert distance_to_rim(vertices, before).min() >= -1e-9
            assert distance_to_rim(vertices, fallen).max() <= -CLEARANCE + 1e-9 < -DHAT / ARENA_BOTTOM
