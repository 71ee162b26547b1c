"""The flat picture: outlines of bodies in their colours over the arena."""

from __future__ import annotations

import numpy as np

from tussle.env.flat_picture import FlatPicture, hull
from tussle.lobby.wire.frames import Frame, Topology, TopologyBody

CUBE = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)], np.float32)
NO_FACES = np.zeros((0, 3), np.uint32)


def scene() -> Topology:
    slab = CUBE * np.array([4.0, 0.2, 4.0], np.float32)
    return Topology(
        (TopologyBody("a", "affine", CUBE, NO_FACES, seat=0), TopologyBody("floor", "static", slab, NO_FACES))
    )


def frame(x: float, *, active: bool = True) -> Frame:
    rows = np.concatenate([[[x, 0.6, 0.0]], np.eye(3)]).astype(np.float32)
    return Frame(tick=0, rows=rows, active=np.array([active]))


def test_a_body_is_where_it_is_over_ground() -> None:
    """x grows to the right; the body has its seat's colour, the arena its own, and the bench is around it."""
    picture = FlatPicture(108, 108).draw(scene(), frame(1.0))
    assert picture.shape == (108, 108, 3) and picture.dtype == np.uint8
    assert picture[54, 79].tolist() == [0xF5, 0x82, 0x20]
    assert picture[20, 20].tolist() == [0x1B, 0x5A, 0x4E]
    assert picture[1, 1].tolist() == [0x0C, 0x14, 0x13]


def test_a_body_that_is_out_is_not_drawn() -> None:
    """Only the arena is in the picture of an inactive body."""
    picture = FlatPicture(108, 108).draw(scene(), frame(1.0, active=False))
    assert not (picture == [0xF5, 0x82, 0x20]).all(axis=2).any()


def test_a_ring_marks_the_body_that_acts() -> None:
    """The ring of the turn is drawn around the body, and pictures do not change earlier ones."""
    maker = FlatPicture(216, 216)
    plain = maker.draw(scene(), frame(0.0))
    kept = plain.copy()
    ringed = maker.draw(scene(), frame(0.0), ring=0)
    assert (ringed != plain).any()
    np.testing.assert_array_equal(plain, kept)


def test_a_hull_is_convex_and_in_order() -> None:
    """Inner points and repeated points are left out; the corners run around the inside."""
    points = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5], [1, 0]], float)
    assert hull(points).tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]
