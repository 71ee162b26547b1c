"""Rotations beside scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tussle.lobby.rules.rotations import polar, quaternions, rotation_matrix


def test_quaternions_are_those_of_scipy_at_any_angle() -> None:
    """Half turns and no turn are the angles at which formulas by cases divide by small numbers."""
    rng = np.random.default_rng(5)
    turns = Rotation.random(200, random_state=5).as_rotvec()
    turns[:50] *= (np.pi / np.linalg.norm(turns[:50], axis=1))[:, None]
    turns[50:100] *= 1e-9
    turns[100:110] = 0.0
    turns[110:120] = np.pi * np.eye(3)[rng.integers(0, 3, 10)]
    matrices = Rotation.from_rotvec(turns).as_matrix()
    found = quaternions(matrices)
    right = Rotation.from_rotvec(turns).as_quat()[:, [3, 0, 1, 2]]
    assert np.abs(np.abs(np.sum(found * right, axis=1)) - 1.0).max() < 1e-12
    assert (found[:, 0] >= 0.0).all()
    for matrix, quaternion in zip(matrices, found, strict=True):
        w, x, y, z = (float(value) for value in quaternion)
        assert np.abs(rotation_matrix((w, x, y, z)) - matrix).max() < 1e-12
    assert (quaternions(matrices[7]) == found[7]).all()


def test_a_zero_quaternion_is_refused() -> None:
    with pytest.raises(ValueError, match="not a quaternion"):
        rotation_matrix((0.0, 0.0, 0.0, 0.0))


def test_the_polar_decomposition_has_a_rotation_even_of_a_mirrored_matrix() -> None:
    matrices = np.random.default_rng(6).normal(size=(40, 3, 3))
    rotation, stretch = polar(matrices)
    assert np.abs(rotation @ stretch - matrices).max() < 1e-12
    assert np.abs(np.linalg.det(rotation) - 1.0).max() < 1e-12
    assert np.abs(stretch - np.swapaxes(stretch, 1, 2)).max() < 1e-12
    one, _ = polar(matrices[3])
    assert (one == rotation[3]).all()
