"""How recorded frames are rounded."""

from __future__ import annotations

import numpy as np
import pytest

from tussle.lobby.wire.frames import BodyKind, Frame, Topology, TopologyBody, encode_frame
from tussle.server.recordings.stacking import GRID_M, ROUNDING_M, grid_exponents, stack_frames


def body(kind: BodyKind, reach: float, count: int = 12) -> TopologyBody:
    rng = np.random.default_rng(7)
    vertices = rng.uniform(-1, 1, (count, 3))
    vertices *= reach / np.abs(vertices).sum(axis=1).max()
    return TopologyBody(kind, kind, vertices.astype(np.float32), np.array([[0, 1, 2]], np.uint32))


@pytest.mark.parametrize("reach", [1e-6, 0.02, 0.3, 0.57, 2.0, 9.0])
def test_no_point_of_a_body_is_off_by_more_than_is_declared(reach: float) -> None:
    """Of a small body the images of the axes are rounded coarsely, of a large one finely."""
    exponents = grid_exponents(Topology((body("static", 1), body("affine", reach))))
    rng = np.random.default_rng(3)
    turned = np.linalg.qr(rng.normal(size=(200, 3, 3)))[0]
    rows = np.concatenate([rng.uniform(-2, 2, (200, 1, 3)), turned], axis=1).astype(np.float32)
    frames = [encode_frame(Frame(tick, one, np.array([True]))) for tick, one in enumerate(rows)]
    stacked, _ = stack_frames(frames, exponents)
    weights = np.hstack([np.ones((12, 1)), body("affine", reach).vertices])
    assert np.abs(weights @ (stacked - rows.astype(float))).max() <= ROUNDING_M + 1e-7
    assert (stacked[:, 1:] != rows[:, 1:]).any()


def test_a_small_body_is_rounded_as_far_as_is_allowed() -> None:
    """One bit less would be too coarse, whatever the size of the body."""
    for reach in (0.02, 0.3, 0.57, 2.0):
        (exponent,) = grid_exponents(Topology((body("affine", reach),)))
        assert (
            (GRID_M + reach * 2.0**-exponent) / 2 <= ROUNDING_M < (GRID_M + reach * 2.0 ** (1 - exponent)) / 2
        )


def test_an_elastic_body_of_four_vertices_is_not_taken_for_an_affine_one() -> None:
    """All of its rows are positions: each is off by half of the grid at most."""
    exponents = grid_exponents(Topology((body("elastic", 0.01, 4),)))
    rows = np.random.default_rng(1).uniform(-1, 1, (4, 3)).astype(np.float32)
    stacked, _ = stack_frames([encode_frame(Frame(0, rows, np.array([True]), row_counts=(4,)))], exponents)
    assert np.abs(stacked[0] - rows.astype(float)).max() <= GRID_M / 2 + 1e-7
