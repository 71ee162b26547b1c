"""Rotations as matrices and as unit quaternions. Plain numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tussle.lobby.rules.scenes import Quaternion

__all__ = ["polar", "quaternions", "rotation_matrix"]

Floats = npt.NDArray[np.float64]


def rotation_matrix(quaternion: Quaternion) -> Floats:
    """Return the matrix (3, 3) of a quaternion (w, x, y, z), normalised first. Raises ValueError if it is zero."""
    norm = float(np.linalg.norm(quaternion))
    if not 0.0 < norm < np.inf:
        raise ValueError("its rotation is not a quaternion")
    w, x, y, z = np.array(quaternion) / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternions(rotations: Floats) -> Floats:
    """Return the unit quaternions (w, x, y, z) of rotations (..., 3, 3), with w >= 0; shape (..., 4).

    The eigenvector of the largest eigenvalue of a symmetric form, which has no special cases (Bar-Itzhack 2000, "New
    Method for Extracting the Quaternion from a Rotation Matrix").
    """
    m = np.moveaxis(np.asarray(rotations, np.float64), (-2, -1), (0, 1))
    form = np.zeros((*m.shape[2:], 4, 4))
    form[..., 0, 0] = m[0, 0] - m[1, 1] - m[2, 2]
    form[..., 1, 1] = m[1, 1] - m[0, 0] - m[2, 2]
    form[..., 2, 2] = m[2, 2] - m[0, 0] - m[1, 1]
    form[..., 3, 3] = m[0, 0] + m[1, 1] + m[2, 2]
    form[..., 1, 0] = m[0, 1] + m[1, 0]
    form[..., 2, 0] = m[0, 2] + m[2, 0]
    form[..., 2, 1] = m[1, 2] + m[2, 1]
    form[..., 3, 0] = m[2, 1] - m[1, 2]
    form[..., 3, 1] = m[0, 2] - m[2, 0]
    form[..., 3, 2] = m[1, 0] - m[0, 1]
    _, vectors = np.linalg.eigh(form)  # reads the lower triangle
    found = vectors[..., [3, 0, 1, 2], -1]
    return np.asarray(np.where(found[..., :1] < 0.0, -found, found))


def polar(matrices: Floats) -> tuple[Floats, Floats]:
    """Return the nearest rotations R and the symmetric P of matrices R P, both of shape (..., 3, 3)."""
    left, values, right = np.linalg.svd(matrices)
    turned = np.where(np.linalg.det(left @ right) < 0, -1.0, 1.0)
    left[..., 2] *= turned[..., None]
    values[..., 2] *= turned
    return left @ right, np.swapaxes(right, -2, -1) @ (values[..., None] * right)
