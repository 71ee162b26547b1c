"""The averaged element: the energy of patches of tetrahedra at their mean deformation gradient.

A linear tetrahedron has one constant strain. Bending needs strains that vary across it, and a nearly incompressible
material allows it none: a beam of them is several times too stiff (shear and volumetric locking). Here the energy of a
patch (server/physics/patches.py) of volume V is

    V psi(F'; (1 - s) mu, lambda) + s sum v psi(F; mu, 0),    F' = sum v F / V,

with psi as in server/physics/elasticity.py, summed over its tetrahedra of volume v. The first term is that of a uniform
strain element (Flanagan and Belytschko 1981; Dohrmann et al. 2000 for tetrahedra). It leaves the deformations without
mean strain free, hourglass modes, which the second one resists (as in Puso and Solberg 2006, "A stabilized nodally
integrated tetrahedral"). A homogeneous strain has the energy of linear tetrahedra. Both terms are infinite at J = 0, of
each tetrahedron and of each patch, so the line search keeps both volumes.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from tussle.server.physics.elasticity import FLATTEST, determinant, energy_density, point_derivatives
from tussle.server.physics.elimination import find_entry
from tussle.server.physics.jit import inner, kernel

__all__ = ["STABILISATION", "add_patch", "mean_deformation", "patch_derivatives", "patch_energy"]

STABILISATION = 0.3
"""The share s of the shear modulus that single tetrahedra resist with.

The six tetrahedra of a cubic cell are about three times too stiff in each hourglass mode, and 2/9 (1 + nu) would make
beams of cubic cells exact. Near zero a mesh folds without force, 1 is a mesh of linear tetrahedra but for lambda.
"""


@kernel
def mean_deformation(x, patch_first, patch_nodes, patch_slopes, p, f):
    """Fill f, shape (3, 3), with the mean gradient of x, shape (nodes, 3), over patch p. Returns its determinant."""
    begin = patch_first[p]
    first = patch_nodes[begin]
    for i in range(3):
        for j in range(3):
            f[i, j] = 0.0
    for m in range(begin + 1, patch_first[p + 1]):
        n = patch_nodes[m]
        for i in range(3):
            # The slopes of a patch add up to zero: differences keep the digits of a body that is far away.
            offset = x[n, i] - x[first, i]
            for j in range(3):
                f[i, j] += offset * patch_slopes[m, j]
    return determinant(f)


@kernel
def patch_energy(q, patch_first, patch_nodes, patch_slopes, patch_volume, patch_mu, patch_lam, p, f):
    """Return the energy of the mean strain of patch p [J], inf if its volume is not above FLATTEST. f: scratch, shape
    (3, 3).
    """
    det = mean_deformation(q, patch_first, patch_nodes, patch_slopes, p, f)
    if det <= FLATTEST:
        return np.inf
    return patch_volume[p] * energy_density(f, det, patch_mu[p], patch_lam[p])


@kernel
def patch_derivatives(
    q,
    patch_first,
    patch_nodes,
    patch_slopes,
    patch_volume,
    patch_mu,
    patch_lam,
    p,
    scale,
    scratch,
    out,
    block,
):
    """Add scale times the gradient of patch_energy to ``out``, shape (nodes, 3), and fill ``block``, shape (12, 12).

    From row and column 3 on, the block is scale times the projected Hessian by F', whose entry (r, c) has the row 3 + 3
    c + r: that of a tetrahedron with unit edges whose corners 1, 2 and 3 are the columns of F'.
    """
    det = mean_deformation(q, patch_first, patch_nodes, patch_slopes, p, scratch.f)
    for j in range(3):
        scratch.shape[0, j] = -1.0
        for i in range(3):
            scratch.shape[i + 1, j] = 1.0 if i == j else 0.0
    corners = np.arange(4).reshape((1, 4))
    slope = np.zeros((4, 3))
    point_derivatives(
        det, corners, 0, scale * patch_volume[p], patch_mu[p], patch_lam[p], scratch, slope, block
    )
    for m in range(patch_first[p], patch_first[p + 1]):
        n = patch_nodes[m]
        for i in range(3):
            for j in range(3):
                out[n, i] += patch_slopes[m, j] * slope[j + 1, i]


@inner
def add_patch(
    patch_first, patch_nodes, patch_slopes, p, fixed, block, first, row_start, rows, start, data, place, front
):
    """Add the block of ``patch_derivatives`` to the entries of the system. Fixed nodes are left out."""
    half = np.empty((9, 3))
    begin, end = patch_first[p], patch_first[p + 1]
    for m in range(begin, end):
        col = patch_nodes[m]
        if fixed[col]:
            continue
        for r in range(9):
            for a in range(3):
                half[r, a] = 0.0
                for j in range(3):
                    half[r, a] += block[3 + r, 3 + 3 * j + a] * patch_slopes[m, j]
        for y in range(begin, end):
            row = patch_nodes[y]
            if fixed[row] or place[row] < place[col]:
                continue
            at = find_entry(first, row_start, rows, start, place, front, row, col)
            for a in range(3):
                for k in range(3):
                    value = 0.0
                    for i in range(3):
                        value += patch_slopes[y, i] * half[3 * i + k, a]
                    data[at + 12 * a + k] += value
